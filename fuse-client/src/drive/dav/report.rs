//! What changed: REPORT `sync-collection` of the root (RFC 6578), as deep as there is.

use webdav::grammar::error_body::Condition;
use webdav::grammar::multistatus_read::Multistatus;
use webdav::grammar::xml::escape_text;

use super::address::{Href, name_of};
use super::describe::{namespaces, wanted};
use super::{DavDrive, bad, failure as failure_at};
use crate::connection::Fault;
use crate::drive::{Changes, DrivePath, Error, Result, SyncToken};

/// Lines of one report. An answer is held in memory as a whole, and applied as a whole.
const MOST_LINES: u32 = 1000;

/// The body that asks for it; without a token, for everything there is.
pub(super) fn asking(since: Option<&SyncToken>) -> String {
    let mut token = Vec::new();
    escape_text(&mut token, since.map_or("", |token| &token.0));
    let token = String::from_utf8_lossy(&token);
    format!(
        concat!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><D:sync-collection ",
            namespaces!(),
            "><D:sync-token>{token}</D:sync-token><D:sync-level>infinite</D:sync-level>\
             <D:limit><D:nresults>{most}</D:nresults></D:limit>",
            wanted!(),
            "</D:sync-collection>"
        ),
        token = token,
        most = MOST_LINES
    )
}

/// Why there is no report.
pub(super) fn failure(fault: Fault) -> Error {
    match fault {
        Fault::Refused(refusal) => match refusal.condition {
            Some(Condition::ValidSyncToken) => Error::TokenExpired,
            Some(Condition::SupportedReport | Condition::SyncTraversalSupported) => {
                Error::Unsupported
            }
            _ => failure_at(&DrivePath::ROOT, Fault::Refused(refusal)),
        },
        fault => failure_at(&DrivePath::ROOT, fault),
    }
}

/// Reads it.
pub(super) fn read(drive: &DavDrive, found: &Multistatus) -> Result<Changes> {
    let root = &DrivePath::ROOT;
    let token = found.sync_token.clone().filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| bad(root, "a report without a token"))?;
    let mut changes = Changes {
        changed: Vec::with_capacity(found.responses.len()),
        removed: Vec::new(),
        token: SyncToken(token),
        more: false,
    };
    for response in &found.responses {
        let href = Href::parse(response.href());
        let href = href.ok_or_else(|| bad(root, "an href that is no path"))?;
        let elsewhere = || bad(root, format!("{} is elsewhere", response.href()));
        let names = href.behind(&drive.inner.base).ok_or_else(elsewhere)?;
        if names.is_empty() {
            // RFC 6578 §3.6: there is more than the answer holds.
            changes.more |= response.status == Some(507);
            continue;
        }
        // What cannot be named here is not there.
        let names: Option<Vec<_>> = names.iter().map(|name| name_of(name)).collect();
        let Some(path) = names.and_then(DrivePath::new) else {
            continue;
        };
        match response.status {
            Some(404) => changes.removed.push(path),
            None | Some(200..300) => {
                let name = path.names().last().cloned().unwrap_or_default();
                let listed = drive.listed(response, name);
                changes.changed.push((path, listed));
            }
            Some(status) => return Err(bad(root, format!("{status} in a report"))),
        }
    }
    Ok(changes)
}
