//! From the bytes of requests to the file that they become.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::Body;
use http::request::Parts;
use http::{HeaderName, HeaderValue, header};
use http_body::Body as _;
use store::{AppendOptions, Caller, Condition, Error, Resumable, UploadId, UploadedFile};

use super::super::files::reach_new;
use super::super::{AppState, Authenticated};
use super::checksum::{self, Checksum};
use super::tus::bad_request;
use crate::server::problem::Problem;

/// Hands the body to the store, which keeps what comes of it.
pub(super) async fn receive(
    state: &AppState,
    who: &Authenticated,
    id: UploadId,
    offset_bytes: u64,
    checksum: Option<Checksum>,
    mut body: Body,
) -> Result<Resumable, Problem> {
    let options = checksum.map_or_else(AppendOptions::default, Checksum::start);
    let mut appending = state
        .store()
        .append(&who.caller, id, offset_bytes, options)
        .await?;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                tracing::debug!(%error, "an upload broke off");
                appending.break_off().await?;
                return Err(bad_request("The body broke off; what had come is kept."));
            }
        };
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            appending.write(data).await?;
        }
    }
    appending.finish().await.map_err(|error| match error {
        Error::ContentMismatch(_) => checksum::mismatch(),
        error => error.into(),
    })
}

/// Makes the file of an upload that has all its bytes; `None` while some are missing.
pub(super) async fn settle(
    state: &AppState,
    who: &Authenticated,
    head: &Parts,
    upload: &Resumable,
) -> Result<Option<UploadedFile>, Problem> {
    if upload.stored.is_some() || !upload.is_complete() {
        return Ok(upload.stored.clone());
    }
    make_file(state, who, head, upload, None).await.map(Some)
}

pub(super) async fn make_file(
    state: &AppState,
    who: &Authenticated,
    head: &Parts,
    upload: &Resumable,
    path: Option<store::Path>,
) -> Result<UploadedFile, Problem> {
    let began = upload.caller(&who.caller)?;
    let to = match path {
        None => None,
        Some(path) => {
            let (place, path) = reach_new(state, &who.caller, path).await?;
            if place.caller().drive != began.drive {
                return Err(Problem::other_drive());
            }
            Some((place.caller().clone(), path))
        }
    };
    let caller = to.as_ref().map_or(&began, |(caller, _)| caller);
    let condition = condition(state, caller, head, upload)?;
    let store = state.store();
    let commit = store.commit_resumable(&who.caller, upload.id, condition, to);
    match Box::pin(commit).await {
        Ok(file) => Ok(file),
        Err(error) => {
            let problem = Problem::from(error);
            if upload.is_complete() {
                store
                    .note_failure(upload.id, problem.code(), problem.detail())
                    .await?;
            }
            Err(problem)
        }
    }
}

/// What was demanded when the upload began, with the lock tokens that are submitted now.
fn condition(
    state: &AppState,
    caller: &Caller,
    head: &Parts,
    upload: &Resumable,
) -> Result<Condition, Problem> {
    let (mut demands, ()) = http::Request::new(()).into_parts();
    for name in ["if", "lock-token"] {
        for value in head.headers.get_all(name) {
            demands
                .headers
                .append(HeaderName::from_static(name), value.clone());
        }
    }
    let kept = [
        (header::IF_MATCH, &upload.if_match),
        (header::IF_NONE_MATCH, &upload.if_none_match),
    ];
    for (name, value) in kept {
        if let Some(value) = value {
            let value = HeaderValue::try_from(value).map_err(|_| Problem::internal())?;
            demands.headers.insert(name, value);
        }
    }
    Ok(state.dav.condition(caller, &demands)?)
}
