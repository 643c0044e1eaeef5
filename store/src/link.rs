//! Links: whoever holds the token of one reaches a file or folder without an account (D8).
//!
//! A link follows its node wherever that is moved, and ends with it: deleting the node or a folder
//! above it ends the link for good, in the same transaction. Its token is random enough that a
//! digest is all that is kept. What may be done through it is asked anew by each request, and once
//! more inside each transaction that changes something (`access::recheck`).

mod door;
pub(crate) mod rows;
mod slot;
mod tally;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

pub use self::door::{FoundLink, LinkProof, OpenLink};
pub use self::slot::LinkDownload;
pub(crate) use self::slot::Slots;
pub(crate) use self::tally::Tally;

use crate::audit::{self, AuditAction, Line};
use crate::caller::{Caller, Via};
use crate::condition::{TagCondition, etag_of};
use crate::db::Tx;
use crate::drive;
use crate::error::{Error, Limited, Result};
use crate::id::{DriveId, LinkId, NodeId};
use crate::node::{self, Node};
use crate::password::Password;
use crate::path::{Name, Path};
use crate::secret;
use crate::store::Store;
use crate::target::Target;
use crate::user;

/// Most links of one drive.
const MAX: u64 = 1000;
/// Longest label in characters.
const LABEL_CHARS: usize = 200;
/// Fewest characters of a password. Guesses are slowed down, as at log-in.
const PASSWORD_CHARS: usize = 6;
/// Most downloads that can be asked for.
const MOST_DOWNLOADS: u64 = 1_000_000_000;
/// How long an expired link stays in its owner's list.
const KEPT_MS: i64 = 30 * 86_400 * 1000;

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// Reading a file, or a folder with all it holds.
    Read,
    /// Putting new files into a folder, without seeing what is in it.
    Upload,
}

impl LinkKind {
    /// The word in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Upload => "upload",
        }
    }

    /// Reads the word.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is neither `read` nor `upload`.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "read" => Ok(Self::Read),
            "upload" => Ok(Self::Upload),
            _ => Err(invalid("kind", "must be read or upload")),
        }
    }
}

/// A link as its owner sees it, without its token. Times are milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Names it; says nothing about its token.
    pub id: LinkId,
    /// What it is for.
    pub kind: LinkKind,
    /// What it leads to.
    pub node: NodeId,
    /// Where that is now.
    pub path: Path,
    /// What its owner calls it.
    pub label: String,
    /// Whether it asks for a password.
    pub has_password: bool,
    /// When it ends.
    pub expires_at: Option<i64>,
    /// How many downloads there may be altogether.
    pub downloads_most: Option<u64>,
    /// How many were completed.
    pub downloads_done: u64,
    /// When it was made.
    pub created_at: i64,
    /// When somebody last used it, to some seconds.
    pub last_used_at: Option<i64>,
}

impl Link {
    /// Changes with what can be changed of it, but for its password, which shows only as whether
    /// there is one; not with how often it is used. With its quotes.
    pub fn etag(&self) -> String {
        etag_of([
            Some(self.has_password.to_string()),
            self.expires_at.map(|at| at.to_string()),
            self.downloads_most.map(|most| most.to_string()),
            Some(self.label.clone()),
        ])
    }
}

/// A link to be made.
#[derive(Debug, Clone)]
pub struct NewLink {
    /// What it leads to.
    pub target: Target,
    /// What it is for.
    pub kind: LinkKind,
    /// What it asks for.
    pub password: Option<Password>,
    /// When it ends.
    pub expires_at: Option<i64>,
    /// How many downloads there may be.
    pub downloads_most: Option<u64>,
    /// What its owner calls it.
    pub label: String,
}

/// What is changed of a link; `None` stays, `Some(None)` is taken away.
#[derive(Debug, Clone, Default)]
pub struct LinkChange {
    /// What it asks for. Whoever has proved the old one has to prove the new one.
    pub password: Option<Option<Password>>,
    /// When it ends.
    pub expires_at: Option<Option<i64>>,
    /// How many downloads there may be, those so far included.
    pub downloads_most: Option<Option<u64>>,
    /// What its owner calls it.
    pub label: Option<String>,
    /// What [`Link::etag`] must be.
    pub when: TagCondition,
}

impl Store {
    /// Makes a link to something in the caller's own drive; its token is shown this once.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for an app password, which must not outlive itself so;
    /// [`Error::NotFound`]; [`Error::NotFolder`] when files cannot be put into it;
    /// [`Error::Invalid`]; [`Error::Limit`] when the drive has too many.
    pub async fn link_add(
        &self,
        caller: &Caller,
        new: NewLink,
        address: Option<IpAddr>,
    ) -> Result<(Link, String)> {
        require_owner(caller)?;
        let world = self.world().clone();
        let label = check_label(&new.label)?;
        check_expiry(new.expires_at, world.now_ms())?;
        check_downloads(new.kind, new.downloads_most)?;
        let password_hash = self.hash_link_password(new.password.as_ref()).await?;
        let token = secret::generate(&world, "");
        let (id, digest) = (LinkId::new(&world), secret::digest(&token));
        let caller = caller.clone();
        let link = self
            .db()
            .write(move |tx| {
                // The account is held: disabling it comes first or ends this link too.
                let owner = user::rows::lock(tx, caller.user)?;
                if owner.disabled_at.is_some() {
                    return Err(Error::NotFound);
                }
                let drive = drive::rows::lock(tx, caller.drive)?;
                let (node, told) = find_told(tx, &caller, &new.target)?;
                if node.id == drive.root {
                    return Err(invalid("path", "is the whole drive; a link leads into it"));
                }
                if new.kind == LinkKind::Upload && !node.is_folder() {
                    return Err(Error::NotFolder);
                }
                if rows::count_of_drive(tx, drive.id)? >= MAX {
                    return Err(Error::Limit {
                        what: Limited::Links,
                        limit: MAX,
                    });
                }
                let row = rows::NewRow {
                    id,
                    drive: drive.id,
                    node: node.id,
                    token: digest,
                    kind: new.kind,
                    label: &label,
                    password_hash: password_hash.as_deref(),
                    expires_at: new.expires_at,
                    downloads_most: new.downloads_most,
                    created_by: caller.user,
                    created_at: world.now_ms(),
                    told: told.as_ref().map(|(parent, name)| (*parent, name.nfc())),
                };
                rows::insert(tx, &row)?;
                let line = Line::new(AuditAction::LinkAdd).of(caller.user).about(id);
                let line = line.detail(new.kind.as_str());
                audit::record(tx, &world, Some(caller.user), address, &line)?;
                rows::find(tx, drive.id, id)?.ok_or(Error::NotFound)
            })
            .await?;
        Ok((link, token))
    }

    /// The links of the caller's drive, the oldest first: at most `limit` after `after`, of one
    /// file or folder where that is given. Expired ones are among them for a while.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for an app password, [`Error::NotFound`] when there is no such file or
    /// folder.
    pub async fn link_list(
        &self,
        caller: &Caller,
        of: Option<Target>,
        after: Option<LinkId>,
        limit: u32,
    ) -> Result<Vec<Link>> {
        require_owner(caller)?;
        self.flush_link_uses_of(Some(caller.drive)).await?;
        let caller = caller.clone();
        self.db()
            .read_snapshot(move |tx| match &of {
                None => rows::list(tx, caller.drive, after, limit),
                Some(target) => {
                    let node = find_node(tx, &caller, target)?;
                    rows::list_of_node(tx, caller.drive, node.id, after, limit)
                }
            })
            .await
    }

    /// One link of the caller's drive.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for an app password, [`Error::NotFound`].
    pub async fn link(&self, caller: &Caller, id: LinkId) -> Result<Link> {
        require_owner(caller)?;
        self.flush_link_uses_of(Some(caller.drive)).await?;
        let drive = caller.drive;
        let found = self.db().read(move |tx| rows::find(tx, drive, id)).await?;
        found.ok_or(Error::NotFound)
    }

    /// Changes a link; the next request that comes by it finds it changed.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for an app password, [`Error::NotFound`], [`Error::Invalid`],
    /// [`Error::PreconditionFailed`].
    pub async fn link_change(
        &self,
        caller: &Caller,
        id: LinkId,
        change: LinkChange,
        address: Option<IpAddr>,
    ) -> Result<Link> {
        require_owner(caller)?;
        let world = self.world().clone();
        let label = change.label.as_deref().map(check_label).transpose()?;
        check_expiry(change.expires_at.flatten(), world.now_ms())?;
        let password_hash = match &change.password {
            None => None,
            Some(password) => Some(self.hash_link_password(password.as_ref()).await?),
        };
        self.flush_link_uses_of(Some(caller.drive)).await?;
        let (user, drive) = (caller.user, caller.drive);
        self.db()
            .write(move |tx| {
                let mut row = rows::lock(tx, drive, id)?.ok_or(Error::NotFound)?;
                require_tag(tx, drive, id, &change.when)?;
                if let Some(most) = change.downloads_most {
                    check_downloads(row.kind, most)?;
                    row.downloads_most = most;
                }
                if let Some(hash) = &password_hash {
                    row.password_hash.clone_from(hash);
                }
                if let Some(expires_at) = change.expires_at {
                    row.expires_at = expires_at;
                }
                if let Some(label) = &label {
                    row.label.clone_from(label);
                }
                rows::update(tx, id, &row)?;
                let line = Line::new(AuditAction::LinkChange).of(user).about(id);
                let line = line.detail(changed_fields(&change));
                audit::record(tx, &world, Some(user), address, &line)?;
                rows::find(tx, drive, id)?.ok_or(Error::NotFound)
            })
            .await
    }

    /// Ends a link.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for an app password, [`Error::NotFound`];
    /// [`Error::PreconditionFailed`] when it does not have the [`Link::etag`] asked for.
    pub async fn link_revoke(
        &self,
        caller: &Caller,
        id: LinkId,
        when: TagCondition,
        address: Option<IpAddr>,
    ) -> Result<()> {
        require_owner(caller)?;
        let (user, drive, world) = (caller.user, caller.drive, self.world().clone());
        self.db()
            .write(move |tx| {
                if when.is_some() {
                    rows::lock(tx, drive, id)?.ok_or(Error::NotFound)?;
                    require_tag(tx, drive, id, &when)?;
                }
                if !rows::remove(tx, drive, id)? {
                    return Err(Error::NotFound);
                }
                let line = Line::new(AuditAction::LinkRevoke).of(user).about(id);
                audit::record(tx, &world, Some(user), address, &line)
            })
            .await
    }

    /// Removes links that expired a month ago; how many. For a background job.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn purge_links(&self) -> Result<u64> {
        let now_ms = self.world().now_ms();
        self.db()
            .write(move |tx| {
                rows::purge_downloads(tx, now_ms)?;
                rows::purge(tx, now_ms - KEPT_MS)
            })
            .await
    }

    async fn hash_link_password(&self, password: Option<&Password>) -> Result<Option<String>> {
        let Some(password) = password else {
            return Ok(None);
        };
        password.check_new(PASSWORD_CHARS)?;
        let hash = self.credentials().hasher.hash(self.world(), password);
        Ok(Some(hash.await?))
    }
}

/// Ends all links to a node and to what lies below it. The node may have lost its entry already.
pub(crate) fn end_within(tx: &mut Tx<'_>, drive: DriveId, root: NodeId) -> Result<()> {
    rows::remove_within(tx, drive, root)
}

/// Ends all links of a drive.
pub(crate) fn end_all(tx: &mut Tx<'_>, drive: DriveId) -> Result<()> {
    rows::remove_all(tx, drive)
}

/// Links are made and managed by the owner in person: an app password that can be revoked must not
/// leave one behind, and what others share is not the caller's to pass on.
fn require_owner(caller: &Caller) -> Result<()> {
    caller.require_person()?;
    if caller.via == Via::Own && caller.whole_drive && !caller.read_only {
        Ok(())
    } else {
        Err(Error::Forbidden)
    }
}

/// Refuses to change a link that is held and has another tag.
fn require_tag(tx: &mut Tx<'_>, drive: DriveId, id: LinkId, when: &TagCondition) -> Result<()> {
    if when.is_some() {
        let link = rows::find(tx, drive, id)?.ok_or(Error::NotFound)?;
        when.require(&link.etag())?;
    }
    Ok(())
}

fn find_node(tx: &mut Tx<'_>, caller: &Caller, target: &Target) -> Result<Node> {
    find_told(tx, caller, target).map(|(node, _)| node)
}

/// A node, and by which entry it was found if it is a file with several.
fn find_told(
    tx: &mut Tx<'_>,
    caller: &Caller,
    target: &Target,
) -> Result<(Node, Option<(NodeId, Name)>)> {
    let path = target.path(tx, caller)?;
    let mut chain = node::rows::walk(tx, caller.root, &path)?;
    let is_whole = chain.len() > path.depth();
    let node = chain.pop().filter(|_| is_whole).ok_or(Error::NotFound)?;
    let entry = chain
        .last()
        .map(|folder| folder.id)
        .zip(path.name().cloned());
    let entry = entry.filter(|_| node.links > 1);
    Ok((node, entry))
}

fn invalid(field: &'static str, reason: impl Into<String>) -> Error {
    Error::Invalid {
        field,
        reason: reason.into(),
    }
}

fn check_label(label: &str) -> Result<String> {
    let label = label.trim();
    if label.chars().count() > LABEL_CHARS || label.chars().any(char::is_control) {
        let reason = format!("must have at most {LABEL_CHARS} characters, no control characters");
        return Err(invalid("label", reason));
    }
    Ok(label.to_owned())
}

fn check_expiry(expires_at: Option<i64>, now_ms: i64) -> Result<()> {
    match expires_at {
        Some(at) if at <= now_ms => Err(invalid("expires_at", "lies in the past")),
        _ => Ok(()),
    }
}

fn check_downloads(kind: LinkKind, most: Option<u64>) -> Result<()> {
    let reason = match most {
        None => return Ok(()),
        Some(_) if kind == LinkKind::Upload => "is for links that give something out".to_owned(),
        Some(most) if (1..=MOST_DOWNLOADS).contains(&most) => return Ok(()),
        Some(_) => format!("must be between 1 and {MOST_DOWNLOADS}"),
    };
    Err(invalid("downloads_most", reason))
}

/// What a change is about, for the audit trail.
fn changed_fields(change: &LinkChange) -> String {
    let fields = [
        ("password", change.password.is_some()),
        ("expires_at", change.expires_at.is_some()),
        ("downloads_most", change.downloads_most.is_some()),
        ("label", change.label.is_some()),
    ];
    let changed = fields.iter().filter(|(_, is_changed)| *is_changed);
    changed
        .map(|(field, _)| *field)
        .collect::<Vec<_>>()
        .join(", ")
}
