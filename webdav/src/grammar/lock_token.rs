//! Lock tokens and the `Lock-Token` header (RFC 4918 §6.5, §10.5).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;

use super::field::{BadHeader, single};

const MAX_BYTES: usize = 256;
const SCHEME: &str = "coffer-lock";

/// Reads the `Lock-Token` header, with angle brackets or (as some clients send it) without.
///
/// # Errors
/// [`BadHeader`] when it is not one URI of at most 256 bytes.
pub fn parse(headers: &HeaderMap) -> Result<Option<String>, BadHeader> {
    let Some(value) = single(headers, "lock-token")? else {
        return Ok(None);
    };
    let bare = match value.strip_prefix('<') {
        Some(rest) => rest.strip_suffix('>').unwrap_or_default(),
        None => value,
    };
    if is_token(bare) {
        Ok(Some(bare.to_owned()))
    } else {
        Err(BadHeader::new("lock-token", "not a coded URL"))
    }
}

/// Whether this could be a lock token: an absolute URI of printable ASCII, bounded in length.
pub fn is_token(text: &str) -> bool {
    text.len() <= MAX_BYTES
        && text.split_once(':').is_some_and(|(scheme, rest)| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && !rest.is_empty()
        })
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"'))
}

/// The token of a new lock, from 16 unpredictable bytes.
///
/// Not one of the UUID schemes that RFC 4918 §6.5 recommends, which are longer: litmus, and who
/// knows which client after it, keeps an `If` header with two of our entity tags and a token in
/// 200 bytes.
pub fn from_random(bytes: [u8; 16]) -> String {
    format!("{SCHEME}:{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grammar::field::headers_of;

    #[test]
    fn brackets_are_optional() {
        let token = "urn:uuid:a515cfa4-5da4-22e1-f5b5-00a0451e6bf7";
        let read = |values: &[&str]| parse(&headers_of("lock-token", values));
        assert_eq!(read(&[&format!("<{token}>")]), Ok(Some(token.to_owned())));
        assert_eq!(read(&[token]), Ok(Some(token.to_owned())));
        assert_eq!(
            read(&["<opaquelocktoken:x>"]),
            Ok(Some("opaquelocktoken:x".to_owned()))
        );
        assert_eq!(read(&[]), Ok(None));
        for bad in [
            "",
            "<>",
            "<",
            "<a:b",
            "a:b>",
            "token",
            ":x",
            "<a:b> <c:d>",
            "a:\"",
            "a:",
        ] {
            assert!(read(&[bad]).is_err(), "{bad}");
        }
        assert!(read(&[&format!("a:{}", "b".repeat(254))]).is_ok());
        assert!(read(&[&format!("a:{}", "b".repeat(255))]).is_err());
    }

    proptest! {
        #[test]
        fn a_token_is_one_and_fits_in_an_if_header_of_200_bytes(bytes: [u8; 16]) {
            let token = from_random(bytes);
            prop_assert!(is_token(&token));
            let tag = format!("\"{}\"", "0".repeat(64));
            let header = format!("(<{token}> [{tag}]) (Not <DAV:no-lock> [{tag}])");
            prop_assert!(header.len() < 200, "{}", header.len());
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,60}") {
            is_token(&text);
        }
    }
}
