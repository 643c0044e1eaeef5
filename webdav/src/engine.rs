//! dav-server, unmodified, for OPTIONS, MKCOL, LOCK and UNLOCK (`docs/decisions/0001`).
//!
//! It decides in which order things are asked and done; what it is asked with and what comes of
//! it are ours. A request goes in with its words in one canonical spelling (path, `Depth`, token,
//! body) and without its conditions: those travel in the [`context`], and the store asks them
//! inside the transaction that makes the change. Whatever the store says there, refusals that
//! dav-server has no word for among them, is written down in the context and becomes the answer.

#[cfg(test)]
mod comparison;
mod context;
mod file;
mod file_system;
mod lock_system;
mod meta_data;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use dav_server::DavHandler;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use store::{Lock, Node, Path, Via};

use self::context::{Context, Credentials, Outcome, Wish};
use self::file_system::FileSystem;
use self::lock_system::LockSystem;
use crate::body::Body;
use crate::dispatch::Dav;
use crate::grammar::depth::{self, Depth};
use crate::grammar::error_body::Condition;
use crate::grammar::lockinfo::{self, ActiveLock, Scope};
use crate::grammar::path::encode_into;
use crate::grammar::{lock_token, timeout};
use crate::guard;
use crate::request::Call;
use crate::status::{ALLOWED, Failure, XML, refused};

/// What this server knows of WebDAV (RFC 4918 §18, RFC 5842 §8.1, RFC 6578 §3.1, SabreDAV's PATCH,
/// and [`attributes`](crate::grammar::attributes)).
const CLASSES: &str = "1, 2, 3, bind, sync-collection, sabredav-partialupdate, coffer-attributes";
/// Likewise in what others share, where only the owner gives names.
const CLASSES_OF_OTHERS: &str =
    "1, 2, 3, sync-collection, sabredav-partialupdate, coffer-attributes";
/// The types of body that PATCH takes (RFC 5789 §3.1).
const PATCHES: &str = "multipart/byteranges, application/x-sabredav-partialupdate";
/// Longest `DAV:owner`, as XML: every listing of the locked resource repeats it.
const MOST_OWNER_BYTES: usize = 1 << 10;

// PUT and MKCOL on a folder itself are 405, yet they are listed: clients ask a folder whether they
// may write in it.
const ALLOWED_ROOT: &str =
    "OPTIONS, GET, HEAD, PUT, MKCOL, COPY, PROPFIND, PROPPATCH, LOCK, UNLOCK, REPORT, BIND";
const ALLOWED_FOLDER: &str = "OPTIONS, GET, HEAD, PUT, DELETE, MKCOL, COPY, MOVE, PROPFIND, \
     PROPPATCH, LOCK, UNLOCK, REPORT, BIND";
const ALLOWED_FILE: &str =
    "OPTIONS, GET, HEAD, PUT, PATCH, DELETE, COPY, MOVE, PROPFIND, PROPPATCH, LOCK, UNLOCK";
const ALLOWED_SHARED_FILE: &str =
    "OPTIONS, GET, HEAD, PUT, PATCH, COPY, PROPFIND, PROPPATCH, LOCK, UNLOCK";
const ALLOWED_NOWHERE: &str = "OPTIONS, PUT, MKCOL, LOCK";

impl Dav {
    /// The answer to OPTIONS where nobody has logged in, and on `/` and `*`: clients ask this
    /// before anything else, and some give up on a 401.
    pub fn options_for_anyone() -> Response<Body> {
        describe(ALLOWED)
    }
}

/// OPTIONS: 200 whether something is there or not.
pub(crate) async fn options(call: &Call<'_>) -> Result<Response<Body>, Failure> {
    let (status, outcome) = delegate(call, canonical(call), None).await?;
    accepted(status)?;
    let allowed = match &outcome.node {
        None => ALLOWED_NOWHERE,
        Some(node) if call.target.path.is_root() && node.is_folder() => ALLOWED_ROOT,
        Some(_) if call.target.path.is_root() => ALLOWED_SHARED_FILE,
        Some(node) if node.is_folder() => ALLOWED_FOLDER,
        Some(_) => ALLOWED_FILE,
    };
    let mut answer = describe(allowed);
    if call.caller.via != Via::Own {
        let headers = answer.headers_mut();
        headers.insert("dav", HeaderValue::from_static(CLASSES_OF_OTHERS));
        if let Some(allowed) = allowed.strip_suffix(", BIND") {
            headers.insert(ALLOW, HeaderValue::from_static(allowed));
        }
    }
    // Of files alone, yet clients ask the drive's root what its files take.
    let partial = HeaderValue::from_static(PATCHES);
    answer.headers_mut().insert("accept-patch", partial);
    Ok(answer)
}

/// MKCOL (RFC 4918 §9.3). We know no body for it: any is 415.
pub(crate) async fn make_collection<B>(
    call: &Call<'_>,
    body: &mut B,
) -> Result<Response<Body>, Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let request = canonical(call).map(|_| Full::new(Bytes::new()));
    let request = match beginning(body).await? {
        Some(bytes) => request.map(|_| Full::new(bytes)),
        None => request,
    };
    let (status, _) = delegate(call, request, None).await?;
    accepted(status)?;
    Ok(empty(status))
}

/// LOCK (RFC 4918 §9.10): a new lock, or without a body the refresh of one.
pub(crate) async fn lock<B>(call: &Call<'_>, body: &mut B) -> Result<Response<Body>, Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let body = guard::xml_body(body, call.dav.options().xml).await?;
    let info = lockinfo::parse(&body, call.dav.options().xml)?;
    let mut wish = Wish {
        // 128 unpredictable bits: knowing the token is what proves holding the lock.
        token: lock_token::from_random(call.dav.options().world.bytes()),
        owner_xml: None,
        // A wish that nobody understands is none: the server chooses (RFC 4918 §10.7).
        timeout: timeout::parse(call.headers()).unwrap_or(None),
    };
    let Some(info) = info else {
        return refresh(call, wish).await;
    };
    wish.owner_xml = info.owner.map(|owner| owner.to_xml());
    if wish
        .owner_xml
        .as_ref()
        .is_some_and(|owner| owner.len() > MOST_OWNER_BYTES)
    {
        let text = "the owner of a lock cannot be longer than 1024 bytes";
        return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    let mut request = canonical(call).map(|_| lock_info(info.scope));
    let depth = depth::parse(call.headers())?.unwrap_or(Depth::Infinity);
    let depth = HeaderValue::from_static(depth.as_str());
    request.headers_mut().insert("depth", depth);
    let (status, outcome) = delegate(call, request, Some(wish)).await?;
    accepted(status)?;
    let node = outcome.node;
    let (lock, created) = outcome.lock.ok_or_else(unanswered)?;
    let mut answer = lock_answer(call, &lock, node.as_ref());
    if created {
        *answer.status_mut() = StatusCode::CREATED;
    }
    let token = HeaderValue::try_from(format!("<{}>", lock.token));
    let token = token.expect("a token of ours is ASCII");
    answer.headers_mut().insert("lock-token", token);
    Ok(answer)
}

async fn refresh(call: &Call<'_>, wish: Wish) -> Result<Response<Body>, Failure> {
    let condition = call.condition()?;
    // dav-server wants to see one token, in `If`; the store looks at all of them.
    let Some(token) = condition.lock_tokens.first() else {
        let text = "a LOCK without a body refreshes the lock whose token stands in the If header";
        return Err(refused(StatusCode::BAD_REQUEST, text));
    };
    let token = HeaderValue::try_from(format!("(<{token}>)"));
    let token = token.expect("the grammar lets only visible ASCII pass");
    let mut request = canonical(call);
    request.headers_mut().insert("if", token);
    let refreshed = delegate(call, request, Some(wish)).await;
    let (status, outcome) = refreshed.map_err(|failure| match failure {
        Failure::Store(store::Error::PreconditionFailed) => Failure::Refused {
            status: StatusCode::PRECONDITION_FAILED,
            condition: Some(Condition::LockTokenMatchesRequestUri),
            text: "the token is not that of a live lock here",
        },
        other => other,
    })?;
    accepted(status)?;
    let (lock, _) = outcome.lock.ok_or_else(unanswered)?;
    Ok(lock_answer(call, &lock, outcome.node.as_ref()))
}

/// UNLOCK (RFC 4918 §9.11).
pub(crate) async fn unlock(call: &Call<'_>) -> Result<Response<Body>, Failure> {
    let token = lock_token::parse(call.headers())?.ok_or(refused(
        StatusCode::BAD_REQUEST,
        "the Lock-Token header is missing",
    ))?;
    let token = HeaderValue::try_from(format!("<{token}>"));
    let token = token.expect("the grammar lets only visible ASCII pass");
    let mut request = canonical(call);
    request.headers_mut().insert("lock-token", token);
    let (status, _) = delegate(call, request, None).await?;
    accepted(status)?;
    Ok(empty(status))
}

/// Has dav-server handle a request, and returns its status with what happened below.
///
/// # Errors
/// Whatever the store refused with, and the request's conditions when they cannot be read.
async fn delegate(
    call: &Call<'_>,
    request: Request<Full<Bytes>>,
    wish: Option<Wish>,
) -> Result<(StatusCode, Outcome), Failure> {
    let context = Context::new(
        call.store().clone(),
        call.caller.clone(),
        call.target.path.clone(),
        call.condition()?,
        wish,
        call.attributes()?,
    );
    let answer = run(&context, request).await;
    let mut outcome = context.take_outcome();
    match outcome.error.take() {
        Some(error) => Err(error.into()),
        None => Ok((answer.status(), outcome)),
    }
}

/// dav-server's own answer.
async fn run<B>(context: &Credentials, request: Request<B>) -> Response<dav_server::body::Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    // One handler per request, so that the lock system can know the caller.
    let handler = DavHandler::<Credentials>::builder()
        .filesystem(Box::new(FileSystem))
        .locksystem(Box::new(LockSystem(context.clone())))
        .build_handler();
    let principal = context.caller.user.to_string();
    handler
        .handle_guarded(request, principal, context.clone())
        .await
}

/// The request without header fields and body, its path as we read it.
fn canonical(call: &Call<'_>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.method_mut() = call.head.method.clone();
    let path = escaped(&call.target.path, call.target.trailing_slash);
    *request.uri_mut() = path.parse().expect("an escaped path is a URI");
    request
}

/// A path from the caller's root, as dav-server will decode it.
fn escaped(path: &Path, trailing_slash: bool) -> String {
    let mut out = Vec::new();
    for name in path.names() {
        out.push(b'/');
        encode_into(&mut out, name.as_str());
    }
    if trailing_slash || path.is_root() {
        out.push(b'/');
    }
    String::from_utf8(out).expect("the escaped form is ASCII")
}

/// The body of LOCK without what clients put into it: dav-server parses recursively and refuses
/// elements it does not know.
fn lock_info(scope: Scope) -> Full<Bytes> {
    let scope = scope.as_str();
    Full::new(Bytes::from(format!(
        "<D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:{scope}/></D:lockscope>\
         <D:locktype><D:write/></D:locktype></D:lockinfo>"
    )))
}

/// The first bytes of a body, if it has any.
async fn beginning<B>(body: &mut B) -> Result<Option<Bytes>, Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    while let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
        let frame = frame.map_err(|_| refused(StatusCode::BAD_REQUEST, "the body broke off"))?;
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// Turns a refusal that dav-server came to by itself into ours.
fn accepted(status: StatusCode) -> Result<(), Failure> {
    let text = match status {
        status if status.is_success() => return Ok(()),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "this method takes no body",
        StatusCode::BAD_REQUEST => "a lock is of depth 0 or infinity",
        _ => "not possible",
    };
    Err(refused(status, text))
}

fn unanswered() -> Failure {
    refused(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the lock was answered without being asked for",
    )
}

/// The answer to LOCK: 200 and the lock (RFC 4918 §9.10.1).
fn lock_answer(call: &Call<'_>, lock: &Lock, target: Option<&Node>) -> Response<Body> {
    // Only folders lie above the target.
    let is_collection = target.is_some_and(|node| node.is_folder() || !lock.is_on(node));
    let mut root_href = call.href_of(&lock.path);
    if is_collection && !root_href.ends_with('/') {
        root_href.push('/');
    }
    let active = ActiveLock {
        scope: if lock.is_exclusive {
            Scope::Exclusive
        } else {
            Scope::Shared
        },
        depth: if lock.is_deep {
            Depth::Infinity
        } else {
            Depth::Zero
        },
        owner_xml: lock.owner_xml.as_deref(),
        timeout_s: lock.timeout_s,
        token: Some(&lock.token),
        root_href: &root_href,
    };
    let mut answer = Response::new(Body::full(lockinfo::write_lock_answer(&[active])));
    answer.headers_mut().insert(CONTENT_TYPE, XML);
    answer
}

fn describe(allowed: &'static str) -> Response<Body> {
    let mut answer = empty(StatusCode::OK);
    let headers = answer.headers_mut();
    headers.insert("dav", HeaderValue::from_static(CLASSES));
    headers.insert(ALLOW, HeaderValue::from_static(allowed));
    headers.insert("ms-author-via", HeaderValue::from_static("DAV"));
    answer
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::Empty);
    *answer.status_mut() = status;
    answer
}
