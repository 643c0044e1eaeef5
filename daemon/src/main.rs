//! `cofferd`, the daemon: listeners, logging in, the JSON API, configuration and command line
//! around the store.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

mod banner;
mod cli;
mod command;
mod config;
mod control;
mod daemonize;
mod data;
mod endpoint;
mod jobs;
mod moment;
mod open;
mod process;
mod server;
mod telemetry;
mod zip;

fn main() -> ExitCode {
    command::run(cli::Cli::parse())
}
