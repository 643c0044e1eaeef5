//! Giving out files and images, and counting downloads.
//!
//! Downloads that came to their end are noted in memory and added to the rows together, every few
//! seconds and when the store is closed: a flood of them costs one write. A crash forgets those
//! that were not added yet.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use super::rows::{self, Role};
use crate::caller::Caller;
use crate::digest::Digest;
use crate::download::Stored;
use crate::error::{Error, Result};
use crate::id::{AssetContentId, AssetId};
use crate::path::Name;
use crate::store::Store;

/// A file or image of an asset, ready to be read.
#[derive(Debug, Clone)]
pub struct AssetContent {
    /// A file's name; an image's id.
    pub name: String,
    /// Of an image, found in its bytes.
    pub media_type: Option<&'static str>,
    /// Names its bytes.
    pub sha256: Digest,
    /// Its length.
    pub size_bytes: u64,
    /// Its bytes.
    pub stored: Stored,
}

/// Downloads that are not added to the rows yet.
#[derive(Default)]
pub(crate) struct Downloads {
    noted: Mutex<BTreeMap<AssetId, u64>>,
    adding: tokio::sync::Mutex<()>,
}

impl Downloads {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AssetId, u64>> {
        self.noted.lock().expect("no panic while held")
    }
}

impl Store {
    /// A file of an asset as `viewer` may have it; one statement, whatever there is.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn asset_file(
        &self,
        viewer: Option<&Caller>,
        asset: AssetId,
        name: &Name,
    ) -> Result<AssetContent> {
        self.asset_content(viewer, asset, Role::File, name.nfc().to_owned())
            .await
    }

    /// An image of an asset, likewise.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn asset_image(
        &self,
        viewer: Option<&Caller>,
        asset: AssetId,
        image: AssetContentId,
    ) -> Result<AssetContent> {
        self.asset_content(viewer, asset, Role::Image, image.to_string())
            .await
    }

    async fn asset_content(
        &self,
        viewer: Option<&Caller>,
        asset: AssetId,
        role: Role,
        name: String,
    ) -> Result<AssetContent> {
        let user = viewer.map(|caller| caller.user);
        self.db()
            .read(move |tx| {
                rows::open_content(tx, asset, user, role, &name)?.ok_or(Error::NotFound)
            })
            .await
    }

    /// Notes that somebody has had a file of an asset, or all of them, to the end.
    pub fn count_download(&self, asset: AssetId) {
        let mut noted = self.downloads().lock();
        *noted.entry(asset).or_default() += 1;
    }

    /// Adds the downloads noted so far to the rows.
    ///
    /// # Errors
    /// Only those of the database; what was not added is added the next time.
    pub async fn flush_downloads(&self) -> Result<()> {
        let downloads = self.downloads();
        let _alone = downloads.adding.lock().await;
        // In the order of ids, so that daemons do not block one another in a circle.
        let noted = downloads.lock().clone();
        if noted.is_empty() {
            return Ok(());
        }
        let counts: Vec<(AssetId, u64)> = noted.into_iter().collect();
        let adding = counts.clone();
        self.db()
            .write(move |tx| rows::add_downloads(tx, &adding))
            .await?;
        let mut noted = downloads.lock();
        for (asset, count) in counts {
            if let Some(left) = noted.get_mut(&asset) {
                *left -= count;
                if *left == 0 {
                    noted.remove(&asset);
                }
            }
        }
        Ok(())
    }
}
