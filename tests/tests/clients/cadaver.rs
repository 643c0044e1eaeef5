//! cadaver, the command line of the neon library.

use std::fmt::Write as _;
use std::time::Duration;

use harness::{Program, SPECIAL_NAMES, Steps, World, noise};

use crate::local::{Local, Scale, read, same};

#[tokio::test]
async fn a_session_over_http() {
    let world = World::start().await;
    let local = Local::new(&world, Scale::FULL);
    let dav = world.alice();
    let mut steps = Steps::new("cadaver");
    let tree = local.tree();

    let mut commands = String::from("mkcol tree\ncd tree\n");
    let mut say = |line: String| writeln!(commands, "{line}").expect("a String takes it");
    say(format!("lcd {}", tree.display()));
    for name in SPECIAL_NAMES.into_iter().chain(["empty.bin", "big.bin"]) {
        let name = quoted(name);
        say(format!("put {name} {name}"));
    }
    say("mkcol deep".to_owned());
    for level in 1..=local.scale.deep {
        let path = (1..=level).fold("deep".to_owned(), |path, level| format!("{path}/{level}"));
        say(format!("mkcol {path}"));
    }
    let bottom = format!("{}/bottom.txt", local.deep_path());
    say(format!("put {bottom} {bottom}"));
    say("mkcol many".to_owned());
    say("cd many".to_owned());
    say(format!("lcd {}", tree.join("many").display()));
    say("mput *.txt".to_owned());
    let output = run(&world, &local, &commands).await;
    steps.check("upload", !output.contains("failed"), &output);
    same(&mut steps, "all is as uploaded", &dav, &tree, "/tree").await;

    let listing = run(&world, &local, "ls tree\nls tree/many\n").await;
    for name in SPECIAL_NAMES {
        steps.check("listed", listing.contains(name), name);
    }
    let entries = (0..local.scale.many)
        .filter(|number| listing.contains(&format!("{number:04}.txt")))
        .count();
    steps.equal("entries", entries, local.scale.many);

    download(&world, &local, &mut steps).await;
    change(&world, &local, &mut steps).await;
    lock(&world, &local, &mut steps).await;
    steps.finish();
}

async fn download(world: &World, local: &Local, steps: &mut Steps) {
    let got = local.path("got");
    std::fs::create_dir_all(&got).expect("our own folder can be written");
    let mut commands = format!("lcd {}\ncd tree\n", got.display());
    for name in SPECIAL_NAMES.into_iter().chain(["empty.bin", "big.bin"]) {
        let name = quoted(name);
        writeln!(commands, "get {name} {name}").expect("a String takes it");
    }
    let output = run(world, local, &commands).await;
    for name in SPECIAL_NAMES.into_iter().chain(["empty.bin", "big.bin"]) {
        let same = read(&got.join(name)) == read(&local.tree().join(name));
        steps.check(name, same, &output);
    }
}

async fn change(world: &World, local: &Local, steps: &mut Steps) {
    let dav = world.alice();
    let content = noise(2, 50_000);
    local.file("new.bin", &content);
    let output = run(
        world,
        local,
        "put new.bin tree/a+b.txt\n\
         move tree/a+b.txt tree/moved.txt\n\
         move tree/moved.txt tree/MOVED.txt\n\
         copy tree/MOVED.txt tree/copied.txt\n\
         copy tree/deep copy\n\
         propset tree/copied.txt colour blue\n\
         propget tree/copied.txt colour\n\
         propnames tree/copied.txt\n",
    )
    .await;
    steps.check("changes", !output.contains("failed"), &output);
    steps.check(
        "property",
        output.contains("Value of colour is: blue"),
        &output,
    );
    steps.check(
        "overwritten",
        dav.get("/tree/copied.txt").await == content,
        "other content",
    );
    let names = dav.names("/tree").await;
    let has = |name: &str| names.iter().any(|other| other == name);
    steps.check(
        "renamed in case only",
        has("MOVED.txt") && !has("moved.txt"),
        &names,
    );
    let output = run(world, local, "delete tree/MOVED.txt\nrmcol copy\n").await;
    steps.check("deletes", !output.contains("failed"), &output);
    steps.equal(
        "file deleted",
        dav.head("/tree/MOVED.txt").await.status(),
        404,
    );
    steps.equal("folder deleted", dav.head("/copy").await.status(), 404);
}

async fn lock(world: &World, local: &Local, steps: &mut Steps) {
    let dav = world.alice();
    local.file("locked.txt", b"under lock");
    // The lock is held by one run and must keep others out of the file until that run ends it.
    let output = run(
        world,
        local,
        "lock tree/copied.txt\n\
         discover tree/copied.txt\n\
         put locked.txt tree/copied.txt\n\
         showlocks\n\
         unlock tree/copied.txt\n\
         put locked.txt tree/copied.txt\n\
         lock tree/copied.txt\n",
    )
    .await;
    steps.check("locks", !output.contains("failed"), &output);
    steps.check("owner", output.contains("exclusive"), &output);
    steps.check(
        "written",
        dav.get("/tree/copied.txt").await == "under lock",
        &output,
    );
    let locked = dav.put("/tree/copied.txt", "from another").await.status();
    steps.equal("others are kept out", locked, 423);
}

async fn run(world: &World, local: &Local, commands: &str) -> String {
    let alice = World::alice_user();
    let home = local.path("home");
    std::fs::create_dir_all(&home).expect("our own folder can be written");
    let netrc = format!("default login {} password {}\n", alice.name, alice.password);
    std::fs::write(home.join(".netrc"), netrc).expect("our own folder can be written");
    Program::new("cadaver")
        .arg(world.drive_url())
        .env("HOME", &home)
        .env("COLUMNS", "500")
        .dir(local.path(""))
        .stdin(commands)
        .deadline(Duration::from_mins(3))
        .run()
        .await
        .all()
}

/// cadaver's own quoting: within double quotes a backslash keeps the next character.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}
