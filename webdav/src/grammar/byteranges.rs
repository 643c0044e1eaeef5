//! Bodies of `multipart/byteranges` (RFC 9110 §14.6) that a client sends: several ranges of a file in
//! one PATCH, each with the length that the file is to have.
//!
//! Reads as the body comes and holds nothing but the line it is in.

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};

use super::content_range;
use super::range::{Span, number};

/// The content type, without its boundary.
pub const CONTENT_TYPE_VALUE: &str = "multipart/byteranges";
/// Most parts of a body.
pub const MAX_PARTS: usize = 1024;
/// Bytes of delimiter and header of one part.
const MAX_HEAD_BYTES: usize = 1024;

/// Why a body is none: 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{0}")]
pub struct BadParts(pub &'static str);

/// What a body says next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A part begins, whose bytes follow.
    Part {
        /// Where they go; none where only the length is said.
        span: Option<Span>,
        /// Length that the file is to have.
        size_bytes: u64,
    },
    /// Bytes of the part, not none.
    Data(Bytes),
}

/// The boundary of a request whose body is of this type; none where it is of another.
///
/// # Errors
/// [`BadParts`] without a boundary that RFC 2046 §5.1.1 allows.
pub fn boundary(headers: &HeaderMap) -> Result<Option<String>, BadParts> {
    let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let mut words = value.unwrap_or_default().split(';');
    let essence = words.next().unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case(CONTENT_TYPE_VALUE) {
        return Ok(None);
    }
    let found = words.find_map(|word| {
        let (name, value) = word.split_once('=')?;
        let is_it = name.trim().eq_ignore_ascii_case("boundary");
        is_it.then(|| value.trim())
    });
    let found = found.ok_or(BadParts("multipart/byteranges needs a boundary"))?;
    let unquoted = found.strip_prefix('"').and_then(|f| f.strip_suffix('"'));
    let boundary = unquoted.unwrap_or(found);
    let is_char = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b);
    let fits = (1..=70).contains(&boundary.len());
    if !fits || !boundary.bytes().all(is_char) || boundary.ends_with(' ') {
        return Err(BadParts("not a boundary"));
    }
    Ok(Some(boundary.to_owned()))
}

/// Reads a body.
#[derive(Debug)]
pub struct Parts {
    /// With the two dashes before it.
    delimiter: Vec<u8>,
    input: Bytes,
    /// The line so far, without its end.
    line: Vec<u8>,
    /// Bytes that lines may still take until the next part's content.
    head_left: usize,
    at: At,
    parts: usize,
    /// What the parts so far have said, and where the last one ended.
    size_bytes: Option<u64>,
    end: u64,
    only_length: bool,
}

/// What a `Content-Range` says: where the bytes go, none where only the length is said; the length.
type Said = (Option<Span>, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the first delimiter.
    Start,
    /// In the header of a part; it has said where its bytes go.
    Head(Option<Said>),
    /// In its bytes, of which so many are to come.
    Data(u64),
    /// Behind them.
    Behind,
    /// Before the delimiter that follows.
    Delimiter,
    /// Behind the last one.
    End,
}

impl Parts {
    /// Begins a body with this boundary.
    pub fn new(boundary: &str) -> Self {
        Self {
            delimiter: format!("--{boundary}").into_bytes(),
            input: Bytes::new(),
            line: Vec::new(),
            head_left: MAX_HEAD_BYTES,
            at: At::Start,
            parts: 0,
            size_bytes: None,
            end: 0,
            only_length: false,
        }
    }

    /// Takes the next frame of the body, after all events of those before.
    pub fn push(&mut self, frame: Bytes) {
        debug_assert!(self.input.is_empty(), "events are taken first");
        self.input = frame;
    }

    /// The next event; none when more of the body is needed.
    ///
    /// # Errors
    /// [`BadParts`]. What came before is worth nothing then.
    pub fn event(&mut self) -> Result<Option<Event>, BadParts> {
        loop {
            if let At::Data(left) = self.at {
                if left == 0 {
                    self.at = At::Behind;
                    self.head_left = MAX_HEAD_BYTES;
                    continue;
                }
                if self.input.is_empty() {
                    return Ok(None);
                }
                let most = usize::try_from(left).unwrap_or(usize::MAX);
                let data = self.input.split_to(self.input.len().min(most));
                self.at = At::Data(left - data.len() as u64);
                return Ok(Some(Event::Data(data)));
            }
            let Some(line) = self.take_line()? else {
                return Ok(None);
            };
            if let Some(event) = self.read(&line)? {
                return Ok(Some(event));
            }
        }
    }

    /// Ends the body.
    ///
    /// # Errors
    /// [`BadParts`] where it is not at its end.
    pub fn finish(mut self) -> Result<(), BadParts> {
        if matches!(self.at, At::Delimiter) {
            // The last line needs no end.
            let line = std::mem::take(&mut self.line);
            self.read(&line)?;
        }
        if self.at != At::End || self.parts == 0 {
            return Err(BadParts("the parts end before their last delimiter"));
        }
        Ok(())
    }

    /// A line, once its end is there.
    fn take_line(&mut self) -> Result<Option<Vec<u8>>, BadParts> {
        let end = self.input.iter().position(|&byte| byte == b'\n');
        let taken = self
            .input
            .split_to(end.map_or(self.input.len(), |at| at + 1));
        self.head_left = self
            .head_left
            .checked_sub(taken.len())
            .ok_or(BadParts("the header of a part is longer than 1024 bytes"))?;
        self.line.extend_from_slice(&taken);
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        if !line.ends_with(b"\r\n") {
            return Err(BadParts("a line of the parts does not end in CR LF"));
        }
        line.truncate(line.len() - 2);
        Ok(Some(line))
    }

    fn read(&mut self, line: &[u8]) -> Result<Option<Event>, BadParts> {
        match self.at {
            At::Start | At::End if line.is_empty() => {}
            At::Start | At::Delimiter => self.delimit(line)?,
            At::Head(said) if line.is_empty() => return self.begin(said).map(Some),
            At::Head(said) => {
                let range = header(line)?;
                if range.is_some() && said.is_some() {
                    return Err(BadParts("a part has Content-Range twice"));
                }
                self.at = At::Head(said.or(range));
            }
            At::Behind if line.is_empty() => self.at = At::Delimiter,
            At::Behind => return Err(BadParts("a part is longer than its Content-Range")),
            At::End | At::Data(_) => return Err(BadParts("something follows the last delimiter")),
        }
        Ok(None)
    }

    fn delimit(&mut self, line: &[u8]) -> Result<(), BadParts> {
        let rest = line.strip_prefix(&self.delimiter[..]);
        match rest.map(<[u8]>::trim_ascii_end) {
            Some(b"") => self.at = At::Head(None),
            Some(b"--") => self.at = At::End,
            _ => return Err(BadParts("a delimiter with the boundary is missing")),
        }
        Ok(())
    }

    /// Begins a part's content.
    fn begin(&mut self, said: Option<Said>) -> Result<Event, BadParts> {
        let (span, size_bytes) = said.ok_or(BadParts("a part has no Content-Range"))?;
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(BadParts("more than 1024 parts"));
        }
        if self.only_length || (span.is_none() && self.parts > 1) {
            return Err(BadParts("bytes */length stands alone"));
        }
        if self.size_bytes.is_some_and(|before| before != size_bytes) {
            return Err(BadParts("the parts say different lengths"));
        }
        let (start, end) = span.map_or((0, 0), |span| (span.start, span.end));
        if start < self.end {
            return Err(BadParts("the parts are not in order or overlap"));
        }
        self.only_length = span.is_none();
        (self.size_bytes, self.end) = (Some(size_bytes), end);
        self.at = At::Data(end - start);
        Ok(Event::Part { span, size_bytes })
    }
}

/// What a line of a part's header says of its range.
fn header(line: &[u8]) -> Result<Option<Said>, BadParts> {
    let malformed = BadParts("a part has a malformed header");
    let line = str::from_utf8(line).map_err(|_| malformed)?;
    let (name, value) = line.split_once(':').ok_or(malformed)?;
    if !name.eq_ignore_ascii_case("content-range") {
        return Ok(None);
    }
    let value = value.trim_matches([' ', '\t']);
    if let Some(size_bytes) = only_length(value) {
        return Ok(Some((None, size_bytes)));
    }
    let range = content_range::read(value);
    match range.and_then(|range| Some((Some(range.span), range.size_bytes?))) {
        Some(said) => Ok(Some(said)),
        None => Err(BadParts(
            "a part's Content-Range is not of the form bytes first-last/length",
        )),
    }
}

/// `bytes */length`.
fn only_length(value: &str) -> Option<u64> {
    let (unit, rest) = value.split_once(' ')?;
    let size_bytes = number(rest.trim_start().strip_prefix("*/")?)?;
    let fits = unit.eq_ignore_ascii_case("bytes") && i64::try_from(size_bytes).is_ok();
    fits.then_some(size_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grammar::field::headers_of;

    /// The parts of a body that comes in pieces of so many bytes, with their content.
    fn read(body: &[u8], step: usize) -> Result<Vec<(Said, Vec<u8>)>, BadParts> {
        let mut parts = Parts::new("X");
        let mut found: Vec<(Said, Vec<u8>)> = Vec::new();
        for frame in body.chunks(step) {
            parts.push(Bytes::copy_from_slice(frame));
            while let Some(event) = parts.event()? {
                match event {
                    Event::Part { span, size_bytes } => {
                        found.push(((span, size_bytes), Vec::new()));
                    }
                    Event::Data(data) => found.last_mut().unwrap().1.extend_from_slice(&data),
                }
            }
        }
        parts.finish()?;
        Ok(found)
    }

    fn body(parts: &[(&str, &str)]) -> String {
        let part = |(range, data): &(&str, &str)| {
            format!("--X\r\nContent-Type: a/b\r\ncontent-range: {range}\r\n\r\n{data}\r\n")
        };
        let parts: String = parts.iter().map(part).collect();
        parts + "--X--"
    }

    fn said(start: u64, end: u64, size_bytes: u64) -> Said {
        (Some(Span { start, end }), size_bytes)
    }

    #[test]
    fn parts_come_however_the_body_is_cut() {
        let two = body(&[("bytes 0-2/20", "abc"), ("bytes 3-9/20", "\r\n--X\r\n")]);
        let expected = vec![
            (said(0, 3, 20), b"abc".to_vec()),
            (said(3, 10, 20), b"\r\n--X\r\n".to_vec()),
        ];
        for step in [1, 2, 3, 7, 1000] {
            assert_eq!(read(two.as_bytes(), step).as_ref(), Ok(&expected));
            let padded = format!("\r\n{two}\r\n");
            assert_eq!(read(padded.as_bytes(), step).as_ref(), Ok(&expected));
        }
        let length = body(&[("bytes */7", "")]);
        assert_eq!(
            read(length.as_bytes(), 5),
            Ok(vec![((None, 7), Vec::new())])
        );
    }

    #[test]
    fn bodies_that_contradict_themselves_are_refused() {
        let long = format!("--X\r\nA: {}\r\n\r\n", "x".repeat(MAX_HEAD_BYTES));
        let many = body(&[("bytes 0-0/9", "x"); 2]);
        let whole = body(&[("bytes 0-2/9", "abc")]);
        for bad in [
            "",
            "--X--",
            "--Y\r\n",
            "--X\r\n\r\n--X--",
            "--X\nContent-Range: bytes 0-0/1\n\nx\n--X--",
            &long,
            &many,
            &whole[..whole.len() - 1],
            &format!("{whole}x"),
            &format!("{whole}\r\nx\r\n"),
            &whole.replace("abc", "abcd"),
            &whole.replace("abc", "ab"),
            &body(&[("bytes 0-2/9", "abc"), ("bytes 5-5/8", "x")]),
            &body(&[("bytes 4-5/9", "ab"), ("bytes 0-0/9", "x")]),
            &body(&[("bytes 0-9/9", "abcdefghij")]),
            &body(&[("bytes 0-0/*", "a")]),
            &body(&[("bytes */9", ""), ("bytes 0-0/9", "a")]),
            &body(&[("bytes 0-0/9", "a"), ("bytes */9", "")]),
            &body(&[("bytes */9", "x")]),
            &body(&[("bytes */9\r\nContent-Range: bytes */9", "")]),
        ] {
            assert!(read(bad.as_bytes(), 1000).is_err(), "{bad}");
        }
        let part = |at: usize| format!("--X\r\nContent-Range: bytes {at}-{at}/9999\r\n\r\nx\r\n");
        let most: String = (0..MAX_PARTS).map(part).collect();
        assert!(read(format!("{most}--X--").as_bytes(), 99).is_ok());
        let more = format!("{most}{}--X--", part(MAX_PARTS));
        assert!(read(more.as_bytes(), 99).is_err());
    }

    #[test]
    fn the_boundary_stands_in_the_content_type() {
        let of = |value: &str| boundary(&headers_of("content-type", &[value]));
        let some = |value: &str| Ok(Some(value.to_owned()));
        assert_eq!(of("multipart/byteranges; boundary=a-B.1"), some("a-B.1"));
        assert_eq!(
            of("Multipart/ByteRanges;x=y; Boundary=\"a b\""),
            some("a b")
        );
        assert_eq!(of("application/octet-stream; boundary=x"), Ok(None));
        assert_eq!(boundary(&HeaderMap::new()), Ok(None));
        let long = format!("multipart/byteranges; boundary={}", "x".repeat(71));
        for bad in [
            "multipart/byteranges",
            "multipart/byteranges; boundary=",
            "multipart/byteranges; boundary=\"a \"",
            "multipart/byteranges; boundary=\u{e9}",
            &long,
        ] {
            assert!(!matches!(of(bad), Ok(Some(_))), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(
            body in "(--X|--|\r\n|Content-Range: bytes |[0-9]{1,3}|-|/|\\*|:|\\PC){0,30}",
            step in 1_usize..9,
        ) {
            let _ = read(body.as_bytes(), step);
        }
    }
}
