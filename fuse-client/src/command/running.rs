//! Finding the mounts that run.

use std::path::{Path, PathBuf};

use anyhow::Context;
use coffer::control::registry::{self, Record};
use coffer::kernel::point;

/// The mount at or around a path, with the path below it.
pub fn around(path: &Path) -> anyhow::Result<(Record, PathBuf)> {
    let whole = point::resolve(path).with_context(|| path.display().to_string())?;
    let mut records = registry::all();
    // The innermost, and of those that were mounted here one after the other the last.
    records.sort_by_key(|record| (record.directory.as_os_str().len(), record.pid));
    let found = records.into_iter().rev().find_map(|record| {
        let below = whole.strip_prefix(&record.directory).ok()?.to_owned();
        Some((record, below))
    });
    found.with_context(|| {
        format!(
            "{} is in no mounted drive of yours; `coffer status` lists them",
            path.display()
        )
    })
}

/// That mount, or all of them.
pub fn chosen(directory: Option<&Path>) -> anyhow::Result<Vec<Record>> {
    match directory {
        Some(directory) => Ok(vec![around(directory)?.0]),
        None => Ok(registry::all()),
    }
}
