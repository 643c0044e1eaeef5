//! What a server says of a file or folder, in our words.

use webdav::grammar::date;
use webdav::grammar::multistatus_read::Response;
use webdav::grammar::namespace::OWNCLOUD;
use webdav::grammar::xml::{Element, Name};

use crate::attributes;
use crate::drive::{ETag, Listed, ResourceId};

/// Namespace of the properties that only a mount sets.
pub(crate) const POSIX: &str = "urn:coffer:posix";

/// The properties of a [`Listed`], for a PROPFIND or REPORT that declares `D`, `o` and `p`.
macro_rules! wanted {
    () => {
        "<D:prop><D:resourcetype/><D:getcontentlength/><D:getetag/><D:getlastmodified/>\
         <o:id/><o:checksums/><p:attributes/><p:xattrs/><p:links/></D:prop>"
    };
}
/// The declarations for [`wanted`].
macro_rules! namespaces {
    () => {
        "xmlns:D=\"DAV:\" xmlns:o=\"http://owncloud.org/ns\" xmlns:p=\"urn:coffer:posix\""
    };
}
pub(super) use {namespaces, wanted};

/// Asks for them.
pub(crate) const PROPFIND: &str = concat!(
    "<?xml version=\"1.0\" encoding=\"utf-8\"?><D:propfind ",
    namespaces!(),
    ">",
    wanted!(),
    "</D:propfind>"
);

/// How a tag begins that is made of time and length, because the server has none.
const LOOKED: &str = "\"coffer-looked-";

/// Reads what is said; `name` comes from the href.
///
/// Where a file has no tag one is made of its time and length, so that a change of these is seen.
/// Tags that call themselves weak are taken as well: Apache's are weak for a second, and what they
/// are worth as conditions is found out apart. Those of folders count only where `folder_tags` says
/// that they stand for the folder's members.
pub(crate) fn listed(response: &Response, name: String, folder_tags: bool) -> Listed {
    let dav = |local| text(response, &Name::dav(local));
    let posix = |local| text(response, &Name::constant(POSIX, local));
    let kind = response.property(&Name::dav("resourcetype"));
    let is_folder = kind.is_some_and(|kind| kind.dav_child("collection").is_some());
    let size_bytes = dav("getcontentlength").and_then(|length| length.parse().ok());
    let size_bytes = size_bytes.filter(|_| !is_folder).unwrap_or_default();
    let modified = dav("getlastmodified").and_then(|date| date::parse(&date));
    let modified_ns = modified.unwrap_or_default().saturating_mul(1_000_000_000);
    let tag = dav("getetag").and_then(|tag| tag_of(&tag));
    let etag = if is_folder {
        tag.filter(|_| folder_tags)
    } else {
        tag.or_else(|| Some(looked(modified.unwrap_or_default(), size_bytes)))
    };
    let checksums = response.property(&Name::constant(OWNCLOUD, "checksums"));
    let id = text(response, &Name::constant(OWNCLOUD, "id")).filter(|id| !id.is_empty());
    Listed {
        name,
        is_folder,
        id: id.map(ResourceId),
        etag,
        size_bytes,
        modified_ns,
        sha256: checksums.and_then(sha256),
        attributes: posix("attributes")
            .map_or_else(Default::default, |text| attributes::read(&text)),
        xattrs: posix("xattrs")
            .map_or_else(Default::default, |text| attributes::read_xattrs(&text)),
        links: posix("links").and_then(|links| links.parse().ok()),
    }
}

/// An entity tag without what calls it weak; `None` when it is none.
pub(crate) fn tag_of(text: &str) -> Option<ETag> {
    let tag = text.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let inner = tag.strip_prefix('"')?.strip_suffix('"')?;
    let is_opaque = |byte: u8| byte > b' ' && byte != b'"' && byte != 0x7f;
    // Tags of our own making are no one else's.
    (inner.bytes().all(is_opaque) && inner.len() <= 256 && !is_looked(tag))
        .then(|| ETag(tag.to_owned()))
}

/// The tag of a file whose server gives it none.
pub(crate) fn looked(modified_s: i64, size_bytes: u64) -> ETag {
    ETag(format!("{LOOKED}{modified_s}-{size_bytes}\""))
}

/// Whether a tag was made by [`looked`]: the server does not know it.
pub(crate) fn is_looked(tag: &str) -> bool {
    tag.starts_with(LOOKED)
}

fn text(response: &Response, name: &Name) -> Option<String> {
    let element = response.property(name)?;
    Some(element.text().trim().to_owned())
}

/// `SHA256:<hex>` among the words of `oc:checksums`.
fn sha256(checksums: &Element) -> Option<[u8; 32]> {
    checksums.elements().find_map(|checksum| {
        let text = checksum.text();
        let mut words = text.split_ascii_whitespace();
        words.find_map(|word| word.strip_prefix("SHA256:").and_then(digest))
    })
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).expect("two digits are a byte");
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use webdav::grammar::multistatus_read::read;
    use webdav::grammar::xml::Limits;

    use super::*;

    fn one(properties: &str, folder_tags: bool) -> Listed {
        let body = format!(
            "<D:multistatus {}><D:response><D:href>/a</D:href><D:propstat><D:prop>{properties}\
             </D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>\
             </D:multistatus>",
            namespaces!()
        );
        let read = read(body.as_bytes(), Limits::ANSWER).unwrap();
        listed(&read.responses[0], "a".to_owned(), folder_tags)
    }

    #[test]
    fn everything_that_is_told_is_read() {
        let sha256 = "00ff".repeat(16);
        let file = one(
            &format!(
                "<D:resourcetype/><D:getcontentlength>7</D:getcontentlength><D:getetag>\"x\"\
                 </D:getetag><D:getlastmodified>Tue, 14 Nov 2023 22:13:20 GMT</D:getlastmodified>\
                 <o:id>5</o:id><o:checksums><o:checksum>MD5:1 SHA256:{sha256}</o:checksum>\
                 </o:checksums><p:attributes>mode=100644</p:attributes><p:xattrs>a=AP8=</p:xattrs>\
                 <p:links>2</p:links>"
            ),
            true,
        );
        assert!(!file.is_folder);
        assert_eq!(file.size_bytes, 7);
        assert_eq!(file.etag, Some(ETag("\"x\"".to_owned())));
        assert_eq!(file.modified_ns, 1_700_000_000_000_000_000);
        assert_eq!(file.id, Some(ResourceId("5".to_owned())));
        assert_eq!(file.sha256.map(|digest| digest[1]), Some(0xff));
        assert_eq!(file.attributes.mode, Some(0o100_644));
        assert_eq!(file.xattrs[&b"a"[..]], b"\0\xff");
        assert_eq!(file.links, Some(2));
    }

    #[test]
    fn what_a_server_does_not_tell_is_made_up_where_that_is_safe() {
        let file = one("<D:getcontentlength>7</D:getcontentlength>", false);
        let tag = file.etag.unwrap();
        assert!(is_looked(&tag.0), "{tag:?}");
        assert_eq!(tag_of(&tag.0), None);
        assert_eq!(tag_of("W/\"a\""), tag_of("\"a\""));
        for bad in ["", "a", "\"", "\"a", "\"a\"b\"", "\"a b\""] {
            assert_eq!(tag_of(bad), None, "{bad}");
        }
        let folder = "<D:resourcetype><D:collection/></D:resourcetype><D:getetag>\"1\"</D:getetag>";
        assert_eq!(one(folder, false).etag, None);
        assert!(one(folder, true).etag.is_some());
        assert_eq!(
            one("<p:attributes>mode=9</p:attributes>", false)
                .attributes
                .mode,
            None
        );
    }
}
