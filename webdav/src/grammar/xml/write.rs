//! Writing XML: escapes, and trees with the namespaces they need.

use std::borrow::Cow;

use super::{Element, Node, is_char};
use crate::grammar::namespace;

/// Appends character data. What XML cannot carry becomes U+FFFD.
pub fn escape_text(out: &mut Vec<u8>, text: &str) {
    escape(out, text, |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        // A bare one would be read back as a line feed.
        b'\r' => Some("&#13;"),
        _ => None,
    });
}

/// Appends an attribute value, for double quotes. What XML cannot carry becomes U+FFFD.
pub fn escape_attribute(out: &mut Vec<u8>, value: &str) {
    escape(out, value, |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'"' => Some("&quot;"),
        b'\r' => Some("&#13;"),
        b'\n' => Some("&#10;"),
        b'\t' => Some("&#9;"),
        _ => None,
    });
}

fn escape(out: &mut Vec<u8>, text: &str, replacement: impl Fn(u8) -> Option<&'static str>) {
    // 0xEF leads U+FFFE and U+FFFF; everything else illegal is a control character.
    let special = |byte: u8| byte < b' ' || byte == 0xEF || replacement(byte).is_some();
    let mut rest = text;
    while let Some(at) = rest.bytes().position(special) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let c = rest[at..].chars().next().expect("a byte was found there");
        if let Some(escaped) = u8::try_from(c).ok().and_then(&replacement) {
            out.extend_from_slice(escaped.as_bytes());
        } else {
            let c = if is_char(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            };
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        rest = &rest[at + c.len_utf8()..];
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Appends a tree that declares all it uses.
pub(super) fn element(out: &mut Vec<u8>, root: &Element) {
    enum Step<'a> {
        Open(&'a Element),
        Text(&'a str),
        Close { tag: (usize, usize), scope: usize },
    }
    let mut scope = Scope {
        bindings: Vec::new(),
    };
    let mut steps = vec![Step::Open(root)];
    while let Some(step) = steps.pop() {
        match step {
            Step::Text(text) => escape_text(out, text),
            Step::Open(element) => {
                let outer = scope.bindings.len();
                out.push(b'<');
                let tag = open(out, &mut scope, element);
                if element.children.is_empty() {
                    out.extend_from_slice(b"/>");
                    scope.bindings.truncate(outer);
                    continue;
                }
                out.push(b'>');
                steps.push(Step::Close { tag, scope: outer });
                steps.extend(element.children.iter().rev().map(|child| match child {
                    Node::Element(child) => Step::Open(child),
                    Node::Text(text) => Step::Text(text),
                }));
            }
            Step::Close {
                tag: (start, end),
                scope: outer,
            } => {
                out.extend_from_slice(b"</");
                out.extend_from_within(start..end);
                out.push(b'>');
                scope.bindings.truncate(outer);
            }
        }
    }
}

/// Writes name and attributes of a start tag; returns where the name stands.
fn open<'a>(out: &mut Vec<u8>, scope: &mut Scope<'a>, element: &'a Element) -> (usize, usize) {
    let outer = scope.bindings.len();
    let prefix = scope.for_element(&element.prefix, &element.name.namespace);
    let start = out.len();
    push_name(out, &prefix, &element.name.local);
    let end = out.len();

    // The element's own prefix first, then those of its attributes: what one of them relies on,
    // a declaration for the next must not shadow.
    let mut prefixes = vec![prefix];
    for attribute in &element.attributes {
        let namespace = &attribute.name.namespace;
        prefixes.push(scope.for_attribute(&attribute.prefix, namespace, &prefixes));
    }
    for (prefix, namespace) in &scope.bindings[outer..] {
        out.extend_from_slice(b" xmlns");
        if !prefix.is_empty() {
            out.push(b':');
            out.extend_from_slice(prefix.as_bytes());
        }
        push_value(out, namespace);
    }
    for (attribute, prefix) in element.attributes.iter().zip(&prefixes[1..]) {
        out.push(b' ');
        push_name(out, prefix, &attribute.name.local);
        push_value(out, &attribute.value);
    }
    (start, end)
}

fn push_name(out: &mut Vec<u8>, prefix: &str, local: &str) {
    if !prefix.is_empty() {
        out.extend_from_slice(prefix.as_bytes());
        out.push(b':');
    }
    out.extend_from_slice(local.as_bytes());
}

fn push_value(out: &mut Vec<u8>, value: &str) {
    out.extend_from_slice(b"=\"");
    escape_attribute(out, value);
    out.push(b'"');
}

/// Prefixes in scope, innermost last.
struct Scope<'a> {
    bindings: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Scope<'a> {
    fn lookup(&self, prefix: &str) -> Option<&'a str> {
        self.bindings
            .iter()
            .rev()
            .find(|(bound, _)| bound == prefix)
            .map(|(_, ns)| *ns)
    }

    fn for_element(&mut self, wish: &'a str, namespace: &'a str) -> Cow<'a, str> {
        if namespace == namespace::XML {
            return Cow::Borrowed("xml");
        }
        // Only the default namespace can be none.
        let wish = if namespace.is_empty() { "" } else { wish };
        if self.lookup(wish).unwrap_or_default() == namespace {
            return Cow::Borrowed(wish);
        }
        self.bind(wish, namespace, &[])
    }

    fn for_attribute(
        &mut self,
        wish: &'a str,
        namespace: &'a str,
        used: &[Cow<'a, str>],
    ) -> Cow<'a, str> {
        if namespace.is_empty() {
            return Cow::Borrowed("");
        }
        if namespace == namespace::XML {
            return Cow::Borrowed("xml");
        }
        if !wish.is_empty() && self.lookup(wish) == Some(namespace) {
            return Cow::Borrowed(wish);
        }
        self.bind(if wish.is_empty() { "n" } else { wish }, namespace, used)
    }

    /// Declares `wish`, or the next free name like it, on the element being written.
    fn bind(&mut self, wish: &'a str, namespace: &'a str, used: &[Cow<'a, str>]) -> Cow<'a, str> {
        let mut prefix = Cow::Borrowed(wish);
        let mut count = 0;
        while prefix == "xml" || prefix == "xmlns" || used.contains(&prefix) {
            count += 1;
            prefix = Cow::Owned(format!(
                "{}{count}",
                if wish.is_empty() { "n" } else { wish }
            ));
        }
        self.bindings.push((prefix.clone(), namespace));
        prefix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_complete() {
        let text = |s: &str| {
            let mut out = Vec::new();
            escape_text(&mut out, s);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text("a<b>&\"'\r\n\t"), "a&lt;b&gt;&amp;\"'&#13;\n\t");
        assert_eq!(text("]]>"), "]]&gt;");
        assert_eq!(
            text("\u{1}x\u{ffff}\u{fffd}\u{f900}"),
            "\u{fffd}x\u{fffd}\u{fffd}\u{f900}"
        );
    }
}
