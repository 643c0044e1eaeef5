//! The `Timeout` header of LOCK (RFC 4918 §10.7).

use http::HeaderMap;

use super::field::{BadHeader, lines};

/// What a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timeout {
    /// That many seconds.
    Second(u32),
    /// No end.
    Infinite,
}

impl Timeout {
    /// The seconds this wish, or none, comes to. The store grants at most its longest: a client
    /// that vanished must not keep a file from everybody else for ever.
    pub fn wished_s(wish: Option<Self>) -> u32 {
        match wish {
            Some(Self::Second(seconds)) => seconds,
            Some(Self::Infinite) | None => u32::MAX,
        }
    }
}

/// Reads the header. A client may offer several values, best first; the first one we know wins.
///
/// # Errors
/// [`BadHeader`] when no offered value is `Infinite` or `Second-<n>`.
pub fn parse(headers: &HeaderMap) -> Result<Option<Timeout>, BadHeader> {
    let mut offered = false;
    for line in lines(headers, "timeout") {
        offered = true;
        if let Some(timeout) = line?.split(',').take(16).find_map(one) {
            return Ok(Some(timeout));
        }
    }
    if offered {
        Err(BadHeader::new("timeout", "neither Infinite nor Second-<n>"))
    } else {
        Ok(None)
    }
}

fn one(value: &str) -> Option<Timeout> {
    let value = value.trim();
    if value.eq_ignore_ascii_case("infinite") {
        return Some(Timeout::Infinite);
    }
    let (unit, digits) = value.split_once('-')?;
    if !unit.eq_ignore_ascii_case("second")
        || digits.is_empty()
        || !digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    // All digits: what does not fit is merely long.
    Some(Timeout::Second(digits.parse().unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::field::headers_of;

    fn read(values: &[&str]) -> Result<Option<Timeout>, BadHeader> {
        parse(&headers_of("timeout", values))
    }

    #[test]
    fn the_first_known_value_wins() {
        assert_eq!(
            read(&["Infinite, Second-4100000000"]),
            Ok(Some(Timeout::Infinite))
        );
        assert_eq!(read(&["Second-604800"]), Ok(Some(Timeout::Second(604_800))));
        assert_eq!(
            read(&["Extend-7, second-5, Infinite"]),
            Ok(Some(Timeout::Second(5)))
        );
        assert_eq!(
            read(&["Second-99999999999999999999"]),
            Ok(Some(Timeout::Second(u32::MAX)))
        );
        assert_eq!(read(&[]), Ok(None));
        for bad in ["Second-", "Second--1", "Second-+5", "5", "forever"] {
            assert!(read(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_grant_always_ends_within_the_hour() {
        assert_eq!(Timeout::wished_s(None), u32::MAX);
        assert_eq!(Timeout::wished_s(Some(Timeout::Infinite)), u32::MAX);
        assert_eq!(Timeout::wished_s(Some(Timeout::Second(600))), 600);
    }
}
