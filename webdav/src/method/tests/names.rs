use crate::testing::{Answer, Drive};

async fn drive() -> Drive {
    let drive = Drive::new().await;
    drive.folder("/a").await;
    drive.folder("/a/b").await;
    drive.file("/a/f", "one").await;
    drive.file("/g", "two").await;
    drive
}

fn body(segment: &str, href: &str) -> String {
    format!(
        "<D:bind xmlns:D='DAV:'><D:segment>{segment}</D:segment><D:href>{href}</D:href></D:bind>"
    )
}

async fn bind(drive: &Drive, folder: &str, segment: &str, href: &str) -> Answer {
    drive.send("BIND", folder, &[], &body(segment, href)).await
}

async fn asked(drive: &Drive, path: &str) -> (String, String) {
    let body = "<propfind xmlns='DAV:'><prop><resource-id/>\
        <links xmlns='urn:coffer:posix'/></prop></propfind>";
    let answer = drive.send("PROPFIND", path, &[("depth", "0")], body).await;
    let id = answer.between("<D:resource-id><D:href>", "</D:href></D:resource-id>");
    let links = answer.between("<p:links>", "</p:links>");
    (id.to_owned(), links.to_owned())
}

#[tokio::test]
async fn a_file_has_one_content_and_one_id_under_all_its_names() {
    let drive = drive().await;
    let bound = bind(&drive, "/dav/a/b/", "x%20y", "http://elsewhere/dav/a/f").await;
    assert_eq!(bound.status, 201, "{}", bound.body);
    assert_eq!(bound.header("location"), "/dav/a/b/x%20y");
    assert_eq!(
        bound.header("etag"),
        drive.node("/a/f").await.unwrap().etag()
    );
    let (id, links) = asked(&drive, "/dav/a/f").await;
    assert_eq!(links, "2");
    let node = drive.node("/a/f").await.unwrap();
    assert_eq!(id, format!("urn:uuid:{}", node.id));
    assert_eq!(asked(&drive, "/dav/a/b/x%20y").await, (id, links));
    drive.send("PUT", "/dav/a/b/x%20y", &[], "three").await;
    assert_eq!(drive.send("GET", "/dav/a/f", &[], "").await.body, "three");
    // A folder has an id, and no number of names.
    let folder = "<propfind xmlns='DAV:'><prop><resource-id/><p:links xmlns:p='urn:coffer:posix'/>\
        </prop></propfind>";
    let folder = drive
        .send("PROPFIND", "/dav/a", &[("depth", "0")], folder)
        .await;
    assert!(folder.body.contains("<D:href>urn:uuid:"), "{}", folder.body);
    assert!(folder.body.contains("<p:links/>"), "{}", folder.body);
    for gone in ["/dav/a/f", "/dav/a/b/x%20y"] {
        assert_eq!(drive.send("DELETE", gone, &[], "").await.status, 204);
    }
    assert_eq!(drive.send("GET", "/dav/a/f", &[], "").await.status, 404);
}

#[tokio::test]
async fn a_name_that_is_taken_is_given_anew_unless_forbidden() {
    let drive = drive().await;
    let to_a = body("g", "/dav/a/f");
    let kept = drive
        .send("BIND", "/dav/", &[("overwrite", "F")], &to_a)
        .await;
    assert_eq!(kept.status, 412);
    assert!(kept.body.contains("can-overwrite"), "{}", kept.body);
    assert_eq!(drive.send("GET", "/dav/g", &[], "").await.body, "two");
    for _ in 0..2 {
        let replaced = drive.send("BIND", "/dav/", &[], &to_a).await;
        assert_eq!(replaced.status, 200);
        assert_eq!(drive.send("GET", "/dav/g", &[], "").await.body, "one");
        assert_eq!(asked(&drive, "/dav/g").await.1, "2");
    }
}

#[tokio::test]
async fn what_cannot_be_bound_is_refused_by_name() {
    let drive = drive().await;
    let before = drive.tree().await;
    for (folder, segment, href, status, condition) in [
        ("/dav/none", "x", "/dav/g", 404, ""),
        ("/dav/g", "x", "/dav/a/f", 403, "bind-into-collection"),
        ("/dav/", "x", "/dav/none", 409, "bind-source-exists"),
        ("/dav/", "x", "/dav/g/", 409, "bind-source-exists"),
        ("/dav/", "x", "/dav/a", 403, "binding-allowed"),
        ("/dav/", "x", "/dav/", 403, "binding-allowed"),
        ("/dav/", "x", "/elsewhere/g", 403, "cross-server-binding"),
        (
            "/dav/",
            "x",
            "/dav/Shared%20with%20me/p/g",
            403,
            "binding-allowed",
        ),
        ("/dav/", "Shared%20with%20me", "/dav/g", 403, "name-allowed"),
        ("/dav/", "a/b", "/dav/g", 403, "name-allowed"),
        ("/dav/", "..", "/dav/g", 403, "name-allowed"),
        ("/dav/", "", "/dav/g", 403, "name-allowed"),
        ("/dav/", "a", "/dav/a/f", 403, ""),
        ("/dav/", "x", "g", 400, ""),
        ("/", "x", "/dav/g", 405, ""),
    ] {
        let answer = bind(&drive, folder, segment, href).await;
        let what = format!("{folder} {segment} {href}: {}", answer.body);
        assert_eq!(answer.status, status, "{what}");
        assert!(answer.body.contains(condition), "{what}");
    }
    for bad in ["", "<x/>", "<D:bind xmlns:D='DAV:'/>", "<!DOCTYPE x><x/>"] {
        let answer = drive.send("BIND", "/dav/", &[], bad).await;
        assert_eq!(answer.status, 400, "{bad}");
    }
    let long = "x".repeat(70_000);
    assert_eq!(drive.send("BIND", "/dav/", &[], &long).await.status, 413);
    let conditions: [(&str, &str, u16); 3] = [
        ("if", "</dav/g> ([\"other\"])", 412),
        ("if-match", "\"other\"", 412),
        ("overwrite", "maybe", 400),
    ];
    for (name, value, status) in conditions {
        let wish = body("x", "/dav/g");
        let answer = drive.send("BIND", "/dav/", &[(name, value)], &wish).await;
        assert_eq!(answer.status, status, "{name}: {value}");
    }
    assert_eq!(drive.tree().await, before);
}
