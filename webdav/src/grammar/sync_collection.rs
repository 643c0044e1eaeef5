//! The body of REPORT, of which we know one kind (RFC 3253 §3.6, RFC 6578 §6).

use super::{
    propfind,
    xml::{Element, Limits, Name, XmlError},
};

/// What a client wants to have reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// What has changed in a collection.
    SyncCollection(SyncCollection),
    /// A report we do not have: 403 `DAV:supported-report`.
    Other(Name),
}

/// `DAV:sync-collection`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncCollection {
    /// The state the client knows; none when it knows nothing yet.
    pub token: Option<String>,
    /// How far down changes are wanted.
    pub level: Level,
    /// Most results wanted.
    pub limit: Option<u64>,
    /// The properties wanted of what has changed, without repetitions.
    pub props: Vec<Name>,
}

/// `DAV:sync-level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// Direct members.
    One,
    /// Everything below.
    Infinite,
}

/// Reads the body.
///
/// # Errors
/// [`XmlError`]; [`XmlError::Unexpected`] when a sync-collection report lacks its properties or
/// its level or limit makes no sense. Unknown elements are skipped.
pub fn parse(body: &[u8], limits: Limits) -> Result<Report, XmlError> {
    let root = Element::parse(body, limits)?;
    if !root.name.is_dav("sync-collection") {
        return Ok(Report::Other(root.name));
    }
    let text = |name: &str| {
        root.dav_child(name)
            .map(|child| child.text().trim().to_owned())
    };
    let level = match text("sync-level").as_deref() {
        // Drafts of the RFC had the level in the Depth header, and some clients still omit it.
        None | Some("1") => Level::One,
        Some(level) if level.eq_ignore_ascii_case("infinite") => Level::Infinite,
        Some(level) if level.eq_ignore_ascii_case("infinity") => Level::Infinite,
        Some(_) => return Err(XmlError::Unexpected("sync-level is neither 1 nor infinite")),
    };
    let limit = match root
        .dav_child("limit")
        .and_then(|limit| limit.dav_child("nresults"))
    {
        None => None,
        Some(count) => Some(
            count
                .text()
                .trim()
                .parse()
                .ok()
                .filter(|count| *count > 0)
                .ok_or(XmlError::Unexpected("nresults is not a positive number"))?,
        ),
    };
    let props = root
        .dav_child("prop")
        .map(propfind::names)
        .ok_or(XmlError::Unexpected("sync-collection without DAV:prop"))?;
    let token = text("sync-token").filter(|token| !token.is_empty());
    Ok(Report::SyncCollection(SyncCollection {
        token,
        level,
        limit,
        props,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(body: &[u8]) -> Result<Report, XmlError> {
        super::parse(body, Limits::REQUEST)
    }

    #[test]
    fn the_examples_of_rfc_6578() {
        let body = br#"<?xml version="1.0" encoding="utf-8" ?>
            <D:sync-collection xmlns:D="DAV:">
              <D:sync-token/><D:sync-level>1</D:sync-level>
              <D:prop xmlns:R="urn:ns.example.com:boxschema"><D:getetag/><R:bigbox/></D:prop>
            </D:sync-collection>"#;
        let first = SyncCollection {
            token: None,
            level: Level::One,
            limit: None,
            props: vec![
                Name::dav("getetag"),
                Name::new("urn:ns.example.com:boxschema", "bigbox"),
            ],
        };
        assert_eq!(parse(body), Ok(Report::SyncCollection(first)));

        let body = br#"<D:sync-collection xmlns:D="DAV:">
              <D:sync-token>http://example.com/ns/sync/1233</D:sync-token>
              <D:sync-level>infinite</D:sync-level>
              <D:limit><D:nresults>5</D:nresults></D:limit>
              <D:prop><D:getetag/></D:prop>
            </D:sync-collection>"#;
        let next = SyncCollection {
            token: Some("http://example.com/ns/sync/1233".to_owned()),
            level: Level::Infinite,
            limit: Some(5),
            props: vec![Name::dav("getetag")],
        };
        assert_eq!(parse(body), Ok(Report::SyncCollection(next)));
    }

    #[test]
    fn other_reports_are_named() {
        let body = b"<C:calendar-query xmlns:C='urn:ietf:params:xml:ns:caldav'/>";
        let name = Name::new("urn:ietf:params:xml:ns:caldav", "calendar-query");
        assert_eq!(parse(body), Ok(Report::Other(name)));
        assert_eq!(
            parse(b"<expand-property xmlns='DAV:'/>"),
            Ok(Report::Other(Name::dav("expand-property")))
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for inner in [
            "<sync-level>2</sync-level><prop/>",
            "<limit><nresults>0</nresults></limit><prop/>",
            "<limit><nresults>-1</nresults></limit><prop/>",
            "<limit><nresults>x</nresults></limit><prop/>",
            "<sync-level>1</sync-level>",
        ] {
            let body = format!("<sync-collection xmlns='DAV:'>{inner}</sync-collection>");
            assert!(
                matches!(parse(body.as_bytes()), Err(XmlError::Unexpected(_))),
                "{inner}"
            );
        }
        assert!(parse(b"").is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&body);
        }
    }
}
