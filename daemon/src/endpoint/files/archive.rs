//! A folder as one archive, made while it is sent.
//!
//! Between two pieces nothing is held but the archive's directory, which the limits below bound.
//! What cannot be read breaks the connection: an archive with files missing must not look whole.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{bail, ensure};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::try_unfold;
use http::{HeaderValue, header};
use store::{Caller, Download, Error, LinkId, Located, Store, Target, UserId, Walk};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Named, reach};
use crate::endpoint::openapi::Content;
use crate::endpoint::{AppState, Authenticated};
use crate::server::problem::Problem;
use crate::zip::Zip;

/// Files and folders in an archive, and the lengths of their paths altogether.
const MOST_ENTRIES: u64 = 100_000;
const MOST_PATH_BYTES: u64 = 16 << 20;
/// What a directory within these limits cannot exceed. The folder may grow while it is sent.
const MOST_DIRECTORY_BYTES: usize = 64 << 20;
/// Archives that one user, or whoever comes by one link, may have on their way.
const MOST_AT_A_TIME: usize = 4;
/// Bytes that are sent at a time, and members that are read at a time.
const PIECE_BYTES: usize = 48 << 10;
const PAGE: u32 = 1000;

/// Who has how many archives on their way. Those who come by a link do not take the owner's places.
#[derive(Default)]
pub struct Archives(Mutex<HashMap<Receiver, Arc<Semaphore>>>);

type Receiver = (UserId, Option<LinkId>);

impl Archives {
    /// A place for one more.
    fn place(&self, caller: &Caller) -> Result<OwnedSemaphorePermit, Problem> {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Users without archives are forgotten before the table grows.
        if users.len() > 1000 {
            users.retain(|_, places| places.available_permits() < MOST_AT_A_TIME);
        }
        let places = users
            .entry((caller.user, caller.link()))
            .or_insert_with(|| Arc::new(Semaphore::new(MOST_AT_A_TIME)));
        Arc::clone(places).try_acquire_owned().map_err(|_| {
            Problem::over_limit_now("a user's archives under way", MOST_AT_A_TIME as u64)
        })
    }
}

/// Gives a folder with all it holds as a ZIP archive.
///
/// It is made while it is sent, so without a length.
#[utoipa::path(
    get,
    path = "/files/{id}/zip",
    tag = "files",
    operation_id = "download_folder",
    responses(
        (status = 200, body = Content, content_type = "application/zip"),
        (status = 403, description = "protected"),
        (status = 404, description = "not_found"),
        (status = 409, description = "not_folder"),
        (status = 422, description = "invalid_name, limit_exceeded"),
        (status = 429, description = "limit_exceeded")
    )
)]
pub(super) async fn show(
    State(state): State<AppState>,
    who: Authenticated,
    Named(target): Named,
) -> Result<Response, Problem> {
    let at = reach(&state, &who.caller, target).await?;
    let (store, caller) = (state.store(), at.caller());
    let found = store.look_up(caller, at.target()).await?;
    let folder = found.ok_or(Error::NotFound)?;
    let name = match folder.path.name().or(at.0.base.name()) {
        Some(name) => name.as_str().to_owned(),
        None => caller.username.to_string(),
    };
    send(&state, caller, &folder, &name).await
}

/// A folder as an archive of this name.
pub(in crate::endpoint) async fn send(
    state: &AppState,
    caller: &Caller,
    folder: &Located,
    name: &str,
) -> Result<Response, Problem> {
    if !folder.node.is_folder() {
        return Err(Error::NotFolder.into());
    }
    let store = state.store();
    let place = state.archives.place(caller)?;
    let target = Target::Node(folder.node.id);
    let extent = store.extent(caller, &target, MOST_ENTRIES + 1).await?;
    for (what, value, limit) in [
        ("the entries of an archive", extent.entries, MOST_ENTRIES),
        ("bytes of paths", extent.path_bytes, MOST_PATH_BYTES),
    ] {
        if value > limit {
            return Err(Problem::over_limit(what, limit));
        }
    }
    let archive = Archive {
        store: store.clone(),
        caller: caller.clone(),
        target,
        zip: Zip::default(),
        members: VecDeque::new(),
        walk: Some(Walk {
            is_deep: true,
            after: None,
            limit: PAGE,
        }),
        above: folder.path.depth(),
        download: None,
        has_ended: false,
        _place: place,
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/zip"),
        ),
        (
            header::CONTENT_DISPOSITION,
            webdav::attachment(&format!("{name}.zip")),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let body = Body::from_stream(try_unfold(Box::new(archive), Archive::piece));
    Ok((headers, body).into_response())
}

struct Archive {
    store: Store,
    caller: Caller,
    target: Target,
    zip: Zip,
    members: VecDeque<Located>,
    /// How the next members are read; absent after the last.
    walk: Option<Walk>,
    /// Names above the folder, which the archive does not repeat.
    above: usize,
    /// The content that is being sent.
    download: Option<Download>,
    has_ended: bool,
    _place: OwnedSemaphorePermit,
}

impl Archive {
    /// The next bytes.
    async fn piece(mut self: Box<Self>) -> anyhow::Result<Option<(Bytes, Box<Self>)>> {
        let mut out = Vec::new();
        while out.len() < PIECE_BYTES && !self.has_ended {
            if let Some(download) = &mut self.download {
                if !out.is_empty() {
                    break;
                }
                let next = poll_fn(|context| download.poll_next(context)).await;
                if let Some(frame) = next {
                    let frame = frame?;
                    self.zip.content(&frame);
                    return Ok(Some((frame, self)));
                }
                self.download = None;
                self.end_file(&mut out)?;
            } else if let Some(member) = self.next_member().await? {
                self.add(&member, &mut out).await?;
            } else {
                self.zip.finish(&mut out);
                self.has_ended = true;
            }
        }
        Ok((!out.is_empty()).then(|| (Bytes::from(out), self)))
    }

    async fn next_member(&mut self) -> Result<Option<Located>, Error> {
        while self.members.is_empty() {
            let Some(walk) = self.walk.take() else {
                return Ok(None);
            };
            let members = self.store.members(&self.caller, &self.target, walk).await?;
            self.members = members.items.into();
            self.walk = members.next.map(|after| Walk {
                is_deep: true,
                after: Some(after),
                limit: PAGE,
            });
        }
        Ok(self.members.pop_front())
    }

    async fn add(&mut self, member: &Located, out: &mut Vec<u8>) -> anyhow::Result<()> {
        if self.zip.directory_bytes() > MOST_DIRECTORY_BYTES {
            bail!("the folder has grown beyond what an archive holds");
        }
        let modified_s = |ns: i64| ns.div_euclid(1_000_000_000);
        let mut name = safe_name(&member.path.below(self.above));
        if member.node.is_folder() {
            name.push('/');
            let modified_s = modified_s(member.node.modified_ns);
            self.zip.folder(out, name, modified_s);
            return Ok(());
        }
        let opened = self.store.open_node(&self.caller, member.node.id).await?;
        // Deleted since its name was read.
        let Some((found, stored)) = opened else {
            return Ok(());
        };
        let (node, size_bytes) = (&found.node, found.node.size_bytes);
        self.zip
            .begin(out, name, size_bytes, modified_s(node.modified_ns));
        if let Some(bytes) = stored.bytes() {
            self.zip.content(bytes);
            out.extend_from_slice(bytes);
            self.end_file(out)?;
        } else {
            self.download = Some(self.store.download(&stored, 0..size_bytes));
        }
        Ok(())
    }

    fn end_file(&mut self, out: &mut Vec<u8>) -> anyhow::Result<()> {
        ensure!(self.zip.end(out), "a content is not as long as its file");
        Ok(())
    }
}

/// A path as it stands in an archive: nothing in it leads out of the folder where it is unpacked.
///
/// A backslash parts names on Windows, and a letter and a colon name a drive there. Their likes of
/// full width stand for them, as other programs do it.
fn safe_name(path: &store::Path) -> String {
    let mut safe = String::with_capacity(path.key().len());
    for name in path.names() {
        if !safe.is_empty() {
            safe.push('/');
        }
        let name = name.as_str().replace('\\', "\u{ff3c}");
        let names_drive = safe.is_empty() && name.as_bytes().get(1) == Some(&b':');
        if names_drive {
            safe.push_str(&name.replacen(':', "\u{ff1a}", 1));
        } else {
            safe.push_str(&name);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_an_archive() {
        let safe = |path| safe_name(&store::Path::parse(path).unwrap());
        assert_eq!(safe("/a/b c.txt"), "a/b c.txt");
        assert_eq!(safe("..\\..\\a"), "..\u{ff3c}..\u{ff3c}a");
        assert_eq!(safe("C:/a:b"), "C\u{ff1a}/a:b");
        assert_eq!(safe("12:30"), "12:30");
    }
}
