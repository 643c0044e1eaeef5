//! `Coffer-Attributes`: the POSIX attributes that a PUT, PATCH or MKCOL gives what it makes.
//!
//! The same text as that of the property `attributes` in
//! [`POSIX`](super::namespace::POSIX); what stands in it is not looked at here. A server announces
//! that it knows the field by [`CLASS`] in its `DAV` header.

use http::HeaderMap;

use super::field::{BadHeader, single};

/// Name of the field.
pub const FIELD: &str = "coffer-attributes";

/// What `DAV` announces.
pub const CLASS: &str = "coffer-attributes";

/// Reads the header; none when it is absent.
///
/// # Errors
/// [`BadHeader`] when it is sent twice or is not UTF-8.
pub fn parse(headers: &HeaderMap) -> Result<Option<&str>, BadHeader> {
    single(headers, FIELD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::field::headers_of;

    #[test]
    fn the_text_is_taken_as_it_is() {
        let text = "mode=100644 mtime=1.5";
        assert_eq!(parse(&headers_of(FIELD, &[text])), Ok(Some(text)));
        assert_eq!(parse(&HeaderMap::new()), Ok(None));
        assert!(parse(&headers_of(FIELD, &[text, text])).is_err());
    }
}
