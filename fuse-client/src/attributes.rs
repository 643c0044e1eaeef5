//! The wire text of [`Attributes`] and [`ExtendedAttributes`].
//!
//! Both are ASCII that needs no escape in XML or in a header. What is read comes from a server: it
//! is bounded, and a word that cannot be understood counts as never written, so that neither a later
//! version's words nor another program's mistake costs the words beside it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::drive::{Attributes, ExtendedAttributes};

/// Longest text of [`Attributes`]; what Coffer keeps. A target of `PATH_MAX` bytes fits, unless most
/// of them are escaped.
pub const MOST_ATTRIBUTES_BYTES: usize = 6 * 1024;
/// Longest text of [`ExtendedAttributes`]; what Coffer keeps of one property, with room for its tags.
pub const MOST_XATTRS_BYTES: usize = 31 * 1024;

/// Longest target of a symbolic link, in bytes (`PATH_MAX` without its NUL).
const MOST_TARGET_BYTES: usize = 4095;
/// Longest name of an extended attribute, in bytes (`XATTR_NAME_MAX`).
const MOST_NAME_BYTES: usize = 255;
/// All that a mode can say: a type and twelve bits.
const MODE_BITS: u32 = 0o177_777;
const NS_PER_S: u64 = 1_000_000_000;

/// Writes attributes as words; empty when none is set.
pub fn write(attributes: &Attributes) -> String {
    let mut out = String::new();
    let mut word = |name: &str, value: &dyn std::fmt::Display| {
        let space = if out.is_empty() { "" } else { " " };
        write!(out, "{space}{name}={value}").expect("a String takes everything");
    };
    if let Some(mode) = attributes.mode {
        word("mode", &format_args!("{mode:o}"));
    }
    if let Some(uid) = attributes.uid {
        word("uid", &uid);
    }
    if let Some(gid) = attributes.gid {
        word("gid", &gid);
    }
    if let Some(mtime_ns) = attributes.mtime_ns {
        word("mtime", &seconds(mtime_ns));
    }
    if let Some(atime_ns) = attributes.atime_ns {
        word("atime", &seconds(atime_ns));
    }
    if let Some(rdev) = attributes.rdev {
        word("rdev", &rdev);
    }
    if let Some(target) = &attributes.target {
        word("target", &escape(target));
    }
    out
}

/// Whether a server can be expected to keep them.
pub fn fit(attributes: &Attributes) -> bool {
    write(attributes).len() <= MOST_ATTRIBUTES_BYTES
}

/// Reads what [`write()`] has written, by this version or another.
pub fn read(text: &str) -> Attributes {
    let mut attributes = Attributes::default();
    if text.len() > MOST_ATTRIBUTES_BYTES {
        return attributes;
    }
    for word in text.split_ascii_whitespace() {
        let Some((name, value)) = word.split_once('=') else {
            continue;
        };
        match name {
            "mode" => attributes.mode = read_mode(value),
            "uid" => attributes.uid = number(value),
            "gid" => attributes.gid = number(value),
            "mtime" => attributes.mtime_ns = read_seconds(value),
            "atime" => attributes.atime_ns = read_seconds(value),
            "rdev" => attributes.rdev = number(value),
            "target" => attributes.target = read_target(value),
            _ => {}
        }
    }
    attributes
}

/// Writes extended attributes, one in each line; empty when there are none.
pub fn write_xattrs(xattrs: &ExtendedAttributes) -> String {
    let mut out = String::new();
    for (name, value) in xattrs {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&escape(name));
        out.push('=');
        STANDARD.encode_string(value, &mut out);
    }
    out
}

/// Whether a server can be expected to keep all of them.
pub fn xattrs_fit(xattrs: &ExtendedAttributes) -> bool {
    xattrs.keys().all(|name| is_xattr_name(name)) && write_xattrs(xattrs).len() <= MOST_XATTRS_BYTES
}

/// Reads what [`write_xattrs`] has written.
pub fn read_xattrs(text: &str) -> ExtendedAttributes {
    if text.len() > MOST_XATTRS_BYTES {
        return ExtendedAttributes::new();
    }
    text.split_ascii_whitespace()
        .filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            let name = unescape(name).filter(|name| is_xattr_name(name))?;
            Some((name, STANDARD.decode(value).ok()?))
        })
        .collect()
}

fn is_xattr_name(name: &[u8]) -> bool {
    !name.is_empty() && name.len() <= MOST_NAME_BYTES && !name.contains(&0)
}

/// Nanoseconds as seconds with nine decimals; the sign is that of the whole.
pub(crate) fn seconds(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    format!("{sign}{}.{:09}", ns / NS_PER_S, ns % NS_PER_S)
}

fn read_seconds(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    if !all_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let fraction: u64 = number(&format!("{fraction:0<9}"))?;
    let whole = i128::from(number::<u64>(whole)?) * i128::from(NS_PER_S);
    let ns = whole + i128::from(fraction);
    i64::try_from(if negative { -ns } else { ns }).ok()
}

fn read_mode(text: &str) -> Option<u32> {
    let octal = all_digits(text).then(|| u32::from_str_radix(text, 8).ok());
    octal.flatten().filter(|mode| mode & !MODE_BITS == 0)
}

fn read_target(text: &str) -> Option<Vec<u8>> {
    let fits = |target: &Vec<u8>| (1..=MOST_TARGET_BYTES).contains(&target.len());
    unescape(text)
        .filter(fits)
        .filter(|target| !target.contains(&0))
}

/// Digits alone: `parse` would take a sign as well.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    all_digits(text).then(|| text.parse().ok()).flatten()
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Percent-encodes all but letters, digits and `-._~/`.
fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a String takes everything");
        }
    }
    out
}

/// Decodes percent escapes; `None` for a broken one.
pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
            out.push(u8::try_from(high * 16 + low).expect("two digits are a byte"));
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_is_the_one_that_is_documented() {
        let attributes = Attributes {
            mode: Some(0o120_777),
            uid: Some(0),
            gid: Some(1000),
            mtime_ns: Some(1_700_000_000_123_456_789),
            atime_ns: Some(-500_000_000),
            rdev: Some(259),
            target: Some(b"../a b\xff".to_vec()),
        };
        let text = "mode=120777 uid=0 gid=1000 mtime=1700000000.123456789 atime=-0.500000000 \
                    rdev=259 target=../a%20b%FF";
        assert_eq!(write(&attributes), text);
        assert_eq!(read(text), attributes);
        let xattrs = ExtendedAttributes::from([
            (b"user.a=b".to_vec(), b"\0\xff".to_vec()),
            (b"user.empty".to_vec(), Vec::new()),
        ]);
        let text = "user.a%3Db=AP8=\nuser.empty=";
        assert_eq!(write_xattrs(&xattrs), text);
        assert_eq!(read_xattrs(text), xattrs);
        assert_eq!(read("mtime=3.5").mtime_ns, Some(3_500_000_000));
    }

    #[test]
    fn a_word_that_cannot_be_understood_costs_only_itself() {
        for bad in [
            "mode=8",
            "mode=+7",
            "mode=200000",
            "uid=-1",
            "uid=4294967296",
            "mtime=1.0000000001",
            "mtime=99999999999",
            "mtime=1.",
            "mtime=--1",
            "target=%4",
            "target=%00",
            "target=",
            "later=1",
            "=",
            "word",
        ] {
            let read = read(&format!("{bad} gid=7"));
            let expected = Attributes {
                gid: Some(7),
                ..Attributes::default()
            };
            assert_eq!(read, expected, "{bad}");
        }
        assert_eq!(read_xattrs("a=! =AP8= b=AP8= c").len(), 1);
        assert_eq!(read(&" uid=1".repeat(10_000)), Attributes::default());
        assert!(read_xattrs(&"a= ".repeat(20_000)).is_empty());
    }

    fn attributes() -> impl Strategy<Value = Attributes> {
        let option = |values: std::ops::RangeInclusive<u32>| prop::option::of(values);
        let target = prop::collection::vec(1..=255_u8, 1..200);
        (
            option(0..=MODE_BITS),
            option(0..=u32::MAX),
            option(0..=u32::MAX),
            any::<Option<i64>>(),
            any::<Option<i64>>(),
            any::<Option<u64>>(),
            prop::option::of(target),
        )
            .prop_map(
                |(mode, uid, gid, mtime_ns, atime_ns, rdev, target)| Attributes {
                    mode,
                    uid,
                    gid,
                    mtime_ns,
                    atime_ns,
                    rdev,
                    target,
                },
            )
    }

    fn xattrs() -> impl Strategy<Value = ExtendedAttributes> {
        let name = prop::collection::vec(1..=255_u8, 1..40);
        let value = prop::collection::vec(any::<u8>(), 0..200);
        prop::collection::btree_map(name, value, 0..10)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(attributes in attributes(), xattrs in xattrs()) {
            prop_assert!(fit(&attributes));
            prop_assert_eq!(read(&write(&attributes)), attributes);
            prop_assert!(xattrs_fit(&xattrs));
            prop_assert_eq!(read_xattrs(&write_xattrs(&xattrs)), xattrs);
        }

        #[test]
        fn nothing_panics(text in "(mode|uid|mtime|target|=|%|[0-9]|-|\\.| |\\PC){0,40}") {
            let _ = read(&text);
            let _ = read_xattrs(&text);
        }
    }
}
