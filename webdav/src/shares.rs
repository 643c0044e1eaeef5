//! `Shared with me`: what others share, as one more folder in the drive of its receiver.
//!
//! The folder itself is in no table and cannot be changed. Whatever lies below it is answered by the
//! same methods as everything else, for the caller that was derived from what was granted; hrefs
//! stay below the folder, since they begin with what the client wrote.

use bytes::Bytes;
use http::header::ALLOW;
use http::request::Parts;
use http::{Response, StatusCode};
use store::{Caller, Entry, Error, Found, Kind, Node, Path, Reach, Right, SHARED, Store};

use crate::above;
use crate::body::Body;
use crate::dispatch::{Dav, dispatch, not_ours};
use crate::grammar::error_body::Condition;
use crate::grammar::path::encode_into;
use crate::guard;
use crate::method::{get, propfind};
use crate::request::{Call, Share, Target};
use crate::status::{Failure, refused};

/// Shares that are read at a time.
const PART: u32 = 1000;

/// Answers a request about the folder or about something below it.
pub(crate) async fn handle<B>(
    dav: &Dav,
    caller: &Caller,
    head: &Parts,
    body: &mut B,
    target: Target,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Unpin + Send,
    B::Error: std::fmt::Display,
{
    let asked = store::Target::Path(target.path.clone());
    let answer = match dav.store().reach(caller, &asked).await {
        Ok(Some(Reach::Drive(reached))) => {
            let depth = reached.base.depth();
            let mut base = target.base.into_bytes();
            for name in reached.base.names() {
                base.push(b'/');
                encode_into(&mut base, name.as_str());
            }
            let call = Call {
                dav,
                caller: &reached.caller,
                head,
                target: Target {
                    path: target.path.below(depth),
                    base: String::from_utf8(base).expect("the escaped form is ASCII"),
                    ..target
                },
                share: Some(Share {
                    asker: caller,
                    base: reached.base.clone(),
                }),
            };
            return dispatch(&call, body)
                .await
                .unwrap_or_else(|failure| failure.answer(Some(&call)));
        }
        Ok(Some(Reach::Shares)) => {
            let call = Call {
                dav,
                caller,
                head,
                target,
                share: None,
            };
            folder(&call, body).await
        }
        Ok(None) => nothing(head, &target.path),
        Err(error) => Err(error.into()),
    };
    answer.unwrap_or_else(|failure| failure.answer(None))
}

/// The folder itself: it can be looked at by whom something is shared with.
async fn folder<B>(call: &Call<'_>, body: &mut B) -> Result<Response<Body>, Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin + Send,
{
    match call.head.method.as_str() {
        "OPTIONS" => {
            let mut answer = Dav::options_for_anyone();
            answer.headers_mut().insert(ALLOW, above::ALLOWED);
            Ok(answer)
        }
        "GET" | "HEAD" => {
            let (node, members) = listed(call).await?;
            let members: Vec<Entry> = members.into_iter().map(|(entry, _)| entry).collect();
            Ok(get::index::of_fixed(call, &node, &members))
        }
        "PROPFIND" => {
            let body = guard::xml_body(body, call.dav.options().xml).await?;
            let (node, members) = listed(call).await?;
            let above = Vec::new();
            propfind::of_shares(call, &body, &Found { node, above }, &members).await
        }
        "REPORT" => Err(Failure::Refused {
            status: StatusCode::FORBIDDEN,
            condition: Some(Condition::SupportedReport),
            text: "there is no such report here",
        }),
        method if writes(method) => Err(Error::Protected.into()),
        method => Err(not_ours(method)),
    }
}

/// Where nothing is shared under that name. Shares cannot be made by whom they are for.
fn nothing(head: &Parts, path: &Path) -> Result<Response<Body>, Failure> {
    match head.method.as_str() {
        "OPTIONS" => Ok(Dav::options_for_anyone()),
        "PUT" | "MKCOL" | "LOCK" if path.depth() > 2 => Err(Error::ParentMissing.into()),
        "PUT" | "MKCOL" | "LOCK" => Err(refused(
            StatusCode::FORBIDDEN,
            "what is here comes from those who share it",
        )),
        method if writes(method) || matches!(method, "GET" | "HEAD" | "PROPFIND" | "REPORT") => {
            Err(Error::NotFound.into())
        }
        method => Err(not_ours(method)),
    }
}

fn writes(method: &str) -> bool {
    matches!(
        method,
        "PUT"
            | "PATCH"
            | "PROPPATCH"
            | "DELETE"
            | "COPY"
            | "MOVE"
            | "MKCOL"
            | "LOCK"
            | "UNLOCK"
            | "BIND"
    )
}

/// The folder and what is in it, each with whether it may be written.
async fn listed(call: &Call<'_>) -> Result<(Node, Vec<(Entry, bool)>), Failure> {
    let (node, members) = all(call.store(), call.caller).await?;
    match node {
        Some(node) => Ok((node, members)),
        None => Err(Error::NotFound.into()),
    }
}

/// The folder as an entry of the drive's root; none while nothing is shared.
///
/// # Errors
/// Those of the database.
pub(crate) async fn as_entry(call: &Call<'_>) -> store::Result<Option<Entry>> {
    let (store, caller) = (call.store(), call.caller);
    if !call.target.path.is_root() || !store.has_shares(caller).await? {
        return Ok(None);
    }
    let (node, _) = all(store, caller).await?;
    Ok(node.map(|node| Entry {
        name: SHARED.into(),
        node,
    }))
}

async fn all(store: &Store, caller: &Caller) -> store::Result<(Option<Node>, Vec<(Entry, bool)>)> {
    let mut members: Vec<(Entry, bool)> = Vec::new();
    let mut tag = Tag::default();
    let mut after = None;
    loop {
        let part = store.shares(caller, after.take(), PART).await?;
        let is_last = part.len() < PART as usize;
        after = part.last().map(|share| share.name.nfc().to_owned());
        for share in part {
            tag.add(share.id.as_bytes());
            tag.add(share.name.as_str().as_bytes());
            let entry = Entry {
                name: share.name.as_str().into(),
                node: share.node,
            };
            members.push((entry, share.right == Right::Write && !caller.read_only));
        }
        if is_last {
            break;
        }
    }
    let node = (!members.is_empty()).then(|| Node {
        kind: Kind::Folder {
            child_number: tag.number(),
        },
        ..above::collection(caller)
    });
    Ok((node, members))
}

/// Stands for a set of shares in an entity tag (FNV-1a).
struct Tag(u64);

impl Default for Tag {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Tag {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn number(&self) -> i64 {
        i64::try_from(self.0 >> 1).expect("63 bits")
    }
}
