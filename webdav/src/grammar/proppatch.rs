//! The body of PROPPATCH (RFC 4918 §9.2, §14.19).

use super::xml::{Element, Limits, Name, XmlError};

/// One instruction; they are carried out in the order given, all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// Give a property this value. The element is the property itself, with the `xml:lang` that
    /// was in scope.
    Set(Element),
    /// Take a property away.
    Remove(Name),
}

impl Instruction {
    /// The property it is about.
    pub fn name(&self) -> &Name {
        match self {
            Self::Set(element) => &element.name,
            Self::Remove(name) => name,
        }
    }
}

/// Reads the body.
///
/// # Errors
/// [`XmlError`]; [`XmlError::Unexpected`] for another root, an instruction without `DAV:prop`, or
/// no instruction at all. Unknown elements beside the instructions are skipped.
pub fn parse(body: &[u8], limits: Limits) -> Result<Vec<Instruction>, XmlError> {
    let root = Element::parse(body, limits)?;
    if !root.name.is_dav("propertyupdate") {
        return Err(XmlError::Unexpected("the root is not DAV:propertyupdate"));
    }
    let mut instructions = Vec::new();
    let mut found = false;
    for action in root.elements() {
        let set = action.name.is_dav("set");
        if !set && !action.name.is_dav("remove") {
            continue;
        }
        found = true;
        let prop = action
            .dav_child("prop")
            .ok_or(XmlError::Unexpected("an instruction without DAV:prop"))?;
        let lang = prop.lang().or(action.lang()).or(root.lang());
        instructions.extend(prop.elements().map(|property| {
            if !set {
                return Instruction::Remove(property.name.clone());
            }
            let mut property = property.clone();
            property.inherit_lang(lang);
            Instruction::Set(property)
        }));
    }
    if found {
        Ok(instructions)
    } else {
        Err(XmlError::Unexpected("neither DAV:set nor DAV:remove"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(body: &[u8]) -> Result<Vec<Instruction>, XmlError> {
        super::parse(body, Limits::REQUEST)
    }

    #[test]
    fn the_example_of_rfc_4918() {
        let body = br#"<?xml version="1.0" encoding="utf-8" ?>
            <D:propertyupdate xmlns:D="DAV:" xmlns:Z="http://ns.example.com/standards/z39.50/">
              <D:set><D:prop><Z:Authors>
                  <Z:Author>Jim Whitehead</Z:Author><Z:Author>Roy Fielding</Z:Author>
              </Z:Authors></D:prop></D:set>
              <D:remove><D:prop><Z:Copyright-Owner/></D:prop></D:remove>
            </D:propertyupdate>"#;
        let instructions = parse(body).unwrap();
        let name = |local| Name::new("http://ns.example.com/standards/z39.50/", local);
        assert_eq!(instructions.len(), 2);
        assert_eq!(instructions[0].name(), &name("Authors"));
        assert_eq!(
            instructions[1],
            Instruction::Remove(name("Copyright-Owner"))
        );
        let Instruction::Set(authors) = &instructions[0] else {
            panic!("not a set")
        };
        let texts: Vec<_> = authors
            .elements()
            .map(|author| author.text().into_owned())
            .collect();
        assert_eq!(texts, ["Jim Whitehead", "Roy Fielding"]);
    }

    #[test]
    fn order_is_kept_and_language_inherited() {
        let body = b"<propertyupdate xmlns='DAV:' xml:lang='en'>\
            <remove><prop><a/></prop></remove>\
            <set xml:lang='fr'><prop><a/><b xml:lang='de'/></prop></set>\
            <set><prop><c/></prop></set><remove><prop><c/></prop></remove></propertyupdate>";
        let langs: Vec<_> = parse(body)
            .unwrap()
            .iter()
            .map(|instruction| match instruction {
                Instruction::Set(e) => (e.name.local.to_string(), e.lang().map(str::to_owned)),
                Instruction::Remove(name) => (name.local.to_string(), None),
            })
            .collect();
        let some = |lang: &str| Some(lang.to_owned());
        let expected = [
            ("a", None),
            ("a", some("fr")),
            ("b", some("de")),
            ("c", some("en")),
            ("c", None),
        ];
        assert_eq!(langs, expected.map(|(name, lang)| (name.to_owned(), lang)));
    }

    #[test]
    fn what_is_no_update_is_refused() {
        for body in [
            "",
            "<propertyupdate xmlns='DAV:'/>",
            "<propertyupdate xmlns='DAV:'><set/></propertyupdate>",
            "<propertyupdate><set><prop/></set></propertyupdate>",
            "<propfind xmlns='DAV:'><prop/></propfind>",
        ] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&body);
        }
    }
}
