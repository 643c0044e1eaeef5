//! What happened in a drive since a cursor, line by line.
//!
//! Synchronisation ([`crate::Changes`]) tells what there is now, once for each path. Notices tell
//! what happened, in its order, and nothing of what it looks like: whoever wants to know asks.

use crate::caller::Caller;
use crate::change::{self, ChangeKind, Line, is_within};
use crate::db::Tx;
use crate::drive::{self, Drive, Usage};
use crate::error::{Error, Result};
use crate::id::NodeId;
use crate::node;
use crate::store::Store;

/// Lines of the journal that are read at a time.
const LINES: u32 = 256;

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// A node came to be there, or was changed.
    Changed,
    /// What was there went away, with everything below it.
    Removed,
    /// A folder came to be there with everything in it.
    Tree,
}

impl From<ChangeKind> for NoticeKind {
    fn from(kind: ChangeKind) -> Self {
        match kind {
            ChangeKind::Changed => Self::Changed,
            ChangeKind::Removed | ChangeKind::RemovedTree => Self::Removed,
            ChangeKind::Tree => Self::Tree,
        }
    }
}

/// One line of what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub kind: NoticeKind,
    /// To which node.
    pub node: NodeId,
    /// Where it was then, from the caller's root, in NFC: `/a/b`; "" is the root itself.
    pub path: String,
}

/// Part of what happened in a drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notices {
    /// In the order in which it happened.
    pub items: Vec<Notice>,
    /// Where to go on.
    pub cursor: i64,
    /// Whether there is more after `cursor`.
    pub more: bool,
    /// Whether it cannot be told what happened before `cursor`: the history does not reach back
    /// that far, or the caller's root was moved meanwhile.
    pub has_gap: bool,
    /// The drive's numbers at that time.
    pub usage: Usage,
}

impl Notices {
    fn none(cursor: i64, usage: Usage) -> Self {
        Self {
            items: Vec::new(),
            cursor,
            more: false,
            has_gap: false,
            usage,
        }
    }

    fn gap(drive: &Drive) -> Self {
        Self {
            has_gap: true,
            ..Self::none(drive.change_number, drive.usage)
        }
    }
}

impl Store {
    /// What happened below the caller's root since `cursor`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the drive, or the folder that is the caller's root, is gone.
    pub async fn notices(&self, caller: &Caller, cursor: i64) -> Result<Notices> {
        let drive = self.drive(caller.drive).await?;
        if cursor == drive.change_number {
            return Ok(Notices::none(cursor, drive.usage));
        }
        let caller = caller.clone();
        self.db()
            .read_snapshot(move |tx| since(tx, &caller, cursor))
            .await
    }
}

fn since(tx: &mut Tx<'_>, caller: &Caller, cursor: i64) -> Result<Notices> {
    let drive = drive::rows::find(tx, caller.drive)?.ok_or(Error::NotFound)?;
    if cursor < drive.change_floor || cursor > drive.change_number {
        return Ok(Notices::gap(&drive));
    }
    let root = root_key(tx, caller, &drive)?;
    let mut lines = change::rows::since(tx, drive.id, cursor, LINES + 1)?;
    let more = lines.len() > LINES as usize;
    lines.truncate(LINES as usize);
    let last = lines.last().map_or(cursor, |line| line.number);
    if !root.is_empty() && has_moved(tx, &drive, &root, &lines, more.then_some(last))? {
        return Ok(Notices::gap(&drive));
    }
    let items = lines.iter().filter(|line| is_within(&line.path, &root));
    Ok(Notices {
        items: items.map(|line| notice(line, &root)).collect(),
        cursor: if more { last } else { drive.change_number },
        more,
        has_gap: false,
        usage: drive.usage,
    })
}

/// Where the caller's root is now, as the journal knows it.
fn root_key(tx: &mut Tx<'_>, caller: &Caller, drive: &Drive) -> Result<String> {
    let mut key = String::new();
    if caller.whole_drive {
        return Ok(key);
    }
    let above = node::rows::ancestors(tx, caller.root)?;
    // It or a folder above it was deleted: the tree hangs in the air until it is purged.
    if above.last().map(|(id, _)| *id) != Some(drive.root) {
        return Err(Error::NotFound);
    }
    for (_, name) in &above {
        key.insert_str(0, &format!("/{}", name.nfc()));
    }
    Ok(key)
}

/// Whether the folder at `root` came there within these lines, or those after the line `rest`.
///
/// What happened to it elsewhere stands under other paths; and what stands under its path now may
/// have happened to another folder, of which the caller must not hear.
fn has_moved(
    tx: &mut Tx<'_>,
    drive: &Drive,
    root: &str,
    lines: &[Line],
    rest: Option<i64>,
) -> Result<bool> {
    let moves = |line: &Line| line.kind != ChangeKind::Changed && is_within(root, &line.path);
    if lines.iter().any(moves) {
        return Ok(true);
    }
    match rest {
        Some(after) => change::rows::has_moved(tx, drive.id, after, root),
        None => Ok(false),
    }
}

fn notice(line: &Line, root: &str) -> Notice {
    Notice {
        kind: line.kind.into(),
        node: line.node,
        path: line.path[root.len()..].to_owned(),
    }
}

#[cfg(test)]
mod tests;
