//! REPORT, of which we know `DAV:sync-collection` (RFC 6578): what has changed in a folder.
//!
//! A client without a token gets a listing; afterwards it gets lines of the drive's history, each
//! path once. An answer that is not complete says so with a 507 for the folder itself, and its
//! token goes on from there.

mod token;
mod walk;

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::stream::try_unfold;
use http::{Response, StatusCode};
use store::{Caller, Change, Error, Found, Node, NodeId, Now, Path, Property, Store};

use self::token::{Listing, Standing};
use self::walk::Walk;
use super::propfind;
use crate::body::Body;
use crate::dead::DeadProperties;
use crate::grammar::depth::{self, Depth};
use crate::grammar::error_body::Condition;
use crate::grammar::multistatus::Writer;
use crate::grammar::path::encode_into;
use crate::grammar::propfind::Propfind;
use crate::grammar::sync_collection::{self, Level, Report, SyncCollection};
use crate::guard;
use crate::listing::FRAME_BYTES;
use crate::property::{Facts, PREFIXES, Subject, Wanted};
use crate::request::Call;
use crate::status::{Failure, refused};

/// Lines of history in one answer.
const MOST_LINES: u32 = 10_000;

/// Answers REPORT.
pub(crate) async fn handle<B>(call: &Call<'_>, body: &mut B) -> Result<Response<Body>, Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let body = guard::xml_body(body, call.dav.options().xml).await?;
    let Report::SyncCollection(asked) = sync_collection::parse(&body, call.dav.options().xml)?
    else {
        return Err(unsupported());
    };
    if !matches!(depth::parse(call.headers())?, None | Some(Depth::Zero)) {
        let text = "this report is of depth 0, its own level says how far down it looks";
        return Err(refused(StatusCode::BAD_REQUEST, text));
    }
    let found = call.store().find(call.caller, &call.target.path).await?;
    let found = found.ok_or(Error::NotFound)?;
    if !found.node.is_folder() {
        return Err(unsupported());
    }
    if let Some(conditions) = call.read_conditions()? {
        call.require(&conditions, Some(&*found)).await?;
    }
    let mut sync = Sync::begin(call, &found, asked).await?;
    sync.fill().await?;
    let body = if sync.has_ended {
        Body::full(sync.take())
    } else {
        Body::listing(Box::pin(try_unfold(sync, Sync::piece)))
    };
    Ok(propfind::answer(body))
}

fn unsupported() -> Failure {
    Failure::Refused {
        status: StatusCode::FORBIDDEN,
        condition: Some(Condition::SupportedReport),
        text: "there is no such report here",
    }
}

/// An answer that is being made.
struct Sync {
    store: Store,
    caller: Caller,
    /// The folder asked about, its own href, and that with a slash before a member's.
    target: Path,
    folder_href: String,
    level: Level,
    /// Results that may still be told.
    left: u64,
    standing: Standing,
    /// Listed now.
    walk: Option<Walk>,
    /// To be told when nothing is listed.
    changes: std::vec::IntoIter<Change>,
    /// What is known once all of them are told.
    at_end: Standing,
    is_truncated: bool,
    /// Paths of the folders that are new with all they hold: what lies below is told by listing.
    trees: HashSet<String>,
    dead: DeadProperties,
    /// Whether the nodes above each member must be known, for the locks that cover it.
    wants_chains: bool,
    wanted: Wanted,
    facts: Facts,
    writer: Option<Writer>,
    ended: Vec<u8>,
    has_ended: bool,
    missing: Vec<usize>,
}

impl Sync {
    async fn begin(call: &Call<'_>, found: &Found, asked: SyncCollection) -> Result<Self, Failure> {
        let (store, caller) = (call.store(), call.caller);
        // Read before anything is listed: what changes meanwhile is told next time.
        let now = store.change_cursor(caller).await?;
        let standing = match &asked.token {
            None => Standing {
                cursor: now,
                listing: Some(Listing {
                    root: String::new(),
                    after: String::new(),
                }),
            },
            Some(token) => Standing::read(caller.drive, token)
                .filter(|standing| standing.cursor <= now)
                .ok_or(Error::CursorExpired)?,
        };
        let asks_locks = asked.props.iter().any(|name| name.is_dav("lockdiscovery"));
        let wants_chains = asks_locks && !store.locks(caller).await?.is_empty();
        let wanted = Wanted::new(Propfind::Prop(asked.props));
        let facts = Facts::gather(call, &wanted).await?;
        let mut sync = Self {
            store: store.clone(),
            caller: caller.clone(),
            target: call.target.path.clone(),
            folder_href: call.target.href(true),
            level: asked.level,
            left: asked.limit.unwrap_or(u64::MAX),
            at_end: standing.clone(),
            standing,
            walk: None,
            changes: Vec::new().into_iter(),
            is_truncated: false,
            trees: HashSet::new(),
            dead: DeadProperties::new(wanted.dead()),
            wants_chains,
            wanted,
            facts,
            writer: Some(Writer::begin(2048, PREFIXES)),
            ended: Vec::new(),
            has_ended: false,
            missing: Vec::new(),
        };
        match sync.standing.listing.clone() {
            Some(listing) => sync.go_on_listing(found, listing, now).await?,
            None => sync.read_changes().await?,
        }
        Ok(sync)
    }

    async fn go_on_listing(
        &mut self,
        target: &Found,
        listing: Listing,
        now: i64,
    ) -> store::Result<()> {
        self.at_end.listing = None;
        // What happened since the listing began is for the next request.
        self.is_truncated = self.at_end.cursor < now;
        let root = self.below(&listing.root)?;
        let found = if listing.root.is_empty() {
            Some(target.clone())
        } else {
            let found = self.store.find(&self.caller, &root).await?;
            found.map(|found| (*found).clone())
        };
        // A root that is gone by now leaves nothing to list; the history has more about it.
        if let Some(found) = found.filter(|found| found.node.is_folder()) {
            let mut walk = self.walk(listing.root, &found);
            walk.go_behind(&self.caller, &root, &listing.after).await?;
            self.walk = Some(walk);
        }
        Ok(())
    }

    async fn read_changes(&mut self) -> store::Result<()> {
        let lines = u32::try_from(self.left).map_or(MOST_LINES, |left| left.min(MOST_LINES));
        let cursor = self.standing.cursor;
        let changes = self
            .store
            .changes(&self.caller, &self.target, cursor, lines)
            .await?;
        self.at_end.cursor = changes.cursor;
        self.is_truncated = changes.is_truncated;
        if self.level == Level::Infinite {
            let trees = changes.items.iter();
            let trees = trees.filter(|change| matches!(change.now, Now::Tree(_)));
            self.trees = trees.map(|change| change.path.clone()).collect();
        }
        self.changes = changes.items.into_iter();
        Ok(())
    }

    fn walk(&self, root: String, found: &Found) -> Walk {
        let is_deep = self.level == Level::Infinite;
        Walk::new(&self.store, root, found, is_deep, self.wanted.dead())
    }

    /// A path below the target.
    fn below(&self, relative: &str) -> store::Result<Path> {
        let mut path = self.target.clone();
        for name in Path::parse(relative)?.names() {
            path.push(name.clone())?;
        }
        Ok(path)
    }

    async fn piece(mut self) -> store::Result<Option<(Bytes, Self)>> {
        self.fill().await?;
        let bytes = self.take();
        Ok((!bytes.is_empty()).then(|| (Bytes::from(bytes), self)))
    }

    /// Writes until there is enough for a frame, or the end.
    async fn fill(&mut self) -> store::Result<()> {
        while !self.has_ended && self.writer.as_ref().is_some_and(|w| w.len() < FRAME_BYTES) {
            if self.walk.is_some() {
                self.tell_member().await?;
            } else if let Some(change) = self.changes.next() {
                self.tell_change(change).await?;
            } else {
                self.standing = self.at_end.clone();
                self.end();
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Vec<u8> {
        match &mut self.writer {
            Some(writer) => writer.take(),
            None => std::mem::take(&mut self.ended),
        }
    }

    async fn tell_member(&mut self) -> store::Result<()> {
        let Some(walk) = &mut self.walk else {
            return Ok(());
        };
        let Some(member) = walk.next().await? else {
            self.walk = None;
            self.standing.listing = None;
            return Ok(());
        };
        if self.left == 0 {
            self.is_truncated = true;
            self.standing.listing = Some(Listing {
                root: walk.root.clone(),
                after: walk.last.clone(),
            });
            self.end();
            return Ok(());
        }
        walk.last.clone_from(&member.path);
        let path = if walk.root.is_empty() {
            member.path
        } else {
            format!("{}/{}", walk.root, member.path)
        };
        let (node, none) = (&member.entry.node, std::iter::empty());
        self.facts.see(&self.store, node, none).await?;
        self.tell_present(&path, node, &member.chain, &member.dead);
        Ok(())
    }

    async fn tell_change(&mut self, change: Change) -> store::Result<()> {
        let Change { number, path, now } = change;
        let relative = path.trim_start_matches('/');
        let is_told = relative.is_empty()
            || (self.level == Level::One && relative.contains('/'))
            || self.is_listed(&path, &now).await?;
        if is_told {
            self.standing.cursor = number;
            return Ok(());
        }
        if self.left == 0 {
            self.is_truncated = true;
            self.end();
            return Ok(());
        }
        self.standing.cursor = number;
        let is_tree = matches!(now, Now::Tree(_)) && self.level == Level::Infinite;
        match now {
            Now::Gone => self.tell_gone(relative),
            Now::Present(node) | Now::Tree(node) => {
                let found = if self.wants_chains || is_tree {
                    let at = self.below(relative)?;
                    self.store.find(&self.caller, &at).await?
                } else {
                    None
                };
                let chain = found.as_ref().map_or(&[][..], |found| &found.above);
                let next = self.changes.as_slice().iter();
                let next = next.filter_map(|change| match &change.now {
                    Now::Present(node) | Now::Tree(node) => Some(node),
                    Now::Gone => None,
                });
                let dead = self.dead.of(&self.store, &node, next).await?;
                let none = std::iter::empty();
                self.facts.see(&self.store, &node, none).await?;
                self.tell_present(relative, &node, chain, &dead);
                // A folder that has gone on is told by later lines.
                if let Some(found) = found.filter(|found| is_tree && found.node.id == node.id) {
                    self.walk = Some(self.walk(relative.to_owned(), &found));
                }
            }
        }
        Ok(())
    }

    /// Whether a path is told by the listing of a folder above it, so that telling it here would
    /// tell it twice. What is gone is not in a listing, unless something took its place.
    async fn is_listed(&self, path: &str, now: &Now) -> store::Result<bool> {
        let mut above = path;
        let is_below_tree = loop {
            let Some(at) = above.rfind('/') else {
                break false;
            };
            above = &above[..at];
            if self.trees.contains(above) {
                break true;
            }
        };
        match now {
            Now::Gone if is_below_tree => {
                let at = self.below(path)?;
                Ok(self.store.find(&self.caller, &at).await?.is_some())
            }
            Now::Gone => Ok(false),
            Now::Present(_) | Now::Tree(_) => Ok(is_below_tree),
        }
    }

    fn tell_present(&mut self, path: &str, node: &Node, chain: &[NodeId], dead: &[Property]) {
        self.left = self.left.saturating_sub(1);
        let Some(writer) = &mut self.writer else {
            return;
        };
        href(writer, &self.folder_href, path, node.is_folder());
        let subject = Subject {
            node,
            name: path.rsplit('/').next().unwrap_or(path),
            is_root: false,
            chain,
            dead,
            facts: &self.facts,
        };
        self.wanted.answer(writer, &subject, &mut self.missing);
    }

    fn tell_gone(&mut self, path: &str) {
        self.left = self.left.saturating_sub(1);
        if let Some(writer) = &mut self.writer {
            let mut gone = self.folder_href.clone().into_bytes();
            encode_into(&mut gone, path);
            let gone = String::from_utf8(gone).expect("the escaped form is ASCII");
            writer.response_status(&gone, StatusCode::NOT_FOUND, None);
        }
    }

    fn end(&mut self) {
        self.has_ended = true;
        let Some(mut writer) = self.writer.take() else {
            return;
        };
        if self.is_truncated {
            let condition = Condition::NumberOfMatchesWithinLimits.as_str();
            let status = StatusCode::INSUFFICIENT_STORAGE;
            writer.response_status(&self.folder_href, status, Some(condition));
        }
        writer.sync_token(&self.standing.to_token(self.caller.drive));
        self.ended = writer.end();
    }
}

fn href(writer: &mut Writer, folder_href: &str, path: &str, is_collection: bool) {
    writer.open("D:response");
    writer.open("D:href");
    let out = writer.buffer();
    out.extend_from_slice(folder_href.as_bytes());
    encode_into(out, path);
    if is_collection {
        out.push(b'/');
    }
    writer.close("D:href");
}
