//! Finding assets: words, filters, an order, in parts.
//!
//! Two ways lead to the same answer. Few matches are taken from the index of words, filtered and
//! sorted. Where there are many, sorting them all would take long: then the assets are walked in
//! the order asked for, in an index that holds what the filters ask, until the part is full.
//! Which way is taken is decided by gathering the matches, no further than to the number where the
//! ways cost the same. So a part takes the same few statements however many assets there are.

pub(super) mod rows;

use self::rows::Filter;
use super::rows as asset_rows;
use super::term::Query;
use super::{AssetImage, AssetKind, engine};
use crate::caller::Caller;
use crate::db::Tx;
use crate::error::Result;
use crate::id::{AssetId, UserId};
use crate::store::Store;
use crate::user::name_key;

/// Matches up to which all of them are looked at (`docs/BENCHMARKS.md`).
const FEW: u32 = 2500;
/// Likewise where a version is asked for, which few assets run on: a walk passes the others by
/// without a look at their words.
const FEW_OF_A_VERSION: u32 = 1000;

/// The order of what is found. Assets that are equal in it come in the order of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AssetSort {
    /// By how often they were downloaded.
    Downloads,
    /// By when they were posted.
    Date,
    /// By name, without regard to case.
    Name,
}

/// What is looked for; `None` demands nothing.
#[derive(Debug, Clone)]
pub struct AssetQuery {
    /// Words that name and description hold, the last of them perhaps only begun.
    pub text: Option<String>,
    /// What they are for.
    pub kind: Option<AssetKind>,
    /// A version of the engine that they run on.
    pub engine_version: Option<String>,
    /// Tags they all have.
    pub tags: Vec<String>,
    /// The public name of one of their authors.
    pub author: Option<String>,
    /// Fewest bytes of their files.
    pub min_bytes: Option<u64>,
    /// Most bytes of their files.
    pub max_bytes: Option<u64>,
    /// Posted then or later, in milliseconds since 1970-01-01 UTC.
    pub posted_after: Option<i64>,
    /// Posted before, likewise.
    pub posted_before: Option<i64>,
    /// In which order.
    pub sort: AssetSort,
    /// Whether the greatest come first.
    pub descending: bool,
    /// The last of the part before.
    pub after: Option<AssetCursor>,
    /// At most so many.
    pub limit: u32,
}

/// A place in the order of what is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetCursor {
    /// What it is sorted by.
    pub key: AssetKey,
    /// Which of those that are equal in it.
    pub id: AssetId,
}

/// What an asset is sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssetKey {
    /// Downloads, or an instant.
    Number(i64),
    /// A name.
    Text(String),
}

/// An asset in short, as a search finds it. Times are milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetHit {
    /// Names it.
    pub id: AssetId,
    /// Public names of its authors.
    pub authors: Vec<String>,
    /// What it is called.
    pub name: String,
    /// The first 300 characters of what is said about it.
    pub summary: String,
    /// What it is for.
    pub kind: AssetKind,
    /// Ranges of the engine versions that it runs on.
    pub engine_versions: Vec<String>,
    /// Words it is sorted under.
    pub tags: Vec<String>,
    /// Pictures of it.
    pub images: Vec<AssetImage>,
    /// Bytes of its files.
    pub size_bytes: u64,
    /// How often it was downloaded to the end.
    pub downloads: u64,
    /// When it was posted; `None` for a draft.
    pub posted_at: Option<i64>,
}

/// A part of what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetHits {
    /// In the order asked for.
    pub items: Vec<AssetHit>,
    /// Where the next part begins; `None` after the last.
    pub next: Option<AssetCursor>,
}

impl Store {
    /// Finds posted assets. At most six statements.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for a text without words or with too many, tags likewise, and
    /// what is no version.
    pub async fn asset_search(&self, query: AssetQuery) -> Result<AssetHits> {
        let filter = Filter::new(&query)?;
        // Words are read before anything is asked, so that what is wrong with them is said first.
        Query::new(query.text.as_deref(), &query.tags, None)?;
        self.db()
            .read_snapshot(move |tx| {
                let author = query.author.as_deref().map(|name| find_author(tx, name));
                let asked = Query::new(query.text.as_deref(), &query.tags, author.transpose()?)?
                    .with_filters(filter.asked_kind(), filter.asked_major());
                let few = match filter.asked_major() {
                    Some(_) => FEW_OF_A_VERSION,
                    None => FEW,
                };
                let matches = if asked.is_empty() {
                    None
                } else {
                    rows::few(tx, &asked, few)?
                };
                let way = match (matches, asked.has_words()) {
                    (Some(numbers), _) => rows::Way::Matches(numbers),
                    (None, true) => rows::Way::WalkAndLook,
                    (None, false) => rows::Way::Walk,
                };
                let found = rows::find(tx, &query, &filter, &asked, way)?;
                complete(tx, found, query.limit)
            })
            .await
    }

    /// The caller's own assets, drafts as well, the newest first: at most `limit` made before
    /// `before`.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn own_assets(
        &self,
        caller: &Caller,
        before: Option<AssetId>,
        limit: u32,
    ) -> Result<Vec<AssetHit>> {
        let user = caller.user;
        self.db()
            .read_snapshot(move |tx| {
                let found = rows::of_author(tx, user, before, limit)?;
                Ok(complete(tx, found, limit)?.items)
            })
            .await
    }
}

/// Whoever goes by a public name; nobody's account when nobody does, for which the same is asked.
fn find_author(tx: &mut Tx<'_>, name: &str) -> Result<UserId> {
    let found = crate::author::rows::find_by_key(tx, &name_key(name))?;
    Ok(match found {
        Some(user) => user,
        None => UserId::try_from(&[0; 16][..]).map_err(|_| crate::Error::NotFound)?,
    })
}

/// Adds authors and images to what was found, one statement each; drops what is more than `limit`.
fn complete(tx: &mut Tx<'_>, mut found: Vec<rows::Found>, limit: u32) -> Result<AssetHits> {
    let is_last = found.len() <= limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| !is_last).map(|last| AssetCursor {
        key: last.key.clone(),
        id: last.hit.id,
    });
    let numbers: Vec<i64> = found.iter().map(|found| found.number).collect();
    let mut authors = asset_rows::author_names_of(tx, &numbers)?;
    let mut images = asset_rows::images_of(tx, &numbers)?;
    let items = found.into_iter().map(|found| AssetHit {
        authors: authors.remove(&found.number).unwrap_or_default(),
        images: images.remove(&found.number).unwrap_or_default(),
        ..found.hit
    });
    Ok(AssetHits {
        items: items.collect(),
        next,
    })
}

impl Filter {
    pub(super) fn new(query: &AssetQuery) -> Result<Self> {
        Ok(Self {
            kind: query.kind.map_or(0, AssetKind::code),
            min_bytes: query.min_bytes.unwrap_or(0),
            max_bytes: query.max_bytes.unwrap_or(u64::MAX),
            posted_after: query.posted_after.unwrap_or(i64::MIN),
            posted_before: query.posted_before.unwrap_or(i64::MAX),
            engine: match &query.engine_version {
                Some(text) => engine::version(text)?,
                None => -1,
            },
        })
    }

    pub(super) fn asked_kind(&self) -> Option<i64> {
        (self.kind != 0).then_some(self.kind)
    }

    pub(super) fn asked_major(&self) -> Option<i64> {
        (self.engine >= 0).then(|| engine::major(self.engine))
    }
}
