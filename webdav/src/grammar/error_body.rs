//! `DAV:error`: which condition a request failed (RFC 4918 §16).

use super::{
    namespace::COFFER,
    xml::{Element, Limits, escape_text},
};

/// A precondition or postcondition that has a name in `DAV:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// RFC 4918: UNLOCK or a refresh with a token that does not lock this resource; 409 or 412.
    LockTokenMatchesRequestUri,
    /// RFC 4918: a lock stands in the way and its token was not sent; 423, with the locked hrefs.
    LockTokenSubmitted,
    /// RFC 4918: a lock cannot be granted beside the one there is; 423, with the locked hrefs.
    NoConflictingLock,
    /// RFC 4918: an external entity; 403.
    NoExternalEntities,
    /// RFC 4918: live properties would not survive; 409.
    PreservedLiveProperties,
    /// RFC 4918: PROPFIND of infinite depth; 403.
    PropfindFiniteDepth,
    /// RFC 4918: a property that we compute; 403.
    CannotModifyProtectedProperty,
    /// RFC 4331: the quota is used up; 507.
    QuotaNotExceeded,
    /// RFC 4331: the disk is full; 507.
    SufficientDiskSpace,
    /// RFC 6578: a sync token we cannot answer from; 403.
    ValidSyncToken,
    /// RFC 6578: a level we do not report; 403.
    SyncTraversalSupported,
    /// RFC 5323, used by RFC 6578: more results than were asked for; 507.
    NumberOfMatchesWithinLimits,
    /// RFC 3253: a report we do not have; 403.
    SupportedReport,
    /// RFC 3253: the target of MKCOL and others exists; 405.
    ResourceMustBeNull,
    /// RFC 3744: the caller may not do that; 403.
    NeedPrivileges,
    /// RFC 5842: BIND on what is no collection; 403.
    BindIntoCollection,
    /// RFC 5842: what BIND is to name is not there; 409.
    BindSourceExists,
    /// RFC 5842: what BIND is to name can have no other name; 403.
    BindingAllowed,
    /// RFC 5842: what BIND is to name is on another server; 403.
    CrossServerBinding,
    /// RFC 5842: a name that the collection cannot have; 403.
    NameAllowed,
    /// RFC 5842: the name is taken, and may not be given to something else; 412.
    CanOverwrite,
}

impl Condition {
    /// Every condition.
    pub const ALL: [Self; 21] = [
        Self::LockTokenMatchesRequestUri,
        Self::LockTokenSubmitted,
        Self::NoConflictingLock,
        Self::NoExternalEntities,
        Self::PreservedLiveProperties,
        Self::PropfindFiniteDepth,
        Self::CannotModifyProtectedProperty,
        Self::QuotaNotExceeded,
        Self::SufficientDiskSpace,
        Self::ValidSyncToken,
        Self::SyncTraversalSupported,
        Self::NumberOfMatchesWithinLimits,
        Self::SupportedReport,
        Self::ResourceMustBeNull,
        Self::NeedPrivileges,
        Self::BindIntoCollection,
        Self::BindSourceExists,
        Self::BindingAllowed,
        Self::CrossServerBinding,
        Self::NameAllowed,
        Self::CanOverwrite,
    ];

    /// The local name of its element.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LockTokenMatchesRequestUri => "lock-token-matches-request-uri",
            Self::LockTokenSubmitted => "lock-token-submitted",
            Self::NoConflictingLock => "no-conflicting-lock",
            Self::NoExternalEntities => "no-external-entities",
            Self::PreservedLiveProperties => "preserved-live-properties",
            Self::PropfindFiniteDepth => "propfind-finite-depth",
            Self::CannotModifyProtectedProperty => "cannot-modify-protected-property",
            Self::QuotaNotExceeded => "quota-not-exceeded",
            Self::SufficientDiskSpace => "sufficient-disk-space",
            Self::ValidSyncToken => "valid-sync-token",
            Self::SyncTraversalSupported => "sync-traversal-supported",
            Self::NumberOfMatchesWithinLimits => "number-of-matches-within-limits",
            Self::SupportedReport => "supported-report",
            Self::ResourceMustBeNull => "resource-must-be-null",
            Self::NeedPrivileges => "need-privileges",
            Self::BindIntoCollection => "bind-into-collection",
            Self::BindSourceExists => "bind-source-exists",
            Self::BindingAllowed => "binding-allowed",
            Self::CrossServerBinding => "cross-server-binding",
            Self::NameAllowed => "name-allowed",
            Self::CanOverwrite => "can-overwrite",
        }
    }
}

/// The body of an error answer; its type is `application/xml; charset=utf-8`.
///
/// `hrefs` are escaped paths of the resources in question, and `message` is for people: it goes
/// into our own namespace, where a client that does not know it must skip it.
pub fn write(condition: Option<Condition>, hrefs: &[&str], message: Option<&str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(
        b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:error xmlns:D=\"DAV:\">",
    );
    if let Some(condition) = condition {
        let name = condition.as_str().as_bytes();
        out.extend_from_slice(b"<D:");
        out.extend_from_slice(name);
        if hrefs.is_empty() {
            out.extend_from_slice(b"/>");
        } else {
            out.push(b'>');
            for href in hrefs {
                out.extend_from_slice(b"<D:href>");
                escape_text(&mut out, href);
                out.extend_from_slice(b"</D:href>");
            }
            out.extend_from_slice(b"</D:");
            out.extend_from_slice(name);
            out.push(b'>');
        }
    }
    if let Some(message) = message {
        out.extend_from_slice(b"<c:message xmlns:c=\"");
        out.extend_from_slice(COFFER.as_bytes());
        out.extend_from_slice(b"\">");
        escape_text(&mut out, message);
        out.extend_from_slice(b"</c:message>");
    }
    out.extend_from_slice(b"</D:error>");
    out
}

/// The condition that an error body names, if it is one and we know it.
pub fn read(body: &[u8]) -> Option<Condition> {
    let root = Element::parse(body, Limits::REQUEST).ok()?;
    if !root.name.is_dav("error") {
        return None;
    }
    root.elements().find_map(|child| {
        Condition::ALL
            .into_iter()
            .find(|condition| child.name.is_dav(condition.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::xml::Name;

    #[test]
    fn every_condition_reads_back() {
        for condition in Condition::ALL {
            assert_eq!(read(&write(Some(condition), &[], None)), Some(condition));
            assert_eq!(
                read(&write(Some(condition), &["/dav/a"], Some("<&>"))),
                Some(condition)
            );
        }
        assert_eq!(read(&write(None, &[], Some("x"))), None);
        assert_eq!(read(b"<html/>"), None);
        assert_eq!(read(b""), None);
    }

    #[test]
    fn hrefs_and_message_are_escaped() {
        let body = write(
            Some(Condition::LockTokenSubmitted),
            &["/dav/a&b"],
            Some("a < b"),
        );
        let root = Element::parse(&body, Limits::REQUEST).unwrap();
        let locked = root.dav_child("lock-token-submitted").unwrap();
        assert_eq!(locked.dav_child("href").unwrap().text(), "/dav/a&b");
        let message = root
            .elements()
            .find(|e| e.name == Name::constant(COFFER, "message"));
        assert_eq!(message.unwrap().text(), "a < b");
    }
}
