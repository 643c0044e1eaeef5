//! Entity tags and the two header fields that list them (RFC 9110 §8.8.3, §13.1).

use http::HeaderMap;

use super::field::{BadHeader, lines};

const MAX_TAGS: usize = 64;
const MAX_BYTES: usize = 8 * 1024;

/// An entity tag as a client sent it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntityTag {
    /// Whether it came with `W/`.
    pub weak: bool,
    /// The opaque part, its quotes included.
    pub opaque: String,
}

impl EntityTag {
    /// Reads one tag; none when it is not valid.
    pub fn parse(text: &str) -> Option<Self> {
        let (tag, rest) = Self::split(text)?;
        rest.is_empty().then_some(tag)
    }

    /// Reads the tag at the start of `text` and returns what follows it.
    pub(crate) fn split(text: &str) -> Option<(Self, &str)> {
        let (weak, quoted) = match text.strip_prefix("W/").or_else(|| text.strip_prefix("w/")) {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let end = quoted.strip_prefix('"')?.find('"')? + 2;
        let (opaque, rest) = quoted.split_at(end);
        if opaque.contains(char::is_control) {
            return None;
        }
        Some((
            Self {
                weak,
                opaque: opaque.to_owned(),
            },
            rest,
        ))
    }

    /// Whether both are strong and equal. `current` has its quotes.
    pub fn strong_eq(&self, current: &str) -> bool {
        !self.weak && self.opaque == current
    }

    /// Whether they are equal, weak or not. `current` has its quotes.
    pub fn weak_eq(&self, current: &str) -> bool {
        self.opaque == current.strip_prefix("W/").unwrap_or(current)
    }
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TagList {
    /// `*`: whatever exists.
    Any,
    /// The valid tags. Those that are not valid are left out: some clients put a word there to
    /// defeat a cache (`JoplinIgnore-1`) and break when it is refused. So the list may be empty,
    /// and then nothing matches it: an `If-None-Match` like that is as good as absent, while an
    /// `If-Match` fails, since the client asked for a guard that nothing can satisfy.
    Tags(Vec<EntityTag>),
}

impl TagList {
    /// Reads all lines of the field; none when it is absent.
    ///
    /// # Errors
    /// [`BadHeader`] above 64 tags or 8 KiB.
    pub fn parse(headers: &HeaderMap, field: &'static str) -> Result<Option<Self>, BadHeader> {
        let mut tags = Vec::new();
        let mut bytes = 0;
        for line in lines(headers, field) {
            let line = line?;
            if line == "*" {
                return Ok(Some(Self::Any));
            }
            bytes += line.len();
            if bytes > MAX_BYTES {
                return Err(BadHeader::new(field, "too long"));
            }
            read_line(line, &mut tags);
            if tags.len() > MAX_TAGS {
                return Err(BadHeader::new(field, "too many entity tags"));
            }
        }
        Ok(headers.contains_key(field).then_some(Self::Tags(tags)))
    }

    /// Strong comparison with the current tag of an existing resource.
    pub fn matches_strongly(&self, current: Option<&str>) -> bool {
        self.matches(current, EntityTag::strong_eq)
    }

    /// Weak comparison with the current tag of an existing resource.
    pub fn matches_weakly(&self, current: Option<&str>) -> bool {
        self.matches(current, EntityTag::weak_eq)
    }

    fn matches(&self, current: Option<&str>, same: fn(&EntityTag, &str) -> bool) -> bool {
        match (self, current) {
            (Self::Any, _) => true,
            (Self::Tags(_), None) => false,
            (Self::Tags(tags), Some(current)) => tags.iter().any(|tag| same(tag, current)),
        }
    }
}

fn read_line(line: &str, tags: &mut Vec<EntityTag>) {
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return;
        }
        if let Some((tag, after)) = EntityTag::split(rest) {
            let after = after.trim_start_matches([' ', '\t']);
            if after.is_empty() || after.starts_with(',') {
                tags.push(tag);
                rest = after;
                continue;
            }
        }
        rest = rest.find(',').map_or("", |comma| &rest[comma..]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grammar::field::headers_of;

    fn list(values: &[&str]) -> TagList {
        TagList::parse(&headers_of("if-match", values), "if-match")
            .unwrap()
            .unwrap()
    }

    #[test]
    fn comparison_follows_rfc_9110_8_8_3_2() {
        // The table of that section: (first, second, strong, weak).
        for (first, second, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            let tag = EntityTag::parse(first).unwrap();
            assert_eq!(tag.strong_eq(second), strong, "{first} {second}");
            assert_eq!(tag.weak_eq(second), weak, "{first} {second}");
        }
        assert!(!EntityTag::parse("\"1\"").unwrap().strong_eq("W/\"1\""));
    }

    #[test]
    fn lists_hold_commas_in_tags_and_span_lines() {
        let tags = list(&["\"xyzzy\", W/\"r2,d2\",, \"c3piozzzz\"", "\"\""]);
        assert!(tags.matches_strongly(Some("\"xyzzy\"")));
        assert!(!tags.matches_strongly(Some("\"r2,d2\"")));
        assert!(tags.matches_weakly(Some("\"r2,d2\"")));
        assert!(tags.matches_strongly(Some("\"c3piozzzz\"")));
        assert!(tags.matches_strongly(Some("\"\"")));
        assert!(!tags.matches_strongly(None));
        assert_eq!(list(&["*"]), TagList::Any);
        assert!(TagList::Any.matches_strongly(None));
    }

    #[test]
    fn tags_that_are_not_valid_are_ignored() {
        let nothing = TagList::Tags(Vec::new());
        for value in [
            "JoplinIgnore-12345",
            "",
            "\"open",
            "'a'",
            "a\"b\"",
            "\"a\"b",
            "W/x",
        ] {
            assert_eq!(list(&[value]), nothing, "{value}");
        }
        assert!(list(&["junk, \"a\"x, \"b\""]).matches_strongly(Some("\"b\"")));
        assert_eq!(TagList::parse(&HeaderMap::new(), "if-match"), Ok(None));
    }

    #[test]
    fn lists_are_bounded() {
        let parse = |value: &str| TagList::parse(&headers_of("if-match", &[value]), "if-match");
        assert!(parse(&["\"a\""; 64].join(",")).is_ok());
        assert!(parse(&["\"a\""; 65].join(",")).is_err());
        assert!(parse(&"a".repeat(MAX_BYTES)).is_ok());
        assert!(parse(&"a".repeat(MAX_BYTES + 1)).is_err());
    }

    proptest! {
        #[test]
        fn nothing_panics(value in "([\"W/, a*]|\\PC){0,60}") {
            let _ = TagList::parse(&headers_of("if-match", &[&value]), "if-match");
            EntityTag::parse(&value);
        }
    }
}
