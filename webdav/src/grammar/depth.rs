//! The `Depth` header (RFC 4918 §10.2).

use http::HeaderMap;

use super::field::{BadHeader, single};

/// How far below the target a method reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Depth {
    /// The target alone.
    Zero,
    /// The target and its direct members.
    One,
    /// The target and everything below it.
    Infinity,
}

impl Depth {
    /// The header's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zero => "0",
            Self::One => "1",
            Self::Infinity => "infinity",
        }
    }
}

/// Reads the header; what its absence means depends on the method.
///
/// # Errors
/// [`BadHeader`] for anything but `0`, `1` and `infinity`, or for two of them.
pub fn parse(headers: &HeaderMap) -> Result<Option<Depth>, BadHeader> {
    let Some(value) = single(headers, "depth")? else {
        return Ok(None);
    };
    match value {
        "0" => Ok(Some(Depth::Zero)),
        "1" => Ok(Some(Depth::One)),
        _ if value.eq_ignore_ascii_case("infinity") => Ok(Some(Depth::Infinity)),
        _ => Err(BadHeader::new("depth", "neither 0, 1 nor infinity")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::field::headers_of;

    #[test]
    fn the_three_values_and_nothing_else() {
        let read = |values: &[&str]| parse(&headers_of("depth", values));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["0"]), Ok(Some(Depth::Zero)));
        assert_eq!(read(&[" 1 "]), Ok(Some(Depth::One)));
        assert_eq!(read(&["Infinity"]), Ok(Some(Depth::Infinity)));
        for bad in ["", "2", "-1", "00", "infinite", "1,noroot"] {
            assert!(read(&[bad]).is_err(), "{bad}");
        }
        assert!(read(&["0", "0"]).is_err());
        for depth in [Depth::Zero, Depth::One, Depth::Infinity] {
            assert_eq!(read(&[depth.as_str()]), Ok(Some(depth)));
        }
    }
}
