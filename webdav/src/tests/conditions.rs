use http::StatusCode;
use store::{Condition, NewLock, Path};

use super::Drive;

async fn lock(drive: &Drive, path: &str, token: &str, is_deep: bool) {
    let new = NewLock {
        token: token.to_owned(),
        is_exclusive: true,
        is_deep,
        owner_xml: None,
        timeout_s: 600,
    };
    let path = Path::parse(path).unwrap();
    let locked = drive
        .store
        .lock(&drive.caller, &path, new, Condition::default());
    locked.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_entity_tag_changes_nothing() {
    let drive = Drive::new().await;
    let first = drive.put("/dav/a", b"one").await;
    let second = drive.put("/dav/a", b"two").await;
    let put = async |field: &str, value: &str| {
        drive
            .ask("PUT", "/dav/a", &[(field, value)], b"x")
            .await
            .status
    };
    let failed = StatusCode::PRECONDITION_FAILED;
    assert_eq!(put("if-match", first.field("etag")).await, failed);
    assert_eq!(put("if-none-match", "*").await, failed);
    assert_eq!(
        put("if", &format!("([{}])", first.field("etag"))).await,
        failed
    );
    assert_eq!(put("if", "(<urn:uuid:dead>)").await, failed);
    let elsewhere = format!("</dav/b> ([{}])", second.field("etag"));
    assert_eq!(put("if", &elsewhere).await, failed);
    assert_eq!(drive.get("/dav/a").await, "two");

    assert_eq!(
        put("if-none-match", "JoplinIgnore-1").await,
        StatusCode::NO_CONTENT
    );
    let there = drive.put("/dav/b", b"three").await;
    let elsewhere = format!("<http://any.host/dav/b> ([{}])", there.field("etag"));
    assert_eq!(put("if", &elsewhere).await, StatusCode::NO_CONTENT);
    let ours = drive.put("/dav/a", b"four").await;
    assert_eq!(
        put("if-match", ours.field("etag")).await,
        StatusCode::NO_CONTENT
    );
    let propfind = drive
        .ask("PROPFIND", "/dav/a", &[("if-match", "\"x\"")], b"")
        .await;
    assert_eq!(propfind.status, failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_wants_its_token() {
    let drive = Drive::new().await;
    drive.put("/dav/a%20b", b"old").await;
    lock(&drive, "/a b", "urn:uuid:1", false).await;
    let refused = drive.ask("PUT", "/dav/a%20b", &[], b"new").await;
    assert_eq!(refused.status, StatusCode::LOCKED);
    let named = "<D:lock-token-submitted><D:href>/dav/a%20b</D:href></D:lock-token-submitted>";
    assert!(refused.text().contains(named), "{}", refused.text());
    for (field, value) in [
        ("if", "(<urn:uuid:1>)"),
        ("if", "<https://proxy/dav/a%20b> (<urn:uuid:1>)"),
        // Some Office releases send nothing else.
        ("lock-token", "<urn:uuid:1>"),
    ] {
        let answer = drive
            .ask("PUT", "/dav/a%20b", &[(field, value)], b"new")
            .await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{field}: {value}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_added_to_a_locked_folder_with_the_folders_token() {
    let drive = Drive::new().await;
    drive.folder("/folder").await;
    lock(&drive, "/folder", "urn:uuid:2", true).await;
    let refused = drive.ask("PUT", "/dav/folder/new", &[], b"x").await;
    assert_eq!(refused.status, StatusCode::LOCKED);
    let token = [("if", "(<urn:uuid:2>)")];
    let answer = drive.ask("PUT", "/dav/folder/new", &token, b"x").await;
    assert_eq!(answer.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_reads_only_cannot_write() {
    let mut drive = Drive::new().await;
    drive.put("/dav/a", b"old").await;
    drive.caller.read_only = true;
    let refused = drive.ask("PUT", "/dav/a", &[], b"new").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(drive.get("/dav/a").await, "old");
}
