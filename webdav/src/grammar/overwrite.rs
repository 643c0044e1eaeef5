//! The `Overwrite` header (RFC 4918 §10.6).

use http::HeaderMap;

use super::field::{BadHeader, single};

/// Whether an existing destination may be replaced; yes when the header is absent.
///
/// # Errors
/// [`BadHeader`] for anything but `T` and `F`.
pub fn parse(headers: &HeaderMap) -> Result<bool, BadHeader> {
    match single(headers, "overwrite")? {
        None | Some("T" | "t") => Ok(true),
        Some("F" | "f") => Ok(false),
        Some(_) => Err(BadHeader::new("overwrite", "neither T nor F")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::field::headers_of;

    #[test]
    fn absent_means_yes() {
        let read = |values: &[&str]| parse(&headers_of("overwrite", values));
        assert_eq!(read(&[]), Ok(true));
        assert_eq!(read(&["T"]), Ok(true));
        assert_eq!(read(&["f"]), Ok(false));
        assert!(read(&["true"]).is_err());
        assert!(read(&[""]).is_err());
        assert!(read(&["T", "F"]).is_err());
    }
}
