//! Names that accounts go by: user names and e-mail addresses, in one space.

use unicode_normalization::UnicodeNormalization as _;

use crate::error::{Error, Result};

/// A user name or e-mail address, with the form by which it is compared.
///
/// Compared without regard to case, width and composition; names that look like others
/// through invisible signs or mixed alphabets are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserName {
    given: String,
    key: String,
}

impl UserName {
    /// Longest name in bytes, in either form.
    pub const MAX_BYTES: usize = 255;

    /// Checks a user name, which may be an e-mail address.
    ///
    /// # Errors
    /// [`Error::Invalid`] that says what is wrong.
    pub fn plain(text: &str) -> Result<Self> {
        Self::parse("username", text)
    }

    /// Checks an e-mail address; whether it can be reached is not known.
    ///
    /// # Errors
    /// [`Error::Invalid`] that says what is wrong.
    pub fn email(text: &str) -> Result<Self> {
        let name = Self::parse("email", text)?;
        let well_formed = name.key.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        });
        if well_formed && !name.key.contains(' ') {
            Ok(name)
        } else {
            Err(invalid("email", "is not an e-mail address"))
        }
    }

    /// Checks a name under which somebody publishes.
    ///
    /// # Errors
    /// [`Error::Invalid`] that says what is wrong.
    pub(crate) fn public(text: &str) -> Result<Self> {
        let name = Self::parse("public_name", text)?;
        if name.given.chars().count() > 64 {
            return Err(invalid("public_name", "is longer than 64 characters"));
        }
        Ok(name)
    }

    /// Checks what somebody types as the name of another: a user name or an e-mail address.
    ///
    /// # Errors
    /// [`Error::Invalid`] that says what is wrong, in `field`.
    pub(crate) fn named(field: &'static str, text: &str) -> Result<Self> {
        Self::parse(field, text)
    }

    fn parse(field: &'static str, text: &str) -> Result<Self> {
        let given: Vec<&str> = text.split(' ').filter(|part| !part.is_empty()).collect();
        let given = given.join(" ");
        let key = key(&given);
        let reason = if given.is_empty() {
            "is empty"
        } else if given.len() > Self::MAX_BYTES || key.len() > Self::MAX_BYTES {
            "is longer than 255 bytes"
        } else if given.chars().chain(key.chars()).any(is_forbidden) {
            "holds a sign that names cannot have (/ \\ : control or invisible signs)"
        } else if key.is_empty() || key == "." || key == ".." {
            "is not a name"
        } else if mixes_alphabets(&key) {
            "mixes letters of several alphabets"
        } else {
            return Ok(Self { given, key });
        };
        Err(invalid(field, reason))
    }

    /// As it was given, less superfluous spaces.
    pub fn as_str(&self) -> &str {
        &self.given
    }

    /// The form by which names are compared.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

/// The form by which a name is compared; empty, which no name is, for text that can be none.
pub(crate) fn key(text: &str) -> String {
    if text.len() > UserName::MAX_BYTES || text.chars().any(char::is_control) {
        return String::new();
    }
    let folded: String = text.nfkc().flat_map(char::to_lowercase).nfkc().collect();
    let words: Vec<&str> = folded.split_whitespace().collect();
    words.join(" ")
}

fn invalid(field: &'static str, reason: &str) -> Error {
    Error::Invalid {
        field,
        reason: reason.into(),
    }
}

fn is_forbidden(sign: char) -> bool {
    // A colon ends the user name of Basic credentials (RFC 7617 §2).
    matches!(sign, '/' | '\\' | ':') || sign.is_control() || is_invisible(sign)
}

/// Signs that show as nothing or turn the direction of others (Unicode's
/// `Default_Ignorable_Code_Point`, and separators of lines).
fn is_invisible(sign: char) -> bool {
    matches!(u32::from(sign),
        0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F
        | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x2800 | 0x3164
        | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB | 0x1BCA0..=0x1BCA3
        | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

/// Whether letters come from more than one of the alphabets whose letters look alike.
fn mixes_alphabets(text: &str) -> bool {
    let mut seen = None;
    text.chars()
        .filter_map(alphabet)
        .any(|one| *seen.get_or_insert(one) != one)
}

fn alphabet(letter: char) -> Option<u8> {
    match u32::from(letter) {
        0x41..=0x5A
        | 0x61..=0x7A
        | 0xC0..=0xD6
        | 0xD8..=0xF6
        | 0xF8..=0x2AF
        | 0x1E00..=0x1EFF
        | 0x2C60..=0x2C7F
        | 0xA720..=0xA7FF
        | 0xAB30..=0xAB6F => Some(0),
        0x370..=0x3FF | 0x1F00..=0x1FFF => Some(1),
        0x400..=0x52F | 0x1C80..=0x1C8F | 0x2DE0..=0x2DFF | 0xA640..=0xA69F => Some(2),
        0x530..=0x58F => Some(3),
        0x13A0..=0x13FF | 0xAB70..=0xABBF => Some(4),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(text: &str) -> Option<String> {
        UserName::plain(text).ok().map(|name| name.key)
    }

    #[test]
    fn spellings_of_one_name_have_one_key() {
        for text in ["alice", "ALICE", " Alice ", "ａｌｉｃｅ"] {
            assert_eq!(key_of(text).as_deref(), Some("alice"), "{text}");
        }
        assert_eq!(key_of("Jose\u{301}"), key_of("jos\u{e9}"));
        assert_eq!(key_of("a  b"), key_of("a b"));
        assert_eq!(key_of("Иван").as_deref(), Some("иван"));
        assert_eq!(key_of("me@Example.ORG").as_deref(), Some("me@example.org"));
    }

    #[test]
    fn look_alikes_and_paths_are_refused() {
        let long = "a".repeat(256);
        for text in [
            "",
            "  ",
            ".",
            "..",
            "../alice",
            "a/b",
            "a\\b",
            "a:b",
            "a\0",
            "a\nb",
            "al\u{200b}ice",
            "\u{202e}alice",
            "\u{430}lice",
            "alic\u{3b5}",
            "\u{feff}alice",
            "ali\u{ad}ce",
            "℀",
            &long,
        ] {
            assert_eq!(key_of(text), None, "{text:?}");
        }
    }

    #[test]
    fn addresses_have_two_sides() {
        assert!(UserName::email("alice@example.org").is_ok());
        for text in [
            "alice",
            "@example.org",
            "alice@",
            "a@b@c",
            "a b@example.org",
        ] {
            assert!(UserName::email(text).is_err(), "{text}");
        }
    }
}
