//! Walking through what a folder holds, page by page, in the order of names.
//!
//! Between two pages nothing is held. A page begins after a path, whether or not something still
//! is there, so what comes and goes meanwhile neither repeats nor hides anything else.

pub(crate) mod rows;

use std::sync::Arc;

use crate::caller::Caller;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::id::NodeId;
use crate::node::{self, Entry, Node, Page};
use crate::path::{Name, Path};
use crate::store::{PartOf, Store};
use crate::target::{Located, Target};

/// Which members of a folder are told.
#[derive(Debug, Clone)]
pub struct Walk {
    /// Whether members of its folders are told too, each after the folder that holds it.
    pub is_deep: bool,
    /// Only those that come after this path, which counts from the folder.
    pub after: Option<Path>,
    /// At most so many.
    pub limit: u32,
}

/// Some members of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// In the order of their NFC names, level by level.
    pub items: Vec<Located>,
    /// [`Walk::after`] of what follows; `None` at the end.
    pub next: Option<Path>,
}

/// How large a folder is, as lists of it go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Files and folders below it.
    pub entries: u64,
    /// Their paths' lengths, which count from the folder, altogether.
    pub path_bytes: u64,
}

impl Store {
    /// Some members of a folder; of a folder named by its path, from memory when nothing changed.
    /// Otherwise four statements, whatever there is.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotFolder`].
    pub async fn members(&self, caller: &Caller, folder: &Target, walk: Walk) -> Result<Members> {
        if let Target::Path(folder) = folder
            && !walk.is_deep
        {
            return self.flat(caller, folder, &walk).await;
        }
        let (caller, folder) = (caller.clone(), folder.clone());
        self.db()
            .read_snapshot(move |tx| {
                let (base, id) = folder_at(tx, &caller, &folder)?;
                if walk.is_deep {
                    return deep(tx, &base, id, &walk);
                }
                let after = walk.after.as_ref().and_then(|after| after.names().next());
                let page = node::rows::list(tx, id, after.map_or("", Name::nfc), walk.limit)?;
                of_page(&base, &page)
            })
            .await
    }

    /// Some of what is in a folder itself.
    async fn flat(&self, caller: &Caller, folder: &Path, walk: &Walk) -> Result<Members> {
        let after = walk.after.as_ref().and_then(|after| after.names().next());
        let part = PartOf {
            folder,
            after: after.map_or("", Name::nfc),
            limit: walk.limit,
        };
        let stamp = self.generations().of_members(caller.drive, folder.key());
        if let Some(page) = self.cached_page(caller, &part, stamp) {
            return of_page(folder, &page);
        }
        let (asks, target) = (caller.clone(), Target::from(folder));
        let (after, limit) = (part.after.to_owned(), part.limit);
        let page = self
            .db()
            .read_snapshot(move |tx| {
                let (_, id) = folder_at(tx, &asks, &target)?;
                node::rows::list(tx, id, &after, limit)
            })
            .await?;
        let page = Arc::new(page);
        self.cache_page(caller, &part, stamp, &page);
        of_page(folder, &page)
    }

    /// How much lies below a folder; counting ends at `most` entries.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotFolder`].
    pub async fn extent(&self, caller: &Caller, folder: &Target, most: u64) -> Result<Extent> {
        let (caller, folder) = (caller.clone(), folder.clone());
        self.db()
            .read_snapshot(move |tx| {
                let (_, id) = folder_at(tx, &caller, &folder)?;
                rows::extent(tx, id, most)
            })
            .await
    }
}

fn folder_at(tx: &mut Tx<'_>, caller: &Caller, folder: &Target) -> Result<(Path, NodeId)> {
    let path = folder.path(tx, caller)?;
    let chain = node::rows::walk(tx, caller.root, &path)?;
    match chain.get(path.depth()) {
        None => Err(Error::NotFound),
        Some(node) if node.is_folder() => Ok((path, node.id)),
        Some(_) => Err(Error::NotFolder),
    }
}

fn of_page(folder: &Path, page: &Page) -> Result<Members> {
    let located = |entry: &Entry| {
        Ok(Located {
            path: folder.join(Name::new(&entry.name)?)?,
            node: entry.node.clone(),
        })
    };
    let items = page.entries.iter().map(located);
    let items: Vec<Located> = items.collect::<Result<_>>()?;
    let last = items.last().filter(|_| page.next.is_some());
    let next = last.map(|last| last.path.below(folder.depth()));
    Ok(Members { items, next })
}

/// Where a walk goes on: in this folder, so many levels below where it began, after this name.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub folder: NodeId,
    pub level: usize,
    pub after: String,
}

impl Start {
    /// In the deepest folder on the way to `after` that is still there; `None` where the walk does
    /// not begin in a folder.
    pub fn behind(tx: &mut Tx<'_>, folder: NodeId, after: Option<&Path>) -> Result<Option<Self>> {
        let root = Path::root();
        let after = after.unwrap_or(&root);
        let chain = node::rows::walk(tx, folder, after)?;
        let folders = chain.iter().take_while(|node| node.is_folder()).count();
        let Some(level) = folders.checked_sub(1) else {
            return Ok(None);
        };
        let next = after.names().nth(level);
        Ok(Some(Self {
            folder: chain[level].id,
            level,
            after: next.map_or_else(String::new, |name| name.nfc().to_owned()),
        }))
    }
}

/// Something that a walk met.
#[derive(Debug)]
pub(crate) struct Met {
    /// How many levels below where the walk began the folder lies that holds it.
    pub level: usize,
    pub name: Name,
    pub node: Node,
}

/// A list of what a walk met, as far as a part holds it.
///
/// `base` is the path of where the walk began, `after` the path, from there, that it went on from.
pub(crate) fn listed(
    base: &Path,
    after: Option<&Path>,
    met: Vec<Met>,
    limit: usize,
) -> Result<Members> {
    let mut at = base.clone();
    for name in after.into_iter().flat_map(Path::names) {
        at.push(name.clone())?;
    }
    // One more than the part holds tells whether there is another.
    let is_last = met.len() <= limit;
    let mut items = Vec::with_capacity(met.len().min(limit));
    for Met { level, name, node } in met.into_iter().take(limit) {
        at = at.prefix(base.depth() + level).join(name)?;
        items.push(Located {
            path: at.clone(),
            node,
        });
    }
    let next = (!is_last).then(|| at.below(base.depth()));
    Ok(Members { items, next })
}

/// Members of a folder and of the folders in it.
fn deep(tx: &mut Tx<'_>, base: &Path, folder: NodeId, walk: &Walk) -> Result<Members> {
    let after = walk.after.as_ref();
    let start = Start::behind(tx, folder, after)?.ok_or(Error::NotFolder)?;
    let met = rows::walk(tx, &start, walk.limit.saturating_add(1))?;
    listed(base, after, met, walk.limit as usize)
}

#[cfg(test)]
mod tests;
