//! BIND (RFC 5842 §4): one more name for a file, in a folder of the same drive.
//!
//! UNBIND and REBIND are not served: DELETE and MOVE of one of several names do the same.

use bytes::Bytes;
use http::header::{ETAG, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use store::{Error, Name, Via, is_shared};

use crate::body::Body;
use crate::grammar::bind::{self, BadBind};
use crate::grammar::destination::{DestinationError, path_of};
use crate::grammar::error_body::Condition;
use crate::grammar::overwrite;
use crate::grammar::path::{ResolveError, encode_into};
use crate::guard;
use crate::request::{Call, Target};
use crate::status::{Failure, refused};

/// Answers BIND.
pub(crate) async fn handle<B>(call: &Call<'_>, body: &mut B) -> Result<Response<Body>, Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let limits = call.dav.options().xml;
    let body = guard::xml_body(body, limits).await?;
    let wish = bind::parse(&body, limits).map_err(|error| match error {
        BadBind::Xml(error) => error.into(),
        BadBind::Segment => named(
            StatusCode::FORBIDDEN,
            Condition::NameAllowed,
            "the segment is not one escaped name",
        ),
    })?;
    if call.caller.via != Via::Own {
        return Err(not_here());
    }
    let source = source(call, &wish.href)?;
    if is_shared(call.caller, &source.path) {
        return Err(not_here());
    }
    let name = Name::new(&wish.segment).map_err(|_| {
        named(
            StatusCode::FORBIDDEN,
            Condition::NameAllowed,
            "no drive can hold this name",
        )
    })?;
    let mut location = call.target.href(true);
    let mut escaped = Vec::new();
    encode_into(&mut escaped, name.as_str());
    location.push_str(str::from_utf8(&escaped).expect("the escaped form is ASCII"));
    let done = call
        .store()
        .bind(
            call.caller,
            &call.target.path,
            name,
            &source.path,
            overwrite::parse(call.headers())?,
            call.condition()?,
        )
        .await
        .map_err(explained)?;
    let mut answer = Response::new(Body::Empty);
    let headers = answer.headers_mut();
    let etag = HeaderValue::try_from(done.node.etag());
    headers.insert(ETAG, etag.expect("an entity tag of ours is ASCII"));
    if done.created {
        let location = HeaderValue::try_from(location);
        headers.insert(LOCATION, location.expect("an escaped path is ASCII"));
        *answer.status_mut() = StatusCode::CREATED;
    }
    Ok(answer)
}

/// What is to have the name: read as `Destination` is.
fn source(call: &Call<'_>, href: &str) -> Result<Target, Failure> {
    let path = path_of(href).map_err(|error| match error {
        DestinationError::Path(error) => Failure::Path(error),
        _ => refused(StatusCode::BAD_REQUEST, "the DAV:href is not a URI"),
    })?;
    let mounted = call.mounts().resolve(path).map_err(|error| match error {
        ResolveError::Path(error) => Failure::Path(error),
        ResolveError::Outside => named(
            StatusCode::FORBIDDEN,
            Condition::CrossServerBinding,
            "what is named is outside the drive",
        ),
    })?;
    let source = Target::new(mounted)?;
    // `/a/` names no file.
    if source.trailing_slash && !source.path.is_root() {
        return Err(explained(Error::NotFound));
    }
    Ok(source)
}

/// What the store refuses, in the words of RFC 5842 §4.
fn explained(error: Error) -> Failure {
    let (status, condition, text) = match error {
        Error::ParentMissing => return Error::NotFound.into(),
        Error::NotFolder => (
            StatusCode::FORBIDDEN,
            Condition::BindIntoCollection,
            "names are given in folders",
        ),
        Error::NotFound => (
            StatusCode::CONFLICT,
            Condition::BindSourceExists,
            "there is no file at the DAV:href",
        ),
        Error::IsFolder => (
            StatusCode::FORBIDDEN,
            Condition::BindingAllowed,
            "only a file can have several names",
        ),
        Error::AlreadyExists => (
            StatusCode::PRECONDITION_FAILED,
            Condition::CanOverwrite,
            "the name is taken",
        ),
        Error::Reserved | Error::InvalidName(_) => (
            StatusCode::FORBIDDEN,
            Condition::NameAllowed,
            "nothing can have this name here",
        ),
        other => return other.into(),
    };
    named(status, condition, text)
}

/// Whoever was granted rights in another's drive gives no names there, nor to what is there.
fn not_here() -> Failure {
    named(
        StatusCode::FORBIDDEN,
        Condition::BindingAllowed,
        "names are given by the owner of a drive, to what is in it",
    )
}

fn named(status: StatusCode, condition: Condition, text: &'static str) -> Failure {
    Failure::Refused {
        status,
        condition: Some(condition),
        text,
    }
}
