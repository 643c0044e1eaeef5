//! `coffer unmount`.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use coffer::control::registry::{self, Record};
use coffer::control::{self, AskError, Request};
use coffer::kernel::{self, point};
use indicatif::HumanBytes;

use super::sync;

/// Unmounts the drive at a folder.
pub fn run(directory: &Path, flush: bool, lazy: bool) -> anyhow::Result<()> {
    let place = point::resolve(directory).with_context(|| directory.display().to_string())?;
    let point = point::at(&place)?.with_context(|| {
        format!(
            "{}: nothing is mounted there; `coffer status` lists what is",
            place.display()
        )
    })?;
    if point.kind != point::KIND {
        bail!(
            "{}: this is no drive of coffer but {} ({})",
            place.display(),
            point.source.to_string_lossy(),
            point.kind
        );
    }
    if point::is_dead(&place) {
        return take_away(&place);
    }
    let records = registry::all().into_iter();
    // Of those left over by mounts that were here before, the last is the one that runs.
    let record = records.rev().find(|record| {
        record.directory == place && Path::new("/proc").join(record.pid.to_string()).exists()
    });
    let Some(record) = record else {
        return without_word(&place, flush, lazy);
    };
    if flush {
        sync::flush(&record).context(
            "not unmounted, since not everything is on the server; without --flush it is, and what \
             is left is sent when the drive is mounted again",
        )?;
    }
    stop(&record, lazy)
}

fn stop(record: &Record, lazy: bool) -> anyhow::Result<()> {
    let place = record.directory.display();
    match control::ask(&record.cache, &Request::Stop { lazy }, |_| {}) {
        Ok(report) => {
            let status = report.status;
            let left = status.pending_names.max(status.pending_files);
            if left > 0 {
                eprintln!(
                    "coffer: {left} changes ({}) are not on the server yet. They are kept in {} and \
                     sent when the drive is mounted again; `coffer unmount --flush` waits for them",
                    HumanBytes(status.pending_bytes),
                    record.cache.display()
                );
            }
            Ok(())
        }
        Err(AskError::Failed { busy: true, .. }) => Err(busy(&record.directory)),
        Err(AskError::NotRunning) => without_word(&record.directory, false, lazy),
        Err(error) => Err(anyhow!(error).context(place.to_string())),
    }
}

/// One whose program cannot be asked: it hears of its end by the kernel.
fn without_word(place: &Path, flush: bool, lazy: bool) -> anyhow::Result<()> {
    if flush {
        bail!(
            "{}: the mount is another user's or does not answer, so that it cannot be told to send \
             what is left; do this as that user",
            place.display()
        );
    }
    kernel::unmount(place, lazy).map_err(|error| {
        if error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) {
            return busy(place);
        }
        anyhow!(error).context(place.display().to_string())
    })
}

fn take_away(place: &Path) -> anyhow::Result<()> {
    point::unmount(place, true).with_context(|| place.display().to_string())?;
    for record in registry::all() {
        if record.directory == place {
            registry::forget(&record);
        }
    }
    eprintln!(
        "coffer: {}: the program of this mount had ended already. What it had not sent is in its \
         cache, and is sent when the drive is mounted again",
        place.display()
    );
    Ok(())
}

fn busy(place: &Path) -> anyhow::Error {
    anyhow!(
        "{0}: programs use it (`fuser -vm {0}` lists them): close them, or use --lazy",
        place.display()
    )
}
