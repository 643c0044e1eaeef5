//! A long upload of several requests, interrupted again and again: by its client, whose connection
//! breaks, and by kills of the daemon. It goes on each time where it is, and ends with the right
//! digest.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Dav, Wire, World, noise};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};

use crate::{scale, seed};

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_interrupted_again_and_again_ends_with_the_right_digest() {
    let size = scale("COFFER_TUS_MIB", 160) * MIB;
    let interruptions = scale("COFFER_TUS_INTERRUPTIONS", 6);
    let mut rng = StdRng::seed_from_u64(seed());
    let mut world = World::start().await;
    let at = begin(&world.alice(), size).await;
    let (mut sent_bytes, mut taking) = (0, Duration::ZERO);
    for round in 0..=interruptions {
        let from = offset(&world.alice(), &at).await;
        // Somewhere in this round's share; the last one goes to the end.
        let share = size / (interruptions + 1);
        let to = if round == interruptions {
            size
        } else {
            rng.random_range(from..from.max(share * (round + 1)) + 1)
                .min(size - 1)
        };
        let began = Instant::now();
        let mut wire = patch(&world, &at, from, size).await;
        send(&mut wire, from, to).await;
        sent_bytes += to - from;
        if to == size {
            let answer = wire.answer().await.expect("an answer").must_be(204);
            taking += began.elapsed();
            assert_eq!(answer.etag(), format!("\"{}\"", digest(size)));
            break;
        }
        let is_kill = round % 2 == 1;
        if is_kill {
            world.kill().await;
        }
        drop(wire);
        taking += began.elapsed();
        if is_kill {
            world.revive().await;
        }
        let kept = offset(&world.alice(), &at).await;
        assert!((from..=to).contains(&kept), "{from} {kept} {to}");
        let by = if is_kill { "a kill" } else { "the client" };
        eprintln!("tus: {by} at {} MiB, {} MiB are kept", to / MIB, kept / MIB);
    }
    let found = download(&world.alice()).await;
    assert_eq!(found, digest(size));
    let checked = world.cli(&["check", "--contents"], "").await;
    assert!(checked.status.success(), "{checked:?}");
    eprintln!(
        "tus: {} MiB with {interruptions} interruptions, {} MiB were sent, in {:.1} s",
        size / MIB,
        sent_bytes / MIB,
        taking.as_secs_f64()
    );
}

async fn begin(who: &Dav, size: u64) -> String {
    let request = who.request_at("POST", "/api/v1/uploads").headers(&[
        ("Tus-Resumable", "1.0.0"),
        ("Upload-Length", &size.to_string()),
        (
            "Upload-Metadata",
            &format!("filename {}", STANDARD.encode("long.bin")),
        ),
    ]);
    let begun = request.send().await.must_be(201);
    begun.header("location").to_owned()
}

/// What of it is kept. A daemon may still be writing down what a broken connection has brought.
async fn offset(who: &Dav, at: &str) -> u64 {
    let request = who.request_at("HEAD", at);
    let answer = request.header("Tus-Resumable", "1.0.0").send().await;
    let answer = answer.must_be(204);
    answer.header("upload-offset").parse().expect("a number")
}

/// Begins to bring the rest.
async fn patch(world: &World, at: &str, from: u64, size: u64) -> Wire {
    let alice = World::alice_user();
    let lines = [
        format!("PATCH {at} HTTP/1.1"),
        "Host: localhost".to_owned(),
        format!(
            "Authorization: {}",
            Wire::basic(&alice.name, &alice.password)
        ),
        "Tus-Resumable: 1.0.0".to_owned(),
        "Content-Type: application/offset+octet-stream".to_owned(),
        format!("Upload-Offset: {from}"),
        format!("Content-Length: {}", size - from),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut wire = world.wire().await;
    assert!(wire.send_head(&lines).await);
    wire
}

async fn send(wire: &mut Wire, from: u64, to: u64) {
    let mut at = from;
    while at < to {
        let piece = piece(at / MIB);
        let skip = at % MIB;
        let end = MIB.min(skip + to - at);
        let [skip, end] = [skip, end].map(|at| usize::try_from(at).expect("within a MiB"));
        assert!(wire.send(&piece[skip..end]).await);
        at += (end - skip) as u64;
    }
}

/// The content, a MiB at a time.
fn piece(number: u64) -> Vec<u8> {
    noise(5000 + number, 1 << 20)
}

fn digest(size: u64) -> String {
    let mut hash = Sha256::new();
    for number in 0..size / MIB {
        hash.update(piece(number));
    }
    hex(&hash.finalize())
}

async fn download(who: &Dav) -> String {
    let mut answer = who.request("GET", "/long.bin").stream().await;
    assert_eq!(answer.status().as_u16(), 200);
    let mut hash = Sha256::new();
    while let Some(frame) = answer.chunk().await.expect("a whole body") {
        hash.update(&frame);
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}
