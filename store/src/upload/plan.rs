//! What is asked before any byte of an upload comes.

use super::commit::{Order, admit, place_for};
use crate::caller::Caller;
use crate::condition::Condition;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::mutation::Scene;
use crate::path::Path;
use crate::quota::{self, Lease};
use crate::store::{Limits, Store};

/// What [`Store::plan`] found.
pub(super) struct Plan {
    pub credit_bytes: u64,
    pub lease: Option<Lease>,
}

impl Store {
    /// Checks what can be checked before any byte comes, and reserves.
    pub(super) async fn plan(
        &self,
        caller: &Caller,
        path: &Path,
        condition: &Condition,
        size_bytes: Option<u64>,
        is_small: bool,
        make_parents: bool,
    ) -> Result<Plan> {
        let mut lease = Lease::new(self, caller);
        let (store, caller, path) = (self.clone(), caller.clone(), path.clone());
        let (condition, id) = (condition.clone(), lease.id());
        let planned = self.write_with_room(move |tx| {
            let mut scene = Scene::enter_to_add(tx, &caller, store.world())?;
            let order = Order {
                path: &path,
                condition: &condition,
                make_parents,
                base: None,
            };
            let limits = &store.options().limits;
            let Needed {
                credit_bytes,
                more_bytes,
            } = foresee(tx, &scene, &order, size_bytes.unwrap_or(0), limits)?;
            if is_small || size_bytes.is_none() || more_bytes == 0 {
                return Ok((credit_bytes, 0));
            }
            let promised = quota::reserve(tx, &store, &mut scene.drive, id, more_bytes)?;
            scene.settle(tx)?;
            Ok((credit_bytes, promised))
        });
        match planned.await {
            Ok((credit_bytes, 0)) => {
                lease.settled();
                Ok(Plan {
                    credit_bytes,
                    lease: None,
                })
            }
            Ok((credit_bytes, promised)) => {
                lease.size_bytes = promised;
                Ok(Plan {
                    credit_bytes,
                    lease: Some(lease),
                })
            }
            Err(error) => {
                // Whether a commit that failed took place, only the database knows.
                if !matches!(error, Error::Database(_)) {
                    lease.settled();
                }
                Err(error)
            }
        }
    }
}

/// What a content needs of the drive.
pub(crate) struct Needed {
    /// Charged already for what it replaces.
    pub credit_bytes: u64,
    /// To be charged besides.
    pub more_bytes: u64,
}

/// Asks about a content of so many bytes what its commit will ask again.
///
/// # Errors
/// As for [`Store::begin_upload`].
pub(crate) fn foresee(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    order: &Order<'_>,
    size_bytes: u64,
    limits: &Limits,
) -> Result<Needed> {
    let place = place_for(tx, scene, order.path)?;
    let old = admit(tx, scene, &place, order.condition, order.make_parents)?;
    if old.is_none() {
        let mut drive = scene.drive;
        let parents = place.missing_parents().len() as u64;
        drive.add_nodes(parents + 1, limits)?;
    }
    let credit_bytes = old.map_or(0, |node| node.size_bytes);
    let more_bytes = size_bytes.saturating_sub(credit_bytes);
    let free_bytes = scene.drive.usage.free_bytes();
    if more_bytes > free_bytes {
        return Err(Error::QuotaExceeded {
            needed_bytes: more_bytes,
            free_bytes,
        });
    }
    Ok(Needed {
        credit_bytes,
        more_bytes,
    })
}
