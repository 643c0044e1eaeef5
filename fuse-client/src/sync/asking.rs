//! Asking what others did: all that has changed, a folder, or one file.
//!
//! What is answered is taken over by `pull`, but for what was being changed by us meanwhile: that is
//! asked for again.

use std::collections::HashSet;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::io::Errno;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, timeout_at};

use super::pull::is_same;
use super::{Key, Reading};
use crate::clock::now_ms;
use crate::drive::{Changes, Drive, DrivePath, Error, Listed, SyncToken};
use crate::errno::Fault;
use crate::fs::shared::{Shared, lock};
use crate::fs::{Ino, ROOT};
use crate::state::{AGAIN, Content, Db, ECHOED, Node, Sending, Sent};

/// So long it is waited until it is known where a folder is that is being moved.
const MOVING: Duration = Duration::from_secs(20);

impl<D: Drive> Shared<D> {
    /// Asks what is in a folder.
    pub(crate) async fn list_folder(&self, ino: Ino) -> Result<(), Fault> {
        self.at_its_path(|| self.list_once(ino)).await
    }

    /// Asks again what was asked while a folder was being moved, and so came to `EAGAIN`.
    pub(crate) async fn at_its_path<F>(&self, ask: impl Fn() -> F) -> Result<(), Fault>
    where
        F: Future<Output = Result<(), Fault>>,
    {
        let patience = Instant::now() + MOVING;
        loop {
            let mut progress = self.progress.subscribe();
            match ask().await {
                Err(Fault::Rule(Errno::AGAIN)) => {}
                answered => return answered,
            }
            self.push.notify_one();
            let ended = timeout_at(patience, progress.changed()).await;
            if ended.is_err() {
                return Err(Errno::TIMEDOUT.into());
            }
        }
    }

    /// Whether a node was moved, or may be, since `tick`, when its path was this: it itself or what it
    /// lies in.
    fn is_moving(&self, db: &Db, ino: Ino, path: &DrivePath, tick: u64) -> Result<bool, Fault> {
        let sending = db.all_sending()?;
        let mut at = ino;
        while at != ROOT {
            let unheard = |sent: &Sending| sent.ino == at && matches!(sent.what, Sent::Move(_));
            if !lock(&self.flight).holds(&Key::Node(at), tick) || sending.iter().any(unheard) {
                return Ok(true);
            }
            let Some(name) = db.synced_of(at)?.into_iter().next() else {
                break;
            };
            at = name.0;
        }
        Ok(db.remote_path(ino)?.as_ref() != Some(path))
    }

    /// As [`Self::list_folder`], once; `EAGAIN` when it is being moved.
    pub(crate) async fn list_once(&self, ino: Ino) -> Result<(), Fault> {
        let path = lock(&self.db).remote_path(ino)?.ok_or(Errno::NOENT)?;
        let reading = Reading::begin(&self.flight);
        let tick = reading.tick;
        let answer = self.ask(self.drive.list(&path)).await;
        let applied = match answer {
            Ok(listing) => {
                let db = lock(&self.db);
                db.change(|db| {
                    if db.remote_path(ino)?.as_ref() != Some(&path) {
                        return Err(Errno::AGAIN.into());
                    }
                    let node = self.node(db, ino)?;
                    // Attributes that were sent meanwhile are newer than what was read.
                    let mut all = lock(&self.flight).holds(&Key::Node(ino), tick);
                    if all && (is_same(&node, &listing.itself) || ino == ROOT) {
                        self.update(db, node, &listing.itself)?;
                    }
                    let told: HashSet<&str> = listing
                        .members
                        .iter()
                        .map(|listed| listed.name.as_str())
                        .collect();
                    for (name, _) in db.synced_members(ino)? {
                        if !told.contains(name.as_str()) {
                            all &= self.is_gone(db, ino, &name, tick)?;
                        }
                    }
                    for listed in &listing.members {
                        if crate::drive::is_name(&listed.name) {
                            all &= self.merge(db, ino, listed, tick)?;
                        }
                    }
                    let mut node = self.node(db, ino)?;
                    node.complete = true;
                    let told = all && !lock(&self.flight).was_told_gone_in(ino);
                    node.listed_at = if told { now_ms() } else { ECHOED };
                    db.save(&node)?;
                    if !all {
                        lock(&self.flight).relist.insert(ino);
                    }
                    Ok(())
                })
            }
            Err(Error::NotFound { .. }) if ino != ROOT => {
                if self.is_moving(&lock(&self.db), ino, &path, tick)? {
                    return Err(Errno::AGAIN.into());
                }
                self.check_folder(ino).await.ok();
                Err(Errno::NOENT.into())
            }
            Err(error) => Err(error.into()),
        };
        drop(reading);
        applied
    }

    /// Asks what a node is like now.
    pub(crate) async fn refresh(&self, ino: Ino) -> Result<(), Fault> {
        let (path, at) = {
            let db = lock(&self.db);
            let path = db.remote_path(ino)?.ok_or(Errno::STALE)?;
            (path, db.synced_of(ino)?.into_iter().next())
        };
        let reading = Reading::begin(&self.flight);
        let tick = reading.tick;
        let answer = self.ask(self.drive.stat(&path)).await;
        let mut has_other = false;
        let applied = {
            let db = lock(&self.db);
            if matches!(&answer, Err(Error::NotFound { .. }))
                && self.is_moving(&db, ino, &path, tick)?
            {
                // What is known is as good as it gets.
                return Ok(());
            }
            match (answer, at) {
                (Ok(listed), Some((parent, name))) => db.change(|db| {
                    let listed = Listed { name, ..listed };
                    self.merge(db, parent, &listed, tick).map(drop)
                }),
                (Err(Error::NotFound { .. }), Some((parent, name))) => db
                    .change(|db| {
                        self.gone(db, parent, &name, Some(tick))?;
                        // A move of ours may be what took it from there.
                        let is_ours = db.synced(parent, &name)? == Some(ino);
                        has_other = !is_ours && !db.synced_of(ino)?.is_empty();
                        Ok(is_ours)
                    })
                    .and_then(|is_ours| is_ours.then_some(()).ok_or(Errno::STALE.into())),
                (Ok(_), None) => Ok(()),
                (Err(error), _) => Err(error.into()),
            }
        };
        drop(reading);
        if has_other {
            // One of its names went, not the file.
            return Box::pin(self.refresh(ino)).await;
        }
        applied
    }

    /// Before an open: is what is known of the file fresh enough?
    pub(crate) async fn revalidate(&self, ino: Ino) -> Result<(), Fault> {
        if self.live.load(Ordering::Relaxed) || !self.online.load(Ordering::Relaxed) {
            return Ok(());
        }
        {
            let db = lock(&self.db);
            let Some(node) = db.node(ino)? else {
                return Err(Errno::NOENT.into());
            };
            let ttl = i64::try_from(self.options.attribute_ttl.as_millis()).unwrap_or(i64::MAX);
            if node.etag.is_none()
                || node.content != Content::Clean
                || now_ms().saturating_sub(node.listed_at) < ttl
                || db.synced_of(ino)?.is_empty()
            {
                return Ok(());
            }
        }
        match self.refresh(ino).await {
            // What is here is as good as it gets.
            Err(Fault::Drive(Error::Unreachable { .. } | Error::Busy { .. })) => Ok(()),
            other => other,
        }
    }

    /// Asks for all that has changed, until there is no more. Of a long answer the next part is asked
    /// for while one is taken over.
    pub(crate) async fn pull_changes(&self) -> Result<(), Fault> {
        let mut ahead = JoinSet::new();
        let mut reading = Reading::begin(&self.flight);
        loop {
            let token = lock(&self.db).meta("token")?.map(SyncToken);
            let answer = async {
                match ahead.join_next().await {
                    Some(Ok(answer)) => answer,
                    _ => self.drive.changes(token.as_ref()).await,
                }
            };
            let answer = self.ask(answer).await;
            let next = Reading::begin(&self.flight);
            let applied = match answer {
                Ok(changes) => {
                    if changes.more {
                        let (drive, token) = (self.drive.clone(), changes.token.clone());
                        ahead.spawn(async move { drive.changes(Some(&token)).await });
                        // It is begun before this thread is at work for a while.
                        yield_now().await;
                    }
                    self.apply(&changes, reading.tick).map(|()| changes.more)
                }
                Err(Error::TokenExpired) => {
                    let db = lock(&self.db);
                    db.change(|db| {
                        db.set_meta("token", None)?;
                        db.set_meta("listed", Some("again"))?;
                        Ok(db.set_all_again()?)
                    })
                    .map(|()| true)
                }
                Err(error) => Err(error.into()),
            };
            reading = next;
            if !applied? {
                return Ok(());
            }
        }
    }

    fn apply(&self, changes: &Changes, tick: u64) -> Result<(), Fault> {
        let db = lock(&self.db);
        db.change(|db| {
            let mut changed: Vec<_> = changes.changed.iter().collect();
            changed.sort_by_key(|(path, _)| path.names().len());
            // Folders whose names stand for something else here, until a request meets them.
            let mut strange: Vec<&DrivePath> = Vec::new();
            // What is in a folder is told in a row, and files do not change where it is.
            let mut last: Option<(DrivePath, Ino)> = None;
            for (path, listed) in changed {
                let lies_in = |above: &&DrivePath| path.names().starts_with(above.names());
                if strange.iter().any(lies_in) {
                    continue;
                }
                let Some((folder, name)) = path.split() else {
                    let node = self.node(db, ROOT)?;
                    self.update(db, node, listed)?;
                    continue;
                };
                let listed = Listed {
                    name: name.to_owned(),
                    ..listed.clone()
                };
                let found = match last.take() {
                    Some((path, ino)) if path == folder => Found::Folder(ino),
                    _ => self.find(db, &folder, tick)?,
                };
                match found {
                    Found::Folder(parent) => {
                        if !listed.is_folder {
                            last = Some((folder, parent));
                        }
                        if !self.merge(db, parent, &listed, tick)? {
                            self.look_later(db, parent)?;
                        } else if listed.is_folder && !Self::is_known_as(db, parent, &listed)? {
                            strange.push(path);
                        }
                    }
                    Found::Unsure(folders) => self.look_again_at(db, &folders)?,
                    Found::Unknown => {}
                }
            }
            for path in &changes.removed {
                let Some((folder, name)) = path.split() else {
                    continue;
                };
                match self.find(db, &folder, tick)? {
                    Found::Folder(parent) => {
                        if !self.is_gone(db, parent, name, tick)? {
                            self.look_later(db, parent)?;
                        }
                    }
                    Found::Unsure(folders) => {
                        for folder in &folders {
                            lock(&self.flight).told_gone(&(*folder, name.to_owned()));
                        }
                        self.look_again_at(db, &folders)?;
                    }
                    Found::Unknown => {}
                }
            }
            db.set_meta("token", Some(&changes.token.0))?;
            if !changes.more {
                match db.meta("listed")?.as_deref() {
                    None => self.all_is_told(db)?,
                    Some("again") => self.all_is_told_again(db)?,
                    Some(_) => {}
                }
            }
            Ok(())
        })?;
        self.push.notify_one();
        Ok(())
    }

    /// Whether what is known to have a name on the server is what was told.
    fn is_known_as(db: &Db, parent: Ino, listed: &Listed) -> Result<bool, Fault> {
        let there = db.synced(parent, &listed.name)?;
        let node = there.map(|ino| db.node(ino)).transpose()?.flatten();
        Ok(node.is_some_and(|node| is_same(&node, listed)))
    }

    /// For the first time it was told what is in every folder.
    fn all_is_told(&self, db: &Db) -> Result<(), Fault> {
        db.set_meta("listed", Some("all"))?;
        // Of some, not all that was told could be believed; of others more was known before, of which
        // it was not told that it has gone since.
        let known = db.complete_folders()?;
        let again: Vec<_> = {
            let mut flight = lock(&self.flight);
            flight.relist.extend(known);
            // What is being sent may have arrived, and have gone before all was told.
            flight.moved += 1;
            flight.relist.iter().copied().collect()
        };
        let unsure = again.into_iter().map(|ino| db.node(ino));
        let unsure: Vec<_> = unsure.collect::<rusqlite::Result<_>>()?;
        db.set_all_complete(now_ms())?;
        for mut node in unsure.into_iter().flatten().filter(Node::is_folder) {
            node.listed_at = AGAIN;
            db.save(&node)?;
        }
        Ok(())
    }

    /// It was told anew what is in every folder, but not what has gone: neither before nor after a
    /// folder was listed meanwhile. A name that is known is not asked for, so nobody else would notice.
    fn all_is_told_again(&self, db: &Db) -> Result<(), Fault> {
        db.set_meta("listed", Some("all"))?;
        db.set_all_again()?;
        let mut flight = lock(&self.flight);
        flight.relist.extend(db.synced_folders()?);
        // What is being sent may have arrived, and have gone since.
        flight.moved += 1;
        Ok(())
    }

    /// As [`Self::look_again`], for names that are being changed by us.
    fn look_later(&self, db: &Db, folder: Ino) -> Result<(), Fault> {
        lock(&self.flight).relist.insert(folder);
        if let Some(mut node) = db.node(folder)?
            && node.is_folder()
            && !node.is_doubtful()
        {
            node.listed_at = ECHOED;
            db.save(&node)?;
        }
        Ok(())
    }

    /// After a folder was moved by us: what others had removed below it, and we were not told yet, is
    /// not told any more, for all that was there has gone from where it was.
    pub(super) fn look_below_later(&self, db: &Db, folder: Ino) -> Result<(), Fault> {
        if !self.can.changes {
            return Ok(());
        }
        for below in db.complete_below(folder)? {
            self.look_later(db, below)?;
        }
        Ok(())
    }

    /// Takes over that a name is gone from the server. `false`: not now, it is being changed by us.
    fn is_gone(&self, db: &Db, folder: Ino, name: &str, tick: u64) -> Result<bool, Fault> {
        let wanted = db.entry(folder, name)?.is_some();
        let known = db.synced(folder, name)?.is_some();
        {
            let at = (folder, name.to_owned());
            let mut flight = lock(&self.flight);
            if !flight.holds(&Key::Name(at.clone()), tick) {
                // What is being sent may have arrived, and have gone after that. What is to go anyway
                // may be wanted again before it has an answer.
                let is_busy = flight.told_gone(&at);
                return Ok(!wanted && (is_busy || !known));
            }
        }
        self.gone(db, folder, name, Some(tick))
    }

    fn look_again(&self, db: &Db, folder: Ino) -> Result<(), Fault> {
        lock(&self.flight).relist.insert(folder);
        if let Some(mut node) = db.node(folder)?
            && node.is_folder()
            && node.listed_at != AGAIN
        {
            node.listed_at = AGAIN;
            db.save(&node)?;
        }
        Ok(())
    }

    /// After a request that was begun when so many folders had been moved by others: if one was moved
    /// since, what was sent may be elsewhere than where it is known to be.
    pub(super) fn look_after_moves(&self, keys: &[Key], moved: u64) {
        if lock(&self.flight).moved == moved {
            return;
        }
        let folders = keys.iter().filter_map(|key| match key {
            Key::Name((folder, _)) => Some(*folder),
            Key::Node(_) => None,
        });
        let folders: Vec<_> = folders.collect();
        let db = lock(&self.db);
        if let Err(fault) = db.change(|db| self.look_again_at(db, &folders)) {
            tracing::error!(%fault, "it cannot be written down what is to be listed");
        }
    }

    pub(super) fn look_again_at(&self, db: &Db, folders: &[Ino]) -> Result<(), Fault> {
        folders
            .iter()
            .try_for_each(|folder| self.look_again(db, *folder))
    }

    /// Has what is known of these places asked for again: the folders they lie in, and what was in
    /// them.
    pub(super) fn look_at(&self, places: &[DrivePath]) -> Result<(), Fault> {
        let reading = Reading::begin(&self.flight);
        let tick = reading.tick;
        let db = lock(&self.db);
        db.change(|db| {
            for place in places {
                let Some((folder, _)) = place.split() else {
                    continue;
                };
                match self.find(db, &folder, tick)? {
                    Found::Folder(ino) => self.look_again_if_listed(db, ino)?,
                    Found::Unsure(folders) => self.look_again_at(db, &folders)?,
                    Found::Unknown => {}
                }
                if let Found::Folder(ino) = self.find(db, place, tick)? {
                    self.look_below(db, ino)?;
                }
            }
            Ok(())
        })
    }

    fn look_below(&self, db: &Db, folder: Ino) -> Result<(), Fault> {
        let node = self.node(db, folder)?;
        if !node.is_folder() {
            return Ok(());
        }
        self.look_again_if_listed(db, folder)?;
        for (_, child) in db.synced_members(folder)? {
            self.look_below(db, child)?;
        }
        Ok(())
    }

    /// What nobody has looked into need not be listed again.
    fn look_again_if_listed(&self, db: &Db, folder: Ino) -> Result<(), Fault> {
        if self.node(db, folder)?.complete {
            self.look_again(db, folder)?;
        }
        Ok(())
    }

    /// The folder that a path told by the server leads to.
    fn find(&self, db: &Db, path: &DrivePath, tick: u64) -> Result<Found, Fault> {
        let mut at = ROOT;
        for name in path.names() {
            let key = Key::Name((at, name.clone()));
            if !lock(&self.flight).holds(&key, tick) {
                return Ok(Found::Unsure(vec![at, self.guess(db, path)?]));
            }
            match db.synced(at, name)? {
                Some(ino) if db.node(ino)?.is_some_and(|node| node.is_folder()) => at = ino,
                _ => return Ok(Found::Unknown),
            }
        }
        Ok(Found::Folder(at))
    }

    /// The folder that a path may lead to by names here, or as far towards it as there are any: what
    /// was told of it is not told again.
    fn guess(&self, db: &Db, path: &DrivePath) -> Result<Ino, Fault> {
        let mut at = ROOT;
        for name in path.names() {
            match db.synced(at, name)?.or(db.entry(at, name)?) {
                Some(ino) if self.node(db, ino)?.is_folder() => at = ino,
                _ => break,
            }
        }
        Ok(at)
    }
}

/// Where a path told by the server leads to here.
enum Found {
    Folder(Ino),
    /// Somewhere in what we are changing: these are to be listed again.
    Unsure(Vec<Ino>),
    /// Nothing that was ever listed.
    Unknown,
}
