//! A real PostgreSQL of our own, in a temporary folder, reached by a socket in that folder only.
//!
//! `./test` starts one for all tests and names it in `COFFER_TEST_POSTGRES` (the socket's folder);
//! a test that is run alone starts its own.

use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use tempfile::TempDir;

/// The variable in which the socket's folder of a shared cluster is handed on.
const SHARED: &str = "COFFER_TEST_POSTGRES";

/// Whether commits must survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// `fsync = on`, for tests about crashes.
    Kept,
    /// `fsync = off`, for all others: several times faster.
    Skipped,
}

/// A running server.
pub struct Cluster {
    server: Option<Child>,
    folder: Option<TempDir>,
    socket_dir: PathBuf,
    durability: Durability,
}

/// One database in a cluster, dropped with this value.
pub struct Database {
    cluster: Cluster,
    name: String,
}

impl Cluster {
    /// The cluster `./test` has started; one of our own when there is none.
    pub fn shared() -> Self {
        match std::env::var_os(SHARED) {
            Some(socket_dir) => Self {
                server: None,
                folder: None,
                socket_dir: PathBuf::from(socket_dir),
                durability: Durability::Skipped,
            },
            None => Self::start(Durability::Skipped),
        }
    }

    /// Makes and starts a cluster, as the user `postgres` when we are root, whom `initdb` refuses.
    pub fn start(durability: Durability) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("coffer-postgres-")
            .tempdir()
            .expect("a temporary folder can be made");
        if let Some(user) = server_user() {
            chown(
                folder.path(),
                Some(user.uid.as_raw()),
                Some(user.gid.as_raw()),
            )
            .expect("root may give a folder away");
        }
        let data = folder.path().join("data");
        let made = program("initdb")
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--pgdata"])
            .arg(&data)
            .output()
            .expect("initdb can be run");
        assert!(made.status.success(), "initdb: {made:?}");
        let mut cluster = Self {
            server: None,
            socket_dir: folder.path().to_owned(),
            folder: Some(folder),
            durability,
        };
        cluster.launch();
        cluster
    }

    fn launch(&mut self) {
        let fsync = match self.durability {
            Durability::Kept => "fsync=on",
            Durability::Skipped => "fsync=off",
        };
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.socket_dir.join("log"))
            .expect("our own folder can be written");
        let server = program("postgres")
            .arg("-D")
            .arg(self.socket_dir.join("data"))
            .arg("-k")
            .arg(&self.socket_dir)
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "max_connections=400",
                "-c",
                fsync,
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("postgres can be run");
        self.server = Some(server);
        self.wait_until_ready();
    }

    /// Ends our own server at once, as a crash would: `SIGQUIT` is PostgreSQL's immediate shutdown.
    fn quit(&mut self) {
        if let Some(mut server) = self.server.take() {
            let pid = i32::try_from(server.id()).expect("a process id fits an i32");
            let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
            let _ = server.wait();
        }
    }

    /// What other processes need to know, to be handed on in the environment: the socket's folder
    /// for the tests of this crate, the URL for those of the store.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let socket_dir = self.socket_dir.display().to_string();
        let url = format!("postgres:///postgres?host={socket_dir}&user=postgres");
        [(SHARED, socket_dir), ("COFFER_TEST_POSTGRES_URL", url)]
    }

    /// A fresh, empty database in this cluster.
    pub fn database(self) -> Database {
        let name = format!(
            "coffer_{:016x}",
            RandomState::new().hash_one(std::process::id())
        );
        let made = self.run("createdb", &[&name]);
        assert!(made.status.success(), "createdb: {made:?}");
        Database {
            cluster: self,
            name,
        }
    }

    fn wait_until_ready(&self) {
        let end = Instant::now() + Duration::from_secs(30);
        while !self.run("pg_isready", &[]).status.success() {
            assert!(
                Instant::now() < end,
                "PostgreSQL does not answer: {}",
                std::fs::read_to_string(self.socket_dir.join("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn run(&self, name: &str, arguments: &[&str]) -> Output {
        Command::new(program_path(name))
            .arg("-h")
            .arg(&self.socket_dir)
            .args(["-U", "postgres"])
            .args(arguments)
            .output()
            .expect("a PostgreSQL client program can be run")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.quit();
        drop(self.folder.take());
    }
}

impl Database {
    /// The URL by which `cofferd --database` reaches it.
    pub fn url(&self) -> String {
        let socket_dir = self.cluster.socket_dir.display();
        format!("postgres:///{}?host={socket_dir}&user=postgres", self.name)
    }

    /// Ends the server without warning.
    pub fn stop_server(&mut self) {
        assert!(
            self.cluster.folder.is_some(),
            "a shared cluster cannot be stopped"
        );
        self.cluster.quit();
    }

    /// Starts the server again, on the same data.
    pub fn start_server(&mut self) {
        self.cluster.launch();
    }

    /// Runs one statement and returns its rows as `psql -At` prints them.
    pub fn query(&self, sql: &str) -> String {
        let output = self.cluster.run(
            "psql",
            &["-At", "-v", "ON_ERROR_STOP=1", "-d", &self.name, "-c", sql],
        );
        assert!(output.status.success(), "{sql}: {output:?}");
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.cluster.folder.is_none() {
            self.cluster
                .run("dropdb", &["--force", "--if-exists", &self.name]);
        }
    }
}

fn server_user() -> Option<User> {
    geteuid().is_root().then(|| {
        User::from_name("postgres")
            .ok()
            .flatten()
            .expect("the package postgresql makes the user postgres")
    })
}

fn program(name: &str) -> Command {
    let mut command = Command::new(program_path(name));
    command.current_dir("/").env("LC_ALL", "C");
    if let Some(user) = server_user() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

/// Debian keeps the server's programs out of `PATH`, in one folder for each version.
fn program_path(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin").join(name)))
        .filter(|path| path.exists())
        .collect();
    versions.sort();
    versions.pop().unwrap_or_else(|| PathBuf::from(name))
}
