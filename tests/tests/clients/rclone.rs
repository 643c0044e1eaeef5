//! rclone, as plain WebDAV (vendor `other`) and with what it asks of an ownCloud.

use std::time::Duration;

use harness::{Output, Program, SPECIAL_NAMES, Setup, Steps, World};

use crate::local::{Local, Scale, same, same_locally};

#[tokio::test]
async fn a_session_over_http() {
    session(&World::start().await, "other", Scale::FULL).await;
}

#[tokio::test]
async fn a_session_over_tls() {
    session(&Setup::default().tls().start().await, "other", Scale::SMALL).await;
}

#[tokio::test]
async fn a_session_as_owncloud_over_http() {
    // rclone waits 10 ms between requests, and the other session has 2,000 entries already.
    let scale = Scale {
        many: 100,
        ..Scale::FULL
    };
    session(&World::start().await, "owncloud", scale).await;
}

#[tokio::test]
async fn a_session_as_owncloud_over_tls() {
    session(
        &Setup::default().tls().start().await,
        "owncloud",
        Scale::SMALL,
    )
    .await;
}

/// Tells a program the remote `drive:` through its environment.
pub async fn with_remote(program: Program, world: &World, vendor: &str) -> Program {
    let alice = World::alice_user();
    let obscured = Program::new("rclone")
        .args(["obscure", &alice.password])
        .run()
        .await;
    program
        .env("RCLONE_CONFIG", "/dev/null")
        .env("RCLONE_CONFIG_DRIVE_TYPE", "webdav")
        .env("RCLONE_CONFIG_DRIVE_VENDOR", vendor)
        .env("RCLONE_CONFIG_DRIVE_URL", world.drive_url())
        .env("RCLONE_CONFIG_DRIVE_USER", &alice.name)
        .env("RCLONE_CONFIG_DRIVE_PASS", obscured.success().stdout.trim())
        .env("RCLONE_NO_CHECK_CERTIFICATE", "true")
        // A retry would hide a failure.
        .env("RCLONE_RETRIES", "1")
        .env("RCLONE_LOW_LEVEL_RETRIES", "1")
}

struct Rclone<'a> {
    world: &'a World,
    vendor: &'static str,
}

impl Rclone<'_> {
    async fn feed(&self, arguments: &[&str], stdin: &str) -> Output {
        let program = with_remote(Program::new("rclone"), self.world, self.vendor).await;
        program
            .args(arguments)
            .stdin(stdin)
            .deadline(Duration::from_mins(3))
            .run()
            .await
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        self.feed(arguments, "").await
    }

    async fn works(&self, steps: &mut Steps, arguments: &[&str]) -> Output {
        let output = self.run(arguments).await;
        steps.check(&arguments.join(" "), output.succeeded(), &output);
        output
    }
}

async fn session(world: &World, vendor: &'static str, scale: Scale) {
    let local = Local::new(world, scale);
    let tree = local.tree();
    let tree = tree.to_str().expect("our own paths are UTF-8");
    let rclone = Rclone { world, vendor };
    let dav = world.alice();
    let mut steps = Steps::new(&format!("rclone, vendor {vendor}"));

    rclone
        .works(&mut steps, &["copy", tree, "drive:tree"])
        .await;
    same(
        &mut steps,
        "all is as uploaded",
        &dav,
        &local.tree(),
        "/tree",
    )
    .await;
    let got = local.path("got");
    let to = got.to_str().expect("our own paths are UTF-8");
    rclone.works(&mut steps, &["copy", "drive:tree", to]).await;
    same_locally(&mut steps, "all is as downloaded", &local.tree(), &got);

    list(&rclone, &local, &mut steps).await;
    if vendor == "owncloud" {
        keep_checksums(&rclone, &local, &mut steps).await;
        keep_times(&rclone, &local, &mut steps).await;
    }
    change(&rclone, &mut steps).await;
    sync(&rclone, &local, &mut steps).await;
    rclone.works(&mut steps, &["purge", "drive:tree"]).await;
    steps.equal("nothing is left", dav.head("/tree").await.status(), 404);
    steps.finish();
}

async fn list(rclone: &Rclone<'_>, local: &Local, steps: &mut Steps) {
    let listing = rclone.works(steps, &["lsf", "drive:tree"]).await.stdout;
    for name in SPECIAL_NAMES {
        steps.check("listed", listing.lines().any(|line| line == name), name);
    }
    let many = rclone
        .works(steps, &["lsf", "drive:tree/many"])
        .await
        .stdout;
    steps.equal("entries", many.lines().count(), local.scale.many);
    let size = rclone
        .works(steps, &["size", "--json", "drive:tree/big.bin"])
        .await
        .stdout;
    let expected = format!("\"bytes\":{}", local.scale.big_bytes);
    steps.check("size", size.contains(&expected), size);
    let about = rclone.works(steps, &["about", "drive:"]).await.stdout;
    steps.check(
        "free space",
        about.contains("Free:") && about.contains("Used:"),
        about,
    );
}

async fn keep_times(rclone: &Rclone<'_>, local: &Local, steps: &mut Steps) {
    let old = local.file("old.txt", b"from long ago");
    let from = old.to_str().expect("our own paths are UTF-8");
    let touched = Program::new("touch")
        .args(["-d", "2001-02-03T04:05:06Z", from])
        .run()
        .await;
    steps.check("touch", touched.succeeded(), &touched);
    rclone
        .works(steps, &["copyto", from, "drive:tree/old.txt"])
        .await;
    let listing = rclone
        .works(steps, &["lsjson", "drive:tree/old.txt"])
        .await
        .stdout;
    steps.check(
        "time kept",
        listing.contains("2001-02-03T04:05:06"),
        listing,
    );
    let again = rclone
        .works(steps, &["copyto", "-v", from, "drive:tree/old.txt"])
        .await;
    steps.check("not sent again", !again.all().contains("Copied"), &again);
    let touched = Program::new("touch")
        .args(["-d", "2002-02-03T04:05:06Z", from])
        .run()
        .await;
    steps.check("touch", touched.succeeded(), &touched);
    rclone
        .works(steps, &["copyto", from, "drive:tree/old.txt"])
        .await;
    rclone
        .works(steps, &["deletefile", "drive:tree/old.txt"])
        .await;
}

/// rclone sends a SHA-1 with each upload, and compares by MD5.
async fn keep_checksums(rclone: &Rclone<'_>, local: &Local, steps: &mut Steps) {
    let tree = local.tree();
    let from = tree.to_str().expect("our own paths are UTF-8");
    let checked = rclone.works(steps, &["check", from, "drive:tree"]).await;
    // Where it has but sizes to compare, it calls that a success and says so.
    let by_size = checked.all().contains("could not be checked");
    steps.check("all were compared", !by_size, &checked);
    for algorithm in ["sha1", "md5"] {
        let mut sums = Vec::new();
        for place in [from, "drive:tree"] {
            let listed = rclone.works(steps, &["hashsum", algorithm, place]).await;
            let mut lines: Vec<_> = listed.stdout.lines().map(str::to_owned).collect();
            lines.sort();
            sums.push(lines);
        }
        steps.check(algorithm, !sums[0].is_empty() && sums[0] == sums[1], &sums);
    }
    let file = tree.join("a+b.txt");
    std::fs::write(&file, "A+B.TXT").expect("our own folder");
    let checked = rclone.run(&["check", from, "drive:tree"]).await;
    let found = !checked.succeeded() && checked.all().contains("1 differences found");
    steps.check("other bytes of the same length", found, &checked);
    std::fs::write(&file, "a+b.txt").expect("our own folder");
}

async fn change(rclone: &Rclone<'_>, steps: &mut Steps) {
    let piped = rclone
        .feed(&["rcat", "drive:tree/piped.txt"], "without a length")
        .await;
    steps.check("rcat", piped.succeeded(), &piped);
    let read = rclone
        .works(steps, &["cat", "drive:tree/piped.txt"])
        .await
        .stdout;
    steps.equal("cat", &*read, "without a length");
    let piped = rclone
        .feed(&["rcat", "drive:tree/piped.txt"], "overwritten")
        .await;
    steps.check("rcat over it", piped.succeeded(), &piped);
    let part = [
        "cat",
        "--offset",
        "4",
        "--count",
        "3",
        "drive:tree/piped.txt",
    ];
    let read = rclone.works(steps, &part).await.stdout;
    steps.equal("range", &*read, "wri");
    rclone
        .works(
            steps,
            &["moveto", "drive:tree/piped.txt", "drive:tree/moved.txt"],
        )
        .await;
    rclone
        .works(
            steps,
            &["moveto", "drive:tree/moved.txt", "drive:tree/MOVED.txt"],
        )
        .await;
    let names = rclone.works(steps, &["lsf", "drive:tree"]).await.stdout;
    let renamed = names.contains("MOVED.txt") && !names.contains("moved.txt");
    steps.check("renamed in case only", renamed, names);
    rclone
        .works(
            steps,
            &["copyto", "drive:tree/MOVED.txt", "drive:tree/copied.txt"],
        )
        .await;
    let read = rclone
        .works(steps, &["cat", "drive:tree/copied.txt"])
        .await
        .stdout;
    steps.equal("copied", &*read, "overwritten");
    rclone.works(steps, &["mkdir", "drive:new/and/deep"]).await;
    rclone
        .works(steps, &["moveto", "drive:new", "drive:newer"])
        .await;
    rclone.works(steps, &["rmdirs", "drive:newer"]).await;
    rclone
        .works(steps, &["deletefile", "drive:tree/MOVED.txt"])
        .await;
    rclone
        .works(steps, &["deletefile", "drive:tree/copied.txt"])
        .await;
}

async fn sync(rclone: &Rclone<'_>, local: &Local, steps: &mut Steps) {
    let tree = local.tree();
    let from = tree.to_str().expect("our own paths are UTF-8");
    std::fs::write(tree.join("a+b.txt"), "changed, and longer").expect("our own folder");
    std::fs::write(tree.join("added.txt"), "added").expect("our own folder");
    std::fs::remove_file(tree.join("100%.txt")).expect("our own folder");
    rclone.works(steps, &["sync", from, "drive:tree"]).await;
    let dav = rclone.world.alice();
    same(steps, "all is as synchronised", &dav, &tree, "/tree").await;
}
