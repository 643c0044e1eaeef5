//! Writing 207 Multi-Status bodies (RFC 4918 §13).
//!
//! Written by hand into one growing buffer: a listing is our longest answer, and Windows Explorer
//! gives up on one of more than about a megabyte, so there is neither white space nor a long
//! prefix in it.

use std::mem;

use http::StatusCode;

use super::{
    namespace::DAV,
    xml::{Name, escape_attribute, escape_text},
};

/// Prefixes that the root declares beside `D`: `(prefix, namespace)`.
pub type Prefixes = &'static [(&'static str, &'static str)];

/// Appends a multistatus piece by piece.
///
/// Tags are qualified names as they stand in the document, `D:getetag`: the prefix is `D` or one
/// of those given to [`Writer::begin`]. Calls must nest as the elements do; nothing checks that.
/// What has been written so far can be taken at any time, to be sent while the rest is made.
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
    prefixes: Prefixes,
}

impl Writer {
    /// Begins a document.
    pub fn begin(capacity_bytes: usize, prefixes: Prefixes) -> Self {
        let mut writer = Self {
            out: Vec::with_capacity(capacity_bytes),
            prefixes,
        };
        writer.raw(b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\"");
        for (prefix, namespace) in prefixes {
            writer.raw(b" xmlns:");
            writer.raw(prefix.as_bytes());
            writer.raw(b"=\"");
            escape_attribute(&mut writer.out, namespace);
            writer.raw(b"\"");
        }
        writer.raw(b">");
        writer
    }

    /// Bytes written and not yet taken.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing is left to take.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// What has been written since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        // One long piece does not make all that follow as long.
        let capacity = self.out.capacity().min(64 << 10);
        mem::replace(&mut self.out, Vec::with_capacity(capacity))
    }

    /// Ends the document and returns what is left of it.
    pub fn end(mut self) -> Vec<u8> {
        self.raw(b"</D:multistatus>");
        self.out
    }

    /// Opens a response for an escaped href.
    pub fn response_open(&mut self, href: &str) {
        self.raw(b"<D:response>");
        self.href(href);
    }

    /// Closes a response that held propstats.
    pub fn response_close(&mut self) {
        self.raw(b"</D:response>");
    }

    /// A whole response that holds only a status: a failed member of a DELETE, COPY or MOVE, or a
    /// deleted one in a sync report. `condition` is the local name of a `DAV:` element.
    pub fn response_status(&mut self, href: &str, status: StatusCode, condition: Option<&str>) {
        self.response_open(href);
        self.status(status);
        self.error(condition);
        self.response_close();
    }

    /// Opens a propstat.
    pub fn propstat_open(&mut self) {
        self.raw(b"<D:propstat><D:prop>");
    }

    /// Closes a propstat whose properties had this status.
    pub fn propstat_close(&mut self, status: StatusCode) {
        self.propstat_close_with(status, None, None);
    }

    /// Closes a propstat, naming the `DAV:` condition that failed and describing it to people.
    pub fn propstat_close_with(
        &mut self,
        status: StatusCode,
        condition: Option<&str>,
        description: Option<&str>,
    ) {
        self.raw(b"</D:prop>");
        self.status(status);
        self.error(condition);
        if let Some(description) = description {
            self.text_prop("D:responsedescription", description);
        }
        self.raw(b"</D:propstat>");
    }

    /// A property that is text.
    pub fn text_prop(&mut self, tag: &str, value: &str) {
        self.open(tag);
        escape_text(&mut self.out, value);
        self.close(tag);
    }

    /// A property without content.
    pub fn empty_prop(&mut self, tag: &str) {
        self.raw(b"<");
        self.raw(tag.as_bytes());
        self.raw(b"/>");
    }

    /// A property without content, of any namespace: an answer to PROPPATCH, or one not found.
    pub fn empty_name(&mut self, name: &Name) {
        let namespace = name.namespace.as_ref();
        let known = self.prefixes.iter().find(|(_, bound)| *bound == namespace);
        let prefix = match known {
            _ if namespace == DAV => "D",
            Some((prefix, _)) => prefix,
            None if namespace.is_empty() => "",
            None => "x",
        };
        self.raw(b"<");
        if !prefix.is_empty() {
            self.raw(prefix.as_bytes());
            self.raw(b":");
        }
        self.raw(name.local.as_bytes());
        if prefix == "x" && known.is_none() {
            self.raw(b" xmlns:x=\"");
            escape_attribute(&mut self.out, namespace);
            self.raw(b"\"");
        }
        self.raw(b"/>");
    }

    /// An element as [`super::xml::Element::to_xml`] wrote it, or a well-formed fragment of ours.
    pub fn raw_prop(&mut self, xml: &[u8]) {
        self.raw(xml);
    }

    /// A start tag, for properties with structure.
    pub fn open(&mut self, tag: &str) {
        self.raw(b"<");
        self.raw(tag.as_bytes());
        self.raw(b">");
    }

    /// An end tag.
    pub fn close(&mut self, tag: &str) {
        self.raw(b"</");
        self.raw(tag.as_bytes());
        self.raw(b">");
    }

    /// Escaped character data.
    pub fn text(&mut self, text: &str) {
        escape_text(&mut self.out, text);
    }

    /// `D:href` with an escaped path or a URI.
    pub fn href(&mut self, href: &str) {
        self.text_prop("D:href", href);
    }

    /// The token of the state reported (RFC 6578 §6.4); after the last response.
    pub fn sync_token(&mut self, token: &str) {
        self.text_prop("D:sync-token", token);
    }

    /// The buffer, for writers of single properties such as
    /// [`ActiveLock::write`](super::lockinfo::ActiveLock::write).
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    fn status(&mut self, status: StatusCode) {
        self.raw(b"<D:status>HTTP/1.1 ");
        self.raw(status.as_str().as_bytes());
        self.raw(b" ");
        self.raw(status.canonical_reason().unwrap_or("Unknown").as_bytes());
        self.raw(b"</D:status>");
    }

    fn error(&mut self, condition: Option<&str>) {
        if let Some(condition) = condition {
            self.raw(b"<D:error><D:");
            self.raw(condition.as_bytes());
            self.raw(b"/></D:error>");
        }
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{
        multistatus_read::{self, Multistatus},
        namespace::OWNCLOUD,
        xml::{Element, Limits},
    };

    const PREFIXES: Prefixes = &[("o", OWNCLOUD)];

    fn read(body: &[u8]) -> Multistatus {
        multistatus_read::read(body, Limits::ANSWER).unwrap()
    }

    #[test]
    fn a_listing_is_short_and_reads_back() {
        let mut writer = Writer::begin(1024, PREFIXES);
        writer.response_open("/dav/a%20b/%C3%BC%26/");
        writer.propstat_open();
        writer.open("D:resourcetype");
        writer.empty_prop("D:collection");
        writer.close("D:resourcetype");
        writer.text_prop("D:displayname", "ü&<>");
        writer.text_prop("o:id", "17");
        writer.raw_prop(b"<dead xmlns=\"urn:d\">x</dead>");
        writer.propstat_close(StatusCode::OK);
        writer.propstat_open();
        writer.empty_name(&Name::dav("getcontentlength"));
        writer.empty_name(&Name::new(OWNCLOUD, "size"));
        writer.empty_name(&Name::new("urn:\"&", "y"));
        writer.empty_name(&Name::new("", "z"));
        writer.propstat_close(StatusCode::NOT_FOUND);
        writer.response_close();
        let head = writer.take();
        assert!(writer.is_empty());
        writer.sync_token("urn:x:1");
        let body = [head, writer.end()].concat();

        assert!(body.starts_with(
            b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\" \
              xmlns:o=\"http://owncloud.org/ns\"><D:response><D:href>/dav/a%20b/%C3%BC%26/</D:href>\
              <D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype>"
        ));
        let read = read(&body);
        assert_eq!(read.sync_token.as_deref(), Some("urn:x:1"));
        let [response] = read.responses.as_slice() else {
            panic!("not one response")
        };
        assert_eq!(response.href(), "/dav/a%20b/%C3%BC%26/");
        let text = |name: Name| response.property(&name).map(|e| e.text().into_owned());
        assert_eq!(text(Name::dav("displayname")).unwrap(), "ü&<>");
        assert_eq!(text(Name::new(OWNCLOUD, "id")).unwrap(), "17");
        assert_eq!(text(Name::new("urn:d", "dead")).unwrap(), "x");
        assert_eq!(text(Name::dav("getcontentlength")), None);
        let missing = &response.propstats[1];
        assert_eq!(missing.status, 404);
        let names: Vec<_> = missing
            .properties
            .iter()
            .map(|e| e.name.to_string())
            .collect();
        assert_eq!(
            names,
            [
                "{DAV:}getcontentlength",
                "{http://owncloud.org/ns}size",
                "{urn:\"&}y",
                "{}z"
            ]
        );
    }

    #[test]
    fn failed_members_carry_status_and_condition() {
        let mut writer = Writer::begin(0, &[]);
        writer.response_status("/dav/x", StatusCode::LOCKED, Some("lock-token-submitted"));
        writer.response_open("/dav/y");
        writer.propstat_open();
        writer.empty_prop("D:getetag");
        writer.propstat_close_with(
            StatusCode::FORBIDDEN,
            Some("cannot-modify-protected-property"),
            Some("computed <here>"),
        );
        writer.response_close();
        let body = writer.end();
        assert!(Element::parse(&body, Limits::REQUEST).is_ok());
        let read = read(&body);
        assert_eq!(read.responses[0].status, Some(423));
        let error = read.responses[0].error.as_ref().unwrap();
        assert!(error.dav_child("lock-token-submitted").is_some());
        let propstat = &read.responses[1].propstats[0];
        assert_eq!((propstat.status, propstat.properties.len()), (403, 1));
        assert_eq!(propstat.description.as_deref(), Some("computed <here>"));
    }
}
