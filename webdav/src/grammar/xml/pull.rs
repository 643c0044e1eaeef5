//! Pulling events out of a document, within limits.

use std::borrow::Cow;

use quick_xml::{
    Error, Reader, XmlVersion,
    escape::{EscapeError, resolve_predefined_entity},
    events::{self, BytesDecl, BytesStart, attributes::AttrError},
};

use super::{
    Attribute, Element, Limits, MOST_NAME_BYTES, MOST_NAMESPACE_BYTES, Name, XmlError, is_char,
};
use crate::grammar::namespace;

/// What a document is made of; comments and processing instructions are skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'x> {
    /// An element begins. Its children are not filled in: they follow as events.
    Start(Element),
    /// Character data, in as many pieces as the writer made.
    Text(Cow<'x, str>),
    /// The innermost open element ends.
    End,
}

/// An iterative reader of one document.
pub struct Puller<'x> {
    reader: Reader<&'x [u8]>,
    limits: Limits,
    elements: usize,
    /// For each open element, how many declarations it made.
    open: Vec<usize>,
    declarations: Vec<Declaration>,
    started: bool,
    seen_root: bool,
}

struct Declaration {
    prefix: String,
    namespace: Cow<'static, str>,
}

impl<'x> Puller<'x> {
    /// Begins to read a document.
    ///
    /// # Errors
    /// [`XmlError::TooLong`], [`XmlError::Encoding`], or [`XmlError::Malformed`] for a character
    /// that XML does not have.
    pub fn new(body: &'x [u8], limits: Limits) -> Result<Self, XmlError> {
        if body.len() > limits.bytes {
            return Err(XmlError::TooLong);
        }
        let text = str::from_utf8(body).map_err(|_| XmlError::Encoding)?;
        // Long listings are nearly all of these.
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
        if !body.iter().all(is_plain) && !text.chars().all(is_char) {
            return Err(XmlError::Malformed("illegal character"));
        }
        let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
        reader.config_mut().expand_empty_elements = true;
        Ok(Self {
            reader,
            limits,
            elements: 0,
            open: Vec::new(),
            declarations: Vec::new(),
            started: false,
            seen_root: false,
        })
    }

    /// The next event; none at the end of a whole document.
    ///
    /// # Errors
    /// [`XmlError`], see there. After an error the document is not worth asking again.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would hide the error's finality"
    )]
    pub fn next(&mut self) -> Result<Option<Event<'x>>, XmlError> {
        loop {
            let event = self.reader.read_event().map_err(|error| error_of(&error))?;
            let first = !std::mem::replace(&mut self.started, true);
            match event {
                events::Event::Start(tag) | events::Event::Empty(tag) => {
                    return self.start(&tag).map(|element| Some(Event::Start(element)));
                }
                events::Event::End(_) => {
                    let made = self
                        .open
                        .pop()
                        .ok_or(XmlError::Malformed("unmatched end tag"))?;
                    self.declarations.truncate(self.declarations.len() - made);
                    return Ok(Some(Event::End));
                }
                events::Event::Text(text) => {
                    let text = normalise_lines(text.into_inner());
                    if self.inside(&text)? {
                        return Ok(Some(Event::Text(text)));
                    }
                }
                events::Event::CData(text) => {
                    if self.open.is_empty() {
                        return Err(XmlError::Malformed("text outside the root element"));
                    }
                    return Ok(Some(Event::Text(normalise_lines(text.into_inner()))));
                }
                events::Event::GeneralRef(reference) => {
                    if self.open.is_empty() {
                        return Err(XmlError::Malformed("text outside the root element"));
                    }
                    let text = match reference.resolve_char_ref().map_err(|e| error_of(&e))? {
                        Some(c) if is_char(c) => Cow::Owned(c.to_string()),
                        Some(_) => return Err(XmlError::Malformed("illegal character")),
                        None => resolve_predefined_entity(&reference)
                            .map(Cow::Borrowed)
                            .ok_or(XmlError::UnknownEntity)?,
                    };
                    return Ok(Some(Event::Text(text)));
                }
                events::Event::Decl(declaration) if first => check_declaration(&declaration)?,
                events::Event::Decl(_) => {
                    return Err(XmlError::Malformed("misplaced XML declaration"));
                }
                events::Event::DocType(_) => return Err(XmlError::Doctype),
                events::Event::Comment(_) | events::Event::PI(_) => {}
                events::Event::Eof if self.open.is_empty() && self.seen_root => return Ok(None),
                events::Event::Eof => return Err(XmlError::Malformed("it ends too early")),
            }
        }
    }

    /// Reads the children of `start`, whose start tag was the last event, up to its end tag.
    ///
    /// # Errors
    /// [`XmlError`], see there.
    pub fn subtree(&mut self, start: Element) -> Result<Element, XmlError> {
        let mut parents = Vec::new();
        let mut current = start;
        loop {
            match self
                .next()?
                .ok_or(XmlError::Malformed("it ends too early"))?
            {
                Event::Start(child) => parents.push(std::mem::replace(&mut current, child)),
                Event::Text(text) => current.push_text(&text),
                Event::End => match parents.pop() {
                    Some(parent) => {
                        let child = std::mem::replace(&mut current, parent);
                        current.push(child);
                    }
                    None => return Ok(current),
                },
            }
        }
    }

    /// Whether text stands inside the root; outside only white space may.
    fn inside(&self, text: &str) -> Result<bool, XmlError> {
        if !self.open.is_empty() {
            return Ok(!text.is_empty());
        }
        if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() {
            return Ok(false);
        }
        Err(XmlError::Malformed("text outside the root element"))
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Result<Element, XmlError> {
        if self.open.is_empty() && std::mem::replace(&mut self.seen_root, true) {
            return Err(XmlError::Malformed("more than one root element"));
        }
        if self.open.len() >= self.limits.depth {
            return Err(XmlError::TooMany("nested elements"));
        }
        self.elements += 1;
        if self.elements > self.limits.elements {
            return Err(XmlError::TooMany("elements"));
        }
        let before = self.declarations.len();
        let attributes = self.read_attributes(tag)?;
        self.open.push(self.declarations.len() - before);

        check_length(tag.name().0)?;
        let (prefix, local) = split(tag.name().0)?;
        let namespace = self.resolve(prefix)?;
        let mut element = Element {
            name: Name {
                namespace,
                local: Cow::Owned(local.to_owned()),
            },
            prefix: prefix.to_owned(),
            attributes: Vec::with_capacity(attributes.len()),
            children: Vec::new(),
        };
        for (key, value) in attributes {
            let attribute = self.attribute(&key, value)?;
            if element
                .attributes
                .iter()
                .any(|other| other.name == attribute.name)
            {
                return Err(XmlError::Malformed("repeated attribute"));
            }
            element.attributes.push(attribute);
        }
        Ok(element)
    }

    /// Takes in the declarations of a tag and returns its other attributes.
    fn read_attributes(&mut self, tag: &BytesStart<'_>) -> Result<Vec<(String, String)>, XmlError> {
        let mut plain = Vec::new();
        let outer = self.declarations.len();
        for (index, attribute) in tag.attributes().with_checks(false).enumerate() {
            if index >= self.limits.attributes {
                return Err(XmlError::TooMany("attributes"));
            }
            let attribute = attribute.map_err(|error| error_of(&Error::InvalidAttr(error)))?;
            check_length(attribute.key.0)?;
            if attribute.value.contains('<') {
                return Err(XmlError::Malformed("'<' in an attribute"));
            }
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| error_of(&error))?
                .into_owned();
            if !value.chars().all(is_char) {
                return Err(XmlError::Malformed("illegal character"));
            }
            match attribute.key.0.strip_prefix("xmlns") {
                Some("") => self.declare("", value, outer)?,
                Some(rest) if rest.starts_with(':') => self.declare(&rest[1..], value, outer)?,
                _ => plain.push((attribute.key.0.to_owned(), value)),
            }
        }
        Ok(plain)
    }

    /// Declares a prefix; those from `outer` on are of the same tag, which cannot say a thing twice.
    fn declare(&mut self, prefix: &str, namespace: String, outer: usize) -> Result<(), XmlError> {
        let reserved = namespace == namespace::XML || namespace == "http://www.w3.org/2000/xmlns/";
        if prefix == "xml" && namespace == namespace::XML {
            return Ok(());
        }
        if reserved || prefix == "xml" || prefix == "xmlns" {
            return Err(XmlError::Malformed("reserved namespace"));
        }
        if !prefix.is_empty() && (namespace.is_empty() || !is_ncname(prefix)) {
            return Err(XmlError::Malformed("bad namespace declaration"));
        }
        if self.declarations[outer..]
            .iter()
            .any(|other| other.prefix == prefix)
        {
            return Err(XmlError::Malformed("an attribute twice"));
        }
        if namespace.len() > MOST_NAMESPACE_BYTES {
            return Err(XmlError::TooMany("bytes in a namespace"));
        }
        if self.declarations.len() >= self.limits.declarations {
            return Err(XmlError::TooMany("namespaces"));
        }
        let namespace = if namespace == namespace::DAV {
            Cow::Borrowed(namespace::DAV)
        } else {
            Cow::Owned(namespace)
        };
        self.declarations.push(Declaration {
            prefix: prefix.to_owned(),
            namespace,
        });
        Ok(())
    }

    fn attribute(&self, key: &str, value: String) -> Result<Attribute, XmlError> {
        let (prefix, local) = split(key)?;
        let namespace = if prefix.is_empty() {
            Cow::Borrowed("")
        } else {
            self.resolve(prefix)?
        };
        Ok(Attribute {
            name: Name {
                namespace,
                local: Cow::Owned(local.to_owned()),
            },
            prefix: prefix.to_owned(),
            value,
        })
    }

    fn resolve(&self, prefix: &str) -> Result<Cow<'static, str>, XmlError> {
        if prefix == "xml" {
            return Ok(Cow::Borrowed(namespace::XML));
        }
        match self
            .declarations
            .iter()
            .rev()
            .find(|declaration| declaration.prefix == prefix)
        {
            Some(declaration) => Ok(declaration.namespace.clone()),
            None if prefix.is_empty() => Ok(Cow::Borrowed("")),
            None => Err(XmlError::Malformed("unknown namespace prefix")),
        }
    }
}

/// Line ends as XML 1.0 §2.11 wants them, still borrowed where nothing changed.
fn normalise_lines(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        text
    }
}

fn check_declaration(declaration: &BytesDecl<'_>) -> Result<(), XmlError> {
    match declaration.version() {
        Ok(version) if version.starts_with("1.") => {}
        _ => return Err(XmlError::Malformed("unknown XML version")),
    }
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(name))
            if name.eq_ignore_ascii_case("utf-8")
                || name.eq_ignore_ascii_case("utf8")
                || name.eq_ignore_ascii_case("us-ascii") =>
        {
            Ok(())
        }
        Some(_) => Err(XmlError::Encoding),
    }
}

fn check_length(name: &str) -> Result<(), XmlError> {
    if name.len() > MOST_NAME_BYTES {
        return Err(XmlError::TooMany("bytes in a name"));
    }
    Ok(())
}

/// Splits a qualified name into prefix and local part.
fn split(name: &str) -> Result<(&str, &str), XmlError> {
    let (prefix, local) = match name.split_once(':') {
        Some((prefix, local)) if is_ncname(prefix) => (prefix, local),
        Some(_) => return Err(XmlError::Malformed("bad name")),
        None => ("", name),
    };
    if is_ncname(local) && prefix != "xmlns" {
        Ok((prefix, local))
    } else {
        Err(XmlError::Malformed("bad name"))
    }
}

/// `NCName`: `Name` of XML 1.0 §2.3 without a colon.
fn is_ncname(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(is_name_start) && chars.all(is_name_char)
}

fn is_name_start(c: char) -> bool {
    matches!(c,
        'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}'
        | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}'
        | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
        | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

fn is_name_char(c: char) -> bool {
    is_name_start(c)
        || matches!(c,
            '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

fn error_of(error: &Error) -> XmlError {
    match error {
        Error::Escape(EscapeError::UnrecognizedEntity(..)) => XmlError::UnknownEntity,
        Error::Escape(EscapeError::TooManyNestedEntities) => XmlError::TooMany("entities"),
        Error::Escape(_) => XmlError::Malformed("bad reference"),
        Error::InvalidAttr(AttrError::Duplicated(..)) => XmlError::Malformed("repeated attribute"),
        Error::InvalidAttr(_) => XmlError::Malformed("bad attribute"),
        Error::Encoding(_) => XmlError::Encoding,
        Error::Io(_) | Error::Syntax(_) | Error::IllFormed(_) | Error::Namespace(_) => {
            XmlError::Malformed("bad markup")
        }
    }
}
