//! Putting files into a folder by a link: by PUT, or by a form.
//!
//! Whoever does sees nothing of what is there: neither names, nor under which name a file was stored,
//! nor how much room there is.

use api::{LinkUpload, LinkUploaded};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{StatusCode, header};
use store::{Error, LinkKind, Name, OpenLink, Written};
use utoipa::ToSchema;
use webdav::Refusal;

use super::{Refused, Visit, page};
use crate::endpoint::files::content::{FormError, MOST_FILES, take_content};
use crate::endpoint::openapi::{Content, Form};
use crate::endpoint::{AppState, Json};
use crate::server::multipart::Multipart;
use crate::server::problem::{Problem, code};

/// What a form sends: the password of a link, or files for it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body")]
struct PasswordForm {
    /// The link's password.
    password: String,
}

/// Takes files for a folder by a link for uploads, or the password of a link.
///
/// What is there is not replaced: a file whose name is taken gets another one.
#[utoipa::path(
    post,
    path = "/s/{token}",
    tag = "links",
    operation_id = "send_form_by_link",
    security(()),
    params(("token" = String, Path, description = "The secret of the link.")),
    request_body(content(
        (Form = "multipart/form-data"),
        (PasswordForm = "application/x-www-form-urlencoded")
    )),
    responses(
        (status = 201, content((LinkUploaded = "application/json"), (String = "text/html"))),
        (status = 303, headers(("Location" = String), ("Set-Cookie" = String))),
        (status = 401, description = "wrong_credentials"),
        (status = 403, description = "forbidden"),
        (status = 404, description = "not_found"),
        (status = 415, description = "unsupported_media_type"),
        (status = 422, description = "invalid_fields, invalid_name, limit_exceeded"),
        (status = 423, description = "locked"),
        (status = 429, description = "limit_exceeded, too_many_attempts"),
        (status = 507, description = "quota_exceeded")
    )
)]
pub(super) async fn submit(
    State(state): State<AppState>,
    visit: Visit,
    request: Request,
) -> Response {
    let answer = if has_media_type(&request, "application/x-www-form-urlencoded") {
        visit.unlock(&state, request).await
    } else {
        visit.take_form(&state, request).await
    };
    visit.answer(answer)
}

/// Stores the body as a new file, by a link for uploads.
///
/// What is there is not replaced: the file gets another name then.
#[utoipa::path(
    put,
    path = "/s/{token}/{*path}",
    tag = "links",
    operation_id = "send_file_by_link",
    security(()),
    params(
        ("token" = String, Path, description = "The secret of the link."),
        ("path" = String, Path, description = "The name of the file.")
    ),
    request_body(content = Content, content_type = "application/octet-stream"),
    responses(
        (status = 201, body = LinkUpload),
        (status = 400, description = "content_mismatch"),
        (status = 401, description = "wrong_credentials"),
        (status = 403, description = "forbidden"),
        (status = 404, description = "not_found"),
        (status = 415, description = "unsupported_media_type"),
        (status = 422, description = "invalid_name, limit_exceeded"),
        (status = 423, description = "locked"),
        (status = 429, description = "limit_exceeded, too_many_attempts"),
        (status = 507, description = "quota_exceeded")
    )
)]
pub(super) async fn put(State(state): State<AppState>, visit: Visit, request: Request) -> Response {
    let answer = visit.take_file(&state, request).await;
    visit.answer(answer)
}

impl Visit {
    /// Opens a link that files can be put into.
    async fn open_for_upload(&self, state: &AppState, head: &Parts) -> Result<OpenLink, Refused> {
        let link = self.open(state, &head.headers).await?;
        match link.kind {
            LinkKind::Upload => Ok(link),
            LinkKind::Read => Err(Error::Forbidden.into()),
        }
    }

    async fn take_file(&self, state: &AppState, request: Request) -> Result<Response, Refused> {
        let (head, mut body) = request.into_parts();
        let link = self.open_for_upload(state, &head).await?;
        let name = self.path.name().filter(|_| self.path.depth() == 1);
        let name = name.ok_or_else(Problem::not_found)?;
        let head = unconditional(head);
        let (dav, caller) = (&state.dav, &link.caller);
        let written = dav
            .store_content(caller, &head, &mut body, self.path.clone(), None)
            .await;
        let written = written.map_err(|refusal| match refusal {
            Refusal::Store(error) => to_stranger(error),
            refusal @ Refusal::Request { .. } => refusal.into(),
        })?;
        Ok((StatusCode::CREATED, Json(stored(name, &written))).into_response())
    }

    async fn take_form(&self, state: &AppState, request: Request) -> Result<Response, Refused> {
        let (head, body) = request.into_parts();
        let link = self.open_for_upload(state, &head).await?;
        let mut form = Multipart::new(&head.headers, body).map_err(Problem::from)?;
        let items = take_parts(state, &link, &mut form).await?;
        if items.is_empty() {
            if self.is_browser {
                let message = "Choose a file first.";
                let name = link.name.as_str();
                return Ok(page::upload(&self.token, name, Some(message)));
            }
            let error = Error::Invalid {
                field: "form",
                reason: "has no file in it".to_owned(),
            };
            return Err(error.into());
        }
        if self.is_browser {
            return Ok(page::uploaded(&self.token, &items));
        }
        Ok((StatusCode::CREATED, Json(LinkUploaded { items })).into_response())
    }
}

/// Stores the files of a form, each as it comes.
async fn take_parts(
    state: &AppState,
    link: &OpenLink,
    form: &mut Multipart<Body>,
) -> Result<Vec<LinkUpload>, Problem> {
    let mut items = Vec::new();
    while let Some(part) = form.next_part().await? {
        // Browsers send an empty name where no file was chosen.
        let Some(given) = part.file_name.filter(|name| !name.is_empty()) else {
            continue;
        };
        if items.len() as u64 >= MOST_FILES {
            let problem = Problem::over_limit("the files in a form", MOST_FILES);
            return Err(problem.after_files(items.len()));
        }
        match take_part(state, link, &given, form).await {
            Ok(item) => items.push(item),
            Err(problem) => return Err(problem.about_file(&given).after_files(items.len())),
        }
    }
    Ok(items)
}

async fn take_part(
    state: &AppState,
    link: &OpenLink,
    given: &str,
    form: &mut Multipart<Body>,
) -> Result<LinkUpload, Problem> {
    let name = Name::new(given)?;
    let path = store::Path::root().join(name.clone())?;
    let written = take_content(state.store(), &link.caller, &path, form).await;
    let written = written.map_err(|error| match error {
        FormError::Store(error) => to_stranger(error),
        error @ FormError::Form(_) => error.into(),
    })?;
    Ok(stored(&name, &written))
}

fn stored(name: &Name, written: &Written) -> LinkUpload {
    let content = written.node.content();
    LinkUpload {
        name: name.as_str().to_owned(),
        size_bytes: written.node.size_bytes,
        sha256: content.and_then(|content| Some(content.sha256?.to_string())),
    }
}

/// A failure without what is the owner's business.
fn to_stranger(error: Error) -> Problem {
    match error {
        Error::QuotaExceeded { .. } | Error::CapacityExceeded | Error::DiskFull => Problem::new(
            StatusCode::INSUFFICIENT_STORAGE,
            code::QUOTA_EXCEEDED,
            "There is no room for this.",
        ),
        error => error.into(),
    }
}

/// A request without conditions, whose outcome would tell of what is there.
fn unconditional(mut head: Parts) -> Parts {
    let names: Vec<_> = head.headers.keys().cloned().collect();
    for name in names {
        if name.as_str().starts_with("if") || name == "lock-token" {
            head.headers.remove(name);
        }
    }
    head
}

fn has_media_type(request: &Request, media_type: &str) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let found = value.split(';').next().unwrap_or_default().trim();
    found.eq_ignore_ascii_case(media_type)
}
