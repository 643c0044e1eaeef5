//! What the bytes of a request head show that hyper hides or lets pass.
//!
//! hyper drops a fragment from the request target without a word, and the `Content-Length` of a
//! message that has a `Transfer-Encoding` too. Both are refused here (RFC 9112 §3.2, §6.1).

use memchr::{memchr, memchr_iter};

/// The verdict on one request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// Nothing to say.
    Fine = 0,
    /// The target holds a raw `#`.
    Fragment = 1,
    /// The head is longer than the limit.
    TooLong = 2,
    /// Two headers tell two lengths of the body: an attempt at request smuggling.
    TwoLengths = 3,
}

impl From<u8> for Verdict {
    fn from(number: u8) -> Self {
        match number {
            1 => Self::Fragment,
            2 => Self::TooLong,
            3 => Self::TwoLengths,
            _ => Self::Fine,
        }
    }
}

/// Where the head at the start of `bytes` ends: behind its empty line. Empty lines in front of the
/// request line belong to it (RFC 9112 §2.2), and a bare line feed ends a line, as for hyper.
///
/// `seen` is how many of the bytes an earlier call has looked at.
pub fn end(bytes: &[u8], seen: usize) -> Option<usize> {
    let lead = leading_breaks(bytes);
    // Begin one line back: the line break that ended it may be half of the empty line.
    let resume = seen.saturating_sub(2).max(lead);
    memchr_iter(b'\n', &bytes[resume..])
        .map(|at| resume + at)
        .find_map(|at| match bytes.get(at + 1..)? {
            [b'\n', ..] => Some(at + 2),
            [b'\r', b'\n', ..] => Some(at + 3),
            _ => None,
        })
}

fn leading_breaks(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .count()
}

/// Judges a whole head.
pub fn judge(head: &[u8], limit: usize) -> Verdict {
    if head.len() > limit {
        return Verdict::TooLong;
    }
    let head = &head[leading_breaks(head)..];
    let line_end = memchr(b'\n', head).unwrap_or(head.len());
    if memchr(b'#', &head[..line_end]).is_some() {
        return Verdict::Fragment;
    }
    let (mut lengths, mut encodings) = (0, 0);
    for at in memchr_iter(b'\n', head) {
        let line = &head[at + 1..];
        match line.first() {
            Some(b'c' | b'C') if names(line, b"content-length") => lengths += 1,
            Some(b't' | b'T') if names(line, b"transfer-encoding") => encodings += 1,
            _ => {}
        }
    }
    if encodings > 1 || (encodings == 1 && lengths > 0) {
        Verdict::TwoLengths
    } else {
        Verdict::Fine
    }
}

fn names(line: &[u8], name: &[u8]) -> bool {
    line.len() > name.len()
        && line[..name.len()].eq_ignore_ascii_case(name)
        && matches!(line[name.len()], b':' | b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_behind_its_empty_line_wherever_the_reads_fall() {
        for head in [
            "GET / HTTP/1.1\r\nA: b\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "\r\n\nG / H\nA: b\n\n",
        ] {
            let bytes = [head.as_bytes(), b"body\r\n\r\n"].concat();
            assert_eq!(end(&bytes, 0), Some(head.len()), "{head:?}");
            for seen in 0..head.len() {
                assert_eq!(end(&bytes[..seen], 0), None, "{head:?} {seen}");
                assert_eq!(end(&bytes, seen), Some(head.len()), "{head:?} {seen}");
            }
        }
    }

    #[test]
    fn only_a_hash_in_the_request_line_is_a_fragment() {
        let verdict = |head: &str| judge(head.as_bytes(), 1000);
        assert_eq!(
            verdict("DELETE /dav/frag/#ment HTTP/1.1\r\n\r\n"),
            Verdict::Fragment
        );
        assert_eq!(verdict("\r\nDELETE /# HTTP/1.1\r\n\r\n"), Verdict::Fragment);
        assert_eq!(
            verdict("GET /a%23b HTTP/1.1\r\nX: #\r\n\r\n"),
            Verdict::Fine
        );
    }

    #[test]
    fn two_tellings_of_the_length_are_seen() {
        let verdict =
            |headers: &str| judge(format!("PUT / HTTP/1.1\r\n{headers}\r\n").as_bytes(), 1000);
        assert_eq!(verdict("Content-Length: 1\r\n"), Verdict::Fine);
        assert_eq!(
            verdict("Transfer-Encoding: chunked\r\nTE: trailers\r\n"),
            Verdict::Fine
        );
        let both = "content-length: 1\r\nHost: a\r\nTRANSFER-ENCODING: chunked\r\n";
        assert_eq!(verdict(both), Verdict::TwoLengths);
        let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n";
        assert_eq!(verdict(twice), Verdict::TwoLengths);
    }

    #[test]
    fn a_head_may_be_as_long_as_the_limit_and_no_longer() {
        let head = b"GET / HTTP/1.1\r\n\r\n";
        assert_eq!(judge(head, head.len()), Verdict::Fine);
        assert_eq!(judge(head, head.len() - 1), Verdict::TooLong);
    }
}
