//! The words by which assets are found, made here for documents and queries alike, so that both
//! engines find the same: no stemmer, parser or case table of theirs has a say.
//!
//! A word is letters and digits, without regard to case, accents and width. Tags and authors are
//! words too, with a sign before them that no other word can hold. Beginnings of up to three
//! characters are kept beside the words, since gathering all words with such a beginning at the
//! time of a search would take long. What most searches filter by, the kind and the first number of
//! the engine's version, are words as well: so the index itself leaves few to look at.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use crate::error::{Error, Result};
use crate::id::UserId;

/// Characters of a word; the rest of a longer one does not count.
const MOST_CHARS: usize = 64;
/// Different words of a query, and tags it may ask for.
const MOST_WORDS: usize = 8;
const MOST_TAGS: usize = 8;
/// Bytes of a query.
const MOST_QUERY_BYTES: usize = 512;
/// Beginnings of so many characters are kept.
const MOST_BEGINNING: usize = 3;

/// Before a tag, an author, a beginning, a kind, a first number of a version.
const TAG: char = '#';
const AUTHOR: char = '@';
const BEGINNING: char = '^';
const KIND: char = '=';
const MAJOR: char = '~';

/// Text without regard to case, accents and width.
fn fold(text: &str) -> String {
    let plain = text.nfkd().filter(|sign| !is_combining_mark(*sign));
    let capitals = plain.flat_map(char::to_uppercase);
    let small = capitals.flat_map(char::to_lowercase);
    small
        .nfkd()
        .filter(|sign| !is_combining_mark(*sign))
        .nfc()
        .collect()
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let folded = fold(text);
    let words: Vec<String> = folded
        .split(|sign: char| !sign.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(MOST_CHARS).collect())
        .collect();
    words.into_iter()
}

/// A tag as it is kept: words with hyphens between them; none when it holds no word.
pub(crate) fn tag(text: &str) -> Option<String> {
    let words: Vec<String> = words(text).collect();
    Some(words.join("-")).filter(|tag| !tag.is_empty())
}

fn marked(sign: char, word: &str) -> String {
    format!("{sign}{word}")
}

fn author_word(author: UserId) -> String {
    let mut word = String::from(AUTHOR);
    for byte in author.as_bytes() {
        let _ = write!(word, "{byte:02x}");
    }
    word
}

/// All that an asset is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    words: BTreeSet<String>,
    filters: Vec<String>,
}

impl Document {
    pub fn new(name: &str, description: &str, tags: &[String], authors: &[UserId]) -> Self {
        let mut all: BTreeSet<String> = words(name).chain(words(description)).collect();
        all.extend(tags.iter().map(|tag| marked(TAG, tag)));
        all.extend(authors.iter().map(|author| author_word(*author)));
        Self {
            words: all,
            filters: Vec::new(),
        }
    }

    /// Adds what filters ask for: a kind's code, and the first numbers of the versions it runs on,
    /// or none of them where they are many.
    pub fn with_filters(mut self, kind: i64, majors: Option<&[i64]>) -> Self {
        self.filters = vec![format!("{KIND}{kind}")];
        match majors {
            Some(majors) => self
                .filters
                .extend(majors.iter().map(|major| format!("{MAJOR}{major}"))),
            None => self.filters.push(MAJOR.to_string()),
        }
        self
    }

    /// In order, each between blanks of its own: what [`Query::pattern`] is compared with.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for word in &self.words {
            text.push(' ');
            text.push_str(word);
            text.push(' ');
        }
        text
    }

    /// The words, their beginnings, and what filters ask for.
    pub fn lexemes(&self) -> BTreeSet<String> {
        let mut lexemes = self.words.clone();
        lexemes.extend(self.filters.iter().cloned());
        let plain = self
            .words
            .iter()
            .filter(|word| !word.starts_with([TAG, AUTHOR]));
        for word in plain {
            let ends = word.char_indices().map(|(at, sign)| at + sign.len_utf8());
            lexemes.extend(
                ends.take(MOST_BEGINNING)
                    .map(|end| marked(BEGINNING, &word[..end])),
            );
        }
        lexemes
    }
}

/// What is asked for: all of it must be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query {
    whole: BTreeSet<String>,
    /// The beginning of the last word.
    beginning: Option<String>,
    /// The code of a kind, and the first number of a version.
    kind: Option<i64>,
    major: Option<i64>,
}

impl Query {
    /// Reads the text of a search; of its last word only the beginning is asked for.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it holds no word or too many.
    pub fn new(text: Option<&str>, tags: &[String], author: Option<UserId>) -> Result<Self> {
        let mut query = Self::default();
        if let Some(text) = text {
            query.ask(text)?;
        }
        if tags.len() > MOST_TAGS {
            return Err(invalid(
                "tag",
                format!("is there more than {MOST_TAGS} times"),
            ));
        }
        for text in tags {
            let tag = tag(text).ok_or_else(|| invalid("tag", "holds no word".to_owned()))?;
            query.whole.insert(marked(TAG, &tag));
        }
        query.whole.extend(author.map(author_word));
        Ok(query)
    }

    fn ask(&mut self, text: &str) -> Result<()> {
        if text.len() > MOST_QUERY_BYTES {
            return Err(invalid(
                "q",
                format!("is longer than {MOST_QUERY_BYTES} bytes"),
            ));
        }
        let mut words: Vec<String> = words(text).collect();
        let last = words.pop();
        let last = last.ok_or_else(|| invalid("q", "holds no word".to_owned()))?;
        self.whole.extend(words);
        // A whole word that begins so is asked for already.
        if !self.whole.iter().any(|word| word.starts_with(&last)) {
            self.beginning = Some(last);
        }
        if self.whole.len() + usize::from(self.beginning.is_some()) > MOST_WORDS {
            return Err(invalid("q", format!("holds more than {MOST_WORDS} words")));
        }
        Ok(())
    }

    /// Asks for what filters do as well, as far as words can: more may be found than passes them.
    pub fn with_filters(mut self, kind: Option<i64>, major: Option<i64>) -> Self {
        (self.kind, self.major) = (kind, major);
        self
    }

    /// Whether nothing is asked for that the index knows.
    pub fn is_empty(&self) -> bool {
        !self.has_words() && self.kind.is_none() && self.major.is_none()
    }

    /// Whether anything is asked for but what filters ask.
    pub fn has_words(&self) -> bool {
        !self.whole.is_empty() || self.beginning.is_some()
    }

    /// As a pattern of `LIKE` over [`Document::text`]. Both are in order, so that one pattern
    /// does for all words.
    pub fn pattern(&self) -> String {
        let mut pattern = String::from("%");
        let mut beginning = self.beginning.as_deref();
        for word in &self.whole {
            if let Some(first) = beginning.take_if(|first| *first < word.as_str()) {
                let _ = write!(pattern, " {first}%");
            }
            let _ = write!(pattern, " {word} %");
        }
        if let Some(last) = beginning {
            let _ = write!(pattern, " {last}%");
        }
        pattern
    }

    /// As an expression of FTS5 over [`Document::lexemes`].
    pub fn fts5(&self) -> String {
        self.expression(
            |word| format!("\"{word}\""),
            |word| format!("\"{word}\" *"),
            [" AND ", " OR "],
        )
    }

    /// As a `tsquery` over [`Document::lexemes`].
    pub fn tsquery(&self) -> String {
        self.expression(
            |word| format!("'{word}'"),
            |word| format!("'{word}':*"),
            [" & ", " | "],
        )
    }

    fn expression(
        &self,
        whole: impl Fn(&str) -> String,
        beginning: impl Fn(&str) -> String,
        [and, or]: [&str; 2],
    ) -> String {
        let mut parts: Vec<String> = self.whole.iter().map(|word| whole(word)).collect();
        parts.extend(self.beginning.as_deref().map(|word| {
            if word.chars().count() <= MOST_BEGINNING {
                whole(&marked(BEGINNING, word))
            } else {
                beginning(word)
            }
        }));
        parts.extend(self.kind.map(|kind| whole(&format!("{KIND}{kind}"))));
        parts.extend(self.major.map(|major| {
            let (one, any) = (format!("{MAJOR}{major}"), MAJOR.to_string());
            format!("({}{or}{})", whole(&one), whole(&any))
        }));
        parts.join(and)
    }
}

fn invalid(field: &'static str, reason: String) -> Error {
    Error::Invalid { field, reason }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words_of(text: &str) -> Vec<String> {
        words(text).collect()
    }

    /// What `LIKE` does with a pattern of words and `%`.
    fn is_like(text: &str, pattern: &str) -> bool {
        let mut rest = text;
        let mut parts = pattern.split('%');
        assert_eq!(parts.next(), Some(""));
        parts.all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    }

    fn finds(query: &str, text: &str) -> bool {
        let document = Document::new(text, "", &[], &[]);
        is_like(
            &document.text(),
            &Query::new(Some(query), &[], None).unwrap().pattern(),
        )
    }

    #[test]
    fn words_have_no_case_accents_or_width() {
        assert_eq!(
            words_of("Ångström's  ＦＵＬＬ-width ﬁsh_7"),
            ["angstrom", "s", "full", "width", "fish", "7"]
        );
        assert_eq!(words_of("STRASSE Straße"), ["strasse", "strasse"]);
        assert_eq!(words_of("Σίσυφος ΣΊΣΥΦΟΣ"), ["σισυφοσ", "σισυφοσ"]);
        assert_eq!(words_of(" ?!… "), Vec::<String>::new());
        assert_eq!(words_of(&"x".repeat(100))[0].len(), 64);
    }

    #[test]
    fn all_words_must_be_there_the_last_by_its_beginning() {
        let text = "A wooden chair, and a table of oak";
        for query in [
            "chair",
            "cha",
            "CHAIR table",
            "table cha",
            "oak wood",
            "wooden wood",
            "a a",
        ] {
            assert!(finds(query, text), "{query}");
        }
        for query in ["hair", "cha table", "chairs", "wood table", "chair lamp"] {
            assert!(!finds(query, text), "{query}");
        }
    }

    #[test]
    fn a_query_is_bounded_and_has_words() {
        let query = |text: &str| Query::new(Some(text), &[], None);
        assert!(query("").is_err());
        assert!(query("-").is_err());
        assert!(query("a b c d e f g h").is_ok());
        assert!(query("a b c d e f g h i").is_err());
        assert!(query(&"x".repeat(513)).is_err());
        let tags = vec!["t".to_owned(); 9];
        assert!(Query::new(None, &tags[..8], None).is_ok());
        assert!(Query::new(None, &tags, None).is_err());
        assert!(Query::new(None, &["!".to_owned()], None).is_err());
        assert!(Query::new(None, &[], None).unwrap().is_empty());
    }

    #[test]
    fn expressions_ask_for_short_beginnings_as_words() {
        let query = Query::new(Some("oak woo"), &["Low Poly".to_owned()], None).unwrap();
        assert_eq!(query.fts5(), "\"#low-poly\" AND \"oak\" AND \"^woo\"");
        assert_eq!(query.tsquery(), "'#low-poly' & 'oak' & '^woo'");
        let query = Query::new(Some("wood"), &[], None).unwrap();
        assert_eq!(
            (&*query.fts5(), &*query.tsquery()),
            ("\"wood\" *", "'wood':*")
        );
        let document = Document::new("wood", "", &["x".to_owned()], &[]);
        let lexemes: Vec<_> = document.lexemes().into_iter().collect();
        assert_eq!(lexemes, ["#x", "^w", "^wo", "^woo", "wood"]);
        let document = document.with_filters(3, Some(&[4, 5]));
        assert!(
            document
                .lexemes()
                .is_superset(&["=3", "~4", "~5"].map(str::to_owned).into())
        );
        assert_eq!(
            document.text(),
            " #x  wood ",
            "no query holds them as words"
        );
        let query = Query::default().with_filters(Some(3), Some(5));
        assert!(!query.is_empty() && !query.has_words());
        assert_eq!(query.fts5(), "\"=3\" AND (\"~5\" OR \"~\")");
        assert_eq!(query.tsquery(), "'=3' & ('~5' | '~')");
    }

    proptest! {
        /// The pattern says the same as a look at each word.
        #[test]
        fn a_pattern_finds_what_has_all_words(
            text in prop::collection::vec("[ab]{1,3}", 0..6),
            query in prop::collection::vec("[ab]{1,3}", 1..4),
        ) {
            let (last, whole) = query.split_last().unwrap();
            let expected = whole.iter().all(|word| text.contains(word))
                && text.iter().any(|word| word.starts_with(last));
            prop_assert_eq!(finds(&query.join(" "), &text.join(" ")), expected);
        }

        /// Nothing that stands in an expression has a meaning of its own there.
        #[test]
        fn words_hold_letters_and_digits_alone(text in "\\PC{0,60}") {
            for word in words(&text) {
                prop_assert!(word.chars().all(char::is_alphanumeric), "{}", word);
            }
        }
    }
}
