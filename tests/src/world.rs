//! A daemon with its database, its data folder and its users, all gone when the test ends.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use crate::daemon::{Daemon, Launch, command, data_dir, logged};
use crate::dav_client::answered_by;
use crate::disk::SmallDisk;
use crate::{
    Answer, Cluster, Credential, Database, Dav, Durability, LoggedRequest, Request, Wire, until,
};

/// Which database the daemon keeps its rows in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// The engine named in `COFFER_TEST_ENGINE`; SQLite without it.
    pub fn from_environment() -> Self {
        match std::env::var("COFFER_TEST_ENGINE").as_deref() {
            Ok("postgres") => Self::Postgres,
            Ok("sqlite") | Err(_) => Self::Sqlite,
            Ok(other) => panic!("COFFER_TEST_ENGINE is {other}, not sqlite or postgres"),
        }
    }
}

/// A user with the password in plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub email: String,
    pub password: String,
}

impl User {
    /// The user whom [`World::add_user`] makes under this name.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            email: format!("{name}@example.org"),
            password: format!("{name}-has-a-long-password"),
        }
    }

    /// The credential for Basic authentication.
    pub fn credential(&self) -> Credential {
        Credential::Basic {
            user: self.name.clone(),
            password: self.password.clone(),
        }
    }
}

/// What a world is made of, where a test wants something else than the usual.
#[derive(Debug, Clone)]
pub struct Setup {
    engine: Engine,
    own_database: Option<Durability>,
    disk_bytes: Option<u64>,
    launch: Launch,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            engine: Engine::from_environment(),
            own_database: None,
            disk_bytes: None,
            launch: Launch::default(),
        }
    }
}

impl Setup {
    /// Keeps rows in `engine`, whatever the environment says.
    #[must_use]
    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    /// Gives PostgreSQL `fsync = on`, in a cluster of its own.
    #[must_use]
    pub fn durable_database(mut self) -> Self {
        self.own_database = Some(Durability::Kept);
        self
    }

    /// Gives PostgreSQL a cluster of its own, which can be stopped and started.
    #[must_use]
    pub fn own_database(mut self) -> Self {
        self.own_database = Some(Durability::Skipped);
        self
    }

    /// Keeps the data on a disk of this size.
    #[must_use]
    pub fn disk_bytes(mut self, bytes: u64) -> Self {
        self.disk_bytes = Some(bytes);
        self
    }

    /// Adds a command-line argument of `cofferd serve`.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.launch.arguments.push(argument.into());
        self
    }

    /// Adds a variable to the daemon's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.launch
            .environment
            .push((name.to_owned(), value.into()));
        self
    }

    /// Serves HTTPS with a certificate of the daemon's own making.
    #[must_use]
    pub fn tls(self) -> Self {
        self.argument("--self-signed")
    }

    /// Limits what all users together may store.
    #[must_use]
    pub fn capacity_bytes(self, bytes: u64) -> Self {
        self.argument("--capacity").argument(bytes.to_string())
    }

    /// Starts it.
    pub async fn start(self) -> World {
        World::start_with(self).await
    }
}

/// A running server with an administrator and the users alice and bob.
pub struct World {
    // Dropped in this order: the daemon must be gone before its database and its folder are.
    daemon: Option<Daemon>,
    launch: Launch,
    database: Option<Database>,
    _disk: Option<SmallDisk>,
    folder: TempDir,
}

impl World {
    /// The usual world, on the engine that the environment names.
    pub async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    /// A world made to order.
    pub async fn start_with(setup: Setup) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("coffer-test-")
            .tempdir()
            .expect("a temporary folder can be made");
        let mut launch = setup.launch;
        let database = (setup.engine == Engine::Postgres).then(|| {
            let cluster = match setup.own_database {
                Some(durability) => Cluster::start(durability),
                None => Cluster::shared(),
            };
            cluster.database()
        });
        if let Some(database) = &database {
            launch
                .arguments
                .extend(["--database".to_owned(), database.url()]);
        }
        let disk = setup
            .disk_bytes
            .map(|bytes| SmallDisk::mount(&data_dir(folder.path()), bytes));
        let admin = Self::admin_user();
        for (name, value) in [
            ("COFFER_ADMIN_NAME", &admin.name),
            ("COFFER_ADMIN_EMAIL", &admin.email),
            ("COFFER_ADMIN_PASSWORD", &admin.password),
        ] {
            launch.environment.push((name.to_owned(), value.clone()));
        }
        let mut world = Self {
            daemon: None,
            launch,
            database,
            _disk: disk,
            folder,
        };
        world.revive().await;
        world.add_user("alice", None).await;
        world.add_user("bob", None).await;
        world
    }

    /// The administrator whom the first start has made.
    pub fn admin_user() -> User {
        User::named("root")
    }

    /// The user alice.
    pub fn alice_user() -> User {
        User::named("alice")
    }

    /// The user bob.
    pub fn bob_user() -> User {
        User::named("bob")
    }

    /// alice, by Basic authentication.
    pub fn alice(&self) -> Dav {
        self.as_user(&Self::alice_user())
    }

    /// bob, by Basic authentication.
    pub fn bob(&self) -> Dav {
        self.as_user(&Self::bob_user())
    }

    /// `user`, by Basic authentication.
    pub fn as_user(&self, user: &User) -> Dav {
        Dav::new(self.address(), user.credential())
    }

    /// Nobody in particular.
    pub fn anonymous(&self) -> Dav {
        Dav::new(self.address(), Credential::None)
    }

    /// A bare connection.
    pub async fn wire(&self) -> Wire {
        Wire::connect(self.address()).await
    }

    /// Adds a user by the command line while the daemon runs.
    pub async fn add_user(&self, name: &str, quota_bytes: Option<u64>) -> User {
        let user = User::named(name);
        let mut arguments = vec![
            "user".to_owned(),
            "add".to_owned(),
            user.name.clone(),
            "--email".to_owned(),
            user.email.clone(),
            "--password-stdin".to_owned(),
        ];
        if let Some(bytes) = quota_bytes {
            arguments.extend(["--quota".to_owned(), bytes.to_string()]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = self.cli(&arguments, &user.password).await;
        assert!(output.status.success(), "user add {name}: {output:?}");
        user
    }

    /// Runs `cofferd` with `arguments` on this world's data, feeding it `stdin`.
    pub async fn cli(&self, arguments: &[&str], stdin: &str) -> std::process::Output {
        let mut command = command(self.folder.path());
        command.args(arguments).arg("--data").arg(self.data_dir());
        if let Some(database) = &self.database {
            command.env("COFFER_DATABASE_URL", database.url());
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cofferd can be run");
        let mut pipe = child.stdin.take().expect("its standard input is a pipe");
        // A command that needs no input may be gone already.
        let _ = pipe.write_all(stdin.as_bytes()).await;
        drop(pipe);
        child
            .wait_with_output()
            .await
            .expect("our own child can be awaited")
    }

    /// Where the daemon listens: `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        self.daemon().address()
    }

    /// The URL of the drive, without user and password.
    pub fn drive_url(&self) -> String {
        format!("{}/dav/", self.address())
    }

    /// The running daemon.
    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("the daemon is running")
    }

    /// The database, when it is PostgreSQL.
    pub fn postgres(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// The database, to be stopped and started.
    pub fn postgres_mut(&mut self) -> Option<&mut Database> {
        self.database.as_mut()
    }

    /// The daemon's data folder.
    pub fn data_dir(&self) -> PathBuf {
        data_dir(self.folder.path())
    }

    /// A folder for the test's own files, gone with the world.
    pub fn scratch(&self) -> PathBuf {
        let path = self.folder.path().join("scratch");
        std::fs::create_dir_all(&path).expect("our own folder can be written");
        path
    }

    /// Ends the daemon in good order and starts it again; it listens on another port then.
    pub async fn restart(&mut self) {
        let code = self
            .daemon
            .take()
            .expect("the daemon is running")
            .stop()
            .await;
        assert_eq!(code, Some(0), "{}", self.log());
        self.revive().await;
    }

    /// Kills the daemon without warning.
    pub async fn kill(&mut self) {
        self.daemon
            .take()
            .expect("the daemon is running")
            .kill()
            .await;
    }

    /// Starts the daemon after [`World::kill`].
    pub async fn revive(&mut self) {
        self.try_revive()
            .await
            .unwrap_or_else(|reason| panic!("{reason}"));
    }

    /// Starts the daemon, which may refuse to.
    ///
    /// # Errors
    /// All that it has logged.
    pub async fn try_revive(&mut self) -> Result<(), String> {
        let daemon = Daemon::start(self.folder.path(), &self.launch).await?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// A second daemon on the same PostgreSQL, with a data folder in `folder`.
    pub async fn second_daemon(&self, folder: &Path) -> Daemon {
        assert!(self.database.is_some(), "two daemons cannot share SQLite");
        Daemon::start(folder, &self.launch)
            .await
            .unwrap_or_else(|reason| panic!("{reason}"))
    }

    /// All that the daemon has logged so far.
    pub fn log(&self) -> String {
        logged(self.folder.path())
    }

    /// The finished requests that the daemon has logged so far.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.log()
            .lines()
            .filter_map(LoggedRequest::parse)
            .collect()
    }

    /// Sends a request; its answer, and its line in the log.
    ///
    /// Requests that were sent one after the other have lines in another order only if a line is
    /// late, so those of all earlier ones are waited for.
    pub async fn logged(&self, request: Request) -> (Answer, LoggedRequest) {
        let before = self.lines_of(answered_by(self.address())).await.len();
        let answer = request.send().await;
        let line = self.lines_of(before + 1).await.swap_remove(before);
        (answer, line)
    }

    /// The log once it has so many lines.
    async fn lines_of(&self, requests: usize) -> Vec<LoggedRequest> {
        let deadline = Duration::from_secs(30);
        until("requests are logged", deadline, || async {
            self.requests().len() >= requests
        })
        .await;
        self.requests()
    }

    /// Runs a statement on the database past the daemon; the first column of each row, by lines.
    pub fn query(&self, sql: &str) -> String {
        if let Some(database) = &self.database {
            return database.query(sql);
        }
        let path = self.data_dir().join("coffer.db");
        let database = rusqlite::Connection::open(path).expect("the database can be opened");
        let mut statement = database.prepare(sql).expect("the statement is right");
        let rows = statement.query_map([], |row| row.get::<_, rusqlite::types::Value>(0));
        let rows: Result<Vec<_>, _> = rows.expect("it can be run").collect();
        let text = |value: rusqlite::types::Value| match value {
            rusqlite::types::Value::Text(text) => text,
            rusqlite::types::Value::Integer(number) => number.to_string(),
            other => panic!("neither a text nor a number: {other:?}"),
        };
        let rows = rows.expect("rows can be read").into_iter().map(text);
        rows.collect::<Vec<_>>().join("\n")
    }

    /// The blobs on disk, as `(name, size in bytes)`, sorted by name.
    pub fn blobs(&self) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        let shards = std::fs::read_dir(self.data_dir().join("store"));
        for shard in shards.into_iter().flatten().flatten() {
            for blob in std::fs::read_dir(shard.path())
                .into_iter()
                .flatten()
                .flatten()
            {
                let name = blob.file_name().to_string_lossy().into_owned();
                found.push((name, blob.metadata().map_or(0, |metadata| metadata.len())));
            }
        }
        found.sort();
        found
    }
}
