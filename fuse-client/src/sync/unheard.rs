//! Requests whose answers nobody has heard: what they are about is written down before they are sent,
//! and before anything else is sent it is asked what became of them.
//!
//! A request that is still wanted is simply made again. But where it is not, because the name was
//! removed or given to something else meanwhile, nobody would know any more that what arrived is ours.

use std::collections::{HashMap, HashSet};
use std::future::Future;

use super::book;
use super::content::{DIGEST, Job};
use super::{Key, Reach};
use crate::cache::Blocks;
use crate::clock::{now_ms, now_ns};
use crate::drive::{self, Drive, DrivePath, Error, Listed, Stored};
use crate::errno::Fault;
use crate::fs::shared::{Shared, lock};
use crate::fs::{Ino, ROOT};
use crate::state::{Content, Db, Name, Node, Sending, Sent, add_digest, has_digest, mark};

const SECOND: i64 = 1_000_000_000;
/// So often it is asked again soon what became of a request.
const TRIES: u32 = 6;
/// Then it is asked again after this, in ms.
const LATER: i64 = 60_000;
/// So long, in ms, a server may still be at a request whose connection is gone: of a mount that was
/// killed, or of a network that went away.
const LATE: i64 = 10_000;
/// It is asked so often meanwhile, in ms.
const OPEN: i64 = 1_000;

/// When to ask next what became of a request, by its name, after it did not work.
#[derive(Default)]
pub(crate) struct Unheard(HashMap<Name, Asking>);

#[derive(Default)]
struct Asking {
    /// Since when it is answered that nothing of it is there, if it is; 0 for what cannot arrive any
    /// more.
    open_ms: Option<i64>,
    due_ms: i64,
    attempts: u32,
    /// Of these, answers that will not be any other.
    refusals: u32,
    reason: String,
}

impl Unheard {
    /// Of requests of a mount that has ended.
    pub(crate) fn of(all: &[Sending]) -> Self {
        let fresh = |sending: &Sending| (sending.at(), Asking::default());
        Self(all.iter().map(fresh).collect())
    }

    /// When to ask about a request; 0: at once.
    pub(super) fn due_ms(&self, sending: &Sending) -> i64 {
        self.0.get(&sending.at()).map_or(0, |asking| asking.due_ms)
    }

    /// Why it is not known for long what became of a request.
    pub(crate) fn tired(&self, sending: &Sending) -> Option<&str> {
        let asking = self.0.get(&sending.at())?;
        (asking.attempts >= TRIES).then_some(asking.reason.as_str())
    }

    /// Until when a name is not to become free, as an earlier request than the last may take it.
    pub(super) fn taken_until(&self, name: &Name, now_ms: i64) -> Option<i64> {
        let open_ms = self.0.get(name)?.open_ms?;
        let is_open = (0..LATE).contains(&(now_ms - open_ms));
        is_open.then_some(open_ms + LATE)
    }

    /// Everything is asked at once.
    pub(crate) fn hurry(&mut self) {
        for asking in self.0.values_mut() {
            *asking = Asking {
                open_ms: asking.open_ms,
                ..Asking::default()
            };
        }
    }
}

/// What is known of a request after it was asked for.
enum Found {
    /// It is written down what became of it.
    Out,
    /// Nothing of it is there, and it may still arrive.
    Open,
}

/// A request that is about to be sent, and what is unknown already of one about the same name.
pub(super) struct Intent {
    at: Name,
    earlier: Option<Sending>,
}

/// Whether the server may have done it all the same.
fn may_be_done(error: &Error) -> bool {
    matches!(error, Error::Unreachable { .. } | Error::Busy { .. })
}

/// What is shown when an answer tells nothing about what was asked, and may do so another time.
fn no_answer(fault: &Fault) -> Option<&'static str> {
    match fault {
        Fault::Drive(Error::Unreachable { .. }) => Some("offline"),
        Fault::Drive(Error::Busy { .. } | Error::Locked { .. }) => Some("busy"),
        Fault::Drive(Error::LoginRefused) => Some("login"),
        Fault::Drive(Error::NoSpace { .. }) => Some("quota"),
        _ => None,
    }
}

impl Sending {
    /// A request about a node as it is now.
    pub(super) fn of(node: &Node, at: &Name, what: Sent) -> Self {
        Self {
            parent: at.0,
            name: at.1.clone(),
            ino: node.ino,
            what,
            mode: node.mode,
            size: if node.is_file() { node.size } else { 0 },
            mtime: node.mtime,
            version: node.version,
            sha256: None,
            remote_id: node.remote_id.clone(),
            etag: node.etag.clone(),
        }
    }

    pub(super) fn at(&self) -> Name {
        (self.parent, self.name.clone())
    }

    pub(super) fn is_folder(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    /// Names and nodes that it is about.
    pub(super) fn keys(&self) -> Vec<Key> {
        let mut keys = vec![Key::Name(self.at()), Key::Node(self.ino)];
        if let Sent::Move(from) = &self.what {
            keys.push(Key::Name(from.clone()));
        }
        keys
    }

    /// What has arrived, as a node, for one that nobody knows of any more.
    fn node(&self, ino: Ino, listed: &Listed) -> Node {
        let mut node = Node::new(self.mode, 0, 0, now_ns());
        node.ino = ino;
        node.size = self.size;
        node.version = self.version;
        node.sha256.clone_from(&self.sha256);
        node.etag = listed.etag.as_ref().map(|etag| etag.0.clone());
        node.remote_id = listed.id.as_ref().map(|id| id.0.clone());
        node.base_size = listed.size_bytes;
        node.attributes_dirty = 0;
        node.complete = false;
        if node.size > 0 {
            node.present = Blocks::none().0;
        }
        node
    }
}

impl<D: Drive> Shared<D> {
    /// Sends what [`Self::intend`] has written down.
    pub(super) async fn send<T>(
        &self,
        intent: Intent,
        request: impl Future<Output = drive::Result<T>>,
    ) -> drive::Result<T> {
        let answer = self.ask(request).await;
        match &answer {
            Ok(_) => {
                let mut unheard = lock(&self.unheard);
                unheard.0.remove(&intent.at);
                if intent.earlier.is_some() {
                    // It finds the name taken, unless that is free again.
                    let open = Asking {
                        open_ms: Some(now_ms()),
                        ..Asking::default()
                    };
                    unheard.0.insert(intent.at, open);
                }
            }
            // It is another one that it is to be asked about.
            Err(error) if may_be_done(error) => {
                let fresh = Asking::default();
                lock(&self.unheard).0.insert(intent.at, fresh);
            }
            Err(_) => {
                if let Err(fault) = self.not_done(&intent) {
                    tracing::error!(%fault, "an answer cannot be written down");
                }
            }
        }
        answer
    }

    /// Writes down that something is about to be sent, to be recognised should it arrive without our
    /// hearing of it: the answer may get lost, or we may be killed before it is written down.
    pub(super) fn intend(&self, mut sending: Sending) -> Result<Intent, Fault> {
        let db = lock(&self.db);
        db.change(|db| {
            let at = sending.at();
            let earlier = db.sending(at.0, &at.1)?;
            if let Some(digest) = sending.sha256.take() {
                let mut all = earlier
                    .as_ref()
                    .filter(|earlier| earlier.ino == sending.ino && earlier.what == Sent::Content)
                    .and_then(|earlier| earlier.sha256.clone());
                add_digest(&mut all, &digest);
                sending.sha256 = all;
                if let Ok(mut node) = self.node(db, sending.ino) {
                    add_digest(&mut node.sent_sha256, &digest);
                    db.save(&node)?;
                }
            } else if sending.what == Sent::Content
                && let Ok(mut node) = self.node(db, sending.ino)
                && node.is_file()
            {
                let written = (node.mtime, node.ctime) == (sending.mtime, sending.mtime);
                if !written && sending.etag.is_some() {
                    // A program has set back the time of what it has changed, as it may have done
                    // elsewhere as well: nothing tells another's version from this one.
                    sending.mtime = i64::MIN;
                } else if sending.mtime.div_euclid(SECOND) < now_ns().div_euclid(SECOND) {
                    // Whoever writes it from now on by other means sets another second.
                    add_digest(&mut node.sent_sha256, &mark(sending.size, sending.mtime));
                    db.save(&node)?;
                }
            }
            db.put_sending(&sending)?;
            Ok(Intent { at, earlier })
        })
    }

    /// A request has done nothing; but one before it may have, whose answer nobody has heard.
    fn not_done(&self, intent: &Intent) -> Result<(), Fault> {
        match &intent.earlier {
            None => self.forget_sending(&intent.at),
            Some(earlier) => {
                let db = lock(&self.db);
                db.change(|db| Ok(db.put_sending(earlier)?))
            }
        }
    }

    /// Requests about a node were broken off before all of them was sent. Earlier ones about the same
    /// name may arrive all the same.
    pub(super) fn cannot_arrive(&self, ino: Ino) -> Result<(), Fault> {
        for sending in lock(&self.db).all_sending()? {
            if sending.ino == ino {
                let never = || Asking {
                    open_ms: Some(0),
                    ..Asking::default()
                };
                let mut unheard = lock(&self.unheard);
                unheard.0.entry(sending.at()).or_insert_with(never);
            }
        }
        Ok(())
    }

    fn forget_sending(&self, at: &Name) -> Result<(), Fault> {
        let db = lock(&self.db);
        db.change(|db| {
            db.remove_sending(at.0, &at.1)?;
            if db.entry(at.0, &at.1)? == db.synced(at.0, &at.1)? {
                db.mark_name(at.0, &at.1, 0)?;
            }
            Ok(())
        })
    }

    /// Requests whose outcome matters for more than trying again.
    pub(crate) fn unwanted(db: &Db) -> Result<Vec<Sending>, Fault> {
        Self::only_unwanted(db, db.all_sending()?)
    }

    fn only_unwanted(db: &Db, all: Vec<Sending>) -> Result<Vec<Sending>, Fault> {
        let mut unwanted = Vec::new();
        for sending in all {
            if Self::is_unwanted(db, &sending)? {
                unwanted.push(sending);
            }
        }
        Ok(unwanted)
    }

    /// Of these, those that nobody waits for the answer of.
    pub(super) fn unheard(&self, db: &Db) -> Result<Vec<Sending>, Fault> {
        let mut unheard = db.all_sending()?;
        // Most are under way, which is known without a look at the trees.
        unheard.retain(|sending| !lock(&self.flight).is_busy(&Key::Name(sending.at())));
        Self::only_unwanted(db, unheard)
    }

    /// What is still wanted just so is sent again, and that finds out; but a folder that has moved
    /// has taken others along.
    pub(super) fn is_unwanted(db: &Db, sending: &Sending) -> Result<bool, Fault> {
        Ok(matches!(sending.what, Sent::Move(_))
            || db.entry(sending.parent, &sending.name)? != Some(sending.ino)
            || db.entries_of(sending.ino)?.len() != 1)
    }

    /// Finds out what became of a request. Where nobody tells, it stays unknown: what was done would
    /// be taken for another's.
    pub(super) async fn ask_about(&self, sending: &Sending) {
        let asking = |unheard: &Unheard| unheard.0.get(&sending.at())?.open_ms;
        let open_ms = asking(&lock(&self.unheard));
        // The clock may have been set back.
        let may_arrive = open_ms.is_none_or(|open_ms| (0..LATE).contains(&(now_ms() - open_ms)));
        let fault = match self.find_out(sending, may_arrive).await {
            Ok(Found::Out) => {
                lock(&self.unheard).0.remove(&sending.at());
                return;
            }
            Ok(Found::Open) => {
                let now_ms = now_ms();
                let open_ms = open_ms.unwrap_or(now_ms);
                let again = Asking {
                    open_ms: Some(open_ms),
                    due_ms: (now_ms + OPEN).min(open_ms + LATE),
                    ..Asking::default()
                };
                lock(&self.unheard).0.insert(sending.at(), again);
                return;
            }
            Err(fault) => fault,
        };
        tracing::warn!(name = sending.name, %fault, "it is unknown what was done");
        *lock(&self.last_error) = Some(fault.to_string());
        let given_up = {
            let mut unheard = lock(&self.unheard);
            let asking = unheard.0.entry(sending.at()).or_default();
            let pause = 250_i64 << asking.attempts.min(3);
            asking.attempts += 1;
            let tired = asking.attempts >= TRIES;
            asking.due_ms = now_ms() + if tired { LATER } else { pause };
            let reason = no_answer(&fault);
            asking.refusals += u32::from(reason.is_none());
            asking.reason = reason.map_or_else(|| fault.to_string(), str::to_owned);
            asking.refusals >= TRIES
        };
        if given_up {
            lock(&self.unheard).0.remove(&sending.at());
            if let Err(fault) = self.not_arrived(sending) {
                tracing::error!(%fault, "it cannot be written down what was done");
            }
        }
    }

    /// Whether a step would be about names or nodes, or paths, that depend on what became of requests.
    /// One that reaches further depends on all of them.
    pub(super) fn depends(
        &self,
        db: &Db,
        unheard: &[Sending],
        keys: &[Key],
        reach: Reach,
    ) -> Result<bool, Fault> {
        let open = unheard.iter();
        let mut fresh = open.filter(|sending| lock(&self.unheard).tired(sending).is_none());
        if reach != Reach::Itself && fresh.next().is_some() {
            return Ok(true);
        }
        let about: HashSet<Key> = unheard.iter().flat_map(Sending::keys).collect();
        if keys.iter().any(|key| about.contains(key)) {
            return Ok(true);
        }
        let mut above = Vec::new();
        for key in keys {
            match key {
                Key::Name((parent, _)) => above.push(*parent),
                Key::Node(ino) => above.extend(db.synced_of(*ino)?.first().map(|name| name.0)),
            }
        }
        for mut at in above {
            while at != ROOT {
                if about.contains(&Key::Node(at)) {
                    return Ok(true);
                }
                let Some(name) = db.synced_of(at)?.into_iter().next() else {
                    break;
                };
                at = name.0;
            }
        }
        Ok(false)
    }

    /// Nothing of ours is there, which does not say that it never will be: a server may have been cut
    /// off in the middle of it. What has the name now knows it again then.
    fn not_there(&self, sending: &Sending) -> Result<(), Fault> {
        let db = lock(&self.db);
        db.change(|db| {
            let here = db.entry(sending.parent, &sending.name)?;
            if let (Some(here), Some(sent)) = (here, &sending.sha256)
                && let Ok(mut node) = self.node(db, here)
                && node.is_file()
                && node.content != Content::Clean
            {
                for digest in sent.chunks_exact(32) {
                    add_digest(&mut node.sent_sha256, digest);
                }
                db.save(&node)?;
            }
            match &sending.what {
                // That what was to be moved has gone from its old name was not believed until now.
                Sent::Move((parent, _)) => self.look_again_at(db, &[*parent]),
                _ => Ok(()),
            }
        })?;
        drop(db);
        self.forget_sending(&sending.at())
    }

    /// Nothing of ours is there, and whatever is there comes here.
    fn not_arrived(&self, sending: &Sending) -> Result<(), Fault> {
        {
            let db = lock(&self.db);
            db.change(|db| self.look_again_at(db, &[sending.parent]))?;
        }
        self.not_there(sending)
    }

    async fn find_out(&self, sending: &Sending, may_arrive: bool) -> Result<Found, Fault> {
        let at = sending.at();
        let path = lock(&self.db).remote_name(at.0, &at.1)?;
        let Some(path) = path else {
            return self.not_there(sending).map(|()| Found::Out);
        };
        let there = self.look(&path).await?;
        let sent = match &there {
            Some(listed) => self.arrived(sending, &path, listed).await?,
            None => None,
        };
        match (sent, there) {
            (Some(sent), Some(listed)) => self.book_found(&sent, &listed)?,
            (_, there) if may_arrive && self.is_open(sending, there.as_ref())? => {
                return Ok(Found::Open);
            }
            (_, None) => self.not_there(sending)?,
            (None, Some(_)) => self.not_arrived(sending)?,
        }
        Ok(Found::Out)
    }

    /// Whether a request that has not arrived would be done if it did: nobody has touched what it was
    /// to replace. What is wanted still need not be waited for, as it is sent again.
    fn is_open(&self, sending: &Sending, there: Option<&Listed>) -> Result<bool, Fault> {
        let db = lock(&self.db);
        if db.entry(sending.parent, &sending.name)? == Some(sending.ino) {
            return Ok(false);
        }
        let known = match db.synced(sending.parent, &sending.name)? {
            Some(ino) => db.node(ino)?,
            None => None,
        };
        Ok(match (known, there) {
            (None, None) => true,
            (Some(known), Some(there)) => {
                let etag = there.etag.as_ref();
                super::pull::is_same(&known, there)
                    && (etag.is_none() || etag == known.etag().as_ref())
            }
            _ => false,
        })
    }

    /// What was sent and is there, if it is; of a content perhaps an earlier version than the last.
    async fn arrived(
        &self,
        sending: &Sending,
        path: &DrivePath,
        listed: &Listed,
    ) -> Result<Option<Sending>, Fault> {
        if listed.is_folder != sending.is_folder() {
            return Ok(None);
        }
        let id = listed.id.as_ref().map(|id| &id.0);
        let known = id.zip(sending.remote_id.as_ref());
        let is_ours = known.is_none_or(|(id, ours)| id == ours);
        let what = match &sending.what {
            Sent::Content => return self.arrived_content(sending, path, listed).await,
            Sent::Folder => Some(Sent::Folder),
            Sent::Bind => {
                let is_ours = match known {
                    Some(_) => is_ours,
                    None => self.is_other_name(sending.ino, listed).await?,
                };
                is_ours.then_some(Sent::Bind)
            }
            Sent::Move(from) => {
                let from_path = lock(&self.db).remote_name(from.0, &from.1)?;
                let here = match from_path {
                    Some(path) => self.look(&path).await?,
                    None => None,
                };
                let has_both =
                    id.is_some() && here.as_ref().is_some_and(|here| here.id == listed.id);
                let same_version = listed.is_folder
                    || listed.etag.as_ref().map(|etag| &etag.0) == sending.etag.as_ref();
                if !is_ours {
                    None
                } else if has_both {
                    // It was bound before, when nobody heard that answer either.
                    Some(Sent::Bind)
                } else if known.is_some() || (same_version && here.is_none()) {
                    Some(sending.what.clone())
                } else {
                    None
                }
            }
        };
        Ok(what.map(|what| Sending {
            what,
            ..sending.clone()
        }))
    }

    /// Whether what is there is what the server has under another name of a node already: answers to
    /// uploads tell no ids.
    pub(super) async fn is_other_name(&self, ino: Ino, listed: &Listed) -> Result<bool, Fault> {
        let known = {
            let db = lock(&self.db);
            match db.synced_of(ino)?.into_iter().next() {
                Some((parent, name)) => db.remote_name(parent, &name)?,
                None => None,
            }
        };
        let Some(known) = known else {
            return Ok(false);
        };
        let known = self.look(&known).await?;
        Ok(listed.id.is_some() && known.is_some_and(|known| known.id == listed.id))
    }

    async fn arrived_content(
        &self,
        sending: &Sending,
        path: &DrivePath,
        listed: &Listed,
    ) -> Result<Option<Sending>, Fault> {
        let Some(sent) = &sending.sha256 else {
            // Another's version may be of the same length: what nothing tells apart is left alone,
            // unless there is nothing to lose.
            let told = listed.attributes.mtime_ns;
            let is_sent = listed.size_bytes == sending.size
                && told.map_or(sending.size == 0, |_| {
                    super::pull::mtime(listed) == sending.mtime
                });
            return Ok(is_sent.then(|| sending.clone()));
        };
        let there = match listed.sha256 {
            Some(there) => Some(there),
            None if listed.size_bytes > DIGEST => None,
            None => self.digest_there(path, listed).await?,
        };
        let Some(there) = there.filter(|there| has_digest(Some(sent), there)) else {
            return Ok(None);
        };
        Ok(Some(Sending {
            sha256: Some(there.to_vec()),
            size: listed.size_bytes,
            version: if sent.ends_with(&there) {
                sending.version
            } else {
                -1
            },
            ..sending.clone()
        }))
    }

    /// It is what was sent: the server has it under that name, whatever is wanted there now.
    fn book_found(&self, sending: &Sending, listed: &Listed) -> Result<(), Fault> {
        let at = sending.at();
        let ino = sending.ino;
        let stored = Stored {
            etag: listed.etag.clone(),
            id: listed.id.clone(),
        };
        let (known, replaces, names) = {
            let db = lock(&self.db);
            let replaces = db.synced(at.0, &at.1)?.filter(|old| *old != ino);
            (db.node(ino)?, replaces, db.synced_of(ino)?)
        };
        match &sending.what {
            Sent::Content => {
                let elsewhere = !names.is_empty() && !names.contains(&at);
                let id = stored.id.as_ref().map(|id| &id.0);
                let other = |node: &Node| id.is_none() || id != node.remote_id.as_ref();
                let node = match known {
                    // It is on the server under another name, as another file.
                    Some(node) if elsewhere && other(&node) => {
                        let mut node = sending.node(0, listed);
                        let db = lock(&self.db);
                        node.ino = db.change(|db| Ok(db.insert(&node)?))?;
                        node
                    }
                    Some(node) => Node {
                        version: sending.version,
                        size: sending.size,
                        // It is not known which of the attributes have arrived.
                        attribute_version: -1,
                        ..node
                    },
                    None => sending.node(ino, listed),
                };
                let job = Job {
                    node,
                    file: std::sync::Arc::new(std::fs::File::open("/dev/null")?),
                    open: None,
                    sha256: sending.sha256.clone(),
                };
                let sent = book::Sent {
                    at: Some(at),
                    replaces,
                    stored,
                };
                self.book_sent(&job, &sent)
            }
            Sent::Folder => {
                let node = known.unwrap_or_else(|| sending.node(ino, listed));
                self.book_folder(&at, &node, &stored, false)
            }
            Sent::Move(from) => {
                self.know_again(sending, listed, known.as_ref())?;
                if listed.is_folder {
                    lock(&self.flight).relist.insert(ino);
                }
                self.book_move(from, &at, ino, replaces, Some(listed))
            }
            Sent::Bind => {
                self.know_again(sending, listed, known.as_ref())?;
                self.book_bound(&at, ino)
            }
        }
    }

    fn know_again(
        &self,
        sending: &Sending,
        listed: &Listed,
        known: Option<&Node>,
    ) -> Result<(), Fault> {
        if known.is_some() {
            return Ok(());
        }
        let db = lock(&self.db);
        db.change(|db| {
            let node = Node {
                content: Content::Clean,
                ..sending.node(sending.ino, listed)
            };
            db.insert(&node)?;
            Ok(())
        })
    }
}
