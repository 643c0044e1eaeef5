//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use coffer::fs::Fsync;

/// A WebDAV drive as a folder, and its files on the command line.
#[derive(Parser)]
#[command(name = "coffer", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    #[command(flatten)]
    pub access: Access,
}

/// How to reach the drive.
#[derive(Args, Clone)]
pub struct Access {
    /// User name or e-mail address
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,

    /// File whose first line is the password
    ///
    /// An app password does as well, and can be revoked alone. There is no flag for the password
    /// itself: other users of the machine could read it.
    #[arg(long, global = true, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Certificates in PEM form to trust beside the system's
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Log in to a server, and keep the log-in on this machine
    ///
    /// On a Coffer the password is traded for an app password, which can be revoked alone.
    Login {
        /// Of the server or of the drive
        url: String,
        /// What to call it [default: the name of the host]
        #[arg(long)]
        name: Option<String>,
    },
    /// Forget a log-in, and revoke its app password
    Logout {
        /// Its name or URL
        source: String,
    },
    /// Mount a drive at a folder
    Mount(Box<Mount>),
    /// Unmount a drive
    ///
    /// What is not on the server yet stays in the cache, and is sent when the drive is mounted again.
    Unmount {
        /// Wait until everything is on the server first
        #[arg(long)]
        flush: bool,
        /// Even while programs use it
        #[arg(long)]
        lazy: bool,
        directory: PathBuf,
    },
    /// Show how the mounts are
    Status {
        /// Print one JSON object for each mount and line
        #[arg(long)]
        json: bool,
        /// Only the mount at or around this folder
        directory: Option<PathBuf>,
    },
    /// Send everything that is not on the server yet, and wait for it
    Sync {
        /// Only the mount at or around this folder
        directory: Option<PathBuf>,
    },
    /// Keep files and folders in the cache, so that they can be read without a connection
    Pin {
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Do not keep them any longer
    Unpin {
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Look for what keeps drives from being mounted, and say what to do
    Doctor {
        /// A drive to look at beside this machine: its URL, or the name it was logged in by
        source: Option<String>,
        /// Folder of its cache, where that is not the usual one
        #[arg(long, value_name = "FOLDER")]
        cache: Option<PathBuf>,
    },
    /// Print a script that completes commands in a shell
    Completions { shell: Shell },
    #[command(flatten)]
    Files(Files),
}

/// Single files, straight on the server. Every URL is the whole one of a file or folder, its names
/// escaped.
#[derive(Subcommand)]
pub enum Files {
    /// List a folder, or describe a file
    Ls {
        url: String,
        /// Print one JSON object for each line
        #[arg(long)]
        json: bool,
    },
    /// Download a file
    Get {
        url: String,
        /// Where to; `-`, the default, is standard output
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// Upload a file, replacing one of that name
    Put { file: PathBuf, url: String },
    /// Delete files, and folders with all that is in them
    Rm {
        #[arg(required = true)]
        urls: Vec<String>,
    },
    /// Make folders
    Mkdir {
        #[arg(required = true)]
        urls: Vec<String>,
    },
    /// Move or rename on the server
    Mv {
        from: String,
        to: String,
        /// Fail when there is something of that name
        #[arg(long)]
        no_clobber: bool,
    },
    /// Copy on the server
    Cp {
        from: String,
        to: String,
        /// Fail when there is something of that name
        #[arg(long)]
        no_clobber: bool,
    },
}

/// How to mount.
#[derive(Args)]
pub struct Mount {
    /// URL of the drive, or the name it was logged in by
    pub source: String,

    /// An empty folder
    pub directory: PathBuf,

    /// Stay in the foreground
    #[arg(long)]
    pub foreground: bool,

    /// Folder for what is kept on this machine [default: one in ~/.cache/coffer]
    #[arg(long, value_name = "FOLDER")]
    pub cache: Option<PathBuf>,

    /// Most content to keep on this machine, as 500M, 10G or in bytes
    ///
    /// What is not on the server yet, and what is pinned, is kept in any case.
    #[arg(long, value_name = "SIZE", default_value = "10G", value_parser = size_bytes)]
    pub cache_size: u64,

    /// What fsync waits for
    #[arg(long, value_enum, value_name = "WHAT", default_value = "wait")]
    pub fsync: FsyncChoice,

    /// Let other users in, as far as the modes of the files do
    ///
    /// Always so when root mounts; others need `user_allow_other` in /etc/fuse.conf.
    #[arg(long)]
    pub allow_other: bool,

    /// Keep the kernel from reading and writing complete files in the cache by itself
    #[arg(long)]
    pub no_passthrough: bool,

    /// Options as for mount(8), separated by commas
    ///
    /// `ro`, `noexec`, `noatime`, `suid`, `dev` and `allow_other`; and `username=`,
    /// `password_file=`, `ca_file=`, `cache=`, `cache_size=`, `fsync=` and `no_passthrough`, which
    /// are as the flags of these names.
    #[arg(short = 'o', value_name = "OPTIONS")]
    pub options: Vec<String>,
}

/// What fsync waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FsyncChoice {
    /// The server; while it is out of reach, this machine's disk
    Wait,
    /// This machine's disk
    Local,
    /// The server, or it fails
    Strict,
}

impl From<FsyncChoice> for Fsync {
    fn from(choice: FsyncChoice) -> Self {
        match choice {
            FsyncChoice::Wait => Self::Wait,
            FsyncChoice::Local => Self::Local,
            FsyncChoice::Strict => Self::Strict,
        }
    }
}

/// What mount(8) calls for the type `fuse.coffer`: `mount.fuse.coffer SOURCE DIR -o OPTIONS`.
#[derive(Parser)]
#[command(name = "mount.fuse.coffer", version)]
#[expect(clippy::struct_excessive_bools, reason = "flags of mount(8)")]
pub struct Helper {
    pub source: String,
    pub directory: PathBuf,
    /// Options, separated by commas
    #[arg(short = 'o', value_name = "OPTIONS")]
    pub options: Vec<String>,
    /// Ignore unknown options
    #[arg(short = 's')]
    pub sloppy: bool,
    /// Do everything but mount
    #[arg(short = 'f')]
    pub fake: bool,
    /// Accepted, and of no meaning here
    #[arg(short = 'n')]
    pub no_table: bool,
    /// Accepted, and of no meaning here
    #[arg(short = 'v')]
    pub verbose: bool,
    /// Type as in fstab
    #[arg(short = 't', value_name = "TYPE")]
    pub kind: Option<String>,
}

/// A number of bytes, or of K, M, G or T (powers of 1024).
pub fn size_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return Err(format!("`{unit}` is none of K, M, G, T")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "not a size, as 10G is one".to_owned())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_lines_are_sound() {
        Cli::command().debug_assert();
        Helper::command().debug_assert();
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(size_bytes("10G"), Ok(10 << 30));
        assert_eq!(size_bytes("1kib"), Ok(1024));
        assert_eq!(size_bytes("7"), Ok(7));
        assert!(size_bytes("G").is_err() && size_bytes("1X").is_err());
        assert!(size_bytes("99999999999T").is_err());
    }
}
