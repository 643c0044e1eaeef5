//! Walking through what a folder holds, page by page, in the order of names.
//!
//! Between two pages nothing is held. A page begins after a path, whether or not something still
//! is there, so what comes and goes meanwhile neither repeats nor hides anything else.

mod rows;

use std::sync::Arc;

use crate::caller::Caller;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::id::NodeId;
use crate::node::{self, Entry, Page};
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
    /// The statements this takes otherwise grow with the folders met, of which each is a member
    /// told or lies above the first one.
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
                members(tx, &base, id, &walk)
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

/// A folder whose members are being told.
struct Open {
    id: NodeId,
    path: Path,
    entries: std::vec::IntoIter<Entry>,
    /// The name after which the next entries are read; `None` when there are no more.
    next: Option<String>,
}

impl Open {
    fn new(id: NodeId, path: Path) -> Self {
        Self {
            id,
            path,
            entries: Vec::new().into_iter(),
            next: Some(String::new()),
        }
    }
}

fn members(tx: &mut Tx<'_>, base: &Path, folder: NodeId, walk: &Walk) -> Result<Members> {
    let limit = walk.limit as usize;
    let mut open = begin(tx, base, folder, walk)?;
    let mut items: Vec<Located> = Vec::new();
    // One more than the page holds tells whether there is another.
    while items.len() <= limit
        && let Some(top) = open.last_mut()
    {
        if let Some(entry) = top.entries.next() {
            let path = top.path.join(Name::new(&entry.name)?)?;
            if walk.is_deep && entry.node.is_folder() {
                open.push(Open::new(entry.node.id, path.clone()));
            }
            items.push(Located {
                path,
                node: entry.node,
            });
        } else if let Some(after) = top.next.take() {
            let page = node::rows::list(tx, top.id, &after, walk.limit)?;
            (top.entries, top.next) = (page.entries.into_iter(), page.next);
        } else {
            open.pop();
        }
    }
    let mut next = None;
    if items.len() > limit {
        items.truncate(limit);
        next = items.last().map(|item| item.path.below(base.depth()));
    }
    Ok(Members { items, next })
}

/// The folders in which the walk goes on, the outermost first.
fn begin(tx: &mut Tx<'_>, base: &Path, folder: NodeId, walk: &Walk) -> Result<Vec<Open>> {
    let mut open = vec![Open::new(folder, base.clone())];
    let Some(after) = &walk.after else {
        return Ok(open);
    };
    let chain = node::rows::walk(tx, folder, after)?;
    let mut at = base.clone();
    for (depth, name) in after.names().enumerate() {
        if let Some(above) = open.last_mut() {
            above.next = Some(name.nfc().to_owned());
        }
        match chain.get(depth + 1) {
            Some(node) if walk.is_deep && node.is_folder() => {
                at.push(name.clone())?;
                open.push(Open::new(node.id, at.clone()));
            }
            _ => break,
        }
    }
    Ok(open)
}
