//! Reads a `207 Multi-Status` independently of Coffer's own grammar, so that a fault there cannot
//! hide itself from the tests.

use anyhow::{Context, bail, ensure};
use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;

/// All responses, in the order they came.
#[derive(Debug, Clone)]
pub struct Multistatus {
    /// One for each resource.
    pub responses: Vec<Response>,
    /// The `sync-token` of a `sync-collection` report (RFC 6578 §6.4); empty elsewhere.
    pub sync_token: String,
}

/// What is said of one resource.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// As written, escapes included.
    pub href: String,
    /// The status of the resource as a whole, where the response has one.
    pub status: Option<u16>,
    /// All properties of all propstats.
    pub properties: Vec<Property>,
}

/// One property with the status of the propstat it stood in.
#[derive(Debug, Clone)]
pub struct Property {
    /// `{namespace}local`, for instance `{DAV:}getetag`.
    pub name: String,
    /// The status of its propstat.
    pub status: u16,
    /// The text below it, tags left out.
    pub text: String,
    /// The names of all elements below it, outermost first.
    pub elements: Vec<String>,
}

impl Multistatus {
    /// Parses a body.
    ///
    /// # Errors
    /// When it is not well-formed XML, its root is not `DAV:multistatus`, or a response lacks what
    /// RFC 4918 §14.24 demands: an href, and either a status or a propstat.
    pub fn parse(body: &[u8]) -> anyhow::Result<Self> {
        let text = std::str::from_utf8(body).context("not UTF-8")?;
        let mut reader = NsReader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let mut parsed = Reading::default();
        loop {
            let (namespace, event) = reader.read_resolved_event()?;
            match event {
                Event::Start(start) => {
                    let namespace = match namespace {
                        ResolveResult::Bound(namespace) => namespace.into_inner().to_owned(),
                        ResolveResult::Unbound => String::new(),
                        ResolveResult::Unknown(prefix) => bail!("undeclared prefix {prefix:?}"),
                    };
                    let local = start.local_name().into_inner().to_owned();
                    parsed.open(format!("{{{namespace}}}{local}"))?;
                }
                Event::End(_) => parsed.close()?,
                Event::Text(content) => parsed.text.push_str(&content.xml10_content()),
                Event::CData(content) => parsed.text.push_str(&content.xml10_content()),
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref()? {
                        Some(character) => character,
                        None => match &*reference.xml10_content() {
                            "lt" => '<',
                            "gt" => '>',
                            "amp" => '&',
                            "quot" => '"',
                            "apos" => '\'',
                            other => bail!("undeclared entity {other}"),
                        },
                    };
                    parsed.text.push(character);
                }
                Event::DocType(_) => bail!("a document type in an answer"),
                Event::Eof => break,
                _ => {}
            }
        }
        ensure!(parsed.seen_root, "no multistatus element");
        ensure!(parsed.path.is_empty(), "cut off inside {:?}", parsed.path);
        Ok(Self {
            responses: parsed.responses,
            sync_token: parsed.sync_token,
        })
    }

    /// The response whose href ends in `suffix`, compared as written.
    #[track_caller]
    pub fn response(&self, suffix: &str) -> &Response {
        self.responses
            .iter()
            .find(|response| response.href.ends_with(suffix))
            .unwrap_or_else(|| panic!("no response for {suffix} among {:?}", self.hrefs()))
    }

    /// The only response.
    #[track_caller]
    pub fn only(&self) -> &Response {
        assert_eq!(self.responses.len(), 1, "of {:?}", self.hrefs());
        &self.responses[0]
    }

    /// All hrefs as written.
    pub fn hrefs(&self) -> Vec<&str> {
        self.responses
            .iter()
            .map(|response| response.href.as_str())
            .collect()
    }
}

impl Response {
    /// The text of the `DAV:` property `local`; `None` unless its status is 200.
    pub fn dav(&self, local: &str) -> Option<&str> {
        self.property(&format!("{{DAV:}}{local}"))
            .filter(|property| property.status == 200)
            .map(|property| property.text.as_str())
    }

    /// The property `name`, written `{namespace}local`, whatever its status.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties
            .iter()
            .find(|property| property.name == name)
    }

    /// The status said of the property `name`; 0 when nothing is said.
    pub fn status_of(&self, name: &str) -> u16 {
        self.property(name).map_or(0, |property| property.status)
    }

    /// Whether `resourcetype` says `collection`.
    pub fn is_collection(&self) -> bool {
        self.property("{DAV:}resourcetype")
            .is_some_and(|kind| kind.elements.iter().any(|name| name == "{DAV:}collection"))
    }
}

#[derive(Default)]
struct Reading {
    path: Vec<String>,
    text: String,
    seen_root: bool,
    responses: Vec<Response>,
    pending: Vec<Property>,
    sync_token: String,
}

impl Reading {
    fn open(&mut self, name: String) -> anyhow::Result<()> {
        if self.path.is_empty() {
            ensure!(name == "{DAV:}multistatus", "the root is {name}");
            ensure!(!self.seen_root, "two roots");
            self.seen_root = true;
        }
        if self.inside_property() {
            if let Some(property) = self.pending.last_mut() {
                property.elements.push(name.clone());
            }
        } else {
            self.text.clear();
        }
        match (self.path.len(), name.as_str()) {
            (1, "{DAV:}response") => self.responses.push(Response::default()),
            (4, _) if self.path[3] == "{DAV:}prop" => self.pending.push(Property {
                name: name.clone(),
                status: 0,
                text: String::new(),
                elements: Vec::new(),
            }),
            _ => {}
        }
        self.path.push(name);
        Ok(())
    }

    fn close(&mut self) -> anyhow::Result<()> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let text = self.text.trim().to_owned();
        match path[1..] {
            ["{DAV:}response", "{DAV:}href"] => self.last()?.href = text,
            ["{DAV:}response", "{DAV:}status"] => self.last()?.status = Some(status(&text)?),
            ["{DAV:}response", "{DAV:}propstat", "{DAV:}prop", _] => {
                self.pending.last_mut().context("no property open")?.text = text;
            }
            ["{DAV:}response", "{DAV:}propstat", "{DAV:}status"] => {
                let status = status(&text)?;
                for property in &mut self.pending {
                    if property.status == 0 {
                        property.status = status;
                    }
                }
            }
            ["{DAV:}response", "{DAV:}propstat"] => {
                let properties = std::mem::take(&mut self.pending);
                ensure!(
                    properties.iter().all(|property| property.status != 0),
                    "a propstat without a status"
                );
                self.last()?.properties.extend(properties);
            }
            ["{DAV:}response"] => {
                let response = self.last()?;
                ensure!(!response.href.is_empty(), "a response without an href");
                ensure!(
                    response.status.is_some() || !response.properties.is_empty(),
                    "the response for {} has neither status nor properties",
                    response.href
                );
            }
            ["{DAV:}sync-token"] => self.sync_token = text,
            _ => {}
        }
        self.path.pop();
        Ok(())
    }

    fn last(&mut self) -> anyhow::Result<&mut Response> {
        self.responses.last_mut().context("outside of a response")
    }

    fn inside_property(&self) -> bool {
        self.path.len() >= 5 && self.path[3] == "{DAV:}prop"
    }
}

/// The code in `HTTP/1.1 404 Not Found`.
fn status(line: &str) -> anyhow::Result<u16> {
    line.split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .with_context(|| format!("no status line: {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_carry_the_status_of_their_propstat() {
        let body = br#"<?xml version="1.0"?><d:multistatus xmlns:d="DAV:"><d:response>
            <d:href>/dav/a%20b/</d:href>
            <d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype>
            <x:note xmlns:x="urn:x">a &amp; b</x:note></d:prop>
            <d:status>HTTP/1.1 200 OK</d:status></d:propstat>
            <d:propstat><d:prop><d:getetag/></d:prop>
            <d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>
            </d:response></d:multistatus>"#;
        let parsed = Multistatus::parse(body).unwrap();
        let response = parsed.only();
        assert!(response.is_collection());
        assert_eq!(response.property("{urn:x}note").unwrap().text, "a & b");
        assert_eq!(response.status_of("{DAV:}getetag"), 404);
        assert_eq!(response.dav("getetag"), None);
    }

    #[test]
    fn a_response_that_says_nothing_is_an_error() {
        let body =
            br#"<multistatus xmlns="DAV:"><response><href>/</href></response></multistatus>"#;
        assert!(Multistatus::parse(body).is_err());
        assert!(Multistatus::parse(b"<multistatus xmlns=\"DAV:\">").is_err());
    }
}
