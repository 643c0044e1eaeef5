//! dav-server's own handlers, for every method, beside what this crate answers: the same requests
//! to two drives. Where the two differ, the step says how, and `docs/decisions/0001` says why.

use http_body_util::BodyExt as _;

use super::*;
use crate::testing::{Answer, Drive};

/// Statuses, ours and dav-server's; the second one is left out where it is the same.
enum Status {
    Both(u16),
    Differ(u16, u16),
}
use Status::{Both, Differ};

type Step = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    Status,
);

const LOCK: &str = "<D:lockinfo xmlns:D='DAV:'><D:lockscope><D:exclusive/></D:lockscope>\
    <D:locktype><D:write/></D:locktype></D:lockinfo>";
const SET: &str = "<D:propertyupdate xmlns:D='DAV:'><D:set><D:prop><c xmlns='u:x'>red</c></D:prop>\
    </D:set></D:propertyupdate>";
const ASK: &str = "<D:propfind xmlns:D='DAV:'><D:prop><c xmlns='u:x'/></D:prop></D:propfind>";

/// `{token}` stands for the token of the last lock on that side.
const STEPS: &[Step] = &[
    ("MKCOL", "/dav/a/", &[], "", Both(201)),
    ("MKCOL", "/dav/a/", &[], "", Both(405)),
    ("MKCOL", "/dav/x/y", &[], "", Both(409)),
    (
        "PUT",
        "/dav/a/f",
        &[("content-length", "3")],
        "one",
        Both(201),
    ),
    (
        "PUT",
        "/dav/a/f",
        &[("content-length", "5")],
        "three",
        Both(204),
    ),
    (
        "PUT",
        "/dav/none/f",
        &[("content-length", "1")],
        "x",
        Both(409),
    ),
    (
        "PUT",
        "/dav/a/f",
        &[("if-none-match", "*"), ("content-length", "1")],
        "x",
        Both(412),
    ),
    ("GET", "/dav/a/f", &[], "", Both(200)),
    ("GET", "/dav/a/f", &[("range", "bytes=1-2")], "", Both(206)),
    ("HEAD", "/dav/a/f", &[], "", Both(200)),
    ("GET", "/dav/a/none", &[], "", Both(404)),
    ("PROPPATCH", "/dav/a/f", &[], SET, Both(207)),
    ("PROPFIND", "/dav/a/f", &[("depth", "0")], ASK, Both(207)),
    ("PROPFIND", "/dav/a", &[("depth", "1")], "", Both(207)),
    (
        "PROPFIND",
        "/dav/a",
        &[("depth", "infinity")],
        "",
        Differ(403, 501),
    ),
    (
        "COPY",
        "/dav/a/f",
        &[("destination", "/dav/g")],
        "",
        Both(201),
    ),
    (
        "COPY",
        "/dav/a/f",
        &[("destination", "/dav/g"), ("overwrite", "F")],
        "",
        Both(412),
    ),
    (
        "COPY",
        "/dav/a/f",
        &[("destination", "/dav/g")],
        "",
        Both(204),
    ),
    (
        "COPY",
        "/dav/a",
        &[("destination", "/dav/b")],
        "",
        Both(201),
    ),
    (
        "COPY",
        "/dav/a",
        &[("destination", "/dav/c"), ("depth", "0")],
        "",
        Both(201),
    ),
    (
        "COPY",
        "/dav/a/f",
        &[("destination", "/dav/none/f")],
        "",
        Both(409),
    ),
    (
        "COPY",
        "/dav/none",
        &[("destination", "/dav/d")],
        "",
        Both(404),
    ),
    (
        "COPY",
        "/dav/a/f",
        &[("destination", "/dav/a/f")],
        "",
        Both(403),
    ),
    ("COPY", "/dav/a/f", &[], "", Both(400)),
    (
        "MOVE",
        "/dav/b",
        &[("destination", "/dav/c")],
        "",
        Both(204),
    ),
    (
        "MOVE",
        "/dav/g",
        &[("destination", "/dav/c/g")],
        "",
        Both(201),
    ),
    (
        "MOVE",
        "/dav/c",
        &[("destination", "/dav/d"), ("depth", "0")],
        "",
        Both(400),
    ),
    ("LOCK", "/dav/a/f", &[], LOCK, Both(200)),
    ("LOCK", "/dav/a/f", &[], LOCK, Both(423)),
    ("LOCK", "/dav/new", &[("depth", "0")], LOCK, Both(201)),
    (
        "PUT",
        "/dav/new",
        &[("content-length", "1")],
        "x",
        Both(423),
    ),
    (
        "PUT",
        "/dav/new",
        &[("if", "(<{token}>)"), ("content-length", "1")],
        "x",
        Both(204),
    ),
    ("DELETE", "/dav/new", &[], "", Both(423)),
    ("LOCK", "/dav/new", &[("if", "(<{token}>)")], "", Both(200)),
    (
        "UNLOCK",
        "/dav/new",
        &[("lock-token", "<{token}>")],
        "",
        Both(204),
    ),
    (
        "PUT",
        "/dav/new",
        &[("if", "(<{token}>)"), ("content-length", "1")],
        "y",
        Both(412),
    ),
    ("DELETE", "/dav/new", &[], "", Both(204)),
    ("DELETE", "/dav/new", &[], "", Both(404)),
    ("DELETE", "/dav/c", &[], "", Both(204)),
    ("OPTIONS", "/dav/a", &[], "", Both(200)),
];

/// The same request to dav-server, below no prefix, with all of the client's words.
async fn theirs(
    drive: &Drive,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: &str,
) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(path.strip_prefix("/dav").unwrap());
    for (name, value) in headers {
        let value = value.strip_prefix("/dav").unwrap_or(value);
        let value = match *name {
            "destination" => format!("http://localhost{value}"),
            _ => value.to_owned(),
        };
        request = request.header(*name, value);
    }
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    let request = request.body(body).unwrap();
    let target = drive.dav.mounts().of("alice").resolve(path).unwrap();
    let (head, body) = request.into_parts();
    let call = Call {
        dav: &drive.dav,
        caller: &drive.caller,
        head: &head,
        target: crate::request::Target::new(target).unwrap(),
        share: None,
    };
    let wish = Wish {
        token: lock_token::from_random(call.dav.options().world.bytes()),
        owner_xml: None,
        timeout: None,
    };
    let context = Context::new(
        drive.store.clone(),
        drive.caller.clone(),
        call.target.path.clone(),
        call.condition().unwrap(),
        Some(wish),
        None,
    );
    let answer = run(&context, Request::from_parts(head, body)).await;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    // As in service: what the store refused with is the answer.
    let refused = context.take_outcome().error;
    let status = refused.map_or(head.status, |error| Failure::from(error).status().0);
    Answer {
        status: status.as_u16(),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

#[tokio::test]
async fn both_say_and_do_the_same() {
    let (our, their) = (Drive::new().await, Drive::new().await);
    let (mut our_token, mut their_token) = (String::new(), String::new());
    for (index, (method, path, headers, body, status)) in STEPS.iter().enumerate() {
        let with = |token: &str| -> Vec<(&'static str, String)> {
            let fill = |value: &str| value.replace("{token}", token);
            headers.iter().map(|(n, v)| (*n, fill(v))).collect()
        };
        let filled = with(&our_token);
        let filled: Vec<_> = filled.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let a = our.send(method, path, &filled, body).await;
        let b = theirs(&their, method, path, &with(&their_token), body).await;
        let (ours, other) = match *status {
            Both(status) => (status, status),
            Differ(ours, theirs) => (ours, theirs),
        };
        let step = format!("step {index}: {method} {path} {headers:?}");
        assert_eq!(a.status, ours, "{step}: ours\n{}", a.body);
        assert_eq!(b.status, other, "{step}: theirs\n{}", b.body);
        assert_eq!(our.tree().await, their.tree().await, "{step}");
        match *method {
            "GET" if a.status < 300 => assert_eq!(a.body, b.body, "{step}"),
            "PROPFIND" if a.status == 207 => {
                assert_eq!(
                    a.body.contains(">red</"),
                    b.body.contains(">red</"),
                    "{step}"
                );
            }
            _ => {}
        }
        let token = |answer: &Answer| {
            answer
                .header("lock-token")
                .trim_matches(['<', '>'])
                .to_owned()
        };
        if *method == "LOCK" && a.headers.contains_key("lock-token") {
            (our_token, their_token) = (token(&a), token(&b));
        }
    }
}

/// Why COPY and MOVE are ours.
#[tokio::test]
async fn moving_onto_an_ancestor_loses_nothing_here() {
    let (our, their) = (Drive::new().await, Drive::new().await);
    for drive in [&our, &their] {
        drive.folder("/a").await;
        drive.folder("/a/b").await;
        drive.file("/a/b/f", "precious").await;
    }
    let before = our.tree().await;
    let headers = [("destination", "/dav/a")];
    assert_eq!(our.send("MOVE", "/dav/a/b", &headers, "").await.status, 403);
    assert_eq!(our.tree().await, before);
    let headers = [("destination", "/dav/a".to_owned())];
    theirs(&their, "MOVE", "/dav/a/b", &headers, "").await;
    assert_eq!(their.tree().await, Vec::<String>::new());
}
