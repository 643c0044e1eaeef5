//! A drive in memory, with faults that no real server makes on demand.
//!
//! Clones share the drive, so that a second mount, or the same after a restart, sees what the first
//! has left. Every call gives others a turn before and after it reaches the server; one that is
//! dropped in between was done or not, as with a real server.

mod fault;
mod other;
mod tree;

use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};

pub use self::fault::{Dice, Fault, Verb};
pub use self::other::Other;

use self::fault::{Faults, unreachable};
use self::tree::Tree;
use super::{
    Attributes, Capabilities, Changes, Condition, Drive, DrivePath, ETag, Error,
    ExtendedAttributes, Listed, Listing, Notice, Result, Source, Space, Stored, SyncToken,
};

/// The deadline that a real drive has for words about files.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a slow call is under way.
const SLOW: Duration = Duration::from_secs(2);

/// A server and the network to it.
#[derive(Clone)]
pub struct MemoryDrive {
    state: Arc<Mutex<State>>,
    released: Arc<watch::Sender<u64>>,
}

/// One call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub verb: Verb,
    pub path: DrivePath,
    /// Where to, of a rename or a binding.
    pub to: Option<DrivePath>,
    /// Content sent or asked for.
    pub bytes: u64,
    /// The error's text; `None` while it is under way and when it succeeded.
    pub error: Option<String>,
}

/// A change that the server makes though nobody waits for it any more; whether it did.
type Late = Box<dyn FnOnce(&mut State) -> bool + Send>;

struct State {
    tree: Tree,
    can: Capabilities,
    online: bool,
    faults: Faults,
    late: Vec<Late>,
    calls: Vec<Call>,
    watchers: Vec<mpsc::UnboundedSender<Notice>>,
    /// Entries in one part of [`Drive::changes`].
    page: usize,
    /// Older tokens are expired.
    remembered_since: usize,
    overtaken: u64,
    /// What the second client's changes have replaced or removed.
    replaced: Vec<Bytes>,
    /// What the second client has written.
    others: Vec<Bytes>,
}

impl MemoryDrive {
    /// A drive that can do all that Coffer can.
    pub fn extended() -> Self {
        Self::with(Capabilities {
            strong_etags: true,
            ranges: true,
            patch: true,
            attributes_with_content: true,
            properties: true,
            bind: true,
            changes: true,
            notices: true,
            ids: true,
            times: true,
        })
    }

    /// A drive that can do what any WebDAV server can, with strong tags.
    pub fn plain() -> Self {
        Self::with(Capabilities {
            strong_etags: true,
            ranges: true,
            ..Capabilities::default()
        })
    }

    /// A drive of these abilities.
    pub fn with(can: Capabilities) -> Self {
        let state = State {
            tree: Tree::default(),
            can,
            online: true,
            faults: Faults::default(),
            late: Vec::new(),
            calls: Vec::new(),
            watchers: Vec::new(),
            page: 100,
            remembered_since: 0,
            overtaken: 0,
            replaced: Vec::new(),
            others: Vec::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            released: Arc::new(watch::Sender::new(0)),
        }
    }

    /// The second client.
    pub fn as_other(&self) -> Other<'_> {
        Other(self)
    }

    /// Takes the network away or gives it back.
    pub fn set_online(&self, online: bool) {
        let mut state = self.state();
        if std::mem::replace(&mut state.online, online) != online {
            let notice = if online {
                Notice::Connected
            } else {
                Notice::Lost
            };
            state.tell(&notice);
        }
    }

    /// The next call of `verb` (of any, when `None`) gets `fault`; several are used in order.
    pub fn fail_next(&self, verb: Option<Verb>, fault: Fault) {
        self.state().faults.script(verb, fault);
    }

    /// From now on `of_thousand` calls of a thousand get one of `choice`, the same ones for a seed.
    pub fn fail_by_chance(&self, seed: u64, of_thousand: u64, choice: &[Fault]) {
        self.state().faults.seed(seed, of_thousand, choice);
    }

    /// Nothing goes wrong any more, and nothing is held.
    pub fn heal(&self) {
        self.state().faults.clear();
        self.release();
    }

    /// Lets every call go on that is held now.
    pub fn release(&self) {
        self.released.send_modify(|count| *count += 1);
    }

    /// The server does what has reached it by [`Fault::Late`].
    pub fn arrive(&self) {
        let mut state = self.state();
        for change in std::mem::take(&mut state.late) {
            if change(&mut state) {
                state.tell(&Notice::Changed);
            }
        }
    }

    /// Limits the drive, or no longer.
    pub fn set_quota(&self, bytes: Option<u64>) {
        let mut state = self.state();
        state.tree.quota_bytes = bytes;
        state.tell(&Notice::Space);
    }

    /// How many entries one part of [`Drive::changes`] has.
    pub fn set_page(&self, entries: usize) {
        self.state().page = entries;
    }

    /// Forgets the history: tokens given so far are expired.
    pub fn expire_tokens(&self) {
        let mut state = self.state();
        state.remembered_since = state.tree.history.len() + 1;
        state.tree.history.push(DrivePath::ROOT);
    }

    /// All calls since the last time they were taken.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state().calls)
    }

    /// How many calls of `verb` were made and not yet taken.
    pub fn count(&self, verb: Verb) -> usize {
        let state = self.state();
        let calls = state.calls.iter().filter(|call| call.verb == verb);
        calls.count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn mutate<T>(&self, change: impl FnOnce(&mut Tree) -> Result<T>) -> Result<T> {
        let mut state = self.state();
        let answer = state.by_other(change)?;
        state.tell(&Notice::Changed);
        Ok(answer)
    }

    /// One call from its start to its answer.
    async fn call<T>(
        &self,
        call: Call,
        work: impl FnOnce(&mut State, Option<Fault>) -> Result<T> + Send,
    ) -> Result<T> {
        let (verb, path) = (call.verb, call.path.clone());
        // Whoever counts the call may release it at once.
        let released = self.released.subscribe();
        let (number, fault) = {
            let mut state = self.state();
            state.calls.push(call);
            (state.calls.len() - 1, state.faults.next(verb))
        };
        let answer = self.answer(verb, &path, fault, released, work).await;
        if let Err(error) = &answer
            && let Some(call) = self.state().calls.get_mut(number)
            && call.path == path
        {
            call.error = Some(error.to_string());
        }
        answer
    }

    async fn answer<T>(
        &self,
        verb: Verb,
        path: &DrivePath,
        fault: Option<Fault>,
        mut released: watch::Receiver<u64>,
        work: impl FnOnce(&mut State, Option<Fault>) -> Result<T> + Send,
    ) -> Result<T> {
        tokio::task::yield_now().await;
        match fault {
            Some(Fault::HeldBefore) => {
                // The sender lives as long as this drive.
                let _ = released.changed().await;
            }
            Some(Fault::SlowBefore) => tokio::time::sleep(SLOW).await,
            Some(Fault::Silent { done: false }) => {
                tokio::time::sleep(DEADLINE).await;
                return Err(unreachable());
            }
            Some(fault) => {
                if let Some(refusal) = fault.refusal(path) {
                    return Err(refusal);
                }
            }
            None => {}
        }
        let answer = {
            let mut state = self.state();
            if !state.online {
                return Err(unreachable());
            }
            if fault == Some(Fault::Overtaken) {
                state.overtake(path);
            }
            let answer = work(&mut state, fault);
            if verb.is_change() && answer.is_ok() {
                state.tell(&Notice::Changed);
            }
            answer
        };
        match fault {
            Some(Fault::HeldAfter) => {
                let _ = self.released.subscribe().changed().await;
            }
            Some(Fault::SlowAfter) => tokio::time::sleep(SLOW).await,
            Some(Fault::Silent { .. }) => tokio::time::sleep(DEADLINE).await,
            _ => tokio::task::yield_now().await,
        }
        let lost = matches!(fault, Some(Fault::UnreachableAfter | Fault::Silent { .. }));
        if lost || !self.state().online {
            return Err(unreachable());
        }
        answer
    }
}

impl State {
    fn tell(&mut self, notice: &Notice) {
        if self.online || *notice == Notice::Lost {
            self.watchers
                .retain(|watcher| watcher.send(notice.clone()).is_ok());
        }
    }

    /// What a second client does to whoever is about to change `path`.
    fn overtake(&mut self, path: &DrivePath) {
        self.overtaken += 1;
        let content = Bytes::from(format!("<o{}>", self.overtaken));
        // A folder cannot be written, and a parent may be missing: then nobody overtakes.
        if self
            .by_other(|tree| tree.put(path, content.clone()))
            .is_ok()
        {
            self.others.push(content);
            self.tell(&Notice::Changed);
        }
    }

    fn by_other<T>(&mut self, change: impl FnOnce(&mut Tree) -> Result<T>) -> Result<T> {
        self.tree.gone.clear();
        let answer = change(&mut self.tree);
        self.replaced.append(&mut self.tree.gone);
        answer
    }

    fn keep(&mut self, number: u64, attributes: &Attributes, allowed: bool) {
        let node = self.tree.nodes.get_mut(&number).unwrap();
        if let (true, Some(mtime_ns)) = (self.can.times, attributes.mtime_ns) {
            node.modified_ns = mtime_ns;
        }
        if allowed && *attributes != Attributes::default() {
            node.attributes = attributes.clone();
        }
    }

    /// Makes a change, or lets it arrive later.
    fn make<T>(
        &mut self,
        fault: Option<Fault>,
        change: impl FnOnce(&mut State) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if fault != Some(Fault::Late) {
            return change(self);
        }
        self.late.push(Box::new(|state| change(state).is_ok()));
        Err(unreachable())
    }

    fn stored(&self, number: u64) -> Stored {
        Stored {
            etag: self.tree.etag(number, &self.can),
            // As with Coffer, only listings tell it.
            id: None,
        }
    }

    fn listed(&self, path: &DrivePath) -> Result<Listed> {
        self.tree.listed(path, &self.can)
    }

    /// Everything after `path`, and then the history from `position`.
    fn first(&self, after: Option<&DrivePath>, position: usize) -> Result<Changes> {
        let later = |path: &DrivePath| after.is_none_or(|after| path > after);
        let mut paths: Vec<DrivePath> = self.tree.paths().into_iter().filter(later).collect();
        paths.sort();
        let more = paths.len() > self.page;
        paths.truncate(self.page);
        let last = paths.last().map(DrivePath::to_string).unwrap_or_default();
        let listed = |path: DrivePath| self.listed(&path).map(|listed| (path, listed));
        Ok(Changes {
            changed: paths.into_iter().map(listed).collect::<Result<_>>()?,
            removed: Vec::new(),
            token: SyncToken(if more {
                format!("first:{position}:{last}")
            } else {
                format!("since:{position}")
            }),
            more,
        })
    }

    fn since(&self, position: usize) -> Result<Changes> {
        let end = self.tree.history.len().min(position + self.page);
        let mut changes = Changes {
            changed: Vec::new(),
            removed: Vec::new(),
            token: SyncToken(format!("since:{end}")),
            more: end < self.tree.history.len(),
        };
        let mut paths = Vec::new();
        for path in &self.tree.history[position..end] {
            if path.names().is_empty() {
                continue;
            }
            if self.tree.find(path).is_some() {
                paths.push(path.clone());
                self.tree.below(path, &mut paths);
            } else if !changes.removed.contains(path) {
                changes.removed.push(path.clone());
            }
        }
        paths.sort();
        paths.dedup();
        for path in paths {
            changes.changed.push((path.clone(), self.listed(&path)?));
        }
        Ok(changes)
    }
}

fn asked(verb: Verb, path: &DrivePath, bytes: u64) -> Call {
    Call {
        verb,
        path: path.clone(),
        to: None,
        bytes,
        error: None,
    }
}

fn asked_to(verb: Verb, path: &DrivePath, to: &DrivePath) -> Call {
    Call {
        to: Some(to.clone()),
        ..asked(verb, path, 0)
    }
}

impl Source {
    fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// In two halves, so that whoever changes the file meanwhile is found out.
    async fn collect(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.length()).unwrap()];
        let half = bytes.len() / 2;
        let (first, second) = bytes.split_at_mut(half);
        self.file.read_exact_at(first, self.range.start)?;
        tokio::task::yield_now().await;
        self.file
            .read_exact_at(second, self.range.start + first.len() as u64)?;
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        if self.sha256.is_some_and(|looked| looked != sha256) {
            return Err(Error::Local(std::io::ErrorKind::InvalidData.into()));
        }
        Ok(bytes)
    }
}

impl Drive for MemoryDrive {
    fn capabilities(&self) -> Capabilities {
        self.state().can
    }

    async fn stat(&self, path: &DrivePath) -> Result<Listed> {
        self.call(asked(Verb::Stat, path, 0), |state, _| state.listed(path))
            .await
    }

    async fn list(&self, path: &DrivePath) -> Result<Listing> {
        self.call(asked(Verb::List, path, 0), |state, _| {
            let names = state.tree.members(path)?.into_iter();
            let members = names.map(|name| state.listed(&path.join(&name).unwrap()));
            Ok(Listing {
                itself: state.listed(path)?,
                members: members.collect::<Result<_>>()?,
            })
        })
        .await
    }

    async fn changes(&self, since: Option<&SyncToken>) -> Result<Changes> {
        self.call(asked(Verb::Changes, &DrivePath::ROOT, 0), |state, _| {
            if !state.can.changes {
                return Err(Error::Unsupported);
            }
            let Some(SyncToken(token)) = since else {
                return state.first(None, state.tree.history.len());
            };
            let mut words = token.splitn(3, ':').skip(1);
            let position = words.next().and_then(|word| word.parse().ok());
            let position = position.filter(|position| *position >= state.remembered_since);
            let position = position.ok_or(Error::TokenExpired)?;
            match words.next() {
                Some(last) => state.first(Some(&other::at(last)), position),
                None => state.since(position),
            }
        })
        .await
    }

    async fn read(
        &self,
        path: &DrivePath,
        etag: Option<&ETag>,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let call = asked(Verb::Read, path, range.end - range.start);
        let (bytes, fault) = self
            .call(call, |state, fault| {
                state.tree.check_tag(path, etag, &state.can)?;
                let bytes = state.tree.file(path)?;
                if range.end > bytes.len() as u64 {
                    return Err(Error::BadAnswer {
                        path: path.clone(),
                        reason: "416".to_owned(),
                    });
                }
                let place = |at| usize::try_from(at).unwrap();
                Ok((bytes.slice(place(range.start)..place(range.end)), fault))
            })
            .await?;
        Ok(body(&bytes, fault))
    }

    async fn write(
        &self,
        path: &DrivePath,
        content: Source,
        condition: &Condition,
        attributes: &Attributes,
    ) -> Result<Stored> {
        let bytes = content.collect().await?;
        let call = asked(Verb::Write, path, content.length());
        let (path, condition, attributes) = (path.clone(), condition.clone(), attributes.clone());
        self.call(call, |state, fault| {
            if !content.progress.hand_over(content.length()) {
                return Err(unreachable());
            }
            state.make(fault, move |state| {
                state.tree.check(&path, &condition, &state.can)?;
                let number = state.tree.put(&path, bytes.into())?;
                state.keep(number, &attributes, state.can.attributes_with_content);
                Ok(state.stored(number))
            })
        })
        .await
    }

    async fn patch(
        &self,
        path: &DrivePath,
        parts: &[Source],
        size_bytes: u64,
        etag: &ETag,
        attributes: &Attributes,
    ) -> Result<Stored> {
        let mut pieces = Vec::new();
        for part in parts {
            pieces.push((part.range.clone(), part.collect().await?));
        }
        let call = asked(Verb::Patch, path, parts.iter().map(Source::length).sum());
        let (path, etag, attributes) = (path.clone(), etag.clone(), attributes.clone());
        self.call(call, |state, fault| {
            if !state.can.patch {
                return Err(Error::Unsupported);
            }
            let handed_over = |part: &Source| part.progress.hand_over(part.length());
            if !parts.iter().all(handed_over) {
                return Err(unreachable());
            }
            state.make(fault, move |state| {
                state.tree.check_tag(&path, Some(&etag), &state.can)?;
                let place = |at| usize::try_from(at).unwrap();
                let mut bytes = state.tree.file(&path)?.to_vec();
                bytes.resize(place(size_bytes), 0);
                for (range, piece) in pieces {
                    let places = place(range.start)..place(range.end);
                    let there = bytes.get_mut(places).ok_or(Error::Unsupported)?;
                    there.copy_from_slice(&piece);
                }
                let number = state.tree.put(&path, bytes.into())?;
                state.keep(number, &attributes, state.can.attributes_with_content);
                Ok(state.stored(number))
            })
        })
        .await
    }

    async fn make_folder(&self, path: &DrivePath, attributes: &Attributes) -> Result<Stored> {
        let call = asked(Verb::MakeFolder, path, 0);
        let (path, attributes) = (path.clone(), attributes.clone());
        self.call(call, |state, fault| {
            state.make(fault, move |state| {
                let number = state.tree.make_folder(&path)?;
                state.keep(number, &attributes, state.can.attributes_with_content);
                Ok(state.stored(number))
            })
        })
        .await
    }

    async fn rename(
        &self,
        from: &DrivePath,
        to: &DrivePath,
        etag: Option<&ETag>,
        condition: &Condition,
    ) -> Result<()> {
        let call = asked_to(Verb::Rename, from, to);
        let (from, to) = (from.clone(), to.clone());
        let (etag, condition) = (etag.cloned(), condition.clone());
        self.call(call, |state, fault| {
            state.make(fault, move |state| {
                state.tree.check_tag(&from, etag.as_ref(), &state.can)?;
                state.tree.check(&to, &condition, &state.can)?;
                state.tree.rename(&from, &to)
            })
        })
        .await
    }

    async fn bind(&self, existing: &DrivePath, new: &DrivePath, etag: Option<&ETag>) -> Result<()> {
        let call = asked_to(Verb::Bind, existing, new);
        let (existing, new, etag) = (existing.clone(), new.clone(), etag.cloned());
        self.call(call, |state, fault| {
            if !state.can.bind {
                return Err(Error::Unsupported);
            }
            state.make(fault, move |state| {
                state.tree.check_tag(&existing, etag.as_ref(), &state.can)?;
                state.tree.bind(&existing, &new)
            })
        })
        .await
    }

    async fn remove_file(&self, path: &DrivePath, etag: Option<&ETag>) -> Result<()> {
        self.call(asked(Verb::RemoveFile, path, 0), |state, _| {
            state.tree.check_tag(path, etag, &state.can)?;
            state.tree.remove(path)
        })
        .await
    }

    async fn remove_folder(&self, path: &DrivePath) -> Result<()> {
        self.call(asked(Verb::RemoveFolder, path, 0), |state, _| {
            let number = state.tree.must_find(path)?;
            if !state.tree.nodes[&number].is_folder() {
                return Err(Error::Conflict { path: path.clone() });
            }
            if !state.tree.members(path)?.is_empty() {
                return Err(Error::NotEmpty { path: path.clone() });
            }
            state.tree.remove(path)
        })
        .await
    }

    async fn set_attributes(
        &self,
        path: &DrivePath,
        attributes: &Attributes,
        xattrs: Option<&ExtendedAttributes>,
    ) -> Result<()> {
        self.call(asked(Verb::SetAttributes, path, 0), |state, _| {
            if !state.can.properties {
                return Err(Error::Unsupported);
            }
            let number = state.tree.must_find(path)?;
            state.keep(number, attributes, true);
            if let Some(xattrs) = xattrs {
                state.tree.nodes.get_mut(&number).unwrap().xattrs = xattrs.clone();
            }
            state.tree.touch(number);
            Ok(())
        })
        .await
    }

    async fn space(&self) -> Result<Space> {
        self.call(asked(Verb::Space, &DrivePath::ROOT, 0), |state, _| {
            let used = state.tree.used_bytes();
            let left = state.tree.quota_bytes;
            Ok(Space {
                used_bytes: Some(used),
                available_bytes: left.map(|quota| quota.saturating_sub(used)),
            })
        })
        .await
    }

    fn watch(&self) -> BoxStream<'static, Notice> {
        let mut state = self.state();
        if !state.can.notices {
            return stream::empty().boxed();
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        if state.online {
            sender.send(Notice::Connected).unwrap();
        }
        state.watchers.push(sender);
        stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|notice| (notice, receiver))
        })
        .boxed()
    }
}

/// A body in two frames, or what a fault leaves of it.
fn body(bytes: &Bytes, fault: Option<Fault>) -> BoxStream<'static, Result<Bytes>> {
    let half = bytes.len() / 2;
    let (first, second) = (bytes.slice(..half), bytes.slice(half..));
    let frames = match fault {
        Some(Fault::Cut) => vec![Ok(first), Err(unreachable())],
        Some(Fault::Short) => vec![Ok(first)],
        Some(Fault::Corrupt) => {
            let wrong: Vec<u8> = second.iter().map(|byte| !byte).collect();
            vec![Ok(first), Ok(wrong.into())]
        }
        _ => vec![Ok(first), Ok(second)],
    };
    stream::iter(frames).boxed()
}

#[cfg(test)]
mod tests;
