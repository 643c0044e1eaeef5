use http::StatusCode;

use super::Drive;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_read_asks_the_database_nothing() {
    let drive = Drive::new().await;
    drive.put("/dav/small.txt", b"content").await;
    let large = vec![7; 100_000];
    drive.put("/dav/large", &large).await;
    for (path, content) in [("/dav/small.txt", &b"content"[..]), ("/dav/large", &large)] {
        assert_eq!(drive.get(path).await, content);
        let warm = drive.ask("GET", path, &[], b"").await;
        assert_eq!((warm.statements, &warm.body[..]), (0, content), "{path}");
        let head = drive.ask("HEAD", path, &[], b"").await;
        assert_eq!(head.statements, 0);
        assert_eq!(head.field("content-length"), content.len().to_string());
        assert!(head.body.is_empty());
        assert_eq!(head.field("etag"), warm.field("etag"));
        let cached = [("if-none-match", warm.field("etag"))];
        let answer = drive.ask("GET", path, &cached, b"").await;
        assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
        assert_eq!(answer.field("etag"), warm.field("etag"));
        assert_eq!(answer.statements, 0);
    }
}

#[tokio::test]
async fn a_request_is_small_since_its_connection_moves_it() {
    let drive = Drive::new().await;
    let request = http::Request::new(http_body_util::Empty::<bytes::Bytes>::new());
    let bytes = size_of_val(&drive.dav.handle(&drive.caller, request));
    assert!(bytes < 8192, "{bytes}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_entity_tag_is_the_digest_of_the_content() {
    let drive = Drive::new().await;
    let etag = "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"";
    assert_eq!(drive.put("/dav/a", b"hello").await.field("etag"), etag);
    let answer = drive
        .ask("GET", "/dav/a", &[("want-repr-digest", "sha-256=5")], b"")
        .await;
    assert_eq!(answer.field("etag"), etag);
    let digest = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
    assert_eq!(answer.field("repr-digest"), digest);
    assert_eq!(answer.field("accept-ranges"), "bytes");
    assert_eq!(answer.field("cache-control"), "private, no-cache");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_browser_would_run_is_downloaded() {
    let drive = Drive::new().await;
    for (name, media_type, is_active) in [
        ("a.HTML", "text/html; charset=utf-8", true),
        ("a.svg", "image/svg+xml", true),
        ("a.png", "image/png", false),
        ("a", "application/octet-stream", false),
    ] {
        let path = format!("/dav/{name}");
        drive.put(&path, b"<script>").await;
        let answer = drive.ask("GET", &path, &[], b"").await;
        assert_eq!(answer.field("content-type"), media_type);
        assert_eq!(answer.field("x-content-type-options"), "nosniff");
        assert_eq!(answer.field("cross-origin-resource-policy"), "same-origin");
        assert!(
            answer
                .field("content-security-policy")
                .starts_with("sandbox;")
        );
        let disposition = answer.field("content-disposition");
        assert_eq!(disposition.starts_with("attachment; "), is_active, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_are_cut_out_of_small_and_large_content() {
    let drive = Drive::new().await;
    let large: Vec<u8> = (0..6_000_000_u32).map(|n| (n % 251) as u8).collect();
    drive.put("/dav/large", &large).await;
    drive.put("/dav/small", &large[..1000]).await;
    for (path, content) in [("/dav/small", &large[..1000]), ("/dav/large", &large)] {
        let size = content.len();
        let ask = async |range: &str| drive.ask("GET", path, &[("range", range)], b"").await;
        let first = ask("bytes=10-19").await;
        assert_eq!(first.status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(first.body, &content[10..20]);
        assert_eq!(first.field("content-range"), format!("bytes 10-19/{size}"));
        assert_eq!(ask("bytes=-5").await.body, &content[size - 5..]);
        assert_eq!(ask("bytes=100-").await.body, &content[100..]);

        let beyond = ask("bytes=99999999-").await;
        assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(beyond.field("content-range"), format!("bytes */{size}"));

        let several = ask("bytes=0-3, 500-501").await;
        assert_eq!(several.status, StatusCode::PARTIAL_CONTENT);
        let boundary = several.field("content-type").rsplit_once('=').unwrap().1;
        let mut expected = Vec::new();
        for (before, start, end) in [("", 0, 4), ("\r\n", 500, 502)] {
            expected.extend_from_slice(
                format!(
                    "{before}--{boundary}\r\nContent-Type: application/octet-stream\r\n\
                     Content-Range: bytes {start}-{}/{size}\r\n\r\n",
                    end - 1
                )
                .as_bytes(),
            );
            expected.extend_from_slice(&content[start..end]);
        }
        expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        assert_eq!(several.body, expected);

        let stale = [("range", "bytes=0-3"), ("if-range", "\"other\"")];
        assert_eq!(
            drive.ask("GET", path, &stale, b"").await.status,
            StatusCode::OK
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_a_page_of_links() {
    let drive = Drive::new().await;
    drive.folder("/a b").await;
    drive.put("/dav/a%20b/%3Cx%3E%22.txt", b"").await;
    drive.folder("/a b/c").await;
    let page = drive.ask("GET", "/dav/a%20b", &[], b"").await;
    assert_eq!(page.field("content-type"), "text/html; charset=utf-8");
    assert!(
        page.text()
            .contains("<a href=\"/dav/a%20b/%3Cx%3E%22.txt\">&lt;x&gt;\".txt</a>")
    );
    assert!(page.text().contains("<a href=\"/dav/a%20b/c/\">c/</a>"));
    assert!(page.text().contains("<a href=\"/dav/\">..</a>"));
    let head = drive.ask("HEAD", "/dav/a%20b/", &[], b"").await;
    assert_eq!((head.status, head.statements), (StatusCode::OK, 0));
    let again = [("if-none-match", page.field("etag"))];
    let again = drive.ask("GET", "/dav/a%20b/", &again, b"").await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_or_not_the_callers_is_not_found() {
    let drive = Drive::new().await;
    drive.put("/dav/a", b"").await;
    for path in [
        "/dav/b",
        "/dav/a/b",
        "/other",
        "/remote.php/dav/files/bob/a",
    ] {
        for method in ["GET", "HEAD", "PROPFIND"] {
            let answer = drive.ask(method, path, &[("if-match", "\"x\"")], b"").await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
        }
    }
    for alias in ["/remote.php/dav/files/Alice/a", "/remote.php/webdav/a"] {
        assert_eq!(drive.get(alias).await, "");
    }
    for bad in ["/dav/%2e%2e/a", "/dav/%zz", "/dav/a%2fb", "/dav/%00"] {
        let answer = drive.ask("GET", bad, &[], b"").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
        assert!(answer.text().contains("the path"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_methods_are_told_from_unsupported_ones() {
    let drive = Drive::new().await;
    let post = drive.ask("POST", "/dav/", &[], b"").await;
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(post.field("allow").contains("PROPFIND"));
    let brew = drive.ask("BREW", "/dav/", &[], b"").await;
    assert_eq!(brew.status, StatusCode::NOT_IMPLEMENTED);
}
