use std::collections::VecDeque;

use super::*;

/// A client that sends these pieces, one for each read, and then nothing.
struct Script(VecDeque<Vec<u8>>);

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(mut piece) = self.0.pop_front() {
            let rest = piece.split_off(piece.len().min(buffer.remaining()));
            buffer.put_slice(&piece);
            if !rest.is_empty() {
                self.0.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads everything as hyper would: each head, told by its empty line, becomes a request whose
/// framing is reported. Returns the parts with the verdict on each head.
fn parts(pieces: &[&[u8]], framings: &[Framing]) -> Vec<(String, Option<Verdict>)> {
    let wire = Arc::new(Wire::default());
    let script = Script(pieces.iter().map(|piece| piece.to_vec()).collect());
    let mut guard = Guard::new(script, Arc::clone(&wire), 1000, Protocol::Detect, None);
    let mut context = Context::from_waker(std::task::Waker::noop());
    let mut framings = framings.iter();
    let (mut parts, mut part) = (Vec::new(), Vec::new());
    loop {
        let mut space = [0; 64];
        let mut buffer = ReadBuf::new(&mut space);
        let read = Pin::new(&mut guard).poll_read(&mut context, &mut buffer);
        assert!(matches!(read, Poll::Ready(Ok(()))), "{read:?}");
        if buffer.filled().is_empty() {
            assert!(part.is_empty(), "{:?}", String::from_utf8_lossy(&part));
            return parts;
        }
        part.extend_from_slice(buffer.filled());
        let text = || String::from_utf8_lossy(&part).into_owned();
        match guard.part {
            Part::Undecided => {
                wire.set_framing(*framings.next().unwrap());
                parts.push((text(), Some(wire.take_verdict())));
                part.clear();
            }
            Part::Head if guard.head.is_empty() => {
                parts.push((text(), None));
                part.clear();
            }
            _ => {}
        }
    }
}

const EVIL: &str = "a # b\r\n\r\nGET /# HTTP/1.1\r\n\r\n#";

/// Whatever way the bytes are cut into reads.
fn in_all_cuts(stream: &str, framings: &[Framing], expected: &[(&str, Option<Verdict>)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(a, b)| ((*a).to_owned(), *b))
        .collect();
    let bytes = stream.as_bytes();
    for cut in 0..bytes.len() {
        let pieces = [&bytes[..cut], &bytes[cut..]];
        let pieces: Vec<&[u8]> = pieces
            .into_iter()
            .filter(|piece| !piece.is_empty())
            .collect();
        assert_eq!(parts(&pieces, framings), expected, "cut at {cut}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(parts(&single, framings), expected, "byte by byte");
}

#[test]
fn pipelined_requests_are_judged_one_by_one() {
    in_all_cuts(
        "GET /a HTTP/1.1\r\n\r\nDELETE /#b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n",
        &[Framing::Length(0); 3],
        &[
            ("GET /a HTTP/1.1\r\n\r\n", Some(Verdict::Fine)),
            ("DELETE /#b HTTP/1.1\r\n\r\n", Some(Verdict::Fragment)),
            ("GET /c HTTP/1.1\r\n\r\n", Some(Verdict::Fine)),
        ],
    );
}

#[test]
fn a_body_is_never_taken_for_a_request() {
    let head = "PUT /a HTTP/1.1\r\nContent-Length: 29\r\n\r\n";
    assert_eq!(EVIL.len(), 29);
    in_all_cuts(
        &format!("{head}{EVIL}GET /#c HTTP/1.1\r\n\r\n"),
        &[Framing::Length(29), Framing::Length(0)],
        &[
            (head, Some(Verdict::Fine)),
            (EVIL, None),
            ("GET /#c HTTP/1.1\r\n\r\n", Some(Verdict::Fragment)),
        ],
    );
}

#[test]
fn a_chunked_body_is_never_taken_for_a_request() {
    let head = "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = format!("1d;#\r\n{EVIL}\r\n0\r\nX: #\r\n\r\n");
    in_all_cuts(
        &format!("{head}{body}GET /c HTTP/1.1\r\n\r\n"),
        &[Framing::Chunked, Framing::Length(0)],
        &[
            (head, Some(Verdict::Fine)),
            (&body, None),
            ("GET /c HTTP/1.1\r\n\r\n", Some(Verdict::Fine)),
        ],
    );
}

#[test]
fn http2_passes_unseen() {
    let wire = Arc::new(Wire::default());
    for cut in 1..24 {
        let bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04#";
        let script = Script([bytes[..cut].to_vec(), bytes[cut..].to_vec()].into());
        let mut guard = Guard::new(script, Arc::clone(&wire), 1000, Protocol::Detect, None);
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut space = [0; 64];
        let mut buffer = ReadBuf::new(&mut space);
        for _ in 0..2 {
            let read = Pin::new(&mut guard).poll_read(&mut context, &mut buffer);
            assert!(matches!(read, Poll::Ready(Ok(()))), "{read:?}");
        }
        assert_eq!(buffer.filled(), bytes, "cut at {cut}");
    }
}

#[test]
fn vectored_writes_are_passed_on() {
    let wire = Arc::new(Wire::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (one, _other) = tokio::net::UnixStream::pair().unwrap();
        assert!(Guard::new(one, wire, 1000, Protocol::Detect, None).is_write_vectored());
    });
}

#[test]
fn http2_is_cut_off_where_only_http1_is_served() {
    for cut in [0, 3, 14, 16] {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        for (protocol, is_served) in [(Protocol::Detect, true), (Protocol::Http1, false)] {
            let (one, other) = preface.split_at(cut);
            let pieces = [one, other].into_iter().filter(|piece| !piece.is_empty());
            let script = Script(pieces.map(<[u8]>::to_vec).collect());
            let mut guard = Guard::new(script, Arc::default(), 1000, protocol, None);
            let mut context = Context::from_waker(std::task::Waker::noop());
            let mut space = [0; 64];
            let mut buffer = ReadBuf::new(&mut space);
            let mut outcome = Ok(());
            while outcome.is_ok() && buffer.filled().len() < preface.len() {
                let Poll::Ready(read) = Pin::new(&mut guard).poll_read(&mut context, &mut buffer)
                else {
                    unreachable!("a script never waits")
                };
                outcome = read;
            }
            assert_eq!(outcome.is_ok(), is_served, "{protocol:?}, cut at {cut}");
        }
    }
}

#[test]
fn what_comes_after_an_upgrade_is_not_looked_at() {
    let wire = Arc::new(Wire::default());
    let head = b"GET / HTTP/1.1\r\n\r\n".to_vec();
    let frames = b"\x81\x84\r\n\r\n1234 # \r\n\r\n".to_vec();
    let script = Script(VecDeque::from([head, frames.clone(), frames.clone()]));
    let mut guard = Guard::new(script, Arc::clone(&wire), 1000, Protocol::Http1, None);
    let mut context = Context::from_waker(std::task::Waker::noop());
    let mut read = || {
        let mut space = [0; 64];
        let mut buffer = ReadBuf::new(&mut space);
        let read = Pin::new(&mut guard).poll_read(&mut context, &mut buffer);
        assert!(matches!(read, Poll::Ready(Ok(()))), "{read:?}");
        buffer.filled().to_vec()
    };
    read();
    wire.set_framing(Framing::Length(0));
    wire.upgraded.store(true, Ordering::Relaxed);
    assert_eq!(read(), frames);
    assert_eq!(read(), frames);
    assert_eq!(wire.take_verdict(), Verdict::Fine);
}
