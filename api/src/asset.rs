//! The catalogue of assets.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an asset is for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub enum AssetKind {
    /// Pictures, sprites, tiles.
    #[serde(rename = "2d")]
    TwoD,
    /// Models, scenes, materials.
    #[serde(rename = "3d")]
    ThreeD,
}

/// `POST /api/v1/assets`: a draft.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAsset {
    /// What it is called.
    #[schema(min_length = 1, max_length = 200, example = "Wooden chair")]
    pub name: String,
    /// What is said about it, at most 64 KiB.
    #[serde(default)]
    #[schema(max_length = 65536)]
    pub description: String,
    /// What it is for.
    pub kind: AssetKind,
    /// Ranges of engine versions that it runs on: `>=4.2, <5.1`, `5.3` (all that begin so), `*`.
    /// None at all stand for every version.
    #[serde(default)]
    #[schema(max_items = 16, example = json!([">=4.2, <5.1"]))]
    pub engine_versions: Vec<String>,
    /// Words it is sorted under. They are kept in small letters, with hyphens for blanks.
    #[serde(default)]
    #[schema(max_items = 32, example = json!(["furniture", "low-poly"]))]
    pub tags: Vec<String>,
}

/// `PATCH /api/v1/assets/{id}`; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssetChange {
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// What is said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65536)]
    pub description: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<AssetKind>,
    /// Ranges of engine versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 16)]
    pub engine_versions: Option<Vec<String>>,
    /// Words it is sorted under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 32)]
    pub tags: Option<Vec<String>>,
}

/// An asset.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Asset {
    /// Names it for its whole life.
    pub id: String,
    /// Public names of its authors, in the order in which they joined.
    pub authors: Vec<String>,
    /// Public names, as typed, of those who are asked to join; only its authors see any.
    pub offers: Vec<String>,
    /// What it is called.
    pub name: String,
    /// What is said about it.
    pub description: String,
    /// What it is for.
    pub kind: AssetKind,
    /// Ranges of engine versions that it runs on.
    pub engine_versions: Vec<String>,
    /// Words it is sorted under.
    pub tags: Vec<String>,
    /// Pictures of it.
    pub images: Vec<AssetImage>,
    /// Its files.
    pub files: Vec<AssetFile>,
    /// Where it can be had as a whole, without an account: its one file, or a ZIP archive of all.
    pub download_url: String,
    /// Length of its files together.
    pub size_bytes: u64,
    /// How often it was downloaded to the end.
    pub downloads: u64,
    /// RFC 3339.
    pub created_at: String,
    /// When it was posted (RFC 3339); `null` for a draft, which only its authors see.
    pub posted_at: Option<String>,
}

/// An asset in short: an item of `GET /api/v1/assets`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct AssetHit {
    /// Names it for its whole life.
    pub id: String,
    /// Public names of its authors, in the order in which they joined.
    pub authors: Vec<String>,
    /// What it is called.
    pub name: String,
    /// The first 300 characters of its description.
    pub summary: String,
    /// What it is for.
    pub kind: AssetKind,
    /// Ranges of engine versions that it runs on.
    pub engine_versions: Vec<String>,
    /// Words it is sorted under.
    pub tags: Vec<String>,
    /// Pictures of it.
    pub images: Vec<AssetImage>,
    /// Where it can be had as a whole, without an account.
    pub download_url: String,
    /// Length of its files together.
    pub size_bytes: u64,
    /// How often it was downloaded to the end.
    pub downloads: u64,
    /// When it was posted (RFC 3339); `null` for a draft.
    pub posted_at: Option<String>,
}

/// A picture of an asset.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct AssetImage {
    /// Names it.
    pub id: String,
    /// Where it is, without an account.
    pub url: String,
    /// `image/png`, `image/jpeg`, `image/gif` or `image/webp`.
    pub media_type: String,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Its length.
    pub size_bytes: u64,
}

/// A file of an asset.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct AssetFile {
    /// Its name.
    pub name: String,
    /// Where it is, without an account.
    pub url: String,
    /// Its length.
    pub size_bytes: u64,
    /// SHA-256 of its content in hex.
    pub sha256: String,
}

/// `PUT /api/v1/me/author`: the name under which one publishes.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssetAuthor {
    /// Neither one's user name nor one's e-mail address.
    #[schema(min_length = 1, max_length = 64, example = "Pine Studio")]
    pub public_name: String,
}

/// `GET /api/v1/me/author`: the name under which one publishes.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Author {
    /// `null` until one has chosen it.
    pub public_name: Option<String>,
}

/// An asset whose authors one is asked to join.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct AssetOffer {
    /// The asset.
    pub asset_id: String,
    /// What it is called.
    pub name: String,
    /// Public names of its authors.
    pub authors: Vec<String>,
    /// RFC 3339.
    pub offered_at: String,
}
