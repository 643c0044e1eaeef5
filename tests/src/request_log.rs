//! The daemon's request log: one line of JSON for each finished request.

use serde_json::Value;

/// One line.
#[derive(Debug, Clone)]
pub struct LoggedRequest {
    /// What `x-request-id` of its answer says.
    pub id: String,
    /// `PROPFIND`, `PUT`, …
    pub method: String,
    /// The route, without anything of the user's.
    pub route: String,
    /// The status answered.
    pub status: u64,
    /// Who asked; empty without a credential.
    pub user: String,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// Statements run on the database for it.
    pub statements: u64,
}

impl LoggedRequest {
    /// Reads one line; `None` when it is a line about something else.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(line).ok()?;
        let fields = line.get("fields").unwrap_or(&line);
        let text = |name: &str| {
            let value = fields.get(name);
            value.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let number = |name: &str| fields.get(name).and_then(Value::as_u64);
        Some(Self {
            id: text("request.id"),
            method: fields.get("method")?.as_str()?.to_owned(),
            route: text("route"),
            status: number("status")?,
            user: text("user"),
            bytes_in: number("bytes_in").unwrap_or_default(),
            bytes_out: number("bytes_out").unwrap_or_default(),
            statements: number("statements").unwrap_or_default(),
        })
    }
}
