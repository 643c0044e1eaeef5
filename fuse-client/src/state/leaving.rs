//! Content files that nothing needs any more.
//!
//! A change that did not happen, or that a power cut has taken, leaves a row that names its content
//! file: the file goes after the change, and one with what the server does not have after the disk has
//! the change. What a crash lets be is removed at the next start.

use std::collections::HashMap;

use super::{Content, Db, Node};
use crate::cache::remove_file;
use crate::errno::Fault;
use crate::fs::Ino;

/// A node and the generation of its content.
pub(crate) type ContentFile = (Ino, i64);

/// What is to go, and when.
#[derive(Default)]
pub(super) struct Leaving {
    /// After the change that is being made; whether the disk must have it before.
    changing: Vec<(ContentFile, bool)>,
    /// When the log has been synced.
    waiting: Vec<ContentFile>,
}

impl Db {
    /// The content file that a node has so far goes, when no crash can make it needed again.
    pub(crate) fn remove_content(&self, node: &Node) {
        let unsent = node.content != Content::Clean || node.etag.is_none();
        let leaves = ((node.ino, node.generation), unsent);
        self.leaving.borrow_mut().changing.push(leaves);
        if !self.in_change() {
            self.content_leaves(true);
        }
    }

    /// A change has ended.
    pub(super) fn content_leaves(&self, committed: bool) {
        let mut leaving = self.leaving.borrow_mut();
        for (file, unsent) in std::mem::take(&mut leaving.changing) {
            if !committed {
                continue;
            }
            if unsent {
                leaving.waiting.push(file);
                self.waits.notify_one();
            } else {
                remove_file(&self.cache, file.0, file.1);
            }
        }
    }

    /// Content files that may go once what is in the log now has been synced.
    pub(crate) fn take_leaving(&self) -> rusqlite::Result<Vec<ContentFile>> {
        let mut files = std::mem::take(&mut self.leaving.borrow_mut().waiting);
        let named = self.named(files.iter().copied())?;
        files.retain(|(ino, generation)| named.get(ino) != Some(generation));
        Ok(files)
    }

    /// Syncs the log, and removes what waits for that; whether anything did.
    pub(crate) fn remove_leaving(&self) -> Result<bool, Fault> {
        let files = self.take_leaving()?;
        if files.is_empty() {
            return Ok(false);
        }
        self.sync_log()?;
        for (ino, generation) in files {
            remove_file(&self.cache, ino, generation);
        }
        Ok(true)
    }

    /// Removes the content files that no row names; not in a change.
    pub(crate) fn sweep(&self) -> Result<(), Fault> {
        let mut orphans = Vec::new();
        for folder in std::fs::read_dir(self.cache.join("content"))? {
            let folder = folder?;
            if folder.file_type()?.is_dir() {
                let files = content_files(&folder.path())?;
                let named = self.named(files.iter().copied())?;
                let orphan = |file: &ContentFile| named.get(&file.0) != Some(&file.1);
                orphans.extend(files.into_iter().filter(orphan));
            }
        }
        if !orphans.is_empty() {
            // A power cut now must not bring back the row of any.
            self.sync_log()?;
            tracing::info!(
                count = orphans.len(),
                "content files of a crash are removed"
            );
        }
        for (ino, generation) in orphans {
            remove_file(&self.cache, ino, generation);
        }
        Ok(())
    }

    /// The generations that the rows name.
    fn named(
        &self,
        files: impl Iterator<Item = ContentFile>,
    ) -> rusqlite::Result<HashMap<Ino, i64>> {
        let mut named = HashMap::new();
        let mut select = self
            .sql
            .prepare_cached("SELECT generation FROM node WHERE ino = ?1")?;
        for (ino, _) in files {
            let mut rows = select.query([ino.cast_signed()])?;
            if let Some(row) = rows.next()? {
                named.insert(ino, row.get(0)?);
            }
        }
        Ok(named)
    }
}

/// The content files in a folder; what has another name is none of ours.
fn content_files(folder: &std::path::Path) -> Result<Vec<ContentFile>, Fault> {
    let mut files = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let name = file?.file_name();
        let parts = name.to_str().and_then(|name| name.split_once('.'));
        if let Some((ino, generation)) = parts
            && let (Ok(ino), Ok(generation)) = (ino.parse(), generation.parse())
        {
            files.push((ino, generation));
        }
    }
    Ok(files)
}
