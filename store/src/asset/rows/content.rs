//! SQL of the files and images of assets.

use std::collections::HashMap;

use crate::asset::download::AssetContent;
use crate::asset::picture::Picture;
use crate::asset::{AssetFile, AssetImage};
use crate::chunk::Cutting;
use crate::db::{Tx, Value, args};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::id::{AssetContentId, AssetId, DriveId, ManifestId, UserId};
use crate::node::Body;
use crate::node::rows::{body_columns, read_held};

/// Contents whose references one transaction drops, and of how many chunks at a guess.
const REMOVED: u32 = 100;
const REMOVED_CHUNKS: u64 = 2000;

/// What a content is to its asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    File,
    Image,
}

impl Role {
    fn code(self) -> i64 {
        match self {
            Self::File => 1,
            Self::Image => 2,
        }
    }
}

/// A content to be added.
pub(crate) struct ContentRow {
    pub id: AssetContentId,
    pub drive: DriveId,
    pub role: Role,
    pub name: String,
    pub size_bytes: u64,
    pub sha256: Digest,
    pub body: Body,
    pub picture: Option<Picture>,
}

pub(in crate::asset) fn insert_content(
    tx: &mut Tx<'_>,
    number: i64,
    content: &ContentRow,
) -> Result<()> {
    let (blob, manifest) = body_columns(content.body);
    let side = |side: fn(&Picture) -> u32| content.picture.as_ref().map(|of| i64::from(side(of)));
    tx.execute(
        "INSERT INTO asset_content (id, number, drive_id, role, name, size_bytes, sha256, \
             blob_digest, manifest_id, media_type, width, height) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        args![
            content.id,
            number,
            content.drive,
            content.role.code(),
            &content.name,
            content.size_bytes,
            content.sha256,
            blob,
            manifest,
            content.picture.map(|picture| picture.media_type),
            side(|picture| picture.width),
            side(|picture| picture.height),
        ],
    )?;
    Ok(())
}

/// Id, payer and length of a content.
pub(in crate::asset) fn find_content(
    tx: &mut Tx<'_>,
    number: i64,
    role: Role,
    name: &str,
) -> Result<Option<(AssetContentId, DriveId, u64)>> {
    tx.first(
        "SELECT id, drive_id, size_bytes FROM asset_content \
         WHERE number = $1 AND role = $2 AND name = $3",
        args![number, role.code(), name],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}

pub(in crate::asset) fn count_contents(tx: &mut Tx<'_>, number: i64, role: Role) -> Result<u64> {
    let count = tx.first(
        "SELECT COUNT(*) FROM asset_content WHERE number = $1 AND role = $2",
        args![number, role.code()],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or_default())
}

/// Bytes of an asset's files.
pub(in crate::asset) fn file_bytes(tx: &mut Tx<'_>, number: i64) -> Result<u64> {
    let bytes = tx.first(
        "SELECT CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM asset_content \
         WHERE number = $1 AND role = 1",
        args![number],
        |row| row.get(0),
    )?;
    Ok(bytes.unwrap_or_default())
}

/// Takes a content out of its asset.
pub(in crate::asset) fn detach(tx: &mut Tx<'_>, id: AssetContentId) -> Result<()> {
    tx.execute(
        "UPDATE asset_content SET number = NULL WHERE id = $1",
        args![id],
    )?;
    Ok(())
}

/// Takes all that a drive is charged for out of an asset.
pub(in crate::asset) fn detach_charged_to(
    tx: &mut Tx<'_>,
    number: i64,
    drive: DriveId,
) -> Result<()> {
    tx.execute(
        "UPDATE asset_content SET number = NULL WHERE number = $1 AND drive_id = $2",
        args![number, drive],
    )?;
    Ok(())
}

/// What each drive is charged for an asset.
pub(in crate::asset) fn charged(tx: &mut Tx<'_>, number: i64) -> Result<Vec<(DriveId, u64)>> {
    tx.all(
        "SELECT drive_id, CAST(SUM(size_bytes) AS BIGINT) FROM asset_content \
         WHERE number = $1 GROUP BY drive_id",
        args![number],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// What one drive is charged for an asset.
pub(in crate::asset) fn charged_to(tx: &mut Tx<'_>, number: i64, drive: DriveId) -> Result<u64> {
    let bytes = tx.first(
        "SELECT CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM asset_content \
         WHERE number = $1 AND drive_id = $2",
        args![number, drive],
        |row| row.get(0),
    )?;
    Ok(bytes.unwrap_or_default())
}

/// Has another drive charged for what one was charged of an asset.
pub(in crate::asset) fn recharge(
    tx: &mut Tx<'_>,
    number: i64,
    from: DriveId,
    to: DriveId,
) -> Result<()> {
    tx.execute(
        "UPDATE asset_content SET drive_id = $3 WHERE number = $1 AND drive_id = $2",
        args![number, from, to],
    )?;
    Ok(())
}

/// Files by name, images in the order in which they came.
pub(in crate::asset) fn contents(
    tx: &mut Tx<'_>,
    number: i64,
) -> Result<(Vec<AssetFile>, Vec<AssetImage>)> {
    let (mut files, mut images) = (Vec::new(), Vec::new());
    tx.each(
        "SELECT id, size_bytes, media_type, width, height, name, sha256 FROM asset_content \
         WHERE number = $1 ORDER BY role, name",
        args![number],
        |row| {
            match row.get::<Option<String>>(2)? {
                Some(_) => images.push(image(row)?),
                None => files.push(AssetFile {
                    name: row.get(5)?,
                    size_bytes: row.get(1)?,
                    sha256: row.get(6)?,
                }),
            }
            Ok(())
        },
    )?;
    Ok((files, images))
}

/// From the columns id, length, type, width and height.
fn image(row: &crate::db::Row<'_>) -> Result<AssetImage> {
    Ok(AssetImage {
        id: row.get(0)?,
        size_bytes: row.get(1)?,
        media_type: media_type(row.text(2)?)?,
        width: row.get(3)?,
        height: row.get(4)?,
    })
}

fn media_type(text: &str) -> Result<&'static str> {
    let known = ["image/png", "image/jpeg", "image/gif", "image/webp"];
    let found = known.into_iter().find(|known| *known == text);
    found.ok_or_else(|| Error::malformed("type of an image"))
}

/// Images of many assets, by number.
pub(in crate::asset) fn images_of(
    tx: &mut Tx<'_>,
    numbers: &[i64],
) -> Result<HashMap<i64, Vec<AssetImage>>> {
    let keys: Vec<Value<'_>> = numbers.iter().map(|number| Value::from(*number)).collect();
    let found = tx.all_of(
        "SELECT id, size_bytes, media_type, width, height, number FROM asset_content \
         WHERE number = $1 AND role = 2 ORDER BY name",
        "SELECT id, size_bytes, media_type, width, height, number FROM asset_content \
         WHERE number = ANY($1) AND role = 2 ORDER BY name",
        &keys,
        |row| Ok((row.get::<i64>(5)?, image(row)?)),
    )?;
    let mut images: HashMap<i64, Vec<AssetImage>> = HashMap::new();
    for (number, image) in found {
        images.entry(number).or_default().push(image);
    }
    Ok(images)
}

/// A content with its bytes, as `user` may have it. All in one statement: read by another one, its
/// bytes could be swept already.
pub(in crate::asset) fn open_content(
    tx: &mut Tx<'_>,
    asset: AssetId,
    user: Option<UserId>,
    role: Role,
    name: &str,
) -> Result<Option<AssetContent>> {
    tx.first(
        "SELECT COALESCE(b.size_bytes, m.size_bytes, -1), COALESCE(b.data, m.chunks), \
             c.blob_digest, c.manifest_id, c.name, c.media_type, c.sha256, c.size_bytes \
         FROM asset a JOIN asset_content c ON c.number = a.number \
         LEFT JOIN blob b ON b.digest = c.blob_digest \
         LEFT JOIN manifest m ON m.id = c.manifest_id \
         WHERE a.id = $1 AND c.role = $2 AND c.name = $3 AND (a.is_listed = 1 OR EXISTS ( \
             SELECT 1 FROM asset_author x WHERE x.number = a.number AND x.account_id = $4))",
        args![asset, role.code(), name, user],
        |row| {
            let media_type = row.get::<Option<String>>(5)?;
            let held = read_held(row, body(row.get(2)?, row.get(3)?))?;
            Ok(AssetContent {
                name: row.get(4)?,
                media_type: media_type.as_deref().map(self::media_type).transpose()?,
                sha256: row.get(6)?,
                size_bytes: row.get(7)?,
                stored: held.into(),
            })
        },
    )
}

fn body(blob: Option<Digest>, manifest: Option<ManifestId>) -> Body {
    match (blob, manifest) {
        (Some(digest), _) => Body::Blob(digest),
        (None, Some(id)) => Body::Manifest(id),
        (None, None) => Body::Empty,
    }
}

macro_rules! some_removed {
    () => {
        "SELECT id, size_bytes, blob_digest, manifest_id FROM asset_content \
         WHERE number IS NULL ORDER BY id LIMIT $1"
    };
}

/// Removes rows of some contents that were taken out of their assets; what they referred to. Until
/// the transaction ends no other daemon takes the same.
pub(in crate::asset) fn take_removed(tx: &mut Tx<'_>) -> Result<Vec<Body>> {
    let sql = if tx.needs_row_locks() {
        concat!(some_removed!(), " FOR UPDATE SKIP LOCKED")
    } else {
        some_removed!()
    };
    let found = tx.all(sql, args![REMOVED], |row| {
        let body = body(row.get(2)?, row.get(3)?);
        Ok((row.get::<AssetContentId>(0)?, row.get::<u64>(1)?, body))
    })?;
    let mut chunks = 0;
    let mut bodies = Vec::new();
    for (id, size_bytes, body) in found {
        if chunks >= REMOVED_CHUNKS {
            break;
        }
        chunks += size_bytes / u64::from(Cutting::LOCAL.average_bytes);
        tx.execute("DELETE FROM asset_content WHERE id = $1", args![id])?;
        bodies.push(body);
    }
    Ok(bodies)
}
