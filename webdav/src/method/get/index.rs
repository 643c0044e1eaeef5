//! A folder for people with a browser: the names in it, as links.
//!
//! It shows nothing else, so that the folder's entity tag, which changes with its membership, is
//! the tag of this page too.

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Response};
use store::{Entry, Node, Property, PropertyNames};

use super::{write_protection, write_validators};
use crate::body::Body;
use crate::grammar::path::encode_into;
use crate::grammar::xml::escape_text;
use crate::listing::{self, Document};
use crate::property::display_name;
use crate::request::Call;
use crate::shares;
use crate::status::Failure;

/// The links work, nothing else does.
const POLICY: &str =
    "sandbox allow-downloads allow-top-navigation-by-user-activation; default-src 'none'";

/// The index of a folder.
pub(super) async fn answer(
    call: &Call<'_>,
    folder: &Node,
    is_head: bool,
) -> Result<Response<Body>, Failure> {
    let body = if is_head {
        Body::Empty
    } else {
        let first = call.store().list(folder.id, None).await?;
        let mut index = Index::begin(call);
        if let Some(shares) = shares::as_entry(call).await? {
            index.entry(&shares, &[]);
        }
        listing::body(call.store(), folder.id, first, index).await?
    };
    Ok(page(folder, body))
}

/// The index of a collection that is not in the store.
pub(crate) fn of_fixed(call: &Call<'_>, folder: &Node, members: &[Entry]) -> Response<Body> {
    let mut index = Index::begin(call);
    for member in members {
        index.entry(member, &[]);
    }
    index.end();
    page(folder, Body::full(index.out))
}

fn page(folder: &Node, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    write_validators(folder, headers);
    write_protection(headers);
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    answer
}

struct Index {
    out: Vec<u8>,
    /// The folder's escaped path, with a slash at its end.
    folder_href: Vec<u8>,
}

impl Index {
    fn begin(call: &Call<'_>) -> Self {
        let mut folder_href = Vec::new();
        call.target.write_href(&mut folder_href, true);
        let mut out = Vec::with_capacity(4096);
        let name = display_name(call);
        out.extend_from_slice(
            b"<!doctype html><html><head><meta charset=\"utf-8\">\
              <meta name=\"viewport\" content=\"width=device-width\"><title>",
        );
        escape_text(&mut out, &name);
        out.extend_from_slice(b"</title></head><body><h1>");
        escape_text(&mut out, &name);
        out.extend_from_slice(b"</h1><ul>");
        if let Some(parent) = call.target.path.parent() {
            let mut above = call.target.clone();
            above.path = parent;
            let mut href = Vec::new();
            above.write_href(&mut href, true);
            link(&mut out, &href, "..");
        } else if call.share.is_some()
            && let Some((above, _)) = call.target.base.rsplit_once('/')
        {
            link(&mut out, format!("{above}/").as_bytes(), "..");
        }
        Self { out, folder_href }
    }
}

/// The escaped form of a path needs no further escape in an attribute.
fn link(out: &mut Vec<u8>, href: &[u8], text: &str) {
    out.extend_from_slice(b"\n<li><a href=\"");
    out.extend_from_slice(href);
    out.extend_from_slice(b"\">");
    escape_text(out, text);
    out.extend_from_slice(b"</a></li>");
}

impl Document for Index {
    fn dead(&self) -> Option<PropertyNames> {
        None
    }

    fn entry(&mut self, entry: &Entry, _dead: &[Property]) {
        let length = self.folder_href.len();
        encode_into(&mut self.folder_href, &entry.name);
        if entry.node.is_folder() {
            self.folder_href.push(b'/');
            link(
                &mut self.out,
                &self.folder_href,
                &format!("{}/", entry.name),
            );
        } else {
            link(&mut self.out, &self.folder_href, &entry.name);
        }
        self.folder_href.truncate(length);
    }

    fn len(&self) -> usize {
        self.out.len()
    }

    fn take(&mut self) -> Vec<u8> {
        let capacity = self.out.capacity();
        std::mem::replace(&mut self.out, Vec::with_capacity(capacity))
    }

    fn end(&mut self) {
        self.out.extend_from_slice(b"\n</ul></body></html>\n");
    }
}
