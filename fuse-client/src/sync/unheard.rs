//! Requests whose answers nobody has heard: what they are about is written down before they are sent,
//! and before anything else is sent it is asked what became of them.
//!
//! A request that is still wanted is simply made again. But where it is not, because the name was
//! removed or given to something else meanwhile, nobody would know any more that what arrived is ours.

use std::future::Future;

use super::Key;
use super::book;
use super::push::Job;
use crate::cache::Blocks;
use crate::clock::now_ns;
use crate::drive::{self, Drive, DrivePath, Error, Listed, Stored};
use crate::errno::Fault;
use crate::fs::shared::{Shared, lock};
use crate::state::{Content, Db, Name, Node, Sending, Sent};

/// So often it is asked again at once what became of a request.
const TRIES: u32 = 6;

/// When to ask next what became of requests, after it did not work.
#[derive(Default)]
pub(crate) struct Unheard {
    pub(super) due_ms: i64,
    attempts: u32,
}

/// Whether the server may have done it all the same.
fn may_be_done(error: &Error) -> bool {
    matches!(error, Error::Unreachable { .. } | Error::Busy { .. })
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
    fn node(&self, ino: crate::fs::Ino, listed: &Listed) -> Node {
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
    /// Sends what [`Db::put_sending`] has written down.
    pub(super) async fn send<T>(
        &self,
        at: &Name,
        request: impl Future<Output = drive::Result<T>>,
    ) -> drive::Result<T> {
        let answer = self.ask(request).await;
        if let Err(error) = &answer
            && !may_be_done(error)
            && let Err(fault) = self.forget_sending(at)
        {
            tracing::error!(%fault, "an answer cannot be written down");
        }
        answer
    }

    /// Writes down that something is about to be sent.
    pub(super) fn intend(&self, sending: &Sending) -> Result<(), Fault> {
        let db = lock(&self.db);
        db.change(|db| Ok(db.put_sending(sending)?))
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
        let mut unwanted = Vec::new();
        for sending in db.all_sending()? {
            if Self::is_unwanted(db, &sending)? {
                unwanted.push(sending);
            }
        }
        Ok(unwanted)
    }

    /// Of these, those that nobody waits for the answer of.
    pub(super) fn unheard(&self, db: &Db) -> Result<Vec<Sending>, Fault> {
        let mut unheard = Self::unwanted(db)?;
        unheard.retain(|sending| !lock(&self.flight).is_busy(&Key::Name(sending.at())));
        Ok(unheard)
    }

    /// What is still wanted just so is sent again, and that finds out; but a folder that has moved
    /// has taken others along.
    pub(super) fn is_unwanted(db: &Db, sending: &Sending) -> Result<bool, Fault> {
        Ok(matches!(sending.what, Sent::Move(_))
            || db.entry(sending.parent, &sending.name)? != Some(sending.ino)
            || db.entries_of(sending.ino)?.len() != 1)
    }

    /// Finds out what became of a request.
    pub(super) async fn ask_about(&self, sending: &Sending) {
        match self.find_out(sending).await {
            Ok(()) => *lock(&self.unheard) = Unheard::default(),
            Err(fault) => {
                let pause = {
                    let mut unheard = lock(&self.unheard);
                    let pause = 250_i64 << unheard.attempts;
                    unheard.attempts += 1;
                    unheard.due_ms = crate::clock::now_ms() + pause.min(2_000);
                    let tired = unheard.attempts >= TRIES;
                    let lasting = !matches!(&fault, Fault::Drive(error) if may_be_done(error));
                    if tired || lasting {
                        *unheard = Unheard::default();
                        None
                    } else {
                        Some(pause)
                    }
                };
                tracing::warn!(name = sending.name, %fault, ?pause, "it is unknown what was done");
                *lock(&self.last_error) = Some(fault.to_string());
                if pause.is_none()
                    && let Err(fault) = self.not_arrived(sending)
                {
                    tracing::error!(%fault, "it cannot be written down what was done");
                }
            }
        }
    }

    /// Nothing of ours is there, and whatever is there comes here.
    fn not_arrived(&self, sending: &Sending) -> Result<(), Fault> {
        self.forget_sending(&sending.at())?;
        let mut flight = lock(&self.flight);
        flight.relist.insert(sending.parent);
        if let Sent::Move((parent, _)) = &sending.what {
            flight.relist.insert(*parent);
        }
        Ok(())
    }

    async fn find_out(&self, sending: &Sending) -> Result<(), Fault> {
        let at = sending.at();
        let path = lock(&self.db).remote_name(at.0, &at.1)?;
        let Some(path) = path else {
            return self.forget_sending(&at);
        };
        match self.look(&path).await? {
            Some(listed) if self.is_sent(sending, &path, &listed).await? => {
                self.book_found(sending, &listed)
            }
            Some(_) => self.not_arrived(sending),
            None => self.forget_sending(&at),
        }
    }

    /// Whether what is there is what was sent.
    async fn is_sent(
        &self,
        sending: &Sending,
        path: &DrivePath,
        listed: &Listed,
    ) -> Result<bool, Fault> {
        let id = listed.id.as_ref().map(|id| &id.0);
        let folder = sending.is_folder();
        if listed.is_folder != folder {
            return Ok(false);
        }
        match &sending.what {
            Sent::Folder => Ok(true),
            Sent::Move(_) | Sent::Bind if id.is_some() && sending.remote_id.is_some() => {
                Ok(id == sending.remote_id.as_ref())
            }
            Sent::Bind => Ok(false),
            Sent::Move(from) => {
                let etag = listed.etag.as_ref().map(|etag| &etag.0);
                if !folder && etag != sending.etag.as_ref() {
                    return Ok(false);
                }
                let from = lock(&self.db).remote_name(from.0, &from.1)?;
                match from {
                    Some(from) => Ok(self.look(&from).await?.is_none()),
                    None => Ok(true),
                }
            }
            Sent::Content if listed.size_bytes != sending.size => Ok(false),
            Sent::Content => match (&sending.sha256, listed.sha256) {
                (Some(sent), Some(there)) => Ok(sent[..] == there),
                (Some(sent), None) => {
                    let there = self.digest_there(path, listed).await?;
                    Ok(there.is_some_and(|there| sent[..] == there))
                }
                (None, _) => {
                    let told = listed.attributes.mtime_ns;
                    Ok(told.is_none_or(|_| super::pull::mtime(listed) == sending.mtime))
                }
            },
        }
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
                self.book_move(from, &at, ino, replaces, stored.etag.map(|etag| etag.0))
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
