//! PROPFIND (RFC 4918 §9.1).

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use store::{Entry, Found, NodeId, Property, PropertyNames};

use crate::body::Body;
use crate::dead::DeadProperties;
use crate::grammar::depth::{self, Depth};
use crate::grammar::error_body::Condition;
use crate::grammar::multistatus::Writer;
use crate::grammar::path::encode_into;
use crate::grammar::propfind;
use crate::guard;
use crate::listing::{self, Document};
use crate::property::{Facts, PREFIXES, Subject, Wanted, display_name, of_entry};
use crate::request::Call;
use crate::shares;
use crate::status::{Failure, XML};

/// Room for an entry of a usual listing.
const ENTRY_BYTES: usize = 700;

/// Answers with the properties of the target and, at depth 1, of its members.
pub(crate) async fn handle<B>(call: &Call<'_>, body: &mut B) -> Result<Response<Body>, Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let body = guard::xml_body(body, call.dav.options().xml).await?;
    let (wanted, depth) = question(call, &body)?;
    let (store, path) = (call.store(), &call.target.path);
    // Without a Depth a client means a folder's members, whatever the RFC says.
    let (found, first) = if depth == Some(Depth::Zero) {
        (store.find(call.caller, path).await?, None)
    } else {
        store.find_with_members(call.caller, path).await?.unzip()
    };
    let found = found.ok_or(store::Error::NotFound)?;
    if let Some(preconditions) = call.read_conditions()? {
        call.require(&preconditions, Some(&found)).await?;
    }
    let shares = if first.is_some() {
        shares::as_entry(call).await?
    } else {
        None
    };
    let mut facts = Facts::gather(call, &wanted).await?;
    let node = &found.node;
    facts.see(store, node, std::iter::empty()).await?;
    let mut dead = DeadProperties::new(wanted.dead());
    let dead = dead.of(store, node, std::iter::empty()).await?;
    let mut multistatus = Multistatus::begin(call, &found, wanted, facts);
    multistatus.target(call, &found, &dead);
    if let Some(shares) = &shares {
        multistatus.entry(shares, &[]);
    }
    let body = match first {
        Some(first) if node.is_folder() => {
            listing::body(store, node.id, Arc::unwrap_or_clone(first), multistatus).await?
        }
        _ => {
            multistatus.end();
            Body::full(multistatus.take())
        }
    };
    Ok(answer(body))
}

/// Answers for a collection that is not in the store, with its members.
pub(crate) async fn of_fixed(
    call: &Call<'_>,
    body: &[u8],
    found: &Found,
    members: &[Entry],
) -> Result<Response<Body>, Failure> {
    let (wanted, depth) = question(call, body)?;
    let facts = Facts::gather(call, &wanted).await?.above_the_drive();
    let mut multistatus = Multistatus::begin(call, found, wanted, facts);
    multistatus.target(call, found, &[]);
    if depth != Some(Depth::Zero) {
        for member in members {
            multistatus.entry(member, &[]);
        }
    }
    multistatus.end();
    Ok(answer(Body::full(multistatus.take())))
}

/// Answers for the folder of what others share, with the things in it and whether they may be
/// written.
pub(crate) async fn of_shares(
    call: &Call<'_>,
    body: &[u8],
    found: &Found,
    members: &[(Entry, bool)],
) -> Result<Response<Body>, Failure> {
    let (wanted, depth) = question(call, body)?;
    let mut dead = DeadProperties::new(wanted.dead());
    let facts = Facts::gather(call, &wanted).await?.of_others();
    let mut multistatus = Multistatus::begin(call, found, wanted, facts);
    multistatus.target(call, found, &[]);
    if depth != Some(Depth::Zero) {
        for (at, (member, may_write)) in members.iter().enumerate() {
            multistatus.facts.may_write(*may_write);
            let next = members[at + 1..].iter().map(|(entry, _)| &entry.node);
            let dead = dead.of(call.store(), &member.node, next).await?;
            multistatus.entry(member, &dead);
        }
    }
    multistatus.end();
    Ok(answer(Body::full(multistatus.take())))
}

fn question(call: &Call<'_>, body: &[u8]) -> Result<(Wanted, Option<Depth>), Failure> {
    let wanted = Wanted::new(propfind::parse(body, call.dav.options().xml)?);
    match depth::parse(call.headers())? {
        Some(Depth::Infinity) => Err(Failure::Refused {
            status: StatusCode::FORBIDDEN,
            condition: Some(Condition::PropfindFiniteDepth),
            text: "PROPFIND of infinite depth is not served",
        }),
        // Asked for nothing in particular of one resource, clients look for the free space
        // (npm's webdav); allprop by itself does not hold it (RFC 4331 §2).
        Some(Depth::Zero) if body.is_empty() => Ok((wanted.with_quota(), Some(Depth::Zero))),
        depth => Ok((wanted, depth)),
    }
}

/// A 207 with this body.
pub(crate) fn answer(body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::MULTI_STATUS;
    answer.headers_mut().insert(CONTENT_TYPE, XML);
    answer
}

/// The document, with what its entries share.
struct Multistatus {
    writer: Option<Writer>,
    ended: Vec<u8>,
    wanted: Wanted,
    facts: Facts,
    /// The folder's escaped path, with a slash at its end.
    folder_href: Vec<u8>,
    /// The nodes above a member, from the caller's root down.
    chain: Vec<NodeId>,
    missing: Vec<usize>,
}

impl Multistatus {
    fn begin(call: &Call<'_>, found: &Found, wanted: Wanted, facts: Facts) -> Self {
        let mut folder_href = Vec::new();
        call.target.write_href(&mut folder_href, true);
        let mut chain = found.above.clone();
        chain.push(found.node.id);
        Self {
            writer: Some(Writer::begin(2 * ENTRY_BYTES, PREFIXES)),
            ended: Vec::new(),
            wanted,
            facts,
            folder_href,
            chain,
            missing: Vec::new(),
        }
    }

    fn target(&mut self, call: &Call<'_>, found: &Found, dead: &[Property]) {
        let Some(writer) = &mut self.writer else {
            return;
        };
        let name: Arc<str> = display_name(call);
        let subject = Subject {
            node: &found.node,
            name: &name,
            is_root: call.target.path.is_root(),
            chain: &found.above,
            dead,
            facts: &self.facts,
        };
        writer.response_open(&call.target.href(found.node.is_folder()));
        self.wanted.answer(writer, &subject, &mut self.missing);
    }
}

impl Document for Multistatus {
    fn dead(&self) -> Option<PropertyNames> {
        self.wanted.dead()
    }

    fn facts(&mut self) -> Option<&mut Facts> {
        Some(&mut self.facts)
    }

    fn entry(&mut self, entry: &Entry, dead: &[Property]) {
        let Some(writer) = &mut self.writer else {
            return;
        };
        writer.open("D:response");
        writer.open("D:href");
        let out = writer.buffer();
        out.extend_from_slice(&self.folder_href);
        encode_into(out, &entry.name);
        if entry.node.is_folder() {
            out.push(b'/');
        }
        writer.close("D:href");
        let subject = of_entry(entry, &self.chain, dead, &self.facts);
        self.wanted.answer(writer, &subject, &mut self.missing);
    }

    fn len(&self) -> usize {
        self.writer.as_ref().map_or(self.ended.len(), Writer::len)
    }

    fn take(&mut self) -> Vec<u8> {
        match &mut self.writer {
            Some(writer) => writer.take(),
            None => std::mem::take(&mut self.ended),
        }
    }

    fn end(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.ended = writer.end();
        }
    }
}
