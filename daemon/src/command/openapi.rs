//! `cofferd openapi`: the document that a daemon of this version serves; needs no configuration.

use std::io::{self, Write};
use std::process::ExitCode;

pub fn run() -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &crate::endpoint::document())?;
    writeln!(out)?;
    Ok(ExitCode::SUCCESS)
}
