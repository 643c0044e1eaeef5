//! The socket through which commands reach a running daemon, so that there is never a second
//! writer: one line of JSON asks, one line answers.
//!
//! It lies in the data folder with mode 0600, and only our own user and root are answered.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader as StdBufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::command::{Command, Reply};

const NAME: &str = "control.sock";
/// Longest question; the longest parts of one are names and a password.
const LONGEST_LINE_BYTES: u64 = 64 << 10;
/// The kernel takes paths of sockets up to 107 bytes.
const LONGEST_PATH_BYTES: usize = 100;

/// What comes back.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Done(Reply),
    /// One sentence.
    Failed(String),
}

/// A path to the socket that is short enough, however deep the data folder lies; the file keeps
/// it valid.
fn short_path(folder: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let path = folder.join(NAME);
    if path.as_os_str().len() <= LONGEST_PATH_BYTES {
        return Ok((path, None));
    }
    let open = File::open(folder)?;
    Ok((
        PathBuf::from(format!("/proc/self/fd/{}/{NAME}", open.as_raw_fd())),
        Some(open),
    ))
}

/// The daemon's end.
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Makes the socket; the caller holds the folder's lock, so an old one is left over.
    pub fn bind(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(NAME);
        let bind = || {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let (short, _open) = short_path(folder)?;
            let listener = UnixListener::bind(short)?;
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        let listener =
            bind().with_context(|| format!("cannot listen on the socket {}", path.display()))?;
        Ok(Self { listener, path })
    }

    /// Answers commands with `execute` until dropped.
    pub async fn serve<E, F>(self, execute: E)
    where
        E: Fn(Command) -> F + Send + Sync + 'static,
        F: Future<Output = anyhow::Result<Reply>> + Send,
    {
        let execute = Arc::new(execute);
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let execute = Arc::clone(&execute);
                    tokio::spawn(async move {
                        if let Err(error) = answer(stream, &*execute).await {
                            tracing::warn!(%error, "a command's connection broke");
                        }
                    });
                }
                Err(error) => {
                    // Out of descriptors or memory: others give some back.
                    tracing::error!(%error, "a command cannot be taken");
                    tokio::time::sleep(Duration::from_millis(250)).await;
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

async fn answer<E, F>(mut stream: UnixStream, execute: &E) -> io::Result<()>
where
    E: Fn(Command) -> F + Sync,
    F: Future<Output = anyhow::Result<Reply>> + Send,
{
    let uid = stream.peer_cred()?.uid();
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        tracing::warn!(uid, "a command of another user was refused");
        return Ok(());
    }
    let (reader, mut writer) = stream.split();
    let mut line = Vec::new();
    BufReader::new(reader.take(LONGEST_LINE_BYTES))
        .read_until(b'\n', &mut line)
        .await?;
    let answer = match serde_json::from_slice::<Command>(&line) {
        Ok(command) => {
            tracing::info!(command = command.name(), "command taken");
            match execute(command).await {
                Ok(reply) => Answer::Done(reply),
                Err(error) => Answer::Failed(format!("{error:#}")),
            }
        }
        Err(error) => Answer::Failed(format!(
            "the running cofferd does not understand this command: {error}; is it of the same \
             version?"
        )),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    writer.write_all(&line).await
}

/// Has the running daemon execute a command.
pub fn ask(folder: &Path, command: &Command) -> anyhow::Result<Reply> {
    let connect = || StdUnixStream::connect(short_path(folder)?.0);
    let mut stream = connect().with_context(|| {
        format!(
            "cofferd runs in {} but takes no commands there; run this as the same user or as \
             root, and try again if it has only just been started",
            folder.display()
        )
    })?;
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    StdBufReader::new(stream).read_line(&mut answer)?;
    if answer.is_empty() {
        bail!("the running cofferd gave no answer; its log knows more");
    }
    match serde_json::from_str(&answer).context("the running cofferd answers strangely")? {
        Answer::Done(reply) => Ok(reply),
        Answer::Failed(sentence) => Err(anyhow!(sentence)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn round_trip(folder: &Path) -> Vec<Result<Reply, String>> {
        let control = Control::bind(folder).unwrap();
        let mode = fs::metadata(&control.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let serving = tokio::spawn(control.serve(|command| async move {
            match command {
                Command::UserList => Ok(Reply::Users(Vec::new())),
                _ => Err(anyhow!("inner").context("outer")),
            }
        }));
        let folder = folder.to_owned();
        let answers = tokio::task::spawn_blocking(move || {
            [Command::UserList, Command::Sweep { dry_run: true }]
                .map(|command| ask(&folder, &command).map_err(|error| error.to_string()))
        });
        let answers = answers.await.unwrap();
        serving.abort();
        answers.into()
    }

    #[tokio::test]
    async fn commands_go_there_and_answers_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let answers = round_trip(folder.path()).await;
        assert!(matches!(&answers[0], Ok(Reply::Users(users)) if users.is_empty()));
        assert!(matches!(&answers[1], Err(error) if error == "outer: inner"));
    }

    #[tokio::test]
    async fn a_deep_data_folder_has_its_socket_too() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(100)).join("y".repeat(100));
        fs::create_dir_all(&deep).unwrap();
        assert_eq!(round_trip(&deep).await.len(), 2);
    }

    #[test]
    fn without_a_daemon_the_error_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let error = ask(folder.path(), &Command::UserList)
            .unwrap_err()
            .to_string();
        assert!(error.contains("takes no commands there"), "{error}");
    }
}
