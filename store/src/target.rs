//! What a request is about: a path, or a node by its id wherever it is now.
//!
//! An id is worth nothing outside the folder that the caller's paths start from. Whether it is
//! somebody else's, or nobody's, is not told, and costs the same one statement.

mod rows;

use std::sync::Arc;

use crate::caller::Caller;
use crate::db::Tx;
use crate::download::{Found, Stored};
use crate::error::{Error, Result};
use crate::id::{DriveId, NodeId};
use crate::node::{self, Node};
use crate::path::{Name, Path};
use crate::store::Store;

/// What is to be read or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Whatever is at this path.
    Path(Path),
    /// This node, whatever its path.
    Node(NodeId),
}

/// A node and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The path from the caller's root, its names as they were given.
    pub path: Path,
    /// What is there.
    pub node: Node,
}

/// Where something is moved or copied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// This path.
    Path(Path),
    /// A folder under a name; each is the source's own where it is absent.
    Entry {
        /// The folder.
        folder: Option<NodeId>,
        /// The name in it.
        name: Option<Name>,
    },
}

impl From<Path> for Target {
    fn from(path: Path) -> Self {
        Self::Path(path)
    }
}

impl From<&Path> for Target {
    fn from(path: &Path) -> Self {
        Self::Path(path.clone())
    }
}

impl From<NodeId> for Target {
    fn from(id: NodeId) -> Self {
        Self::Node(id)
    }
}

impl Target {
    /// The path, as it is in this transaction.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a node that is not below the caller's root.
    pub(crate) fn path(&self, tx: &mut Tx<'_>, caller: &Caller) -> Result<Path> {
        match self {
            Self::Path(path) => Ok(path.clone()),
            Self::Node(id) => path_of(tx, caller, *id)?.ok_or(Error::NotFound),
        }
    }

    /// What it is and where, in this transaction.
    pub(crate) fn locate(&self, tx: &mut Tx<'_>, caller: &Caller) -> Result<Option<Located>> {
        match self {
            Self::Path(path) => at_path(tx, caller, path),
            Self::Node(id) => by_id(tx, caller, *id),
        }
    }
}

impl From<Path> for Destination {
    fn from(path: Path) -> Self {
        Self::Path(path)
    }
}

impl From<&Path> for Destination {
    fn from(path: &Path) -> Self {
        Self::Path(path.clone())
    }
}

impl Destination {
    /// The path, for what is at `from` in this transaction.
    ///
    /// # Errors
    /// [`Error::ParentMissing`] for a folder that is not below the caller's root.
    pub(crate) fn path(&self, tx: &mut Tx<'_>, caller: &Caller, from: &Path) -> Result<Path> {
        match self {
            Self::Path(path) => Ok(path.clone()),
            Self::Entry { folder, name } => {
                let mut path = match folder {
                    Some(id) => path_of(tx, caller, *id)?.ok_or(Error::ParentMissing)?,
                    None => from.parent().ok_or(Error::Protected)?,
                };
                let name = name.as_ref().or_else(|| from.name());
                path.push(name.ok_or(Error::Protected)?.clone())?;
                Ok(path)
            }
        }
    }
}

impl Store {
    /// What the target is and where; `None` where there is nothing, or nothing of the caller's.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn look_up(&self, caller: &Caller, target: &Target) -> Result<Option<Located>> {
        if let Target::Path(path) = target
            && path.key().is_ascii()
        {
            let found = self.find(caller, path).await?;
            return Ok(found.map(|found| Located {
                path: path.clone(),
                node: found.node.clone(),
            }));
        }
        let (caller, target) = (caller.clone(), target.clone());
        self.db()
            .read_snapshot(move |tx| target.locate(tx, &caller))
            .await
    }

    /// As [`Store::find`], by id.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn find_node(&self, caller: &Caller, id: NodeId) -> Result<Option<Arc<Found>>> {
        let caller = caller.clone();
        self.db()
            .read_snapshot(move |tx| {
                let Some(above) = above(tx, &caller, id)? else {
                    return Ok(None);
                };
                let node = node::rows::find(tx, id)?;
                Ok(node.map(|node| Arc::new(Found { node, above })))
            })
            .await
    }

    /// As [`Store::open_file`], by id.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn open_node(
        &self,
        caller: &Caller,
        id: NodeId,
    ) -> Result<Option<(Arc<Found>, Stored)>> {
        let caller = caller.clone();
        self.db()
            .read_snapshot(move |tx| {
                let Some(above) = above(tx, &caller, id)? else {
                    return Ok(None);
                };
                let (node, held) = node::rows::walk_to_content(tx, id, &Path::root())?;
                let (Some(node), Some(held)) = (node.into_iter().next(), held) else {
                    return Ok(None);
                };
                Ok(Some((Arc::new(Found { node, above }), held.into())))
            })
            .await
    }
}

/// Where a node is, from the caller's root; `None` when it is not below. Of the places of a file with
/// several names below it, the first.
pub(crate) fn path_of(tx: &mut Tx<'_>, caller: &Caller, id: NodeId) -> Result<Option<Path>> {
    way_down(tx, caller, id)?.map(along).transpose()
}

/// The path that a way takes.
fn along(way: Vec<(NodeId, Name)>) -> Result<Path> {
    let mut path = Path::root();
    for (_, name) in way {
        path.push(name)?;
    }
    Ok(path)
}

/// A path, its names as they were given to what it leads to.
pub(crate) fn as_given(tx: &mut Tx<'_>, caller: &Caller, path: Path, node: NodeId) -> Result<Path> {
    if path.key().is_ascii() {
        return Ok(path);
    }
    for way in ways_down(tx, caller.drive, caller.root, node)? {
        let given = along(way)?;
        if given.key() == path.key() {
            return Ok(given);
        }
    }
    Ok(path)
}

/// The folders from the caller's root down to a node, each with the name that leads on; of those to
/// a file with several names the first.
fn way_down(tx: &mut Tx<'_>, caller: &Caller, id: NodeId) -> Result<Option<Vec<(NodeId, Name)>>> {
    if id == caller.root {
        return Ok(Some(Vec::new()));
    }
    let ways = ways_down(tx, caller.drive, caller.root, id)?;
    Ok(ways.into_iter().next())
}

/// The ways from a folder down to each name of a node that lies below it.
pub(crate) fn ways_down(
    tx: &mut Tx<'_>,
    drive: DriveId,
    root: NodeId,
    id: NodeId,
) -> Result<Vec<Vec<(NodeId, Name)>>> {
    let mut ways = rows::ways_up(tx, drive, root, id)?;
    ways.retain(|way| way.last().is_some_and(|(folder, _)| *folder == root));
    for way in &mut ways {
        way.reverse();
    }
    Ok(ways)
}

fn at_path(tx: &mut Tx<'_>, caller: &Caller, path: &Path) -> Result<Option<Located>> {
    let mut chain = node::rows::walk(tx, caller.root, path)?;
    let is_whole = chain.len() > path.depth();
    let Some(node) = chain.pop().filter(|_| is_whole) else {
        return Ok(None);
    };
    let path = as_given(tx, caller, path.clone(), node.id)?;
    Ok(Some(Located { path, node }))
}

fn by_id(tx: &mut Tx<'_>, caller: &Caller, id: NodeId) -> Result<Option<Located>> {
    let Some(path) = path_of(tx, caller, id)? else {
        return Ok(None);
    };
    let node = node::rows::find(tx, id)?;
    Ok(node.map(|node| Located { path, node }))
}

/// The folders above a node, from the caller's root down.
fn above(tx: &mut Tx<'_>, caller: &Caller, id: NodeId) -> Result<Option<Vec<NodeId>>> {
    let way = way_down(tx, caller, id)?;
    Ok(way.map(|way| way.into_iter().map(|(folder, _)| folder).collect()))
}
