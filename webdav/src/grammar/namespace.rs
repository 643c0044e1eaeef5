//! XML namespaces that Coffer reads or writes.

/// RFC 4918 and its relatives.
pub const DAV: &str = "DAV:";
/// `xml:lang` and friends.
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// `oc:id`, `oc:checksums`, `oc:size`, `oc:permissions`.
pub const OWNCLOUD: &str = "http://owncloud.org/ns";
/// Nextcloud's additions to the former.
pub const NEXTCLOUD: &str = "http://nextcloud.org/ns";
/// The `Win32…` properties of Windows Explorer.
pub const WIN32: &str = "urn:schemas-microsoft-com:";
/// Ours: `attributes` and `xattrs` of a mounted drive.
pub const POSIX: &str = "urn:coffer:posix";
/// Ours: the human text of an error body.
pub const COFFER: &str = "urn:x-coffer:ns";
