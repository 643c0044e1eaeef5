//! What every request passes before its method sees it.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http::StatusCode;

use crate::grammar::path::{Mounts, ResolveError};
use crate::grammar::xml::{Limits, XmlError};
use crate::request::Target;
use crate::status::{Failure, refused};

/// Decodes the path of the request and confines it to the caller's mounts; `None` below none of
/// them, another user's among them.
///
/// # Errors
/// [`Failure::Path`], or [`Failure::Store`] for a name no drive can hold.
pub(crate) fn target(mounts: &Mounts, user: &str, raw: &str) -> Result<Option<Target>, Failure> {
    match mounts.of(user).resolve(raw) {
        Ok(mounted) => Ok(Some(Target::new(mounted)?)),
        Err(ResolveError::Path(error)) => Err(error.into()),
        Err(ResolveError::Outside) => Ok(None),
    }
}

/// Reads an XML body, at most as much of it as the limits let pass. Its grammar checks the rest.
///
/// # Errors
/// [`Failure::Xml`] when it is too long; 400 when the body breaks off.
pub(crate) async fn xml_body<B>(body: &mut B, limits: Limits) -> Result<Bytes, Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > limits.bytes as u64 {
        return Err(XmlError::TooLong.into());
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
        let frame = frame.map_err(|_| refused(StatusCode::BAD_REQUEST, "the body broke off"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.len() + all.len() + data.len() > limits.bytes {
            return Err(XmlError::TooLong.into());
        }
        // Most bodies are one frame, which is taken as it is.
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}
