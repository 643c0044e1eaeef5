//! Lock tokens and the `Lock-Token` header (RFC 4918 §6.5, §10.5).

use std::fmt::Write as _;

use http::HeaderMap;

use super::{
    field::{BadHeader, single},
    path::hex_digit,
};

const MAX_BYTES: usize = 256;
const URN: &str = "urn:uuid:";

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

/// The token of a lock, from the 16 bytes of its id.
pub fn from_id(id: &[u8; 16]) -> String {
    let mut token = String::with_capacity(URN.len() + 36);
    token.push_str(URN);
    for (index, byte) in id.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            token.push('-');
        }
        write!(token, "{byte:02x}").expect("a string takes any text");
    }
    token
}

/// The id in a token we made, also when a client changed its case; none for a foreign token.
pub fn id_of(token: &str) -> Option<[u8; 16]> {
    let digits = token
        .get(..URN.len())
        .filter(|urn| urn.eq_ignore_ascii_case(URN))?;
    let digits = &token.as_bytes()[digits.len()..];
    if digits.len() != 36 || [8, 13, 18, 23].iter().any(|&at| digits[at] != b'-') {
        return None;
    }
    let mut nibbles = digits
        .iter()
        .filter(|&&byte| byte != b'-')
        .map(|&byte| hex_digit(byte));
    let mut id = [0; 16];
    for byte in &mut id {
        *byte = nibbles.next()?? << 4 | nibbles.next()??;
    }
    Some(id)
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
        fn the_id_comes_back(id: [u8; 16]) {
            let token = from_id(&id);
            prop_assert!(is_token(&token));
            prop_assert_eq!(id_of(&token), Some(id));
            prop_assert_eq!(id_of(&token.to_uppercase()), Some(id));
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,60}", tail in "[-0-9a-fg]{34,38}") {
            is_token(&text);
            id_of(&text);
            id_of(&format!("urn:uuid:{tail}"));
        }
    }
}
