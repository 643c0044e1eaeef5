//! The change journal: a drive's ordered history, which feeds synchronisation.

pub(crate) mod rows;

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::access;
use crate::caller::{Caller, Via};
use crate::db::Tx;
use crate::drive;
use crate::error::{Error, Result};
use crate::id::{DriveId, NodeId};
use crate::node::Node;
use crate::path::Path;
use crate::store::Store;
use crate::target::ways_down;

/// Lines that are forgotten at a time.
const LINES: u32 = 10_000;

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// A node was made or changed.
    Changed,
    /// Whatever was there, and below, went away.
    Removed,
    /// A folder appeared with everything in it.
    Tree,
    /// A folder went away with everything in it, of which nothing else is said.
    RemovedTree,
}

impl ChangeKind {
    /// The kind of what is said when a node goes away.
    pub fn removal(node: &Node) -> Self {
        if node.is_folder() {
            Self::RemovedTree
        } else {
            Self::Removed
        }
    }

    /// Whether something went away.
    pub fn is_removal(self) -> bool {
        matches!(self, Self::Removed | Self::RemovedTree)
    }

    fn code(self) -> i64 {
        match self {
            Self::Changed => 1,
            Self::Removed => 2,
            Self::Tree => 3,
            Self::RemovedTree => 4,
        }
    }

    fn from_code(code: i64) -> Result<Self> {
        match code {
            1 => Ok(Self::Changed),
            2 => Ok(Self::Removed),
            3 => Ok(Self::Tree),
            4 => Ok(Self::RemovedTree),
            _ => Err(Error::malformed("change kind")),
        }
    }
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The line of the history it stands on: a cursor from which what comes after it is reported.
    pub number: i64,
    /// Path from the folder that was asked about, `/a/b`; "" is the folder itself. As people
    /// see it where something is there, in NFC where nothing is.
    pub path: String,
    /// What is there now.
    pub now: Now,
}

/// What a changed path holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Now {
    /// Nothing; anything below went with it.
    Gone,
    /// This node.
    Present(Node),
    /// This folder, new with all it holds: every member counts as changed.
    Tree(Node),
}

/// What changed in a folder since a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// At most one line per path.
    pub items: Vec<Change>,
    /// Where to go on.
    pub cursor: i64,
    /// Whether there is more after `cursor`.
    pub is_truncated: bool,
}

/// A line as it stands in the journal.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub number: i64,
    pub kind: ChangeKind,
    pub node: NodeId,
    pub path: String,
}

impl Store {
    /// The cursor of this moment.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn change_cursor(&self, caller: &Caller) -> Result<i64> {
        Ok(self.drive(caller.drive).await?.change_number)
    }

    /// What changed below the folder at `path` since `cursor`, from at most `limit` lines.
    ///
    /// # Errors
    /// [`Error::CursorExpired`] when the history no longer reaches back that far
    /// or never reached that far, or it is from before the caller was granted the folder;
    /// [`Error::NotFound`], [`Error::NotFolder`].
    pub async fn changes(
        &self,
        caller: &Caller,
        path: &Path,
        cursor: i64,
        limit: u32,
    ) -> Result<Changes> {
        let (caller, path) = (caller.clone(), path.clone());
        self.db()
            .read_snapshot(move |tx| {
                let drive = drive::rows::find(tx, caller.drive)?.ok_or(Error::NotFound)?;
                if cursor < drive.change_floor || cursor > drive.change_number {
                    return Err(Error::CursorExpired);
                }
                if let Via::Grant(_) = caller.via {
                    let since = access::known_since(tx, caller.user, caller.root)?;
                    if cursor < since.ok_or(Error::NotFound)? {
                        return Err(Error::CursorExpired);
                    }
                }
                let chain = crate::node::rows::walk(tx, caller.root, &path)?;
                let folder = chain.get(path.depth()).ok_or(Error::NotFound)?;
                if !folder.is_folder() {
                    return Err(Error::NotFolder);
                }
                let mut prefix = path.key().to_owned();
                if !caller.whole_drive {
                    for (_, name) in crate::node::rows::ancestors(tx, caller.root)? {
                        prefix.insert_str(0, &format!("/{}", name.nfc()));
                    }
                }
                // Its paths begin elsewhere since its owner moved it: what came before is not told.
                if !caller.whole_drive && rows::has_moved(tx, drive.id, cursor, &prefix)? {
                    return Err(Error::CursorExpired);
                }
                let mut lines = rows::since(tx, drive.id, cursor, limit.saturating_add(1))?;
                let told = until_something_returns(&lines, limit as usize);
                let is_truncated = lines.len() > told;
                lines.truncate(told);
                let cursor = match lines.last() {
                    Some(line) if is_truncated => line.number,
                    _ => drive.change_number,
                };
                let latest = latest_by_path(lines, &prefix)?;
                let ids: Vec<NodeId> = latest
                    .iter()
                    .filter(|line| !line.kind.is_removal())
                    .map(|line| line.node)
                    .collect();
                let nodes = still_there(tx, &caller, &ids)?;
                let mut items = Vec::with_capacity(latest.len());
                for line in latest {
                    // A node that was moved stands on two lines: not here, and there.
                    let now = match (line.kind, nodes.get(&line.node).cloned()) {
                        (ChangeKind::Removed | ChangeKind::RemovedTree, _) | (_, None) => Now::Gone,
                        (ChangeKind::Changed, Some(node)) => Now::Present(node),
                        (ChangeKind::Tree, Some(node)) => Now::Tree(node),
                    };
                    let key = &line.path[prefix.len()..];
                    let path = match &now {
                        Now::Present(node) | Now::Tree(node) if !key.is_ascii() => {
                            as_given(tx, folder.id, node, key)?
                        }
                        _ => key.to_owned(),
                    };
                    items.push(Change {
                        number: line.number,
                        path,
                        now,
                    });
                }
                Ok(Changes {
                    items,
                    cursor,
                    is_truncated,
                })
            })
            .await
    }

    /// Forgets history older than the configured retention; how many lines went.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn purge_changes(&self) -> Result<u64> {
        let keep =
            i64::try_from(self.options().limits.change_retention.as_millis()).unwrap_or(i64::MAX);
        let before = self.world().now_ms().saturating_sub(keep);
        let mut removed = 0;
        loop {
            let drives = self
                .db()
                .read(move |tx| rows::drives_with_older(tx, before, LINES))
                .await?;
            if drives.is_empty() {
                return Ok(removed);
            }
            for (drive, floor) in drives {
                removed += self.forget_changes(drive, floor).await?;
            }
        }
    }

    pub(crate) async fn forget_changes(&self, drive: DriveId, floor: i64) -> Result<u64> {
        let forgotten = self.db().write(move |tx| {
            let mut row = drive::rows::lock(tx, drive)?;
            let gone = rows::forget(tx, drive, floor)?;
            row.change_floor = row.change_floor.max(floor);
            drive::rows::settle(tx, &row)?;
            Ok(gone)
        });
        drive::unless_gone(forgotten.await)
    }
}

/// Those of these nodes that are in the caller's world: what has left it since must not be told as
/// it is now.
fn still_there(tx: &mut Tx<'_>, caller: &Caller, ids: &[NodeId]) -> Result<HashMap<NodeId, Node>> {
    let mut nodes = crate::node::rows::find_many(tx, ids)?;
    nodes.retain(|node| node.drive == caller.drive);
    if !caller.whole_drive && !nodes.is_empty() {
        let chains = crate::node::rows::chains(tx, ids)?.into_iter();
        let below = chains.filter(|(_, above)| *above == caller.root);
        let below: HashSet<NodeId> = below.map(|(id, _)| id).collect();
        nodes.retain(|node| below.contains(&node.id));
    }
    Ok(nodes.into_iter().map(|node| (node.id, node)).collect())
}

/// The spelling of a key: the names from `folder` down to `node`, if it still is there.
fn as_given(tx: &mut Tx<'_>, folder: NodeId, node: &Node, key: &str) -> Result<String> {
    for way in ways_down(tx, node.drive, folder, node.id)? {
        let (mut path, mut nfc) = (String::new(), String::new());
        for (_, name) in &way {
            path.push('/');
            path.push_str(name.as_str());
            nfc.push('/');
            nfc.push_str(name.nfc());
        }
        if nfc == key {
            return Ok(path);
        }
    }
    Ok(key.to_owned())
}

/// How many of the lines, at most `limit`, one report may tell.
///
/// It ends before something comes to where a folder went away: a client has to hear of that first,
/// or it would keep what the folder held. The next report tells the rest.
fn until_something_returns(lines: &[Line], limit: usize) -> usize {
    let mut gone: BTreeSet<&str> = BTreeSet::new();
    for (told, line) in lines.iter().take(limit).enumerate() {
        let path = line.path.as_str();
        let returns = match line.kind {
            ChangeKind::RemovedTree => {
                gone.insert(path);
                false
            }
            ChangeKind::Removed => false,
            ChangeKind::Changed => gone.contains(path),
            // Names are compared bytewise, so what lies below follows, after names like `a-b`.
            ChangeKind::Tree => gone
                .range(path..)
                .take_while(|below| below.starts_with(path))
                .any(|below| is_within(below, path)),
        };
        if returns {
            return told;
        }
    }
    lines.len().min(limit)
}

/// Keeps the last line of each path below `prefix`; lines that a later removal
/// of a folder above them made pointless are left out.
///
/// # Errors
/// [`Error::CursorExpired`] when `prefix` itself was removed meanwhile: the
/// folder that is there now is another one.
fn latest_by_path(lines: Vec<Line>, prefix: &str) -> Result<Vec<Line>> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut removed: HashSet<String> = HashSet::new();
    let mut latest: Vec<Line> = Vec::new();
    for line in lines.into_iter().rev() {
        if line.kind.is_removal() && is_within(prefix, &line.path) {
            return Err(Error::CursorExpired);
        }
        if !is_within(&line.path, prefix)
            || ancestors(&line.path).any(|path| removed.contains(path))
        {
            continue;
        }
        if line.kind.is_removal() {
            removed.insert(line.path.clone());
        }
        match seen.get(&line.path) {
            None => {
                seen.insert(line.path.clone(), latest.len());
                latest.push(line);
            }
            // A folder that was changed after it had come is still new with all it holds.
            Some(&later) if line.kind == ChangeKind::Tree => {
                let later = &mut latest[later];
                if later.node == line.node && later.kind == ChangeKind::Changed {
                    later.kind = ChangeKind::Tree;
                }
            }
            Some(_) => {}
        }
    }
    latest.reverse();
    Ok(latest)
}

/// Whether `path` is `folder` or lies below it.
pub(crate) fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The paths above `path`, nearest first.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(path.rfind('/').map(|at| &path[..at]), |path| {
        path.rfind('/').map(|at| &path[..at])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::World;

    fn line(number: i64, kind: ChangeKind, path: &str) -> Line {
        Line {
            number,
            kind,
            node: NodeId::new(&World::default()),
            path: path.into(),
        }
    }

    #[test]
    fn a_folder_that_came_and_was_changed_is_new_with_all_it_holds() {
        let came = line(1, ChangeKind::Tree, "/a");
        let mut changed = line(2, ChangeKind::Changed, "/a");
        changed.node = came.node;
        let latest = latest_by_path(vec![came, changed], "").unwrap();
        assert_eq!(latest.len(), 1);
        assert_eq!((latest[0].number, latest[0].kind), (2, ChangeKind::Tree));
    }

    #[test]
    fn a_report_ends_before_something_takes_the_place_of_a_folder() {
        let lines = [
            line(1, ChangeKind::Changed, "/a"),
            line(2, ChangeKind::RemovedTree, "/a"),
            line(3, ChangeKind::Changed, "/b"),
            line(4, ChangeKind::Changed, "/a"),
            line(5, ChangeKind::RemovedTree, "/c/d"),
            line(6, ChangeKind::Tree, "/c-d"),
            line(7, ChangeKind::Tree, "/c"),
        ];
        assert_eq!(until_something_returns(&lines, 9), 3);
        assert_eq!(until_something_returns(&lines[3..], 9), 3);
        assert_eq!(until_something_returns(&lines, 2), 2);
        assert_eq!(until_something_returns(&lines[4..6], 9), 2);
    }

    #[test]
    fn a_path_is_reported_once_and_not_below_a_removed_folder() {
        let lines = vec![
            line(1, ChangeKind::Changed, "/a/x"),
            line(2, ChangeKind::Changed, "/a/x"),
            line(3, ChangeKind::Changed, "/b/x"),
            line(4, ChangeKind::Removed, "/b"),
            line(5, ChangeKind::Changed, "/ab"),
        ];
        let numbers = |prefix| {
            let latest = latest_by_path(lines.clone(), prefix).unwrap();
            latest.iter().map(|l| l.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(""), [2, 4, 5]);
        assert_eq!(numbers("/a"), [2]);
        assert!(matches!(
            latest_by_path(lines.clone(), "/b"),
            Err(Error::CursorExpired)
        ));
    }
}
