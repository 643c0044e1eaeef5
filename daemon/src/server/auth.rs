//! Who is behind a request: from its credential to a caller.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use store::{Caller, Store};
use zeroize::Zeroizing;

use super::body::ResponseBody;
use super::peer::Peer;
use super::problem::{Problem, code};

/// Why a request has no caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No credential, or one that does not hold.
    Unauthorized,
    /// Too many failed attempts.
    TooMany { retry_after_s: u64 },
    /// It cannot be known now.
    Unavailable,
}

/// The longest credential that is looked at.
const MAX_CREDENTIAL_BYTES: usize = 4096;

/// The caller behind the credential of a request.
///
/// # Errors
/// [`Refusal`], the same whichever part of the credential was wrong.
pub async fn caller(store: &Store, headers: &HeaderMap, peer: Peer) -> Result<Caller, Refusal> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return Err(Refusal::Unauthorized);
    };
    let (name, secret) = basic(field).ok_or(Refusal::Unauthorized)?;
    let found = store
        .authenticate_basic(&name, &secret, Some(peer.address))
        .await;
    found.map_err(|error| match error {
        store::Error::WrongCredentials => Refusal::Unauthorized,
        store::Error::TooManyAttempts { retry_after_s } => Refusal::TooMany { retry_after_s },
        error => {
            tracing::error!(%error, "a credential could not be checked");
            Refusal::Unavailable
        }
    })
}

/// Name and password of `Basic` credentials (RFC 7617 §2).
fn basic(field: &HeaderValue) -> Option<(Zeroizing<String>, Zeroizing<String>)> {
    let (scheme, encoded) = field.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > MAX_CREDENTIAL_BYTES {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let (name, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((
        Zeroizing::new(name.to_owned()),
        Zeroizing::new(secret.to_owned()),
    ))
}

impl Refusal {
    /// The answer to somebody who may try again with another credential.
    pub fn into_response(self) -> Response<ResponseBody> {
        match self {
            Self::Unauthorized => {
                let detail = "A user name and password, or an app password, are needed.";
                let mut response =
                    Problem::new(StatusCode::UNAUTHORIZED, code::UNAUTHORIZED, detail)
                        .into_response();
                let challenge =
                    HeaderValue::from_static(r#"Basic realm="Coffer", charset="UTF-8""#);
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                response
            }
            Self::TooMany { retry_after_s } => {
                let detail = "Too many failed attempts; wait before the next.";
                let mut response = Problem::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    code::TOO_MANY_ATTEMPTS,
                    detail,
                )
                .into_response();
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, retry_after_s.into());
                response
            }
            Self::Unavailable => {
                let detail = "The credential cannot be checked now.";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE, detail)
                    .into_response()
            }
        }
    }
}
