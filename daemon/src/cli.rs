//! The command line: noun, then verb. Flags select, files configure, secrets never come by flag.
//!
//! `serve` is the default: its flags are taken at the top level too, so `cofferd` alone and
//! `cofferd --listen ADDR` serve.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::byte_size::ByteSize;

/// Coffer: a self-hosted drive over WebDAV and JSON.
#[derive(Debug, Parser)]
#[command(
    name = "cofferd",
    version,
    about = "A self-hosted drive over WebDAV and JSON",
    long_about = "A self-hosted drive over WebDAV and JSON.\n\nWithout a command it serves on \
                  127.0.0.1:8080 from ./coffer-data, creates the first administrator and prints \
                  how to mount the drive.",
    after_help = "Exit status: 0 done, 1 failed, 2 wrong usage or configuration."
)]
pub struct Cli {
    #[command(flatten)]
    pub common: CommonFlags,
    #[command(flatten)]
    pub serve: ServeFlags,
    #[command(subcommand)]
    pub noun: Option<Noun>,
}

/// Flags that select what every command works on.
#[derive(Args, Clone, Debug, Default)]
pub struct CommonFlags {
    /// Folder that holds everything: database, contents, keys [default: ./coffer-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Configuration file (TOML); the environment and flags override it
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Database: sqlite:PATH or postgres://… [default: `SQLite` in the data folder]
    ///
    /// A password in it is visible to other users of this machine; prefer
    /// `COFFER_DATABASE_URL_FILE`.
    #[arg(long, global = true, value_name = "URL")]
    pub database: Option<String>,
    /// Print JSON for scripts
    #[arg(long, global = true)]
    pub json: bool,
}

/// Flags of `cofferd serve`, accepted at the top level as well.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct ServeFlags {
    /// Address to listen on, host:port; may be given several times
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<String>,
    /// Most bytes all users together may store, e.g. 500GB
    #[arg(long, value_name = "BYTES")]
    pub capacity: Option<ByteSize>,
    /// Serve TLS with a certificate of our own making, for trying out
    #[arg(long)]
    pub self_signed: bool,
    /// Go to the background; returns once the daemon serves, or with its error
    ///
    /// Needs `log.file`, since there is no terminal to write to.
    #[arg(long)]
    pub daemon: bool,
    /// Offer HTTP/1.1 alone, not HTTP/2
    #[arg(long)]
    pub http1_only: bool,
}

impl ServeFlags {
    /// These flags, completed by those given before the word `serve`.
    pub fn or(mut self, before: Self) -> Self {
        if self.listen.is_empty() {
            self.listen = before.listen;
        }
        self.capacity = self.capacity.or(before.capacity);
        self.self_signed |= before.self_signed;
        self.daemon |= before.daemon;
        self.http1_only |= before.http1_only;
        self
    }
}

#[derive(Debug, Subcommand)]
pub enum Noun {
    /// Serve the drive (the default)
    Serve(ServeFlags),
    /// Users: add, list, show, set, remove
    #[command(subcommand)]
    User(UserVerb),
    /// App passwords: add, list, revoke
    #[command(subcommand)]
    AppPassword(AppPasswordVerb),
    /// Configuration: check, show
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Print the OpenAPI document of the JSON API
    Openapi,
    /// Remove contents that nothing refers to any more
    Sweep {
        /// Say what would be removed, remove nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Compare the database with the stored contents
    Check {
        /// Also read every content and compare its digest (slow)
        #[arg(long)]
        contents: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum UserVerb {
    /// Add a user; the password is read from standard input
    Add {
        /// User name
        name: String,
        /// E-mail address
        #[arg(long, value_name = "E")]
        email: Option<String>,
        /// Most bytes the user may store, e.g. 50GB or 50GiB [default: `accounts.default_quota`]
        #[arg(long, value_name = "BYTES")]
        quota: Option<ByteSize>,
        /// Make the user an administrator
        #[arg(long)]
        admin: bool,
        /// Read the password from the first line of standard input
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// List all users
    List,
    /// Show one user
    Show {
        /// User name or e-mail address
        name: String,
    },
    /// Change a user; what is not given stays
    #[command(group = clap::ArgGroup::new("change").required(true).multiple(true)
        .args(["rename", "email", "quota", "admin", "password_stdin"]))]
    Set {
        /// User name or e-mail address
        name: String,
        /// New user name
        #[arg(long, value_name = "NAME")]
        rename: Option<String>,
        /// New e-mail address
        #[arg(long, value_name = "E")]
        email: Option<String>,
        /// New quota, e.g. 50GB or 50GiB
        #[arg(long, value_name = "BYTES")]
        quota: Option<ByteSize>,
        /// Make or unmake the user an administrator
        #[arg(long, value_name = "BOOL")]
        admin: Option<bool>,
        /// Read a new password from the first line of standard input; ends all log-ins
        #[arg(long)]
        password_stdin: bool,
    },
    /// Remove a user with all files
    Remove {
        /// User name or e-mail address
        name: String,
        /// Say what would be removed, remove nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum AppPasswordVerb {
    /// Make an app password; it is printed once
    Add {
        /// User name or e-mail address
        user: String,
        /// What it is for, e.g. "laptop"
        #[arg(long, value_name = "TEXT")]
        label: String,
        /// Only this folder can be reached, e.g. /Photos
        #[arg(long, value_name = "PATH")]
        path: Option<String>,
        /// Only reading is allowed
        #[arg(long)]
        read_only: bool,
        /// Ends after this time, e.g. 90d
        #[arg(long, value_name = "AGE")]
        expires_in: Option<crate::config::age::Age>,
    },
    /// List the app passwords of a user (never the passwords themselves)
    List {
        /// User name or e-mail address
        user: String,
    },
    /// End an app password; the next request with it is refused
    Revoke {
        /// User name or e-mail address
        user: String,
        /// Its id, from `app-password list`
        id: String,
        /// Say what would be ended, end nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigVerb {
    /// Read and check the configuration; names the wrong key
    Check,
    /// Print the configuration in force, secrets masked
    Show,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from([&["cofferd"], words].concat())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_the_default_and_takes_its_flags_at_the_top() {
        let cli = parse(&["--data", "d", "--listen", "[::1]:1", "--capacity", "2GiB"]).unwrap();
        assert!(cli.noun.is_none());
        assert_eq!(cli.serve.listen, ["[::1]:1"]);
        assert_eq!(cli.serve.capacity, Some(ByteSize(2 << 30)));
    }

    #[test]
    fn serve_may_be_said_and_common_flags_may_follow_it() {
        let cli = parse(&["--http1-only", "serve", "--data", "d", "--listen", "a:1"]).unwrap();
        let Some(Noun::Serve(flags)) = cli.noun else {
            panic!("not serve")
        };
        let flags = flags.or(cli.serve);
        assert!(flags.http1_only);
        assert_eq!(flags.listen, ["a:1"]);
        assert_eq!(cli.common.data, Some(PathBuf::from("d")));
    }

    #[test]
    fn user_add_wants_its_password_from_standard_input() {
        assert!(parse(&["user", "add", "eve", "--email", "e@x"]).is_err());
        let words = [
            "user",
            "add",
            "eve",
            "--email",
            "e@x",
            "--quota",
            "50GB",
            "--password-stdin",
        ];
        let cli = parse(&words).unwrap();
        let Some(Noun::User(UserVerb::Add { quota, .. })) = cli.noun else {
            panic!("not add")
        };
        assert_eq!(quota, Some(ByteSize(50_000_000_000)));
    }

    #[test]
    fn user_set_without_a_change_is_wrong_usage() {
        assert!(parse(&["user", "set", "eve"]).is_err());
        assert!(parse(&["user", "set", "eve", "--admin", "true"]).is_ok());
    }
}
