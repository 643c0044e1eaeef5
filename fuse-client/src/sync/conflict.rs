//! Somebody else was first: the server's version keeps the name, ours becomes a copy beside it.
//!
//! The same questions settle requests that were answered while we were not there to hear it.

use rustix::io::Errno;
use time::OffsetDateTime;

use super::book::Sent;
use super::content::Job;
use super::pull;
use super::whose::{Whose, is_marked};
use crate::cache::{Blocks, touched};
use crate::clock::now_ns;
use crate::drive::{Drive, DrivePath, ETag, Error, Listed, Stored};
use crate::errno::Fault;
use crate::fs::shared::{Shared, lock};
use crate::fs::{Ino, ROOT};
use crate::state::{self, Content, Db, Name, Node, Sending};

/// `name (conflict of HOST 2026-11-20 0815).ext`, with a number where that is taken.
pub(super) fn conflict_name(name: &str, host: &str, now_ns: i64, number: u32) -> String {
    let at = OffsetDateTime::from_unix_timestamp(now_ns.div_euclid(1_000_000_000))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let number = if number == 0 {
        String::new()
    } else {
        format!(" {number}")
    };
    let mark = format!(
        " (conflict of {} {:04}-{:02}-{:02} {:02}{:02}{number})",
        host.replace(['/', '\0'], "-"),
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
    );
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    };
    let room = 255_usize.saturating_sub(mark.len() + extension.len());
    let mut end = stem.len().min(room);
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{mark}{extension}", &stem[..end])
}

/// Content that was sent by an earlier request: it is not known which of the attributes came along.
fn arrived(job: &Job) -> Job {
    let mut job = job.clone();
    job.node.attribute_version = -1;
    job
}

fn stored(listed: &Listed) -> Stored {
    Stored {
        etag: listed.etag.clone(),
        id: listed.id.clone(),
    }
}

impl<D: Drive> Shared<D> {
    /// What is at a path; `None`: nothing.
    pub(super) async fn look(&self, path: &DrivePath) -> Result<Option<Listed>, Fault> {
        match self.ask(self.drive.stat(path)).await {
            Ok(listed) => Ok(Some(listed)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// PUT under a name found something else there.
    pub(super) async fn resolve_put(
        &self,
        at: &Name,
        job: &Job,
        replaces: Option<Ino>,
    ) -> Result<(), Fault> {
        let path = self.path_of(at)?;
        let Some(listed) = self.look(&path).await? else {
            if let Some(old) = replaces {
                return self.book_removed(at, old);
            }
            return self.check_folder(at.0).await;
        };
        if let Some(old) = replaces
            && self.can.bind
            && self.is_known(old, &listed)?
        {
            // It has a name that nobody here has heard of, and stays under that as it is.
            return self.remove(at, old, false).await;
        }
        let sent = Sent {
            at: Some(at.clone()),
            replaces,
            stored: stored(&listed),
        };
        match self.whose(&path, job, &listed).await? {
            Whose::Ours => self.book_sent(&arrived(job), &sent),
            Whose::Older => self.book_older(job, &sent, &listed, true),
            Whose::Theirs if is_marked(&job.node, &listed) => {
                self.book_older(job, &sent, &listed, false)
            }
            Whose::Theirs => self.give_way(at, job.node.ino, &listed, false),
        }
    }

    /// An older version of ours has arrived: the next one replaces it, if need be as a whole.
    fn book_older(
        &self,
        job: &Job,
        sent: &Sent,
        listed: &Listed,
        whole: bool,
    ) -> Result<(), Fault> {
        let db = lock(&self.db);
        db.change(|db| {
            let mut node = self.node(db, job.node.ino)?;
            node.etag = listed.etag.as_ref().map(|etag| etag.0.clone());
            node.remote_id = listed.id.as_ref().map(|id| id.0.clone());
            node.base_size = listed.size_bytes;
            node.sha256 = listed.sha256.map(Vec::from);
            node.sent_sha256 = None;
            node.content = Content::Dirty;
            // What was changed since is among what was changed since the last answer.
            if whole {
                node.dirty = None;
            }
            if let Some(open) = self.opened(node.ino) {
                let mut inner = lock(&open.inner);
                inner.base_size = node.base_size;
                if whole {
                    inner.dirty = Blocks::ALL;
                }
                if inner.content == Content::Clean {
                    inner.content = Content::Dirty;
                }
            }
            db.save(&node)?;
            for (parent, name) in db.synced_of(node.ino)?.iter().chain(&sent.at) {
                db.remove_sending(*parent, name)?;
            }
            if let Some((parent, name)) = &sent.at {
                db.put_synced(*parent, name, node.ino)?;
                db.mark_name(*parent, name, 0)?;
            }
            if let Some(old) = sent.replaces {
                self.collect(db, old)?;
            }
            Ok(db.mark_node(node.ino, 0)?)
        })
    }

    /// PUT or PATCH over a known version found another one, or none.
    pub(super) async fn resolve_update(
        &self,
        path: &DrivePath,
        at: &Name,
        job: &Job,
    ) -> Result<(), Fault> {
        let Some(listed) = self.look(path).await? else {
            return self.gone_there(at, job.node.ino);
        };
        if lock(&self.db).synced(at.0, &at.1)? != Some(job.node.ino) {
            return Ok(());
        }
        if listed.etag.is_some() && listed.etag == job.node.etag() {
            // It was another reason; the same request may do next time.
            return Err(Errno::AGAIN.into());
        }
        let sent = Sent {
            at: None,
            replaces: None,
            stored: stored(&listed),
        };
        match self.whose(path, job, &listed).await? {
            Whose::Ours => return self.book_sent(&arrived(job), &sent),
            Whose::Older => return self.book_older(job, &sent, &listed, true),
            Whose::Theirs if is_marked(&job.node, &listed) => {
                return self.book_older(job, &sent, &listed, false);
            }
            Whose::Theirs => {}
        }
        if pull::is_same(&job.node, &listed) && listed.size_bytes == job.node.base_size {
            self.complete_from(job, path, &listed).await?;
        }
        self.give_way(at, job.node.ino, &listed, false)
    }

    /// What is not here of our version was never changed by us: the bytes of a new version of the same
    /// file, as long as it was, do for it. With those of another file they would make one that nobody
    /// ever had.
    async fn complete_from(
        &self,
        job: &Job,
        path: &DrivePath,
        listed: &Listed,
    ) -> Result<(), Fault> {
        let Some(open) = &job.open else { return Ok(()) };
        let _fetching = open.fetch.lock().await;
        let (file, missing, size) = {
            let inner = lock(&open.inner);
            let mut missing = Blocks::none();
            for block in touched(&(0..inner.size)) {
                if !inner.present.has(block) {
                    missing.add(block..block + 1);
                }
            }
            let ranges = missing.ranges(inner.size.min(listed.size_bytes));
            (std::sync::Arc::clone(&inner.file), ranges, inner.size)
        };
        for part in missing {
            self.fetch_part(path, listed.etag.as_ref(), part, &file, None)
                .await?;
        }
        let db = lock(&self.db);
        {
            let mut inner = lock(&open.inner);
            inner.present.add(touched(&(0..size)));
            let size = inner.size;
            inner.present.simplify(size);
            inner.filled();
            inner.changed = true;
        }
        self.persist(&db, open, None)
    }

    /// The server's version takes the name; ours goes beside it. `keep`: ours stays what it is on the
    /// server, under its other names there.
    pub(super) fn give_way(
        &self,
        at: &Name,
        ours: Ino,
        theirs: &Listed,
        keep: bool,
    ) -> Result<(), Fault> {
        let (parent, name) = at;
        let db = lock(&self.db);
        let copy = db.change(|db| {
            let mut copy = None;
            db.remove_sending(*parent, name)?;
            // What has the name now may be another than was sent: who gave it has not seen theirs either.
            let known = db.synced(*parent, name)?.filter(|known| *known != ours);
            if let Some(here) = db.entry(*parent, name)?.filter(|here| Some(*here) != known) {
                copy = Some(self.step_aside(db, at, here)?);
            }
            if !keep {
                self.disown(db, ours)?;
            }
            let theirs_ino = self.take_in(db, at, ours, theirs)?;
            if let Some(copy) = &copy {
                db.mark_name(*parent, copy, 0)?;
            }
            if db.entry(*parent, name)?.is_none() {
                self.bring_back(db, at, theirs_ino)?;
            }
            db.mark_name(*parent, name, 0)?;
            db.mark_node(ours, 0)?;
            Ok(copy)
        })?;
        self.tell_conflict(&db, at, copy.as_deref())?;
        self.push.notify_one();
        Ok(())
    }

    /// Gives what has a name here another beside it.
    fn step_aside(&self, db: &Db, at: &Name, ours: Ino) -> Result<String, Fault> {
        let (parent, name) = at;
        let (now, mut number) = (now_ns(), 0);
        let new_name = loop {
            let candidate = conflict_name(name, &self.options.host, now, number);
            if db.entry(*parent, &candidate)?.is_none() && db.synced(*parent, &candidate)?.is_none()
            {
                break candidate;
            }
            number += 1;
        };
        db.remove_entry(*parent, name)?;
        db.add_entry(*parent, &new_name, ours)?;
        Ok(new_name)
    }

    fn tell_conflict(&self, db: &Db, at: &Name, copy: Option<&str>) -> Result<(), Fault> {
        let (parent, name) = at;
        self.invalidate_names(*parent);
        self.invalidate_entry(*parent, name);
        if let Some(copy) = copy {
            self.invalidate_entry(*parent, copy);
            let path = db.local_path(*parent)?.unwrap_or_default();
            let path = path.join(copy).unwrap_or_default().to_string();
            tracing::warn!(path, "changed here and elsewhere: both versions are kept");
            lock(&self.conflicts).push(path);
        }
        Ok(())
    }

    /// Ours is nothing that the server knows of any more: all of it is to be sent. What of it is not
    /// here cannot be had any more: then it stays, and is shown as blocked.
    pub(super) fn disown(&self, db: &Db, ino: Ino) -> Result<(), Fault> {
        let mut node = self.node(db, ino)?;
        node.etag = None;
        node.remote_id = None;
        node.base_size = 0;
        node.sha256 = None;
        node.sent_sha256 = None;
        node.attributes_dirty |= state::ATTRIBUTES;
        if node.xattrs.is_some() {
            node.attributes_dirty |= state::XATTRS;
        }
        if node.is_file() {
            node.dirty = None;
            if node.content == Content::Clean {
                node.content = Content::Dirty;
            }
            if let Some(open) = self.opened(ino) {
                let mut inner = lock(&open.inner);
                inner.base_size = 0;
                inner.dirty = Blocks::ALL;
                inner.content = if inner.writers > 0 {
                    Content::Open
                } else {
                    Content::Dirty
                };
                node.content = inner.content;
            }
        }
        db.save(&node)?;
        for (parent, name) in db.synced_of(ino)? {
            db.remove_synced(parent, &name)?;
            db.mark_name(parent, &name, 0)?;
        }
        for (parent, name) in db.entries_of(ino)? {
            db.mark_name(parent, &name, 0)?;
        }
        Ok(())
    }

    /// What the server has under a name gets a node of its own, or the one it had.
    fn take_in(&self, db: &Db, at: &Name, ours: Ino, theirs: &Listed) -> Result<Ino, Fault> {
        let known = db.synced(at.0, &at.1)?.filter(|known| *known != ours);
        if let Some(known) = known {
            let node = self.node(db, known)?;
            if pull::is_same(&node, theirs) {
                return self.update(db, node, theirs);
            }
        }
        let node = self.node_for(theirs);
        let ino = db.insert(&node)?;
        db.put_synced(at.0, &at.1, ino)?;
        if let Some(known) = known {
            self.collect(db, known)?;
        }
        if theirs.is_folder {
            lock(&self.flight).relist.insert(ino);
        }
        Ok(ino)
    }

    /// MKCOL found something.
    pub(super) async fn resolve_folder(&self, at: &Name, node: &Node) -> Result<(), Fault> {
        let path = self.path_of(at)?;
        match self.look(&path).await? {
            None => self.check_folder(at.0).await,
            Some(listed) if listed.is_folder => self.book_folder(at, node, &stored(&listed), false),
            Some(listed) => self.give_way(at, node.ino, &listed, true),
        }
    }

    /// MOVE did not find what it should, or found what it should not.
    pub(super) async fn resolve_move(
        &self,
        from: &Name,
        to: &Name,
        ino: Ino,
        replaces: Option<Ino>,
    ) -> Result<(), Fault> {
        let (source, target) = (self.path_of(from)?, self.path_of(to)?);
        let node = lock(&self.db).node(ino)?.ok_or(Errno::STALE)?;
        let there = self.look(&target).await?;
        let here = self.look(&source).await?;
        match (here, there) {
            (Some(here), Some(there))
                if node.remote_id.is_some()
                    && pull::id(&there) == node.remote_id
                    && pull::id(&here) == node.remote_id =>
            {
                // It was bound to the new name, when nobody heard the answer; the old one goes next.
                self.book_bound(to, ino)
            }
            (here, Some(there))
                if (there.id.is_some() && pull::id(&there) == node.remote_id)
                    || (here.is_none()
                        && there.id.is_none()
                        && there.is_folder == node.is_folder()
                        && (node.is_folder() || there.etag == node.etag())) =>
            {
                // Done already, when nobody heard the answer.
                self.book_move(from, to, ino, replaces, here.is_none().then_some(&there))
            }
            (None, _) => {
                let db = lock(&self.db);
                db.change(|db| self.gone(db, from.0, &from.1, None).map(drop))
            }
            (Some(_), Some(there)) => self.give_way(to, ino, &there, true),
            (Some(_), None) => match replaces {
                Some(old) => self.book_removed(to, old),
                None => self.check_folder(to.0).await,
            },
        }
    }

    /// BIND did not find what it should, or found what it should not.
    pub(super) async fn resolve_bind(
        &self,
        existing: &Name,
        at: &Name,
        ino: Ino,
    ) -> Result<(), Fault> {
        let target = self.path_of(at)?;
        let node = lock(&self.db).node(ino)?.ok_or(Errno::STALE)?;
        match self.look(&target).await? {
            Some(listed) if listed.id.is_some() && pull::id(&listed) == node.remote_id => {
                self.book_bound(at, ino)
            }
            Some(listed) => match node.remote_id {
                None if self.is_other_name(ino, &listed).await? => self.book_bound(at, ino),
                _ => self.give_way(at, ino, &listed, true),
            },
            None => {
                let source = self.path_of(existing)?;
                match self.look(&source).await? {
                    Some(listed) if listed.etag == node.etag() => self.check_folder(at.0).await,
                    // Another has changed it, which it may be under both names.
                    Some(listed) if pull::is_same(&node, &listed) && listed.id.is_some() => {
                        self.bind_version(existing, at, &node, listed.etag.as_ref())
                            .await
                    }
                    Some(listed) if listed.id.is_none() => Err(Errno::AGAIN.into()),
                    other => {
                        let db = lock(&self.db);
                        db.change(|db| self.gone(db, existing.0, &existing.1, None).map(drop))?;
                        if other.is_some() {
                            // Something else has taken its name.
                            lock(&self.flight).relist.insert(existing.0);
                        }
                        Ok(())
                    }
                }
            }
        }
    }

    /// BIND of a version that was just seen.
    async fn bind_version(
        &self,
        existing: &Name,
        at: &Name,
        node: &Node,
        etag: Option<&ETag>,
    ) -> Result<(), Fault> {
        let (source, target) = (self.path_of(existing)?, self.path_of(at)?);
        let intent = self.intend(Sending::of(node, at, state::Sent::Bind))?;
        let sending = self.drive.bind(&source, &target, etag);
        match self.send(intent, sending).await {
            Ok(()) => self.book_bound(at, node.ino),
            Err(Error::Conflict { .. } | Error::NotFound { .. } | Error::NoParent { .. }) => {
                Err(Errno::AGAIN.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What was removed here was changed there: the change wins, and the name is there again.
    pub(super) async fn resolve_remove(&self, at: &Name, ino: Ino) -> Result<(), Fault> {
        let path = self.path_of(at)?;
        let Some(listed) = self.look(&path).await? else {
            return self.book_removed(at, ino);
        };
        if listed.is_folder && self.replace_folder(at, ino, &listed)? {
            return Ok(());
        }
        let db = lock(&self.db);
        let copy = db.change(|db| {
            let node = self.node(db, ino)?;
            let back = if pull::is_same(&node, &listed) {
                self.update(db, node, &listed)?
            } else {
                let new = db.insert(&self.node_for(&listed))?;
                db.put_synced(at.0, &at.1, new)?;
                self.collect(db, ino)?;
                new
            };
            if let Some(mut node) = db.node(back)?
                && node.is_folder()
            {
                node.complete = false;
                node.nlink = node.nlink.max(2);
                db.save(&node)?;
                lock(&self.flight).relist.insert(back);
            }
            let mut copy = None;
            if let Some(ours) = db.entry(at.0, &at.1)?
                && db.entries_of(back)?.is_empty()
            {
                // Something else has taken the name here.
                let new_name = self.step_aside(db, at, ours)?;
                db.mark_name(at.0, &new_name, 0)?;
                copy = Some(new_name);
            }
            if db.entry(at.0, &at.1)?.is_none() {
                // The folder it lies in may have gone as well; it comes back for this.
                self.bring_back(db, at, back)?;
            }
            db.mark_name(at.0, &at.1, 0)?;
            Ok(copy)
        })?;
        self.tell_conflict(&db, at, copy.as_deref())?;
        self.push.notify_one();
        Ok(())
    }

    /// A folder was removed here and another made in its place, and what is in the one there belongs
    /// into that. `false`: it is not so.
    fn replace_folder(&self, at: &Name, old: Ino, listed: &Listed) -> Result<bool, Fault> {
        let new = {
            let db = lock(&self.db);
            let new = db.entry_node(at.0, &at.1)?;
            let Some(new) = new.filter(|new| new.is_folder() && new.ino != old) else {
                return Ok(false);
            };
            if !db.synced_of(new.ino)?.is_empty() {
                return Ok(false);
            }
            if let Some(mut old) = db.node(old)? {
                old.remote_id = None;
                db.save(&old)?;
            }
            new
        };
        self.book_folder(at, &new, &stored(listed), false)?;
        let db = lock(&self.db);
        self.invalidate_names(new.ino);
        db.change(|db| {
            // What is known of the one there already belongs into this one as well.
            for (name, ino) in db.synced_members(old)? {
                let shown = db.entry(old, &name)? == Some(ino);
                db.remove_synced(old, &name)?;
                db.mark_name(old, &name, 0)?;
                let free = db.entry(new.ino, &name)?.is_none();
                if shown {
                    db.remove_entry(old, &name)?;
                }
                if shown && free {
                    db.put_synced(new.ino, &name, ino)?;
                    db.add_entry(new.ino, &name, ino)?;
                    self.invalidate_entry(new.ino, &name);
                }
                db.mark_name(old, &name, 0)?;
                self.collect(db, ino)?;
            }
            self.collect(db, old)
        })?;
        Ok(true)
    }

    /// Gives a name to what is on the server, and to the folders that lead to it.
    fn bring_back(&self, db: &Db, at: &Name, ino: Ino) -> Result<(), Fault> {
        db.add_entry(at.0, &at.1, ino)?;
        let mut node = self.node(db, ino)?;
        if node.is_folder() {
            self.count_folders(db, at.0, 1)?;
            node.nlink = node.nlink.max(2);
        } else {
            node.nlink = u32::try_from(db.entries_of(ino)?.len()).unwrap_or(u32::MAX);
        }
        db.save(&node)?;
        if let Some(open) = self.opened(ino) {
            open.unlinked
                .store(false, std::sync::atomic::Ordering::SeqCst);
        }
        if at.0 != ROOT
            && db.entries_of(at.0)?.is_empty()
            && let Some(above) = db.synced_of(at.0)?.into_iter().next()
            && db.entry(above.0, &above.1)?.is_none()
        {
            self.bring_back(db, &above, at.0)?;
            db.mark_name(above.0, &above.1, 0)?;
            self.invalidate_names(above.0);
            self.invalidate_entry(above.0, &above.1);
        }
        Ok(())
    }

    /// Content or attributes were for what is not there any more, by this name. It may have others.
    pub(super) fn gone_there(&self, at: &Name, ino: Ino) -> Result<(), Fault> {
        let db = lock(&self.db);
        db.change(|db| {
            if db.synced(at.0, &at.1)? == Some(ino) {
                self.gone(db, at.0, &at.1, None)?;
            }
            if !db.synced_of(ino)?.is_empty() {
                db.mark_node(ino, 0)?;
            }
            Ok(())
        })?;
        self.push.notify_one();
        Ok(())
    }

    /// Something could not be made in a folder: is the folder still there?
    pub(super) async fn check_folder(&self, folder: Ino) -> Result<(), Fault> {
        let chain = {
            let db = lock(&self.db);
            let mut chain = Vec::new();
            let mut at = folder;
            while at != ROOT {
                let Some(name) = db.synced_of(at)?.into_iter().next() else {
                    break;
                };
                let ino = std::mem::replace(&mut at, name.0);
                chain.push((name, ino));
            }
            chain
        };
        for (at, ino) in chain.into_iter().rev() {
            let path = self.path_of(&at)?;
            let there = self.look(&path).await?;
            if there.is_none_or(|listed| !listed.is_folder) {
                // What was told meanwhile is newer: something else may have the name by now.
                return self.gone_there(&at, ino);
            }
        }
        // All is there: what went wrong may not do so again, but not at once.
        Err(Errno::AGAIN.into())
    }
}

#[cfg(test)]
mod tests {
    use super::conflict_name;

    #[test]
    fn a_copy_keeps_the_extension_and_tells_host_and_time() {
        let at = 1_795_161_600_000_000_000;
        assert_eq!(
            conflict_name("report.final.txt", "desk", at, 0),
            "report.final (conflict of desk 2026-11-20 0800).txt"
        );
        assert_eq!(
            conflict_name(".profile", "desk", at, 2),
            ".profile (conflict of desk 2026-11-20 0800 2)"
        );
    }

    #[test]
    fn the_name_of_a_copy_is_no_longer_than_names_can_be() {
        let name = conflict_name(&"ü".repeat(127), "desk", 0, 0);
        assert!(name.len() <= 255, "{}", name.len());
    }
}
