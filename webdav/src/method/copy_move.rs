//! COPY and MOVE (RFC 4918 §9.8, §9.9): one transaction each, whatever the size of the tree.
//!
//! Into a share and out of it only COPY leads: who owns the target is charged for it, and nobody
//! takes away what another owns.

use http::header::ETAG;
use http::{HeaderValue, Response, StatusCode};
use store::{Destination, Error, TransferOptions};

use super::delete::require_shape;
use super::put::oc_mtime;
use crate::body::Body;
use crate::grammar::depth::{self, Depth};
use crate::grammar::overwrite;
use crate::request::Call;
use crate::status::{Failure, refused};

/// Answers COPY.
pub(crate) async fn copy(call: &Call<'_>) -> Result<Response<Body>, Failure> {
    let depth = depth::parse(call.headers())?.unwrap_or(Depth::Infinity);
    if depth == Depth::One {
        let text = "a copy is of depth 0 or infinity";
        return Err(refused(StatusCode::BAD_REQUEST, text));
    }
    require_shape(call, true).await?;
    transfer(call, depth == Depth::Zero, false).await
}

/// Answers MOVE.
pub(crate) async fn move_tree(call: &Call<'_>) -> Result<Response<Body>, Failure> {
    let depth = depth::parse(call.headers())?.unwrap_or(Depth::Infinity);
    require_shape(call, depth == Depth::Infinity).await?;
    transfer(call, false, true).await
}

async fn transfer(call: &Call<'_>, shallow: bool, moves: bool) -> Result<Response<Body>, Failure> {
    // A trailing slash there says nothing: litmus copies a file over `coll/`, and may.
    let to = Destination::Path(call.destination()?.path);
    let modified_ns = oc_mtime(call.headers())?;
    let options = TransferOptions {
        overwrite: overwrite::parse(call.headers())?,
        shallow,
        modified_ns,
    };
    let (store, caller, from) = (call.store(), call.caller, &call.target.path);
    let condition = call.condition()?;
    if moves && from.is_root() {
        return Err(Error::Protected.into());
    }
    let source = call.reached();
    let (reached, to) = store.reach_destination(call.asker(), &source, to).await?;
    let done = match (reached.is_with(&source), moves) {
        (true, true) => store.move_tree(caller, from, to, options, condition).await,
        (true, false) => store.copy_tree(caller, from, to, options, condition).await,
        (false, true) => {
            let text = "what is moved into or out of a share is copied and then deleted";
            return Err(refused(StatusCode::BAD_GATEWAY, text));
        }
        (false, false) => {
            let to_caller = &reached.caller;
            let copied = store.copy_across(caller, from, to_caller, to, options, condition);
            copied.await
        }
    };
    // What `Overwrite: F` forbids is a failed precondition here (RFC 4918 §9.8.5).
    let done = done.map_err(|error| match error {
        Error::AlreadyExists => Error::PreconditionFailed,
        other => other,
    })?;
    let mut answer = Response::new(Body::Empty);
    *answer.status_mut() = if done.created {
        StatusCode::CREATED
    } else {
        StatusCode::NO_CONTENT
    };
    let headers = answer.headers_mut();
    let etag = HeaderValue::try_from(done.node.etag());
    headers.insert(ETAG, etag.expect("an entity tag of ours is ASCII"));
    if modified_ns.is_some() {
        headers.insert("x-oc-mtime", HeaderValue::from_static("accepted"));
    }
    Ok(answer)
}
