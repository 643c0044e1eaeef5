use super::*;
use crate::testing::{Answer, Drive};

const EXCLUSIVE: &str = "<?xml version=\"1.0\"?><D:lockinfo xmlns:D='DAV:'><D:lockscope>\
    <D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockinfo>";
const SHARED: &str = "<lockinfo xmlns='DAV:'><lockscope><shared/></lockscope><x xmlns='u:'/>\
    <locktype><write/></locktype><owner xml:lang='de'><a:b xmlns:a='u:a'>Ich &amp; du</a:b></owner>\
    </lockinfo>";

async fn lock(drive: &Drive, path: &str, headers: &[(&str, &str)]) -> Answer {
    drive.send("LOCK", path, headers, EXCLUSIVE).await
}

fn token(answer: &Answer) -> &str {
    answer.header("lock-token").trim_matches(['<', '>'])
}

#[tokio::test]
async fn options_tell_the_truth_about_each_kind_of_resource() {
    let drive = Drive::new().await;
    drive.folder("/a").await;
    drive.file("/a/f", "x").await;
    for (path, has, has_not) in [
        ("/dav/", "PROPFIND", "DELETE"),
        ("/dav/a", "PUT", "PATCH"),
        ("/dav/a/f", "PATCH", "MKCOL"),
        ("/dav/a/none", "MKCOL", "GET"),
        ("/dav/none/none", "LOCK", "UNLOCK"),
    ] {
        let answer = drive.send("OPTIONS", path, &[], "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("dav"), CLASSES);
        assert_eq!(answer.header("ms-author-via"), "DAV");
        let allowed: Vec<_> = answer.header("allow").split(", ").collect();
        assert!(
            allowed.contains(&"OPTIONS") && allowed.contains(&has),
            "{path}"
        );
        assert!(!allowed.contains(&has_not), "{path}");
        assert_eq!(answer.body, "");
    }
    let anyone = Dav::options_for_anyone();
    assert_eq!(anyone.headers()["dav"], CLASSES);
}

#[tokio::test]
async fn folders_are_made_as_the_rfc_has_it() {
    let drive = Drive::new().await;
    drive.file("/file", "x").await;
    for (path, body, status) in [
        ("/dav/a", "", 201),
        ("/dav/a/", "", 405),
        ("/dav/", "", 405),
        ("/dav/file", "", 405),
        ("/dav/file/a", "", 409),
        ("/dav/none/a", "", 409),
        ("/dav/b", "<x/>", 415),
        ("/dav/a/b%20%23%3f%25/", "", 201),
    ] {
        let answer = drive.send("MKCOL", path, &[], body).await;
        assert_eq!(answer.status, status, "{path}");
        if status == 201 {
            assert_eq!(answer.body, "", "old neon parses what it finds");
        }
        assert!(!answer.headers.contains_key("connection"));
    }
    assert!(drive.node("/a/b #?%").await.unwrap().is_folder());
    let exists = drive.send("MKCOL", "/dav/a", &[], "").await;
    assert!(exists.body.contains("resource-must-be-null"));
    assert!(!exists.header("allow").is_empty());
}

#[tokio::test]
async fn a_lock_says_what_it_is_and_keeps_others_out() {
    let drive = Drive::new().await;
    drive.file("/f", "x").await;
    let answer = drive
        .send(
            "LOCK",
            "/dav/f",
            &[("timeout", "Infinite, Second-4100000000")],
            SHARED,
        )
        .await;
    assert_eq!(answer.status, 200);
    assert!(lock_token::is_token(token(&answer)));
    assert!(
        answer
            .body
            .contains(&format!("<D:href>{}</D:href>", token(&answer)))
    );
    assert!(answer.body.contains("<D:depth>infinity</D:depth>"));
    assert!(answer.body.contains("<D:timeout>Second-3600</D:timeout>"));
    assert!(answer.body.contains("<D:shared/>"));
    assert!(
        answer
            .body
            .contains("<D:lockroot><D:href>/dav/f</D:href></D:lockroot>")
    );
    let owner = answer.between("</D:depth>", "<D:timeout>");
    assert!(
        owner.contains("xml:lang=\"de\"") && owner.contains("Ich &amp; du"),
        "{owner}"
    );

    let second = drive.send("LOCK", "/dav/f", &[], SHARED).await;
    assert_eq!(second.status, 200, "shared locks share");
    let refused = lock(&drive, "/dav/f", &[]).await;
    assert_eq!(refused.status, 423);
    assert!(
        refused
            .body
            .contains("<D:no-conflicting-lock><D:href>/dav/f</D:href>")
    );
}

#[tokio::test]
async fn locking_a_free_name_makes_an_empty_file() {
    let drive = Drive::new().await;
    let answer = lock(
        &drive,
        "/dav/new",
        &[("depth", "0"), ("timeout", "Second-5, Infinite")],
    )
    .await;
    assert_eq!(answer.status, 201);
    assert!(answer.body.contains("<D:timeout>Second-5</D:timeout>"));
    assert_eq!(drive.node("/new").await.unwrap().size_bytes, 0);
    assert_eq!(lock(&drive, "/dav/new", &[]).await.status, 423);
    assert_eq!(lock(&drive, "/dav/none/new", &[]).await.status, 409);
    drive.clock.advance_s(6);
    assert_eq!(lock(&drive, "/dav/new", &[]).await.status, 200, "locks end");
}

#[tokio::test]
async fn a_lock_is_refreshed_by_its_token() {
    let drive = Drive::new().await;
    drive.folder("/a").await;
    drive.file("/a/f", "x").await;
    let first = drive.send("LOCK", "/dav/a/f", &[], "").await;
    assert_eq!(first.status, 400, "there is nothing to refresh");

    let answer = lock(&drive, "/dav/a", &[("timeout", "Second-100")]).await;
    assert!(answer.body.contains("<D:lockroot><D:href>/dav/a/</D:href>"));
    let held = format!("(<{}>)", token(&answer));
    drive.clock.advance_s(90);
    let refreshed = drive.send("LOCK", "/dav/a/f", &[("if", &held)], "").await;
    assert_eq!(refreshed.status, 200);
    assert!(refreshed.body.contains("<D:timeout>Second-100</D:timeout>"));
    assert!(
        refreshed
            .body
            .contains("<D:lockroot><D:href>/dav/a/</D:href>")
    );
    assert!(refreshed.body.contains(token(&answer)));
    assert_eq!(refreshed.header("lock-token"), "");
    let longer = [("if", held.as_str()), ("timeout", "Second-9999")];
    let longer = drive.send("LOCK", "/dav/a", &longer, "").await;
    assert!(longer.body.contains("<D:timeout>Second-3600</D:timeout>"));

    let stale = "(<urn:uuid:00000000-0000-0000-0000-000000000000>)";
    let refused = drive.send("LOCK", "/dav/a/f", &[("if", stale)], "").await;
    assert_eq!(refused.status, 412);
    drive.clock.advance_s(3601);
    let ended = drive.send("LOCK", "/dav/a/f", &[("if", &held)], "").await;
    assert_eq!(ended.status, 412);
    assert!(ended.body.contains("lock-token-matches-request-uri"));
}

#[tokio::test]
async fn unlock_takes_its_token_with_or_without_brackets() {
    let drive = Drive::new().await;
    drive.file("/f", "x").await;
    drive.file("/g", "x").await;
    for bracketed in [true, false] {
        let answer = lock(&drive, "/dav/f", &[]).await;
        assert_eq!(answer.status, 200);
        let bare = token(&answer).to_owned();
        let own = if bracketed { format!("<{bare}>") } else { bare };
        let elsewhere = drive
            .send("UNLOCK", "/dav/g", &[("lock-token", &own)], "")
            .await;
        assert_eq!(elsewhere.status, 409);
        assert!(elsewhere.body.contains("lock-token-matches-request-uri"));
        let done = drive
            .send("UNLOCK", "/dav/f", &[("lock-token", &own)], "")
            .await;
        assert_eq!((done.status, done.body.as_str()), (204, ""));
        let again = drive
            .send("UNLOCK", "/dav/f", &[("lock-token", &own)], "")
            .await;
        assert_eq!(again.status, 409);
    }
    assert_eq!(drive.send("UNLOCK", "/dav/f", &[], "").await.status, 400);
}

#[tokio::test]
async fn conditions_and_locks_are_asked_where_the_change_is_made() {
    let drive = Drive::new().await;
    drive.folder("/a").await;
    let held = lock(&drive, "/dav/a", &[]).await;
    let refused = drive.send("MKCOL", "/dav/a/b", &[], "").await;
    assert_eq!(refused.status, 423);
    assert!(
        refused
            .body
            .contains("<D:lock-token-submitted><D:href>/dav/a</D:href>")
    );
    let tagged = format!("<http://proxy/dav/a/> (<{}>)", token(&held));
    assert_eq!(
        drive
            .send("MKCOL", "/dav/a/b", &[("if", &tagged)], "")
            .await
            .status,
        201
    );
    let wrong = format!("</dav/a/> (<{}> [\"no-such-tag\"])", token(&held));
    assert_eq!(
        drive
            .send("MKCOL", "/dav/a/c", &[("if", &wrong)], "")
            .await
            .status,
        412
    );
    let none = [("if-match", "*")];
    assert_eq!(drive.send("MKCOL", "/dav/d", &none, "").await.status, 412);
    let malformed = drive.send("MKCOL", "/dav/d", &[("if", "(")], "").await;
    assert_eq!(malformed.status, 400);
    assert!(drive.node("/d").await.is_none());
}

#[tokio::test]
async fn bad_locks_are_refused() {
    let drive = Drive::new().await;
    drive.file("/f", "x").await;
    let nested = format!("{}{}", "<a>".repeat(9000), "</a>".repeat(9000));
    let long = EXCLUSIVE.replace(
        "</D:lockinfo>",
        &format!("<D:owner>{}</D:owner></D:lockinfo>", "x".repeat(9000)),
    );
    for (headers, body, status) in [
        (&[("depth", "1")][..], EXCLUSIVE, 400),
        (&[("depth", "x")], EXCLUSIVE, 400),
        (&[], "<lockinfo/>", 400),
        (&[], "<D:lockinfo xmlns:D='DAV:'/>", 400),
        (&[], &nested, 400),
        (&[], &long, 413),
        (&[("timeout", "soon")], EXCLUSIVE, 200),
    ] {
        let answer = drive.send("LOCK", "/dav/f", headers, body).await;
        assert_eq!(answer.status, status, "{headers:?}");
    }
}
