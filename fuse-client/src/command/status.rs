//! `coffer status`.

use std::io::{self, Write};
use std::path::Path;

use anyhow::bail;
use coffer::control::registry::{self, Record};
use coffer::control::{self, AskError, Report, Request};
use coffer::kernel::point;
use indicatif::HumanBytes;
use serde_json::json;

use super::{printable, running};

/// Shows one mount, or all.
pub fn run(as_json: bool, directory: Option<&Path>) -> anyhow::Result<()> {
    let records = running::chosen(directory)?;
    let mut out = io::stdout().lock();
    if records.is_empty() && !as_json {
        writeln!(out, "No drive is mounted.")?;
    }
    let mut dead = 0;
    for record in &records {
        match control::ask(&record.cache, &Request::Status, |_| {}) {
            // The cache may have another mount by now.
            Ok(report) if report.about.pid == record.pid => {
                if as_json {
                    writeln!(out, "{}", serde_json::to_string(&report)?)?;
                } else {
                    show(&mut out, &report)?;
                }
            }
            Ok(_) | Err(AskError::NotRunning) => {
                dead += u32::from(ended(&mut out, record, as_json)?);
            }
            Err(error) => {
                eprintln!("coffer: {}: {error}", record.directory.display());
                dead += 1;
            }
        }
    }
    if dead > 0 {
        bail!("the programs of {dead} of the mounts do not answer");
    }
    Ok(())
}

/// True when something is left of it that somebody has to take away.
fn ended(out: &mut impl Write, record: &Record, as_json: bool) -> anyhow::Result<bool> {
    let point = point::at(&record.directory)?;
    let left =
        point.is_some_and(|point| point.kind == point::KIND) && point::is_dead(&record.directory);
    if !left {
        registry::forget(record);
        return Ok(false);
    }
    if as_json {
        let dead = json!({
            "url": record.url,
            "directory": record.directory,
            "cache": record.cache,
            "running": false,
        });
        writeln!(out, "{dead}")?;
    } else {
        let directory = record.directory.display();
        writeln!(out, "{directory}  {}", printable(&record.url))?;
        writeln!(
            out,
            "  its program has ended; mount it again (`coffer mount`), or take away what is left \
             (`coffer unmount {directory}`)"
        )?;
    }
    Ok(true)
}

fn show(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let (about, status) = (&report.about, &report.status);
    writeln!(
        out,
        "{}  {}",
        about.directory.display(),
        printable(&about.url)
    )?;
    let connection = match (status.online, status.notices) {
        (true, true) => "online; changes made elsewhere appear at once",
        (true, false) => "online; looks for changes made elsewhere from time to time",
        (false, _) => "offline; what is in the cache can be used, and changes are kept for later",
    };
    writeln!(out, "  {connection}")?;
    let changes = status.pending_names.max(status.pending_files);
    if changes == 0 {
        writeln!(out, "  everything is on the server")?;
    } else {
        let bytes = HumanBytes(status.pending_bytes);
        writeln!(out, "  to send: {changes} changes, {bytes}")?;
    }
    for upload in &status.uploading {
        let (sent, size) = (HumanBytes(upload.sent_bytes), HumanBytes(upload.size_bytes));
        writeln!(
            out,
            "  sending {} ({sent} of {size})",
            printable(&upload.path)
        )?;
    }
    for item in &status.blocked {
        writeln!(
            out,
            "  blocked: {}: {}",
            printable(&item.path),
            printable(&item.reason)
        )?;
    }
    for path in &status.conflicts {
        writeln!(out, "  conflict: {}", printable(path))?;
    }
    if let Some(error) = &status.last_error {
        writeln!(out, "  last error: {}", printable(error))?;
    }
    writeln!(
        out,
        "  cache: {} of {} in {}",
        HumanBytes(status.cache_bytes),
        HumanBytes(status.cache_max_bytes),
        about.cache.display()
    )
}
