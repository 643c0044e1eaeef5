//! Commands on single files, straight on the server.

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use coffer::remote::{Entry, Remote, parse_url};
use serde_json::json;

use super::printable;
use crate::cli::Files;

/// Does one of them.
pub async fn run(remote: &Remote, command: Files) -> anyhow::Result<()> {
    match command {
        Files::Ls { url, json } => list(remote, &url, json).await,
        Files::Get { url, file } => get(remote, &url, &file).await,
        Files::Put { file, url } => {
            let sent = remote.put(&file, &parse_url(&url)?).await;
            sent.with_context(|| format!("uploading {}", file.display()))
                .map(drop)
        }
        Files::Rm { urls } => {
            for url in urls {
                remote.delete(&parse_url(&url)?).await?;
            }
            Ok(())
        }
        Files::Mkdir { urls } => {
            for url in urls {
                remote.make_folder(&parse_url(&url)?).await?;
            }
            Ok(())
        }
        Files::Mv {
            from,
            to,
            no_clobber,
        } => Ok(remote
            .rename(&parse_url(&from)?, &parse_url(&to)?, !no_clobber)
            .await?),
        Files::Cp {
            from,
            to,
            no_clobber,
        } => Ok(remote
            .copy(&parse_url(&from)?, &parse_url(&to)?, !no_clobber)
            .await?),
    }
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
