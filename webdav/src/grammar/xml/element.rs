//! A small owned tree: what a client put into a property or into the owner of a lock.

use std::borrow::Cow;

use super::{Event, Limits, Name, Puller, XmlError, write};
use crate::grammar::namespace;

/// An element and all below it.
///
/// A tree that was read is no deeper than [`Limits::depth`], so dropping, cloning and comparing it
/// cannot exhaust the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Expanded name.
    pub name: Name,
    /// The prefix it was written with, kept because some vocabularies use prefixes in values
    /// (RFC 4918 §4.3); empty for the default namespace.
    pub prefix: String,
    /// Attributes in the order given, namespace declarations left out.
    pub attributes: Vec<Attribute>,
    /// Content in order.
    pub children: Vec<Node>,
}

/// An attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Expanded name.
    pub name: Name,
    /// The prefix it was written with.
    pub prefix: String,
    /// Normalised value.
    pub value: String,
}

/// A piece of content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A child.
    Element(Element),
    /// Character data; two never follow each other.
    Text(String),
}

impl Element {
    /// An element without content.
    pub fn new(name: Name) -> Self {
        Self {
            name,
            prefix: String::new(),
            attributes: Vec::new(),
            children: Vec::new(),
        }
    }

    /// Reads a whole document.
    ///
    /// # Errors
    /// [`XmlError`], see there.
    pub fn parse(body: &[u8], limits: Limits) -> Result<Self, XmlError> {
        let mut puller = Puller::new(body, limits)?;
        let Some(Event::Start(root)) = puller.next()? else {
            return Err(XmlError::Malformed("no root element"));
        };
        let root = puller.subtree(root)?;
        match puller.next()? {
            None => Ok(root),
            Some(_) => Err(XmlError::Malformed("more than one root element")),
        }
    }

    /// The document as text, without an XML declaration: declares every namespace it uses and so
    /// can stand anywhere in another one.
    pub fn to_xml(&self) -> String {
        let mut out = Vec::with_capacity(128);
        self.write(&mut out);
        String::from_utf8(out).expect("strings were written")
    }

    /// Appends what [`Self::to_xml`] returns.
    pub fn write(&self, out: &mut Vec<u8>) {
        write::element(out, self);
    }

    /// The child elements.
    pub fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The child elements, by value.
    pub fn into_elements(self) -> impl Iterator<Item = Self> {
        self.children.into_iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The first child of that name in `DAV:`.
    pub fn dav_child(&self, local: &str) -> Option<&Self> {
        self.elements().find(|element| element.name.is_dav(local))
    }

    /// The character data directly inside.
    pub fn text(&self) -> Cow<'_, str> {
        let mut pieces = self.children.iter().filter_map(|node| match node {
            Node::Text(text) => Some(text.as_str()),
            Node::Element(_) => None,
        });
        match (pieces.next(), pieces.next()) {
            (first, None) => Cow::Borrowed(first.unwrap_or_default()),
            (first, Some(second)) => {
                let head = first.into_iter().chain([second]);
                Cow::Owned(head.chain(pieces).collect())
            }
        }
    }

    /// `xml:lang` of this element.
    pub fn lang(&self) -> Option<&str> {
        let is_lang = |a: &&Attribute| a.name.local == "lang" && a.name.namespace == namespace::XML;
        self.attributes
            .iter()
            .find(is_lang)
            .map(|attribute| attribute.value.as_str())
    }

    /// Gives the element an `xml:lang` unless it has one.
    pub(crate) fn inherit_lang(&mut self, lang: Option<&str>) {
        if let (None, Some(lang)) = (self.lang(), lang) {
            self.attributes.push(Attribute {
                name: Name::constant(namespace::XML, "lang"),
                prefix: "xml".to_owned(),
                value: lang.to_owned(),
            });
        }
    }

    pub(super) fn push(&mut self, child: Self) {
        self.children.push(Node::Element(child));
    }

    pub(super) fn push_text(&mut self, text: &str) {
        match self.children.last_mut() {
            Some(Node::Text(last)) => last.push_str(text),
            last => {
                if last.is_none() {
                    // Most elements with text have nothing else in them.
                    self.children.reserve_exact(1);
                }
                self.children.push(Node::Text(text.to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(xml: &str) -> Element {
        Element::parse(xml.as_bytes(), Limits::REQUEST).unwrap()
    }

    #[test]
    fn namespaces_resolve_whatever_the_prefix() {
        for xml in [
            "<D:a xmlns:D='DAV:'><D:b/></D:a>",
            "<a xmlns='DAV:'><b></b></a>",
            "<x:a xmlns:x='DAV:'><b xmlns='DAV:'/></x:a>",
            "<a xmlns='u' xmlns:y='DAV:' xmlns:a='v'><y:b/></a>",
        ] {
            assert!(parse(xml).dav_child("b").is_some(), "{xml}");
        }
        let root = parse("<D:a xmlns:D='DAV:'><b xmlns='u'><c xmlns=''/></b></D:a>");
        let b = root.elements().next().unwrap();
        assert_eq!(b.name, Name::new("u", "b"));
        assert_eq!(b.elements().next().unwrap().name, Name::new("", "c"));
    }

    #[test]
    fn text_cdata_and_references_run_together() {
        let root = parse("<a>x &lt;<![CDATA[<&]]>&#65;&#x1F600;\r\n<!-- no --><?no pi?>y<b/>z</a>");
        assert_eq!(root.text(), "x <<&A😀\nyz");
        assert_eq!(root.children.len(), 3);
    }

    #[test]
    fn a_subtree_is_written_so_that_it_can_stand_alone() {
        let root = parse(
            "<D:prop xmlns:D='DAV:' xmlns:z='urn:z' xmlns='urn:d'>\
             <z:author xml:lang='en'>\
             <name z:role='a&amp;&quot;&lt;b'>J &amp; <![CDATA[<K>]]></name><D:x/><y xmlns=''/>\
             </z:author></D:prop>",
        );
        let author = root.elements().next().unwrap();
        let xml = author.to_xml();
        assert_eq!(
            xml,
            "<z:author xmlns:z=\"urn:z\" xml:lang=\"en\"><name xmlns=\"urn:d\" \
             z:role=\"a&amp;&quot;&lt;b\">J &amp; &lt;K&gt;</name><D:x xmlns:D=\"DAV:\"/><y/>\
             </z:author>"
        );
        assert_eq!(&parse(&xml), author);
        let embedded = parse(&format!("<D:p xmlns:D='DAV:' xmlns:z='other'>{xml}</D:p>"));
        assert_eq!(embedded.elements().next().unwrap(), author);
    }

    #[test]
    fn a_tree_made_by_hand_gets_the_prefixes_it_needs() {
        let mut root = Element::new(Name::new("urn:a", "r"));
        for namespace in ["urn:a", "urn:b", ""] {
            root.attributes.push(Attribute {
                name: Name::new(namespace, "k"),
                prefix: String::new(),
                value: namespace.to_owned(),
            });
        }
        let read = parse(&root.to_xml());
        let pairs = |e: &Element| -> Vec<(Name, String)> {
            e.attributes
                .iter()
                .map(|a| (a.name.clone(), a.value.clone()))
                .collect()
        };
        assert_eq!(pairs(&read), pairs(&root));
        assert_eq!(read.name, root.name);
    }

    fn tree() -> impl Strategy<Value = Element> {
        let name = || ("(DAV:|urn:[ab]|)", "[a-zé][a-z0-9.-]{0,3}");
        let prefix = "(p|q|D|)";
        let leaf = (
            name(),
            prefix,
            prop::collection::vec((name(), prefix, "\\PC{0,6}"), 0..3),
        )
            .prop_map(|((ns, local), prefix, attributes)| {
                let mut element = Element::new(Name::new(&ns, &local));
                element.prefix = prefix;
                for ((ns, local), prefix, value) in attributes {
                    let name = Name::new(&ns, &local);
                    if element.attributes.iter().all(|a| a.name != name) {
                        element.attributes.push(Attribute {
                            name,
                            prefix,
                            value,
                        });
                    }
                }
                element
            });
        leaf.prop_recursive(5, 24, 4, |inner| {
            (
                inner.clone(),
                prop::collection::vec(inner, 0..4),
                "[\\PC\r\n\t]{0,8}",
            )
                .prop_map(|(mut parent, children, text)| {
                    for child in children {
                        if !text.is_empty() {
                            parent.push_text(&text);
                        }
                        parent.push(child);
                    }
                    parent
                })
        })
    }

    /// Without prefixes, which a tree made at random may have to change.
    fn bare(element: &Element) -> Element {
        let mut copy = element.clone();
        copy.prefix.clear();
        for attribute in &mut copy.attributes {
            attribute.prefix.clear();
        }
        for child in &mut copy.children {
            if let Node::Element(child) = child {
                *child = bare(child);
            }
        }
        copy
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(tree in tree()) {
            let limits = Limits { declarations: 1000, ..Limits::REQUEST };
            let read = Element::parse(tree.to_xml().as_bytes(), limits).unwrap();
            prop_assert_eq!(bare(&read), bare(&tree));
            prop_assert_eq!(Element::parse(read.to_xml().as_bytes(), limits).unwrap(), read);
        }
    }
}
