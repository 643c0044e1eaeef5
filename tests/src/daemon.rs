//! One `cofferd` process.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::binary;
use crate::program::forget_settings;

/// How long a start or an end may take before the test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// How to start `cofferd`.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    /// Arguments besides `--data` and `--listen`.
    pub arguments: Vec<String>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    address: String,
}

impl Daemon {
    /// Starts `cofferd` on a free port, with its data, its working folder and its log below
    /// `folder`, and returns once it accepts requests.
    ///
    /// # Errors
    /// When it ends first or takes too long: all that it has logged.
    pub async fn start(folder: &Path, launch: &Launch) -> Result<Self, String> {
        let data = data_dir(folder);
        let announced = data.join("address");
        match std::fs::remove_file(&announced) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("cannot remove {}: {error}", announced.display()));
            }
            _ => {}
        }
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log_file(folder))
            .expect("our own folder can be written");
        let mut command = command(folder);
        command
            .arg("serve")
            .arg("--data")
            .arg(&data)
            .args(["--listen", "127.0.0.1:0"])
            .args(&launch.arguments)
            .env("COFFER_LOG_FORMAT", "json")
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log);
        let mut child = command.spawn().expect("cofferd can be run");
        let end = Instant::now() + PATIENCE;
        loop {
            if let Ok(text) = std::fs::read_to_string(&announced)
                && let Some(address) = text.strip_suffix('\n')
            {
                let is_tls = launch.arguments.iter().any(|word| word == "--self-signed");
                let scheme = if is_tls { "https" } else { "http" };
                return Ok(Self {
                    child,
                    address: format!("{scheme}://{address}"),
                });
            }
            if let Some(status) = child.try_wait().expect("our own child can be awaited") {
                return Err(format!("cofferd ended with {status}\n{}", logged(folder)));
            }
            if Instant::now() > end {
                return Err(format!("cofferd announces no address\n{}", logged(folder)));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        let pid = self.child.id().expect("it has not been awaited yet");
        i32::try_from(pid).expect("a process id fits an i32")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("our own child can be signalled");
    }

    /// Asks it to end and waits until it has; the exit status.
    pub async fn stop(mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .expect("cofferd ends within a minute of SIGTERM")
            .expect("our own child can be awaited")
            .code()
    }

    /// Kills it without warning (SIGKILL) and waits until it is gone.
    pub async fn kill(mut self) {
        self.child
            .kill()
            .await
            .expect("our own child can be killed");
    }

    /// Its resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// Begins to measure [`Daemon::peak_bytes`] anew.
    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5")
            .expect("the kernel lets us reset the peak of our own child");
    }

    /// The most resident memory it had since its start or [`Daemon::forget_peak`], in bytes.
    pub fn peak_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .expect("a running process has a status");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .expect("a running process has resident memory");
        let kib: u64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("memory is a number of kB");
        kib * 1024
    }
}

/// `cofferd` in `folder`, free of any configuration of the person who runs the tests.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(binary("cofferd"));
    forget_settings(&mut command);
    command.current_dir(folder).kill_on_drop(true);
    command
}

/// The data folder of a daemon that lives in `folder`.
pub(crate) fn data_dir(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// All that the daemons in `folder` have logged.
pub(crate) fn logged(folder: &Path) -> String {
    std::fs::read_to_string(log_file(folder)).unwrap_or_default()
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("log")
}
