//! Reading 207 Multi-Status bodies (RFC 4918 §13): for our own mount client and for tests.
//!
//! One response at a time becomes a tree, so a listing of any length stays within the limits on
//! depth, attributes and namespaces.

use super::xml::{Element, Event, Limits, Name, Puller, XmlError};

/// A whole multistatus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multistatus {
    /// One per resource, in the server's order.
    pub responses: Vec<Response>,
    /// The state reported (RFC 6578 §6.4).
    pub sync_token: Option<String>,
}

/// What is said of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// As the server wrote them: at least one; more only beside `status`. Whoever follows one must
    /// decode and confine it as it would a request target.
    pub hrefs: Vec<String>,
    /// Status of the resource, when there are no properties.
    pub status: Option<u16>,
    /// Properties by status.
    pub propstats: Vec<Propstat>,
    /// `DAV:error`.
    pub error: Option<Element>,
}

/// Properties that share a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Propstat {
    /// 200 when they are as given.
    pub status: u16,
    /// The properties.
    pub properties: Vec<Element>,
    /// `DAV:error`.
    pub error: Option<Element>,
    /// `DAV:responsedescription`.
    pub description: Option<String>,
}

impl Response {
    /// The first href.
    pub fn href(&self) -> &str {
        self.hrefs.first().map_or("", String::as_str)
    }

    /// A property that was found.
    pub fn property(&self, name: &Name) -> Option<&Element> {
        self.propstats
            .iter()
            .filter(|propstat| (200..300).contains(&propstat.status))
            .flat_map(|propstat| &propstat.properties)
            .find(|property| property.name == *name)
    }
}

/// Reads a body.
///
/// # Errors
/// [`XmlError`]; [`XmlError::Unexpected`] for another root, a response without href, or a status
/// that is none.
pub fn read(body: &[u8], limits: Limits) -> Result<Multistatus, XmlError> {
    let mut puller = Puller::new(body, limits)?;
    match puller.next()? {
        Some(Event::Start(root)) if root.name.is_dav("multistatus") => {}
        _ => return Err(XmlError::Unexpected("the root is not DAV:multistatus")),
    }
    let mut responses = Vec::new();
    let mut sync_token = None;
    while let Some(event) = puller.next()? {
        let Event::Start(start) = event else { continue };
        let child = puller.subtree(start)?;
        if child.name.is_dav("response") {
            responses.push(response(child)?);
        } else if child.name.is_dav("sync-token") {
            sync_token = Some(child.text().trim().to_owned());
        }
    }
    Ok(Multistatus {
        responses,
        sync_token,
    })
}

fn response(element: Element) -> Result<Response, XmlError> {
    let mut response = Response {
        hrefs: Vec::new(),
        status: None,
        propstats: Vec::new(),
        error: None,
    };
    for child in element
        .into_elements()
        .filter(|child| child.name.namespace == "DAV:")
    {
        match child.name.local.as_ref() {
            "href" => response.hrefs.push(child.text().trim().to_owned()),
            "status" => response.status = Some(status(&child)?),
            "propstat" => response.propstats.push(propstat(child)?),
            "error" => response.error = Some(child),
            _ => {}
        }
    }
    if response.hrefs.is_empty() {
        return Err(XmlError::Unexpected("a response without href"));
    }
    Ok(response)
}

fn propstat(element: Element) -> Result<Propstat, XmlError> {
    let mut code = None;
    let (mut properties, mut error, mut description) = (Vec::new(), None, None);
    for child in element
        .into_elements()
        .filter(|child| child.name.namespace == "DAV:")
    {
        match child.name.local.as_ref() {
            "prop" => properties.extend(child.into_elements()),
            "status" => code = Some(status(&child)?),
            "error" => error = Some(child),
            "responsedescription" => description = Some(child.text().into_owned()),
            _ => {}
        }
    }
    let status = code.ok_or(XmlError::Unexpected("a propstat without status"))?;
    Ok(Propstat {
        status,
        properties,
        error,
        description,
    })
}

/// The code in `HTTP/1.1 200 OK`.
fn status(element: &Element) -> Result<u16, XmlError> {
    let text = element.text();
    let mut words = text.split_ascii_whitespace();
    let version = words.next().filter(|word| word.starts_with("HTTP/"));
    version
        .and_then(|_| words.next())
        .filter(|code| code.len() == 3)
        .and_then(|code| code.parse().ok())
        .filter(|code| (100..600).contains(code))
        .ok_or(XmlError::Unexpected("a status that is none"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_rfcs() {
        // RFC 4918 §9.6.2, with a second href as §14.24 allows.
        let body = br#"<?xml version="1.0" encoding="utf-8" ?>
            <d:multistatus xmlns:d="DAV:"><d:response>
              <d:href>http://www.example.com/container/resource3</d:href><d:href>/x</d:href>
              <d:status>HTTP/1.1 423 Locked</d:status>
              <d:error><d:lock-token-submitted/></d:error>
            </d:response></d:multistatus>"#;
        let read_back = read(body, Limits::ANSWER).unwrap();
        let response = &read_back.responses[0];
        assert_eq!(
            response.hrefs,
            ["http://www.example.com/container/resource3", "/x"]
        );
        assert_eq!(response.status, Some(423));

        // RFC 6578 §3.8, shortened.
        let body = br#"<multistatus xmlns="DAV:"><response><href>/a</href><propstat>
              <prop><getetag>"1"</getetag></prop><status>HTTP/1.1 200 OK</status></propstat>
              <propstat><prop><R:bigbox xmlns:R="urn:b"/></prop>
              <status>HTTP/1.1 404 Not Found</status></propstat></response>
              <response><href>/b</href><status>HTTP/1.1 404 Not Found</status></response>
              <sync-token>http://example.com/sync/1234</sync-token></multistatus>"#;
        let read_back = read(body, Limits::ANSWER).unwrap();
        assert_eq!(
            read_back.sync_token.as_deref(),
            Some("http://example.com/sync/1234")
        );
        let first = &read_back.responses[0];
        assert_eq!(
            first.property(&Name::dav("getetag")).unwrap().text(),
            "\"1\""
        );
        assert_eq!(first.property(&Name::new("urn:b", "bigbox")), None);
        assert_eq!(read_back.responses[1].status, Some(404));
    }

    #[test]
    fn long_listings_are_read_and_broken_ones_refused() {
        let one = "<response><href>/a</href><status>HTTP/1.1 200 OK</status></response>";
        let body = format!(
            "<multistatus xmlns='DAV:'>{}</multistatus>",
            one.repeat(1000)
        );
        assert_eq!(
            read(body.as_bytes(), Limits::ANSWER)
                .unwrap()
                .responses
                .len(),
            1000
        );
        for inner in [
            "<response/>",
            "<response><href>/a</href><status>200</status></response>",
            "<response><href>/a</href><status>HTTP/1.1 999 x</status></response>",
            "<response><href>/a</href><propstat><prop/></propstat></response>",
            "<response><href>/a</href>",
        ] {
            let body = format!("<multistatus xmlns='DAV:'>{inner}</multistatus>");
            assert!(read(body.as_bytes(), Limits::ANSWER).is_err(), "{inner}");
        }
        assert!(read(b"", Limits::ANSWER).is_err());
        assert!(read(b"<html/>", Limits::ANSWER).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&body, Limits::ANSWER);
        }
    }
}
