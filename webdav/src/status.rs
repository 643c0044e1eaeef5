//! The one table of statuses (RFC 4918 §11, §16): what went wrong → status, `DAV:error`, sentence.

use http::header::{ALLOW, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::body::Body;
use crate::grammar::destination::DestinationError;
use crate::grammar::error_body::{self, Condition};
use crate::grammar::path::PathError;
use crate::grammar::xml::XmlError;
use crate::grammar::{BadHeader, content_range};
use crate::precondition::PreconditionFailed;
use crate::request::Call;

/// What an answer to an unsupported method, or to a verb that a folder does not know, allows.
pub(crate) const ALLOWED: &str = "OPTIONS, GET, HEAD, PUT, PATCH, DELETE, MKCOL, COPY, MOVE, \
     PROPFIND, PROPPATCH, LOCK, UNLOCK, REPORT, BIND";

/// The type of every XML answer.
pub(crate) const XML: HeaderValue = HeaderValue::from_static("application/xml; charset=utf-8");

/// Why a request is refused. Every door of this crate ends in one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The store refused, or failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A header field cannot be understood.
    #[error(transparent)]
    Header(#[from] BadHeader),
    /// An XML body is not one.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// The path is none we accept.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Neither is the target of COPY or MOVE.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// A condition of a request that changes nothing does not hold.
    #[error(transparent)]
    Precondition(#[from] PreconditionFailed),
    /// A rule of this protocol.
    #[error("{text}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The condition, where it has a name.
        condition: Option<Condition>,
        /// What is wrong, for people.
        text: &'static str,
    },
}

/// A refusal without a named condition.
pub(crate) const fn refused(status: StatusCode, text: &'static str) -> Failure {
    Failure::Refused {
        status,
        condition: None,
        text,
    }
}

/// Why content was refused, for a door that says so in its own words.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The store refused, or failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The request is not one that can be served.
    #[error("{text}")]
    Request {
        /// The status.
        status: StatusCode,
        /// What is wrong, for people.
        text: String,
    },
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => Self::Store(error),
            Failure::Precondition(_) => Self::Store(store::Error::PreconditionFailed),
            other => Self::Request {
                status: other.status().0,
                text: other.to_string(),
            },
        }
    }
}

impl Failure {
    /// Status and named condition.
    pub fn status(&self) -> (StatusCode, Option<Condition>) {
        match self {
            Self::Store(error) => of_store(error),
            Self::Header(_) => (StatusCode::BAD_REQUEST, None),
            Self::Xml(error) => of_xml(*error),
            Self::Path(error) => of_path(*error),
            Self::Destination(error) => match error {
                DestinationError::Missing
                | DestinationError::Repeated
                | DestinationError::NotUri => (StatusCode::BAD_REQUEST, None),
                DestinationError::Path(error) => of_path(*error),
                DestinationError::Outside => (StatusCode::BAD_GATEWAY, None),
            },
            Self::Precondition(_) => (StatusCode::PRECONDITION_FAILED, None),
            Self::Refused {
                status, condition, ..
            } => (*status, *condition),
        }
    }

    /// The answer. Failures of the server are logged here and nowhere else.
    pub fn answer(&self, call: Option<&Call<'_>>) -> Response<Body> {
        let (status, condition) = self.status();
        let text = if status.is_server_error() && !says_why(status) {
            tracing::error!(error = %self, status = status.as_u16(), "request failed");
            "the server could not do this; its log says why".to_owned()
        } else {
            self.to_string()
        };
        let hrefs: Vec<String> = match (self, call) {
            (
                Self::Store(store::Error::Locked { paths } | store::Error::LockConflict { paths }),
                Some(call),
            ) => paths.iter().map(|path| call.href_of(path)).collect(),
            _ => Vec::new(),
        };
        let text = if hrefs.is_empty() {
            text
        } else {
            // The paths count from the drive's root, which the caller may not know.
            "a lock stands in the way".to_owned()
        };
        let hrefs: Vec<&str> = hrefs.iter().map(String::as_str).collect();
        let body = error_body::write(condition, &hrefs, Some(&text));
        let mut answer = Response::new(Body::full(body));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, XML);
        if let Some((name, value)) = self.field(status) {
            headers.insert(name, value);
        }
        answer
    }

    /// The field that goes with the status.
    fn field(&self, status: StatusCode) -> Option<(HeaderName, HeaderValue)> {
        match (self, status) {
            (Self::Store(store::Error::RangeNotSatisfiable { size_bytes }), _) => {
                let value = HeaderValue::try_from(content_range::unsatisfied(*size_bytes));
                Some((CONTENT_RANGE, value.expect("digits")))
            }
            (Self::Store(store::Error::TooManyAttempts { retry_after_s }), _) => {
                Some((RETRY_AFTER, HeaderValue::from(*retry_after_s)))
            }
            (_, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) => {
                Some((RETRY_AFTER, HeaderValue::from_static("1")))
            }
            (_, StatusCode::METHOD_NOT_ALLOWED) => Some((ALLOW, HeaderValue::from_static(ALLOWED))),
            _ => None,
        }
    }
}

/// 5xx that tell the client about itself, and are no fault of the server's.
fn says_why(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::INSUFFICIENT_STORAGE
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::NOT_IMPLEMENTED
    )
}

/// Status and named condition of what the store says.
pub(crate) fn of_store(error: &store::Error) -> (StatusCode, Option<Condition>) {
    use store::{Error, Limited};
    match error {
        Error::NotFound => (StatusCode::NOT_FOUND, None),
        Error::ParentMissing | Error::NotFolder | Error::NameTaken | Error::LastAdministrator => {
            (StatusCode::CONFLICT, None)
        }
        Error::AlreadyExists => (
            StatusCode::METHOD_NOT_ALLOWED,
            Some(Condition::ResourceMustBeNull),
        ),
        Error::IsFolder => (StatusCode::METHOD_NOT_ALLOWED, None),
        Error::Forbidden => (StatusCode::FORBIDDEN, Some(Condition::NeedPrivileges)),
        Error::Protected
        | Error::Reserved
        | Error::Overlap
        | Error::RegistrationClosed
        | Error::WrongInvitation => (StatusCode::FORBIDDEN, None),
        Error::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, None),
        Error::Locked { .. } => (StatusCode::LOCKED, Some(Condition::LockTokenSubmitted)),
        Error::LockConflict { .. } => (StatusCode::LOCKED, Some(Condition::NoConflictingLock)),
        Error::NoSuchLock => (
            StatusCode::CONFLICT,
            Some(Condition::LockTokenMatchesRequestUri),
        ),
        Error::QuotaExceeded { .. } => (
            StatusCode::INSUFFICIENT_STORAGE,
            Some(Condition::QuotaNotExceeded),
        ),
        Error::CapacityExceeded | Error::DiskFull => (
            StatusCode::INSUFFICIENT_STORAGE,
            Some(Condition::SufficientDiskSpace),
        ),
        // Uploads soon come to an end by themselves.
        Error::Limit {
            what: Limited::Uploads | Limited::Downloads,
            ..
        }
        | Error::TooManyAttempts { .. } => (StatusCode::TOO_MANY_REQUESTS, None),
        Error::Limit { .. } => (StatusCode::INSUFFICIENT_STORAGE, None),
        Error::InvalidName(_) | Error::Invalid { .. } | Error::ContentMismatch(_) => {
            (StatusCode::BAD_REQUEST, None)
        }
        Error::RangeNotSatisfiable { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, None),
        Error::OffsetMismatch { .. } | Error::NamesElsewhere => (StatusCode::CONFLICT, None),
        Error::UploadBusy => (StatusCode::LOCKED, None),
        Error::CursorExpired => (StatusCode::FORBIDDEN, Some(Condition::ValidSyncToken)),
        Error::WrongCredentials => (StatusCode::UNAUTHORIZED, None),
        Error::Busy => (StatusCode::SERVICE_UNAVAILABLE, None),
        Error::Corrupt { .. } | Error::Database(_) | Error::Io { .. } | Error::Unusable(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, None)
        }
    }
}

fn of_xml(error: XmlError) -> (StatusCode, Option<Condition>) {
    match error {
        XmlError::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, None),
        XmlError::Doctype => (StatusCode::BAD_REQUEST, Some(Condition::NoExternalEntities)),
        XmlError::Encoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, None),
        XmlError::TooMany(_)
        | XmlError::UnknownEntity
        | XmlError::Malformed(_)
        | XmlError::Unexpected(_) => (StatusCode::BAD_REQUEST, None),
    }
}

fn of_path(error: PathError) -> (StatusCode, Option<Condition>) {
    match error {
        PathError::TooLong => (StatusCode::URI_TOO_LONG, None),
        PathError::NotAbsolute
        | PathError::BadEscape
        | PathError::EncodedSlash
        | PathError::ControlCharacter
        | PathError::InvalidUtf8
        | PathError::DotSegment
        | PathError::SegmentTooLong
        | PathError::TooDeep => (StatusCode::BAD_REQUEST, None),
    }
}
