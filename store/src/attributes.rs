//! POSIX attributes of a node: what a mounted drive keeps beside the content.
//!
//! They are the client's words and stay as they came. The one that we understand is `mtime`, since
//! the node has a time of its own, which is then that one.

use std::sync::Arc;

use crate::error::{Error, Result};

const NS_PER_S: i64 = 1_000_000_000;

/// Words `key=value`, with one space between two of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    text: Arc<str>,
}

impl Attributes {
    /// Longest text in bytes: the target of a symbolic link has 4,095, and many are escaped.
    pub const MAX_BYTES: usize = 6 << 10;

    /// Checks a text.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is over [`Self::MAX_BYTES`], is not words `key=value` of visible
    /// ASCII with one space between them, says something twice, or has an `mtime` that is no number
    /// of seconds.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > Self::MAX_BYTES {
            return Err(invalid("longer than 6144 bytes"));
        }
        let mut keys: Vec<&str> = Vec::new();
        for word in text.split(' ') {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| invalid("not words key=value with one space between them"))?;
            let is_key = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
            if key.is_empty() || !key.bytes().all(is_key) {
                return Err(invalid("a key is letters, digits, and any of _ - ."));
            }
            if !value.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(invalid("a value is visible ASCII"));
            }
            if keys.contains(&key) {
                return Err(invalid("a key stands there twice"));
            }
            if key == "mtime" && seconds(value).is_none() {
                return Err(invalid("mtime is not a number of seconds"));
            }
            keys.push(key);
        }
        Ok(Self { text: text.into() })
    }

    /// As it was kept, when it was checked.
    pub(crate) fn kept(text: &str) -> Self {
        Self { text: text.into() }
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Length of the text.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.text.len() as u64
    }

    /// What `mtime` says, nanoseconds since 1970-01-01 UTC.
    pub fn modified_ns(&self) -> Option<i64> {
        let mut words = self.text.split(' ');
        seconds(words.find_map(|word| word.strip_prefix("mtime="))?)
    }
}

/// A decimal number of seconds, maybe below 0 and with up to nine digits after the point, in
/// nanoseconds.
fn seconds(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let scale = 10_i64.pow(u32::try_from(9 - fraction.len()).ok()?);
    let part_ns = fraction.parse::<i64>().ok()? * scale;
    let ns = whole.parse::<i64>().ok()?.checked_mul(NS_PER_S)?;
    let ns = ns.checked_add(part_ns)?;
    Some(if digits.len() < text.len() { -ns } else { ns })
}

fn invalid(reason: &str) -> Error {
    Error::Invalid {
        field: "attributes",
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_words_of_a_mount_are_kept_as_they_are() {
        let text = "mode=100644 uid=0 gid=0 mtime=1700000000.123456789 target=a%20b";
        let attributes = Attributes::parse(text).unwrap();
        assert_eq!(attributes.as_str(), text);
        assert_eq!(attributes.modified_ns(), Some(1_700_000_000_123_456_789));
        assert_eq!(Attributes::parse("mode=40755").unwrap().modified_ns(), None);
        assert!(Attributes::parse("target=").is_ok());
    }

    #[test]
    fn a_time_is_exact() {
        let of = |value: &str| {
            Attributes::parse(&format!("mtime={value}"))
                .ok()?
                .modified_ns()
        };
        assert_eq!(of("1"), Some(NS_PER_S));
        assert_eq!(of("-1.5"), Some(-1_500_000_000));
        assert_eq!(of("0.000000001"), Some(1));
        for bad in [
            "",
            "-",
            "1.",
            ".5",
            "1e3",
            "+1",
            "0.1234567890",
            "99999999999",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let long = format!("target={}", "a".repeat(Attributes::MAX_BYTES));
        for bad in [
            "",
            " ",
            "mode",
            "=1",
            "mode=1  uid=2",
            " mode=1",
            "mode=1 ",
            "mode=1\tuid=2",
            "mode=1 mode=2",
            "mo\u{e9}=1",
            "target=\u{e9}",
            "target=\n",
            "mtime=now",
            &long,
        ] {
            assert!(Attributes::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(mtime=|-|\\.|[0-9]{1,20}| |\\PC){0,12}") {
            if let Ok(attributes) = Attributes::parse(&text) {
                attributes.modified_ns();
            }
        }
    }
}
