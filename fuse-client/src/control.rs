//! The socket by which commands reach a running mount: one line of JSON asks, lines of JSON answer,
//! of which the last is the outcome.
//!
//! It lies in the folder of the cache (0700) with mode 0600; only the same user and root are
//! answered.

pub mod registry;

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader as StdBufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::drive::Drive;
use crate::fs::{Fs, Status};
use crate::kernel;

const NAME: &str = "control.sock";
/// The kernel takes paths of sockets up to 107 bytes.
const LONGEST_PATH_BYTES: usize = 100;
/// Longest question; the longest part of one is a path.
const LONGEST_QUESTION_BYTES: u64 = 64 << 10;
/// Longest answer: a status names what is blocked.
const LONGEST_ANSWER_BYTES: u64 = 64 << 20;
const MOST_CONNECTIONS: usize = 16;
/// For one line either way.
const LINE_DEADLINE: Duration = Duration::from_secs(10);
/// Between two words about a flush.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// How long a command waits for the next word, or for the end of a mount that was told to end.
const ANSWER_DEADLINE: Duration = Duration::from_mins(1);

/// What a running mount can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum Request {
    /// Its state.
    Status,
    /// Send everything that is not on the server yet, what is blocked too; progress is told.
    Flush,
    /// Keep a file or folder in the cache, or not any longer.
    Pin {
        /// Its path in the drive.
        path: String,
        /// Whether it is to be kept.
        pinned: bool,
    },
    /// Unmount and end. The connection is held until the program has ended.
    Stop {
        /// Even while programs use it.
        lazy: bool,
    },
}

/// One line of an answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// More lines follow.
    Progress(Box<Report>),
    /// It is done.
    Done(Box<Report>),
    /// It is not.
    Failed {
        /// One sentence.
        reason: String,
        /// Programs use the mount.
        busy: bool,
        /// The state, where it says more.
        report: Option<Box<Report>>,
    },
}

/// What a mount is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Of the drive.
    pub url: String,
    /// Where it is mounted.
    pub directory: PathBuf,
    /// Folder of its cache.
    pub cache: PathBuf,
    /// Process that serves it.
    pub pid: u32,
    /// Of that program.
    pub version: String,
    /// Whether the kernel reads and writes complete files by itself.
    pub passthrough: bool,
}

/// What a mount says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What it is.
    #[serde(flatten)]
    pub about: About,
    /// How it is.
    #[serde(flatten)]
    pub status: Status,
}

/// The mount's end.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Makes the socket; the caller holds the lock of the cache, so that an old one is left over.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn bind(cache: &Path) -> io::Result<Self> {
        let path = cache.join(NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (short, _open) = short_path(cache)?;
        let listener = UnixListener::bind(short)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Answers until dropped.
    pub async fn serve<D: Drive>(self, fs: Fs<D>, about: About) {
        let about = Arc::new(about);
        let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        while let Ok(place) = Arc::clone(&room).acquire_owned().await {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let mut conversation = Conversation {
                        stream: BufReader::new(stream),
                        fs: fs.clone(),
                        about: Arc::clone(&about),
                    };
                    tokio::spawn(async move {
                        let _place = place;
                        if let Err(error) = conversation.hold().await {
                            tracing::debug!(%error, "a command's connection broke");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a command cannot be taken");
                    // Out of descriptors or memory: others give some back.
                    tokio::time::sleep(PROGRESS_INTERVAL).await;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Left over it is replaced at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

struct Conversation<D: Drive> {
    stream: BufReader<UnixStream>,
    fs: Fs<D>,
    about: Arc<About>,
}

impl<D: Drive> Conversation<D> {
    async fn hold(&mut self) -> io::Result<()> {
        let uid = self.stream.get_ref().peer_cred()?.uid();
        if uid != 0 && uid != rustix::process::geteuid().as_raw() {
            return Ok(());
        }
        let mut line = Vec::new();
        let mut question = (&mut self.stream).take(LONGEST_QUESTION_BYTES);
        timeout(LINE_DEADLINE, question.read_until(b'\n', &mut line)).await??;
        match serde_json::from_slice(&line) {
            Ok(request) => self.answer(request).await,
            Err(error) => {
                let reason = format!(
                    "the running mount does not understand this command ({error}): is it of \
                     another version? It is {}",
                    self.about.version
                );
                self.failed(reason, false, None).await
            }
        }
    }

    async fn answer(&mut self, request: Request) -> io::Result<()> {
        match request {
            Request::Status => self.done().await,
            Request::Flush => self.flush().await,
            Request::Pin { path, pinned } => match self.fs.pin(&path, pinned).await {
                Ok(()) => self.done().await,
                Err(error) => {
                    let error = io::Error::from(error);
                    self.failed(error.to_string(), false, None).await
                }
            },
            Request::Stop { lazy } => self.stop(lazy).await,
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        let fs = self.fs.clone();
        let flushed = fs.flush_all();
        tokio::pin!(flushed);
        let mut tick = interval(PROGRESS_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                outcome = &mut flushed => return match outcome {
                    Ok(()) => self.done().await,
                    Err(blocked) => {
                        let report = self.report();
                        self.failed(blocked.to_string(), false, Some(report)).await
                    }
                },
                _ = tick.tick() => {
                    let report = self.report();
                    self.say(&Answer::Progress(report)).await?;
                }
            }
        }
    }

    async fn stop(&mut self, lazy: bool) -> io::Result<()> {
        // What is left is told as it was before the end.
        let report = self.report();
        let directory = self.about.directory.clone();
        let unmounted =
            tokio::task::spawn_blocking(move || kernel::unmount(&directory, lazy)).await;
        match unmounted.map_err(io::Error::other).flatten() {
            Ok(()) => {
                self.say(&Answer::Done(report)).await?;
                // Until the process ends, which closes the connection: not when the tasks do.
                std::mem::forget(rustix::io::dup(self.stream.get_ref())?);
                std::future::pending().await
            }
            Err(error) => {
                let busy = error.raw_os_error() == Some(Errno::BUSY.raw_os_error());
                self.failed(error.to_string(), busy, Some(report)).await
            }
        }
    }

    fn report(&self) -> Box<Report> {
        Box::new(Report {
            about: (*self.about).clone(),
            status: self.fs.status(),
        })
    }

    async fn done(&mut self) -> io::Result<()> {
        let report = self.report();
        self.say(&Answer::Done(report)).await
    }

    async fn failed(
        &mut self,
        reason: String,
        busy: bool,
        report: Option<Box<Report>>,
    ) -> io::Result<()> {
        self.say(&Answer::Failed {
            reason,
            busy,
            report,
        })
        .await
    }

    async fn say(&mut self, answer: &Answer) -> io::Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        timeout(LINE_DEADLINE, self.stream.get_mut().write_all(&line)).await?
    }
}

/// Why a running mount did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("the mount is not running")]
    NotRunning,
    /// It is another user's.
    #[error("the mount is another user's: do this as that user or as root")]
    Denied,
    /// It refused or failed.
    #[error("{reason}")]
    Failed {
        /// One sentence.
        reason: String,
        /// Programs use the mount.
        busy: bool,
        /// Its state, where that says more.
        report: Option<Box<Report>>,
    },
    /// The connection broke, or nothing came by it.
    #[error("the mount does not answer: {0}")]
    Io(#[from] io::Error),
}

/// Asks the mount that has this cache, and tells `progress` as it goes. After [`Request::Stop`] it
/// waits until the program has ended.
///
/// # Errors
/// [`AskError`].
pub fn ask(
    cache: &Path,
    request: &Request,
    mut progress: impl FnMut(&Report),
) -> Result<Report, AskError> {
    let connect = || StdUnixStream::connect(short_path(cache)?.0);
    let mut stream = connect().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::NotRunning,
        io::ErrorKind::PermissionDenied => AskError::Denied,
        _ => AskError::Io(error),
    })?;
    stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
    stream.set_write_timeout(Some(LINE_DEADLINE))?;
    let mut question = serde_json::to_vec(request).map_err(io::Error::from)?;
    question.push(b'\n');
    stream.write_all(&question)?;
    let mut answers = StdBufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut answers).take(LONGEST_ANSWER_BYTES);
        if bounded.read_until(b'\n', &mut line)? == 0 {
            // It was ended by something else meanwhile, or we are not to be answered.
            return Err(AskError::NotRunning);
        }
        match serde_json::from_slice(&line).map_err(io::Error::from)? {
            Answer::Progress(report) => progress(&report),
            Answer::Failed {
                reason,
                busy,
                report,
            } => {
                return Err(AskError::Failed {
                    reason,
                    busy,
                    report,
                });
            }
            Answer::Done(report) => {
                if matches!(request, Request::Stop { .. }) {
                    // Nothing but the end comes.
                    let _ = answers.read(&mut [0])?;
                }
                return Ok(*report);
            }
        }
    }
}

/// A path to the socket that is short enough, however deep the cache lies; the file keeps it valid.
fn short_path(folder: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let path = folder.join(NAME);
    if path.as_os_str().len() <= LONGEST_PATH_BYTES {
        return Ok((path, None));
    }
    let open = File::open(folder)?;
    let short = format!("/proc/self/fd/{}/{NAME}", open.as_raw_fd());
    Ok((PathBuf::from(short), Some(open)))
}
