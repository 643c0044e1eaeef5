//! All that one has access to: what others share, after what is one's own (D5).

use crate::access;
use crate::caller::Caller;
use crate::db::Tx;
use crate::error::Result;
use crate::grant;
use crate::id::UserId;
use crate::path::{Name, Path};
use crate::reach::SHARED;
use crate::store::Store;
use crate::target::Located;
use crate::walk::{self, Members, Start};

impl Store {
    /// Some of what others share with the caller, each thing followed, if the walk is deep, by what
    /// is in it. Paths, and that of the item before, begin with [`SHARED`]. At most three
    /// statements.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn shared_members(
        &self,
        caller: &Caller,
        after: Option<&Path>,
        is_deep: bool,
        limit: u32,
    ) -> Result<Members> {
        if !access::sees_shares(caller) {
            return Ok(Members::default());
        }
        let (user, after) = (caller.user, after.map(|after| after.below(1)));
        self.db()
            .read_snapshot(move |tx| {
                let base = Path::root().join(Name::new(SHARED)?)?;
                let after = after.as_ref().filter(|after| !after.is_root());
                let mut members = if is_deep {
                    deep(tx, user, &base, after, limit)?
                } else {
                    flat(tx, user, &base, after, limit)?
                };
                // What follows is named as all paths here are.
                if members.next.is_some() {
                    members.next = members.items.last().map(|last| last.path.clone());
                }
                Ok(members)
            })
            .await
    }
}

fn flat(
    tx: &mut Tx<'_>,
    user: UserId,
    base: &Path,
    after: Option<&Path>,
    limit: u32,
) -> Result<Members> {
    let shares = grant::rows::shares(tx, user, mount_of(after), limit.saturating_add(1))?;
    let is_last = shares.len() <= limit as usize;
    let items = shares.into_iter().take(limit as usize).map(|share| {
        Ok(Located {
            path: base.join(share.name)?,
            node: share.node,
        })
    });
    Ok(Members {
        items: items.collect::<Result<_>>()?,
        next: (!is_last).then(|| base.clone()),
    })
}

fn deep(
    tx: &mut Tx<'_>,
    user: UserId,
    base: &Path,
    after: Option<&Path>,
    limit: u32,
) -> Result<Members> {
    let mount = mount_of(after);
    let start = match after {
        Some(path) => match walk::rows::share(tx, user, mount)? {
            Some(root) => Start::behind(tx, root, Some(&path.below(1)))?,
            None => None,
        },
        None => None,
    };
    let more = limit.saturating_add(1);
    let met = walk::rows::walk_shares(tx, user, start.as_ref(), mount, more)?;
    walk::listed(base, after, met, limit as usize)
}

/// The name of the share that a path leads to; without one what comes before all names.
fn mount_of(path: Option<&Path>) -> &str {
    let name = path.and_then(|path| path.names().next());
    name.map_or("", Name::nfc)
}
