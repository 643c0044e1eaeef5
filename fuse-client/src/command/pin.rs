//! `coffer pin` and `coffer unpin`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use coffer::control::{self, Request};

use super::running;

/// Keeps what is at the paths in the cache, or does not any longer.
pub fn run(paths: &[PathBuf], pinned: bool) -> anyhow::Result<()> {
    paths.iter().try_for_each(|path| one(path, pinned))
}

fn one(path: &Path, pinned: bool) -> anyhow::Result<()> {
    let (record, below) = running::around(path)?;
    let below = below
        .to_str()
        .context("a name that is not UTF-8 cannot be on a server")?;
    let request = Request::Pin {
        path: format!("/{below}"),
        pinned,
    };
    control::ask(&record.cache, &request, |_| {})
        .map(drop)
        .with_context(|| path.display().to_string())
}
