//! The body of LOCK, and `DAV:activelock` (RFC 4918 §9.10, §14).

use std::io::Write as _;

use super::{
    depth::Depth,
    xml::{self, Element, Limits, XmlError},
};

/// Whether others may hold a lock too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// No one.
    Exclusive,
    /// Those who also hold a shared lock.
    Shared,
}

impl Scope {
    /// The element's local name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
        }
    }
}

/// A wish for a new lock. All our locks are write locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockInfo {
    /// Exclusive or shared.
    pub scope: Scope,
    /// `DAV:owner` as the client wrote it: a note to other people, without meaning to us.
    pub owner: Option<Element>,
}

/// Reads the body; an empty one (none) refreshes a lock.
///
/// # Errors
/// [`XmlError`]; [`XmlError::Unexpected`] for another root, a scope we do not know or none, or a
/// type other than write. Unknown elements are skipped.
pub fn parse(body: &[u8], limits: Limits) -> Result<Option<LockInfo>, XmlError> {
    if xml::is_empty(body) {
        return xml::check(body, limits).map(|()| None);
    }
    let root = Element::parse(body, limits)?;
    if !root.name.is_dav("lockinfo") {
        return Err(XmlError::Unexpected("the root is not DAV:lockinfo"));
    }
    let holds = |parent: &str, child: &str| {
        root.dav_child(parent)
            .is_some_and(|element| element.dav_child(child).is_some())
    };
    let scope = match (
        holds("lockscope", "exclusive"),
        holds("lockscope", "shared"),
    ) {
        (true, false) => Scope::Exclusive,
        (false, true) => Scope::Shared,
        _ => {
            return Err(XmlError::Unexpected(
                "the lock is neither exclusive nor shared",
            ));
        }
    };
    if !holds("locktype", "write") {
        return Err(XmlError::Unexpected("the lock is not a write lock"));
    }
    let owner = root.dav_child("owner").cloned().map(|mut owner| {
        owner.inherit_lang(root.lang());
        owner
    });
    Ok(Some(LockInfo { scope, owner }))
}

/// Content of `DAV:supportedlock`; the prefix `D` must be bound.
pub const SUPPORTED_LOCK: &str = "<D:lockentry><D:lockscope><D:exclusive/></D:lockscope>\
    <D:locktype><D:write/></D:locktype></D:lockentry><D:lockentry><D:lockscope><D:shared/>\
    </D:lockscope><D:locktype><D:write/></D:locktype></D:lockentry>";

/// A lock as `DAV:lockdiscovery` shows it.
#[derive(Debug, Clone, Copy)]
pub struct ActiveLock<'a> {
    /// Exclusive or shared.
    pub scope: Scope,
    /// [`Depth::Zero`] or [`Depth::Infinity`].
    pub depth: Depth,
    /// `DAV:owner` as [`Element::to_xml`] wrote it.
    pub owner_xml: Option<&'a str>,
    /// Seconds left.
    pub timeout_s: u32,
    /// The token; none for those who do not hold the lock.
    pub token: Option<&'a str>,
    /// Escaped path of the locked resource.
    pub root_href: &'a str,
}

impl ActiveLock<'_> {
    /// Appends the element; the prefix `D` must be bound.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<D:activelock><D:locktype><D:write/></D:locktype><D:lockscope><D:");
        out.extend_from_slice(self.scope.as_str().as_bytes());
        out.extend_from_slice(b"/></D:lockscope><D:depth>");
        out.extend_from_slice(self.depth.as_str().as_bytes());
        out.extend_from_slice(b"</D:depth>");
        out.extend_from_slice(self.owner_xml.unwrap_or_default().as_bytes());
        write!(out, "<D:timeout>Second-{}</D:timeout>", self.timeout_s)
            .expect("a vector takes any bytes");
        if let Some(token) = self.token {
            out.extend_from_slice(b"<D:locktoken><D:href>");
            xml::escape_text(out, token);
            out.extend_from_slice(b"</D:href></D:locktoken>");
        }
        out.extend_from_slice(b"<D:lockroot><D:href>");
        xml::escape_text(out, self.root_href);
        out.extend_from_slice(b"</D:href></D:lockroot></D:activelock>");
    }
}

/// The whole answer to LOCK: `DAV:prop` with `DAV:lockdiscovery` (RFC 4918 §9.10.1).
pub fn write_lock_answer(locks: &[ActiveLock<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 * locks.len() + 128);
    out.extend_from_slice(
        b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:prop xmlns:D=\"DAV:\"><D:lockdiscovery>",
    );
    for lock in locks {
        lock.write(&mut out);
    }
    out.extend_from_slice(b"</D:lockdiscovery></D:prop>");
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(body: &[u8]) -> Result<Option<LockInfo>, XmlError> {
        super::parse(body, Limits::REQUEST)
    }

    #[test]
    fn the_example_of_rfc_4918() {
        let body = br#"<?xml version="1.0" encoding="utf-8" ?>
            <D:lockinfo xmlns:D='DAV:'>
              <D:lockscope><D:exclusive/></D:lockscope>
              <D:locktype><D:write/></D:locktype>
              <D:owner><D:href>http://example.org/~ejw/contact.html</D:href></D:owner>
            </D:lockinfo>"#;
        let info = parse(body).unwrap().unwrap();
        assert_eq!(info.scope, Scope::Exclusive);
        assert_eq!(
            info.owner.unwrap().to_xml(),
            "<D:owner xmlns:D=\"DAV:\"><D:href>http://example.org/~ejw/contact.html</D:href></D:owner>"
        );
    }

    #[test]
    fn default_namespaces_text_owners_and_strangers_pass() {
        let body = b"<lockinfo xmlns='DAV:'><x xmlns='u'/><locktype><write/></locktype>\
            <lockscope><shared/></lockscope><owner>LibreOffice</owner><depth/></lockinfo>";
        let info = parse(body).unwrap().unwrap();
        assert_eq!(info.scope, Scope::Shared);
        assert_eq!(info.owner.unwrap().text(), "LibreOffice");
        assert_eq!(parse(b""), Ok(None));
    }

    #[test]
    fn what_is_no_write_lock_is_refused() {
        for body in [
            "<lockinfo xmlns='DAV:'/>",
            "<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope></lockinfo>",
            "<lockinfo xmlns='DAV:'><lockscope><exclusive/><shared/></lockscope>\
             <locktype><write/></locktype></lockinfo>",
            "<lockinfo xmlns='DAV:'><lockscope><shared/></lockscope>\
             <locktype><read/></locktype></lockinfo>",
            "<lockinfo><lockscope><shared/></lockscope><locktype><write/></locktype></lockinfo>",
        ] {
            assert!(
                matches!(parse(body.as_bytes()), Err(XmlError::Unexpected(_))),
                "{body}"
            );
        }
    }

    #[test]
    fn the_answer_reads_back() {
        let lock = ActiveLock {
            scope: Scope::Exclusive,
            depth: Depth::Infinity,
            owner_xml: Some("<D:owner xmlns:D=\"DAV:\">me &amp; you</D:owner>"),
            timeout_s: 600,
            token: Some("urn:uuid:1"),
            root_href: "/dav/a%20b/",
        };
        let answer = Element::parse(&write_lock_answer(&[lock]), Limits::REQUEST).unwrap();
        let active = answer
            .dav_child("lockdiscovery")
            .unwrap()
            .dav_child("activelock")
            .unwrap();
        let text = |name: &str| active.dav_child(name).unwrap().text().into_owned();
        assert_eq!(text("depth"), "infinity");
        assert_eq!(text("timeout"), "Second-600");
        assert_eq!(text("owner"), "me & you");
        let href = |name: &str| {
            active
                .dav_child(name)
                .unwrap()
                .dav_child("href")
                .unwrap()
                .text()
        };
        assert_eq!(href("locktoken"), "urn:uuid:1");
        assert_eq!(href("lockroot"), "/dav/a%20b/");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&body);
        }
    }
}
