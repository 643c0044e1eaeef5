//! The log: one line for each event, to standard error or to a file that is reopened on SIGHUP.
//!
//! Lines are gathered in memory and written by a thread of their own, so that a slow disk or a
//! stuck pipe never holds up a request; when it is stuck for long, lines are dropped and counted.
//! Control characters are escaped here, in one place: no text of a client can forge a line or
//! reach a terminal.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::log::{Format, Log};

/// Bytes of unwritten lines beyond which new ones are dropped.
const MOST_WAITING_BYTES: usize = 8 << 20;
/// How long the writer rests after a write, so that many lines share the next one.
const REST: Duration = Duration::from_millis(5);

/// The running log; what is gathered is written when it is dropped.
pub struct Telemetry {
    lines: Arc<Lines>,
    writer: Option<JoinHandle<()>>,
}

/// Reopens the log file of a running [`Telemetry`].
#[derive(Clone)]
pub struct Reopener(Arc<Lines>);

struct Lines {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
    reopen: bool,
    ending: bool,
}

impl Telemetry {
    /// Starts the log. Starts a thread, so not before going to the background.
    pub fn start(log: &Log) -> anyhow::Result<Self> {
        let target = match &log.file {
            Some(path) => Target::File {
                file: open(path)?,
                path: path.clone(),
            },
            None => Target::Standard,
        };
        let lines = Arc::new(Lines {
            waiting: Mutex::default(),
            changed: Condvar::new(),
        });
        let shared = Arc::clone(&lines);
        let writer = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_lines(&shared, target))
            .context("the log's thread cannot be started")?;
        let filter = EnvFilter::try_new(&log.filter).context("log.filter")?;
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(false)
            .with_writer(Sink(Arc::clone(&lines)));
        let installed = match log.format {
            Format::Text => builder.try_init(),
            Format::Json => builder
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .try_init(),
        };
        installed.map_err(|error| anyhow::anyhow!("the log is running already: {error}"))?;
        Ok(Self {
            lines,
            writer: Some(writer),
        })
    }

    pub fn reopener(&self) -> Reopener {
        Reopener(Arc::clone(&self.lines))
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.lines.change(|waiting| waiting.ending = true);
        if let Some(writer) = self.writer.take() {
            // A panic there has been reported by itself.
            let _ = writer.join();
        }
    }
}

impl Reopener {
    /// Makes the next line go to a newly opened file of the same name.
    pub fn reopen(&self) {
        self.0.change(|waiting| waiting.reopen = true);
    }
}

impl Lines {
    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    fn push(&self, line: &[u8]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.bytes.len() + line.len() > MOST_WAITING_BYTES {
            waiting.dropped += 1;
            return;
        }
        let first = waiting.bytes.is_empty();
        escape(line, &mut waiting.bytes);
        drop(waiting);
        if first {
            self.changed.notify_one();
        }
    }
}

/// Appends one event, its only line break at the end.
fn escape(line: &[u8], to: &mut Vec<u8>) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    if line.iter().any(u8::is_ascii_control) {
        for byte in line {
            if byte.is_ascii_control() {
                to.extend(byte.escape_ascii());
            } else {
                to.push(*byte);
            }
        }
    } else {
        to.extend_from_slice(line);
    }
    to.push(b'\n');
}

enum Target {
    Standard,
    File { file: File, path: PathBuf },
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::options()
        .create(true)
        .append(true)
        .mode(0o640)
        .open(path)
        .with_context(|| {
            format!(
                "cannot open the log file {}; give another as log.file",
                path.display()
            )
        })
}

fn write_lines(lines: &Lines, mut target: Target) {
    loop {
        let mut waiting = lines.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while waiting.bytes.is_empty() && !waiting.reopen && !waiting.ending {
            waiting = lines
                .changed
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let Waiting {
            mut bytes,
            dropped,
            reopen,
            ending,
        } = std::mem::take(&mut *waiting);
        drop(waiting);
        if dropped > 0 {
            bytes.extend_from_slice(format!("{dropped} log lines were lost here\n").as_bytes());
        }
        if reopen && let Target::File { file, path } = &mut target {
            // Nothing better can be done than to keep the old file.
            if let Ok(new) = open(path) {
                *file = new;
            }
        }
        // A log that cannot be written cannot be reported either.
        let _: io::Result<()> = match &mut target {
            Target::Standard => io::stderr().write_all(&bytes),
            Target::File { file, .. } => file.write_all(&bytes),
        };
        if ending {
            return;
        }
        std::thread::sleep(REST);
    }
}

/// Where tracing writes its events; each comes as one write.
struct Sink(Arc<Lines>);

struct LineWriter<'a>(&'a Lines);

impl<'a> MakeWriter<'a> for Sink {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(&self.0)
    }
}

impl Write for LineWriter<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.push(event);
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stays_one_line_whatever_a_client_sends() {
        let mut line = Vec::new();
        escape(b"agent=a\r\nERROR forged \x1b[2J\n", &mut line);
        assert_eq!(line, b"agent=a\\r\\nERROR forged \\x1b[2J\n");
        let umlauts = "ä\u{2028}\n".as_bytes();
        let mut line = Vec::new();
        escape(umlauts, &mut line);
        assert_eq!(line, umlauts);
    }

    #[test]
    fn a_reopened_file_gets_the_lines_that_follow() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
        let lines = Arc::new(Lines {
            waiting: Mutex::default(),
            changed: Condvar::new(),
        });
        let target = Target::File {
            file: open(&path).unwrap(),
            path: path.clone(),
        };
        let shared = Arc::clone(&lines);
        let writer = std::thread::spawn(move || write_lines(&shared, target));
        std::fs::rename(&path, &old).unwrap();
        lines.change(|waiting| waiting.reopen = true);
        while !path.exists() {
            std::thread::yield_now();
        }
        lines.push(b"after\n");
        lines.change(|waiting| waiting.ending = true);
        writer.join().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "after\n");
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "");
    }
}
