//! The content of files for another door: what the JSON API addresses is read and written by the
//! same GET and PUT.

use bytes::Bytes;
use http::header::CONTENT_RANGE;
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use store::{Caller, Condition, Digest, Located, Name, NodeId, Path, Reached, Stored, Written};

use crate::body::Body;
use crate::checksum::Promised;
use crate::dispatch::Dav;
use crate::method::{get, put};
use crate::request::{Call, Share, Target};
use crate::status::{Failure, Refusal, refused};

impl Dav {
    /// Answers GET and HEAD (by the method in `head`) with the content of a file: conditions,
    /// ranges and digests as below the mounts.
    ///
    /// # Errors
    /// [`store::Error::NotFound`], [`store::Error::IsFolder`], [`store::Error::PreconditionFailed`].
    pub async fn content(
        &self,
        caller: &Caller,
        head: &Parts,
        target: &store::Target,
    ) -> Result<Response<Body>, Refusal> {
        let reached = Reached {
            caller: caller.clone(),
            base: Path::root(),
            target: target.clone(),
        };
        self.content_of(&reached, head).await
    }

    /// Answers GET and HEAD with the content of a file that was overwritten or deleted, as it was:
    /// `located` says what the file was then.
    ///
    /// # Errors
    /// [`store::Error::PreconditionFailed`], or what is malformed.
    pub async fn kept(
        &self,
        caller: &Caller,
        head: &Parts,
        located: Located,
        stored: &Stored,
    ) -> Result<Response<Body>, Refusal> {
        let Located { path, node } = located;
        let call = self.call(caller, head, path);
        Ok(get::kept(&call, node, stored).await?)
    }

    /// As [`Self::content`], of a file by its id, under a name that the caller is to know it by.
    ///
    /// # Errors
    /// As of [`Self::content`].
    pub async fn content_named(
        &self,
        caller: &Caller,
        head: &Parts,
        node: NodeId,
        name: Name,
    ) -> Result<Response<Body>, Refusal> {
        let mut call = self.call(caller, head, Path::root().join(name)?);
        call.target.node = Some(node);
        Ok(get::handle(&call).await?)
    }

    /// Stores a body as the content of the file at `path`, under the conditions in `head`; folders
    /// that are missing above it are made with it.
    ///
    /// # Errors
    /// As [`store::Store::begin_upload`]; what is malformed, a part of a content among it.
    pub async fn store_content<B>(
        &self,
        caller: &Caller,
        head: &Parts,
        body: &mut B,
        path: Path,
        modified_ns: Option<i64>,
    ) -> Result<Written, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Unpin + Send,
        B::Error: std::fmt::Display,
    {
        require_whole(&head.headers)?;
        let size_bytes = put::announced_bytes(&head.headers, body)?;
        let call = self.call(caller, head, path);
        let written = put::write(&call, body, size_bytes, modified_ns, true);
        Ok(Box::pin(written).await?)
    }

    /// Stores a body as the content of a file that is there, wherever it is.
    ///
    /// # Errors
    /// As [`Self::store_content`]; [`store::Error::NotFound`], [`store::Error::IsFolder`], and
    /// [`store::Error::PreconditionFailed`] when it was moved or deleted while the body came.
    pub async fn replace_content<B>(
        &self,
        caller: &Caller,
        head: &Parts,
        body: &mut B,
        file: NodeId,
        modified_ns: Option<i64>,
    ) -> Result<Located, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Unpin + Send,
        B::Error: std::fmt::Display,
    {
        require_whole(&head.headers)?;
        let size_bytes = put::announced_bytes(&head.headers, body)?;
        let located = self.store().look_up(caller, &file.into()).await?;
        let Located { path, node } = located.ok_or(store::Error::NotFound)?;
        if node.is_folder() {
            return Err(store::Error::IsFolder.into());
        }
        let mut call = self.call(caller, head, path.clone());
        call.target.node = Some(file);
        let written = put::write(&call, body, size_bytes, modified_ns, false);
        let node = Box::pin(written).await?.node;
        Ok(Located { path, node })
    }

    /// The conditions of a request, and the lock tokens it submits.
    ///
    /// # Errors
    /// [`Refusal::Request`] for a malformed field.
    pub fn condition(&self, caller: &Caller, head: &Parts) -> Result<Condition, Refusal> {
        Ok(self.call(caller, head, Path::root()).condition()?)
    }

    /// As [`Self::content`], of something that another shares.
    ///
    /// # Errors
    /// As there.
    pub async fn content_of(
        &self,
        reached: &Reached,
        head: &Parts,
    ) -> Result<Response<Body>, Refusal> {
        let target = &reached.target;
        let located = self.store().look_up(&reached.caller, target).await?;
        let Located { path, node } = located.ok_or(store::Error::NotFound)?;
        if node.is_folder() {
            return Err(store::Error::IsFolder.into());
        }
        let mut call = self.call(&reached.caller, head, path);
        if matches!(target, store::Target::Node(_)) {
            call.target.node = Some(node.id);
        }
        if !reached.base.is_root() {
            call.share = Some(Share {
                asker: &reached.caller,
                base: reached.base.clone(),
            });
        }
        Ok(get::handle(&call).await?)
    }

    fn call<'a>(&'a self, caller: &'a Caller, head: &'a Parts, path: Path) -> Call<'a> {
        Call {
            dav: self,
            caller,
            head,
            target: Target {
                path,
                node: None,
                trailing_slash: false,
                base: String::new(),
            },
            share: None,
        }
    }
}

/// What the head of a request with a whole content for its body says that its SHA-256 is (RFC 9530).
///
/// # Errors
/// What is malformed or contradicts itself, a part of a content and one in an encoding among it.
pub fn announced_digest(headers: &HeaderMap) -> Result<Option<Digest>, Refusal> {
    require_whole(headers)?;
    let promised = Promised::of_whole(headers).map_err(Failure::from)?;
    Ok(promised.sha256()?)
}

/// Refuses a body that is not a content as it is to be stored.
fn require_whole(headers: &HeaderMap) -> Result<(), Failure> {
    put::require_identity(headers)?;
    if headers.contains_key(CONTENT_RANGE) {
        let text = "a part of a content cannot be stored here";
        return Err(refused(StatusCode::BAD_REQUEST, text));
    }
    Ok(())
}
