use crate::testing::{Answer, Drive};

/// Sets what stands in `set`, then removes what stands in `remove`.
async fn patch(drive: &Drive, path: &str, set: &str, remove: &str) -> Answer {
    let instruction = |verb: &str, props: &str| {
        if props.is_empty() {
            return String::new();
        }
        format!("<D:{verb}><D:prop>{props}</D:prop></D:{verb}>")
    };
    let body = format!(
        "<D:propertyupdate xmlns:D='DAV:' xmlns:x='urn:x' xmlns:w='urn:schemas-microsoft-com:' \
         xml:lang='de'>{}{}</D:propertyupdate>",
        instruction("set", set),
        instruction("remove", remove),
    );
    drive.send("PROPPATCH", path, &[], &body).await
}

async fn find(drive: &Drive, path: &str, props: &str) -> String {
    let body = format!(
        "<propfind xmlns='DAV:' xmlns:x='urn:x' xmlns:w='urn:schemas-microsoft-com:'>\
         <prop>{props}</prop></propfind>"
    );
    drive
        .send("PROPFIND", path, &[("depth", "0")], &body)
        .await
        .body
}

#[tokio::test]
async fn dead_properties_are_kept_as_they_were_written() {
    let drive = Drive::new().await;
    drive.file("/f", "x").await;
    let set = "<x:p a='1'>A &amp; <x:b/><c xmlns='urn:c'>\u{1f980}</c></x:p><none xmlns=''/>";
    let answer = patch(&drive, "/dav/f", set, "").await;
    assert_eq!(answer.status, 207);
    assert!(answer.body.contains("<D:href>/dav/f</D:href>"));
    assert!(answer.body.contains("HTTP/1.1 200"), "{}", answer.body);
    let found = find(&drive, "/dav/f", "<x:p/><none xmlns=''/>").await;
    assert!(found.contains("xml:lang=\"de\""), "{found}");
    assert!(
        found.contains("A &amp; <") && found.contains("\u{1f980}</"),
        "{found}"
    );
    assert!(!found.contains("404"), "{found}");

    patch(&drive, "/dav/f", "<x:q>1</x:q>", "<x:p/><x:never/>").await;
    let found = find(&drive, "/dav/f", "<x:p/><x:q/>").await;
    assert!(found.contains(">1</") && found.contains("404"), "{found}");
}

#[tokio::test]
async fn all_instructions_are_carried_out_or_none() {
    let drive = Drive::new().await;
    drive.file("/f", "x").await;
    let etag = drive.node("/f").await.unwrap().etag();
    let set = "<x:p>1</x:p><D:getetag>\"mine\"</D:getetag>";
    let answer = patch(&drive, "/dav/f", set, "").await;
    assert_eq!(answer.status, 207);
    let refused = answer.between("<D:propstat>", "</D:propstat>");
    assert!(refused.contains("<D:getetag/>") && refused.contains("HTTP/1.1 403"));
    assert!(refused.contains("cannot-modify-protected-property"));
    assert!(answer.body.contains("HTTP/1.1 424"));
    assert!(find(&drive, "/dav/f", "<x:p/>").await.contains("404"));
    assert_eq!(drive.node("/f").await.unwrap().etag(), etag);
    let removed = patch(&drive, "/dav/f", "", "<D:getlastmodified/>").await;
    assert!(removed.body.contains("HTTP/1.1 403"));
}

#[tokio::test]
async fn what_windows_says_about_times_becomes_the_files_own() {
    let drive = Drive::new().await;
    drive.file("/f", "x").await;
    let set = "<w:Win32CreationTime>Sun, 09 Sep 2001 01:46:40 GMT</w:Win32CreationTime>\
        <w:Win32LastModifiedTime>Sun, 09 Sep 2001 01:46:41 GMT</w:Win32LastModifiedTime>\
        <w:Win32LastAccessTime>Mon, 01 Jan 1601 00:00:00 GMT</w:Win32LastAccessTime>\
        <w:Win32FileAttributes>00000020</w:Win32FileAttributes>";
    let answer = patch(&drive, "/dav/f", set, "").await;
    assert!(!answer.body.contains("403") && answer.body.contains("HTTP/1.1 200"));
    let node = drive.node("/f").await.unwrap();
    assert_eq!(node.created_ns, 1_000_000_000_000_000_000);
    assert_eq!(node.modified_ns, 1_000_000_001_000_000_000);
    let found = find(&drive, "/dav/f", "<w:Win32FileAttributes/>").await;
    assert!(found.contains(">00000020</"), "{found}");

    let unknown =
        "<w:Win32LastModifiedTime>Mon, 01 Jan 1601 00:00:00 GMT</w:Win32LastModifiedTime>";
    let answer = patch(&drive, "/dav/f", unknown, "").await;
    assert!(answer.body.contains("HTTP/1.1 200"));
    assert_eq!(
        drive.node("/f").await.unwrap().modified_ns,
        node.modified_ns
    );
    let bad = "<D:getlastmodified>yesterday</D:getlastmodified>";
    let answer = patch(&drive, "/dav/f", bad, "").await;
    assert!(answer.body.contains("HTTP/1.1 409"));
    let good = "<D:getlastmodified>Sun, 09 Sep 2001 01:46:40 GMT</D:getlastmodified>";
    patch(&drive, "/dav/f", good, "").await;
    assert_eq!(
        drive.node("/f").await.unwrap().modified_ns,
        1_000_000_000_000_000_000
    );
}

#[tokio::test]
async fn a_property_that_is_too_long_is_refused_by_name() {
    let drive = Drive::with(|options| options.limits.property_bytes = 1000).await;
    drive.file("/f", "x").await;
    let set = format!(
        "<x:small>1</x:small><x:large>{}</x:large>",
        "x".repeat(1000)
    );
    let answer = patch(&drive, "/dav/f", &set, "").await;
    let refused = answer.between("<D:propstat>", "</D:propstat>");
    assert!(
        refused.contains("large") && refused.contains("507"),
        "{}",
        answer.body
    );
    assert!(!refused.contains("small") && answer.body.contains("424"));

    let drive = Drive::with(|options| options.limits.properties_bytes = 1000).await;
    drive.file("/f", "x").await;
    let half = |name: &str| format!("<x:{name}>{}</x:{name}>", "x".repeat(600));
    assert!(
        patch(&drive, "/dav/f", &half("a"), "")
            .await
            .body
            .contains("200")
    );
    assert!(
        patch(&drive, "/dav/f", &half("b"), "")
            .await
            .body
            .contains("507")
    );
    assert!(
        patch(&drive, "/dav/f", &half("b"), "<x:a/>")
            .await
            .body
            .contains("200")
    );
}

#[tokio::test]
async fn locks_conditions_and_absence_are_asked_first() {
    let drive = Drive::new().await;
    assert_eq!(patch(&drive, "/dav/none", "<x:p/>", "").await.status, 404);
    assert_eq!(
        patch(&drive, "/dav/none", "<D:getetag/>", "").await.status,
        404
    );
    assert_eq!(drive.send("PROPPATCH", "/dav/", &[], "").await.status, 400);
    let lock = "<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope><locktype><write/>\
        </locktype></lockinfo>";
    drive.send("LOCK", "/dav/f", &[], lock).await;
    let refused = patch(&drive, "/dav/f", "<x:p/>", "").await;
    assert_eq!(refused.status, 423);
    assert!(refused.body.contains("lock-token-submitted"));
    let answer = patch(&drive, "/dav/", "", "<x:never/>").await;
    assert_eq!(answer.status, 207);
    assert!(answer.body.contains("<D:href>/dav/</D:href>"));
}
