//! All that one has access to: what others share, after what is one's own (D5).

use crate::caller::{Caller, Via};
use crate::error::{Error, Result};
use crate::grant::Share;
use crate::path::{Name, Path};
use crate::reach::{Reach, SHARED};
use crate::store::Store;
use crate::target::{Located, Target};
use crate::walk::{Members, Walk};

impl Store {
    /// Some of what others share with the caller, each thing followed, if the walk is deep, by what
    /// is in it. Paths, and that of the item before, begin with [`SHARED`].
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
        let mut telling = Telling {
            store: self,
            limit,
            items: Vec::new(),
            next: None,
        };
        let mut last = None;
        if let Some(after) = after
            && let Some(mount) = after.names().nth(1)
        {
            last = Some(mount.nfc().to_owned());
            let share = after.prefix(2);
            if is_deep
                && let Some(Reach::Drive(reached)) =
                    self.reach(caller, &Target::Path(share.clone())).await?
            {
                let behind = Some(after.below(2)).filter(|path| !path.is_root());
                telling.tell(&reached.caller, &share, behind).await?;
            }
        }
        let base = Path::root().join(Name::new(SHARED)?)?;
        while !telling.is_full() {
            let part = self.shares(caller, last.take(), limit).await?;
            let is_last = part.len() < limit as usize;
            for share in part {
                if telling.is_full() {
                    break;
                }
                last = Some(share.name.nfc().to_owned());
                let path = base.join(share.name.clone())?;
                let inside = derive(caller, &share);
                let is_folder = share.node.is_folder();
                telling.items.push(Located {
                    path: path.clone(),
                    node: share.node,
                });
                if is_deep && is_folder {
                    telling.tell(&inside, &path, None).await?;
                } else {
                    telling.stop_at(&path);
                }
            }
            if is_last && !telling.is_full() {
                break;
            }
        }
        Ok(Members {
            items: telling.items,
            next: telling.next,
        })
    }
}

/// Whoever looks into what is shared.
fn derive(caller: &Caller, share: &Share) -> Caller {
    Caller {
        drive: share.node.drive,
        root: share.node.id,
        whole_drive: false,
        read_only: true,
        via: Via::Grant(share.id),
        ..caller.clone()
    }
}

/// A list that is being made.
struct Telling<'a> {
    store: &'a Store,
    limit: u32,
    items: Vec<Located>,
    /// What the next part begins behind; set once this one is full.
    next: Option<Path>,
}

impl Telling<'_> {
    fn left(&self) -> u32 {
        let told = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        self.limit.saturating_sub(told)
    }

    fn is_full(&self) -> bool {
        self.next.is_some()
    }

    /// Ends the part behind a path, if nothing more fits into it.
    fn stop_at(&mut self, path: &Path) {
        if self.left() == 0 {
            self.next = Some(path.clone());
        }
    }

    /// Adds what is in a share, as far as it fits.
    async fn tell(&mut self, inside: &Caller, share: &Path, after: Option<Path>) -> Result<()> {
        if self.left() == 0 {
            self.next = Some(share.clone());
            return Ok(());
        }
        let walk = Walk {
            is_deep: true,
            after,
            limit: self.left(),
        };
        let root = Target::Path(Path::root());
        let members = match self.store.members(inside, &root, walk).await {
            // It is a file, or gone since it was told.
            Err(Error::NotFolder | Error::NotFound) => return Ok(()),
            members => members?,
        };
        for one in members.items {
            self.items.push(Located {
                path: joined(share, &one.path)?,
                node: one.node,
            });
        }
        if let Some(next) = members.next {
            self.next = Some(joined(share, &next)?);
        } else if let Some(last) = self.items.last().map(|last| last.path.clone()) {
            self.stop_at(&last);
        }
        Ok(())
    }
}

fn joined(base: &Path, below: &Path) -> Result<Path> {
    let mut path = base.clone();
    for name in below.names() {
        path.push(name.clone())?;
    }
    Ok(path)
}
