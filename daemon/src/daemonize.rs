//! Going to the background, with word to the terminal of how it went.
//!
//! The only place that uses the daemonize crate (unmaintained, RUSTSEC-2025-0069). It forks, so it
//! must run before any thread exists. Its own change of user is not used, since it keeps root's
//! supplementary groups; neither is its pid file, which it never removes.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::process::ExitCode;

use anyhow::anyhow;
use daemonize::{Daemonize, Outcome};

/// Which of the two processes goes on.
pub enum Side {
    /// The one at the terminal; all it has left is to end with this status.
    Terminal(ExitCode),
    /// The one in the background.
    Background(Ready),
}

/// Tells the process at the terminal how the start went.
pub struct Ready(Option<PipeWriter>);

/// What is sent once the daemon serves; anything else is its error.
const READY: &str = "ready";

impl Ready {
    /// For a process that stays in the foreground: there is nobody to tell.
    pub fn nobody() -> Self {
        Self(None)
    }

    /// The daemon serves.
    pub fn ready(&mut self) {
        self.send(READY);
    }

    /// The daemon ends with this sentence; true when somebody was told.
    pub fn failed(&mut self, sentence: &str) -> bool {
        self.send(sentence)
    }

    fn send(&mut self, text: &str) -> bool {
        // If the terminal is gone, so is the need to tell it.
        self.0
            .take()
            .is_some_and(|mut pipe| pipe.write_all(text.as_bytes()).is_ok())
    }
}

/// Forks. The process at the terminal waits here until the one in the background is ready or has
/// failed.
pub fn to_background() -> anyhow::Result<Side> {
    let (reader, writer) = io::pipe()?;
    // The working folder becomes `/`; the configuration's paths are absolute by now.
    match Daemonize::new().umask(0o077).execute() {
        Outcome::Parent(Err(error)) => Err(anyhow!("cannot go to the background: {error}")),
        Outcome::Parent(Ok(_)) => {
            drop(writer);
            Ok(Side::Terminal(wait(reader)))
        }
        Outcome::Child(outcome) => {
            drop(reader);
            let mut ready = Ready(Some(writer));
            if let Err(error) = outcome {
                ready.failed(&format!("cannot go to the background: {error}"));
                return Ok(Side::Terminal(ExitCode::FAILURE));
            }
            Ok(Side::Background(ready))
        }
    }
}

fn wait(mut reader: PipeReader) -> ExitCode {
    let mut text = String::new();
    let read = reader.read_to_string(&mut text);
    match (read, text.as_str()) {
        (Ok(_), READY) => ExitCode::SUCCESS,
        (Ok(_), "") | (Err(_), _) => {
            eprintln!("cofferd: the daemon ended before it was ready; see its log file");
            ExitCode::FAILURE
        }
        (Ok(_), sentence) => {
            eprintln!("cofferd: {sentence}");
            ExitCode::FAILURE
        }
    }
}
