//! What each command does.

mod doctor;
mod files;
mod login;
mod mount;
mod pin;
mod progress;
mod running;
mod status;
mod sync;
mod target;
mod unmount;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Command, Helper};

/// Runs the command line.
///
/// Mounting forks, so that nothing before it may start a thread; the others make a runtime of their
/// own when they need one.
pub fn run() -> ExitCode {
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("no other provider is installed before this");
    if is_helper() {
        return mount::as_helper(Helper::parse());
    }
    let Cli { command, access } = Cli::parse();
    let done = match command {
        Command::Mount(args) => return mount::run(&access, *args),
        Command::Login { url, name } => login::run(&access, &url, name),
        Command::Logout { source } => login::end(&source),
        Command::Unmount {
            flush,
            lazy,
            directory,
        } => unmount::run(&directory, flush, lazy),
        Command::Status { json, directory } => status::run(json, directory.as_deref()),
        Command::Sync { directory } => sync::run(directory.as_deref()),
        Command::Pin { paths } => pin::run(&paths, true),
        Command::Unpin { paths } => pin::run(&paths, false),
        Command::Doctor { source, cache } => {
            return doctor::run(&access, source.as_deref(), cache.as_deref());
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "coffer", &mut std::io::stdout());
            Ok(())
        }
        Command::Files(files) => {
            target::remote(&access).and_then(|remote| block_on(files::run(&remote, files)))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("coffer: {error:#}");
    ExitCode::FAILURE
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(work)
}

/// Whether mount(8) called us by the name it has for types of file systems.
fn is_helper() -> bool {
    let called = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&called).file_name().unwrap_or_default();
    name.to_string_lossy().starts_with("mount.")
}

/// A name must not be able to command the terminal it is printed on.
fn printable(name: &str) -> String {
    let safe = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    name.chars().map(safe).collect()
}
