//! Uses of links that are not written yet.
//!
//! Downloads of a link without a limit cost no transaction each: they are counted in memory and
//! written together, by a background job, and those of one drive before its owner is told the count. A crash forgets those
//! of a few seconds.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use super::rows;
use crate::error::Result;
use crate::id::{DriveId, LinkId};
use crate::store::Store;

/// What is not written yet.
#[derive(Default)]
pub(crate) struct Tally {
    noted: Mutex<HashMap<LinkId, Uses>>,
    writing: tokio::sync::Mutex<()>,
}

struct Uses {
    drive: DriveId,
    downloads: u64,
    last_used_at: i64,
}

impl Tally {
    fn noted(&self) -> MutexGuard<'_, HashMap<LinkId, Uses>> {
        self.noted.lock().expect("no panic while held")
    }

    fn add(&self, link: LinkId, more: &Uses) {
        let mut noted = self.noted();
        let uses = noted.entry(link).or_insert(Uses {
            downloads: 0,
            ..*more
        });
        uses.downloads += more.downloads;
        uses.last_used_at = uses.last_used_at.max(more.last_used_at);
    }

    /// Takes what is noted, of one drive or of all.
    fn take(&self, of: Option<DriveId>) -> Vec<(LinkId, Uses)> {
        let mut noted = self.noted();
        let is_of = |uses: &mut Uses| of.is_none_or(|drive| drive == uses.drive);
        noted.extract_if(|_, uses| is_of(uses)).collect()
    }
}

impl Store {
    /// Notes that a link was used just now, and downloads that were completed.
    pub(super) fn note_link_use(&self, link: LinkId, drive: DriveId, downloads: u64) {
        let uses = Uses {
            drive,
            downloads,
            last_used_at: self.world().now_ms(),
        };
        self.tally().add(link, &uses);
    }

    /// Writes the uses of links noted so far; to be called every few seconds.
    ///
    /// # Errors
    /// Those of the database; the uses stay noted.
    pub async fn flush_link_uses(&self) -> Result<()> {
        self.flush_link_uses_of(None).await
    }

    /// Likewise, of the links of one drive alone: what it takes to tell an owner of theirs does not
    /// depend on those of others.
    pub(super) async fn flush_link_uses_of(&self, drive: Option<DriveId>) -> Result<()> {
        let tally = self.tally();
        let _alone = tally.writing.lock().await;
        let noted = tally.take(drive);
        if noted.is_empty() {
            return Ok(());
        }
        let mut uses: Vec<(LinkId, u64, i64)> = noted
            .iter()
            .map(|(link, uses)| (*link, uses.downloads, uses.last_used_at))
            .collect();
        // One order everywhere, so that daemons do not block one another in a circle.
        uses.sort_unstable();
        let result = self.db().write(move |tx| rows::count_uses(tx, &uses));
        let result = result.await;
        if result.is_err() {
            for (link, uses) in &noted {
                tally.add(*link, uses);
            }
        }
        result
    }
}
