use crate::testing::{Answer, Drive};

const LOCK: &str = "<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope><locktype><write/>\
    </locktype></lockinfo>";

async fn drive() -> Drive {
    let drive = Drive::new().await;
    drive.folder("/a").await;
    drive.folder("/a/b").await;
    drive.file("/a/b/f", "one").await;
    drive.file("/g", "two").await;
    drive
}

async fn to(drive: &Drive, method: &str, from: &str, headers: &[(&str, &str)]) -> Answer {
    drive.send(method, from, headers, "").await
}

async fn lock(drive: &Drive, path: &str) -> String {
    let answer = drive.send("LOCK", path, &[("depth", "0")], LOCK).await;
    answer.header("lock-token").to_owned()
}

#[tokio::test]
async fn a_tree_is_deleted_whole() {
    let drive = drive().await;
    for (path, headers, status) in [
        ("/dav/", &[][..], 403),
        ("/dav/none", &[], 404),
        ("/dav/a", &[("depth", "0")], 400),
        ("/dav/a", &[("depth", "1")], 400),
        ("/dav/g/", &[], 404),
        ("/dav/g", &[("if-match", "\"other\"")], 412),
        ("/dav/a/", &[("depth", "infinity")], 204),
        ("/dav/g", &[("depth", "0")], 204),
    ] {
        let answer = drive.send("DELETE", path, headers, "").await;
        assert_eq!(answer.status, status, "{path} {headers:?}: {}", answer.body);
    }
    assert!(drive.tree().await.is_empty());
}

#[tokio::test]
async fn a_locked_member_keeps_the_whole_tree_and_is_named() {
    let drive = drive().await;
    let before = drive.tree().await;
    let token = lock(&drive, "/dav/a/b/f").await;
    let refused = drive.send("DELETE", "/dav/a", &[], "").await;
    assert_eq!(refused.status, 207);
    assert!(
        refused
            .body
            .contains("<D:href>/dav/a/b/f</D:href><D:status>HTTP/1.1 423")
    );
    assert!(refused.body.contains("lock-token-submitted"));
    // The target's own lock is the target's own error.
    assert_eq!(
        drive.send("DELETE", "/dav/a/b/f", &[], "").await.status,
        423
    );
    let moved = to(&drive, "MOVE", "/dav/a", &[("destination", "/dav/c")]).await;
    assert_eq!(moved.status, 423);
    assert!(moved.body.contains("<D:href>/dav/a/b/f</D:href>"));
    assert_eq!(drive.tree().await, before);
    let held = format!("</dav/a/b/f> ({token})");
    let deleted = drive.send("DELETE", "/dav/a", &[("if", &held)], "").await;
    assert_eq!(deleted.status, 204);
}

#[tokio::test]
async fn copy_and_move_answer_as_the_rfc_has_it() {
    for method in ["COPY", "MOVE"] {
        let drive = drive().await;
        for (from, headers, status) in [
            ("/dav/none", &[("destination", "/dav/x")][..], 404),
            ("/dav/g/", &[("destination", "/dav/x")], 404),
            ("/dav/g", &[], 400),
            ("/dav/g", &[("destination", "")], 400),
            ("/dav/g", &[("destination", "/davish/x")], 502),
            ("/dav/g", &[("destination", "/dav/none/x")], 409),
            ("/dav/g", &[("destination", "/dav/g/x")], 403),
            ("/dav/g", &[("destination", "/dav/g")], 403),
            ("/dav/a/b", &[("destination", "/dav/a")], 403),
            ("/dav/a", &[("destination", "/dav/a/b/c")], 403),
            ("/dav/", &[("destination", "/dav/x")], 403),
            ("/dav/a", &[("destination", "/dav/")], 403),
            ("/dav/a", &[("destination", "/dav/x"), ("depth", "1")], 400),
            (
                "/dav/g",
                &[("destination", "/dav/a"), ("overwrite", "F")],
                412,
            ),
            (
                "/dav/g",
                &[("destination", "/dav/a"), ("overwrite", "x")],
                400,
            ),
            (
                "/dav/g",
                &[("destination", "/dav/x"), ("x-oc-mtime", "soon")],
                400,
            ),
        ] {
            let answer = to(&drive, method, from, headers).await;
            assert_eq!(
                answer.status, status,
                "{method} {from} {headers:?}: {}",
                answer.body
            );
        }
        let made = to(
            &drive,
            method,
            "/dav/g",
            &[("destination", "http://proxy/dav/x%20y")],
        )
        .await;
        assert_eq!((made.status, made.body.as_str()), (201, ""));
        assert_eq!(
            made.header("etag"),
            drive.node("/x y").await.unwrap().etag()
        );
        assert_eq!(drive.node("/g").await.is_some(), method == "COPY");
        let over = to(&drive, method, "/dav/x%20y", &[("destination", "/dav/a/")]).await;
        assert_eq!((over.status, over.body.as_str()), (204, ""));
        assert!(!drive.node("/a").await.unwrap().is_folder());
    }
}

#[tokio::test]
async fn the_target_can_be_given_a_time() {
    let drive = drive().await;
    let headers = [("destination", "/dav/x"), ("x-oc-mtime", "1000000000.5")];
    let answer = to(&drive, "COPY", "/dav/g", &headers).await;
    assert_eq!(answer.header("x-oc-mtime"), "accepted");
    let copy = drive.node("/x").await.unwrap();
    assert_eq!(copy.modified_ns, 1_000_000_000_500_000_000);
}

#[tokio::test]
async fn a_copy_of_depth_0_has_no_members() {
    let drive = drive().await;
    let headers = [("destination", "/dav/x/"), ("depth", "0")];
    assert_eq!(to(&drive, "COPY", "/dav/a/", &headers).await.status, 201);
    let tree = drive.tree().await;
    assert!(tree.contains(&"/x/".to_owned()) && !tree.contains(&"/x/b/".to_owned()));
}
