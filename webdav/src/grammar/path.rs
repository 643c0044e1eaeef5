//! Paths: from the escaped form on the wire to names, and back (RFC 3986 §3.3).
//!
//! Escapes are decoded exactly once, per segment. What could mean something else to the next
//! reader (an encoded slash, `.` and `..`, NUL and control characters, broken UTF-8) is refused
//! rather than repaired. Empty segments collapse, so `//a` names what `/a` names, whichever door
//! it comes through.

use std::fmt;

pub use mount::{Mounted, Mounts, OwnMounts, ResolveError};

mod mount;

/// Longest decoded path below a mount, in bytes, its leading slash included.
pub const MAX_PATH_BYTES: usize = 4096;
/// Longest decoded name, in bytes.
pub const MAX_SEGMENT_BYTES: usize = 255;
/// Most names in a path.
pub const MAX_DEPTH: usize = 256;

/// Why a path was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("the path is not absolute")]
    NotAbsolute,
    /// `%` without two hexadecimal digits.
    #[error("the path holds a broken escape")]
    BadEscape,
    /// `%2F` inside a name.
    #[error("the path holds an encoded slash")]
    EncodedSlash,
    /// A control character, or one that XML cannot carry.
    #[error("the path holds a control character")]
    ControlCharacter,
    /// Escapes that are not UTF-8.
    #[error("the path is not UTF-8")]
    InvalidUtf8,
    /// `.` or `..`, plain or escaped.
    #[error("the path holds a dot segment")]
    DotSegment,
    /// More than [`MAX_PATH_BYTES`].
    #[error("the path is longer than {MAX_PATH_BYTES} bytes")]
    TooLong,
    /// A name of more than [`MAX_SEGMENT_BYTES`].
    #[error("a name in the path is longer than {MAX_SEGMENT_BYTES} bytes")]
    SegmentTooLong,
    /// More than [`MAX_DEPTH`] names.
    #[error("the path is deeper than {MAX_DEPTH} folders")]
    TooDeep,
}

/// A decoded, normalised path: names joined by `/`, with no slash at either end.
///
/// Every name is non-empty UTF-8 of at most [`MAX_SEGMENT_BYTES`], without `/` or control
/// characters, and is neither `.` nor `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResourcePath {
    text: String,
    trailing_slash: bool,
}

impl ResourcePath {
    /// The root.
    pub const fn root() -> Self {
        Self {
            text: String::new(),
            trailing_slash: true,
        }
    }

    /// Decodes the path of a request target or href; a query must have been cut off.
    ///
    /// # Errors
    /// [`PathError`], see there.
    pub fn decode(raw: &str) -> Result<Self, PathError> {
        Self::decode_within(raw, MAX_PATH_BYTES, MAX_DEPTH)
    }

    fn decode_within(raw: &str, max_bytes: usize, max_depth: usize) -> Result<Self, PathError> {
        let rest = raw.strip_prefix('/').ok_or(PathError::NotAbsolute)?;
        // Three wire bytes make at least one decoded byte, whatever they are.
        if raw.len() > max_bytes * 3 {
            return Err(PathError::TooLong);
        }
        let mut text = String::with_capacity(rest.len());
        let mut depth = 0;
        for segment in rest.split('/').filter(|segment| !segment.is_empty()) {
            depth += 1;
            if depth > max_depth {
                return Err(PathError::TooDeep);
            }
            if !text.is_empty() {
                text.push('/');
            }
            push_segment(&mut text, segment)?;
        }
        if text.len() + 1 > max_bytes {
            return Err(PathError::TooLong);
        }
        Ok(Self {
            text,
            trailing_slash: raw.ends_with('/'),
        })
    }

    /// The names joined by `/`; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names from the root downwards.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.text.split('/').filter(|segment| !segment.is_empty())
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.text.is_empty()
    }

    /// How many names the path has.
    pub fn depth(&self) -> usize {
        self.segments().count()
    }

    /// The last name; none for the root.
    pub fn name(&self) -> Option<&str> {
        self.segments().next_back()
    }

    /// The path without its last name; none for the root.
    pub fn parent(&self) -> Option<Self> {
        let name = self.name()?;
        let end = (self.text.len() - name.len()).saturating_sub(1);
        Some(Self {
            text: self.text[..end].to_owned(),
            trailing_slash: true,
        })
    }

    /// Whether the wire form ended in a slash, as collections are written.
    pub fn has_trailing_slash(&self) -> bool {
        self.trailing_slash
    }

    /// The escaped form, with a leading slash, and a trailing one if [`Self::has_trailing_slash`].
    pub fn encode(&self) -> String {
        let mut out = Vec::with_capacity(self.text.len() + 2);
        out.push(b'/');
        encode_into(&mut out, &self.text);
        if self.trailing_slash && !self.is_root() {
            out.push(b'/');
        }
        String::from_utf8(out).expect("the escaped form is ASCII")
    }
}

impl fmt::Display for ResourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.text)
    }
}

/// Appends the escaped form of names joined by `/`; the slashes stay.
///
/// Only unreserved characters and parentheses stay bare: what comes out needs no further escape in
/// XML or in a header, and no client can mistake a `+`, `&` or `;` in it.
pub fn encode_into(out: &mut Vec<u8>, decoded: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut bytes = decoded.as_bytes();
    while let Some(at) = bytes.iter().position(|&byte| !BARE[usize::from(byte)]) {
        let (bare, rest) = bytes.split_at(at);
        out.extend_from_slice(bare);
        let byte = rest[0];
        out.extend_from_slice(&[
            b'%',
            HEX[usize::from(byte >> 4)],
            HEX[usize::from(byte & 15)],
        ]);
        bytes = &rest[1..];
    }
    out.extend_from_slice(bytes);
}

const BARE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let ascii = byte as u8;
        table[byte] = ascii.is_ascii_alphanumeric()
            || matches!(ascii, b'-' | b'.' | b'_' | b'~' | b'(' | b')' | b'/');
        byte += 1;
    }
    table
};

fn push_segment(text: &mut String, segment: &str) -> Result<(), PathError> {
    let start = text.len();
    if segment.contains('%') {
        let decoded = unescape(segment.as_bytes())?;
        text.push_str(str::from_utf8(&decoded).map_err(|_| PathError::InvalidUtf8)?);
    } else {
        text.push_str(segment);
    }
    let name = &text[start..];
    if name.contains('/') {
        return Err(PathError::EncodedSlash);
    }
    if name == "." || name == ".." {
        return Err(PathError::DotSegment);
    }
    // U+FFFE and U+FFFF cannot stand in XML: a name with one would spoil the listing of its folder.
    let unfit = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    if name.contains(unfit) {
        return Err(PathError::ControlCharacter);
    }
    if name.len() > MAX_SEGMENT_BYTES {
        return Err(PathError::SegmentTooLong);
    }
    Ok(())
}

fn unescape(escaped: &[u8]) -> Result<Vec<u8>, PathError> {
    let mut decoded = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = bytes
                .next()
                .and_then(hex_digit)
                .ok_or(PathError::BadEscape)?;
            let low = bytes
                .next()
                .and_then(hex_digit)
                .ok_or(PathError::BadEscape)?;
            decoded.push(high << 4 | low);
        } else {
            decoded.push(byte);
        }
    }
    Ok(decoded)
}

pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(raw: &str) -> Result<String, PathError> {
        ResourcePath::decode(raw).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(decode("/a%20b/c%2520d").unwrap(), "a b/c%20d");
        assert_eq!(decode("/%C3%BC%f0%9f%98%80").unwrap(), "ü😀");
        assert_eq!(
            decode("/ü?no query here".split_once('?').unwrap().0).unwrap(),
            "ü"
        );
        assert_eq!(decode("/a+b;c&d%23").unwrap(), "a+b;c&d#");
    }

    #[test]
    fn what_could_mean_something_else_is_refused() {
        for (raw, error) in [
            ("", PathError::NotAbsolute),
            ("a", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("/%", PathError::BadEscape),
            ("/%4", PathError::BadEscape),
            ("/%zz", PathError::BadEscape),
            ("/a%2Fb", PathError::EncodedSlash),
            ("/a%2fb", PathError::EncodedSlash),
            ("/a%00.txt", PathError::ControlCharacter),
            ("/a%0d%0ab", PathError::ControlCharacter),
            ("/a%7f", PathError::ControlCharacter),
            ("/a%EF%BF%BF", PathError::ControlCharacter),
            ("/%ff", PathError::InvalidUtf8),
            ("/%ed%a0%80", PathError::InvalidUtf8),
            ("/..", PathError::DotSegment),
            ("/a/../b", PathError::DotSegment),
            ("/%2e%2e/etc/passwd", PathError::DotSegment),
            ("/.%2E/x", PathError::DotSegment),
            ("/a/.", PathError::DotSegment),
            ("/%2e", PathError::DotSegment),
        ] {
            assert_eq!(decode(raw), Err(error), "{raw}");
        }
    }

    #[test]
    fn a_backslash_or_a_drive_letter_is_a_plain_name() {
        assert_eq!(decode("/..%5cx").unwrap(), "..\\x");
        assert_eq!(decode("/C:/..x/x..").unwrap(), "C:/..x/x..");
    }

    #[test]
    fn empty_segments_collapse() {
        assert_eq!(decode("//a///b//").unwrap(), "a/b");
        assert_eq!(decode("/").unwrap(), "");
        assert_eq!(decode("///").unwrap(), "");
    }

    #[test]
    fn limits_hold_at_the_limit_and_one_past() {
        assert!(decode(&format!("/{}", "a".repeat(255))).is_ok());
        assert_eq!(
            decode(&format!("/{}", "a".repeat(256))),
            Err(PathError::SegmentTooLong)
        );
        assert!(decode(&"/a".repeat(256)).is_ok());
        assert_eq!(decode(&"/a".repeat(257)), Err(PathError::TooDeep));
        let full = format!("/{}", "a".repeat(255)).repeat(16);
        assert_eq!(full.len(), 4096);
        assert!(decode(&full).is_ok());
        let longer = format!("{}/{}/a", &full[..full.len() - 1 - 255], "a".repeat(254));
        assert_eq!(longer.len(), 4097);
        assert_eq!(decode(&longer), Err(PathError::TooLong));
        assert_eq!(decode(&"/%".repeat(40_000)), Err(PathError::TooLong));
    }

    #[test]
    fn trailing_slash_is_known() {
        assert!(ResourcePath::decode("/a/").unwrap().has_trailing_slash());
        assert!(!ResourcePath::decode("/a").unwrap().has_trailing_slash());
        assert!(ResourcePath::decode("/").unwrap().has_trailing_slash());
        assert_eq!(ResourcePath::decode("/a%2Db/").unwrap().encode(), "/a-b/");
    }

    #[test]
    fn relations_go_by_whole_names() {
        let path = |raw| ResourcePath::decode(raw).unwrap();
        assert_eq!(path("/a/b").parent().unwrap().as_str(), "a");
        assert_eq!(path("/a").parent().unwrap(), ResourcePath::root());
        assert_eq!(path("/").parent(), None);
        assert_eq!(path("/a/b").name(), Some("b"));
        assert_eq!(path("/a/b").depth(), 2);
        assert_eq!(path("/").depth(), 0);
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(names in prop::collection::vec("[^/\\p{C}]{1,20}", 0..6)) {
            prop_assume!(names.iter().all(|name| name != "." && name != ".."));
            let mut wire = Vec::new();
            for name in &names {
                wire.push(b'/');
                encode_into(&mut wire, name);
            }
            wire.push(b'/');
            let wire = String::from_utf8(wire).unwrap();
            prop_assert!(wire.is_ascii());
            let path = ResourcePath::decode(&wire).unwrap();
            prop_assert_eq!(path.as_str(), names.join("/"));
            prop_assert_eq!(ResourcePath::decode(&path.encode()).unwrap(), path);
        }

        #[test]
        fn nothing_panics_and_nothing_escapes(raw in "(/|%|%2|%2[eEfF]|\\.|\\PC|%[0-9a-f]{2}){0,40}") {
            if let Ok(path) = ResourcePath::decode(&raw) {
                for name in path.segments() {
                    prop_assert!(name != "." && name != ".." && !name.contains('/'));
                    prop_assert!(!name.contains(char::is_control));
                }
                prop_assert_eq!(&ResourcePath::decode(&path.encode()).unwrap(), &path);
            }
        }
    }
}
