//! The `Destination` header (RFC 4918 §10.3).
//!
//! Only its path counts. A proxy in front of us rewrites scheme, host and port of the request and
//! rarely those of this header, so comparing them would break every rename behind such a proxy.

use http::HeaderMap;

use super::path::{Mounted, OwnMounts, PathError, ResolveError};

/// Why a destination was refused. Never shows the header: it may hold `user:password@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DestinationError {
    /// No `Destination` header, or one without a path: 400.
    #[error("the Destination header is missing or names no path")]
    Missing,
    /// More than one: 400.
    #[error("there is more than one Destination header")]
    Repeated,
    /// Neither an absolute URI nor an absolute path, or with a query or fragment: 400.
    #[error("the Destination header is not a URI")]
    NotUri,
    /// A path we refuse: 400, or 414 when too long.
    #[error("Destination: {0}")]
    Path(PathError),
    /// A good path outside our mounts: 502.
    #[error("the Destination is outside the drive")]
    Outside,
}

/// Reads the `Destination` header and resolves it below the caller's mounts.
///
/// # Errors
/// [`DestinationError`], see there.
pub fn parse(headers: &HeaderMap, mounts: OwnMounts<'_>) -> Result<Mounted, DestinationError> {
    let mut values = headers.get_all("destination").iter();
    let value = values.next().ok_or(DestinationError::Missing)?;
    if values.next().is_some() {
        return Err(DestinationError::Repeated);
    }
    let value = str::from_utf8(value.as_bytes()).map_err(|_| DestinationError::NotUri)?;
    mounts
        .resolve(path_of(value.trim())?)
        .map_err(|error| match error {
            ResolveError::Path(error) => DestinationError::Path(error),
            ResolveError::Outside => DestinationError::Outside,
        })
}

/// The escaped path of an absolute URI or of an absolute path; the authority is skipped unread.
///
/// Also reads hrefs and the resource tags of an `If` header, which have the same two forms.
///
/// # Errors
/// [`DestinationError::Missing`] without a path; [`DestinationError::NotUri`] for anything else,
/// a query or fragment included: a bare `?` or `#` is more likely an unescaped name than a query,
/// and cutting it off would name another file.
pub fn path_of(reference: &str) -> Result<&str, DestinationError> {
    if reference.is_empty() {
        return Err(DestinationError::Missing);
    }
    let path = if reference.starts_with('/') {
        reference
    } else {
        let (scheme, rest) = reference
            .split_once("://")
            .ok_or(DestinationError::NotUri)?;
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(known) {
            return Err(DestinationError::NotUri);
        }
        let slash = rest.find('/').ok_or(DestinationError::Missing)?;
        if rest[..slash].contains(['?', '#']) {
            return Err(DestinationError::Missing);
        }
        &rest[slash..]
    };
    if path.contains(['?', '#']) {
        return Err(DestinationError::NotUri);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grammar::{field::headers_of, path::Mounts};

    fn read(values: &[&str]) -> Result<String, DestinationError> {
        let mounts = Mounts::new(["/dav"]).unwrap();
        parse(&headers_of("destination", values), mounts.of("alice"))
            .map(|mounted| mounted.path.as_str().to_owned())
    }

    #[test]
    fn only_the_path_counts() {
        for value in [
            "/dav/x%20y",
            "http://localhost/dav/x%20y",
            "https://user:secret@example.com:8443/dav/x%20y",
            "webdav+tls://[::1]/dav/x%20y",
            "http:///dav/x%20y",
            "//dav/x%20y",
        ] {
            assert_eq!(read(&[value]).unwrap(), "x y", "{value}");
        }
    }

    #[test]
    fn no_path_is_a_bad_request_and_a_strange_one_is_outside() {
        for (values, error) in [
            (&[][..], DestinationError::Missing),
            (&[""], DestinationError::Missing),
            (&["http://example.com"], DestinationError::Missing),
            (&["http://example.com?x=/dav/a"], DestinationError::Missing),
            (&["dav/x"], DestinationError::NotUri),
            (&["://x/dav/x"], DestinationError::NotUri),
            (&["/dav/a?b"], DestinationError::NotUri),
            (&["http://h/dav/a#b"], DestinationError::NotUri),
            (&["/dav/a", "/dav/b"], DestinationError::Repeated),
            (
                &["/dav/../a"],
                DestinationError::Path(PathError::DotSegment),
            ),
            (
                &["http://h/dav/%2e%2e/a"],
                DestinationError::Path(PathError::DotSegment),
            ),
            (&["/"], DestinationError::Outside),
            (&["/d"], DestinationError::Outside),
            (&["http://h/davish/a"], DestinationError::Outside),
        ] {
            assert_eq!(read(values), Err(error), "{values:?}");
        }
    }

    #[test]
    fn errors_do_not_show_credentials() {
        let error = read(&["http://user:secret@host/other"]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    proptest! {
        #[test]
        fn nothing_panics(value in "[ -~\u{80}-\u{ff}]{0,60}") {
            let _ = read(&[&value]);
        }
    }
}
