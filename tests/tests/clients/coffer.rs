//! `coffer`, our own command line.

use std::time::Duration;

use harness::{Output, Program, SPECIAL_NAMES, Steps, World, binary, encode_path, noise};

use crate::local::{Local, Scale, read, same};

struct Coffer {
    drive: String,
    password_file: String,
}

impl Coffer {
    /// Runs it; arguments that begin with a slash are paths in the drive.
    async fn run(&self, arguments: &[&str]) -> Output {
        let arguments = arguments
            .iter()
            .map(|argument| match argument.strip_prefix('/') {
                Some(path) => format!("{}{}", self.drive, encode_path(path)),
                None => (*argument).to_owned(),
            });
        Program::new(binary("coffer"))
            .args(arguments)
            .args(["--user", "alice", "--password-file", &self.password_file])
            .deadline(Duration::from_mins(1))
            .run()
            .await
    }

    async fn works(&self, steps: &mut Steps, arguments: &[&str]) -> Output {
        let output = self.run(arguments).await;
        steps.check(&arguments.join(" "), output.succeeded(), &output);
        output
    }

    async fn fails(&self, steps: &mut Steps, arguments: &[&str], reason: &str) {
        let output = self.run(arguments).await;
        let refused = output.code == Some(1) && output.stderr.contains(reason);
        steps.check(&arguments.join(" "), refused, &output);
    }
}

#[tokio::test]
async fn a_session_over_http() {
    let world = World::start().await;
    let scale = Scale {
        many: 20,
        ..Scale::FULL
    };
    let local = Local::new(&world, scale);
    let tree = local.tree();
    let password = World::alice_user().password;
    let password_file = local.file("password", format!("{password}\n").as_bytes());
    let coffer = Coffer {
        drive: world.drive_url(),
        password_file: password_file.display().to_string(),
    };
    let dav = world.alice();
    let mut steps = Steps::new("coffer");

    coffer
        .works(&mut steps, &["mkdir", "/tree", "/tree/many", "/tree/deep"])
        .await;
    for level in 1..=scale.deep {
        let path = (1..=level).fold("/tree/deep".to_owned(), |path, at| format!("{path}/{at}"));
        coffer.works(&mut steps, &["mkdir", &path]).await;
    }
    let many = (0..scale.many).map(Local::many_path);
    let bottom = format!("{}/bottom.txt", local.deep_path());
    let names = SPECIAL_NAMES
        .into_iter()
        .chain(["empty.bin", "big.bin", &bottom]);
    for name in names.map(str::to_owned).chain(many) {
        // A local path must not look like one in the drive.
        let file = format!("./{name}");
        let output = Program::new(binary("coffer"))
            .args([
                "put",
                &file,
                &format!("{}tree/{}", coffer.drive, encode_path(&name)),
            ])
            .args(["--user", "alice", "--password-file", &coffer.password_file])
            .dir(&tree)
            .run()
            .await;
        steps.check(&name, output.succeeded(), &output);
    }
    same(&mut steps, "all is as uploaded", &dav, &tree, "/tree").await;

    let listing = coffer
        .works(&mut steps, &["ls", "--json", "/tree"])
        .await
        .stdout;
    for name in SPECIAL_NAMES {
        let listed = listing
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .any(|line| line["name"] == name && line["size_bytes"] == name.len());
        steps.check("listed", listed, name);
    }
    let size = scale.big_bytes.to_string();
    let one = coffer.works(&mut steps, &["ls", "/tree/big.bin"]).await;
    steps.check("size", one.stdout.contains(&size), &one);
    let got = local.path("got.bin");
    let to = format!("{}", got.display());
    local.file("got.bin.part", b"somebody's own");
    for name in SPECIAL_NAMES.into_iter().chain(["empty.bin", "big.bin"]) {
        let url = format!("{}tree/{}", coffer.drive, encode_path(name));
        let output = Program::new(binary("coffer"))
            .args(["get", &url, &to, "--user", "alice"])
            .args(["--password-file", &coffer.password_file])
            .run()
            .await;
        steps.check(
            name,
            output.succeeded() && read(&got) == read(&tree.join(name)),
            &output,
        );
    }
    let other = std::fs::read(local.path("got.bin.part")).unwrap();
    steps.check("other files stay", other == b"somebody's own", &to);
    change(&coffer, &local, &mut steps).await;
    steps.finish();
}

async fn change(coffer: &Coffer, local: &Local, steps: &mut Steps) {
    local.file("new.bin", &noise(8, 70_000));
    let file = local.path("new.bin");
    let put = Program::new(binary("coffer"))
        .arg("put")
        .arg(&file)
        .arg(format!("{}new.bin", coffer.drive))
        .args(["--user", "alice", "--password-file", &coffer.password_file])
        .run()
        .await;
    steps.check("put", put.succeeded(), &put);
    coffer
        .works(steps, &["cp", "/tree/a+b.txt", "/copied.txt"])
        .await;
    coffer
        .works(steps, &["cp", "/new.bin", "/copied.txt"])
        .await;
    coffer
        .fails(
            steps,
            &["cp", "--no-clobber", "/new.bin", "/copied.txt"],
            "412",
        )
        .await;
    coffer
        .works(steps, &["mv", "/copied.txt", "/moved.txt"])
        .await;
    coffer
        .works(steps, &["mv", "/moved.txt", "/MOVED.txt"])
        .await;
    let read = coffer.works(steps, &["get", "/tree/a+b.txt"]).await.stdout;
    steps.equal("get to standard output", &*read, "a+b.txt");
    coffer.fails(steps, &["get", "/moved.txt"], "404").await;
    coffer.fails(steps, &["mkdir", "/tree"], "405").await;
    coffer
        .fails(steps, &["mkdir", "/missing/folder"], "409")
        .await;
    coffer.fails(steps, &["ls", "/missing"], "404").await;
    coffer
        .works(steps, &["rm", "/MOVED.txt", "/tree", "/new.bin"])
        .await;
    let left = coffer.works(steps, &["ls", "/"]).await.stdout;
    steps.equal("nothing is left", &*left, "");
    local.file("password", b"wrong");
    coffer.fails(steps, &["ls", "/"], "401").await;
}
