//! Reading one header field from a request.

use http::HeaderMap;

/// A header field that cannot be understood: 400.
///
/// The value is not repeated: it may hold a credential or a lock token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("bad {field} header: {reason}")]
pub struct BadHeader {
    /// Name of the field, lower case.
    pub field: &'static str,
    /// What is wrong, for the client's eyes.
    pub reason: &'static str,
}

impl BadHeader {
    pub(crate) const fn new(field: &'static str, reason: &'static str) -> Self {
        Self { field, reason }
    }
}

/// The trimmed value of a field that may be sent once at most.
pub(crate) fn single<'h>(
    headers: &'h HeaderMap,
    field: &'static str,
) -> Result<Option<&'h str>, BadHeader> {
    let mut values = headers.get_all(field).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(BadHeader::new(field, "sent more than once"));
    }
    text(value.as_bytes(), field).map(Some)
}

/// The values of a list field, one per line of the header section, empty ones left out.
pub(crate) fn lines<'h>(
    headers: &'h HeaderMap,
    field: &'static str,
) -> impl Iterator<Item = Result<&'h str, BadHeader>> {
    headers
        .get_all(field)
        .iter()
        .map(move |value| text(value.as_bytes(), field))
        .filter(|line| *line != Ok(""))
}

fn text<'v>(value: &'v [u8], field: &'static str) -> Result<&'v str, BadHeader> {
    str::from_utf8(value)
        .map(|text| text.trim_matches([' ', '\t']))
        .map_err(|_| BadHeader::new(field, "not UTF-8"))
}

#[cfg(test)]
pub(crate) fn headers_of(field: &'static str, values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(
            field,
            http::HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    headers
}
