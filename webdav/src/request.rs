//! A request as methods see it: whose it is, what it is about, under which conditions.

use std::sync::Arc;

use http::HeaderMap;
use http::request::Parts;
use store::{
    Attributes, Caller, Condition, Found, Name, NodeId, Path, Reached, State, Store, Stored, Via,
    is_shared,
};

use crate::dispatch::Dav;
use crate::grammar::destination;
use crate::grammar::path::{Mounted, OwnMounts, encode_into};
use crate::grammar::{BadHeader, attributes};
use crate::precondition::{Preconditions, ResourceState, Verdict};
use crate::property::token_of;
use crate::status::Failure;

/// How many names a file is to have that is written.
const LINKS: &str = "coffer-links";

/// A request below one of the mounts.
pub(crate) struct Call<'a> {
    /// The door it came through.
    pub dav: &'a Dav,
    /// Who asks.
    pub caller: &'a Caller,
    /// Request line and header fields.
    pub head: &'a Parts,
    /// What it is about.
    pub target: Target,
    /// Where that is, when it lies in another's drive: `caller` is then the one derived for it.
    pub share: Option<Share<'a>>,
}

/// A place in another's drive, as its receiver sees it.
#[derive(Debug, Clone)]
pub(crate) struct Share<'a> {
    /// Who asks, in their own drive.
    pub asker: &'a Caller,
    /// Where the derived caller's paths start, as those of `asker` go.
    pub base: Path,
}

/// A path of the caller, and how the client spells it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The path from the caller's root.
    pub path: Path,
    /// The node, where that is what the client named; the path is then only where it was.
    pub node: Option<NodeId>,
    /// Whether it ended in a slash, as collections are written.
    pub trailing_slash: bool,
    /// The escaped prefix as the client wrote it, without a trailing slash.
    pub base: String,
}

impl Target {
    /// Takes a decoded path over.
    ///
    /// # Errors
    /// [`store::Error::InvalidName`] for a name no drive can hold.
    pub fn new(mounted: Mounted) -> store::Result<Self> {
        Ok(Self {
            path: Path::parse(mounted.path.as_str())?,
            node: None,
            trailing_slash: mounted.path.has_trailing_slash(),
            base: mounted.base,
        })
    }

    /// Appends the escaped path.
    pub fn write_href(&self, out: &mut Vec<u8>, is_collection: bool) {
        out.extend_from_slice(self.base.as_bytes());
        for name in self.path.names() {
            out.push(b'/');
            encode_into(out, name.as_str());
        }
        if is_collection || (self.base.is_empty() && self.path.is_root()) {
            out.push(b'/');
        }
    }

    /// The escaped path.
    pub fn href(&self, is_collection: bool) -> String {
        let mut out = Vec::with_capacity(self.base.len() + self.path.key().len() + 16);
        self.write_href(&mut out, is_collection);
        String::from_utf8(out).expect("the escaped form is ASCII")
    }
}

impl Call<'_> {
    /// The store.
    pub fn store(&self) -> &Store {
        self.dav.store()
    }

    /// The header fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The mounts as the caller sees them.
    pub fn mounts(&self) -> OwnMounts<'_> {
        self.dav.mounts().of(&self.caller.username)
    }

    /// The attributes that what is made or written is to have.
    ///
    /// # Errors
    /// [`Failure::Header`] or [`store::Error::Invalid`] for what are none.
    pub fn attributes(&self) -> Result<Option<Attributes>, Failure> {
        let text = attributes::parse(self.headers())?;
        Ok(text.map(Attributes::parse).transpose()?)
    }

    /// What the request is about.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn find(&self) -> store::Result<Option<Arc<Found>>> {
        match self.target.node {
            None => self.store().find(self.caller, &self.target.path).await,
            Some(id) => Box::pin(self.store().find_node(self.caller, id)).await,
        }
    }

    /// The file that the request is about, with its content.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn open(&self) -> store::Result<Option<(Arc<Found>, Stored)>> {
        match self.target.node {
            None => self.store().open_file(self.caller, &self.target.path).await,
            Some(id) => Box::pin(self.store().open_node(self.caller, id)).await,
        }
    }

    /// The target of COPY or MOVE.
    ///
    /// # Errors
    /// [`Failure::Destination`], or [`Failure::Store`] for a name no drive can hold.
    pub fn destination(&self) -> Result<Target, Failure> {
        let mounted = destination::parse(self.headers(), self.mounts())?;
        Ok(Target::new(mounted)?)
    }

    /// The request's caller and target, to be compared with a destination.
    pub fn reached(&self) -> Reached {
        Reached {
            caller: self.caller.clone(),
            base: self
                .share
                .as_ref()
                .map_or_else(Path::root, |share| share.base.clone()),
            target: store::Target::Path(self.target.path.clone()),
        }
    }

    /// Who asks, in their own drive.
    pub fn asker(&self) -> &Caller {
        self.share.as_ref().map_or(self.caller, |share| share.asker)
    }

    /// The last name of what it is about; none for the root of a drive.
    pub fn name(&self) -> Option<&Name> {
        let base = self.share.as_ref().and_then(|share| share.base.name());
        self.target.path.name().or(base)
    }

    /// A path of the asker as one of the caller; none where it leads elsewhere.
    fn relative(&self, path: Path) -> Option<Path> {
        match &self.share {
            Some(share) => {
                let depth = share.base.depth();
                share.base.contains(&path).then(|| path.below(depth))
            }
            None if self.caller.via != Via::Own || is_shared(self.caller, &path) => None,
            None => Some(path),
        }
    }

    /// What `If` names, as paths of the caller; none for what cannot be one.
    fn tagged_paths(&self, preconditions: &Preconditions) -> Vec<Option<Path>> {
        let paths = preconditions.tagged_paths().iter();
        paths
            .map(|path| self.relative(Path::parse(path.as_ref()?.as_str()).ok()?))
            .collect()
    }

    /// The href of a path that the store named, which counts from the drive's root.
    ///
    /// A caller confined to a folder is not told what lies above it: it reads the target's own.
    pub fn href_of(&self, drive_path: &str) -> String {
        if !self.caller.whole_drive {
            return self.target.href(self.target.trailing_slash);
        }
        let mut out = self.target.base.clone().into_bytes();
        encode_into(&mut out, drive_path);
        String::from_utf8(out).expect("the escaped form is ASCII")
    }

    /// The request's conditions, for the transaction that changes something.
    ///
    /// # Errors
    /// [`Failure::Header`] for a malformed `If`, entity tag list or `Lock-Token`.
    pub fn condition(&self) -> Result<Condition, Failure> {
        let condition = self.condition_of_head()?;
        Ok(match self.target.node {
            Some(node) => while_it_is(node, condition),
            None => condition,
        })
    }

    /// As [`Self::condition`], of a request that writes to a file: also that it has as many names as
    /// `Coffer-Links` says, where what is written may not come to be under others. A file that is not
    /// there has none to protect.
    ///
    /// # Errors
    /// As for [`Self::condition`], and for what is no number.
    pub fn condition_of_content(&self) -> Result<Condition, Failure> {
        let condition = self.condition()?;
        let Some(value) = self.headers().get(LINKS) else {
            return Ok(condition);
        };
        let digits = value.to_str().ok();
        let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let links: u64 = digits.and_then(|text| text.parse().ok()).ok_or(BadHeader {
            field: LINKS,
            reason: "not a number of names",
        })?;
        Ok(also(condition, move |target| {
            let there = target.node.as_ref();
            there.is_none_or(|node| node.is_folder() || node.links == links)
        }))
    }

    fn condition_of_head(&self) -> Result<Condition, Failure> {
        if !has_conditions(self.headers()) {
            return Ok(Condition::default());
        }
        let preconditions = Preconditions::parse(self.headers(), self.mounts())?;
        let lock_tokens = preconditions.submitted_tokens().to_vec();
        if preconditions.is_empty() {
            return Ok(Condition {
                lock_tokens,
                ..Condition::default()
            });
        }
        let tagged = self.tagged_paths(&preconditions);
        // The check wants a state, or none, for each resource that `If` names; the store has only
        // those that are paths.
        let is_ours: Vec<bool> = tagged.iter().map(Option::is_some).collect();
        let check = move |target: &State, others: &[State]| {
            let mut others = others.iter();
            let etags: Vec<_> = is_ours
                .iter()
                .map(|ours| ours.then(|| others.next().map(Snapshot::of)).flatten())
                .collect();
            let states: Vec<_> = etags
                .iter()
                .map(|snapshot| snapshot.as_ref().map(Snapshot::state))
                .collect();
            preconditions
                .check_write(&Snapshot::of(target).state(), &states)
                .is_ok()
        };
        Ok(Condition {
            check: Some(Arc::new(check)),
            others: tagged.into_iter().flatten().collect(),
            lock_tokens,
        })
    }

    /// The request's conditions for a method that changes nothing, or none when it has none.
    ///
    /// # Errors
    /// As for [`Self::condition`].
    pub fn read_conditions(&self) -> Result<Option<Preconditions>, Failure> {
        if !has_conditions(self.headers()) {
            return Ok(None);
        }
        let preconditions = Preconditions::parse(self.headers(), self.mounts())?;
        Ok((!preconditions.is_empty()).then_some(preconditions))
    }

    /// Whether GET or HEAD may go on.
    ///
    /// # Errors
    /// [`Failure::Store`] when the state cannot be read.
    pub async fn verdict(
        &self,
        preconditions: &Preconditions,
        target: Option<&Found>,
    ) -> Result<Verdict, Failure> {
        let (target, _) = self.states(preconditions, target).await?;
        Ok(preconditions.check_read(&target.state()))
    }

    /// Whether another method that changes nothing may go on.
    ///
    /// # Errors
    /// [`Failure::Precondition`], or [`Failure::Store`] when the state cannot be read.
    pub async fn require(
        &self,
        preconditions: &Preconditions,
        target: Option<&Found>,
    ) -> Result<(), Failure> {
        let (target, tagged) = self.states(preconditions, target).await?;
        Ok(preconditions.check_write(&target.state(), &states_of(&tagged))?)
    }

    async fn states(
        &self,
        preconditions: &Preconditions,
        target: Option<&Found>,
    ) -> Result<(Snapshot, Vec<Option<Snapshot>>), Failure> {
        // Only `If` can speak of locks and of sync tokens. What the token of an earlier moment protects
        // is read later, never the other way round.
        let (locks, cursor) = if self.headers().contains_key("if") {
            let cursor = self.store().change_cursor(self.caller).await?;
            (self.store().locks(self.caller).await?, cursor)
        } else {
            (store::DriveLocks::default(), 0)
        };
        let snapshot = |found: &Found| {
            let tokens = locks.covering(&found.node, &found.above);
            Snapshot::of(&State {
                node: Some(found.node.clone()),
                lock_tokens: tokens.into_iter().map(|lock| lock.token.clone()).collect(),
                cursor,
            })
        };
        let mut tagged = Vec::new();
        for path in self.tagged_paths(preconditions) {
            let Some(path) = path else {
                tagged.push(None);
                continue;
            };
            let found = self.store().find(self.caller, &path).await?;
            tagged.push(Some(
                found.as_deref().map_or_else(Snapshot::default, snapshot),
            ));
        }
        Ok((target.map_or_else(Snapshot::default, snapshot), tagged))
    }
}

/// Whether there may be a condition or a lock token: one look at each name, where looking the
/// fields up would cost every request half a dozen hashes.
fn has_conditions(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        name.starts_with("if") || name == "lock-token"
    })
}

fn states_of(snapshots: &[Option<Snapshot>]) -> Vec<Option<ResourceState<'_>>> {
    let states = snapshots.iter();
    states
        .map(|snapshot| snapshot.as_ref().map(Snapshot::state))
        .collect()
}

/// A state with its entity tag written out.
#[derive(Default)]
struct Snapshot {
    exists: bool,
    is_collection: bool,
    etag: Option<String>,
    modified_at_s: Option<i64>,
    state_tokens: Vec<String>,
}

impl Snapshot {
    fn of(state: &State) -> Self {
        let node = state.node.as_ref();
        // The sync token of a folder is a state token (RFC 6578 §5).
        let folder = node.filter(|node| node.is_folder());
        let sync_token = folder.map(|folder| token_of(folder.drive, state.cursor));
        Self {
            exists: node.is_some(),
            is_collection: node.is_some_and(store::Node::is_folder),
            etag: node.map(store::Node::etag),
            modified_at_s: node.map(modified_at_s),
            state_tokens: state
                .lock_tokens
                .iter()
                .cloned()
                .chain(sync_token)
                .collect(),
        }
    }

    fn state(&self) -> ResourceState<'_> {
        ResourceState {
            exists: self.exists,
            is_collection: self.is_collection,
            etag: self.etag.as_deref(),
            modified_at_s: self.modified_at_s,
            state_tokens: &self.state_tokens,
        }
    }
}

/// `Last-Modified` in seconds since 1970-01-01 UTC.
pub(crate) fn modified_at_s(node: &store::Node) -> i64 {
    node.modified_ns.div_euclid(1_000_000_000)
}
/// Demands besides that this node is at the path: it was asked for by its id.
fn while_it_is(node: NodeId, condition: Condition) -> Condition {
    also(condition, move |target| {
        target.node.as_ref().is_some_and(|found| found.id == node)
    })
}

/// Demands this of the target besides.
fn also(
    condition: Condition,
    demand: impl Fn(&State) -> bool + Send + Sync + 'static,
) -> Condition {
    let inner = condition.check;
    let check = move |target: &State, others: &[State]| {
        demand(target) && inner.as_ref().is_none_or(|check| check(target, others))
    };
    Condition {
        check: Some(Arc::new(check)),
        ..condition
    }
}
