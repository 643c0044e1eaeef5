//! Runs the programs of others (and ours) with a deadline.
//!
//! Output goes to files, not to pipes: a session bus or a mount daemon that a client leaves behind
//! would keep a pipe open and its reader waiting for ever.

use std::ffi::OsStr;
use std::fmt;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// The built program `name` (`cofferd`, `coffer`), beside the running test in the target folder.
///
/// `COFFER_TEST_BIN_DIR` names another folder, for instance one with release builds.
pub fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("COFFER_TEST_BIN_DIR").map_or_else(
        || {
            let test = std::env::current_exe().expect("a process knows its program");
            let deps = test.parent().expect("a program lies in a folder");
            if deps.ends_with("deps") {
                deps.parent().expect("deps lies in the target folder")
            } else {
                deps
            }
            .to_owned()
        },
        PathBuf::from,
    );
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo build -p cofferd -p coffer`, or `./test`",
        path.display()
    );
    path
}

/// The folder into which `./test` has put the client programs that Debian does not have.
pub fn client_dir() -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its program");
    let folders = test.ancestors().map(|folder| folder.join("clients"));
    let found = folders.into_iter().find(|clients| clients.is_dir());
    found.expect("`./test` has put it into the target folder")
}

/// Keeps settings of the tests, and of the person who runs them, from our programs.
pub(crate) fn forget_settings(command: &mut tokio::process::Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COFFER_") {
            command.env_remove(name);
        }
    }
}

/// A command line about to run.
pub struct Program {
    line: String,
    command: tokio::process::Command,
    stdin: Vec<u8>,
    deadline: Duration,
}

/// How a program ended.
pub struct Output {
    /// The exit status; `None` when a signal or the deadline ended it.
    pub code: Option<i32>,
    /// All it wrote to standard output.
    pub stdout: String,
    /// All it wrote to standard error.
    pub stderr: String,
    line: String,
}

impl Program {
    /// Prepares `program`, found in `PATH` unless it is a path. The deadline is two minutes.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = tokio::process::Command::new(program.as_ref());
        command.kill_on_drop(true);
        // A message is compared as text, so it must not be translated; file names stay UTF-8.
        command.env("LC_ALL", "C.UTF-8");
        forget_settings(&mut command);
        Self {
            line: program.as_ref().to_string_lossy().into_owned(),
            command,
            stdin: Vec::new(),
            deadline: Duration::from_mins(2),
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.line.push(' ');
        self.line.push_str(&argument.as_ref().to_string_lossy());
        self.command.arg(argument);
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(self, arguments: I) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in `folder`.
    #[must_use]
    pub fn dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Feeds `bytes` to its standard input, which is empty otherwise.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Ends it by force after `deadline`.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs it to its end.
    pub async fn run(mut self) -> Output {
        let mut stdin = tempfile::tempfile().expect("a temporary file can be made");
        stdin
            .write_all(&self.stdin)
            .and_then(|()| stdin.seek(SeekFrom::Start(0)))
            .expect("a temporary file can be written");
        let stdout = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        let stderr = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        self.command
            .stdin(Stdio::from(stdin))
            .stdout(stdout.reopen().expect("our own file can be opened"))
            .stderr(stderr.reopen().expect("our own file can be opened"));
        let mut child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", self.line));
        let status = tokio::time::timeout(self.deadline, child.wait()).await;
        let late = status.is_err();
        if late {
            child.kill().await.expect("our own child can be killed");
        }
        let text = |file: &tempfile::NamedTempFile| {
            let bytes = std::fs::read(file.path()).expect("our own file can be read");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let mut output = Output {
            code: status
                .ok()
                .and_then(|status| status.expect("a child can be awaited").code()),
            stdout: text(&stdout),
            stderr: text(&stderr),
            line: self.line,
        };
        if late {
            output
                .stderr
                .push_str("\n[still running at the deadline, killed]");
        }
        output
    }
}

impl Output {
    /// Whether it exited with 0.
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// Panics with all it printed unless it exited with 0.
    #[track_caller]
    pub fn success(self) -> Self {
        assert!(self.succeeded(), "{self:?}");
        self
    }

    /// Standard output and standard error, one after the other.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = |text: &str| {
            let skip = text.chars().count().saturating_sub(4000);
            text.chars().skip(skip).collect::<String>()
        };
        write!(
            f,
            "`{}` ended with {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.line,
            self.code,
            tail(&self.stdout),
            tail(&self.stderr)
        )
    }
}
