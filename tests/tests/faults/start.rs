//! A daemon that cannot start says why in one sentence, ends, and damages nothing.

use std::path::Path;

use harness::{Daemon, Engine, Launch, Output, Program, Setup, World, binary};

/// `cofferd serve` in `folder`, which is to fail.
async fn refused_start(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output: Output = Program::new(binary("cofferd"))
        .dir(folder)
        .arg("serve")
        .args(arguments)
        .run()
        .await;
    assert_eq!(output.code, Some(code), "{output:?}");
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert!(
        matches!(lines[..], [line] if line.starts_with("cofferd: ")),
        "one sentence\n{output:?}"
    );
    output.stderr
}

#[tokio::test]
async fn a_taken_port_is_named_and_no_data_is_made() {
    let world = World::start().await;
    let taken = world.address().trim_start_matches("http://").to_owned();
    let folder = world.scratch();
    let said = refused_start(&folder, &["--data", "data", "--listen", &taken], 1).await;
    assert!(said.contains(&taken), "{said}");
    assert!(!folder.join("data").exists());
    world.alice().put("/a", "text").await.must_be(201);
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_made_or_written_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::write(folder.path().join("file"), "").expect("our own folder");
    // Not even root can make a folder in /proc.
    for data in ["file/data", "/proc/coffer-data"] {
        let listen = ["--listen", "127.0.0.1:0"];
        let said = refused_start(folder.path(), &["--data", data, listen[0], listen[1]], 1).await;
        assert!(said.contains(data), "{said}");
    }
}

#[tokio::test]
async fn a_data_folder_in_use_is_left_alone() {
    let world = World::start().await;
    let data = world.data_dir().display().to_string();
    let listen = ["--listen", "127.0.0.1:0"];
    let said = refused_start(
        &world.scratch(),
        &["--data", &data, listen[0], listen[1]],
        1,
    )
    .await;
    assert!(said.contains("in use"), "{said}");
    assert!(said.contains(&world.daemon().pid().to_string()), "{said}");
    world.alice().put("/a", "text").await.must_be(201);
}

#[tokio::test]
async fn a_wrong_setting_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let config = folder.path().join("coffer.toml");
    std::fs::write(&config, "[limits]\nranges = 0\n").expect("our own folder");
    let config = config.display().to_string();
    let said = refused_start(folder.path(), &["--config", &config], 2).await;
    assert!(said.contains("limits.ranges"), "{said}");
    assert!(!folder.path().join("coffer-data").exists());
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_an_error_without_its_password() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let url = "postgres://coffer:secret-word@127.0.0.1:1/coffer";
    let listen = ["--listen", "127.0.0.1:0"];
    let arguments = ["--data", "data", "--database", url, listen[0], listen[1]];
    let said = refused_start(folder.path(), &arguments, 1).await;
    assert!(!said.contains("secret-word"), "{said}");
    assert!(said.contains("Connection refused"), "{said}");
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_named() {
    if Engine::from_environment() != Engine::Postgres {
        return; // SQLite makes it.
    }
    let world = World::start().await;
    let database = world.postgres().expect("this world is on PostgreSQL");
    let url = database.url().replacen(":///", ":///no_", 1);
    let listen = ["--listen", "127.0.0.1:0"];
    let arguments = ["--data", "data", "--database", &url, listen[0], listen[1]];
    let said = refused_start(&world.scratch(), &arguments, 1).await;
    assert!(said.contains("does not exist"), "{said}");
}

/// A schema of a later release is not touched; the data works again with that release.
#[tokio::test]
async fn a_database_of_a_newer_schema_is_refused_and_untouched() {
    let mut world = Setup::default().start().await;
    world.alice().put("/a", "text").await.must_be(201);
    world.kill().await;
    let insert = "INSERT INTO schema_version (number, name, applied_at) VALUES (9999, 'later', 0)";
    world.query(insert);
    let said = world.try_revive().await.expect_err("a newer schema");
    assert!(said.contains("9999"), "{said}");
    assert!(said.contains("newer cofferd"), "{said}");
    world.query("DELETE FROM schema_version WHERE number = 9999");
    world.revive().await;
    assert_eq!(world.alice().get("/a").await, "text");
}

/// The account is made before much that can fail.
#[tokio::test]
async fn the_first_administrators_password_is_told_even_if_the_start_fails_later() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path().join("data");
    let serve = format!(
        "{} --data {} --listen 127.0.0.1:0",
        binary("cofferd").display(),
        data.display()
    );
    let in_terminal = async || {
        let script = Program::new("script").dir(folder.path());
        script.args(["-qec", &serve, "/dev/null"]).run().await
    };
    // Nobody can listen on a socket where there is a folder.
    std::fs::create_dir_all(data.join("control.sock/full")).expect("our own folder");
    let output = in_terminal().await;
    assert_eq!(output.code, Some(1), "{output:?}");
    let told = "The first administrator is admin with the password ";
    assert!(output.stdout.contains(told), "{output:?}");
    assert!(!data.join("admin-password").exists());
    assert!(!in_terminal().await.stdout.contains(told), "only once");

    // Without a terminal it is in a file.
    let other = folder.path().join("other");
    std::fs::create_dir_all(other.join("control.sock/full")).expect("our own folder");
    let listen = ["--listen", "127.0.0.1:0"];
    let start = Program::new(binary("cofferd")).dir(folder.path());
    let output = start.args(["--data", "other"]).args(listen).run().await;
    assert_eq!(output.code, Some(1), "{output:?}");
    let kept = std::fs::read_to_string(other.join("admin-password")).expect("the password");
    assert_eq!(kept.trim().len(), 23, "{kept}");
}

#[tokio::test]
async fn the_lines_to_mount_the_drive_name_an_administrator_there_is() {
    let mut world = World::start().await;
    let renamed = ["user", "set", "root", "--rename", "chief"];
    let output = world.cli(&renamed, "").await;
    assert!(output.status.success(), "{output:?}");
    world.restart().await;
    let said = "litmus ".to_owned() + &world.drive_url() + " chief ";
    let deadline = std::time::Duration::from_secs(30);
    harness::until("the lines are printed", deadline, async || {
        world.log().contains(&said)
    })
    .await;
}

/// Whoever may use the socket is said by its owner, its group and `listen.unix_mode`.
#[tokio::test]
async fn a_unix_socket_belongs_to_the_user_that_the_daemon_becomes() {
    use std::os::unix::fs::{MetadataExt, chown};
    if !nix::unistd::geteuid().is_root() {
        // Nobody else can become another user.
        return;
    }
    let nobody = nix::unistd::User::from_name("nobody")
        .expect("users can be looked up")
        .expect("there is a user nobody");
    let (uid, gid) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    chown(folder.path(), Some(uid), Some(gid)).expect("root may");
    let socket = folder.path().join("http.sock");
    let launch = Launch {
        environment: vec![
            ("COFFER_SERVER_USER".to_owned(), "nobody".to_owned()),
            (
                "COFFER_LISTEN_UNIX_PATH".to_owned(),
                socket.display().to_string(),
            ),
        ],
        ..Launch::default()
    };
    let daemon = Daemon::start(folder.path(), &launch)
        .await
        .expect("it starts");
    let socket = std::fs::metadata(&socket).expect("the socket is there");
    assert_eq!((socket.uid(), socket.gid()), (uid, gid));
    assert_eq!(socket.mode() & 0o777, 0o660);
    daemon.kill().await;
}
