//! The opening handshake of a WebSocket (RFC 6455 §4.2), and the stream behind it.

use axum::extract::FromRequestParts;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::Phase;
use super::problem::{Problem, code};

/// A client has nothing to say that would be longer.
const MESSAGE_BYTES: usize = 4096;
/// RFC 6455 §1.3.
const SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// An open WebSocket.
pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A request that is the beginning of a WebSocket.
pub struct Opening {
    accept: HeaderValue,
    headers: HeaderMap,
    on_upgrade: OnUpgrade,
    /// Where the server is in its life. As long as it is held, the server does not end.
    pub phase: watch::Receiver<Phase>,
}

impl Opening {
    /// The answer that opens it, speaking `protocol` if that is offered, and the socket to be.
    pub fn accept(self, protocol: &'static str) -> (Response, OnUpgrade) {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        if has_token(&self.headers, &SEC_WEBSOCKET_PROTOCOL, protocol) {
            let protocol = HeaderValue::from_static(protocol);
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        (response, self.on_upgrade)
    }
}

/// The socket on a connection that was upgraded. Buffers are small: most sockets are idle.
pub async fn socket(upgraded: Upgraded) -> Socket {
    let config = WebSocketConfig::default()
        .read_buffer_size(MESSAGE_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_BYTES))
        .max_frame_size(Some(MESSAGE_BYTES));
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await
}

impl<S: Sync> FromRequestParts<S> for Opening {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let headers = &parts.headers;
        let version = headers.get(SEC_WEBSOCKET_VERSION);
        let is_opening = parts.method == Method::GET
            && parts.version == Version::HTTP_11
            && has_token(headers, &CONNECTION, "upgrade")
            && has_token(headers, &UPGRADE, "websocket")
            && version.is_some_and(|version| version == "13");
        if !is_opening {
            return Err(Problem::websocket_needed());
        }
        let accept = headers.get(SEC_WEBSOCKET_KEY).and_then(accept_of);
        let accept = accept.ok_or_else(|| {
            let detail = "Sec-WebSocket-Key is not 16 bytes in base64.";
            Problem::new(StatusCode::BAD_REQUEST, code::BAD_REQUEST, detail)
        })?;
        let headers = headers.clone();
        let on_upgrade = parts.extensions.remove::<OnUpgrade>();
        let phase = parts.extensions.remove::<watch::Receiver<Phase>>();
        match (on_upgrade, phase) {
            (Some(on_upgrade), Some(phase)) => Ok(Self {
                accept,
                headers,
                on_upgrade,
                phase,
            }),
            _ => Err(Problem::websocket_needed()),
        }
    }
}

/// Whether a header's list names this, in upper or lower case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|found| found.trim().eq_ignore_ascii_case(token))
}

/// What proves that the key was understood.
fn accept_of(key: &HeaderValue) -> Option<HeaderValue> {
    let key = key.to_str().ok()?;
    if STANDARD.decode(key).ok()?.len() != 16 {
        return None;
    }
    let joined = format!("{key}{SUFFIX}");
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, joined.as_bytes());
    HeaderValue::try_from(STANDARD.encode(digest)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_answered_as_the_standard_shows() {
        // RFC 6455 §1.3.
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        let accept = accept_of(&key).unwrap();
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for wrong in [
            "",
            "dGhlIHNhbXBsZQ==",
            "no base64",
            "dGhlIHNhbXBsZSBub25jZQ",
        ] {
            assert_eq!(accept_of(&HeaderValue::from_static(wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn tokens_are_found_in_lists_and_in_any_case() {
        let mut headers = HeaderMap::new();
        headers.append(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        headers.append(CONNECTION, HeaderValue::from_static("other"));
        assert!(has_token(&headers, &CONNECTION, "upgrade"));
        assert!(has_token(&headers, &CONNECTION, "other"));
        assert!(!has_token(&headers, &CONNECTION, "up"));
        assert!(!has_token(&headers, &UPGRADE, "upgrade"));
    }
}
