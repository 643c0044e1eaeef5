//! What lies above the drive: `/`, and the parents of the aliases.
//!
//! Explorer and GNOME Files look at every parent of a share and give up on a strange answer, so
//! these are collections, read-only and the same for everybody.

use bytes::Bytes;
use http::header::ALLOW;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use store::{Caller, Entry, Found, Kind, Node, NodeId, Path};

use crate::body::Body;
use crate::dispatch::Dav;
use crate::grammar::path::ResourcePath;
use crate::guard;
use crate::method::{get, propfind};
use crate::request::{Call, Target};
use crate::status::{Failure, refused};

pub(crate) const ALLOWED: HeaderValue = HeaderValue::from_static("OPTIONS, GET, HEAD, PROPFIND");

/// Answers a request that is about nothing in the drive.
pub(crate) async fn handle<B>(
    dav: &Dav,
    caller: &Caller,
    head: &Parts,
    body: &mut B,
) -> Result<Response<Body>, Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin + Send,
{
    let method = head.method.as_str();
    let path = head.uri.path();
    if method == "OPTIONS" && path == "*" {
        return Ok(Dav::options_for_anyone());
    }
    let path = ResourcePath::decode(path)?;
    let names = members(&dav.options().prefixes, &caller.username, &path);
    if names.is_empty() {
        return Err(refused(StatusCode::NOT_FOUND, "not found"));
    }
    let call = Call {
        dav,
        caller,
        head,
        target: Target {
            path: Path::root(),
            node: None,
            trailing_slash: true,
            base: path.encode().trim_end_matches('/').to_owned(),
        },
        share: None,
    };
    let node = collection(caller);
    let entry = |name: String| Entry {
        name: name.into(),
        node: node.clone(),
    };
    let members: Vec<Entry> = names.into_iter().map(entry).collect();
    match method {
        "OPTIONS" => {
            let mut answer = Dav::options_for_anyone();
            answer.headers_mut().insert(ALLOW, ALLOWED);
            Ok(answer)
        }
        "GET" | "HEAD" => Ok(get::index::of_fixed(&call, &node, &members)),
        "PROPFIND" => {
            let above = Vec::new();
            let body = guard::xml_body(body, call.dav.options().xml).await?;
            propfind::of_fixed(&call, &body, &Found { node, above }, &members).await
        }
        _ => {
            let refusal = refused(StatusCode::METHOD_NOT_ALLOWED, "nothing can be stored here");
            let mut answer = refusal.answer(None);
            answer.headers_mut().insert(ALLOW, ALLOWED);
            Ok(answer)
        }
    }
}

/// The next names on the way to a mount; the aliases do not show at the root.
fn members(prefixes: &[String], user: &str, path: &ResourcePath) -> Vec<String> {
    let shown = if path.is_root() { 1 } else { prefixes.len() };
    let mut found = Vec::new();
    for prefix in prefixes.iter().take(shown) {
        let mut names = prefix.split('/').filter(|name| !name.is_empty());
        let leads_here = path.segments().all(|segment| names.next() == Some(segment));
        let next = names
            .next()
            .map(|next| if next == "{user}" { user } else { next });
        if let Some(next) = next
            && leads_here
            && !found.iter().any(|name| name == next)
        {
            found.push(next.to_owned());
        }
    }
    found
}

/// A folder that never changes and has no place in the store.
pub(crate) fn collection(caller: &Caller) -> Node {
    Node {
        id: NodeId::try_from(&[0; 16][..]).expect("16 bytes"),
        drive: caller.drive,
        kind: Kind::Folder { child_number: 0 },
        size_bytes: 0,
        links: 1,
        property_count: 0,
        created_ns: 0,
        modified_ns: 0,
        attributes: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parent_of_a_mount_leads_to_it() {
        let prefixes = ["/dav", "/remote.php/dav/files/{user}", "/remote.php/webdav"];
        let prefixes = prefixes.map(str::to_owned);
        let of = |raw: &str| members(&prefixes, "alice", &ResourcePath::decode(raw).unwrap());
        assert_eq!(of("/"), ["dav"]);
        assert_eq!(of("/remote.php"), ["dav", "webdav"]);
        assert_eq!(of("/remote.php/dav/"), ["files"]);
        assert_eq!(of("/remote.php/dav/files"), ["alice"]);
        for nothing in [
            "/dav",
            "/x",
            "/remote.php/webdav",
            "/remote.php/dav/files/bob",
        ] {
            assert!(of(nothing).is_empty(), "{nothing}");
        }
    }
}
