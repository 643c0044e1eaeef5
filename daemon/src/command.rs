//! What the command line can do to the data, whether a daemon runs or not.
//!
//! A verb becomes a [`Command`]. While a daemon runs it executes the command (see
//! [`crate::control`]); else the data is opened here. Both ways end in [`execute`].

use std::fmt;
use std::io::{self, BufRead};
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use store::Store;
use zeroize::Zeroizing;

use crate::cli::{Cli, Noun, ServeFlags};
use crate::config::{Config, Variables};
use crate::control;
use crate::data::DataLock;
use crate::open::open_store;

mod account;
mod app_password;
mod config;
mod openapi;
mod reply;
pub mod serve;
mod user;

pub use self::reply::{CheckReport, Removal, Reply, SweepReport};

/// Something to do to the data.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    UserAdd {
        name: String,
        email: Option<String>,
        quota_bytes: Option<u64>,
        admin: bool,
        password: Password,
    },
    UserList,
    UserShow {
        name: String,
    },
    UserSet {
        name: String,
        change: UserChange,
    },
    UserRemove {
        name: String,
        dry_run: bool,
    },
    AppPasswordAdd {
        user: String,
        label: String,
        path: Option<String>,
        read_only: bool,
        expires_in_ms: Option<u64>,
    },
    AppPasswordList {
        user: String,
    },
    AppPasswordRevoke {
        user: String,
        id: String,
        dry_run: bool,
    },
    Sweep {
        dry_run: bool,
    },
    Check {
        contents: bool,
    },
}

/// What of a user changes; absent stays.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    pub name: Option<String>,
    pub email: Option<String>,
    pub quota_bytes: Option<u64>,
    pub admin: Option<bool>,
    pub password: Option<Password>,
}

/// A password on its way to be hashed; never shown.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    pub fn new(password: String) -> Self {
        Self(Zeroizing::new(password))
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

impl Serialize for Password {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl Command {
    /// Its words, for the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::UserAdd { .. } => "user add",
            Self::UserList => "user list",
            Self::UserShow { .. } => "user show",
            Self::UserSet { .. } => "user set",
            Self::UserRemove { .. } => "user remove",
            Self::AppPasswordAdd { .. } => "app-password add",
            Self::AppPasswordList { .. } => "app-password list",
            Self::AppPasswordRevoke { .. } => "app-password revoke",
            Self::Sweep { .. } => "sweep",
            Self::Check { .. } => "check",
        }
    }
}

/// Executes a command on the open store.
///
/// # Errors
/// One sentence for people.
pub async fn execute(store: &Store, command: Command) -> anyhow::Result<Reply> {
    match command {
        Command::Sweep { dry_run } => {
            let swept = store.sweep(dry_run).await?;
            Ok(Reply::Sweep(SweepReport {
                blobs: swept.blobs,
                bytes: swept.size_bytes,
                dry_run,
            }))
        }
        Command::Check { contents } => {
            let checked = store.check(contents, |_| ()).await?;
            Ok(Reply::Check(CheckReport {
                blobs: checked.blobs,
                problems: checked.faults,
            }))
        }
        Command::UserAdd {
            name,
            email,
            quota_bytes,
            admin,
            password,
        } => account::add(store, name, email, quota_bytes, admin, &password).await,
        Command::UserList => account::list(store).await,
        Command::UserShow { name } => account::show(store, &name).await,
        Command::UserSet { name, change } => account::set(store, &name, change).await,
        Command::UserRemove { name, dry_run } => account::remove(store, &name, dry_run).await,
        Command::AppPasswordAdd {
            user,
            label,
            path,
            read_only,
            expires_in_ms,
        } => account::add_app_password(store, &user, label, path, read_only, expires_in_ms).await,
        Command::AppPasswordList { user } => account::list_app_passwords(store, &user).await,
        Command::AppPasswordRevoke { user, id, dry_run } => {
            account::revoke_app_password(store, &user, &id, dry_run).await
        }
    }
}

/// Wrong usage or configuration.
const USAGE: u8 = 2;

/// Does what the command line says.
pub fn run(cli: Cli) -> ExitCode {
    let (noun, flags) = match cli.noun {
        None => (None, cli.serve),
        Some(Noun::Serve(flags)) => (None, flags.or(cli.serve)),
        Some(noun) if cli.serve == ServeFlags::default() => (Some(noun), cli.serve),
        Some(_) => {
            eprintln!("cofferd: the flags of `serve` do not go with another command");
            return ExitCode::from(USAGE);
        }
    };
    if let Some(Noun::Openapi) = noun {
        return finish(openapi::run());
    }
    let loaded =
        Variables::read().and_then(|variables| Config::load(&variables, &cli.common, &flags));
    let config = match loaded {
        Ok(config) => config,
        Err(error) => {
            eprintln!("cofferd: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let Some(noun) = noun else {
        return serve::run(config, flags.daemon);
    };
    if let Noun::Config(verb) = noun {
        return finish(config::run(verb, &config, cli.common.json));
    }
    let done = command(noun).and_then(|command| {
        let reply = dispatch(&config, command)?;
        reply.print(cli.common.json)?;
        Ok(reply.exit_code())
    });
    finish(done)
}

fn finish(done: anyhow::Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        eprintln!("cofferd: {error:#}");
        ExitCode::FAILURE
    })
}

fn command(noun: Noun) -> anyhow::Result<Command> {
    match noun {
        Noun::User(verb) => user::command(verb),
        Noun::AppPassword(verb) => Ok(app_password::command(verb)),
        Noun::Sweep { dry_run } => Ok(Command::Sweep { dry_run }),
        Noun::Check { contents } => Ok(Command::Check { contents }),
        Noun::Serve(_) | Noun::Config(_) | Noun::Openapi => {
            unreachable!("`run` has dealt with these")
        }
    }
}

/// Through the running daemon, or on the data itself.
fn dispatch(config: &Config, command: Command) -> anyhow::Result<Reply> {
    let Some(_lock) = DataLock::try_take(&config.data)? else {
        return control::ask(&config.data, &command);
    };
    crate::process::keep_files_private();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = open_store(config).await?;
        let done = execute(&store, command).await;
        store.close().await;
        done
    })
}

/// The first line of standard input, without its line break.
fn password_from_stdin() -> anyhow::Result<Password> {
    let mut line = Zeroizing::new(String::new());
    io::stdin()
        .lock()
        .read_line(&mut line)
        .context("the password cannot be read")?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!("standard input holds no password; write it there, as its first line");
    }
    Ok(Password::new(password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_survive_the_socket_and_hide_their_password() {
        let command = Command::UserAdd {
            name: "eve".into(),
            email: None,
            quota_bytes: Some(1),
            admin: false,
            password: Password::new("hush".into()),
        };
        assert!(!format!("{command:?}").contains("hush"));
        let json = serde_json::to_string(&command).unwrap();
        let Command::UserAdd { password, .. } = serde_json::from_str(&json).unwrap() else {
            panic!("{json}")
        };
        assert_eq!(password.reveal(), "hush");
    }
}
