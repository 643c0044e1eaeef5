//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Files of a WebDAV drive on the command line.
#[derive(Parser)]
#[command(name = "coffer", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    #[command(flatten)]
    pub access: Access,
}

/// How to reach the drive.
#[derive(Args)]
pub struct Access {
    /// User name or e-mail address
    #[arg(long, global = true, value_name = "NAME", requires = "password_file")]
    pub user: Option<String>,

    /// File whose first line is the password
    ///
    /// An app password does as well, and can be revoked alone. There is no flag for the password
    /// itself: other users of the machine could read it.
    #[arg(long, global = true, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,

    /// Certificates in PEM form to trust beside the system's
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// What to do. Every URL is the whole one of a file or folder, its names escaped.
#[derive(Subcommand)]
pub enum Command {
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
