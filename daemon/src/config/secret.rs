//! Secrets of the configuration: never shown, and kept in a file of their own where wanted.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::Invalid;

/// A secret; printing or serialising it shows a mask.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

const MASK: &str = "********";

impl Secret {
    pub fn new(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }

    /// The secret itself: for its one use, never for a message.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Settles the twins `x` and `x_file`: at most one may be given, and the file must be readable.
/// One final line break is not part of the secret.
pub fn settle(key: &str, secret: &mut Option<Secret>, file: Option<&Path>) -> Result<(), Invalid> {
    let Some(path) = file else { return Ok(()) };
    let file_key = format!("{key}_file");
    if secret.is_some() {
        return Err(Invalid::new(
            &file_key,
            format!("`{key}` is given as well; keep one"),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|error| {
        Invalid::new(
            &file_key,
            format!("{} cannot be read: {error}", path.display()),
        )
    })?;
    let text = Zeroizing::new(text);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(Invalid::new(
            &file_key,
            format!("{} is empty", path.display()),
        ));
    }
    *secret = Some(Secret::new(text.to_owned()));
    Ok(())
}
