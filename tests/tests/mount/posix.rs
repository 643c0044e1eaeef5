//! pjdfstest, a public suite of POSIX calls, against a list of the cases that fail, each with its
//! reason.
//!
//! The list can only shrink: a listed case that passes fails the test as well, but for those that are
//! said to fail sometimes. Needs root.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::elsewhere::Elsewhere;
use harness::{Mount, MountSetup, Output, Program, World, client_dir};

const FAILURES: &str = include_str!("pjdfstest-failures.txt");
/// On a server without hard links, attributes with content, or tokens of folders.
const FAILURES_ON_APACHE: &str = include_str!("pjdfstest-failures-apache.txt");

const SOMETIMES: &str = "sometimes: ";

/// Users that Debian always has, each with its own group.
const SETTINGS: &str = r#"
[features]
posix_fallocate = {}
rename_ctime = {}
utime_now = {}
utimensat = {}

[settings]
naptime = 0.01
allow_remount = false

[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"]]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pjdfstest_where_the_kernel_reads_and_writes_by_itself() {
    let world = World::start().await;
    let setup = MountSetup::new(&world, "mount").argument("-osuid,dev");
    suite(&world, setup.start().await, FAILURES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pjdfstest_where_all_goes_through_us() {
    let world = World::start().await;
    let setup = MountSetup::new(&world, "mount").argument("-osuid,dev");
    let mount = setup.argument("--no-passthrough").start().await;
    suite(&world, mount, FAILURES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pjdfstest_on_apache() {
    let world = World::start().await;
    let server = Elsewhere::apache().await;
    let setup = MountSetup::new(&world, "mount").argument("-osuid,dev");
    let mount = setup.url(server.url()).start().await;
    suite(&world, mount, FAILURES_ON_APACHE).await;
}

async fn suite(world: &World, mount: Mount, failures: &'static str) {
    // Other users must reach the mount.
    let folders = mount.point().ancestors().skip(1);
    for folder in folders.take_while(|folder| *folder != std::env::temp_dir()) {
        mode(folder, 0o755);
    }
    mode(mount.point(), 0o755);
    let settings = world.scratch().join("pjdfstest.toml");
    std::fs::write(&settings, SETTINGS).unwrap();
    let output = Program::new(client_dir().join("pjdfstest/bin/pjdfstest"))
        .env("NO_COLOR", "1")
        .arg("--configuration-file")
        .arg(settings)
        .arg("--secondary-fs")
        .arg(world.scratch())
        .arg("--path")
        .arg(mount.point())
        .deadline(Duration::from_mins(10))
        .run()
        .await;
    let results = results(&output);
    let of = |wanted: &str| -> BTreeSet<&str> {
        let named = results.iter().filter(|(_, (result, _))| *result == wanted);
        named.map(|(name, _)| *name).collect()
    };
    let (passed, failed) = (of("ok"), of("FAILED"));
    let skipped = of("skipped").len();
    eprintln!(
        "pjdfstest: {} passed, {} failed, {skipped} skipped",
        passed.len(),
        failed.len()
    );
    assert!(passed.len() >= 250, "most of the suite has run: {output:?}");
    let listed = listed(failures);
    let new: Vec<String> = failed
        .iter()
        .filter(|name| !listed.contains_key(*name))
        .map(|name| format!("{name}: {}", results[name].1))
        .collect();
    assert!(new.is_empty(), "fail and are not listed: {new:#?}");
    let mended: Vec<&&str> = listed
        .iter()
        .filter(|(name, reason)| passed.contains(*name) && !reason.starts_with(SOMETIMES))
        .map(|(name, _)| name)
        .collect();
    assert!(
        mended.is_empty(),
        "pass, so take them off the list: {mended:?}"
    );
    mount.sync().await;
}

/// The result of each case, with what was said of it.
fn results(output: &Output) -> BTreeMap<&str, (&str, String)> {
    let mut results = BTreeMap::new();
    let mut last = "";
    for line in output.stdout.lines() {
        if let Some(said) = line.strip_prefix('\t') {
            if let Some((_, text)) = results.get_mut(last) {
                *text = format!("{text} {said}");
            }
            continue;
        }
        let mut words = line.split_whitespace();
        if let (Some(name), Some(result @ ("ok" | "FAILED" | "skipped")), None) =
            (words.next(), words.next(), words.next())
        {
            last = name;
            results.insert(name, (result, String::new()));
        }
    }
    results
}

/// The list: `NAME  # REASON` in each line; the reason of a case that may also pass begins with
/// [`SOMETIMES`].
fn listed(failures: &'static str) -> BTreeMap<&'static str, &'static str> {
    let lines = failures.lines().filter(|line| !line.trim().is_empty());
    lines
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, reason) = line.split_once('#').unwrap_or((line, ""));
            assert!(reason.trim().len() > 10, "no reason is given: {line}");
            (name.trim(), reason.trim())
        })
        .collect()
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .expect("our own folder's mode can be set");
}
