//! The one place where failures of JSON requests get their status: `application/problem+json`
//! (RFC 9457).

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::body::ResponseBody;

/// Stable names of problems, for programs.
pub mod code {
    pub const BAD_REQUEST: &str = "bad_request";
    pub const HEADERS_TOO_LARGE: &str = "headers_too_large";
    pub const NOT_FOUND: &str = "not_found";
    pub const METHOD_NOT_ALLOWED: &str = "method_not_allowed";
    pub const BODY_TOO_LARGE: &str = "body_too_large";
    pub const UNSUPPORTED_MEDIA_TYPE: &str = "unsupported_media_type";
    pub const INVALID_JSON: &str = "invalid_json";
    pub const INVALID_FIELDS: &str = "invalid_fields";
    pub const INVALID_QUERY: &str = "invalid_query";
    pub const NOT_IMPLEMENTED: &str = "not_implemented";
    pub const UNAUTHORIZED: &str = "unauthorized";
    pub const TOO_MANY_ATTEMPTS: &str = "too_many_attempts";
    pub const UNAVAILABLE: &str = "unavailable";
    pub const INTERNAL: &str = "internal";
}

/// A failure as the client sees it. Its text holds no SQL, path or secret.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
        }
    }

    /// Something went wrong that the client can do nothing about; the log has the cause, under the
    /// request's id.
    pub fn internal() -> Self {
        let detail = "Something went wrong here; the log knows more under the request's id.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL, detail)
    }

    fn not_found() -> Self {
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

    fn parts(&self) -> (StatusCode, [(header::HeaderName, HeaderValue); 2], Bytes) {
        let problem = api::Problem {
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            detail: self.detail.clone(),
        };
        let json = serde_json::to_vec(&problem).expect("plain texts and numbers have a JSON form");
        let headers = [
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/problem+json"),
            ),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
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
