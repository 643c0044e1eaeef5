//! `Range` and `If-Range` (RFC 9110 §13.1.5, §14).

use http::HeaderMap;

use super::{date, etag::EntityTag};

/// A range as a client asked for it, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteRange {
    /// `first-last`.
    FromTo(u64, u64),
    /// `first-`.
    From(u64),
    /// `-length`: the last bytes.
    Last(u64),
}

/// Bytes of a file: from `start` up to, but without, `end`. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset after the last byte.
    pub end: u64,
}

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// 200: everything.
    Whole,
    /// 206: these parts, which do not overlap; more than one as `multipart/byteranges`.
    Parts(Vec<Span>),
    /// 416: no part of the request lies inside the file.
    Unsatisfiable,
}

impl ByteRange {
    /// The bytes it means in a file of that size; none when there are none.
    pub fn within(self, size_bytes: u64) -> Option<Span> {
        let (start, end) = match self {
            Self::FromTo(first, last) => (first, last.saturating_add(1).min(size_bytes)),
            Self::From(first) => (first, size_bytes),
            Self::Last(length) => (size_bytes.saturating_sub(length), size_bytes),
        };
        (start < end).then_some(Span { start, end })
    }
}

impl Span {
    /// How many bytes.
    #[expect(clippy::len_without_is_empty, reason = "a span is never empty")]
    pub const fn len(self) -> u64 {
        self.end - self.start
    }
}

/// What a GET should send, from its headers and the state of the file.
///
/// `etag` has its quotes. The header is ignored, as RFC 9110 wants, when it is malformed, of
/// another unit, sent twice, asks for more than `most` ranges (§14.2 lets us, and §17.15 says
/// why), or when `If-Range` says that the
/// client has another version. An empty file is always sent whole: there is no range of it, and
/// clients that resume take a 416 for an error.
pub fn select(
    headers: &HeaderMap,
    size_bytes: u64,
    etag: Option<&str>,
    modified_at_s: Option<i64>,
    most: usize,
) -> Selection {
    let mut values = headers.get_all("range").iter();
    let value = values.next().and_then(|value| value.to_str().ok());
    let (Some(value), None) = (value, values.next()) else {
        return Selection::Whole;
    };
    if size_bytes == 0 || !if_range_holds(headers, etag, modified_at_s) {
        return Selection::Whole;
    }
    let Some(ranges) = parse(value, most) else {
        return Selection::Whole;
    };
    let spans: Vec<_> = ranges
        .into_iter()
        .filter_map(|range| range.within(size_bytes))
        .collect();
    if spans.is_empty() {
        Selection::Unsatisfiable
    } else {
        Selection::Parts(coalesce(spans))
    }
}

/// Reads the value of `Range`; none when it is to be ignored, as one of more than `most` ranges is.
pub fn parse(value: &str, most: usize) -> Option<Vec<ByteRange>> {
    let (unit, set) = value.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut ranges = Vec::new();
    for item in set.split(',').map(|item| item.trim_matches([' ', '\t'])) {
        if item.is_empty() {
            continue;
        }
        if ranges.len() == most {
            return None;
        }
        ranges.push(one(item)?);
    }
    (!ranges.is_empty()).then_some(ranges)
}

fn one(item: &str) -> Option<ByteRange> {
    match item.split_once('-')? {
        ("", last) => Some(ByteRange::Last(number(last)?)),
        (first, "") => Some(ByteRange::From(number(first)?)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::FromTo(first, last))
        }
    }
}

/// Decimal digits; what does not fit lies past the end of any file.
pub(super) fn number(digits: &str) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Keeps the order asked for, unless ranges overlap: then they are merged, lest a small file be
/// sent many times over.
fn coalesce(spans: Vec<Span>) -> Vec<Span> {
    let mut sorted = spans.clone();
    sorted.sort_unstable_by_key(|span| span.start);
    if sorted.windows(2).all(|pair| pair[0].end <= pair[1].start) {
        return spans;
    }
    let mut merged = Vec::<Span>::with_capacity(sorted.len());
    for span in sorted {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

/// RFC 9110 §13.1.5: strong comparison, or the very same date.
fn if_range_holds(headers: &HeaderMap, etag: Option<&str>, modified_at_s: Option<i64>) -> bool {
    let mut values = headers.get_all("if-range").iter();
    let Some(value) = values.next() else {
        return true;
    };
    let (Ok(value), None) = (value.to_str(), values.next()) else {
        return false;
    };
    match EntityTag::parse(value.trim()) {
        Some(tag) => etag.is_some_and(|current| tag.strong_eq(current)),
        None => date::parse(value).is_some_and(|date| modified_at_s == Some(date)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grammar::field::headers_of;

    const SIZE: u64 = 10_000;

    fn choose(range: &str, size: u64) -> Selection {
        select(&headers_of("range", &[range]), size, None, None, 16)
    }

    fn parts(list: &[(u64, u64)]) -> Selection {
        Selection::Parts(
            list.iter()
                .map(|&(start, end)| Span { start, end })
                .collect(),
        )
    }

    #[test]
    fn the_examples_of_rfc_9110_14_1_2() {
        for (range, expected) in [
            ("bytes=0-499", &[(0, 500)][..]),
            ("bytes=500-999", &[(500, 1000)]),
            ("bytes=-500", &[(9500, 10_000)]),
            ("bytes=9500-", &[(9500, 10_000)]),
            ("bytes=0-0,-1", &[(0, 1), (9999, 10_000)]),
            (
                "bytes= 0-999, 4500-5499, -1000",
                &[(0, 1000), (4500, 5500), (9000, 10_000)],
            ),
            ("bytes=500-600,601-999", &[(500, 601), (601, 1000)]),
            ("bytes=500-700,601-999", &[(500, 1000)]),
            ("Bytes=9000-20000", &[(9000, 10_000)]),
            ("bytes=-20000", &[(0, 10_000)]),
            ("bytes=5-6,1-2", &[(5, 7), (1, 3)]),
            ("bytes=1-2,99999-", &[(1, 3)]),
        ] {
            assert_eq!(choose(range, SIZE), parts(expected), "{range}");
        }
    }

    #[test]
    fn what_lies_outside_is_unsatisfiable() {
        for range in [
            "bytes=10000-",
            "bytes=10000-10001",
            "bytes=-0",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(choose(range, SIZE), Selection::Unsatisfiable, "{range}");
        }
        assert_eq!(
            choose("bytes=0-18446744073709551615", SIZE),
            parts(&[(0, SIZE)])
        );
        assert_eq!(choose("bytes=0-", u64::MAX), parts(&[(0, u64::MAX)]));
    }

    #[test]
    fn what_is_no_range_is_ignored() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=a-b",
            "bytes=5-1",
            "bytes=-",
            "lines=0-1",
            "bytes=1-2,x",
            "bytes=+1-2",
            "bytes=--1",
            "bytes=1-2-3",
        ] {
            assert_eq!(choose(range, SIZE), Selection::Whole, "{range}");
        }
        let twice = headers_of("range", &["bytes=0-1", "bytes=2-3"]);
        assert_eq!(select(&twice, SIZE, None, None, 16), Selection::Whole);
        assert_eq!(choose("bytes=0-5", 0), Selection::Whole);
        assert_eq!(choose("bytes=-5", 0), Selection::Whole);
    }

    #[test]
    fn the_number_of_ranges_is_bounded() {
        let many = |n: u64| {
            let list: Vec<_> = (0..n)
                .map(|i| format!("{}-{}", i * 10, i * 10 + 1))
                .collect();
            format!("bytes={}", list.join(","))
        };
        assert!(matches!(choose(&many(16), SIZE), Selection::Parts(parts) if parts.len() == 16));
        assert_eq!(choose(&many(17), SIZE), Selection::Whole);
        assert_eq!(
            choose(&format!("bytes={}", "0-,".repeat(600)), 10),
            Selection::Whole
        );
    }

    #[test]
    fn if_range_wants_the_same_version() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let with = |if_range: &str| {
            let mut headers = headers_of("range", &["bytes=0-0"]);
            headers.insert("if-range", if_range.parse().unwrap());
            select(&headers, SIZE, Some("\"one\""), Some(784_111_777), 16) != Selection::Whole
        };
        assert!(with("\"one\""));
        assert!(!with("\"two\""));
        assert!(!with("W/\"one\""));
        assert!(with(date));
        assert!(!with("Sun, 06 Nov 1994 08:49:38 GMT"));
        assert!(!with("one"));
    }

    proptest! {
        #[test]
        fn parts_are_inside_and_disjoint(
            ranges in prop::collection::vec((0_u64..120, 0_u64..120, 0..3), 1..20),
            size in 0_u64..100,
        ) {
            let list: Vec<_> = ranges
                .iter()
                .map(|(a, b, kind)| match kind {
                    0 => format!("{}-{}", a.min(b), a.max(b)),
                    1 => format!("{a}-"),
                    _ => format!("-{a}"),
                })
                .collect();
            if let Selection::Parts(parts) = choose(&format!("bytes={}", list.join(", ")), size) {
                prop_assert!(!parts.is_empty());
                prop_assert!(parts.iter().all(|span| span.start < span.end && span.end <= size));
                prop_assert!(parts.iter().map(|span| span.len()).sum::<u64>() <= size);
            }
        }

        #[test]
        fn nothing_panics(value in "(bytes=|-|,| |[0-9]{1,25}|\\PC){0,20}") {
            parse(&value, 16);
        }
    }
}
