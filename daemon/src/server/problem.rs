//! The one place where failures of JSON requests get their status: `application/problem+json`
//! (RFC 9457).

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::auth::{BASIC_CHALLENGE, BEARER_CHALLENGE, Denied};
use super::body::ResponseBody;
use super::multipart;

/// Makes `code` of the names, and `ALL` of them with what they mean for the OpenAPI document.
macro_rules! codes {
    ($($(#[doc = $meaning:literal])+ pub const $name:ident: &str = $text:literal;)*) => {
        /// Stable names of problems, for programs.
        pub mod code {
            $($(#[doc = $meaning])+ pub const $name: &str = $text;)*

            /// Every name and its meaning.
            pub const ALL: &[(&str, &str)] = &[$(($text, concat!($($meaning),+))),*];
        }
    };
}

codes! {
    /// The request is malformed.
    pub const BAD_REQUEST: &str = "bad_request";
    /// The head of the request is too long.
    pub const HEADERS_TOO_LARGE: &str = "headers_too_large";
    /// Nothing there, or nothing you may know of.
    pub const NOT_FOUND: &str = "not_found";
    /// The address does not know the method; `Allow` names those it knows.
    pub const METHOD_NOT_ALLOWED: &str = "method_not_allowed";
    /// The body came too slowly; the rest of it is not waited for.
    pub const REQUEST_TIMEOUT: &str = "request_timeout";
    /// The body is longer than the limit.
    pub const BODY_TOO_LARGE: &str = "body_too_large";
    /// The body is not of a type, or not in an encoding, that is taken here.
    pub const UNSUPPORTED_MEDIA_TYPE: &str = "unsupported_media_type";
    /// The body is no JSON.
    pub const INVALID_JSON: &str = "invalid_json";
    /// Well-formed, but not possible; `detail` names the field.
    pub const INVALID_FIELDS: &str = "invalid_fields";
    /// A parameter of the query is missing, unknown or malformed.
    pub const INVALID_QUERY: &str = "invalid_query";
    /// A transfer coding other than `chunked`.
    pub const NOT_IMPLEMENTED: &str = "not_implemented";
    /// No credential, or one that cannot be understood.
    pub const UNAUTHORIZED: &str = "unauthorized";
    /// Too many wrong passwords, or registrations; `Retry-After` says how long.
    pub const TOO_MANY_ATTEMPTS: &str = "too_many_attempts";
    /// Busy; `Retry-After` says when to come back.
    pub const UNAVAILABLE: &str = "unavailable";
    /// Something went wrong here; the log has the cause under the request's id.
    pub const INTERNAL: &str = "internal";
    /// Wrong, expired, revoked, or of a disabled account: never said which.
    pub const WRONG_CREDENTIALS: &str = "wrong_credentials";
    /// With the cookie alone, pages of other sites may not change anything.
    pub const CROSS_SITE: &str = "cross_site";
    /// The credential does not allow it.
    pub const FORBIDDEN: &str = "forbidden";
    /// Nobody may register.
    pub const REGISTRATION_CLOSED: &str = "registration_closed";
    /// The invitation is missing, unknown, expired, withdrawn or used.
    pub const WRONG_INVITATION: &str = "wrong_invitation";
    /// The user name or e-mail address cannot be used.
    pub const NAME_TAKEN: &str = "name_taken";
    /// There would be no administrator left.
    pub const LAST_ADMINISTRATOR: &str = "last_administrator";
    /// The folder to put it into is not there.
    pub const PARENT_MISSING: &str = "parent_missing";
    /// Something is there, and `replace` was not asked for.
    pub const ALREADY_EXISTS: &str = "already_exists";
    /// A folder where a file is needed.
    pub const IS_FOLDER: &str = "is_folder";
    /// A file where a folder is needed.
    pub const NOT_FOLDER: &str = "not_folder";
    /// The root of a drive or share stays where it is; only its owner deletes what is shared.
    pub const PROTECTED: &str = "protected";
    /// The name at a drive's root that stands for what others share.
    pub const RESERVED: &str = "reserved";
    /// What is moved into or out of a share is copied and then deleted.
    pub const OVER_BORDER: &str = "over_border";
    /// A folder onto or into itself.
    pub const OVERLAP: &str = "overlap";
    /// A file in it has another name outside.
    pub const NAMES_ELSEWHERE: &str = "names_elsewhere";
    /// `If-Match`, `If-None-Match` or another condition does not hold.
    pub const PRECONDITION_FAILED: &str = "precondition_failed";
    /// A WebDAV lock stands in the way; its holder sends `If: (<token>)`.
    pub const LOCKED: &str = "locked";
    /// The WebDAV lock is not there.
    pub const NO_SUCH_LOCK: &str = "no_such_lock";
    /// The drive has no room for it; `detail` says how much is needed and free.
    pub const QUOTA_EXCEEDED: &str = "quota_exceeded";
    /// The server has no room for it.
    pub const STORAGE_FULL: &str = "storage_full";
    /// More than there may be, or at a time; `detail` says of what.
    pub const LIMIT_EXCEEDED: &str = "limit_exceeded";
    /// No file or folder can have this name or path.
    pub const INVALID_NAME: &str = "invalid_name";
    /// The content has another length or digest than was announced.
    pub const CONTENT_MISMATCH: &str = "content_mismatch";
    /// The range lies outside the content; `Content-Range` says how long it is.
    pub const RANGE_NOT_SATISFIABLE: &str = "range_not_satisfiable";
    /// What the cursor stands for is not known any more: begin anew.
    pub const CURSOR_EXPIRED: &str = "cursor_expired";
    /// The address is a WebSocket, version 13, over HTTP/1.1.
    pub const UPGRADE_REQUIRED: &str = "upgrade_required";
    /// The upload is at another offset; `detail` says at which.
    pub const OFFSET_MISMATCH: &str = "offset_mismatch";
    /// Another request is bringing bytes to this upload, or has taken it over.
    pub const UPLOAD_BUSY: &str = "upload_busy";
    /// The bytes do not have their `Upload-Checksum`.
    pub const CHECKSUM_MISMATCH: &str = "checksum_mismatch";
    /// `Tus-Resumable` is missing, or names another version of the protocol.
    pub const UNSUPPORTED_VERSION: &str = "unsupported_version";
}

/// A failure as the client sees it. Its text holds no SQL, path or secret.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    retry_after_s: Option<u64>,
    challenge: Option<&'static str>,
    /// The protocol that is needed instead, and its version.
    upgrade: Option<(&'static str, &'static str)>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            retry_after_s: None,
            challenge: None,
            upgrade: None,
        }
    }

    /// Tells when to try again.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Asks for a credential (RFC 9110 §11.6.1).
    pub fn challenge(mut self, challenge: &'static str) -> Self {
        self.challenge = Some(challenge);
        self
    }

    /// Too many attempts or requests.
    pub fn too_many(retry_after_s: u64) -> Self {
        let detail = format!("Too many attempts; try again in {retry_after_s} seconds.");
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self::new(status, code::TOO_MANY_ATTEMPTS, detail).retry_after(retry_after_s)
    }

    /// More than the limit of what a request may ask for.
    pub fn over_limit(what: &str, limit: u64) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let detail = format!("{what} exceed the limit of {limit}");
        Self::new(status, code::LIMIT_EXCEEDED, detail)
    }

    /// More at a time than one user may have under way; those come to an end by themselves.
    pub fn over_limit_now(what: &str, limit: u64) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            ..Self::over_limit(what, limit)
        }
        .retry_after(1)
    }

    /// The client stopped sending the body.
    pub fn stalled() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            code::REQUEST_TIMEOUT,
            "The body came too slowly; the rest of it is not waited for.",
        )
    }

    /// No part of the range that was asked for is there.
    pub fn out_of_range() -> Self {
        Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            code::RANGE_NOT_SATISFIABLE,
            "The range lies outside the content.",
        )
    }

    /// This is no request, but the beginning of a WebSocket (RFC 9110 §15.5.22, RFC 6455 §4.4).
    pub fn websocket_needed() -> Self {
        let detail = "This address is a WebSocket, version 13, over HTTP/1.1.";
        Self {
            upgrade: Some(("websocket", "13")),
            ..Self::new(StatusCode::UPGRADE_REQUIRED, code::UPGRADE_REQUIRED, detail)
        }
    }

    /// What lies in one drive cannot be moved into another.
    pub fn over_border() -> Self {
        let detail = "What is moved into or out of a share is copied and then deleted.";
        Self::new(StatusCode::CONFLICT, code::OVER_BORDER, detail)
    }

    /// The room of an upload is in one drive, and so is the file that it becomes.
    pub fn other_drive() -> Self {
        let detail = "An upload becomes a file in the drive that it was begun in.";
        Self::new(StatusCode::CONFLICT, code::OVER_BORDER, detail)
    }

    /// Says which file of a form it is about.
    pub fn about_file(mut self, name: &str) -> Self {
        self.detail = format!("{name:?}: {}", self.detail);
        self
    }

    /// Says how many files of a form were stored before it came up.
    pub fn after_files(mut self, stored: usize) -> Self {
        self.detail = format!("{}; files stored before it: {stored}", self.detail);
        self
    }

    /// Something went wrong that the client can do nothing about; the log has the cause, under the
    /// request's id.
    pub fn internal() -> Self {
        let detail = "Something went wrong here; the log knows more under the request's id.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL, detail)
    }

    /// There is nothing there, or nothing the caller may know of.
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            code::NOT_FOUND,
            "There is nothing at this address.",
        )
    }

    fn method_not_allowed() -> Self {
        let detail = "This address does not know the method.";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            code::METHOD_NOT_ALLOWED,
            detail,
        )
    }

    /// Its name for programs.
    pub fn code(&self) -> &'static str {
        self.code
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What happened and what can be done, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// When to try again, in seconds.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.retry_after_s
    }

    fn parts(&self) -> (StatusCode, HeaderMap, Bytes) {
        let problem = api::Problem {
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            detail: self.detail.clone(),
        };
        let json = serde_json::to_vec(&problem).expect("plain texts and numbers have a JSON form");
        let mut headers = HeaderMap::new();
        let media_type = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, media_type);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = self.challenge {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        if let Some((protocol, version)) = self.upgrade {
            headers.insert(header::UPGRADE, HeaderValue::from_static(protocol));
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(
                header::SEC_WEBSOCKET_VERSION,
                HeaderValue::from_static(version),
            );
        }
        (self.status, headers, json.into())
    }

    /// The answer outside the API's router.
    pub fn into_response(self) -> Response<ResponseBody> {
        let (status, headers, json) = self.parts();
        let mut response = Response::new(ResponseBody::Full(json));
        *response.status_mut() = status;
        response.headers_mut().extend(headers);
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        self.parts().into_response()
    }
}

/// Answers a path that has no route.
pub async fn no_route() -> Problem {
    Problem::not_found()
}

/// Answers a method that a route does not have; axum adds `Allow`.
pub async fn no_method() -> Problem {
    Problem::method_not_allowed()
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let status = rejection.status();
        let code = match &rejection {
            JsonRejection::MissingJsonContentType(_) => code::UNSUPPORTED_MEDIA_TYPE,
            JsonRejection::JsonDataError(_) => code::INVALID_FIELDS,
            _ if status == StatusCode::PAYLOAD_TOO_LARGE => code::BODY_TOO_LARGE,
            JsonRejection::JsonSyntaxError(_) => code::INVALID_JSON,
            _ => code::BAD_REQUEST,
        };
        Self::new(status, code, rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(
            rejection.status(),
            code::INVALID_QUERY,
            rejection.body_text(),
        )
    }
}

impl From<PathRejection> for Problem {
    fn from(_: PathRejection) -> Self {
        // An id that cannot be one names nothing, like one that does not exist.
        Self::not_found()
    }
}

impl From<multipart::Error> for Problem {
    fn from(error: multipart::Error) -> Self {
        let (status, code) = match error {
            multipart::Error::NotForm => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                code::UNSUPPORTED_MEDIA_TYPE,
            ),
            multipart::Error::Malformed(_) | multipart::Error::BrokenOff => {
                (StatusCode::BAD_REQUEST, code::BAD_REQUEST)
            }
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<webdav::Refusal> for Problem {
    fn from(refusal: webdav::Refusal) -> Self {
        match refusal {
            webdav::Refusal::Store(error) => error.into(),
            webdav::Refusal::Request { status, text } => {
                let code = match status {
                    StatusCode::UNSUPPORTED_MEDIA_TYPE => code::UNSUPPORTED_MEDIA_TYPE,
                    _ => code::BAD_REQUEST,
                };
                Self::new(status, code, text)
            }
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let detail = denied.to_string();
        let code = match denied {
            Denied::Store(error) => return error.into(),
            Denied::CrossSite => {
                return Self::new(StatusCode::FORBIDDEN, code::CROSS_SITE, detail);
            }
            Denied::Missing | Denied::Malformed => code::UNAUTHORIZED,
            Denied::Wrong => code::WRONG_CREDENTIALS,
        };
        Self::new(StatusCode::UNAUTHORIZED, code, detail).challenge(BEARER_CHALLENGE)
    }
}

impl Problem {
    /// Why a DAV client was not let in: like the API's answer, but asking for what such clients
    /// have.
    pub fn of_dav(denied: Denied) -> Self {
        let problem = Self::from(denied);
        if problem.challenge.is_some() {
            problem.challenge(BASIC_CHALLENGE)
        } else {
            problem
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        use store::{Error, Limited};
        let (status, code) = match &error {
            Error::NotFound => return Self::not_found(),
            Error::TooManyAttempts { retry_after_s } => return Self::too_many(*retry_after_s),
            Error::WrongCredentials => {
                return Self::new(
                    StatusCode::UNAUTHORIZED,
                    code::WRONG_CREDENTIALS,
                    error.to_string(),
                )
                .challenge(BEARER_CHALLENGE);
            }
            Error::Busy => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                return Self::new(status, code::UNAVAILABLE, error.to_string()).retry_after(1);
            }
            Error::Locked { .. } | Error::LockConflict { .. } => {
                // The paths count from the drive's root, which the caller may not know.
                let detail = "A lock stands in the way: its token is missing from the If header.";
                return Self::new(StatusCode::LOCKED, code::LOCKED, detail);
            }
            Error::Corrupt { .. } | Error::Database(_) | Error::Io { .. } | Error::Unusable(_) => {
                let error = anyhow::Error::from(error);
                tracing::error!(error = format!("{error:#}"), "a request failed");
                return Self::internal();
            }
            Error::ParentMissing => (StatusCode::CONFLICT, code::PARENT_MISSING),
            Error::AlreadyExists => (StatusCode::CONFLICT, code::ALREADY_EXISTS),
            Error::IsFolder => (StatusCode::CONFLICT, code::IS_FOLDER),
            Error::NotFolder => (StatusCode::CONFLICT, code::NOT_FOLDER),
            Error::Forbidden => (StatusCode::FORBIDDEN, code::FORBIDDEN),
            Error::RegistrationClosed => (StatusCode::FORBIDDEN, code::REGISTRATION_CLOSED),
            Error::WrongInvitation => (StatusCode::FORBIDDEN, code::WRONG_INVITATION),
            Error::Protected => (StatusCode::FORBIDDEN, code::PROTECTED),
            Error::Reserved => (StatusCode::FORBIDDEN, code::RESERVED),
            Error::Overlap => (StatusCode::FORBIDDEN, code::OVERLAP),
            Error::NamesElsewhere => (StatusCode::CONFLICT, code::NAMES_ELSEWHERE),
            Error::PreconditionFailed => {
                (StatusCode::PRECONDITION_FAILED, code::PRECONDITION_FAILED)
            }
            Error::NoSuchLock => (StatusCode::CONFLICT, code::NO_SUCH_LOCK),
            Error::QuotaExceeded { .. } => (StatusCode::INSUFFICIENT_STORAGE, code::QUOTA_EXCEEDED),
            Error::CapacityExceeded | Error::DiskFull => {
                (StatusCode::INSUFFICIENT_STORAGE, code::STORAGE_FULL)
            }
            // What is under way comes to an end by itself.
            Error::Limit {
                what: Limited::Downloads,
                ..
            } => {
                let detail = "All downloads that this link has left are under way.";
                let status = StatusCode::TOO_MANY_REQUESTS;
                return Self::new(status, code::LIMIT_EXCEEDED, detail).retry_after(5);
            }
            Error::Limit {
                what: Limited::Uploads,
                ..
            } => (StatusCode::TOO_MANY_REQUESTS, code::LIMIT_EXCEEDED),
            Error::Limit { .. } => (StatusCode::UNPROCESSABLE_ENTITY, code::LIMIT_EXCEEDED),
            Error::InvalidName(_) => (StatusCode::UNPROCESSABLE_ENTITY, code::INVALID_NAME),
            Error::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, code::INVALID_FIELDS),
            Error::ContentMismatch(_) => (StatusCode::BAD_REQUEST, code::CONTENT_MISMATCH),
            Error::RangeNotSatisfiable { .. } => (
                StatusCode::RANGE_NOT_SATISFIABLE,
                code::RANGE_NOT_SATISFIABLE,
            ),
            Error::OffsetMismatch { .. } => (StatusCode::CONFLICT, code::OFFSET_MISMATCH),
            Error::UploadBusy => (StatusCode::LOCKED, code::UPLOAD_BUSY),
            Error::CursorExpired => (StatusCode::GONE, code::CURSOR_EXPIRED),
            Error::NameTaken => (StatusCode::CONFLICT, code::NAME_TAKEN),
            Error::LastAdministrator => (StatusCode::CONFLICT, code::LAST_ADMINISTRATOR),
        };
        Self::new(status, code, error.to_string())
    }
}
