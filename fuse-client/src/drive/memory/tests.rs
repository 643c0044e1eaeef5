use std::io::Write as _;
use std::sync::Arc;

use futures_util::{FutureExt as _, TryStreamExt as _};

use super::*;

fn at(path: &str) -> DrivePath {
    other::at(path)
}

fn source(bytes: &[u8]) -> Source {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Source::new(Arc::new(file), 0..bytes.len() as u64)
}

async fn write(
    drive: &MemoryDrive,
    path: &str,
    bytes: &[u8],
    condition: &Condition,
) -> Result<Stored> {
    let kept = Attributes::default();
    drive
        .write(&at(path), source(bytes), condition, &kept)
        .await
}

async fn read(drive: &MemoryDrive, path: &str, range: Range<u64>) -> Result<Vec<u8>> {
    let frames = drive.read(&at(path), None, range).await?;
    let frames: Vec<Bytes> = frames.try_collect().await?;
    Ok(frames.concat())
}

#[tokio::test]
async fn conditions_protect_what_others_wrote() {
    let drive = MemoryDrive::extended();
    let first = write(&drive, "/a", b"one", &Condition::Absent)
        .await
        .unwrap();
    let again = write(&drive, "/a", b"two", &Condition::Absent).await;
    assert!(matches!(again, Err(Error::Conflict { .. })));
    drive.as_other().write("/a", "theirs").unwrap();
    let known = Condition::Unchanged(first.etag.unwrap());
    let lost = write(&drive, "/a", b"mine", &known).await;
    assert!(matches!(lost, Err(Error::Conflict { .. })));
    assert_eq!(drive.as_other().read("/a").unwrap(), "theirs");
}

#[tokio::test]
async fn an_answer_is_lost_before_or_after_the_change() {
    let drive = MemoryDrive::extended();
    for (fault, done) in [
        (Fault::UnreachableBefore, false),
        (Fault::UnreachableAfter, true),
    ] {
        drive.fail_next(Some(Verb::MakeFolder), fault);
        let path = at(&format!("/{done}"));
        let answer = drive.make_folder(&path, &Attributes::default()).await;
        assert!(matches!(answer, Err(Error::Unreachable { .. })));
        assert_eq!(drive.stat(&path).await.is_ok(), done);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_costs_the_deadline_and_a_held_call_waits() {
    let drive = MemoryDrive::extended();
    drive.fail_next(None, Fault::Silent { done: false });
    let began = tokio::time::Instant::now();
    assert!(drive.space().await.is_err());
    assert_eq!(began.elapsed(), DEADLINE);

    drive.fail_next(None, Fault::HeldAfter);
    let other = drive.clone();
    let mut held = tokio::spawn(async move { other.space().await });
    let hour = Duration::from_hours(1);
    assert!(tokio::time::timeout(hour, &mut held).await.is_err());
    drive.release();
    assert!(held.await.unwrap().is_ok());
}

#[tokio::test]
async fn bodies_are_cut_and_spoiled() {
    let drive = MemoryDrive::extended();
    drive.as_other().write("/a", "abcdef").unwrap();
    assert_eq!(read(&drive, "/a", 1..5).await.unwrap(), b"bcde");
    drive.fail_next(Some(Verb::Read), Fault::Cut);
    assert!(read(&drive, "/a", 0..6).await.is_err());
    drive.fail_next(Some(Verb::Read), Fault::Short);
    assert_eq!(read(&drive, "/a", 0..6).await.unwrap(), b"abc");
    drive.fail_next(Some(Verb::Read), Fault::Corrupt);
    assert_ne!(read(&drive, "/a", 0..6).await.unwrap(), b"abcdef");
}

/// Follows the changes to their end and keeps what they say.
async fn follow(
    drive: &MemoryDrive,
    token: &mut Option<SyncToken>,
    known: &mut std::collections::BTreeSet<String>,
) {
    loop {
        let changes = drive.changes(token.as_ref()).await.unwrap();
        let is_end = Some(&changes.token) == token.as_ref();
        for path in changes.removed {
            let below = format!("{path}/");
            known.retain(|other| *other != path.to_string() && !other.starts_with(&below));
        }
        known.extend(changes.changed.iter().map(|(path, _)| path.to_string()));
        *token = Some(changes.token);
        if is_end {
            return;
        }
    }
}

#[tokio::test]
async fn whoever_follows_the_changes_knows_every_path() {
    let drive = MemoryDrive::extended();
    drive.set_page(2);
    let other = drive.as_other();
    other.make_folder("/a").unwrap();
    other.make_folder("/a/b").unwrap();
    for name in ["/1", "/a/2", "/a/b/3", "/4"] {
        other.write(name, "content").unwrap();
    }
    let mut token = None;
    let mut known = std::collections::BTreeSet::new();
    let first = drive.changes(None).await.unwrap();
    assert!(first.more);
    known.extend(first.changed.iter().map(|(path, _)| path.to_string()));
    token.replace(first.token);
    other.rename("/a", "/0").unwrap();
    other.remove("/4").unwrap();
    follow(&drive, &mut token, &mut known).await;
    let expected: Vec<String> = other.everything().into_keys().collect();
    assert_eq!(known.iter().cloned().collect::<Vec<_>>(), expected);
    drive.expire_tokens();
    let expired = drive.changes(token.as_ref()).await;
    assert!(matches!(expired, Err(Error::TokenExpired)));
}

#[tokio::test]
async fn a_rename_over_a_folder_takes_all_that_is_in_it() {
    let drive = MemoryDrive::extended();
    let other = drive.as_other();
    other.make_folder("/a").unwrap();
    other.make_folder("/b").unwrap();
    let etag = other.listed("/b").unwrap().etag.unwrap();
    other.write("/b/new", "theirs").unwrap();
    let proven = Condition::Unchanged(etag);
    let lost = drive.rename(&at("/a"), &at("/b"), None, &proven).await;
    assert!(matches!(lost, Err(Error::Conflict { .. })));
    let blind = drive
        .rename(&at("/a"), &at("/b"), None, &Condition::Any)
        .await;
    assert!(blind.is_ok());
    assert_eq!(other.names("/b").unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn two_names_are_one_file() {
    let drive = MemoryDrive::extended();
    write(&drive, "/a", b"one", &Condition::Absent)
        .await
        .unwrap();
    drive.bind(&at("/a"), &at("/b"), None).await.unwrap();
    assert_eq!(drive.stat(&at("/b")).await.unwrap().links, Some(2));
    drive.as_other().write("/b", "two").unwrap();
    assert_eq!(drive.as_other().read("/a").unwrap(), "two");
    drive.remove_file(&at("/a"), None).await.unwrap();
    assert_eq!(drive.as_other().read("/b").unwrap(), "two");
}

#[tokio::test]
async fn the_quota_counts_what_is_there() {
    let drive = MemoryDrive::extended();
    drive.set_quota(Some(10));
    write(&drive, "/a", &[0; 8], &Condition::Absent)
        .await
        .unwrap();
    let full = write(&drive, "/b", &[0; 3], &Condition::Absent).await;
    assert!(matches!(full, Err(Error::NoSpace { .. })));
    assert_eq!(drive.space().await.unwrap().available_bytes, Some(2));
    write(&drive, "/a", &[0; 10], &Condition::Any)
        .await
        .unwrap();
}

#[tokio::test]
async fn notices_come_while_the_network_is_there() {
    let drive = MemoryDrive::extended();
    let mut watch = drive.watch();
    assert_eq!(watch.next().await, Some(Notice::Connected));
    drive.as_other().write("/a", "one").unwrap();
    assert_eq!(watch.next().await, Some(Notice::Changed));
    drive.set_online(false);
    assert_eq!(watch.next().await, Some(Notice::Lost));
    drive.as_other().write("/a", "two").unwrap();
    assert!(drive.stat(&at("/a")).await.is_err());
    assert_eq!(watch.next().now_or_never(), None);
    drive.set_online(true);
    assert_eq!(watch.next().await, Some(Notice::Connected));
    assert_eq!(MemoryDrive::plain().watch().next().await, None);
}

#[tokio::test]
async fn chance_is_the_same_for_a_seed() {
    let outcomes = |seed| async move {
        let drive = MemoryDrive::extended();
        drive.fail_by_chance(seed, 300, &[Fault::Busy, Fault::UnreachableAfter]);
        let mut outcomes = Vec::new();
        for _ in 0..50 {
            outcomes.push(drive.space().await.is_ok());
        }
        outcomes
    };
    let first = outcomes(1).await;
    assert_eq!(first, outcomes(1).await);
    assert_ne!(first, outcomes(2).await);
    assert!(first.contains(&true) && first.contains(&false));
}
