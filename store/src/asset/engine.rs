//! Engine versions that an asset runs on: `>=4.2, <5.1`, `5.3`, `*`.
//!
//! A version is one to three numbers, each below 2²⁰, kept as one number of 60 bits, so that a
//! filter is a comparison of numbers. A version with fewer numbers, as a range, means all that
//! begin with them: `5.3` is `>=5.3.0, <5.4.0`, and `>5.3` begins with 5.4.0.

use crate::error::{Error, Result};

/// Bits of one number of a version.
const BITS: u32 = 20;
/// After every version.
const END: i64 = 1 << (3 * BITS);
/// Ranges of one asset, and bytes of each as text.
const MOST_RANGES: usize = 16;
const MOST_BYTES: usize = 64;
/// First numbers of versions in one range, by each of which an asset is found.
const MOST_MAJORS: i64 = 32;

/// The ranges of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Engines {
    texts: Vec<String>,
    /// From the first version up to, but without, the second; in order and apart.
    spans: Vec<(i64, i64)>,
}

impl Engines {
    /// Reads the ranges of an asset; of none at all, it runs on every version.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the range which cannot be read or holds no version.
    pub fn parse(texts: &[String]) -> Result<Self> {
        if texts.len() > MOST_RANGES {
            return Err(invalid(format!("holds more than {MOST_RANGES} ranges")));
        }
        let mut engines = Self {
            texts: Vec::new(),
            spans: Vec::new(),
        };
        for text in texts.iter().map(|text| text.trim()) {
            let span = range(text).ok_or_else(|| {
                let shown: String = text.chars().take(MOST_BYTES).collect();
                invalid(format!("{shown:?} is no range of versions"))
            })?;
            engines.spans.push(span);
            engines.texts.push(text.to_owned());
        }
        if engines.spans.is_empty() {
            engines.texts.push("*".to_owned());
            engines.spans.push((0, END));
        }
        engines.merge();
        Ok(engines)
    }

    /// Puts the spans in order, those that touch into one.
    fn merge(&mut self) {
        self.spans.sort_unstable();
        self.spans.dedup_by(|later, earlier| {
            let touches = later.0 <= earlier.1;
            if touches {
                earlier.1 = earlier.1.max(later.1);
            }
            touches
        });
    }

    /// The ranges as they were given.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    pub fn spans(&self) -> &[(i64, i64)] {
        &self.spans
    }

    /// The first numbers of all versions, in order; none where they are more than a few.
    pub fn majors(&self) -> Option<Vec<i64>> {
        let mut majors = Vec::new();
        for (low, high) in &self.spans {
            let (first, last) = (major(*low), major(high - 1));
            if last - first >= MOST_MAJORS {
                return None;
            }
            majors.extend(first..=last);
        }
        majors.dedup();
        Some(majors)
    }

    /// The first version of all, and the end of the last.
    pub fn bounds(&self) -> (i64, i64) {
        let low = self.spans.first().map_or(0, |span| span.0);
        (low, self.spans.last().map_or(0, |span| span.1))
    }
}

/// The first number of a version.
pub(crate) fn major(version: i64) -> i64 {
    version >> (2 * BITS)
}

/// One version, for a filter; numbers that are missing are 0.
///
/// # Errors
/// [`Error::Invalid`] when it is none.
pub(crate) fn version(text: &str) -> Result<i64> {
    let read = Some(text.trim()).filter(|text| text.len() <= MOST_BYTES);
    match read.and_then(numbers) {
        Some((low, _)) => Ok(low),
        None => Err(Error::Invalid {
            field: "engine_version",
            reason: "is no version, such as 5.3 or 5.3.1".to_owned(),
        }),
    }
}

fn invalid(reason: String) -> Error {
    Error::Invalid {
        field: "engine_versions",
        reason,
    }
}

/// The versions that a text means; none when it cannot be read, or there are none.
fn range(text: &str) -> Option<(i64, i64)> {
    if text.len() > MOST_BYTES {
        return None;
    }
    let (mut low, mut high) = (0, END);
    for part in text.split(',') {
        let (from, to) = comparison(part.trim())?;
        low = low.max(from);
        high = high.min(to);
    }
    (low < high).then_some((low, high))
}

fn comparison(text: &str) -> Option<(i64, i64)> {
    if text == "*" {
        return Some((0, END));
    }
    let at = text.find(|sign: char| !matches!(sign, '<' | '>' | '='))?;
    let (operator, rest) = text.split_at(at);
    let (first, end) = numbers(rest.trim_start())?;
    match operator {
        "" | "=" | "==" => Some((first, end)),
        ">=" => Some((first, END)),
        ">" => Some((end, END)),
        "<=" => Some((0, end)),
        "<" => Some((0, first)),
        _ => None,
    }
}

/// The first of the versions that begin with these numbers, and the end of them.
fn numbers(text: &str) -> Option<(i64, i64)> {
    let mut first = 0;
    let mut step = END;
    for number in text.split('.') {
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number: i64 = is_number.then(|| number.parse().ok()).flatten()?;
        step >>= BITS;
        if number >= 1 << BITS || step == 0 {
            return None;
        }
        first += number * step;
    }
    Some((first, first + step))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn runs(ranges: &[&str], asked: &str) -> bool {
        let ranges: Vec<String> = ranges.iter().map(|&text| text.to_owned()).collect();
        let engines = Engines::parse(&ranges).unwrap();
        let asked = version(asked).unwrap();
        let (low, high) = engines.bounds();
        let mut spans = engines.spans().iter();
        let found = spans.any(|span| span.0 <= asked && asked < span.1);
        assert!(!found || (low <= asked && asked < high));
        found
    }

    #[test]
    fn ranges_hold_the_versions_that_people_mean() {
        for (ranges, inside, outside) in [
            (
                &[">=4.2, <5.1"][..],
                &["4.2", "4.27.3", "5.0.9"][..],
                &["4.1.9", "5.1"][..],
            ),
            (&["5.3"], &["5.3", "5.3.0", "5.3.99"], &["5.2", "5.4", "5"]),
            (&["=5"], &["5", "5.9"], &["6", "4.9"]),
            (&[">5.3"], &["5.4", "6"], &["5.3", "5.3.9"]),
            (&["<=5.3"], &["0", "5.3.9"], &["5.4"]),
            (&["*"], &["0", "1048575.0.1"], &[]),
            (&[], &["0", "7"], &[]),
            (
                &["2019.4", ">= 2021.1 ,< 2023"],
                &["2019.4.40", "2022.3.10"],
                &["2020", "2023"],
            ),
        ] {
            for version in inside {
                assert!(runs(ranges, version), "{ranges:?} {version}");
            }
            for version in outside {
                assert!(!runs(ranges, version), "{ranges:?} {version}");
            }
        }
    }

    #[test]
    fn first_numbers_are_all_those_of_the_ranges() {
        let majors = |ranges: &[&str]| {
            let ranges: Vec<String> = ranges.iter().map(|&text| text.to_owned()).collect();
            Engines::parse(&ranges).unwrap().majors()
        };
        assert_eq!(majors(&[">=4.2, <5.1", "5.3", "8"]), Some(vec![4, 5, 8]));
        assert_eq!(majors(&["<2"]), Some(vec![0, 1]));
        assert_eq!(majors(&["<32"]).map(|majors| majors.len()), Some(32));
        assert_eq!(majors(&["<32.0.1"]), None);
        assert_eq!(majors(&["*"]), None);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        let long = "1".repeat(65);
        for text in [
            "", "x", "5.", ".5", "5..1", "1.2.3.4", "-1", "+1", "5.3-beta", "1048576", ">", "=>5",
            "<>5", ">=5,", ">=5,<4", "<0", "5 6", "**", &long,
        ] {
            assert!(Engines::parse(&[text.to_owned()]).is_err(), "{text:?}");
        }
        assert!(Engines::parse(&vec!["5".to_owned(); 17]).is_err());
        for text in ["", ">5", "*", "5,6", &long] {
            assert!(version(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let ranges = ["5.1", "5.0", "5.2", "7", "5.1.5"].map(str::to_owned);
        let engines = Engines::parse(&ranges).unwrap();
        assert_eq!(engines.spans().len(), 2);
        assert_eq!(engines.texts(), ranges);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}") {
            let _ = Engines::parse(std::slice::from_ref(&text));
            let _ = version(&text);
        }

        #[test]
        fn versions_keep_their_order(a in prop::array::uniform3(0u32..1 << 20), b in prop::array::uniform3(0u32..1 << 20)) {
            let read = |v: [u32; 3]| version(&format!("{}.{}.{}", v[0], v[1], v[2])).unwrap();
            prop_assert_eq!(a.cmp(&b), read(a).cmp(&read(b)));
        }
    }
}
