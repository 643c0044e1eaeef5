//! What the server must answer, worked out from the tree and the locks.

use bytes::Bytes;

use crate::operation::{Operation, Start};
use crate::tree::{Tree, composed, is_below, parent};

/// An exclusive lock that is held.
pub struct Lock {
    pub root: String,
    pub is_deep: bool,
    pub token: String,
}

impl Lock {
    pub fn covers(&self, path: &str) -> bool {
        composed(path) == self.root || (self.is_deep && is_below(&composed(path), &self.root))
    }

    pub fn is_within(&self, path: &str) -> bool {
        self.root == composed(path) || is_below(&self.root, &composed(path))
    }
}

/// What may be answered.
pub struct Foreseen {
    /// Statuses of refusals, any of which is right.
    pub refusals: Vec<u16>,
    /// Whether it may be done nevertheless.
    pub may_succeed: bool,
    /// The status when it is done.
    pub success: u16,
}

/// What may be answered to `operation`; with the tokens of all locks, if it submits them.
pub fn foresee(tree: &Tree, locks: &[Lock], operation: &Operation, submits: bool) -> Foreseen {
    let view = View {
        tree,
        locks: if submits { &[] } else { locks },
    };
    let (path, to) = operation.paths();
    match operation {
        Operation::Put { .. } => view.put(path),
        Operation::Patch { start, .. } => view.patch(path, *start),
        Operation::MakeFolder { .. } => view.make_folder(path),
        Operation::Delete { .. } => view.delete(path),
        Operation::Note { .. } => view.note(path),
        Operation::Bind { overwrite, .. } => view.bind(path, to.unwrap_or_default(), *overwrite),
        Operation::Copy { overwrite, .. } => {
            view.transfer(path, to.unwrap_or_default(), *overwrite, false)
        }
        Operation::Rename { overwrite, .. } => {
            if operation.is_respelling() {
                view.respell(path)
            } else {
                view.transfer(path, to.unwrap_or_default(), *overwrite, true)
            }
        }
    }
}

/// The drive, and the locks whose tokens are not submitted.
struct View<'a> {
    tree: &'a Tree,
    locks: &'a [Lock],
}

impl View<'_> {
    fn covered(&self, path: &str) -> bool {
        self.locks.iter().any(|lock| lock.covers(path))
    }

    fn holds_lock(&self, path: &str) -> bool {
        self.locks.iter().any(|lock| lock.is_within(path))
    }

    /// The refusals that apply, of those listed with their conditions.
    fn refused(success: u16, conditions: &[(bool, &[u16])]) -> Foreseen {
        let refusals = conditions.iter().filter(|(applies, _)| *applies);
        Foreseen {
            refusals: refusals
                .flat_map(|(_, statuses)| *statuses)
                .copied()
                .collect(),
            may_succeed: false,
            success,
        }
    }

    fn put(&self, path: &str) -> Foreseen {
        let exists = self.tree.exists(path);
        let guarded = if exists { path } else { parent(path) };
        Self::refused(
            if exists { 204 } else { 201 },
            &[
                (self.tree.is_folder(path), &[405]),
                (!self.tree.is_folder(parent(path)), &[409]),
                (self.covered(guarded), &[423]),
            ],
        )
    }

    fn patch(&self, path: &str, start: Start) -> Foreseen {
        let length = self.tree.content(path).map(Bytes::len);
        let is_past = matches!((length, start), (Some(length), Start::Last(n)) if n > length);
        Self::refused(
            204,
            &[
                (length.is_none(), &[404]),
                (self.tree.is_folder(path), &[405]),
                (is_past, &[416]),
                (self.covered(path), &[423]),
            ],
        )
    }

    fn make_folder(&self, path: &str) -> Foreseen {
        Self::refused(
            201,
            &[
                (self.tree.exists(path), &[405]),
                (!self.tree.is_folder(parent(path)), &[409]),
                (self.covered(parent(path)), &[423]),
            ],
        )
    }

    fn delete(&self, path: &str) -> Foreseen {
        Self::refused(
            204,
            &[
                (!self.tree.exists(path), &[404]),
                (self.minds_removal(path), &[423]),
                (self.holds_lock(path), &[207]),
            ],
        )
    }

    fn note(&self, path: &str) -> Foreseen {
        Self::refused(
            207,
            &[
                (!self.tree.exists(path), &[404]),
                (self.covered(path), &[423]),
            ],
        )
    }

    fn respell(&self, path: &str) -> Foreseen {
        Self::refused(
            201,
            &[
                (!self.tree.exists(path), &[404]),
                (self.minds_removal(path), &[423]),
                (self.holds_lock(path), &[207]),
            ],
        )
    }

    fn transfer(&self, path: &str, to: &str, overwrite: bool, moves: bool) -> Foreseen {
        let (from, onto) = (composed(path), composed(to));
        let overlaps = from == onto || is_below(&from, &onto) || is_below(&onto, &from);
        let replaces = self.tree.exists(to);
        let minds_arrival = if replaces {
            self.covered(to) || self.holds_lock(to)
        } else {
            self.covered(parent(to))
        };
        let mut foreseen = Self::refused(
            if replaces { 204 } else { 201 },
            &[
                (!self.tree.exists(path), &[404]),
                (moves && self.minds_removal(path), &[423]),
                (moves && self.holds_lock(path), &[207]),
                (overlaps, &[403]),
                (!self.tree.is_folder(parent(to)), &[409]),
                (replaces && !overwrite, &[412]),
                (minds_arrival, &[423]),
                (replaces && self.holds_lock(to), &[207]),
            ],
        );
        if replaces && !minds_arrival && self.covered(parent(to)) {
            // The folder has the same member names before and after, so whether a lock of the
            // folder alone minds is left open by RFC 4918 §7.4.
            foreseen.may_succeed = foreseen.refusals.is_empty();
            foreseen.refusals.push(423);
        }
        foreseen
    }

    /// Where nothing is locked.
    fn bind(&self, file: &str, to: &str, overwrite: bool) -> Foreseen {
        let replaces = self.tree.exists(to);
        let folder = parent(to);
        Self::refused(
            if replaces { 200 } else { 201 },
            &[
                (!self.tree.exists(folder), &[404]),
                (!self.tree.is_folder(folder), &[403, 404]),
                (!self.tree.exists(file), &[409]),
                (self.tree.is_folder(file), &[403]),
                (replaces && !overwrite, &[412]),
                (is_below(&composed(file), &composed(to)), &[403]),
            ],
        )
    }

    fn minds_removal(&self, path: &str) -> bool {
        self.covered(parent(path)) || self.covered(path) || self.holds_lock(path)
    }
}
