//! What the answers to changes say, and what refusals and silence mean.

use http::StatusCode;
use http::header::ETAG;
use reqwest::Response;

use super::{DavDrive, describe};
use crate::connection::{Fault, Refusal, chain, multistatus};
use crate::drive::{DrivePath, Error, ResourceId, Stored};

impl DavDrive {
    /// What a 207 to a change says: some of it was not made.
    pub(super) async fn first_refusal(&self, path: &DrivePath, answer: Response) -> Error {
        let found = match multistatus(answer).await {
            Ok(found) => found,
            Err(fault) => return failure(path, fault),
        };
        let status = found.responses.iter().find_map(|response| {
            let whole = response.status.into_iter();
            let parts = response.propstats.iter().map(|propstat| propstat.status);
            // 424 is said of what would have been done but for another.
            let worst = |status: &u16| !(200..300).contains(status) && *status != 424;
            whole.chain(parts).find(worst)
        });
        match status.and_then(|status| StatusCode::from_u16(status).ok()) {
            Some(status) => refused(path, &Refusal::plain(status)),
            None => bad(path, "it lists what was done, but no failure"),
        }
    }
}

/// What the answer to an upload says of what was stored.
pub(super) fn stored(answer: &Response) -> Stored {
    let field = |name: &str| answer.headers().get(name)?.to_str().ok();
    Stored {
        etag: field(ETAG.as_str()).and_then(describe::tag_of),
        id: field("OC-FileId").map(|id| ResourceId(id.to_owned())),
    }
}

/// What the whole of a refused or broken request means.
pub(super) fn failure(path: &DrivePath, fault: Fault) -> Error {
    match fault {
        Fault::Transport(error) => Error::Unreachable {
            reason: chain(&error),
        },
        Fault::TooSlow => Error::Unreachable {
            reason: "it took too long".to_owned(),
        },
        Fault::Refused(refusal) => refused(path, &refusal),
        Fault::Nonsense(reason) => bad(path, reason),
        Fault::Local(error) => Error::Local(error),
    }
}

pub(super) fn refused(path: &DrivePath, refusal: &Refusal) -> Error {
    let path = path.clone();
    let status = refusal.status.as_u16();
    match status {
        404 | 410 => Error::NotFound { path },
        409 => Error::NoParent { path },
        412 => Error::Conflict { path },
        401 => Error::LoginRefused,
        // 400, 414 and 422 to what we send are about the name.
        400 | 402 | 403 | 414 | 422 | 451 => Error::Forbidden { path },
        423 => Error::Locked { path },
        413 | 507 => Error::NoSpace { path },
        405 | 406 | 411 | 415 | 417 | 426 | 501 | 505 => Error::Unsupported,
        408 | 424 | 425 | 429 | 500.. => Error::Busy {
            path,
            status,
            retry_after: refusal.retry_after,
        },
        300..400 => bad(
            &path,
            format!(
                "it redirects to {}, where the login does not belong",
                refusal.location.as_deref().unwrap_or("nowhere")
            ),
        ),
        _ => bad(&path, format!("status {status}")),
    }
}

pub(super) fn bad(path: &DrivePath, reason: impl Into<String>) -> Error {
    Error::BadAnswer {
        path: path.clone(),
        reason: reason.into(),
    }
}
