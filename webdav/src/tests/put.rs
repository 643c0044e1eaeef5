use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::Frame;

use super::Drive;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_file_is_created_and_an_old_one_replaced() {
    let drive = Drive::new().await;
    let first = drive.ask("PUT", "/dav/a.txt", &[], b"one").await;
    assert_eq!(first.status, StatusCode::CREATED);
    let second = drive.ask("PUT", "/dav/a.txt", &[], b"two").await;
    assert_eq!(second.status, StatusCode::NO_CONTENT);
    assert_ne!(first.field("etag"), second.field("etag"));
    assert!(second.field("last-modified").ends_with(" GMT"));
    assert!(second.body.is_empty());
    assert_eq!(drive.get("/dav/a.txt").await, "two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_needs_a_folder_and_a_name() {
    let drive = Drive::new().await;
    drive.folder("/folder").await;
    drive.put("/dav/file", b"").await;
    for (path, status) in [
        ("/dav/missing/a", StatusCode::CONFLICT),
        ("/dav/file/a", StatusCode::CONFLICT),
        ("/dav/new/", StatusCode::CONFLICT),
        ("/dav/folder", StatusCode::METHOD_NOT_ALLOWED),
        ("/dav/folder/", StatusCode::METHOD_NOT_ALLOWED),
        ("/dav/", StatusCode::METHOD_NOT_ALLOWED),
        ("/dav", StatusCode::METHOD_NOT_ALLOWED),
        ("/", StatusCode::METHOD_NOT_ALLOWED),
        ("/elsewhere", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(
            drive.ask("PUT", path, &[], b"x").await.status,
            status,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_that_is_not_what_was_promised_is_not_stored() {
    let drive = Drive::new().await;
    drive.put("/dav/a", b"old").await;
    let wrong = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    for (field, value) in [
        ("repr-digest", wrong),
        ("content-digest", wrong),
        ("oc-checksum", "MD5:00000000000000000000000000000000"),
        ("oc-checksum", "SHA1:nonsense"),
        ("x-oc-mtime", "tomorrow"),
        ("content-range", "bytes 0-2"),
        ("content-range", "bytes 0-9/10"),
        ("content-range", "bytes 3-9/20"),
    ] {
        let answer = drive.ask("PUT", "/dav/a", &[(field, value)], b"new").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{field}: {value}");
    }
    let coded = [("content-encoding", "gzip")];
    let answer = drive.ask("PUT", "/dav/a", &coded, b"new").await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(drive.get("/dav/a").await, "old");
    let right = [
        ("oc-checksum", "MD5:22af645d1859cb5ca6da0c484f1f37ea"),
        ("x-oc-mtime", "1234567890.5"),
    ];
    let answer = drive.ask("PUT", "/dav/a", &right, b"new").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.field("x-oc-mtime"), "accepted");
    assert_eq!(
        answer.field("last-modified"),
        "Fri, 13 Feb 2009 23:31:30 GMT"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_written_into_a_file_and_never_taken_for_the_whole() {
    let drive = Drive::new().await;
    drive.put("/dav/a", b"0123456789").await;
    let part = [("content-range", "bytes 2-4/*")];
    let answer = drive.ask("PUT", "/dav/a", &part, b"abc").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(drive.get("/dav/a").await, "01abc56789");
    assert_eq!(
        drive.ask("PUT", "/dav/b", &part, b"abc").await.status,
        StatusCode::NOT_FOUND
    );
    let whole = [("content-range", "bytes 0-2/3")];
    assert_eq!(
        drive.ask("PUT", "/dav/b", &whole, b"abc").await.status,
        StatusCode::CREATED
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partial_updates_as_sabredav_has_them() {
    let drive = Drive::new().await;
    drive.put("/dav/a", b"0123456789").await;
    let patch = async |path: &str, range: &str, body: &[u8]| {
        let length = body.len().to_string();
        let fields = [
            ("content-type", "application/x-sabredav-partialupdate"),
            ("x-update-range", range),
            ("content-length", &length),
        ];
        drive.ask("PATCH", path, &fields, body).await
    };
    assert_eq!(
        patch("/dav/a", "append", b"ab").await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        patch("/dav/a", "bytes=1-2", b"xy").await.status,
        StatusCode::NO_CONTENT
    );
    let last = patch("/dav/a", "bytes=-1", b"Z!").await;
    assert_eq!(last.status, StatusCode::NO_CONTENT);
    let content = drive.ask("GET", "/dav/a", &[], b"").await;
    assert_eq!(content.body, "0xy3456789aZ!");
    assert_eq!(content.field("etag"), last.field("etag"));

    assert_eq!(
        patch("/dav/a", "bytes=1-2", b"xyz").await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        patch("/dav/a", "lines=1", b"x").await.status,
        StatusCode::BAD_REQUEST
    );
    let beyond = patch("/dav/a", "bytes=-99", b"x").await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.field("content-range"), "bytes */13");
    assert_eq!(
        patch("/dav/b", "append", b"x").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        patch("/dav/", "append", b"x").await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    let without_type = drive
        .ask("PATCH", "/dav/a", &[("x-update-range", "append")], b"x")
        .await;
    assert_eq!(without_type.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let fields = [
        ("content-type", "application/x-sabredav-partialupdate"),
        ("x-update-range", "append"),
    ];
    let without_length = drive.ask("PATCH", "/dav/a", &fields, b"x").await;
    assert_eq!(without_length.status, StatusCode::LENGTH_REQUIRED);
    assert_eq!(drive.get("/dav/a").await, "0xy3456789aZ!");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_over_the_quota_is_refused() {
    let drive = Drive::new().await;
    let request = Request::put("/dav/a")
        .body(Endless {
            left: 0,
            size_bytes: Some(200_000_000),
        })
        .unwrap();
    let answer = drive.dav.handle(&drive.caller, request).await;
    assert_eq!(answer.status(), StatusCode::INSUFFICIENT_STORAGE);

    let request = Request::put("/dav/a")
        .body(Endless {
            left: 200,
            size_bytes: None,
        })
        .unwrap();
    let answer = drive.dav.handle(&drive.caller, request).await;
    assert_eq!(answer.status(), StatusCode::INSUFFICIENT_STORAGE);
    let missing = drive.ask("GET", "/dav/a", &[], b"").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_off_leaves_the_old_file() {
    let drive = Drive::new().await;
    drive.put("/dav/a", b"old").await;
    for size_bytes in [None, Some(5_000_000)] {
        let body = Endless {
            left: 1,
            size_bytes,
        };
        let request = Request::put("/dav/a").body(body).unwrap();
        let answer = drive.dav.handle(&drive.caller, request).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(drive.get("/dav/a").await, "old");
}

/// Sends so many frames of 1 MB and then fails; it must not be asked for more than that.
struct Endless {
    left: usize,
    size_bytes: Option<u64>,
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        if self.left == 0 {
            assert_ne!(self.size_bytes, Some(200_000_000), "read although refused");
            return Poll::Ready(Some(Err("gone")));
        }
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![1; 1_000_000])))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.size_bytes
            .map_or_else(Default::default, http_body::SizeHint::with_exact)
    }
}
