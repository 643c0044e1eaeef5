//! `coffer`: a drive as a folder, and on the command line.

#![forbid(unsafe_code)]

use std::process::ExitCode;

mod background;
mod cli;
mod command;

fn main() -> ExitCode {
    command::run()
}
