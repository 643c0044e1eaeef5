//! DELETE (RFC 4918 §9.6): the whole tree in one transaction, or nothing.

use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use store::Path;

use crate::body::Body;
use crate::grammar::depth::{self, Depth};
use crate::grammar::error_body::Condition;
use crate::grammar::multistatus::Writer;
use crate::request::Call;
use crate::status::{Failure, XML, refused};

/// Answers DELETE.
pub(crate) async fn handle(call: &Call<'_>) -> Result<Response<Body>, Failure> {
    let depth = depth::parse(call.headers())?.unwrap_or(Depth::Infinity);
    require_shape(call, depth == Depth::Infinity).await?;
    let (caller, path) = (call.caller, &call.target.path);
    let deleted = call.store().delete(caller, path, call.condition()?).await;
    match deleted {
        Ok(_) => {
            let mut answer = Response::new(Body::Empty);
            *answer.status_mut() = StatusCode::NO_CONTENT;
            Ok(answer)
        }
        Err(store::Error::Locked { paths }) if are_members(call, &paths) => {
            Ok(locked_members(call, &paths))
        }
        Err(error) => Err(error.into()),
    }
}

/// Refuses what a method that takes a whole tree away must not do: with a depth of its own on a
/// folder (400), or to a file that is spelled as a folder (404): `/a/` names no file, and what
/// is gone cannot be asked about.
///
/// # Errors
/// See above.
pub(super) async fn require_shape(call: &Call<'_>, is_whole: bool) -> Result<(), Failure> {
    if is_whole && !call.target.trailing_slash {
        return Ok(());
    }
    let found = call.store().find(call.caller, &call.target.path).await?;
    match found.map(|found| found.node.is_folder()) {
        Some(true) if !is_whole => Err(refused(
            StatusCode::BAD_REQUEST,
            "this method takes a folder with everything in it",
        )),
        Some(false) if call.target.trailing_slash => Err(store::Error::NotFound.into()),
        _ => Ok(()),
    }
}

/// Whether all of the locked paths lie below the target, so that it is not the target itself
/// which failed. A caller confined to a folder cannot be told.
fn are_members(call: &Call<'_>, paths: &[String]) -> bool {
    let target = &call.target.path;
    call.caller.whole_drive
        && paths.iter().all(|path| {
            Path::parse(path)
                .is_ok_and(|path| target.contains(&path) && path.depth() > target.depth())
        })
}

/// 207: an error of a member must not be told as one of the target (RFC 4918 §9.6.1).
fn locked_members(call: &Call<'_>, paths: &[String]) -> Response<Body> {
    let mut writer = Writer::begin(512, &[]);
    let condition = Some(Condition::LockTokenSubmitted.as_str());
    for path in paths {
        writer.response_status(&call.href_of(path), StatusCode::LOCKED, condition);
    }
    let mut answer = Response::new(Body::full(writer.end()));
    *answer.status_mut() = StatusCode::MULTI_STATUS;
    answer.headers_mut().insert(CONTENT_TYPE, XML);
    answer
}
