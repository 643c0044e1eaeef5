//! What happens inside of what others share with an account, told as it happens.
//!
//! Whoever listens hears of what was granted to them, and of nothing beside it: lines of an owner's
//! journal are looked through here, and neither their number nor that there are any leaves this
//! module. So there is no cursor either; who listens again asks each share what has changed
//! ([`crate::Changes`]).
//!
//! Where a share lies in its owner's drive is asked once and then followed line by line: its owner
//! may move it, or a folder above it, which is nothing that happens inside of it.

mod rows;

use std::collections::{BTreeMap, HashMap, HashSet};

use self::rows::Granted;
use crate::change::{self, Line, is_within};
use crate::db::Tx;
use crate::error::Result;
use crate::id::{DriveId, NodeId, UserId};
use crate::notice::{Notice, NoticeKind};
use crate::reach::SHARED;

/// Lines of a journal that are read at a time.
const LINES: u32 = 256;
/// Shares that are followed for one who listens, the oldest first, and what is remembered of them:
/// whoever shares decides how many and how deep they are.
const MOST: u32 = 1000;
const MOST_BYTES: usize = 128 << 10;

/// Where one who listens stands in the drives of others.
#[derive(Debug, Default)]
pub struct Inside {
    roots: HashMap<NodeId, Root>,
    /// What is not followed, for want of room.
    left_out: HashSet<NodeId>,
    /// The drive that was read last.
    turn: Option<DriveId>,
}

/// Part of what happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InsideNotices {
    /// In each drive in the order in which it happened. Paths go from the root of whoever listens,
    /// `/Shared with me/…`; what can be found under several is told under each.
    pub items: Vec<Notice>,
    /// Whether there may be more. Not for clients: what there is more of need not be theirs.
    pub more: bool,
}

/// Something that is shared.
#[derive(Debug)]
struct Root {
    drive: DriveId,
    is_folder: bool,
    /// Where its receiver finds it.
    base: String,
    /// Where it was in its drive after the line `number`, as the journal knows it.
    key: String,
    number: i64,
    /// While it is being moved: the node that was taken out, it or a folder above it, and where it
    /// lies below that.
    on_the_way: Option<(NodeId, String)>,
}

impl Root {
    /// What it takes to remember it.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.base.len() + self.key.len()
    }

    /// What a line of the journal says of what is inside; it may also say where the root is now.
    ///
    /// `own` is what is shared. A file of which one name goes is where it has another.
    fn hear(&mut self, own: NodeId, line: &Line) -> Option<Notice> {
        if line.number <= self.number {
            return None;
        }
        self.number = line.number;
        if let Some((node, rest)) = &self.on_the_way {
            if !line.kind.is_removal() && line.node == *node {
                self.key = format!("{}{rest}", line.path);
                self.on_the_way = None;
            } else if !line.kind.is_removal() && line.node == own {
                self.key.clone_from(&line.path);
                self.on_the_way = None;
            }
            return None;
        }
        if line.kind.is_removal() && is_within(&self.key, &line.path) {
            let rest = self.key[line.path.len()..].to_owned();
            self.on_the_way = Some((line.node, rest));
            return None;
        }
        is_within(&line.path, &self.key).then(|| Notice {
            kind: line.kind.into(),
            node: line.node,
            path: format!("{}{}", self.base, &line.path[self.key.len()..]),
        })
    }

    /// Tells that anything may have happened inside.
    fn anything(&self, node: NodeId) -> Notice {
        Notice {
            kind: if self.is_folder {
                NoticeKind::Tree
            } else {
                NoticeKind::Changed
            },
            node,
            path: self.base.clone(),
        }
    }
}

impl Inside {
    /// Of each drive, the line up to which all is known.
    pub(crate) fn positions(&self) -> HashMap<DriveId, i64> {
        let mut positions = HashMap::new();
        for root in self.roots.values() {
            let least = positions.entry(root.drive).or_insert(root.number);
            *least = root.number.min(*least);
        }
        positions
    }

    /// Forgets what is not granted any more, or has been granted anew since: nothing is told of the
    /// time in between. Likewise what has come to another drive, or of which the history was
    /// forgotten; what was so lost is told.
    fn keep(&mut self, granted: &HashMap<NodeId, Granted>) -> Vec<Notice> {
        let mut lost = Vec::new();
        let before = self.roots.len();
        self.roots.retain(|node, root| {
            let Some(now) = granted.get(node).filter(|now| now.drive == root.drive) else {
                return false;
            };
            if root.number < now.since {
                return false;
            }
            let stays = root.number >= now.oldest;
            if !stays {
                lost.push(root.anything(*node));
            }
            stays
        });
        if self.roots.len() < before {
            // There may be room for others.
            self.left_out.clear();
        } else {
            self.left_out.retain(|node| granted.contains_key(node));
        }
        lost
    }

    /// Begins to follow what is granted and is not followed yet, from this moment on.
    fn begin(
        &mut self,
        tx: &mut Tx<'_>,
        user: UserId,
        granted: &HashMap<NodeId, Granted>,
    ) -> Result<()> {
        let is_known = |node| self.roots.contains_key(node) || self.left_out.contains(node);
        if granted.keys().all(is_known) {
            return Ok(());
        }
        let mut bytes: usize = self.roots.values().map(Root::bytes).sum();
        for place in rows::places(tx, user, MOST)? {
            let Some(now) = granted.get(&place.node) else {
                continue;
            };
            if self.roots.contains_key(&place.node) {
                continue;
            }
            let root = Root {
                drive: now.drive,
                is_folder: place.is_folder,
                base: format!("/{SHARED}/{}", place.mount.nfc()),
                key: place.key,
                number: now.newest,
                on_the_way: None,
            };
            bytes += root.bytes();
            if bytes > MOST_BYTES {
                self.left_out.insert(place.node);
            } else {
                self.roots.insert(place.node, root);
            }
        }
        Ok(())
    }

    /// Drives in which something has happened, each with the line up to which all is known and the
    /// newest one. They take turns: one in which much happens keeps none waiting.
    fn news(&self, granted: &HashMap<NodeId, Granted>) -> Vec<(DriveId, i64, i64)> {
        let mut drives = BTreeMap::new();
        for (node, root) in &self.roots {
            if let Some(now) = granted.get(node)
                && root.number < now.newest
            {
                let (known, _) = drives
                    .entry(root.drive)
                    .or_insert((root.number, now.newest));
                *known = root.number.min(*known);
            }
        }
        let mut news: Vec<_> = drives
            .into_iter()
            .map(|(drive, (known, newest))| (drive, known, newest))
            .collect();
        let next = news.partition_point(|(drive, ..)| Some(*drive) <= self.turn);
        news.rotate_left(next);
        news
    }

    /// Reads on in one drive; how many lines there were, and whether there are more.
    fn read_drive(
        &mut self,
        tx: &mut Tx<'_>,
        (drive, known, newest): (DriveId, i64, i64),
        items: &mut Vec<Notice>,
    ) -> Result<(usize, bool)> {
        let lines = change::rows::since(tx, drive, known, LINES)?;
        let mut roots: Vec<(&NodeId, &mut Root)> = self.roots.iter_mut().collect();
        roots.retain(|(_, root)| root.drive == drive);
        // What lies in several shares is told in one order.
        roots.sort_unstable_by(|(_, a), (_, b)| a.base.cmp(&b.base));
        let mut more = lines.len() >= LINES as usize;
        for line in &lines {
            if items.len() >= LINES as usize {
                more = true;
                break;
            }
            let heard = roots.iter_mut();
            items.extend(heard.filter_map(|(own, root)| root.hear(**own, line)));
        }
        if !more {
            for (_, root) in roots {
                root.number = newest;
            }
        }
        self.turn = Some(drive);
        Ok((lines.len(), more))
    }
}

/// What happened since this was last asked, of what is granted now.
pub(crate) fn read(tx: &mut Tx<'_>, user: UserId, inside: &mut Inside) -> Result<InsideNotices> {
    let granted = rows::granted(tx, user, MOST)?;
    let mut items = inside.keep(&granted);
    inside.begin(tx, user, &granted)?;
    let (mut read, mut more) = (0, false);
    for news in inside.news(&granted) {
        if read >= LINES as usize || items.len() >= LINES as usize {
            more = true;
            break;
        }
        let (lines, rest) = inside.read_drive(tx, news, &mut items)?;
        read += lines;
        more |= rest;
    }
    Ok(InsideNotices { items, more })
}

#[cfg(test)]
mod tests;
