//! Going to the background, with word to the terminal of how the start went.
//!
//! The only place that uses the daemonize crate (unmaintained, RUSTSEC-2025-0069), which the daemon
//! uses too. It forks, so that it must run before there is any thread.

use std::fs::File;
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

/// Tells whoever waits how the start went.
pub struct Ready(Option<PipeWriter>);

/// Sent once it is mounted; anything else is why not.
const READY: &str = "ready";

impl Ready {
    /// In the foreground nobody waits.
    pub fn nobody() -> Self {
        Self(None)
    }

    /// It is mounted.
    pub fn ready(&mut self) {
        self.send(READY);
    }

    /// It is not, and this is why. True when somebody was told.
    pub fn failed(&mut self, sentence: &str) -> bool {
        self.send(sentence)
    }

    fn send(&mut self, text: &str) -> bool {
        // Whoever has gone away need not be told.
        let pipe = self.0.take();
        pipe.is_some_and(|mut pipe| pipe.write_all(text.as_bytes()).is_ok())
    }
}

/// Forks. The process at the terminal stays here until the other is ready or has failed; what that
/// one has to say later goes to `log`. Its working folder is `/`.
pub fn fork(log: File) -> anyhow::Result<Side> {
    let (reader, writer) = io::pipe()?;
    match Daemonize::new().umask(0o077).stderr(log).execute() {
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
    let sentence = match reader.read_to_string(&mut text) {
        Ok(_) if text == READY => return ExitCode::SUCCESS,
        Ok(_) if !text.is_empty() => text.as_str(),
        _ => {
            "the mount ended before it was ready; coffer.log in the folder of its cache may say why"
        }
    };
    eprintln!("coffer: {sentence}");
    ExitCode::FAILURE
}
