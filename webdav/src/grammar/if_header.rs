//! The `If` header (RFC 4918 §10.4).

use super::{etag::EntityTag, field::BadHeader, lock_token};

const MAX_BYTES: usize = 8 * 1024;
const MAX_LISTS: usize = 64;
const MAX_CONDITIONS: usize = 256;
/// Most different resources that one header may speak of.
pub const MAX_TAGS: usize = 16;

/// A parsed header: true when any of its lists holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IfHeader {
    /// Resource tags as written (absolute URI or path), each once.
    pub tags: Vec<String>,
    /// The lists in order.
    pub lists: Vec<List>,
}

/// Conditions that must all hold for one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Which of [`IfHeader::tags`] it is about; none for the target of the request.
    pub tag: Option<usize>,
    /// At least one.
    pub conditions: Vec<Condition>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Whether it is preceded by `Not`.
    pub negated: bool,
    /// What is tested.
    pub test: Test,
}

/// What a condition tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// The resource is covered by the live lock with this token.
    Token(String),
    /// The resource has this entity tag.
    ETag(EntityTag),
}

/// Reads the value of the header.
///
/// # Errors
/// [`BadHeader`] for anything outside the grammar, and above 8 KiB, 64 lists, 256 conditions or
/// [`MAX_TAGS`] resources.
pub fn parse(value: &str) -> Result<IfHeader, BadHeader> {
    if value.len() > MAX_BYTES {
        return Err(bad("too long"));
    }
    let mut parsed = IfHeader::default();
    let mut conditions = 0;
    let mut tag = None;
    let mut tag_waits = false;
    let mut rest = skip_space(value);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('<') {
            if tag_waits || (tag.is_none() && !parsed.lists.is_empty()) {
                return Err(bad("a resource tag in the wrong place"));
            }
            let (uri, after) = after.split_once('>').ok_or(bad("an open resource tag"))?;
            tag = Some(tag_index(&mut parsed.tags, uri)?);
            tag_waits = true;
            rest = skip_space(after);
        } else {
            let inner = rest
                .strip_prefix('(')
                .ok_or(bad("neither a list nor a resource tag"))?;
            let (list, after) = read_list(inner)?;
            conditions += list.len();
            if parsed.lists.len() == MAX_LISTS || conditions > MAX_CONDITIONS {
                return Err(bad("too many conditions"));
            }
            parsed.lists.push(List {
                tag,
                conditions: list,
            });
            tag_waits = false;
            rest = skip_space(after);
        }
    }
    if parsed.lists.is_empty() || tag_waits {
        return Err(bad("no list"));
    }
    Ok(parsed)
}

/// Reads the conditions after `(`, and returns what follows `)`.
fn read_list(mut rest: &str) -> Result<(Vec<Condition>, &str), BadHeader> {
    let mut conditions = Vec::new();
    loop {
        rest = skip_space(rest);
        if let Some(after) = rest.strip_prefix(')') {
            if conditions.is_empty() {
                return Err(bad("an empty list"));
            }
            return Ok((conditions, after));
        }
        if conditions.len() == MAX_CONDITIONS {
            return Err(bad("too many conditions"));
        }
        let negated = rest
            .get(..3)
            .is_some_and(|word| word.eq_ignore_ascii_case("not"));
        if negated {
            rest = skip_space(&rest[3..]);
        }
        let test;
        (test, rest) = read_test(rest)?;
        conditions.push(Condition { negated, test });
    }
}

fn read_test(rest: &str) -> Result<(Test, &str), BadHeader> {
    if let Some(after) = rest.strip_prefix('<') {
        let (token, after) = after.split_once('>').ok_or(bad("an open state token"))?;
        if !lock_token::is_token(token) {
            return Err(bad("a state token that is not a URI"));
        }
        return Ok((Test::Token(token.to_owned()), after));
    }
    let inner = rest
        .strip_prefix('[')
        .ok_or(bad("neither a state token nor an entity tag"))?;
    let (tag, after) = EntityTag::split(skip_space(inner)).ok_or(bad("a bad entity tag"))?;
    let after = skip_space(after)
        .strip_prefix(']')
        .ok_or(bad("a bad entity tag"))?;
    Ok((Test::ETag(tag), after))
}

fn tag_index(tags: &mut Vec<String>, uri: &str) -> Result<usize, BadHeader> {
    if let Some(index) = tags.iter().position(|tag| tag == uri) {
        return Ok(index);
    }
    if tags.len() == MAX_TAGS {
        return Err(bad("too many resources"));
    }
    tags.push(uri.to_owned());
    Ok(tags.len() - 1)
}

fn skip_space(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

const fn bad(reason: &'static str) -> BadHeader {
    BadHeader::new("if", reason)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn write(header: &IfHeader) -> String {
        let mut out = String::new();
        let mut last = None;
        for list in &header.lists {
            if let Some(tag) = list.tag.filter(|_| list.tag != last) {
                write!(out, "<{}> ", header.tags[tag]).unwrap();
                last = list.tag;
            }
            out.push('(');
            for condition in &list.conditions {
                out.push_str(if condition.negated { "Not " } else { "" });
                match &condition.test {
                    Test::Token(token) => write!(out, "<{token}>").unwrap(),
                    Test::ETag(tag) => {
                        let weak = if tag.weak { "W/" } else { "" };
                        write!(out, "[{weak}{}]", tag.opaque).unwrap();
                    }
                }
            }
            out.push(')');
        }
        out
    }

    #[test]
    fn the_examples_of_rfc_4918_10_4() {
        let header = parse(
            "(<urn:uuid:181d4fae-7d8c-11d0-a765-00a0c91e6bf2> [\"I am an ETag\"]) \
             ([\"I am another ETag\"])",
        )
        .unwrap();
        assert!(header.tags.is_empty());
        assert_eq!(header.lists.len(), 2);
        assert_eq!(header.lists[0].conditions.len(), 2);

        let header = parse(
            "(Not <urn:uuid:181d4fae-7d8c-11d0-a765-00a0c91e6bf2> \
             <urn:uuid:58f202ac-22cf-11d1-b12d-002035b29092>)",
        )
        .unwrap();
        let negated: Vec<_> = header.lists[0]
            .conditions
            .iter()
            .map(|c| c.negated)
            .collect();
        assert_eq!(negated, [true, false]);

        let header = parse("(<urn:uuid:181d4fae>)(Not <DAV:no-lock>)").unwrap();
        assert_eq!(
            header.lists[1].conditions[0].test,
            Test::Token("DAV:no-lock".to_owned())
        );

        let header = parse(
            "</resource1> (<urn:uuid:181d4fae> [W/\"A weak ETag\"]) ([\"strong ETag\"]) \
             <http://www.example.com/specs/> (<urn:uuid:58f202ac>)",
        )
        .unwrap();
        assert_eq!(header.tags, ["/resource1", "http://www.example.com/specs/"]);
        let tags: Vec<_> = header.lists.iter().map(|list| list.tag).collect();
        assert_eq!(tags, [Some(0), Some(0), Some(1)]);
    }

    #[test]
    fn what_is_outside_the_grammar_is_refused() {
        for value in [
            "",
            "()",
            "(",
            "(<a:b>",
            "(<a:b)",
            "<a:b>",
            "<a:b> <c:d> (<e:f>)",
            "(<a:b>) <c:d> (<e:f>)",
            "<a:b> (<c:d>) <e:f>",
            "(<>)",
            "(<token>)",
            "([tag])",
            "([\"tag\")",
            "([\"tag\"x])",
            "(Not)",
            "(Not Not <a:b>)",
            "(<a:b>), (<c:d>)",
            "x",
            "(<a:b>)x",
        ] {
            assert!(parse(value).is_err(), "{value}");
        }
    }

    #[test]
    fn limits_hold_at_the_limit_and_one_past() {
        assert!(parse(&"(<a:b>)".repeat(64)).is_ok());
        assert!(parse(&"(<a:b>)".repeat(65)).is_err());
        assert!(parse(&format!("({})", "<a:b>".repeat(256))).is_ok());
        assert!(parse(&format!("({})", "<a:b>".repeat(257))).is_err());
        let tagged = |n: usize| -> String {
            (0..n).fold(String::new(), |out, i| out + &format!("</{i}> (<a:b>)"))
        };
        assert!(parse(&tagged(16)).is_ok());
        assert!(parse(&tagged(17)).is_err());
        assert!(parse(&format!("(<a:b>){}", " ".repeat(8185))).is_ok());
        assert!(parse(&format!("(<a:b>){}", " ".repeat(8186))).is_err());
        assert!(parse(&"(".repeat(5000)).is_err());
    }

    fn condition() -> impl Strategy<Value = Condition> {
        let token = "[a-z]{1,5}:[!-;=?-~&&[^\"]]{1,10}".prop_map(Test::Token);
        let tag = (any::<bool>(), "\"[ -~&&[^\"]]{0,8}\"")
            .prop_map(|(weak, opaque)| Test::ETag(EntityTag { weak, opaque }));
        (any::<bool>(), prop_oneof![token, tag])
            .prop_map(|(negated, test)| Condition { negated, test })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            lists in prop::collection::vec(prop::collection::vec(condition(), 1..4), 1..5),
            tagged: bool,
        ) {
            let tags = if tagged { vec!["/a".to_owned()] } else { Vec::new() };
            let tag = tagged.then_some(0);
            let lists = lists.into_iter().map(|conditions| List { tag, conditions }).collect();
            let header = IfHeader { tags, lists };
            prop_assert_eq!(parse(&write(&header)).unwrap(), header);
        }

        #[test]
        fn nothing_panics(value in "([()<>\\[\\]\"]|Not|W/|a:b| |\\PC){0,40}") {
            let _ = parse(&value);
        }
    }
}
