//! A folder of more entries than ZIP had room for when it was made, and one of too many.

use std::time::Instant;

use harness::{Dav, Program, World};

/// Checks each entry and prints how many there are.
const COUNT: &str = "
import sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
assert archive.testzip() is None
print(len(archive.infolist()))
";
/// Doubled ten times this is more than 65,535, and once more than 100,000.
const FIRST: usize = 70;
const DOUBLINGS: usize = 10;

/// Puts a copy of all there is in `/f` beside it.
async fn double(dav: &Dav, number: usize) {
    let copy = format!("/copy{number}");
    dav.copy("/f", &copy).await.must_be(201);
    let into = format!("/f{copy}");
    dav.rename(&copy, &into).await.must_be(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_more_than_65535_entries_is_zip64_and_one_of_100001_is_none() {
    let world = World::start().await;
    let dav = world.alice();
    dav.mkcol("/f").await.must_be(201);
    for number in 0..FIRST {
        dav.mkcol(&format!("/f/{number}")).await.must_be(201);
    }
    for number in 0..DOUBLINGS {
        double(&dav, number).await;
    }
    let entries = ((FIRST + 1) << DOUBLINGS) - 1;
    let began = Instant::now();
    let zip = || dav.request_at("GET", "/api/v1/files/zip?path=/f");
    let archive = zip().send().await.must_be(200);
    eprintln!(
        "archive: {entries} entries, {} bytes in {:?}",
        archive.body.len(),
        began.elapsed()
    );
    let path = world.scratch().join("archive.zip");
    std::fs::write(&path, &archive.body).expect("our own folder can be written");
    let counted = Program::new("python3").args(["-c", COUNT]).arg(&path);
    let counted = counted.run().await.success().stdout;
    assert_eq!(counted.trim(), entries.to_string());
    let listed = Program::new("unzip").arg("-Z1").arg(&path).run().await;
    assert_eq!(listed.success().stdout.lines().count(), entries);

    double(&dav, DOUBLINGS).await;
    let refused = zip().send().await.must_be(422);
    assert_eq!(refused.json()["code"], "limit_exceeded");
}
