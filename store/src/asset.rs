//! Assets: what authors offer to everyone in a catalogue, with files, images and words to find it
//! by (C1 to C4).
//!
//! A draft exists for its authors alone; a posted asset is there for anyone, until they withdraw
//! it. Each file and image is charged to whoever has sent it.

mod attach;
mod author;
mod charge;
mod download;
mod engine;
mod picture;
pub(crate) mod rows;
mod search;
mod term;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::engine::Engines;
use self::rows::{AssetRow, Texts};
use crate::access;
use crate::caller::Caller;
use crate::db::Tx;
use crate::error::{Error, Limited, Result};
use crate::id::{AssetContentId, AssetId, UserId};
use crate::path;
use crate::store::Store;

pub use self::attach::{Attached, Attaching};
pub use self::author::AssetOffer;
pub(crate) use self::author::author_removed;
pub use self::download::AssetContent;
pub(crate) use self::download::Downloads;
pub use self::search::{AssetCursor, AssetHit, AssetHits, AssetKey, AssetQuery, AssetSort};

/// Characters of a name, bytes of a description, tags and characters of each.
const MOST_NAME_CHARS: usize = 200;
const MOST_DESCRIPTION_BYTES: usize = 64 << 10;
const MOST_TAGS: usize = 32;
const MOST_TAG_CHARS: usize = 32;
/// Assets of one author; authors, files and images of one asset.
const MOST_ASSETS: u64 = 10_000;
const MOST_AUTHORS: u64 = 16;
const MOST_FILES: u64 = 64;
const MOST_IMAGES: u64 = 16;
/// Bytes of one image.
const MOST_IMAGE_BYTES: u64 = 10 << 20;

/// What an asset is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AssetKind {
    /// Pictures, sprites, tiles.
    TwoD,
    /// Models, scenes, materials.
    ThreeD,
}

impl AssetKind {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TwoD => "2d",
            Self::ThreeD => "3d",
        }
    }

    /// Reads the word.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is neither `2d` nor `3d`.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "2d" => Ok(Self::TwoD),
            "3d" => Ok(Self::ThreeD),
            _ => Err(invalid("kind", "must be 2d or 3d")),
        }
    }

    fn code(self) -> i64 {
        match self {
            Self::TwoD => 2,
            Self::ThreeD => 3,
        }
    }

    fn from_code(code: i64) -> Result<Self> {
        match code {
            2 => Ok(Self::TwoD),
            3 => Ok(Self::ThreeD),
            _ => Err(Error::malformed("kind of asset")),
        }
    }
}

/// An asset with all that belongs to it. Times are milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Names it.
    pub id: AssetId,
    /// Public names of its authors, in the order in which they joined.
    pub authors: Vec<String>,
    /// Public names, as typed, of those who are asked to join; shown to its authors alone.
    pub offers: Vec<String>,
    /// What it is called.
    pub name: String,
    /// What is said about it.
    pub description: String,
    /// What it is for.
    pub kind: AssetKind,
    /// Ranges of the engine versions that it runs on.
    pub engine_versions: Vec<String>,
    /// Words it is sorted under.
    pub tags: Vec<String>,
    /// Pictures of it, in the order in which they came.
    pub images: Vec<AssetImage>,
    /// Its files, by name.
    pub files: Vec<AssetFile>,
    /// Bytes of its files.
    pub size_bytes: u64,
    /// How often it was downloaded to the end.
    pub downloads: u64,
    /// When it was made.
    pub created_at: i64,
    /// When it was posted; `None` for a draft.
    pub posted_at: Option<i64>,
    version: i64,
}

impl Asset {
    /// The entity tag with its quotes: changed with every change by its authors.
    pub fn etag(&self) -> String {
        etag(self.id, self.version)
    }
}

fn etag(id: AssetId, version: i64) -> String {
    format!("\"{id}-{version}\"")
}

/// A file of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetFile {
    /// Its name.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
    /// SHA-256 of its content.
    pub sha256: crate::Digest,
}

/// A picture of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetImage {
    /// Names it.
    pub id: AssetContentId,
    /// `image/png`, `image/jpeg`, `image/gif` or `image/webp`.
    pub media_type: &'static str,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Its length.
    pub size_bytes: u64,
}

/// An asset to be made.
#[derive(Debug, Clone)]
pub struct NewAsset {
    /// What it is called.
    pub name: String,
    /// What is said about it.
    pub description: String,
    /// What it is for.
    pub kind: AssetKind,
    /// Ranges of engine versions; none at all stand for every version.
    pub engine_versions: Vec<String>,
    /// Words it is sorted under.
    pub tags: Vec<String>,
}

/// What is changed of an asset; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct AssetChange {
    /// What it is called.
    pub name: Option<String>,
    /// What is said about it.
    pub description: Option<String>,
    /// What it is for.
    pub kind: Option<AssetKind>,
    /// Ranges of engine versions.
    pub engine_versions: Option<Vec<String>>,
    /// Words it is sorted under.
    pub tags: Option<Vec<String>>,
}

/// What a change expects of the asset's entity tag; asked inside its transaction.
#[derive(Clone, Default)]
pub struct Expected(Option<Arc<Check>>);

type Check = dyn Fn(&str) -> bool + Send + Sync;

impl Expected {
    /// Goes on where `check` says so of the entity tag.
    pub fn new(check: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(check)))
    }

    fn require(&self, row: &AssetRow) -> Result<()> {
        match &self.0 {
            Some(check) if !check(&etag(row.id, row.version)) => Err(Error::PreconditionFailed),
            _ => Ok(()),
        }
    }
}

impl Store {
    /// Makes a draft, whose one author is the caller.
    ///
    /// # Errors
    /// [`Error::Invalid`], also when the caller has no public name; [`Error::Limit`];
    /// [`Error::Forbidden`] for a credential that only reads or is confined to a folder.
    pub async fn asset_add(&self, caller: &Caller, new: NewAsset) -> Result<Asset> {
        require_author(caller)?;
        let (name, name_sort) = check_name(&new.name)?;
        check_description(&new.description)?;
        let tags = check_tags(&new.tags)?;
        let engines = Engines::parse(&new.engine_versions)?;
        let (low, high) = engines.bounds();
        let world = self.world();
        let row = AssetRow {
            number: 0,
            id: AssetId::new(world),
            version: 1,
            name,
            name_sort,
            kind: new.kind,
            size_bytes: 0,
            downloads: 0,
            created_at: world.now_ms(),
            posted_at: None,
            is_listed: false,
            engine_low: low,
            engine_high: high,
            is_author: true,
        };
        let texts = Texts {
            description: new.description,
            tags,
            engine_versions: engines.texts().to_vec(),
        };
        let user = caller.user;
        self.db()
            .write(move |tx| {
                if crate::author::rows::find(tx, user)?.is_none() {
                    return Err(invalid("public_name", "has to be chosen first"));
                }
                require_few_assets(tx, user)?;
                let number = rows::insert(tx, &row)?;
                rows::insert_texts(tx, number, &texts)?;
                rows::replace_engines(tx, number, engines.spans())?;
                rows::insert_author(tx, number, user, row.created_at)?;
                load(
                    tx,
                    AssetRow {
                        number,
                        ..row.clone()
                    },
                )
            })
            .await
    }

    /// An asset as `viewer` may see it: a draft is there for its authors alone.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn asset(&self, viewer: Option<&Caller>, id: AssetId) -> Result<Asset> {
        let user = viewer.map(|caller| caller.user);
        self.db()
            .read_snapshot(move |tx| {
                let row = rows::find(tx, id, user)?.filter(AssetRow::is_visible);
                load(tx, row.ok_or(Error::NotFound)?)
            })
            .await
    }

    /// Changes what is said of an asset.
    ///
    /// # Errors
    /// As for [`Self::asset_add`]; [`Error::NotFound`] for a draft of others, [`Error::Forbidden`]
    /// for what others have posted, [`Error::PreconditionFailed`].
    pub async fn asset_set(
        &self,
        caller: &Caller,
        id: AssetId,
        change: AssetChange,
        expected: Expected,
    ) -> Result<Asset> {
        require_author(caller)?;
        let name = change.name.as_deref().map(check_name).transpose()?;
        change
            .description
            .as_deref()
            .map(check_description)
            .transpose()?;
        let tags = change.tags.as_deref().map(check_tags).transpose()?;
        let engines = change
            .engine_versions
            .as_deref()
            .map(Engines::parse)
            .transpose()?;
        let (user, description, kind) = (caller.user, change.description, change.kind);
        self.db()
            .write(move |tx| {
                let mut row = enter(tx, user, id, &expected)?;
                let mut texts = rows::texts(tx, row.number)?;
                if let Some((name, sort)) = name.clone() {
                    (row.name, row.name_sort) = (name, sort);
                }
                if let Some(engines) = &engines {
                    (row.engine_low, row.engine_high) = engines.bounds();
                    texts.engine_versions = engines.texts().to_vec();
                    rows::replace_engines(tx, row.number, engines.spans())?;
                }
                row.kind = kind.unwrap_or(row.kind);
                texts.tags = tags.clone().unwrap_or(texts.tags);
                texts.description = description.clone().unwrap_or(texts.description);
                rows::set_texts(tx, row.number, &texts)?;
                changed(tx, row)
            })
            .await
    }

    /// Posts a draft: from now on anyone finds it. What is posted stays as it is.
    ///
    /// # Errors
    /// As for [`Self::asset_set`], and [`Error::Invalid`] when it has no file.
    pub async fn asset_post(
        &self,
        caller: &Caller,
        id: AssetId,
        expected: Expected,
    ) -> Result<Asset> {
        require_author(caller)?;
        let (user, now_ms) = (caller.user, self.world().now_ms());
        self.db()
            .write(move |tx| {
                let mut row = enter(tx, user, id, &expected)?;
                if row.posted_at.is_some() {
                    return load(tx, row);
                }
                if rows::count_contents(tx, row.number, rows::Role::File)? == 0 {
                    return Err(invalid("files", "an asset without a file cannot be posted"));
                }
                row.posted_at = Some(now_ms);
                changed(tx, row)
            })
            .await
    }

    /// Withdraws an asset, or throws a draft away. Its contents are no longer charged.
    ///
    /// # Errors
    /// As for [`Self::asset_set`].
    pub async fn asset_withdraw(
        &self,
        caller: &Caller,
        id: AssetId,
        expected: Expected,
    ) -> Result<()> {
        require_author(caller)?;
        let user = caller.user;
        self.db()
            .write(move |tx| {
                let row = enter(tx, user, id, &expected)?;
                let charged = rows::charged(tx, row.number)?;
                let mut charges =
                    charge::Charges::lock(tx, charged.iter().map(|(drive, _)| *drive))?;
                for (drive, size_bytes) in &charged {
                    charges.give_back(tx, *drive, *size_bytes)?;
                }
                rows::remove(tx, row.number)?;
                charges.settle(tx, None)
            })
            .await
    }
}

/// What a credential must allow to change assets.
fn require_author(caller: &Caller) -> Result<()> {
    access::require_write(caller)?;
    access::require_whole_drive(caller)
}

fn require_few_assets(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    require_fewer(
        Limited::Assets,
        rows::count_of_author(tx, user)?,
        MOST_ASSETS,
    )
}

/// Whether one more is within the limit.
fn require_fewer(what: Limited, count: u64, limit: u64) -> Result<()> {
    if count >= limit {
        return Err(Error::Limit { what, limit });
    }
    Ok(())
}

/// An asset held for a change by one of its authors.
///
/// # Errors
/// [`Error::NotFound`] for a draft of others, [`Error::Forbidden`] for what others have posted,
/// [`Error::PreconditionFailed`].
fn enter(tx: &mut Tx<'_>, user: UserId, id: AssetId, expected: &Expected) -> Result<AssetRow> {
    let mut row = rows::lock(tx, id, user)?;
    if tx.needs_row_locks() {
        // Who its authors are was read before the wait for it; what is not there costs the same.
        row = rows::find(tx, id, Some(user))?;
    }
    let row = row.filter(AssetRow::is_visible).ok_or(Error::NotFound)?;
    if !row.is_author {
        return Err(Error::Forbidden);
    }
    expected.require(&row)?;
    Ok(row)
}

/// Ends a change: the row written back under a new version, what it is found by made anew.
fn changed(tx: &mut Tx<'_>, mut row: AssetRow) -> Result<Asset> {
    row.version += 1;
    rows::save(tx, &row)?;
    reindex(tx, &row)?;
    row.is_listed = rows::relist(tx, row.number)?;
    load(tx, row)
}

/// Makes what an asset is found by fit what it says.
fn reindex(tx: &mut Tx<'_>, row: &AssetRow) -> Result<()> {
    if row.posted_at.is_none() {
        return rows::unindex(tx, row.number);
    }
    let texts = rows::texts(tx, row.number)?;
    let authors = rows::author_accounts(tx, row.number)?;
    let majors = Engines::parse(&texts.engine_versions)?.majors();
    let document = term::Document::new(&row.name, &texts.description, &texts.tags, &authors)
        .with_filters(row.kind.code(), majors.as_deref());
    rows::index(tx, row.number, &document)
}

/// All that belongs to an asset.
fn load(tx: &mut Tx<'_>, row: AssetRow) -> Result<Asset> {
    let texts = rows::texts(tx, row.number)?;
    let (files, images) = rows::contents(tx, row.number)?;
    let authors = rows::author_names(tx, row.number)?;
    let offers = if row.is_author {
        rows::offered_names(tx, row.number)?
    } else {
        Vec::new()
    };
    Ok(Asset {
        id: row.id,
        authors,
        offers,
        name: row.name,
        description: texts.description,
        kind: row.kind,
        engine_versions: texts.engine_versions,
        tags: texts.tags,
        images,
        files,
        size_bytes: row.size_bytes,
        downloads: row.downloads,
        created_at: row.created_at,
        posted_at: row.posted_at,
        version: row.version,
    })
}

/// The name, and the form by which it is sorted.
fn check_name(text: &str) -> Result<(String, String)> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > MOST_NAME_CHARS {
        return Err(invalid("name", "must have 1 to 200 characters"));
    }
    if name.chars().any(char::is_control) {
        return Err(invalid("name", "holds a control character"));
    }
    Ok((name.to_owned(), path::fold(name)))
}

fn check_description(text: &str) -> Result<()> {
    if text.len() > MOST_DESCRIPTION_BYTES {
        return Err(invalid("description", "is longer than 65536 bytes"));
    }
    if text.contains('\0') {
        return Err(invalid("description", "holds a character that no text has"));
    }
    Ok(())
}

/// Tags as they are kept, each once.
fn check_tags(texts: &[String]) -> Result<Vec<String>> {
    let mut tags: Vec<String> = Vec::new();
    for text in texts {
        let is_short = text.chars().count() <= MOST_TAG_CHARS;
        let tag = term::tag(text).filter(|tag| is_short && tag.chars().count() <= MOST_TAG_CHARS);
        let Some(tag) = tag else {
            return Err(invalid(
                "tags",
                "must each have a letter or digit, and at most 32 characters",
            ));
        };
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    if tags.len() > MOST_TAGS {
        return Err(invalid("tags", "are more than 32"));
    }
    Ok(tags)
}

fn invalid(field: &'static str, reason: &str) -> Error {
    Error::Invalid {
        field,
        reason: reason.to_owned(),
    }
}
