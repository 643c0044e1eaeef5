//! The guard in front of every XML body, and the small tree behind it.
//!
//! Bodies come from strangers: nested elements, entities, attributes and namespaces all have a
//! limit, a document type is refused before it can define anything, and no function here recurses
//! over what a client sent.

pub use element::{Attribute, Element, Node};
pub use pull::{Event, Puller};
pub use write::{escape_attribute, escape_text};

use std::{borrow::Cow, fmt};

use super::namespace;

mod element;
mod pull;
mod write;

/// Longest namespace. Answers repeat it with each name that is in it.
pub const MOST_NAMESPACE_BYTES: usize = 1024;
/// Longest name of an element or attribute, with its prefix.
pub const MOST_NAME_BYTES: usize = 255;

/// How much XML is read before giving up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the document.
    pub bytes: usize,
    /// Open elements at any moment.
    pub depth: usize,
    /// Elements in all.
    pub elements: usize,
    /// Attributes of one element, namespace declarations included.
    pub attributes: usize,
    /// Namespace declarations in scope at any moment.
    pub declarations: usize,
}

impl Limits {
    /// For bodies of requests, unless the operator wants others.
    pub const REQUEST: Self = Self {
        bytes: 64 * 1024,
        depth: 32,
        elements: 256,
        attributes: 32,
        declarations: 64,
    };

    /// For answers of a server which the user has chosen.
    pub const ANSWER: Self = Self {
        bytes: 256 * 1024 * 1024,
        depth: 32,
        elements: usize::MAX,
        attributes: 32,
        declarations: 128,
    };
}

/// Why a document was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum XmlError {
    /// More than [`Limits::bytes`]: 413.
    #[error("the XML body is too long")]
    TooLong,
    /// Another limit: 400.
    #[error("the XML body has too many {0}")]
    TooMany(&'static str),
    /// A document type declaration: 400, `DAV:no-external-entities` (RFC 4918 §16).
    #[error("the XML body has a document type declaration")]
    Doctype,
    /// A reference to an entity that is not one of XML's own five: 400.
    #[error("the XML body refers to an unknown entity")]
    UnknownEntity,
    /// Not UTF-8: 415.
    #[error("the XML body is not encoded in UTF-8")]
    Encoding,
    /// Not well-formed, or not in the sense of namespaces: 400.
    #[error("the XML body is not well-formed: {0}")]
    Malformed(&'static str),
    /// Well-formed, but not what the method asks for: 400.
    #[error("unexpected XML body: {0}")]
    Unexpected(&'static str),
}

/// The expanded name of an element or attribute. Names of our own are constants and cost nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// Namespace; empty for none.
    pub namespace: Cow<'static, str>,
    /// Local part.
    pub local: Cow<'static, str>,
}

impl Name {
    /// A name in a namespace known at compile time.
    pub const fn constant(namespace: &'static str, local: &'static str) -> Self {
        Self {
            namespace: Cow::Borrowed(namespace),
            local: Cow::Borrowed(local),
        }
    }

    /// A name in `DAV:`.
    pub const fn dav(local: &'static str) -> Self {
        Self::constant(namespace::DAV, local)
    }

    /// Any name.
    pub fn new(namespace: &str, local: &str) -> Self {
        let namespace = match namespace {
            namespace::DAV => Cow::Borrowed(namespace::DAV),
            other => Cow::Owned(other.to_owned()),
        };
        Self {
            namespace,
            local: Cow::Owned(local.to_owned()),
        }
    }

    /// Whether this is `local` in `DAV:`.
    pub fn is_dav(&self, local: &str) -> bool {
        self.local == local && self.namespace == namespace::DAV
    }
}

impl fmt::Display for Name {
    /// James Clark's notation, `{DAV:}getetag`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}{}", self.namespace, self.local)
    }
}

/// Passes a body through the guard and forgets it: for bodies that somebody else will read.
///
/// An empty body passes.
///
/// # Errors
/// [`XmlError`], see there.
pub fn check(body: &[u8], limits: Limits) -> Result<(), XmlError> {
    if is_empty(body) {
        return if body.len() > limits.bytes {
            Err(XmlError::TooLong)
        } else {
            Ok(())
        };
    }
    let mut puller = Puller::new(body, limits)?;
    while puller.next()?.is_some() {}
    Ok(())
}

/// Whether a body counts as absent.
pub(crate) fn is_empty(body: &[u8]) -> bool {
    body.trim_ascii().is_empty()
}

/// `Char` of XML 1.0 §2.2.
pub(crate) fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
#[expect(clippy::format_collect, reason = "a test may allocate")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(body: &[u8]) -> Result<(), XmlError> {
        super::check(body, Limits::REQUEST)
    }

    fn wrap(inner: &str) -> String {
        format!("<a>{inner}</a>")
    }

    #[test]
    fn bombs_are_refused_at_the_limit() {
        let nested = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
        assert_eq!(check(nested(32).as_bytes()), Ok(()));
        assert_eq!(
            check(nested(33).as_bytes()),
            Err(XmlError::TooMany("nested elements"))
        );
        assert_eq!(
            check(nested(9_000).as_bytes()),
            Err(XmlError::TooMany("nested elements"))
        );

        assert_eq!(check(wrap(&"<b/>".repeat(255)).as_bytes()), Ok(()));
        assert_eq!(
            check(wrap(&"<b/>".repeat(256)).as_bytes()),
            Err(XmlError::TooMany("elements"))
        );

        let text = |n: usize| wrap(&"x".repeat(n - 7));
        assert_eq!(check(text(65_536).as_bytes()), Ok(()));
        assert_eq!(check(text(65_537).as_bytes()), Err(XmlError::TooLong));
        assert_eq!(check(" ".repeat(65_537).as_bytes()), Err(XmlError::TooLong));

        let attributes = |n: usize| {
            let list: String = (0..n).map(|i| format!(" a{i}=''")).collect();
            format!("<a{list}/>")
        };
        assert_eq!(check(attributes(32).as_bytes()), Ok(()));
        assert_eq!(
            check(attributes(33).as_bytes()),
            Err(XmlError::TooMany("attributes"))
        );
        assert_eq!(
            check(attributes(5_000).as_bytes()),
            Err(XmlError::TooMany("attributes"))
        );

        let name = |n: usize| format!("<{}/>", "a".repeat(n));
        assert_eq!(check(name(255).as_bytes()), Ok(()));
        let too_long = Err(XmlError::TooMany("bytes in a name"));
        assert_eq!(check(name(256).as_bytes()), too_long);
        let attribute = |n: usize| format!("<a {}=''/>", "b".repeat(n));
        assert_eq!(check(attribute(255).as_bytes()), Ok(()));
        assert_eq!(check(attribute(256).as_bytes()), too_long);
        let prefix = |n: usize| format!("<a xmlns:{}='u'/>", "p".repeat(n));
        assert_eq!(check(prefix(249).as_bytes()), Ok(()));
        assert_eq!(check(prefix(250).as_bytes()), too_long);
        let namespace = |n: usize| format!("<a xmlns='{}'/>", "u".repeat(n));
        assert_eq!(check(namespace(1024).as_bytes()), Ok(()));
        assert_eq!(
            check(namespace(1025).as_bytes()),
            Err(XmlError::TooMany("bytes in a namespace"))
        );

        let declarations = |n: usize| {
            let list: String = (0..n).map(|i| format!("<a xmlns:p{i}='u'>")).collect();
            list + &"</a>".repeat(n)
        };
        assert_eq!(check(declarations(32).as_bytes()), Ok(()));
        let wide: String = (0..22).map(|i| format!(" xmlns:p{i}='u'")).collect();
        let scope = |n: usize| format!("{}{}", format!("<a{wide}>").repeat(n), "</a>".repeat(n));
        assert_eq!(check(scope(2).as_bytes()), Ok(()));
        assert_eq!(
            check(scope(3).as_bytes()),
            Err(XmlError::TooMany("namespaces"))
        );
    }

    #[test]
    fn a_document_type_is_refused_whatever_it_holds() {
        for body in [
            "<!DOCTYPE a><a/>",
            "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
            "<?xml version='1.0'?><!DOCTYPE a SYSTEM 'http://evil/x.dtd'><a/>",
            "<!doctype a [<!ENTITY % p 'x'>%p;]><a/>",
        ] {
            assert_eq!(check(body.as_bytes()), Err(XmlError::Doctype), "{body}");
        }
        assert_eq!(check(b"<a>&x;</a>"), Err(XmlError::UnknownEntity));
        assert_eq!(check(b"<a b='&x;'/>"), Err(XmlError::UnknownEntity));
    }

    #[test]
    fn only_utf_8_is_read() {
        assert_eq!(check("\u{feff}<a>ü</a>".as_bytes()), Ok(()));
        assert_eq!(
            check("<?xml version='1.0' encoding='UTF-8'?><a/>".as_bytes()),
            Ok(())
        );
        assert_eq!(
            check(b"<?xml version='1.0' encoding='us-ascii'?><a/>"),
            Ok(())
        );
        assert_eq!(check(b"\xff\xfe<\0a\0/\0>\0"), Err(XmlError::Encoding));
        assert_eq!(check(b"\xfe\xff\0<\0a\0/\0>"), Err(XmlError::Encoding));
        assert_eq!(check(b"<a>\xe4</a>"), Err(XmlError::Encoding));
        assert_eq!(
            check(b"<?xml version='1.0' encoding='ISO-8859-1'?><a/>"),
            Err(XmlError::Encoding)
        );
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for body in [
            "<a>",
            "<a></b>",
            "</a>",
            "text",
            "<a/>text",
            "<a/><b/>",
            "<a b=c/>",
            "<a b='1' b='2'/>",
            "<a xmlns:p='u' xmlns:q='u' p:b='' q:b=''/>",
            "<p:a/>",
            "<a p:b=''/>",
            "<a xmlns:p=''/>",
            "<a xmlns:xml='u'/>",
            "<a xmlns:xmlns='u'/>",
            "<a:b:c xmlns:a='u'/>",
            "<:a/>",
            "<1a/>",
            "<a/b>",
            "<a><!-- </a>",
            "<a>&#0;</a>",
            "<a>&#x1;</a>",
            "<a>&#xffff;</a>",
            "<a b='&#2;'/>",
            "<a b='<'/>",
            "<a>& </a>",
            "<a>\u{1}</a>",
            "<a>\u{ffff}</a>",
            " <?xml version='1.0'?><a/>",
            "<!-- only -->",
        ] {
            assert!(
                matches!(check(body.as_bytes()), Err(XmlError::Malformed(_))),
                "{body}: {:?}",
                check(body.as_bytes())
            );
        }
    }

    #[test]
    fn an_absent_body_passes() {
        assert_eq!(check(b""), Ok(()));
        assert_eq!(check(b" \r\n"), Ok(()));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(&body);
        }

        #[test]
        fn near_misses_never_panic(
            body in "(<|>|/|a|b:|=|'|\"|&|;|#x|1|!|--|\\[|CDATA\\[|\\]|\\?|xml| |xmlns|:|ü){0,40}"
        ) {
            let _ = check(body.as_bytes());
            let _ = Element::parse(format!("<a>{body}</a>").as_bytes(), Limits::REQUEST);
        }
    }
}
