//! `with-postgres COMMAND…`: runs a command with one PostgreSQL for all the tests in it.

#![forbid(unsafe_code)]

use std::process::{Command, ExitCode};

use harness::{Cluster, Durability};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("usage: with-postgres COMMAND…");
        return ExitCode::from(2);
    };
    let cluster = Cluster::start(Durability::Skipped);
    let status = Command::new(&program)
        .args(arguments)
        .envs(cluster.environment())
        .status();
    drop(cluster);
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)),
        Err(error) => {
            eprintln!("cannot run {}: {error}", program.display());
            ExitCode::FAILURE
        }
    }
}
