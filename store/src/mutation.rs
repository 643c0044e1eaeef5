//! How every mutation begins and ends: the drive held, its locks and the state
//! of the paths read, preconditions and locks asked, numbers written back.

use std::collections::HashSet;

use crate::cache::Effect;
use crate::caller::Caller;
use crate::change::{self, ChangeKind};
use crate::clock::World;
use crate::condition::{Condition, State};
use crate::db::Tx;
use crate::drive::{self, Drive};
use crate::error::{Error, Result};
use crate::give_way::{self, Kept};
use crate::id::{NodeId, ReservationId};
use crate::link;
use crate::lock::Locks;
use crate::names;
use crate::node::{self, Node};
use crate::path::{Name, Path};
use crate::quota::Bill;
use crate::reach::SHARED;
use crate::store::Limits;

/// A drive that this transaction holds for the caller's change: their own, or one that its owner
/// lets them write in.
pub(crate) struct Scene<'a> {
    pub caller: &'a Caller,
    pub world: &'a World,
    pub drive: Drive,
    pub locks: Locks,
    now_ns: i64,
    bill: Bill,
    /// Ids above the caller's root, nearest first, and the root's path: only
    /// for credentials that are confined to a folder.
    above: Vec<NodeId>,
    prefix: String,
    prefix_key: String,
}

impl<'a> Scene<'a> {
    /// Begins a change of the caller's drive.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a credential that only reads, or for what was granted for reading
    /// alone; [`Error::NotFound`] when it was taken back.
    pub fn enter(tx: &mut Tx<'_>, caller: &'a Caller, world: &'a World) -> Result<Self> {
        crate::access::require_write(caller)?;
        Self::look(tx, caller, world)
    }

    /// Begins a change that only adds a file, which a link for uploads allows too.
    ///
    /// # Errors
    /// As [`Self::enter`], and [`Error::NotFound`] when the link has ended.
    pub fn enter_to_add(tx: &mut Tx<'_>, caller: &'a Caller, world: &'a World) -> Result<Self> {
        crate::access::require_add(caller)?;
        Self::look(tx, caller, world)
    }

    /// Holds the caller's drive to read from it what is changed elsewhere.
    ///
    /// # Errors
    /// [`Error::NotFound`] when what was granted was taken back.
    pub fn look(tx: &mut Tx<'_>, caller: &'a Caller, world: &'a World) -> Result<Self> {
        let drive = drive::rows::lock(tx, caller.drive)?;
        let now_ns = world.now_ns();
        crate::access::recheck(tx, caller, now_ns / 1_000_000)?;
        let locks = Locks::load(tx, &drive, now_ns / 1_000_000)?;
        let mut scene = Self {
            caller,
            world,
            drive,
            locks,
            now_ns,
            bill: Bill::default(),
            above: Vec::new(),
            prefix: String::new(),
            prefix_key: String::new(),
        };
        if !caller.whole_drive {
            for (id, name) in node::rows::ancestors(tx, caller.root)? {
                scene.above.push(id);
                scene.prefix.insert_str(0, &format!("/{}", name.as_str()));
                scene.prefix_key.insert_str(0, &format!("/{}", name.nfc()));
            }
            if scene.above.last() != Some(&scene.drive.root) {
                // The folder or one above it was deleted: the tree hangs in the air until it is
                // purged.
                return Err(Error::NotFound);
            }
        }
        Ok(scene)
    }

    pub fn now_ns(&self) -> i64 {
        self.now_ns
    }

    pub fn now_ms(&self) -> i64 {
        self.now_ns / 1_000_000
    }

    /// The path from the drive's root, as people see it.
    pub fn full_path(&self, path: &Path) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The path from the drive's root, as caches and the journal know it.
    pub fn full_key(&self, path: &Path) -> String {
        format!("{}{}", self.prefix_key, path.key())
    }

    /// Refuses a place where nothing can be made: too deep for a path from the drive's root, however
    /// short the caller's is, or under the name of what others share.
    /// `names` and `bytes` are what still lies below it.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::Reserved`].
    pub fn require_reachable(&self, path: &Path, names: u64, bytes: u64) -> Result<()> {
        let first = path.names().next();
        if self.above.is_empty() && first.is_some_and(|name| name.nfc() == SHARED) {
            return Err(Error::Reserved);
        }
        let depth = self.above.len() + path.depth();
        let length = self.prefix_key.len() + path.key().len();
        if depth as u64 + names > Path::MAX_DEPTH as u64 {
            return Err(Error::InvalidName("a path cannot have more than 256 names"));
        }
        if length as u64 + bytes > Path::MAX_BYTES as u64 {
            return Err(Error::InvalidName(
                "a path cannot be longer than 4096 bytes",
            ));
        }
        Ok(())
    }

    /// Asks the request's precondition about the state read here.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] when it does not hold.
    pub fn check(&self, tx: &mut Tx<'_>, condition: &Condition, target: &Place) -> Result<()> {
        let Some(check) = &condition.check else {
            return Ok(());
        };
        let mut others = Vec::with_capacity(condition.others.len());
        for path in &condition.others {
            others.push(self.state(&Place::find(tx, self, path)?));
        }
        if check(&self.state(target), &others) {
            Ok(())
        } else {
            Err(Error::PreconditionFailed)
        }
    }

    fn state(&self, place: &Place) -> State {
        let tokens_of = |lock: &crate::lock::Lock| lock.token.clone();
        let Some(node) = place.node() else {
            // What comes to be below a deep lock is locked from the start.
            let covering = place.nearest_folder().ok().into_iter().flat_map(|folder| {
                let covering = self.locks.covering(folder.id, place.ancestors_of_parent());
                covering.filter(|lock| lock.is_deep)
            });
            return State {
                node: None,
                lock_tokens: covering.map(tokens_of).collect(),
                cursor: self.drive.change_number,
            };
        };
        State {
            node: Some(node.clone()),
            lock_tokens: self
                .locks
                .covering(node.id, place.ancestors())
                .map(tokens_of)
                .collect(),
            cursor: self.drive.change_number,
        }
    }

    /// Asks for the token of a lock that covers one node.
    pub fn require(&self, condition: &Condition, node: NodeId, ancestors: &[NodeId]) -> Result<()> {
        self.locks
            .require(self.caller, &condition.lock_tokens, node, ancestors)
    }

    /// Asks for the tokens of all locks in a tree and of those that cover it.
    pub fn require_tree(&self, condition: &Condition, place: &Place, root: NodeId) -> Result<()> {
        self.require(condition, root, place.ancestors())?;
        self.locks
            .require_tree(self.caller, &condition.lock_tokens, root)
    }

    /// Ends what hangs on a tree that is deleted, for good: a tree that comes back from the trash
    /// comes without it. The one place for all of it.
    pub fn end_ties(&mut self, tx: &mut Tx<'_>, root: NodeId) -> Result<()> {
        crate::grant::end_within(tx, self, root)?;
        link::end_within(tx, self.drive.id, root)?;
        self.drop_locks(tx, root)
    }

    /// Ends the locks of a tree that goes away, or elsewhere; a file with a name outside of it stays
    /// locked.
    ///
    /// Rows of locks that expired go first: those in the tree would vanish with their nodes,
    /// uncounted.
    pub fn drop_locks(&mut self, tx: &mut Tx<'_>, root: NodeId) -> Result<()> {
        if self.drive.lock_count == 0 {
            return Ok(());
        }
        let expired = crate::lock::rows::remove_expired(tx, self.drive.id, self.now_ms())?;
        self.drive.lock_count = self.drive.lock_count.saturating_sub(expired);
        let within = self.locks.within(root);
        let within: Vec<(String, NodeId)> = within.map(|l| (l.token.clone(), l.node)).collect();
        let staying = if within.iter().any(|(_, node)| *node != root) {
            names::files_staying(tx, root)?
        } else {
            HashSet::new()
        };
        for (token, node) in within {
            if !staying.contains(&node) {
                self.drop_lock(tx, &token)?;
            }
        }
        Ok(())
    }

    pub fn drop_lock(&mut self, tx: &mut Tx<'_>, token: &str) -> Result<()> {
        let removed = crate::lock::rows::remove(tx, token)?;
        self.drive.lock_count = self.drive.lock_count.saturating_sub(removed);
        Ok(())
    }

    /// Adds a line to the drive's history.
    pub fn record(
        &mut self,
        tx: &mut Tx<'_>,
        kind: ChangeKind,
        node: NodeId,
        path: &Path,
    ) -> Result<()> {
        let key = self.full_key(path);
        self.record_key(tx, kind, node, &key)
    }

    /// As [`Self::record`], with the path as the journal knows it.
    pub fn record_key(
        &mut self,
        tx: &mut Tx<'_>,
        kind: ChangeKind,
        node: NodeId,
        key: &str,
    ) -> Result<()> {
        self.drive.change_number += 1;
        change::rows::append(tx, &self.drive, kind, node, key, self.now_ms())
    }

    /// Records, and tells caches, that what is at a path changed: under each name that it has.
    pub fn changed(&mut self, tx: &mut Tx<'_>, node: &Node, path: &Path) -> Result<()> {
        self.record(tx, ChangeKind::Changed, node.id, path)?;
        tx.effect(Effect::Path(self.drive.id, self.full_key(path)));
        self.changed_elsewhere(tx, node, path)
    }

    /// Records, and tells caches, that a node changed under the names that it has beside a path.
    pub fn changed_elsewhere(&mut self, tx: &mut Tx<'_>, node: &Node, path: &Path) -> Result<()> {
        if node.links == 1 {
            return Ok(());
        }
        let here = self.full_key(path);
        for key in names::keys(tx, &self.drive, node.id)? {
            if key != here {
                self.record_key(tx, ChangeKind::Changed, node.id, &key)?;
                tx.effect(Effect::Path(self.drive.id, key));
            }
        }
        Ok(())
    }

    /// Tells caches that an entry came or went: the path and its folder changed.
    pub fn touch(&self, tx: &mut Tx<'_>, path: &Path) {
        let key = self.full_key(path);
        let folder = key.rfind('/').map_or("", |at| &key[..at]).to_owned();
        tx.effect(Effect::Path(self.drive.id, folder));
        tx.effect(Effect::Path(self.drive.id, key));
    }

    /// Charges the drive for a change of `old_bytes` into `new_bytes`.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`].
    pub fn charge(
        &mut self,
        tx: &mut Tx<'_>,
        old_bytes: u64,
        new_bytes: u64,
        reservation: Option<ReservationId>,
    ) -> Result<()> {
        self.bill
            .charge(tx, &mut self.drive, old_bytes, new_bytes, reservation)
    }

    /// Charges the drive for what is kept in it, and is counted so.
    pub fn charge_kept(&mut self, tx: &mut Tx<'_>, bytes: u64) -> Result<()> {
        self.bill.charge_kept(tx, &mut self.drive, bytes)
    }

    /// Has the trash give way where it holds more, together with what is live, than a drive may:
    /// asked after what adds nodes or properties.
    pub fn fit_trash(&mut self, tx: &mut Tx<'_>, limits: &Limits) -> Result<()> {
        let given_bytes = give_way::beyond(tx, &mut self.drive, limits)?;
        self.give_back(given_bytes);
        Ok(())
    }

    /// Gives up what the drive has kept.
    pub fn give_up(&mut self, tx: &mut Tx<'_>, goes: &[Kept]) -> Result<()> {
        let given_bytes = give_way::give_up(tx, &mut self.drive, goes)?;
        self.give_back(given_bytes);
        Ok(())
    }

    /// Counts bytes for which the drive is no longer charged.
    pub fn give_back(&mut self, given_bytes: u64) {
        self.bill.give_back(given_bytes);
    }

    /// Writes the numbers back; the last step of every change.
    ///
    /// # Errors
    /// [`Error::CapacityExceeded`].
    pub fn settle(&self, tx: &mut Tx<'_>) -> Result<()> {
        self.bill.settle(tx, &self.drive)
    }
}

/// A path of the caller and the nodes along it, as this transaction sees them.
pub(crate) struct Place {
    path: Path,
    /// Nodes from the root down, as far as the path exists.
    chain: Vec<Node>,
    /// Ids above the deepest node found, nearest first; after `along` of them those above its other
    /// names, in no order.
    ancestors: Vec<NodeId>,
    along: usize,
}

impl Place {
    pub fn find(tx: &mut Tx<'_>, scene: &Scene<'_>, path: &Path) -> Result<Self> {
        let chain = node::rows::walk(tx, scene.caller.root, path)?;
        let mut ancestors: Vec<NodeId> = chain
            .iter()
            .rev()
            .skip(1)
            .map(|node| node.id)
            .chain(scene.above.iter().copied())
            .collect();
        let along = ancestors.len();
        if let Some(node) = chain.get(path.depth()).filter(|node| node.links > 1) {
            let above = node::rows::chains(tx, &[node.id])?.into_iter();
            ancestors.extend(above.map(|(_, above)| above).filter(|id| *id != node.id));
        }
        Ok(Self {
            path: path.clone(),
            chain,
            ancestors,
            along,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is at the path.
    pub fn node(&self) -> Option<&Node> {
        self.chain.get(self.path.depth())
    }

    /// Ids above [`Self::node`] (above the parent, where nothing is at the path), nearest first;
    /// then those above its other names.
    pub fn ancestors(&self) -> &[NodeId] {
        &self.ancestors
    }

    /// As [`Self::ancestors`], by this path alone.
    pub fn ancestors_along(&self) -> &[NodeId] {
        &self.ancestors[..self.along]
    }

    /// Ids above [`Self::parent`], nearest first.
    pub fn ancestors_of_parent(&self) -> &[NodeId] {
        if self.node().is_some() {
            self.ancestors.get(1..self.along).unwrap_or_default()
        } else {
            &self.ancestors
        }
    }

    /// The folder that holds the path.
    ///
    /// # Errors
    /// [`Error::ParentMissing`] when there is none, [`Error::Protected`] for the root.
    pub fn parent(&self) -> Result<&Node> {
        let depth = self.path.depth().checked_sub(1).ok_or(Error::Protected)?;
        match self.chain.get(depth) {
            Some(node) if node.is_folder() => Ok(node),
            _ => Err(Error::ParentMissing),
        }
    }

    /// The folder in which the path, or the first folder missing above it, would be made, where
    /// nothing is at the path.
    ///
    /// # Errors
    /// [`Error::NotFolder`] when a file stands where a folder is wanted.
    pub fn nearest_folder(&self) -> Result<&Node> {
        match self.chain.last() {
            Some(node) if node.is_folder() => Ok(node),
            Some(_) => Err(Error::NotFolder),
            None => Err(Error::NotFound),
        }
    }

    /// The folders that are missing above the path, the outermost first.
    pub fn missing_parents(&self) -> Vec<Path> {
        (self.chain.len()..self.path.depth())
            .map(|depth| self.path.prefix(depth))
            .collect()
    }

    /// The last name of the path.
    ///
    /// # Errors
    /// [`Error::Protected`] for the root.
    pub fn name(&self) -> Result<&Name> {
        self.path.name().ok_or(Error::Protected)
    }
}
