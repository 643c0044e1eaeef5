//! `multipart/form-data` (RFC 7578), read as it comes.
//!
//! No more is taken from the connection than the next step needs, and what is held is bounded:
//! the parsers at hand take in whatever the client has sent, and let a part's head grow without
//! end.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body;
use memchr::memmem::{self, Finder};
use percent_encoding::percent_decode_str;

/// Longest head of a part.
const MOST_HEAD_BYTES: usize = 8 << 10;
/// Longest boundary (RFC 2046 §5.1.1).
const MOST_BOUNDARY_BYTES: usize = 70;
/// What may follow the form.
const MOST_EPILOGUE_BYTES: usize = 64 << 10;
/// Spaces that may follow a boundary on its line.
const MOST_PADDING_BYTES: usize = 256;

/// Why a form could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The body is declared as something else.
    #[error("a form with files is sent as multipart/form-data")]
    NotForm,
    /// It is not one.
    #[error("the form cannot be read: {0}")]
    Malformed(&'static str),
    /// The connection broke, or was too slow.
    #[error("the body broke off")]
    BrokenOff,
}

/// What the head of a part says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// The name of the form's field.
    pub name: Option<String>,
    /// The file's name, where the part is a file.
    pub file_name: Option<String>,
}

/// A form whose parts are read one after the other.
pub struct Multipart<B> {
    body: B,
    buffer: BytesMut,
    /// What ends a part.
    delimiter: Finder<'static>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a part's content, or before the first part.
    Content,
    /// Behind a delimiter.
    Delimiter,
    /// Behind the last one.
    End,
}

impl<B> Multipart<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// The form in a request's body.
    ///
    /// # Errors
    /// [`Error::NotForm`], [`Error::Malformed`] without a boundary.
    pub fn new(headers: &HeaderMap, body: B) -> Result<Self, Error> {
        let boundary = boundary(headers)?;
        let delimiter = format!("\r\n--{boundary}");
        Ok(Self {
            body,
            // The first delimiter may stand at the very beginning.
            buffer: BytesMut::from("\r\n"),
            delimiter: Finder::new(delimiter.as_bytes()).into_owned(),
            state: State::Content,
        })
    }

    /// The next part; what is left of the one before is skipped. `None` after the last.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::BrokenOff`].
    pub async fn next_part(&mut self) -> Result<Option<Part>, Error> {
        while self.piece().await?.is_some() {}
        if self.state == State::End {
            return Ok(None);
        }
        if self.is_last().await? {
            self.state = State::End;
            self.drain().await?;
            return Ok(None);
        }
        self.state = State::Content;
        let head = self.head().await?;
        read_head(&head).map(Some)
    }

    /// The next bytes of the part's content; `None` at its end.
    ///
    /// # Errors
    /// [`Error::BrokenOff`], also where the form ends before it should.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        if self.state != State::Content {
            return Ok(None);
        }
        let delimiter_bytes = self.delimiter.needle().len();
        loop {
            match self.delimiter.find(&self.buffer) {
                Some(0) => {
                    let _ = self.buffer.split_to(delimiter_bytes);
                    self.state = State::Delimiter;
                    return Ok(None);
                }
                Some(at) => return Ok(Some(self.buffer.split_to(at).freeze())),
                None => {}
            }
            // The last bytes may be the beginning of a delimiter.
            let certain = (self.buffer.len() + 1).saturating_sub(delimiter_bytes);
            if certain > 0 {
                return Ok(Some(self.buffer.split_to(certain).freeze()));
            }
            self.fetch().await?;
        }
    }

    /// Whether the delimiter just read is the last one; reads to the end of its line otherwise.
    async fn is_last(&mut self) -> Result<bool, Error> {
        while self.buffer.len() < 2 {
            self.fetch().await?;
        }
        if self.buffer.starts_with(b"--") {
            return Ok(true);
        }
        loop {
            if let Some(at) = memmem::find(&self.buffer, b"\r\n") {
                let padding = self.buffer.split_to(at);
                if padding.iter().any(|byte| !b" \t".contains(byte)) {
                    return Err(Error::Malformed("a boundary with something behind it"));
                }
                return Ok(false);
            }
            if self.buffer.len() > MOST_PADDING_BYTES {
                return Err(Error::Malformed("a boundary whose line does not end"));
            }
            self.fetch().await?;
        }
    }

    /// The lines up to the empty one, each with the line break before it.
    async fn head(&mut self) -> Result<Bytes, Error> {
        loop {
            // The break behind the delimiter makes an empty head end like any other.
            match memmem::find(&self.buffer, b"\r\n\r\n") {
                Some(at) if at <= MOST_HEAD_BYTES => {
                    let head = self.buffer.split_to(at).freeze();
                    let _ = self.buffer.split_to(4);
                    return Ok(head);
                }
                None if self.buffer.len() <= MOST_HEAD_BYTES => self.fetch().await?,
                _ => return Err(Error::Malformed("the head of a part is too long")),
            }
        }
    }

    /// Takes what follows the form, so that the connection can be used again.
    async fn drain(&mut self) -> Result<(), Error> {
        let mut left_bytes = MOST_EPILOGUE_BYTES;
        while let Some(data) = self.next_data().await? {
            left_bytes = left_bytes
                .checked_sub(data.len())
                .ok_or(Error::Malformed("too much behind its last boundary"))?;
        }
        Ok(())
    }

    async fn fetch(&mut self) -> Result<(), Error> {
        let data = self.next_data().await?;
        let data = data.ok_or(Error::Malformed("it ends before its last boundary"))?;
        self.buffer.extend_from_slice(&data);
        Ok(())
    }

    async fn next_data(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let frame = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await;
            match frame {
                None => return Ok(None),
                Some(Err(_)) => return Err(Error::BrokenOff),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

fn boundary(headers: &HeaderMap) -> Result<String, Error> {
    let value = headers.get(header::CONTENT_TYPE).ok_or(Error::NotForm)?;
    let value = value.to_str().map_err(|_| Error::NotForm)?;
    let media_type = value.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("multipart/form-data") {
        return Err(Error::NotForm);
    }
    let boundary = parameter(value, "boundary").unwrap_or_default();
    if boundary.is_empty() || boundary.len() > MOST_BOUNDARY_BYTES {
        return Err(Error::Malformed("its boundary has 1 to 70 characters"));
    }
    Ok(boundary)
}

fn read_head(head: &[u8]) -> Result<Part, Error> {
    let head = str::from_utf8(head).map_err(|_| Error::Malformed("a name that is not UTF-8"))?;
    let disposition = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"));
    let Some((_, disposition)) = disposition else {
        return Ok(Part::default());
    };
    let extended = parameter(disposition, "filename*");
    let file_name = extended.as_deref().and_then(decode_extended).or_else(|| {
        // Browsers escape the quotation mark like this, and nothing else that a name can hold.
        parameter(disposition, "filename").map(|name| name.replace("%22", "\""))
    });
    Ok(Part {
        name: parameter(disposition, "name"),
        file_name,
    })
}

/// `UTF-8''…` (RFC 8187 §3.2), which some libraries send although RFC 7578 §4.2 has no use for it.
fn decode_extended(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_, escaped) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let decoded = percent_decode_str(escaped).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

/// The value of a parameter, without its quotes.
fn parameter(field: &str, wanted: &str) -> Option<String> {
    let (_, mut rest) = field.split_once(';')?;
    loop {
        let (name, after) = rest.split_once('=')?;
        let name = name.rsplit(';').next().unwrap_or_default().trim();
        let after = after.trim_start();
        let (value, behind) = if let Some(quoted) = after.strip_prefix('"') {
            unquote(quoted)
        } else {
            let (value, behind) = after.split_at(after.find(';').unwrap_or(after.len()));
            (value.trim().to_owned(), behind)
        };
        rest = behind;
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
    }
}

/// What stands before the closing quote, and what behind it.
fn unquote(quoted: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            // Browsers do not escape the backslash, so it counts only before these two.
            '\\' if matches!(chars.peek(), Some((_, '"' | '\\'))) => {
                value.extend(chars.next().map(|(_, escaped)| escaped));
            }
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http::HeaderValue;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    const FORM: &str = "preamble\r\n--b \r\nContent-Disposition: form-data; name=\"f\"; \
        filename=\"a \\\"1\\\" \u{fc};.txt\"\r\nContent-Type: text/plain\r\n\r\none\r\n--a\r\n\
        --b\r\ncontent-disposition:form-data;filename=empty;name=f\r\n\r\n\r\n--b--\r\nepilogue";

    fn form(content_type: &str) -> HeaderMap {
        let value = HeaderValue::from_str(content_type).unwrap();
        HeaderMap::from_iter([(header::CONTENT_TYPE, value)])
    }

    /// Reads a form that comes in pieces of this size: file names and contents.
    async fn read(text: &str, piece_bytes: usize) -> Result<Vec<(String, String)>, Error> {
        let frames = text.as_bytes().chunks(piece_bytes).map(|piece| {
            Ok::<_, std::convert::Infallible>(Frame::data(Bytes::copy_from_slice(piece)))
        });
        let body = StreamBody::new(stream::iter(frames.collect::<Vec<_>>()));
        let mut form = Multipart::new(&form("Multipart/form-data; boundary=\"b\""), body)?;
        let mut found = Vec::new();
        while let Some(part) = form.next_part().await? {
            let mut content = Vec::new();
            while let Some(piece) = form.piece().await? {
                content.extend_from_slice(&piece);
            }
            let name = part.file_name.unwrap_or_default();
            found.push((name, String::from_utf8(content).unwrap()));
        }
        Ok(found)
    }

    #[tokio::test]
    async fn parts_are_the_same_however_their_bytes_come() {
        let expected = [
            ("a \"1\" \u{fc};.txt".to_owned(), "one\r\n--a".to_owned()),
            ("empty".to_owned(), String::new()),
        ];
        for piece_bytes in 1..=FORM.len() {
            let found = read(FORM, piece_bytes).await.unwrap();
            assert_eq!(found, expected, "{piece_bytes}");
        }
    }

    #[tokio::test]
    async fn a_form_that_ends_early_is_no_form() {
        let whole = FORM.find("--b--").unwrap() + 4;
        for length in 0..whole {
            if FORM.is_char_boundary(length) {
                assert!(read(&FORM[..length], 7).await.is_err(), "{length}");
            }
        }
    }

    #[tokio::test]
    async fn nothing_of_a_form_is_held_without_a_bound() {
        let long = "x".repeat(20_000);
        for form in [
            format!("--b\r\nA: {long}\r\n\r\n\r\n--b--"),
            format!("--b{}\r\n", " ".repeat(20_000)),
            format!("--b--{}", "x".repeat(100_000)),
        ] {
            let refused = read(&form, 1000).await;
            assert!(matches!(refused, Err(Error::Malformed(_))), "{refused:?}");
        }
    }

    #[test]
    fn other_bodies_are_no_forms() {
        for other in ["application/json", "multipart/mixed; boundary=b", "x"] {
            let refused = boundary(&form(other));
            assert_eq!(refused.unwrap_err(), Error::NotForm, "{other}");
        }
        let long = format!("multipart/form-data; boundary={}", "b".repeat(71));
        for bad in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            &long,
        ] {
            assert!(matches!(boundary(&form(bad)), Err(Error::Malformed(_))));
        }
    }

    #[test]
    fn file_names_are_read_as_clients_write_them() {
        let of = |parameters: &str| {
            let head = format!("\r\nContent-Disposition: form-data{parameters}");
            read_head(head.as_bytes()).unwrap().file_name
        };
        for (parameters, name) in [
            ("; name=\"f\"; filename=\"a\\b.txt\"", "a\\b.txt"),
            ("; filename=\"say %22hi%22.txt\"", "say \"hi\".txt"),
            (
                "; filename=\"x\"; filename*=utf-8''%C3%BC.txt",
                "\u{fc}.txt",
            ),
            ("; FileName=plain.txt ; name=f", "plain.txt"),
        ] {
            assert_eq!(of(parameters).as_deref(), Some(name), "{parameters}");
        }
        assert_eq!(of("; name=\"filename=x\""), None);
        assert_eq!(of(""), None);
    }
}
