//! One answer of the server, and the sentences a test says about it.

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;

use crate::Multistatus;

/// Status, headers and the whole body.
#[derive(Clone)]
pub struct Answer {
    pub(crate) request: String,
    pub(crate) status: u16,
    /// The headers as they came.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Bytes,
}

impl Answer {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is 2xx.
    pub fn succeeded(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Panics, showing request and answer, unless the status is `expected`.
    #[track_caller]
    pub fn must_be(self, expected: u16) -> Self {
        assert!(
            self.status == expected,
            "expected {expected}, got\n{self:?}"
        );
        self
    }

    /// Panics, showing request and answer, unless the status is one of `expected`.
    #[track_caller]
    pub fn must_be_one_of(self, expected: &[u16]) -> Self {
        assert!(
            expected.contains(&self.status),
            "expected one of {expected:?}, got\n{self:?}"
        );
        self
    }

    /// The header `name`; the empty string when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap_or("(not ASCII)"))
    }

    /// The `ETag` header, quotes included.
    pub fn etag(&self) -> String {
        self.header("etag").to_owned()
    }

    /// The body as text.
    #[track_caller]
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec())
            .unwrap_or_else(|_| panic!("the body is not UTF-8\n{self:?}"))
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("the body is not JSON: {error}\n{self:?}"))
    }

    /// The body as a `207 Multi-Status` (RFC 4918 §13).
    #[track_caller]
    pub fn multistatus(&self) -> Multistatus {
        assert!(self.status == 207, "expected 207, got\n{self:?}");
        Multistatus::parse(&self.body)
            .unwrap_or_else(|error| panic!("not a multistatus: {error}\n{self:?}"))
    }

    /// Whether the body names the condition `name` in a `DAV:error` (RFC 4918 §16).
    pub fn names_condition(&self, name: &str) -> bool {
        let text = String::from_utf8_lossy(&self.body);
        text.contains("error") && text.contains(name)
    }
}

/// A successful answer equals its body's text.
impl PartialEq<&str> for Answer {
    fn eq(&self, text: &&str) -> bool {
        self.succeeded() && self.body == text.as_bytes()
    }
}

/// A successful answer equals its body's bytes.
impl PartialEq<Vec<u8>> for Answer {
    fn eq(&self, bytes: &Vec<u8>) -> bool {
        self.succeeded() && self.body == bytes.as_slice()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} -> {}", self.request, self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "  {name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        let shown = &self.body[..self.body.len().min(2000)];
        write!(
            f,
            "  ({} bytes) {}",
            self.body.len(),
            String::from_utf8_lossy(shown)
        )
    }
}
