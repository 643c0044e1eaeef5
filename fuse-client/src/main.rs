//! `coffer`: a drive on the command line.

#![forbid(unsafe_code)]

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use coffer::remote::{Entry, Login, Remote, parse_url};
use serde_json::json;

use crate::cli::{Access, Cli, Command};

mod cli;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("coffer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("no other provider is installed before this");
    let remote = connect(&cli.access)?;
    match cli.command {
        Command::Ls { url, json } => list(&remote, &url, json).await,
        Command::Get { url, file } => get(&remote, &url, &file).await,
        Command::Put { file, url } => {
            let sent = remote.put(&file, &parse_url(&url)?).await;
            sent.with_context(|| format!("uploading {}", file.display()))
                .map(drop)
        }
        Command::Rm { urls } => {
            for url in urls {
                remote.delete(&parse_url(&url)?).await?;
            }
            Ok(())
        }
        Command::Mkdir { urls } => {
            for url in urls {
                remote.make_folder(&parse_url(&url)?).await?;
            }
            Ok(())
        }
        Command::Mv {
            from,
            to,
            no_clobber,
        } => Ok(remote
            .rename(&parse_url(&from)?, &parse_url(&to)?, !no_clobber)
            .await?),
        Command::Cp {
            from,
            to,
            no_clobber,
        } => Ok(remote
            .copy(&parse_url(&from)?, &parse_url(&to)?, !no_clobber)
            .await?),
    }
}

fn connect(access: &Access) -> anyhow::Result<Remote> {
    let read = |file: &Path| std::fs::read(file).with_context(|| format!("{}", file.display()));
    let login = match (&access.user, &access.password_file) {
        (Some(user), Some(file)) => {
            let text = String::from_utf8(read(file)?).context("the password is not UTF-8")?;
            Some(Login {
                user: user.clone(),
                password: text.lines().next().unwrap_or_default().to_owned(),
            })
        }
        _ => None,
    };
    let ca_pem = access.ca_file.as_deref().map(read).transpose()?;
    Ok(Remote::new(login, ca_pem.as_deref())?)
}

async fn list(remote: &Remote, url: &str, as_json: bool) -> anyhow::Result<()> {
    let url = parse_url(url)?;
    let itself = remote.stat(&url).await?;
    let entries = if itself.is_folder {
        remote.list(&url).await?
    } else {
        vec![itself]
    };
    let mut out = std::io::stdout().lock();
    for entry in entries {
        if as_json {
            writeln!(out, "{}", describe(&entry))?;
        } else {
            let slash = if entry.is_folder { "/" } else { "" };
            writeln!(
                out,
                "{:>14}  {}{slash}",
                entry.size_bytes,
                printable(&entry.name)
            )?;
        }
    }
    Ok(())
}

/// A name must not be able to command the terminal it is printed on.
fn printable(name: &str) -> String {
    let safe = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    name.chars().map(safe).collect()
}

fn describe(entry: &Entry) -> serde_json::Value {
    json!({
        "name": entry.name,
        "is_folder": entry.is_folder,
        "size_bytes": entry.size_bytes,
        "etag": entry.etag,
        "last_modified": entry.last_modified,
    })
}

async fn get(remote: &Remote, url: &str, file: &Path) -> anyhow::Result<()> {
    let url = parse_url(url)?;
    if file == Path::new("-") {
        remote.get(&url, &mut tokio::io::stdout()).await?;
        return Ok(());
    }
    // Until all of it is there the old file stays, and a broken download leaves nothing.
    file.file_name().context("no file name to download to")?;
    // A name that nobody has, lest a file of the user's or of another download be written over.
    let random = RandomState::new().hash_one(file);
    let part = file.with_file_name(format!(".coffer-{random:016x}.part"));
    let mut local = tokio::fs::File::create_new(&part)
        .await
        .context("the local file")?;
    let got = remote.get(&url, &mut local).await;
    let done = match got {
        Ok(_) => local.sync_all().await.map_err(Into::into),
        Err(error) => Err(error),
    };
    if let Err(error) = done {
        let _ = tokio::fs::remove_file(&part).await;
        return Err(error).with_context(|| format!("downloading {}", file.display()));
    }
    tokio::fs::rename(&part, file)
        .await
        .context("the local file")
}
