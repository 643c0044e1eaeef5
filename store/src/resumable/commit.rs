//! From bytes that have all come to a file.

use std::collections::BTreeMap;

use super::{Resumable, UploadTarget, UploadedFile, rows};
use crate::caller::Caller;
use crate::condition::Condition;
use crate::content::{Content, ContentBody};
use crate::db::Tx;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::id::UploadId;
use crate::manifest::ChunkRef;
use crate::mutation::Scene;
use crate::path::Path;
use crate::reference;
use crate::store::Store;
use crate::upload::{New, Order, write};

impl Store {
    /// Makes the content of an upload a file, once; where it is one already, says which. With `to`
    /// it goes to that path of that caller instead of where it was to go; in the same drive, where
    /// its room is.
    ///
    /// Everything is checked as for a PUT of this moment. Whatever stands in the way, the bytes stay
    /// with the upload, and this can be tried again.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::OffsetMismatch`] while bytes are missing;
    /// [`Error::ContentMismatch`] when the content is not the one that was promised; otherwise as
    /// [`crate::Complete::commit`].
    pub async fn commit_resumable(
        &self,
        caller: &Caller,
        id: UploadId,
        condition: Condition,
        to: Option<(Caller, Path)>,
    ) -> Result<UploadedFile> {
        let found = self.resumable(caller, id).await?.ok_or(Error::NotFound)?;
        let user = caller.user;
        let (caller, path) = match to {
            None => (found.caller(caller)?, None),
            Some((caller, path)) if caller.drive == found.drive => (caller, Some(path)),
            Some(_) => return Err(Error::NotFound),
        };
        let store = self.clone();
        self.write_with_room(move |tx| {
            let world = store.world();
            let mut scene = Scene::enter(tx, &caller, world)?;
            let found = rows::lock(tx, user, id, world.now_ms())?;
            let (mut upload, tail) = found.ok_or(Error::NotFound)?;
            if let Some(stored) = upload.stored {
                return Ok(stored);
            }
            if let Some(path) = &path {
                upload.target = UploadTarget::Path(path.clone());
            }
            store.commit(tx, &mut scene, &upload, tail, &condition)
        })
        .await
    }

    fn commit(
        &self,
        tx: &mut Tx<'_>,
        scene: &mut Scene<'_>,
        upload: &Resumable,
        tail: Vec<u8>,
        condition: &Condition,
    ) -> Result<UploadedFile> {
        let offset_bytes = upload.offset_bytes;
        let sha256 = upload.sha256.filter(|_| upload.is_complete());
        let sha256 = sha256.ok_or(Error::OffsetMismatch { offset_bytes })?;
        if upload.promised.is_some_and(|promised| promised != sha256) {
            return Err(Error::ContentMismatch("digest"));
        }
        let chunks = rows::chunks(tx, upload.id)?;
        let surplus = surplus(&chunks);
        let content = Content {
            sha256: Some(sha256),
            size_bytes: upload.size_bytes,
            body: body(chunks, tail),
        };
        let path = upload.target.path(tx, scene.caller)?;
        let order = Order {
            path: &path,
            condition,
            make_parents: true,
            base: None,
        };
        let new = New {
            content: &content,
            is_held: true,
            limits: &self.options().limits,
            versions: Some(&self.options().versions),
            checksums: None,
            attributes: None,
            reservation: upload.reservation,
            modified_ns: upload.modified_ns,
        };
        let written = write(tx, scene, &order, &new)?;
        reference::rows::release_blobs(tx, &surplus, scene.now_ms())?;
        let stored = UploadedFile {
            node: written.node.id,
            etag: written.node.etag(),
            created: written.created,
        };
        rows::finish(tx, upload.id, &stored, self.upload_expiry())?;
        Ok(stored)
    }

    /// Notes why an upload did not become a file, for whoever asks about it.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn note_failure(&self, id: UploadId, code: &str, detail: &str) -> Result<()> {
        let (code, detail) = (code.to_owned(), detail.to_owned());
        self.db()
            .write(move |tx| rows::note_failure(tx, id, &code, &detail))
            .await
    }
}

fn body(chunks: Vec<ChunkRef>, tail: Vec<u8>) -> ContentBody {
    match (&chunks[..], &tail[..]) {
        ([], []) => ContentBody::Empty,
        ([], _) => ContentBody::Small(tail.into()),
        // Longer content has two at least.
        ([blob], _) => ContentBody::Blob(*blob),
        _ => ContentBody::Chunks(chunks),
    }
}

/// The upload refers to each of its chunks; a file refers to those that are alike but once.
fn surplus(chunks: &[ChunkRef]) -> BTreeMap<Digest, i64> {
    let mut counts = BTreeMap::new();
    for chunk in chunks {
        *counts.entry(chunk.digest).or_insert(-1) += 1;
    }
    counts.retain(|_, count| *count > 0);
    counts
}
