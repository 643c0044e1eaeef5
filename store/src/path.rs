//! Names and paths a drive can hold.

use std::fmt;
use std::sync::Arc;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

use crate::error::{Error, Result};

/// The name of an entry: kept as given, looked up by its NFC form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    given: Arc<str>,
    nfc: Arc<str>,
}

impl Name {
    /// Longest name in bytes, in either form.
    pub const MAX_BYTES: usize = 255;

    /// Checks a name.
    ///
    /// # Errors
    /// [`Error::InvalidName`] when it is empty, `.`, `..`, over
    /// [`Self::MAX_BYTES`], or holds `/` or a control character.
    pub fn new(given: &str) -> Result<Self> {
        if given.is_empty() {
            return Err(Error::InvalidName("a name cannot be empty"));
        }
        if given == "." || given == ".." {
            return Err(Error::InvalidName("a name cannot be . or .."));
        }
        if given.bytes().any(|byte| byte == b'/') {
            return Err(Error::InvalidName("a name cannot hold a slash"));
        }
        // U+FFFE and U+FFFF cannot stand in XML, so no listing could show them.
        if given
            .chars()
            .any(|c| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'))
        {
            return Err(Error::InvalidName("a name cannot hold control characters"));
        }
        let kept: Arc<str> = Arc::from(given);
        let nfc = if given.is_ascii() || is_nfc(given) {
            Arc::clone(&kept)
        } else {
            given.nfc().collect::<String>().into()
        };
        if given.len() > Self::MAX_BYTES || nfc.len() > Self::MAX_BYTES {
            return Err(Error::InvalidName("a name cannot be longer than 255 bytes"));
        }
        Ok(Self { given: kept, nfc })
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.given
    }

    /// In Unicode normalisation form C.
    pub fn nfc(&self) -> &str {
        &self.nfc
    }

    /// This name or, where it is taken, the first of `name (2)`, `name (3)` … that is not; the
    /// number comes before an extension, where there may be one. `is_taken` is asked for NFC forms.
    ///
    /// # Errors
    /// Only when no name is left.
    pub(crate) fn free_among(
        &self,
        has_extension: bool,
        is_taken: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        if !is_taken(self.nfc()) {
            return Ok(self.clone());
        }
        let at = self.given.rfind('.').filter(|at| *at > 0 && has_extension);
        let (stem, extension) = self.given.split_at(at.unwrap_or(self.given.len()));
        for number in 2..=u32::MAX {
            let end = format!(" ({number}){extension}");
            let mut stem = stem;
            // What is too long loses the end of its stem.
            let name = loop {
                match Self::new(&format!("{stem}{end}")) {
                    Ok(name) => break name,
                    Err(error) => {
                        let (last, _) = stem.char_indices().next_back().ok_or(error)?;
                        stem = &stem[..last];
                    }
                }
            };
            if !is_taken(name.nfc()) {
                return Ok(name);
            }
        }
        Err(Error::AlreadyExists)
    }

    /// The form by which it is searched for, where that differs from [`Self::nfc`].
    pub(crate) fn folded(&self) -> Option<String> {
        Some(fold(&self.nfc)).filter(|folded| folded.as_str() != self.nfc())
    }
}

/// Text without regard to case and composition.
///
/// Through capitals and back, so that letters with several small forms (ς and σ) or none of their
/// own size (ß) meet.
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let capitals = text.chars().flat_map(char::to_uppercase);
    capitals.flat_map(char::to_lowercase).nfc().collect()
}

/// A path from a caller's root; no names at all is the root itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path {
    names: Vec<Name>,
    /// `/a/b` in NFC, "" for the root: what caches and the journal go by.
    key: String,
}

impl Path {
    /// Most names on a path.
    pub const MAX_DEPTH: usize = 256;
    /// Longest path in bytes, slashes included.
    pub const MAX_BYTES: usize = 4096;

    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads `a/b`, with or without leading and trailing slash; empty parts do not count.
    ///
    /// # Errors
    /// [`Error::InvalidName`] when a part is no [`Name`] or the whole too long or deep.
    pub fn parse(text: &str) -> Result<Self> {
        let mut path = Self::default();
        for part in text.split('/').filter(|part| !part.is_empty()) {
            path.push(Name::new(part)?)?;
        }
        Ok(path)
    }

    /// Adds a name.
    ///
    /// # Errors
    /// [`Error::InvalidName`] when the path grows too long or deep.
    pub fn push(&mut self, name: Name) -> Result<()> {
        if self.names.len() >= Self::MAX_DEPTH {
            return Err(Error::InvalidName("a path cannot have more than 256 names"));
        }
        if self.key.len() + 1 + name.nfc.len() > Self::MAX_BYTES {
            return Err(Error::InvalidName(
                "a path cannot be longer than 4096 bytes",
            ));
        }
        self.key.push('/');
        self.key.push_str(&name.nfc);
        self.names.push(name);
        Ok(())
    }

    /// This path and one more name.
    ///
    /// # Errors
    /// As for [`Self::push`].
    pub fn join(&self, name: Name) -> Result<Self> {
        let mut path = self.clone();
        path.push(name)?;
        Ok(path)
    }

    /// The last name, unless this is the root.
    pub fn name(&self) -> Option<&Name> {
        self.names.last()
    }

    /// The folder that holds it, unless this is the root.
    pub fn parent(&self) -> Option<Self> {
        let (last, names) = self.names.split_last()?;
        let key = self.key[..self.key.len() - last.nfc.len() - 1].to_owned();
        Some(Self {
            names: names.to_vec(),
            key,
        })
    }

    /// The first `depth` names of it.
    #[must_use]
    pub fn prefix(&self, depth: usize) -> Self {
        Self::of(&self.names[..depth.min(self.names.len())])
    }

    /// What follows its first `depth` names.
    #[must_use]
    pub fn below(&self, depth: usize) -> Self {
        Self::of(&self.names[depth.min(self.names.len())..])
    }

    /// Some names of a path, which cannot be too many.
    fn of(names: &[Name]) -> Self {
        let key = names.iter().flat_map(|name| ["/", name.nfc()]).collect();
        Self {
            names: names.to_vec(),
            key,
        }
    }

    /// How many names it has.
    pub fn depth(&self) -> usize {
        self.names.len()
    }

    /// Whether it has no names.
    pub fn is_root(&self) -> bool {
        self.names.is_empty()
    }

    /// Its names, the outermost first.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.names.iter()
    }

    /// `/a/b` in NFC, "" for the root. Two paths name one place exactly if their keys are equal.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether `other` is this path or lies below it.
    pub fn contains(&self, other: &Self) -> bool {
        other.names.len() >= self.names.len()
            && self
                .names
                .iter()
                .zip(&other.names)
                .all(|(a, b)| a.nfc == b.nfc)
    }
}

impl fmt::Display for Path {
    /// `/a/b` as given; `/` for the root.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.names.is_empty() {
            return f.write_str("/");
        }
        self.names
            .iter()
            .try_for_each(|name| write!(f, "/{}", name.given))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decomposed_names_are_kept_and_found_by_their_composed_form() {
        let name = Name::new("u\u{308}.txt").unwrap();
        assert_eq!(name.as_str(), "u\u{308}.txt");
        assert_eq!(name.nfc(), "\u{fc}.txt");
    }

    #[test]
    fn names_are_searched_for_without_regard_to_case() {
        for (one, other) in [
            ("Straße", "STRASSE"),
            ("\u{3a3}ί\u{3c3}\u{3c5}\u{3c6}ο\u{3c2}", "ΣΊΣΥΦΟΣ"),
            ("U\u{308}ber.TXT", "über.txt"),
        ] {
            assert_eq!(fold(one), fold(other));
        }
        assert_eq!(Name::new("plain.txt").unwrap().folded(), None);
        let folded = Name::new("U\u{308}ber").unwrap().folded();
        assert_eq!(folded.as_deref(), Some("\u{fc}ber"));
    }

    #[test]
    fn a_taken_name_gets_a_number_before_its_extension() {
        let free = |name: &str, has_extension, taken: &[&str]| {
            let name = Name::new(name).unwrap();
            let free = name.free_among(has_extension, |name| taken.contains(&name));
            free.unwrap().as_str().to_owned()
        };
        assert_eq!(free("a.txt", true, &[]), "a.txt");
        assert_eq!(free("a.txt", true, &["a.txt"]), "a (2).txt");
        let taken = ["a.txt", "a (2).txt"];
        assert_eq!(free("a.txt", true, &taken), "a (3).txt");
        assert_eq!(free("a.txt", false, &["a.txt"]), "a.txt (2)");
        assert_eq!(free(".profile", true, &[".profile"]), ".profile (2)");
        let long = format!("{}.txt", "\u{fc}".repeat(125));
        let numbered = free(&long, true, &[&long]);
        assert_eq!(numbered, format!("{} (2).txt", "\u{fc}".repeat(123)));
    }

    #[test]
    fn names_that_no_drive_can_hold_are_refused() {
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "a\0",
            "a\nb",
            "a\u{7f}",
            "a\u{85}",
            &"x".repeat(256),
        ] {
            assert!(
                matches!(Name::new(name), Err(Error::InvalidName(_))),
                "{name:?}"
            );
        }
        assert!(Name::new(&"x".repeat(255)).is_ok());
    }

    #[test]
    fn paths_contain_themselves_and_what_lies_below_by_whole_names() {
        let path = |text: &str| Path::parse(text).unwrap();
        assert!(path("/doc").contains(&path("/doc/a")));
        assert!(path("/doc").contains(&path("doc/")));
        assert!(!path("/doc").contains(&path("/documents")));
        assert!(path("/").contains(&path("/doc")));
        assert_eq!(path("/a/b").parent(), Some(path("/a")));
        assert_eq!(path("/a").parent(), Some(Path::root()));
        assert_eq!(path("/a/b/c").prefix(1), path("/a"));
        assert_eq!(path("/a/b/c").below(1), path("/b/c"));
        assert_eq!(path("/a").below(2), Path::root());
    }

    #[test]
    fn a_path_ends_at_256_names() {
        assert!(Path::parse(&"a/".repeat(256)).is_ok());
        assert!(Path::parse(&"a/".repeat(257)).is_err());
    }
}
