//! A file larger than memory should ever be.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use harness::{Program, World, noise};
use sha2::{Digest, Sha256};

use crate::scale;

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_up_and_down_whole_in_little_memory() {
    let size_mib = scale("COFFER_LARGE_FILE_MIB", 200);
    let world = World::start().await;
    let (up, down) = (
        world.scratch().join("up.bin"),
        world.scratch().join("down.bin"),
    );
    write_noise(&up, size_mib);
    let digest = digest_of(&up);
    let url = format!("{}large.bin", world.drive_url());

    // Log-in, pools and code pages are not what is measured.
    world
        .alice()
        .put("/warm.bin", noise(1, 1 << 20))
        .await
        .must_be(201);
    world.alice().get("/warm.bin").await.must_be(200);
    world.daemon().forget_peak();
    let before = world.daemon().resident_bytes();
    let began = Instant::now();
    let upload = |url: &str| curl().arg("-T").arg(&up).arg(url);
    upload(&url).run().await.success();
    let up_s = began.elapsed().as_secs_f64();
    let began = Instant::now();
    curl().arg("-o").arg(&down).arg(&url).run().await.success();
    let down_s = began.elapsed().as_secs_f64();
    let grown = world.daemon().peak_bytes().saturating_sub(before);
    assert_eq!(digest_of(&down), digest, "what comes back is what went in");
    let etag = world.alice().head("/large.bin").await.must_be(200).etag();
    assert_eq!(etag, format!("\"{digest}\""));

    let stored = stored_bytes(&world);
    change_middle(&up, size_mib * MIB / 2);
    upload(&url).run().await.success();
    let more = stored_bytes(&world) - stored;
    curl().arg("-o").arg(&down).arg(&url).run().await.success();
    assert_eq!(digest_of(&down), digest_of(&up));
    eprintln!(
        "large file: {size_mib} MiB up in {up_s:.1} s, down in {down_s:.1} s, memory grew by {} \
         MiB, a change of 1 MiB in the middle stored {} KiB more",
        grown / MIB,
        more / 1024
    );
    assert!(grown < 64 * MIB, "memory grew by {} MiB", grown / MIB);
    assert!(more < 32 * MIB, "{more} bytes more are stored");
}

/// "On the local disk it lies, as one file whatever its size, at `store/ab/abcdef…`."
#[tokio::test(flavor = "multi_thread")]
async fn a_long_content_is_published_as_one_file_in_little_memory() {
    let size_mib = scale("COFFER_STORE_MIB", 20);
    let mut world = World::start().await;
    let up = world.scratch().join("up.bin");
    let down = world.scratch().join("down.bin");
    write_noise(&up, size_mib);
    let digest = digest_of(&up);
    let warm = world.alice().request_at("POST", "/api/v1/store");
    warm.body(noise(1, 1 << 20)).send().await.must_be(201);

    world.daemon().forget_peak();
    let before = world.daemon().resident_bytes();
    let began = Instant::now();
    let store = format!("{}/api/v1/store", world.address());
    let post = curl().args(["-X", "POST", "-T"]).arg(&up).arg(&store);
    let answer = post.run().await.success().stdout;
    let up_s = began.elapsed().as_secs_f64();
    assert!(
        answer.contains(&format!("\"sha256\":\"{digest}\"")),
        "{answer}"
    );
    let grown = world.daemon().peak_bytes().saturating_sub(before);
    assert!(grown < 64 * MIB, "memory grew by {} MiB", grown / MIB);
    let file = world
        .data_dir()
        .join("store")
        .join(&digest[..2])
        .join(&digest);
    let sum = Program::new("sha256sum").arg(&file).run().await.success();
    assert_eq!(sum.stdout.split(' ').next(), Some(digest.as_str()));

    // The first reader after a start does not wait until all of it was looked at.
    world.restart().await;
    world.daemon().forget_peak();
    let before = world.daemon().resident_bytes();
    let url = format!("{}/api/v1/store/{digest}", world.address());
    let get = curl().args(["-w", "%{time_starttransfer} %{time_total}", "-o"]);
    let times = get.arg(&down).arg(&url).run().await.success().stdout;
    assert_eq!(digest_of(&down), digest);
    let grown_down = world.daemon().peak_bytes().saturating_sub(before);
    assert!(
        grown_down < 64 * MIB,
        "memory grew by {} MiB",
        grown_down / MIB
    );
    eprintln!(
        "published: {size_mib} MiB up in {up_s:.1} s, memory grew by {} MiB; down after a start in \
         {times} s to the first byte and to the last, memory grew by {} MiB",
        grown / MIB,
        grown_down / MIB
    );
}

fn curl() -> Program {
    let alice = World::alice_user();
    Program::new("curl")
        .args(["--silent", "--show-error", "--fail", "--noproxy", "*"])
        .args(["-u", &format!("{}:{}", alice.name, alice.password)])
        .deadline(Duration::from_mins(30))
}

fn stored_bytes(world: &World) -> u64 {
    world.blobs().iter().map(|(_, size_bytes)| size_bytes).sum()
}

fn write_noise(path: &Path, size_mib: u64) {
    let mut file = File::create(path).expect("our own folder can be written");
    for n in 0..size_mib {
        let piece = noise(1000 + n, 1 << 20);
        file.write_all(&piece).expect("there is room");
    }
}

fn change_middle(path: &Path, offset: u64) {
    let mut file = File::options()
        .write(true)
        .open(path)
        .expect("our own file");
    file.seek(SeekFrom::Start(offset)).expect("inside of it");
    file.write_all(&noise(3, 1 << 20)).expect("there is room");
}

fn digest_of(path: &Path) -> String {
    use std::fmt::Write as _;

    let mut file = File::open(path).expect("our own file");
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let count = file.read(&mut piece).expect("it can be read");
        if count == 0 {
            break;
        }
        hash.update(&piece[..count]);
    }
    hash.finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
            text
        })
}
