//! Partial updates as SabreDAV has them: PATCH with `X-Update-Range`.
//!
//! There is no RFC for this; a server announces it as `sabredav-partialupdate` in its `DAV` header.

use http::{HeaderMap, header::CONTENT_TYPE};

use super::{
    field::{BadHeader, single},
    range::number,
};

/// The only content type such a PATCH may have; another one is 415.
pub const CONTENT_TYPE_VALUE: &str = "application/x-sabredav-partialupdate";

const FIELD: &str = "x-update-range";

/// Where the body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpdateRange {
    /// After the last byte.
    Append,
    /// `bytes=first-last`: over these bytes, both included; the body has exactly as many.
    FromTo(u64, u64),
    /// `bytes=first-`: from here on.
    From(u64),
    /// `bytes=-length`: from that many bytes before the end on.
    Last(u64),
}

impl UpdateRange {
    /// How long the body must be, where the range says so.
    pub fn body_bytes(self) -> Option<u64> {
        match self {
            Self::FromTo(first, last) => Some(last - first + 1),
            Self::Append | Self::From(_) | Self::Last(_) => None,
        }
    }
}

/// Whether the request has the content type of a partial update; parameters do not count.
pub fn has_content_type(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            let essence = value.split(';').next().unwrap_or_default();
            essence.trim().eq_ignore_ascii_case(CONTENT_TYPE_VALUE)
        })
}

/// Reads the header; none when it is absent.
///
/// # Errors
/// [`BadHeader`] for anything but `append` and one byte range below 2⁶³.
pub fn parse(headers: &HeaderMap) -> Result<Option<UpdateRange>, BadHeader> {
    let Some(value) = single(headers, FIELD)? else {
        return Ok(None);
    };
    if value.eq_ignore_ascii_case("append") {
        return Ok(Some(UpdateRange::Append));
    }
    read(value)
        .map(Some)
        .ok_or(BadHeader::new(FIELD, "neither append nor one byte range"))
}

fn read(value: &str) -> Option<UpdateRange> {
    let (unit, range) = value.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let offset = |digits| number(digits).filter(|&n| n < i64::MAX.unsigned_abs());
    match range.trim().split_once('-')? {
        ("", length) => offset(length)
            .filter(|&length| length > 0)
            .map(UpdateRange::Last),
        (first, "") => offset(first).map(UpdateRange::From),
        (first, last) => {
            let (first, last) = (offset(first)?, offset(last)?);
            (first <= last).then_some(UpdateRange::FromTo(first, last))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grammar::field::headers_of;

    fn parse_one(value: &str) -> Result<Option<UpdateRange>, BadHeader> {
        parse(&headers_of(FIELD, &[value]))
    }

    #[test]
    fn the_four_forms_of_sabredav() {
        let some = |range| Ok(Some(range));
        assert_eq!(parse_one("bytes=3-6"), some(UpdateRange::FromTo(3, 6)));
        assert_eq!(parse_one("bytes=4-"), some(UpdateRange::From(4)));
        assert_eq!(parse_one("bytes=-5"), some(UpdateRange::Last(5)));
        assert_eq!(parse_one("append"), some(UpdateRange::Append));
        assert_eq!(parse(&HeaderMap::new()), Ok(None));
        for bad in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=6-3",
            "bytes=-0",
            "bytes=1-2,4-5",
            "prepend",
            "bytes=9223372036854775807-",
            "bytes=99999999999999999999-",
            "bytes=--1",
            "0-1",
        ] {
            assert!(parse_one(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_whole_range_tells_a_length() {
        assert_eq!(UpdateRange::FromTo(3, 6).body_bytes(), Some(4));
        assert_eq!(UpdateRange::From(12).body_bytes(), None);
    }

    #[test]
    fn the_content_type_may_have_parameters() {
        let with = |value| has_content_type(&headers_of("content-type", &[value]));
        assert!(with("application/x-sabredav-partialupdate"));
        assert!(with("Application/X-SabreDAV-PartialUpdate; charset=x"));
        assert!(!with("application/octet-stream"));
        assert!(!has_content_type(&HeaderMap::new()));
    }

    proptest! {
        #[test]
        fn nothing_panics(value in "(bytes=|append|-|[0-9]{1,22}|\\PC){0,10}") {
            let _ = parse_one(&value);
        }
    }
}
