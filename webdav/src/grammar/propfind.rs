//! The body of PROPFIND (RFC 4918 §9.1, §14.20).

use super::xml::{self, Element, Limits, Name, XmlError};

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Propfind {
    /// All dead properties and the live ones of RFC 4918, and those included by name.
    AllProp {
        /// Further properties, without repetitions.
        include: Vec<Name>,
    },
    /// The names of all properties.
    PropName,
    /// These properties, without repetitions.
    Prop(Vec<Name>),
}

/// Reads the body; an empty one asks for everything.
///
/// # Errors
/// [`XmlError`]; [`XmlError::Unexpected`] for another root, or unless exactly one of the three
/// questions is asked. Unknown elements are skipped.
pub fn parse(body: &[u8], limits: Limits) -> Result<Propfind, XmlError> {
    if xml::is_empty(body) {
        xml::check(body, limits)?;
        return Ok(Propfind::AllProp {
            include: Vec::new(),
        });
    }
    let root = Element::parse(body, limits)?;
    if !root.name.is_dav("propfind") {
        return Err(XmlError::Unexpected("the root is not DAV:propfind"));
    }
    let mut question = None;
    let mut include = Vec::new();
    for child in root
        .elements()
        .filter(|child| child.name.namespace == "DAV:")
    {
        let asked = match child.name.local.as_ref() {
            "allprop" => Propfind::AllProp {
                include: Vec::new(),
            },
            "propname" => Propfind::PropName,
            "prop" => Propfind::Prop(names(child)),
            "include" => {
                include = names(child);
                continue;
            }
            _ => continue,
        };
        if question.replace(asked).is_some() {
            return Err(XmlError::Unexpected(
                "more than one of prop, allprop and propname",
            ));
        }
    }
    match question {
        Some(Propfind::AllProp { .. }) => Ok(Propfind::AllProp { include }),
        Some(question) => Ok(question),
        None => Err(XmlError::Unexpected("none of prop, allprop and propname")),
    }
}

/// The names of the children, each once, in the order given.
pub(super) fn names(parent: &Element) -> Vec<Name> {
    let mut names = Vec::<Name>::new();
    for child in parent.elements() {
        if !names.contains(&child.name) {
            names.push(child.name.clone());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(body: &[u8]) -> Result<Propfind, XmlError> {
        super::parse(body, Limits::REQUEST)
    }

    #[test]
    fn the_examples_of_rfc_4918() {
        let body = br#"<?xml version="1.0" encoding="utf-8" ?>
            <D:propfind xmlns:D="DAV:">
              <D:prop xmlns:R="http://ns.example.com/boxschema/">
                <R:bigbox/><R:author/><R:DingALing/><R:Random/><R:author/>
              </D:prop>
            </D:propfind>"#;
        let name = |local| Name::new("http://ns.example.com/boxschema/", local);
        let wanted = ["bigbox", "author", "DingALing", "Random"]
            .map(name)
            .to_vec();
        assert_eq!(parse(body), Ok(Propfind::Prop(wanted)));

        let body = br#"<propfind xmlns="DAV:"><propname/></propfind>"#;
        assert_eq!(parse(body), Ok(Propfind::PropName));

        let body = br#"<D:propfind xmlns:D="DAV:"><D:allprop/>
            <D:include><D:supported-live-property-set/></D:include></D:propfind>"#;
        let include = vec![Name::dav("supported-live-property-set")];
        assert_eq!(parse(body), Ok(Propfind::AllProp { include }));
    }

    #[test]
    fn an_empty_body_asks_for_everything() {
        let everything = Ok(Propfind::AllProp {
            include: Vec::new(),
        });
        assert_eq!(parse(b""), everything);
        assert_eq!(parse(b"\r\n"), everything);
    }

    #[test]
    fn unknown_elements_are_skipped_and_contradictions_refused() {
        let body = b"<propfind xmlns='DAV:'><x xmlns='u'/><expired/><prop/></propfind>";
        assert_eq!(parse(body), Ok(Propfind::Prop(Vec::new())));
        for body in [
            "<propfind xmlns='DAV:'/>",
            "<propfind xmlns='DAV:'><allprop/><propname/></propfind>",
            "<propfind xmlns='DAV:'><prop/><prop/></propfind>",
            "<propfind><prop/></propfind>",
            "<prop xmlns='DAV:'/>",
        ] {
            assert!(
                matches!(parse(body.as_bytes()), Err(XmlError::Unexpected(_))),
                "{body}"
            );
        }
        let unbound =
            br#"<D:propfind xmlns:D="DAV:"><D:prop><bar:foo xmlns:bar=""/></D:prop></D:propfind>"#;
        assert!(parse(unbound).is_err());
    }

    #[test]
    fn a_property_may_have_no_namespace() {
        let body = br#"<propfind xmlns="DAV:"><prop><nonamespace xmlns=""/></prop></propfind>"#;
        assert_eq!(
            parse(body),
            Ok(Propfind::Prop(vec![Name::new("", "nonamespace")]))
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&body);
        }
    }
}
