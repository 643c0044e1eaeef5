//! curl, as people script it.

use std::fmt::Write as _;

use harness::{Output, Program, SPECIAL_NAMES, Setup, Steps, World, encode_path};

use crate::local::{Local, Scale, read, same};

#[tokio::test]
async fn a_session_over_http() {
    session(&World::start().await, Scale::FULL).await;
}

#[tokio::test]
async fn a_session_over_tls() {
    session(&Setup::default().tls().start().await, Scale::SMALL).await;
}

struct Curl {
    drive: String,
}

impl Curl {
    fn program() -> Program {
        let alice = World::alice_user();
        Program::new("curl")
            .args(["--silent", "--show-error", "--insecure", "--noproxy", "*"])
            .args(["--user", &format!("{}:{}", alice.name, alice.password)])
            .args(["--write-out", "%{stderr}%{http_code}"])
    }

    fn url(&self, path: &str) -> String {
        format!("{}{}", self.drive, encode_path(path))
    }

    async fn run(&self, arguments: &[&str], path: &str) -> Output {
        Self::program()
            .args(arguments)
            .arg(self.url(path))
            .run()
            .await
    }

    /// The status of a request whose body does not matter.
    async fn status(&self, arguments: &[&str], path: &str) -> String {
        self.run(&[arguments, &["--output", "/dev/null"]].concat(), path)
            .await
            .stderr
    }
}

async fn session(world: &World, scale: Scale) {
    let local = Local::new(world, scale);
    let curl = Curl {
        drive: world.drive_url(),
    };
    let dav = world.alice();
    let mut steps = Steps::new("curl");

    upload(&curl, &local, &mut steps).await;
    same(
        &mut steps,
        "all is as uploaded",
        &dav,
        &local.tree(),
        "/tree",
    )
    .await;
    download(&curl, &local, &mut steps).await;
    change(&curl, &local, &mut steps).await;
    lock(&curl, &local, &mut steps).await;
    steps.finish();
}

async fn upload(curl: &Curl, local: &Local, steps: &mut Steps) {
    for folder in ["tree", "tree/many", "tree/deep"] {
        steps.equal(folder, curl.status(&["-X", "MKCOL"], folder).await, "201");
    }
    steps.equal(
        "mkcol again",
        curl.status(&["-X", "MKCOL"], "tree").await,
        "405",
    );
    let mut deep = "tree/deep".to_owned();
    for level in 1..=local.scale.deep {
        write!(deep, "/{level}").expect("writing to a String cannot fail");
        steps.equal(
            "mkcol deep",
            curl.status(&["-X", "MKCOL"], &deep).await,
            "201",
        );
    }
    let tree = local.tree();
    let put = async |name: &str| {
        let file = tree.join(name);
        let file = file.to_str().expect("our own paths are UTF-8");
        curl.status(&["-T", file], &format!("tree/{name}")).await
    };
    for name in SPECIAL_NAMES {
        steps.equal(name, put(name).await, "201");
    }
    let bottom = format!("{}/bottom.txt", local.deep_path());
    steps.equal("deep file", put(&bottom).await, "201");
    steps.equal("empty file", put("empty.bin").await, "201");
    steps.equal("big file", put("big.bin").await, "201");

    // One process, one connection.
    let mut config = String::new();
    for number in 0..local.scale.many {
        let name = Local::many_path(number);
        let file = tree.join(&name);
        let url = curl.url(&format!("tree/{name}"));
        writeln!(
            config,
            "upload-file = \"{}\"\nurl = \"{url}\"",
            file.display()
        )
        .expect("writing to a String cannot fail");
    }
    let config = local.file("many.curl", config.as_bytes());
    let many = Curl::program().arg("--config").arg(config).run().await;
    let created = "201".repeat(local.scale.many);
    steps.check("many files", many.stderr == created, &many);
}

async fn download(curl: &Curl, local: &Local, steps: &mut Steps) {
    let tree = local.tree();
    let got = local.path("got.bin");
    let output = got.to_str().expect("our own paths are UTF-8");
    for name in SPECIAL_NAMES.into_iter().chain(["empty.bin", "big.bin"]) {
        let _ = std::fs::remove_file(&got);
        let answer = curl
            .run(&["--output", output], &format!("tree/{name}"))
            .await;
        steps.equal(name, answer.stderr, "200");
        steps.check(
            name,
            read(&got) == read(&tree.join(name)) || name == "empty.bin",
            name,
        );
    }
    let whole = read(&tree.join("big.bin"));
    std::fs::write(&got, &whole[..1_000_000]).expect("our own folder can be written");
    let answer = curl
        .run(&["--continue-at", "-", "--output", output], "tree/big.bin")
        .await;
    steps.equal("resumed download", answer.stderr, "206");
    steps.check(
        "resumed download is whole",
        read(&got) == whole,
        "other content",
    );
    let range = curl.run(&["--range", "5-9"], "tree/big.bin").await;
    steps.equal("range", range.stderr, "206");

    let etag = local.path("etag");
    let etag = etag.to_str().expect("our own paths are UTF-8");
    let path = "tree/a+b.txt";
    steps.equal(
        "first",
        curl.status(&["--etag-save", etag], path).await,
        "200",
    );
    steps.equal(
        "unchanged",
        curl.status(&["--etag-compare", etag], path).await,
        "304",
    );
    let listing = curl
        .run(&["-X", "PROPFIND", "-H", "Depth: 1"], "tree/many")
        .await;
    steps.equal("listing", &*listing.stderr, "207");
    let entries = listing.stdout.matches("response>").count() / 2;
    steps.equal("entries", entries, local.scale.many + 1);
    let body = "<propfind xmlns='DAV:'><prop><quota-available-bytes/></prop></propfind>";
    let quota = curl
        .run(&["-X", "PROPFIND", "-H", "Depth: 0", "-d", body], "")
        .await;
    steps.check(
        "free space",
        quota.stdout.contains("quota-available-bytes"),
        &quota,
    );
}

async fn change(curl: &Curl, local: &Local, steps: &mut Steps) {
    let file = local.file("new.txt", b"new content");
    let file = file.to_str().expect("our own paths are UTF-8");
    steps.equal(
        "overwrite",
        curl.status(&["-T", file], "tree/a+b.txt").await,
        "204",
    );
    steps.equal(
        "read back",
        curl.run(&[], "tree/a+b.txt").await.stdout,
        "new content",
    );
    let piped = Curl::program()
        .args(["-T", "-", "--output", "/dev/null"])
        .arg(curl.url("tree/piped.txt"))
        .stdin("without a length")
        .run()
        .await;
    steps.equal("chunked upload", piped.stderr, "201");
    steps.equal(
        "read back",
        curl.run(&[], "tree/piped.txt").await.stdout,
        "without a length",
    );
    let asked = ["--anyauth", "-T", file];
    steps.equal(
        "log in when asked",
        curl.status(&asked, "tree/asked.txt").await,
        "201",
    );

    let to = |path: &str| format!("Destination: {}", curl.url(path));
    let (moved, copied) = (to("tree/moved.txt"), to("tree/copied.txt"));
    let rename = ["-X", "MOVE", "-H", &moved];
    steps.equal(
        "rename",
        curl.status(&rename, "tree/piped.txt").await,
        "201",
    );
    let upper = to("tree/MOVED.txt");
    let rename = ["-X", "MOVE", "-H", &upper];
    steps.equal(
        "rename in case only",
        curl.status(&rename, "tree/moved.txt").await,
        "201",
    );
    steps.equal("old name", curl.status(&[], "tree/moved.txt").await, "404");
    let copy = ["-X", "COPY", "-H", &copied];
    steps.equal("copy", curl.status(&copy, "tree/MOVED.txt").await, "201");
    steps.equal(
        "copied",
        curl.run(&[], "tree/copied.txt").await.stdout,
        "without a length",
    );
    let copied = to("copy");
    let copy = ["-X", "COPY", "-H", &copied];
    steps.equal("copy the folder", curl.status(&copy, "tree").await, "201");
    steps.equal(
        "delete a file",
        curl.status(&["-X", "DELETE"], "tree/copied.txt").await,
        "204",
    );
    steps.equal(
        "delete the folder",
        curl.status(&["-X", "DELETE"], "tree").await,
        "204",
    );
    steps.equal("gone", curl.status(&[], "tree/MOVED.txt").await, "404");
    let moved = curl.run(&[], "copy/MOVED.txt").await;
    steps.equal("the copy is left", moved.stdout, "without a length");
}

async fn lock(curl: &Curl, local: &Local, steps: &mut Steps) {
    let file = local.file("locked.txt", b"under lock");
    let file = file.to_str().expect("our own paths are UTF-8");
    let headers = local.path("headers");
    let headers = headers.to_str().expect("our own paths are UTF-8");
    let body = "<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope>\
                <locktype><write/></locktype></lockinfo>";
    let lock = [
        "-X",
        "LOCK",
        "-H",
        "Timeout: Second-300",
        "-d",
        body,
        "-D",
        headers,
    ];
    steps.equal("lock", curl.status(&lock, "copy/a+b.txt").await, "200");
    let head = String::from_utf8_lossy(&read(headers.as_ref())).into_owned();
    let token = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("lock-token"))
        .map(|(_, token)| token.to_owned())
        .unwrap_or_default();
    steps.equal(
        "write without the token",
        curl.status(&["-T", file], "copy/a+b.txt").await,
        "423",
    );
    let with_token = format!("If: ({token})");
    let put = ["-T", file, "-H", &with_token];
    steps.equal(
        "write with the token",
        curl.status(&put, "copy/a+b.txt").await,
        "204",
    );
    let with_token = format!("Lock-Token: {token}");
    let unlock = ["-X", "UNLOCK", "-H", &with_token];
    steps.equal("unlock", curl.status(&unlock, "copy/a+b.txt").await, "204");
    steps.equal(
        "write again",
        curl.status(&["-T", file], "copy/a+b.txt").await,
        "204",
    );
}
