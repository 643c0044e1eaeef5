//! The door of WebDAV: finds the target and the verb, and turns what it says into an answer.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use store::{Caller, Store, World};

use crate::above;
use crate::body::Body;
use crate::engine;
use crate::grammar::path::Mounts;
use crate::grammar::xml;
use crate::guard;
use crate::method::{bind, copy_move, delete, get, patch, propfind, proppatch, put, report};
use crate::request::Call;
use crate::shares;
use crate::status::{Failure, refused};

/// How the drive is served.
#[derive(Clone)]
pub struct DavOptions {
    /// Prefixes below which the caller's drive lies, most specific first; `{user}` stands for the
    /// caller's own name.
    pub prefixes: Vec<String>,
    /// Beginnings of `User-Agent` that are not told quota and usage: since macOS 15.4 some mounts
    /// stall over them.
    pub hide_quota_from: Vec<String>,
    /// How much XML a request may hold.
    pub xml: xml::Limits,
    /// Most ranges of one GET; a request for more gets the whole.
    pub ranges: usize,
    /// Time and dice.
    pub world: World,
}

impl DavOptions {
    /// `/dav`, and the aliases that some clients expect; nobody is spared the quota, and
    /// the limits are those of `docs/SEMANTICS.md`.
    pub fn new(world: World) -> Self {
        let prefixes = ["/dav", "/remote.php/dav/files/{user}", "/remote.php/webdav"];
        Self {
            prefixes: prefixes.map(str::to_owned).into(),
            hide_quota_from: Vec::new(),
            xml: xml::Limits::REQUEST,
            ranges: 16,
            world,
        }
    }
}

/// WebDAV over a store. Cheap to clone.
#[derive(Clone)]
pub struct Dav {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    options: DavOptions,
    mounts: Mounts,
}

impl Dav {
    /// Serves a store.
    ///
    /// # Panics
    /// When one of [`DavOptions::prefixes`] is not a path.
    pub fn new(store: Store, options: DavOptions) -> Self {
        let prefixes = options.prefixes.iter().map(String::as_str);
        let mounts = Mounts::new(prefixes).expect("the prefixes are paths");
        Self {
            inner: Arc::new(Inner {
                store,
                options,
                mounts,
            }),
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn options(&self) -> &DavOptions {
        &self.inner.options
    }

    pub(crate) fn mounts(&self) -> &Mounts {
        &self.inner.mounts
    }

    /// Answers a request of `caller`.
    ///
    /// The body of the request is read only once the request may go on; the body of the answer
    /// asks the store while it is polled.
    pub async fn handle<B>(&self, caller: &Caller, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Unpin + Send,
        B::Error: std::fmt::Display,
    {
        let (head, mut body) = request.into_parts();
        let answer = match guard::target(self.mounts(), &caller.username, head.uri.path()) {
            Ok(Some(target)) if store::is_shared(caller, &target.path) => {
                Box::pin(shares::handle(self, caller, &head, &mut body, target)).await
            }
            Ok(Some(target)) => {
                let call = Call {
                    dav: self,
                    caller,
                    head: &head,
                    target,
                    share: None,
                };
                dispatch(&call, &mut body)
                    .await
                    .unwrap_or_else(|failure| failure.answer(Some(&call)))
            }
            Ok(None) => Box::pin(above::handle(self, caller, &head, &mut body))
                .await
                .unwrap_or_else(|failure| failure.answer(None)),
            Err(failure) => failure.answer(None),
        };
        if head.method == Method::HEAD {
            without_body(answer)
        } else {
            answer
        }
    }
}

/// Hands a request to its method.
pub(crate) async fn dispatch<B>(call: &Call<'_>, body: &mut B) -> Result<Response<Body>, Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin + Send,
    B::Error: std::fmt::Display,
{
    // Reads go on in place. The others take thousands of bytes, which every read would move.
    match call.head.method.as_str() {
        "GET" | "HEAD" => get::handle(call).await,
        "PUT" => Box::pin(put::handle(call, body)).await,
        "PATCH" => Box::pin(patch::handle(call, body)).await,
        "PROPFIND" => Box::pin(propfind::handle(call, body)).await,
        "PROPPATCH" => Box::pin(proppatch::handle(call, body)).await,
        "REPORT" => Box::pin(report::handle(call, body)).await,
        "DELETE" => Box::pin(delete::handle(call)).await,
        "COPY" => Box::pin(copy_move::copy(call)).await,
        "MOVE" => Box::pin(copy_move::move_tree(call)).await,
        "BIND" => Box::pin(bind::handle(call, body)).await,
        "OPTIONS" => Box::pin(engine::options(call)).await,
        "MKCOL" => Box::pin(engine::make_collection(call, body)).await,
        "LOCK" => Box::pin(engine::lock(call, body)).await,
        "UNLOCK" => Box::pin(engine::unlock(call)).await,
        method => Err(not_ours(method)),
    }
}

/// The refusal of a method that is not served anywhere.
pub(crate) fn not_ours(method: &str) -> Failure {
    const KNOWN: [&str; 18] = [
        "ACL",
        "BASELINE-CONTROL",
        "CHECKIN",
        "CHECKOUT",
        "CONNECT",
        "LABEL",
        "LINK",
        "MERGE",
        "MKACTIVITY",
        "MKCALENDAR",
        "MKWORKSPACE",
        "ORDERPATCH",
        "POST",
        "SEARCH",
        "TRACE",
        "UNCHECKOUT",
        "UPDATE",
        "VERSION-CONTROL",
    ];
    let status = if KNOWN.contains(&method) {
        StatusCode::METHOD_NOT_ALLOWED
    } else {
        StatusCode::NOT_IMPLEMENTED
    };
    refused(status, "this method is not supported here")
}

/// The answer to HEAD: what GET would say, without saying it.
fn without_body(answer: Response<Body>) -> Response<Body> {
    let (mut head, body) = answer.into_parts();
    if let Some(length) = http_body::Body::size_hint(&body).exact()
        && length > 0
    {
        let length = HeaderValue::from(length);
        head.headers.entry(CONTENT_LENGTH).or_insert(length);
    }
    Response::from_parts(head, Body::Empty)
}
