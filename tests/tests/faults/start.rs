//! A daemon that cannot start says why in one sentence, ends, and damages nothing.

use std::path::Path;

use harness::{Engine, Output, Program, Setup, World, binary};

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
    execute(&world, insert);
    let said = world.try_revive().await.expect_err("a newer schema");
    assert!(said.contains("9999"), "{said}");
    assert!(said.contains("newer cofferd"), "{said}");
    execute(&world, "DELETE FROM schema_version WHERE number = 9999");
    world.revive().await;
    assert_eq!(world.alice().get("/a").await, "text");
}

fn execute(world: &World, sql: &str) {
    match Engine::from_environment() {
        Engine::Postgres => {
            let database = world.postgres().expect("this world is on PostgreSQL");
            database.query(sql);
        }
        Engine::Sqlite => {
            let path = world.data_dir().join("coffer.db");
            let database = rusqlite::Connection::open(path).expect("the database can be opened");
            database.execute(sql, []).expect("the statement is right");
        }
    }
}
