//! A drive mounted by the real `coffer mount`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::program::forget_settings;
use crate::{Output, Program, User, World, binary, until, within};

/// How long a start, an end or the sending of everything may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// How a drive is to be mounted.
#[derive(Debug, Clone)]
pub struct MountSetup {
    url: String,
    user: User,
    folder: PathBuf,
    arguments: Vec<String>,
    names_cache: bool,
}

impl MountSetup {
    /// alice's drive of `world`, mounted at `NAME/drive` in the world's scratch folder, with a cache
    /// of its own beside it.
    pub fn new(world: &World, name: &str) -> Self {
        Self {
            url: world.drive_url(),
            user: World::alice_user(),
            folder: world.scratch().join(name),
            arguments: Vec::new(),
            names_cache: true,
        }
    }

    /// Another server, or another way to it.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    /// Another user.
    #[must_use]
    pub fn user(mut self, user: &User) -> Self {
        self.user = user.clone();
        self
    }

    /// One more argument of `coffer mount`.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Leaves out the argument that names the cache.
    #[must_use]
    pub fn without_cache(mut self) -> Self {
        self.names_cache = false;
        self
    }

    /// Mounts, and returns once programs can use it.
    pub async fn start(self) -> Mount {
        let mount = self.try_start().await;
        mount.unwrap_or_else(|reason| panic!("{reason}"))
    }

    /// As [`Self::start`].
    ///
    /// # Errors
    /// All that it has logged, when it ends instead.
    pub async fn try_start(self) -> Result<Mount, String> {
        let mut mount = Mount {
            point: self.folder.join("drive"),
            cache: self.folder.join("cache"),
            setup: self,
            child: None,
            is_ours: false,
        };
        std::fs::create_dir_all(&mount.point).expect("our own folder can be written");
        std::fs::create_dir_all(&mount.cache).expect("our own folder can be written");
        let password = mount.setup.folder.join("password");
        private_file(&password, &mount.setup.user.password);
        mount.try_revive().await?;
        Ok(mount)
    }
}

/// A mounted drive; on drop its process is killed and what is left of it taken away.
pub struct Mount {
    setup: MountSetup,
    point: PathBuf,
    cache: PathBuf,
    child: Option<Child>,
    /// What is mounted at the point was mounted by this.
    is_ours: bool,
}

impl Mount {
    /// alice's drive, as it is mounted without further arguments.
    pub async fn new(world: &World) -> Self {
        MountSetup::new(world, "mount").start().await
    }

    /// The folder it is mounted at.
    pub fn point(&self) -> &Path {
        &self.point
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.point.join(name)
    }

    /// The folder of its cache.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The process that serves it.
    pub fn pid(&self) -> Pid {
        let pid = self.child.as_ref().and_then(Child::id);
        let pid = pid.expect("the mount is running");
        Pid::from_raw(i32::try_from(pid).expect("a process id fits an i32"))
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.setup.folder.join("mount.log")).unwrap_or_default()
    }

    /// Mounts again, with the same cache, after [`Self::kill`] or [`Self::unmount`].
    pub async fn revive(&mut self) {
        if let Err(reason) = self.try_revive().await {
            panic!("{reason}");
        }
    }

    /// As [`Self::revive`].
    ///
    /// # Errors
    /// All that it has logged, when it ends instead.
    pub async fn try_revive(&mut self) -> Result<(), String> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.setup.folder.join("mount.log"))
            .expect("our own folder can be written");
        let mut command = Command::new(binary("coffer"));
        forget_settings(&mut command);
        command
            .arg("mount")
            .arg(&self.setup.url)
            .arg(&self.point)
            .args(["--user", &self.setup.user.name])
            .arg("--password-file")
            .arg(self.setup.folder.join("password"))
            .arg("--foreground")
            .args(&self.setup.arguments)
            .env("XDG_RUNTIME_DIR", &self.setup.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .kill_on_drop(true);
        if self.setup.names_cache {
            command.arg("--cache").arg(&self.cache);
        }
        self.child = Some(command.spawn().expect("coffer can be run"));
        let ready = within(PATIENCE, || async {
            self.has_ended() || self.is_ready().await
        })
        .await;
        if self.has_ended() {
            self.child = None;
            return Err(format!("coffer mount has ended\n{}", self.log()));
        }
        self.is_ours = true;
        assert!(ready, "coffer mount does not get ready\n{}", self.log());
        Ok(())
    }

    fn has_ended(&self) -> bool {
        let pid = self.child.as_ref().and_then(Child::id);
        // A process that has ended and was not awaited is a zombie.
        let state = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
        state.is_none_or(|line| {
            line.rsplit(") ")
                .next()
                .is_some_and(|rest| rest.starts_with('Z'))
        })
    }

    async fn is_ready(&self) -> bool {
        if !is_mounted(&self.point) {
            return false;
        }
        // Another may be mounted there.
        let status = self.ask(&["status", "--json"]).await;
        let status: Option<Value> = serde_json::from_str(&status.stdout).ok();
        let pid = status.and_then(|status| find(&status, "pid"));
        pid.is_some_and(|pid| pid.as_i64() == Some(self.pid().as_raw().into()))
    }

    /// Runs a command of `coffer` on this mount.
    pub async fn ask(&self, command: &[&str]) -> Output {
        Program::new(binary("coffer"))
            .env("XDG_RUNTIME_DIR", &self.setup.folder)
            .args(command)
            .arg(&self.point)
            .deadline(PATIENCE * 2)
            .run()
            .await
    }

    /// What `coffer status --json` says.
    pub async fn status(&self) -> Value {
        let output = self.ask(&["status", "--json"]).await.success();
        let line = output.stdout.lines().next();
        let line = line.expect("there is a line for the mount");
        serde_json::from_str(line).expect("it is JSON")
    }

    /// A field of the status, wherever it stands in it.
    pub async fn status_of(&self, field: &str) -> Value {
        let status = self.status().await;
        find(&status, field).unwrap_or_else(|| panic!("{field} is missing in {status:#}"))
    }

    /// Waits until everything is on the server, by `coffer sync`.
    pub async fn sync(&self) {
        let output = self.ask(&["sync"]).await;
        assert!(
            output.succeeded(),
            "{output:?}\n{}\n{}",
            self.ask(&["status"]).await.all(),
            self.log()
        );
    }

    /// Waits until the mount knows by itself that the server can be reached, or cannot.
    pub async fn becomes_online(&self, online: bool) {
        until("the mount is online or not", PATIENCE, || async {
            self.status_of("online").await == online
        })
        .await;
    }

    /// Kills it without warning, and takes away what the kernel still shows of it.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().expect("the mount is running");
        child.kill().await.expect("our own child can be killed");
        detach(&self.point);
    }

    /// Kills it without warning and leaves the dead mount where it is.
    pub async fn kill_only(&mut self) {
        let mut child = self.child.take().expect("the mount is running");
        child.kill().await.expect("our own child can be killed");
    }

    /// Takes away what the kernel shows of a dead mount.
    pub fn detach(&self) {
        detach(&self.point);
    }

    /// Sends its process a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("our own child can be signalled");
    }

    /// Unmounts, with everything on the server, and waits for the end of its process.
    pub async fn unmount(&mut self) {
        self.ask(&["unmount", "--flush"]).await.success();
        self.ended().await;
    }

    /// Unmounts with what is not on the server yet kept in the cache.
    pub async fn unmount_at_once(&mut self) {
        self.ask(&["unmount"]).await.success();
        self.ended().await;
    }

    /// Waits until its process has ended by itself; in good order.
    pub async fn ended(&mut self) {
        let mut child = self.child.take().expect("the mount is running");
        let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
        let status = ended
            .expect("coffer mount ends after an unmount")
            .expect("our own child can be awaited");
        assert!(status.success(), "{status}\n{}", self.log());
        assert!(!is_mounted(&self.point), "it is still mounted");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.start_kill();
        }
        if self.is_ours && is_mounted(&self.point) {
            detach(&self.point);
        }
        if std::thread::panicking() {
            eprintln!("--- coffer mount\n{}", self.log());
        }
    }
}

/// Whether something is mounted at `point`.
pub fn is_mounted(point: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let point = point.to_string_lossy();
    mounts
        .lines()
        .any(|line| line.split(' ').nth(4) == Some(point.as_ref()))
}

fn detach(point: &Path) {
    // Of the kernel's two ways one is enough; the other says that nothing is mounted.
    let lazily = |program: &str, arguments: &[&str]| {
        std::process::Command::new(program)
            .args(arguments)
            .arg(point)
            .output()
    };
    let _ = lazily("fusermount3", &["-u", "-z"]);
    if is_mounted(point) {
        let _ = lazily("umount", &["-l"]);
    }
}

/// Writes a file that only its owner may read.
pub fn private_file(path: &Path, line: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let mut file = std::fs::File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .expect("our own folder can be written");
    writeln!(file, "{line}").expect("our own file can be written");
}

fn find(value: &Value, field: &str) -> Option<Value> {
    match value {
        Value::Object(members) => members
            .get(field)
            .cloned()
            .or_else(|| members.values().find_map(|member| find(member, field))),
        _ => None,
    }
}
