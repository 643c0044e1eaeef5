//! `coffer sync`: everything to the server, now.

use std::path::Path;

use anyhow::{anyhow, bail};
use coffer::control::registry::Record;
use coffer::control::{self, AskError, Report, Request};

use super::progress::Progress;
use super::{printable, running};

/// Names that are listed before the rest is only counted.
const MOST_LISTED: usize = 20;

/// Sends everything of one mount, or of all.
pub fn run(directory: Option<&Path>) -> anyhow::Result<()> {
    let records = running::chosen(directory)?;
    if records.is_empty() {
        bail!("no drive is mounted");
    }
    let mut failed = false;
    for record in &records {
        if let Err(error) = flush(record) {
            eprintln!("coffer: {}: {error:#}", record.directory.display());
            failed = true;
        }
    }
    if failed {
        bail!("not everything is on the server; nothing is lost, it stays in the cache");
    }
    Ok(())
}

/// Sends everything of a mount, and shows how far it is.
pub fn flush(record: &Record) -> anyhow::Result<()> {
    let mut progress = Progress::new();
    let outcome = control::ask(&record.cache, &Request::Flush, |report| {
        progress.show(report);
    });
    progress.end();
    match outcome {
        Ok(_) => Ok(()),
        Err(AskError::Failed {
            reason,
            report: Some(report),
            ..
        }) => {
            list_blocked(&report);
            Err(anyhow!(reason))
        }
        Err(error) => Err(error.into()),
    }
}

fn list_blocked(report: &Report) {
    let blocked = &report.status.blocked;
    for item in blocked.iter().take(MOST_LISTED) {
        eprintln!("  {}: {}", printable(&item.path), printable(&item.reason));
    }
    if blocked.len() > MOST_LISTED {
        eprintln!("  and {} more", blocked.len() - MOST_LISTED);
    }
    if let Some(error) = &report.status.last_error {
        eprintln!("  {}", printable(error));
    }
}
