//! Request conditions against the state of a resource (RFC 9110 §13, RFC 4918 §10.4).
//!
//! Pure and owned, so that the store can ask inside the transaction that commits: a condition
//! which held when the request arrived may no longer hold when its body has.

use http::HeaderMap;

use crate::grammar::{
    BadHeader, date,
    destination::{DestinationError, path_of},
    etag::TagList,
    if_header::{self, List, Test},
    lock_token,
    path::{OwnMounts, ResolveError, ResourcePath},
};

/// What a resource is like at the moment of asking.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResourceState<'a> {
    /// Whether something is there.
    pub exists: bool,
    /// Whether it is a collection.
    pub is_collection: bool,
    /// Its entity tag with quotes.
    pub etag: Option<&'a str>,
    /// Its `Last-Modified`, in seconds.
    pub modified_at_s: Option<i64>,
    /// Tokens of the live locks that cover it, also of those inherited from above, and also where
    /// nothing is there yet; and a collection's sync token (RFC 6578 §5).
    pub state_tokens: &'a [String],
}

/// The conditions of one request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preconditions {
    if_match: Option<TagList>,
    if_none_match: Option<TagList>,
    if_modified_since_s: Option<i64>,
    if_unmodified_since_s: Option<i64>,
    lists: Vec<List>,
    tagged_paths: Vec<Option<ResourcePath>>,
    submitted_tokens: Vec<String>,
}

/// What to do with a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Go on.
    Ok,
    /// 304.
    NotModified,
    /// 412.
    Failed(PreconditionFailed),
}

/// A condition does not hold: 412.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the condition in {field} does not hold")]
pub struct PreconditionFailed {
    /// Name of the header field, lower case.
    pub field: &'static str,
}

impl Preconditions {
    /// Reads the conditional header fields.
    ///
    /// A date that is none is ignored (RFC 9110 §13.1.3), and so are entity tags that are none
    /// (see [`TagList::Tags`]). Resources tagged in `If` are resolved as a `Destination` is.
    ///
    /// # Errors
    /// [`BadHeader`] for a malformed or oversized `If`, entity tag list or `Lock-Token`.
    pub fn parse(headers: &HeaderMap, mounts: OwnMounts<'_>) -> Result<Self, BadHeader> {
        let mut parsed = Self {
            if_match: TagList::parse(headers, "if-match")?,
            // A list without one valid tag matches nothing, and must not switch off the date.
            if_none_match: TagList::parse(headers, "if-none-match")?
                .filter(|list| *list != TagList::Tags(Vec::new())),
            if_modified_since_s: date_field(headers, "if-modified-since"),
            if_unmodified_since_s: date_field(headers, "if-unmodified-since"),
            ..Self::default()
        };
        if headers.contains_key("if") {
            parsed.read_if(headers, mounts)?;
        }
        // Some Office releases send nothing but this on a PUT.
        if let Some(token) = lock_token::parse(headers)? {
            parsed.submit(&token);
        }
        Ok(parsed)
    }

    /// Whether there is nothing to check. There may still be submitted tokens.
    pub fn is_empty(&self) -> bool {
        self.if_match.is_none()
            && self.if_none_match.is_none()
            && self.if_modified_since_s.is_none()
            && self.if_unmodified_since_s.is_none()
            && self.lists.is_empty()
    }

    /// The resources that `If` names, at most [`if_header::MAX_TAGS`]; none for one outside our
    /// mounts. [`Self::check_write`] wants their states in this order.
    pub fn tagged_paths(&self) -> &[Option<ResourcePath>] {
        &self.tagged_paths
    }

    /// The lock tokens that the client submits (RFC 4918 §7.5): every token that stands in `If`
    /// outside `Not`, and one in `Lock-Token`.
    pub fn submitted_tokens(&self) -> &[String] {
        &self.submitted_tokens
    }

    /// Whether GET or HEAD may go on.
    pub fn check_read(&self, target: &ResourceState<'_>) -> Verdict {
        // Some clients send the `If` of a lock they hold with every request, also where it says
        // nothing of the resource. A read changes nothing that it could protect.
        if let Err(failed) = self.check_match(target) {
            return Verdict::Failed(failed);
        }
        let not_modified = match (&self.if_none_match, self.if_modified_since_s) {
            (Some(list), _) => target.exists && list.matches_weakly(target.etag),
            // Clients set times, also to earlier ones: only the very same time says that what the
            // client has is what is here.
            (None, Some(date)) => target.modified_at_s == Some(date),
            (None, None) => false,
        };
        if not_modified {
            Verdict::NotModified
        } else {
            Verdict::Ok
        }
    }

    /// Whether a method that changes something, or PROPFIND, may go on.
    ///
    /// `tagged` holds the states of [`Self::tagged_paths`], none where there is no path.
    ///
    /// # Errors
    /// [`PreconditionFailed`] names the first condition that does not hold, in the order of
    /// RFC 9110 §13.2.2.
    pub fn check_write(
        &self,
        target: &ResourceState<'_>,
        tagged: &[Option<ResourceState<'_>>],
    ) -> Result<(), PreconditionFailed> {
        self.check_first(target, tagged)?;
        match &self.if_none_match {
            Some(list) if target.exists && list.matches_weakly(target.etag) => {
                Err(PreconditionFailed {
                    field: "if-none-match",
                })
            }
            _ => Ok(()),
        }
    }

    /// What is the same for reads and writes.
    fn check_first(
        &self,
        target: &ResourceState<'_>,
        tagged: &[Option<ResourceState<'_>>],
    ) -> Result<(), PreconditionFailed> {
        self.check_match(target)?;
        let holds = |list: &List| {
            let state = match list.tag {
                None => Some(target),
                Some(index) => tagged.get(index).and_then(Option::as_ref),
            };
            state.is_some_and(|state| list_holds(list, state))
        };
        if self.lists.is_empty() || self.lists.iter().any(holds) {
            Ok(())
        } else {
            Err(PreconditionFailed { field: "if" })
        }
    }

    /// `If-Match` and `If-Unmodified-Since`.
    fn check_match(&self, target: &ResourceState<'_>) -> Result<(), PreconditionFailed> {
        match (&self.if_match, self.if_unmodified_since_s) {
            (Some(list), _) if !(target.exists && list.matches_strongly(target.etag)) => {
                return Err(PreconditionFailed { field: "if-match" });
            }
            (None, Some(date)) if target.modified_at_s.is_some_and(|modified| modified > date) => {
                return Err(PreconditionFailed {
                    field: "if-unmodified-since",
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn read_if(&mut self, headers: &HeaderMap, mounts: OwnMounts<'_>) -> Result<(), BadHeader> {
        let bad = |reason| BadHeader {
            field: "if",
            reason,
        };
        let mut values = headers.get_all("if").iter();
        let value = values
            .next()
            .and_then(|value| str::from_utf8(value.as_bytes()).ok());
        let (Some(value), None) = (value, values.next()) else {
            return Err(bad("sent more than once, or not UTF-8"));
        };
        let parsed = if_header::parse(value)?;
        for tag in &parsed.tags {
            self.tagged_paths
                .push(tagged_path(tag, mounts).map_err(bad)?);
        }
        let conditions = parsed.lists.iter().flat_map(|list| &list.conditions);
        for condition in conditions.filter(|condition| !condition.negated) {
            if let Test::Token(token) = &condition.test {
                self.submit(token);
            }
        }
        self.lists = parsed.lists;
        Ok(())
    }

    fn submit(&mut self, token: &str) {
        if !self.submitted_tokens.iter().any(|known| known == token) {
            self.submitted_tokens.push(token.to_owned());
        }
    }
}

fn tagged_path(tag: &str, mounts: OwnMounts<'_>) -> Result<Option<ResourcePath>, &'static str> {
    let raw = match path_of(tag) {
        Ok(raw) => raw,
        // `http://host` without a path: somebody else's root.
        Err(DestinationError::Missing) if !tag.is_empty() => return Ok(None),
        Err(_) => return Err("a resource tag that is not a URI"),
    };
    match mounts.resolve(raw) {
        Ok(mounted) => Ok(Some(mounted.path)),
        Err(ResolveError::Outside) => Ok(None),
        Err(ResolveError::Path(_)) => Err("a resource tag with a bad path"),
    }
}

fn date_field(headers: &HeaderMap, field: &'static str) -> Option<i64> {
    let mut values = headers.get_all(field).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    date::parse(value)
}

fn list_holds(list: &List, state: &ResourceState<'_>) -> bool {
    list.conditions.iter().all(|condition| {
        let matches = match &condition.test {
            Test::Token(token) => state.state_tokens.iter().any(|live| live == token),
            // RFC 4918 §10.4.4 leaves the comparison open. Weakly, because a compressing proxy
            // weakens the tags it passes on, and ours are strong to begin with.
            Test::ETag(tag) => state.etag.is_some_and(|current| tag.weak_eq(current)),
        };
        matches != condition.negated
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;
    use crate::grammar::path::Mounts;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const DATE_S: i64 = 784_111_777;

    fn parse(fields: &[(&str, &str)]) -> Result<Preconditions, BadHeader> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        let mounts = Mounts::new(["/dav"]).unwrap();
        Preconditions::parse(&headers, mounts.of("alice"))
    }

    fn file() -> ResourceState<'static> {
        ResourceState {
            exists: true,
            etag: Some("\"one\""),
            modified_at_s: Some(DATE_S),
            ..ResourceState::default()
        }
    }

    fn write(fields: &[(&str, &str)], state: &ResourceState<'_>) -> Option<&'static str> {
        parse(fields)
            .unwrap()
            .check_write(state, &[])
            .err()
            .map(|failed| failed.field)
    }

    fn read(fields: &[(&str, &str)], state: &ResourceState<'_>) -> Verdict {
        parse(fields).unwrap().check_read(state)
    }

    #[test]
    fn conditions_can_be_asked_from_another_thread() {
        fn crosses<T: Send + Sync + 'static>() {}
        crosses::<Preconditions>();
        crosses::<PreconditionFailed>();
    }

    #[test]
    fn no_conditions_no_failure() {
        let none = parse(&[("content-type", "text/plain")]).unwrap();
        assert!(none.is_empty());
        assert_eq!(none.check_write(&ResourceState::default(), &[]), Ok(()));
        assert_eq!(none.check_read(&file()), Verdict::Ok);
    }

    #[test]
    fn if_match_guards_a_write() {
        let missing = ResourceState::default();
        assert_eq!(write(&[("if-match", "\"one\"")], &file()), None);
        assert_eq!(write(&[("if-match", "\"zero\", \"one\"")], &file()), None);
        assert_eq!(write(&[("if-match", "\"two\"")], &file()), Some("if-match"));
        assert_eq!(
            write(&[("if-match", "W/\"one\"")], &file()),
            Some("if-match")
        );
        assert_eq!(write(&[("if-match", "*")], &file()), None);
        assert_eq!(write(&[("if-match", "*")], &missing), Some("if-match"));
        assert_eq!(
            write(&[("if-match", "\"one\"")], &missing),
            Some("if-match")
        );
        // Nothing to compare is no licence to overwrite.
        assert_eq!(write(&[("if-match", "one")], &file()), Some("if-match"));
    }

    #[test]
    fn if_none_match_guards_a_creation() {
        assert_eq!(
            write(&[("if-none-match", "*")], &file()),
            Some("if-none-match")
        );
        assert_eq!(
            write(&[("if-none-match", "*")], &ResourceState::default()),
            None
        );
        assert_eq!(write(&[("if-none-match", "\"two\"")], &file()), None);
        assert_eq!(
            write(&[("if-none-match", "W/\"one\"")], &file()),
            Some("if-none-match")
        );
        assert_eq!(
            write(&[("if-none-match", "JoplinIgnore-12345")], &file()),
            None
        );
    }

    #[test]
    fn a_read_compares_weakly_and_prefers_tags_to_dates() {
        let later = "Mon, 07 Nov 1994 08:49:37 GMT";
        let earlier = "Sat, 05 Nov 1994 08:49:37 GMT";
        let not_modified = Verdict::NotModified;
        assert_eq!(
            read(&[("if-none-match", "W/\"one\"")], &file()),
            not_modified
        );
        assert_eq!(read(&[("if-none-match", "*")], &file()), not_modified);
        assert_eq!(read(&[("if-none-match", "\"two\"")], &file()), Verdict::Ok);
        assert_eq!(read(&[("if-modified-since", DATE)], &file()), not_modified);
        // The client may have had other content, of a later time.
        for other in [earlier, later] {
            assert_eq!(read(&[("if-modified-since", other)], &file()), Verdict::Ok);
        }
        assert_eq!(
            read(&[("if-modified-since", "yesterday")], &file()),
            Verdict::Ok
        );
        let both = [("if-none-match", "\"two\""), ("if-modified-since", DATE)];
        assert_eq!(read(&both, &file()), Verdict::Ok);
        let junk = [
            ("if-none-match", "JoplinIgnore-1"),
            ("if-modified-since", DATE),
        ];
        assert_eq!(read(&junk, &file()), not_modified);
        let failed = Verdict::Failed(PreconditionFailed { field: "if-match" });
        let order = [("if-match", "\"two\""), ("if-none-match", "\"one\"")];
        assert_eq!(read(&order, &file()), failed);
    }

    #[test]
    fn if_unmodified_since_yields_to_if_match() {
        let earlier = "Sat, 05 Nov 1994 08:49:37 GMT";
        assert_eq!(write(&[("if-unmodified-since", DATE)], &file()), None);
        assert_eq!(
            write(&[("if-unmodified-since", earlier)], &file()),
            Some("if-unmodified-since")
        );
        assert_eq!(
            write(
                &[("if-unmodified-since", earlier)],
                &ResourceState::default()
            ),
            None
        );
        let both = [("if-unmodified-since", earlier), ("if-match", "\"one\"")];
        assert_eq!(write(&both, &file()), None);
    }

    #[test]
    fn a_token_holds_only_for_a_live_lock_on_that_resource() {
        let tokens = ["urn:uuid:1".to_owned()];
        let locked = ResourceState {
            state_tokens: &tokens,
            ..file()
        };
        for (value, holds_locked, holds_free) in [
            ("(<urn:uuid:1>)", true, false),
            ("(<urn:uuid:2>)", false, false),
            ("(<urn:uuid:2>) (<urn:uuid:1>)", true, false),
            ("(<urn:uuid:1> [\"one\"])", true, false),
            ("(<urn:uuid:1> [\"two\"])", false, false),
            ("([W/\"one\"])", true, true),
            ("(Not <urn:uuid:1>)", false, true),
            ("(Not <DAV:no-lock>)", true, true),
            ("(<DAV:no-lock>)", false, false),
            ("(<urn:uuid:1>) (Not <DAV:no-lock>)", true, true),
            ("(Not [\"two\"])", true, true),
        ] {
            assert_eq!(
                write(&[("if", value)], &locked).is_none(),
                holds_locked,
                "{value}"
            );
            assert_eq!(
                write(&[("if", value)], &file()).is_none(),
                holds_free,
                "{value}"
            );
        }
        let elsewhere = ResourceState {
            state_tokens: &tokens,
            ..ResourceState::default()
        };
        assert_eq!(write(&[("if", "(<urn:uuid:1>)")], &elsewhere), None);
        assert_eq!(write(&[("if", "([\"one\"])")], &elsewhere), Some("if"));
    }

    #[test]
    fn tagged_lists_speak_of_other_resources() {
        let tokens = ["urn:uuid:1".to_owned()];
        let conditions = parse(&[(
            "if",
            "<http://proxy/dav/a%20b> (<urn:uuid:1>) </else/x> (Not <DAV:no-lock>) \
             <http://host> (Not <DAV:no-lock>)",
        )])
        .unwrap();
        let paths: Vec<_> = conditions
            .tagged_paths()
            .iter()
            .map(|path| path.as_ref().map(ResourcePath::as_str))
            .collect();
        assert_eq!(paths, [Some("a b"), None, None]);
        let locked = ResourceState {
            state_tokens: &tokens,
            ..file()
        };
        assert_eq!(
            conditions.check_write(&file(), &[Some(locked), None, None]),
            Ok(())
        );
        assert!(
            conditions
                .check_write(&locked, &[Some(file()), None, None])
                .is_err()
        );
        assert!(conditions.check_write(&locked, &[]).is_err());
    }

    #[test]
    fn tokens_are_submitted_outside_not_and_in_lock_token() {
        let conditions = parse(&[
            ("if", "(<a:1> Not <a:2>) (<a:1>) (<a:3> [\"x\"])"),
            ("lock-token", "<a:4>"),
        ])
        .unwrap();
        assert_eq!(conditions.submitted_tokens(), ["a:1", "a:3", "a:4"]);
        let bare = parse(&[("lock-token", "a:4")]).unwrap();
        assert_eq!(bare.submitted_tokens(), ["a:4"]);
        assert!(bare.is_empty());
    }

    #[test]
    fn malformed_conditions_are_refused() {
        for (field, value) in [
            ("if", "()"),
            ("if", "<x> (<a:b>)"),
            ("if", "</dav/../x> (<a:b>)"),
            ("lock-token", "<>"),
        ] {
            assert!(parse(&[(field, value)]).is_err(), "{field}: {value}");
        }
        assert!(parse(&[("if", "(<a:b>)"), ("if", "(<a:b>)")]).is_err());
    }

    proptest! {
        #[test]
        fn nothing_panics(
            value in "([()<>\\[\\]\"/*]|Not|dav|W/|a:b| |\\PC){0,40}",
            field in "if|if-match|if-none-match|lock-token|if-modified-since",
        ) {
            if let Ok(conditions) = parse(&[(&field, &value)]) {
                let _ = conditions.check_write(&file(), &[]);
                conditions.check_read(&file());
            }
        }
    }
}
