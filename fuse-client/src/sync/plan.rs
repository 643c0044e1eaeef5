//! What one request brings a name on the server closer to what it is here.
//!
//! Only the two trees are looked at, so a plan is right whatever led to them: any number of renames is
//! one MOVE, what was made and removed is nothing, and a crash forgets no step.

use crate::errno::Fault;
use crate::fs::{Ino, ROOT};
use crate::state::{Db, Name};

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing is to be done.
    Nothing,
    /// MKCOL.
    MakeFolder { at: Name, ino: Ino },
    /// PUT under a name that is free, or has what is not wanted any more.
    Put {
        at: Name,
        ino: Ino,
        replaces: Option<Ino>,
    },
    /// MOVE. `replaces` as for PUT; `aside` to a name nobody wants, to break a circle.
    Move {
        from: Name,
        to: Name,
        ino: Ino,
        replaces: Option<Ino>,
    },
    /// BIND.
    Bind { existing: Name, at: Name, ino: Ino },
    /// DELETE.
    Remove { at: Name, ino: Ino, folder: bool },
    /// PUT or PATCH, or only the attributes.
    Update { ino: Ino },
}

/// The name that something has while it waits for its own to become free.
pub(crate) fn aside_name(ino: Ino) -> String {
    format!(".coffer-swap-{ino}")
}

/// The step for a name; `None` when it has to wait for what is being planned.
pub(crate) fn plan_name(db: &Db, parent: Ino, name: &str) -> Result<Step, Fault> {
    let mut seen = Vec::new();
    Ok(Planner {
        db,
        seen: &mut seen,
    }
    .name(parent, name)?
    .unwrap_or(Step::Nothing))
}

struct Planner<'a> {
    db: &'a Db,
    /// Names being planned, lest they wait for each other for ever.
    seen: &'a mut Vec<Name>,
}

impl Planner<'_> {
    /// The step, or `None` for a name that is being planned already.
    fn name(&mut self, parent: Ino, name: &str) -> Result<Option<Step>, Fault> {
        let key = (parent, name.to_owned());
        if self.seen.contains(&key) {
            return Ok(None);
        }
        self.seen.push(key);
        let here = self.db.entry(parent, name)?;
        let there = self.db.synced(parent, name)?;
        if here == there {
            return Ok(Some(Step::Nothing));
        }
        if parent != ROOT && self.db.synced_of(parent)?.is_empty() {
            // First the folder it lies in.
            return match self.db.entries_of(parent)?.first() {
                Some((above, folder)) => self.name(*above, folder),
                None => Ok(Some(Step::Nothing)),
            };
        }
        match (here, there) {
            (None, None) => Ok(Some(Step::Nothing)),
            (None, Some(gone)) => self.take(parent, name, gone),
            (Some(new), None) => self.place(parent, name, new, None),
            (Some(new), Some(old)) => self.replace(parent, name, new, old),
        }
    }

    /// Names a node has here that the server does not know of.
    fn wanted(&self, ino: Ino) -> Result<Option<Name>, Fault> {
        for (parent, name) in self.db.entries_of(ino)? {
            if self.db.synced(parent, &name)? != Some(ino) {
                return Ok(Some((parent, name)));
            }
        }
        Ok(None)
    }

    /// A name of a node on the server that it does not have here any more.
    fn left_over(&self, ino: Ino) -> Result<Option<Name>, Fault> {
        for (parent, name) in self.db.synced_of(ino)? {
            if self.db.entry(parent, &name)? != Some(ino) {
                return Ok(Some((parent, name)));
            }
        }
        Ok(None)
    }

    fn is_folder(&self, ino: Ino) -> Result<bool, Fault> {
        Ok(self.db.node(ino)?.is_some_and(|node| node.is_folder()))
    }

    /// A name that is gone here.
    fn take(&mut self, parent: Ino, name: &str, gone: Ino) -> Result<Option<Step>, Fault> {
        if let Some((to, new_name)) = self.wanted(gone)? {
            // It has moved, and the new name makes the request. When that waits for the folder this is
            // in to become empty, it steps aside.
            return Ok(Some(match self.name(to, &new_name)? {
                None => Step::Move {
                    from: (parent, name.to_owned()),
                    to: (to, aside_name(gone)),
                    ino: gone,
                    replaces: None,
                },
                Some(step) => step,
            }));
        }
        let folder = self.is_folder(gone)?;
        if folder && let Some(step) = self.empty(gone)? {
            return Ok(Some(step));
        }
        Ok(Some(Step::Remove {
            at: (parent, name.to_owned()),
            ino: gone,
            folder,
        }))
    }

    /// What has to be done before a folder on the server is empty. What another has put there since it
    /// was removed here is the same on both sides: then it cannot become empty, as the request finds.
    fn empty(&mut self, folder: Ino) -> Result<Option<Step>, Fault> {
        let mut stays = false;
        let mut waits = false;
        for (member, ino) in self.db.synced_members(folder)? {
            if self.db.entry(folder, &member)? == Some(ino) {
                stays = true;
                continue;
            }
            match self.name(folder, &member)? {
                None | Some(Step::Nothing) => waits = true,
                step => return Ok(step),
            }
        }
        Ok((waits && !stays).then_some(Step::Nothing))
    }

    /// A name that is free on the server, or whose holder may be replaced.
    fn place(
        &mut self,
        parent: Ino,
        name: &str,
        new: Ino,
        replaces: Option<Ino>,
    ) -> Result<Option<Step>, Fault> {
        let at = (parent, name.to_owned());
        if let Some(from) = self.left_over(new)? {
            if self.is_folder(new)?
                && let Some(aside) = self.out_of(new, parent)?
            {
                return Ok(Some(aside));
            }
            return Ok(Some(Step::Move {
                from,
                to: at,
                ino: new,
                replaces,
            }));
        }
        if let Some(existing) = self.db.synced_of(new)?.into_iter().next() {
            return Ok(Some(match replaces {
                Some(old) => Step::Remove {
                    at,
                    ino: old,
                    folder: self.is_folder(old)?,
                },
                None => Step::Bind {
                    existing,
                    at,
                    ino: new,
                },
            }));
        }
        Ok(Some(match (self.is_folder(new)?, replaces) {
            (true, None) => Step::MakeFolder { at, ino: new },
            (true, Some(old)) => Step::Remove {
                at,
                ino: old,
                folder: self.is_folder(old)?,
            },
            (false, replaces) => Step::Put {
                at,
                ino: new,
                replaces,
            },
        }))
    }

    /// On the server `parent` lies in `folder`, which is to be moved into it: then what leads from the
    /// one to the other has to get out first.
    fn out_of(&self, folder: Ino, parent: Ino) -> Result<Option<Step>, Fault> {
        let mut at = parent;
        let mut way = None;
        while at != ROOT && at != folder {
            let Some(from) = self.db.synced_of(at)?.into_iter().next() else {
                return Ok(None);
            };
            let stays = self.db.entry(from.0, &from.1)? == Some(at);
            if !stays {
                way = Some((at, from.clone()));
            }
            at = from.0;
        }
        let (Some((ino, from)), true) = (way, at == folder && at != ROOT) else {
            return Ok(None);
        };
        let Some((above, _)) = self.db.synced_of(folder)?.into_iter().next() else {
            return Ok(None);
        };
        Ok(Some(Step::Move {
            from,
            to: (above, aside_name(ino)),
            ino,
            replaces: None,
        }))
    }

    /// A name that has something else on the server.
    fn replace(
        &mut self,
        parent: Ino,
        name: &str,
        new: Ino,
        old: Ino,
    ) -> Result<Option<Step>, Fault> {
        let at = (parent, name.to_owned());
        if let Some((to, new_name)) = self.wanted(old)? {
            // What is there goes elsewhere first; when it waits for this one, it steps aside.
            return Ok(match self.name(to, &new_name)? {
                None => Some(Step::Move {
                    from: at,
                    to: (parent, aside_name(old)),
                    ino: old,
                    replaces: None,
                }),
                step => step,
            });
        }
        let old_is_folder = self.is_folder(old)?;
        if old_is_folder && let Some(step) = self.empty(old)? {
            return Ok(Some(step));
        }
        let remove = Step::Remove {
            at,
            ino: old,
            folder: old_is_folder,
        };
        // A name of what stays under others, or of another kind, cannot be written over: what has the
        // other names would change as well.
        if !self.db.entries_of(old)?.is_empty() || old_is_folder || self.is_folder(new)? {
            return Ok(Some(remove));
        }
        self.place(parent, name, new, Some(old))
    }
}
