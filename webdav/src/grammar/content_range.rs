//! `Content-Range` (RFC 9110 §14.4), in our answers and on a PUT.

use std::fmt::Write as _;

use http::HeaderMap;

use super::{
    field::{BadHeader, single},
    range::{Span, number},
};

const FIELD: &str = "content-range";

/// A part of a file that a client sends with PUT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentRange {
    /// Which bytes the body holds.
    pub span: Span,
    /// Size of the whole in bytes, if the client says it.
    pub size_bytes: Option<u64>,
}

/// Reads the header of a PUT; none when the body is the whole.
///
/// # Errors
/// [`BadHeader`] for anything but `bytes first-last/size`, where size may be `*`: to store such a
/// body as the whole would destroy the rest.
pub fn parse(headers: &HeaderMap) -> Result<Option<ContentRange>, BadHeader> {
    match single(headers, FIELD)? {
        None => Ok(None),
        Some(value) => match read(value) {
            Some(range) => Ok(Some(range)),
            None => Err(BadHeader::new(
                FIELD,
                "not of the form bytes first-last/size",
            )),
        },
    }
}

/// Reads a value.
pub(super) fn read(value: &str) -> Option<ContentRange> {
    let (unit, rest) = value.split_once(' ')?;
    let (range, size) = rest.trim_start().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (start, last) = (number(first)?, number(last)?);
    let size_bytes = if size == "*" {
        None
    } else {
        Some(number(size)?)
    };
    // Offsets of a file are signed 64-bit numbers everywhere behind us.
    let end = last
        .checked_add(1)
        .filter(|&end| i64::try_from(end).is_ok())?;
    let fits = unit.eq_ignore_ascii_case("bytes")
        && start < end
        && size_bytes.is_none_or(|size| end <= size && i64::try_from(size).is_ok());
    fits.then_some(ContentRange {
        span: Span { start, end },
        size_bytes,
    })
}

/// The header of a 206: `bytes 0-499/1234`.
pub fn of_part(span: Span, size_bytes: u64) -> String {
    let mut out = String::with_capacity(48);
    write!(out, "bytes {}-{}/{size_bytes}", span.start, span.end - 1)
        .expect("a string takes any text");
    out
}

/// The header of a 416: `bytes */1234`.
pub fn unsatisfied(size_bytes: u64) -> String {
    format!("bytes */{size_bytes}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grammar::field::headers_of;

    fn parse_one(value: &str) -> Result<Option<ContentRange>, BadHeader> {
        parse(&headers_of(FIELD, &[value]))
    }

    #[test]
    fn the_examples_of_rfc_9110() {
        let range = |start, end, size_bytes| {
            Ok(Some(ContentRange {
                span: Span { start, end },
                size_bytes,
            }))
        };
        assert_eq!(parse_one("bytes 42-1233/1234"), range(42, 1234, Some(1234)));
        assert_eq!(parse_one("bytes 42-1233/*"), range(42, 1234, None));
        assert_eq!(parse(&HeaderMap::new()), Ok(None));
        assert_eq!(unsatisfied(1234), "bytes */1234");
    }

    #[test]
    fn odd_ranges_are_refused_never_taken_for_the_whole() {
        for value in [
            "",
            "bytes */1234",
            "bytes 5-1/10",
            "bytes 0-10/10",
            "bytes -1-5/10",
            "bytes 0-5",
            "bytes=0-5/10",
            "bytes 0-18446744073709551615/*",
            "bytes 0-9223372036854775807/*",
            "bytes 0-5/99999999999999999999",
            "lines 0-5/10",
            "bytes 0-5/10, 6-7/10",
        ] {
            assert!(parse_one(value).is_err(), "{value}");
        }
        assert!(parse(&headers_of(FIELD, &["bytes 0-1/2", "bytes 0-1/2"])).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(start in 0_u64..1 << 40, length in 1_u64..1 << 40, more in 0_u64..9) {
            let span = Span { start, end: start + length };
            let size = span.end + more;
            let read = parse_one(&of_part(span, size)).unwrap().unwrap();
            prop_assert_eq!(read, ContentRange { span, size_bytes: Some(size) });
        }

        #[test]
        fn nothing_panics(value in "(bytes| |-|/|\\*|[0-9]{1,22}|\\PC){0,12}") {
            let _ = parse_one(&value);
        }
    }
}
