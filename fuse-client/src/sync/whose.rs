//! Whose version the server has: ours, one of ours from before an answer got lost, or another's.

use std::ops::Range;
use std::os::unix::fs::FileExt;

use futures_util::StreamExt;
use sha2::{Digest, Sha256};

use super::content::{DIGEST, Job};
use super::pull;
use crate::cache::{Blocks, touched};
use crate::drive::{Drive, DrivePath, Error, Listed};
use crate::errno::Fault;
use crate::fs::Ino;
use crate::fs::shared::{Shared, lock};
use crate::state::{Node, has_digest, mark};

/// Whose version the server has.
pub(super) enum Whose {
    Theirs,
    Ours,
    /// One of ours that was sent before an answer got lost, and perhaps not what is here now.
    Older,
}

/// Whether what the server has of a file is a version that was sent without its digest, and nobody
/// else's: those who have written since have set another time.
pub(super) fn is_marked(node: &Node, listed: &Listed) -> bool {
    let told = listed.attributes.mtime_ns;
    let told = told.filter(|told| *told == pull::mtime(listed));
    let sent = node.sent_sha256.as_deref();
    told.is_some_and(|told| has_digest(sent, &mark(listed.size_bytes, told)))
}

impl<D: Drive> Shared<D> {
    /// Whether what the server has is what we have sent or were about to send.
    pub(super) async fn whose(
        &self,
        path: &DrivePath,
        job: &Job,
        listed: &Listed,
    ) -> Result<Whose, Fault> {
        let ours = |is: bool| if is { Whose::Ours } else { Whose::Theirs };
        if listed.is_folder {
            return Ok(Whose::Theirs);
        }
        if job.open.is_none() {
            let there = &listed.attributes;
            return Ok(ours(
                listed.size_bytes == 0
                    && there.target == job.node.target
                    && there.mode.is_none_or(|mode| mode == job.node.mode),
            ));
        }
        let sent = job.node.sent_sha256.as_deref();
        let theirs = match listed.sha256 {
            Some(digest) => Some(digest),
            None if sent.is_none() || listed.size_bytes > DIGEST => None,
            // Another's version may well be of the same length.
            None => self.digest_there(path, listed).await?,
        };
        let Some(theirs) = theirs else {
            return Ok(Whose::Theirs);
        };
        if job.sha256.as_deref() == Some(&theirs[..]) {
            return Ok(Whose::Ours);
        }
        if has_digest(sent, &theirs) {
            return Ok(Whose::Older);
        }
        if listed.size_bytes != job.node.size || job.sha256.is_some() {
            return Ok(Whose::Theirs);
        }
        let here = Blocks(job.node.present.clone());
        if !here.has_all(touched(&(0..job.node.size))) {
            let parts = here.ranges(job.node.size);
            return Ok(ours(self.has_parts(path, listed, job, parts).await?));
        }
        let file = std::sync::Arc::clone(&job.file);
        let digest = tokio::task::spawn_blocking(move || pull::digest(&file))
            .await
            .map_err(|error| Fault::Local(std::io::Error::other(error)))??;
        Ok(ours(digest == theirs))
    }

    /// Whether what the server has is alike where anything is here. Then nothing is lost by taking the
    /// rest from it.
    async fn has_parts(
        &self,
        path: &DrivePath,
        listed: &Listed,
        job: &Job,
        parts: Vec<Range<u64>>,
    ) -> Result<bool, Fault> {
        for part in parts {
            let mut at = part.start;
            let reading = self.drive.read(path, listed.etag.as_ref(), part.clone());
            let mut body = self.ask(reading).await?;
            while let Some(bytes) = body.next().await {
                let theirs = bytes?;
                let mut ours = vec![0; theirs.len()];
                job.file.read_exact_at(&mut ours, at)?;
                if theirs != ours {
                    return Ok(false);
                }
                at += theirs.len() as u64;
            }
            if at != part.end {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Digest of what the server has, by reading it; `None` when it is another version by now.
    pub(super) async fn digest_there(
        &self,
        path: &DrivePath,
        listed: &Listed,
    ) -> Result<Option<[u8; 32]>, Fault> {
        let (etag, range) = (listed.etag.as_ref(), 0..listed.size_bytes);
        let mut body = match self.ask(self.drive.read(path, etag, range)).await {
            Ok(body) => body,
            Err(Error::Conflict { .. } | Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let (mut sha256, mut length) = (Sha256::new(), 0);
        while let Some(bytes) = body.next().await {
            let bytes = bytes?;
            length += bytes.len() as u64;
            sha256.update(&bytes);
        }
        if length != listed.size_bytes {
            // It ended early, and tells nothing.
            return Err(Fault::Drive(Error::BadAnswer {
                path: path.clone(),
                reason: format!("{length} bytes of {}", listed.size_bytes),
            }));
        }
        Ok(Some(sha256.finalize().into()))
    }

    /// Whether what is there is the version that is known of a node.
    pub(super) fn is_known(&self, ino: Ino, listed: &Listed) -> Result<bool, Fault> {
        let Some(node) = lock(&self.db).node(ino)? else {
            return Ok(false);
        };
        let same_tag = listed.etag.is_some() && listed.etag == node.etag();
        Ok(same_tag && pull::is_same(&node, listed))
    }
}
