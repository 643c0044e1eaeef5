//! The body of BIND (RFC 5842 §4).

use super::path::{PathError, ResourcePath};
use super::xml::{Element, Limits, XmlError};

/// What a client wants to have bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The name that the collection gets, decoded.
    pub segment: String,
    /// The URI of what it is to name, as it was written.
    pub href: String,
}

/// Why there is nothing to bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBind {
    /// The body is not one of BIND.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// The segment is not one name.
    #[error("the segment is not one escaped name")]
    Segment,
}

impl From<PathError> for BadBind {
    fn from(_: PathError) -> Self {
        Self::Segment
    }
}

/// Reads the body. White space around both texts is left out.
///
/// # Errors
/// [`BadBind`]. Unknown elements are skipped.
pub fn parse(body: &[u8], limits: Limits) -> Result<Bind, BadBind> {
    let root = Element::parse(body, limits)?;
    if !root.name.is_dav("bind") {
        return Err(XmlError::Unexpected("the root is not DAV:bind").into());
    }
    let text = |name: &str, missing: &'static str| {
        let child = root.dav_child(name).ok_or(XmlError::Unexpected(missing))?;
        Ok::<_, XmlError>(child.text().trim().to_owned())
    };
    let segment = text("segment", "there is no DAV:segment")?;
    let href = text("href", "there is no DAV:href")?;
    if segment.contains('/') {
        return Err(BadBind::Segment);
    }
    let path = ResourcePath::decode(&format!("/{segment}"))?;
    let name = path.segments().next().ok_or(BadBind::Segment)?;
    Ok(Bind {
        segment: name.to_owned(),
        href,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grammar::path::encode_into;
    use crate::grammar::xml::escape_text;

    fn read(inner: &str) -> Result<Bind, BadBind> {
        let body = format!("<D:bind xmlns:D='DAV:'>{inner}</D:bind>");
        parse(body.as_bytes(), Limits::REQUEST)
    }

    #[test]
    fn the_example_of_the_rfc_is_read() {
        let bind = read(
            "<D:segment>bar.html</D:segment>\n<D:href>http://www.example.com/CollX/foo.html</D:href>",
        );
        let bind = bind.unwrap();
        assert_eq!(bind.segment, "bar.html");
        assert_eq!(bind.href, "http://www.example.com/CollX/foo.html");
    }

    #[test]
    fn a_segment_is_one_name() {
        for bad in [
            "", "a/b", "a/", "/a", "..", ".", "a%2fb", "%", "%00", "a%ff",
        ] {
            let bind = read(&format!("<D:segment>{bad}</D:segment><D:href>/a</D:href>"));
            assert_eq!(bind, Err(BadBind::Segment), "{bad}");
        }
        assert!(read("<D:segment>a</D:segment>").is_err());
        assert!(read("<D:href>/a</D:href>").is_err());
        assert!(parse(b"<bind/>", Limits::REQUEST).is_err());
        assert!(parse(b"", Limits::REQUEST).is_err());
    }

    proptest! {
        #[test]
        fn any_name_goes_through(name in "[^/\\p{Cc}]{1,40}") {
            prop_assume!(name != "." && name != "..");
            let (mut segment, mut escaped) = (Vec::new(), Vec::new());
            encode_into(&mut segment, &name);
            escape_text(&mut escaped, &String::from_utf8(segment).unwrap());
            let escaped = String::from_utf8(escaped).unwrap();
            let bind = read(&format!("<D:segment>{escaped}</D:segment><D:href>/a</D:href>"));
            prop_assert_eq!(bind.unwrap().segment, name);
        }
    }
}
