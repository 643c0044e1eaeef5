//! The files a session works with, and comparing them with what the server has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use harness::{Dav, Output, Program, SPECIAL_NAMES, Steps, World, noise, sha256_hex};

/// How much a session moves.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    pub big_bytes: usize,
    pub many: usize,
    pub deep: usize,
}

impl Scale {
    /// The whole session.
    pub const FULL: Self = Self {
        big_bytes: 100_000_000,
        many: 2_000,
        deep: 20,
    };
    /// The same steps with less in them, for a second transport.
    pub const SMALL: Self = Self {
        big_bytes: 3_000_000,
        many: 30,
        deep: 5,
    };
}

/// A folder `tree` to upload, with:
///
/// - every name of [`SPECIAL_NAMES`], each holding its own name;
/// - `empty.bin` and `big.bin`;
/// - `deep/1/2/…/bottom.txt`;
/// - `many/0000.txt` and so on.
pub struct Local {
    pub scale: Scale,
    folder: PathBuf,
}

impl Local {
    pub fn new(world: &World, scale: Scale) -> Self {
        let folder = world.scratch();
        let local = Self { scale, folder };
        let tree = local.tree();
        let write = |path: &Path, content: &[u8]| {
            std::fs::write(path, content).expect("our own folder can be written");
        };
        let make = |path: &Path| {
            std::fs::create_dir_all(path).expect("our own folder can be written");
        };
        make(&tree);
        for name in SPECIAL_NAMES {
            write(&tree.join(name), name.as_bytes());
        }
        write(&tree.join("empty.bin"), b"");
        write(&tree.join("big.bin"), &noise(1, scale.big_bytes));
        let bottom = tree.join(local.deep_path());
        make(&bottom);
        write(&bottom.join("bottom.txt"), b"bottom");
        make(&tree.join("many"));
        for number in 0..scale.many {
            let content = format!("file number {number}");
            write(&tree.join(Self::many_path(number)), content.as_bytes());
        }
        local
    }

    /// The folder to upload.
    pub fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// A path beside the folder to upload.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// `deep/1/2/…`, relative to the tree.
    pub fn deep_path(&self) -> String {
        (1..=self.scale.deep).fold("deep".to_owned(), |path, level| format!("{path}/{level}"))
    }

    /// `many/0000.txt` and so on, relative to the tree.
    pub fn many_path(number: usize) -> String {
        format!("many/{number:04}.txt")
    }

    /// Writes a file beside the tree and says where.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("our own folder can be written");
        path
    }
}

/// Uploads a local folder as the folder `remote`, by our own client.
pub async fn upload(dav: &Dav, from: &Path, remote: &str) {
    dav.mkcol(remote).await.must_be(201);
    for name in names(from) {
        let (from, remote) = (from.join(&name), format!("{remote}/{name}"));
        if from.is_dir() {
            Box::pin(upload(dav, &from, &remote)).await;
        } else {
            dav.put(&remote, read(&from)).await.must_be(201);
        }
    }
}

/// Records each step that a script has printed as `ok STEP` or `FAILED STEP: REASON`, and its end.
pub fn reported(steps: &mut Steps, output: &Output) {
    for line in output.stdout.lines() {
        if let Some(failed) = line.strip_prefix("FAILED ") {
            steps.check("step", false, failed);
        } else if let Some(step) = line.strip_prefix("ok ") {
            steps.check(step, true, "");
        }
    }
    steps.check("exit", output.succeeded(), output);
}

/// Fetches the server's certificate into a file, for a client that is to trust it.
pub async fn certificate(world: &World, to: &Path) {
    let address = world.address().trim_start_matches("https://");
    let output = Program::new("openssl")
        .args(["s_client", "-showcerts", "-connect", address])
        .run()
        .await;
    let begin = output
        .stdout
        .find("-----BEGIN")
        .expect("the server has a certificate");
    let end = "-----END CERTIFICATE-----\n";
    let length = output.stdout[begin..]
        .find(end)
        .expect("a certificate has an end")
        + end.len();
    std::fs::write(to, &output.stdout[begin..begin + length]).expect("our own folder");
}

/// Reads a local file.
pub fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| format!("({error})").into_bytes())
}

/// What differs between two local folders.
pub fn local_differences(expected: &Path, got: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let (names, others) = (names(expected), names(got));
    for name in names.symmetric_difference(&others) {
        let side = if names.contains(name) { "lacks" } else { "has" };
        found.push(format!("{} {side} {name:?}", got.display()));
    }
    for name in names.intersection(&others) {
        let (expected, got) = (expected.join(name), got.join(name));
        if expected.is_dir() {
            found.extend(local_differences(&expected, &got));
        } else if sha256_hex(&read(&expected)) != sha256_hex(&read(&got)) {
            found.push(format!("{} has other content", got.display()));
        }
    }
    found.truncate(10);
    found
}

/// What differs between a local folder and the folder `remote` of the drive.
pub async fn differences(dav: &Dav, expected: &Path, remote: &str) -> Vec<String> {
    let mut found = Vec::new();
    let listing = dav
        .request("PROPFIND", remote)
        .header("Depth", "1")
        .send()
        .await;
    if listing.status() != 207 {
        return vec![format!("{remote} cannot be listed: {}", listing.status())];
    }
    let names = names(expected);
    let others: BTreeSet<String> = dav.names(remote).await.into_iter().collect();
    for name in names.symmetric_difference(&others) {
        let side = if names.contains(name) { "lacks" } else { "has" };
        found.push(format!("{remote} {side} {name:?}"));
    }
    for name in names.intersection(&others) {
        let (expected, remote) = (expected.join(name), format!("{remote}/{name}"));
        if expected.is_dir() {
            found.extend(Box::pin(differences(dav, &expected, &remote)).await);
        } else {
            let got = dav.get(&remote).await;
            if got.status() != 200 || sha256_hex(&got.body) != sha256_hex(&read(&expected)) {
                found.push(format!(
                    "{remote} has other content: {}, {} bytes",
                    got.status(),
                    got.body.len()
                ));
            }
        }
    }
    found.truncate(10);
    found
}

/// Records whether the drive's folder `remote` holds just what the local one does.
pub async fn same(steps: &mut Steps, step: &str, dav: &Dav, expected: &Path, remote: &str) {
    let found = differences(dav, expected, remote).await;
    steps.check(step, found.is_empty(), found);
}

/// Records whether a local folder holds just what another does.
pub fn same_locally(steps: &mut Steps, step: &str, expected: &Path, got: &Path) {
    let found = local_differences(expected, got);
    steps.check(step, found.is_empty(), found);
}

fn names(folder: &Path) -> BTreeSet<String> {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
