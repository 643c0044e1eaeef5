use axum::Router;
use axum::routing::{get, post};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

async fn broken() {
    panic!("on purpose");
}

/// A server with an echo, the client's end of a connection to it, and the phase it is in.
fn connect(change: impl FnOnce(&mut Config)) -> (DuplexStream, watch::Sender<Phase>) {
    let mut config = Config::default();
    change(&mut config);
    let echo = |body: Bytes| async move { body };
    let api: Router = Router::new()
        .route("/echo", post(echo))
        .route("/hello", get(|| async { "hello" }))
        .route("/panic", get(broken))
        .route("/large", get(|| async { vec![b'x'; 8 << 20] }));
    let state = State::new(config, api, None);
    let (client, server) = duplex(4096);
    let (phase, watcher) = watch::channel(Phase::Serving);
    let peer = Peer {
        address: [127, 0, 0, 1].into(),
        tls: false,
    };
    let origin = Origin {
        peer,
        trusted: false,
        protocol: Protocol::Detect,
    };
    tokio::spawn(serve(server, None, origin, state, watcher));
    (client, phase)
}

/// Sends `pieces` one after the other and reads until the server closes.
async fn talk(pieces: &[&str]) -> String {
    let (mut client, _phase) = connect(|_| ());
    for piece in pieces {
        // The server may have closed before it was sent all.
        if client.write_all(piece.as_bytes()).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    rest(&mut client).await
}

async fn rest(client: &mut DuplexStream) -> String {
    let mut answers = Vec::new();
    client.read_to_end(&mut answers).await.unwrap();
    String::from_utf8(answers).unwrap()
}

fn statuses(answers: &str) -> Vec<&str> {
    let lines = answers.split("HTTP/1.1 ").skip(1);
    lines.map(|answer| &answer[..3]).collect()
}

const LAST: &str = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_raw_hash_in_the_target_is_refused_and_ends_the_connection() {
    let request = "DELETE /dav/litmus/frag/#ment HTTP/1.1\r\nHost: a\r\n\r\n";
    let answers = talk(&[request, LAST]).await;
    assert_eq!(statuses(&answers), ["400"]);
    assert!(answers.contains("connection: close\r\n"), "{answers}");
    assert!(
        answers.contains("The request target holds a raw `#`"),
        "{answers}"
    );
    // Wherever the line is cut.
    for cut in 0..request.len() {
        let (one, other) = request.split_at(cut);
        assert_eq!(
            statuses(&talk(&[one, other]).await),
            ["400"],
            "cut at {cut}"
        );
    }
}

#[tokio::test]
async fn pipelined_requests_before_it_are_answered_first() {
    let get = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    let answers = talk(&[&format!(
        "{get}{get}GET /hello#x HTTP/1.1\r\nHost: a\r\n\r\n"
    )])
    .await;
    assert_eq!(statuses(&answers), ["200", "200", "400"]);
}

#[tokio::test]
async fn what_looks_like_a_request_inside_a_body_is_content() {
    let body = "#\r\n\r\nGET /# HTTP/1.1\r\nHost: a\r\n\r\n";
    let sized = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let chunked = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    let stream = format!("{sized}{chunked}{sized}{LAST}");
    for size in [1, 7, 50, stream.len()] {
        let bytes = stream.as_bytes().chunks(size);
        let pieces: Vec<&str> = bytes.map(|piece| str::from_utf8(piece).unwrap()).collect();
        let answers = talk(&pieces).await;
        assert_eq!(
            statuses(&answers.replace(body, "")),
            ["200"; 4],
            "in pieces of {size}"
        );
        assert_eq!(answers.matches(body).count(), 3);
    }
}

#[tokio::test]
async fn requests_that_smuggle_or_lack_a_host_are_refused() {
    for headers in [
        "Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Host: a\r\nHost: b\r\n",
        "",
        "Host: a\r\nContent-Length: +5\r\n",
        "Host: a\r\n folded: b\r\n",
    ] {
        let answers = talk(&[&format!("POST /echo HTTP/1.1\r\n{headers}\r\n0\r\n\r\n")]).await;
        assert_eq!(statuses(&answers), ["400"], "{headers:?}");
    }
    let gzip =
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(statuses(&talk(&[gzip]).await), ["501"]);
}

#[tokio::test]
async fn headers_may_be_as_long_as_the_limit_and_no_longer() {
    let limit = 32 << 10;
    let empty = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: \r\n\r\n";
    for (length, status) in [
        (limit, "200"),
        (limit + 1, "431"),
        (limit + (64 << 10), "431"),
    ] {
        let filler = "x".repeat(length - empty.len());
        let request = empty.replace("X: ", &format!("X: {filler}"));
        assert_eq!(statuses(&talk(&[&request]).await), [status], "{length}");
    }
}

#[tokio::test]
async fn a_panic_in_a_handler_is_an_answer() {
    let answers = talk(&[&LAST.replace("/hello", "/panic")]).await;
    assert_eq!(statuses(&answers), ["500"]);
    assert!(answers.contains("x-request-id: "), "{answers}");
}

#[tokio::test]
async fn draining_finishes_the_request_under_way() {
    let (mut client, phase) = connect(|_| ());
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(b"ha").await.unwrap();
    tokio::task::yield_now().await;
    phase.send_replace(Phase::Draining);
    tokio::task::yield_now().await;
    client.write_all(b"ha").await.unwrap();
    let answers = rest(&mut client).await;
    assert!(
        answers.starts_with("HTTP/1.1 200") && answers.ends_with("haha"),
        "{answers}"
    );
    phase.closed().await;
}

#[tokio::test(start_paused = true)]
async fn clients_that_stall_are_let_go() {
    // Says nothing at all.
    let (mut client, _phase) = connect(|_| ());
    assert_eq!(rest(&mut client).await, "");
    // Never ends its headers.
    let (mut client, _phase) = connect(|_| ());
    client
        .write_all(b"GET /hello HTTP/1.1\r\nHost:")
        .await
        .unwrap();
    assert_eq!(rest(&mut client).await, "");
    // Never sends the body it promised.
    let (mut client, _phase) = connect(|_| ());
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\nab";
    client.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(statuses(&rest(&mut client).await), ["408"]);
    // Never takes the answer: the server goes, though not all is read.
    let (mut client, phase) = connect(|_| ());
    client
        .write_all(LAST.replace("/hello", "/large").as_bytes())
        .await
        .unwrap();
    phase.closed().await;
    assert!(rest(&mut client).await.len() < 8 << 20);
}

#[tokio::test(start_paused = true)]
async fn a_slow_but_steady_body_is_let_through() {
    let (mut client, _phase) = connect(|_| ());
    let head =
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 50000\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(50)).await;
        client.write_all(&[b'x'; 5000]).await.unwrap();
    }
    assert_eq!(statuses(&rest(&mut client).await), ["200"]);
}

#[tokio::test]
async fn http2_is_spoken_to_who_begins_with_it() {
    let (mut client, _phase) = connect(|_| ());
    // The preface and empty SETTINGS; the server's first frame must be its own SETTINGS.
    client
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut frame = [0; 9];
    client.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4);
}
