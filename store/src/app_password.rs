//! App passwords: secrets for one device or program each, perhaps for one folder, for
//! reading only, for a time. Random enough that their digest is all that is needed.

pub(crate) mod rows;

use std::net::IpAddr;

use crate::audit::{self, AuditAction, Line};
use crate::cache::Effect;
use crate::caller::{Actor, Caller};
use crate::db::Tx;
use crate::drive;
use crate::error::{Error, Limited, Result};
use crate::id::{AppPasswordId, DriveId, NodeId, UserId};
use crate::node;
use crate::password::Password;
use crate::path::Path;
use crate::secret;
use crate::store::Store;
use crate::user;

pub(crate) const PREFIX: &str = "cof_";
/// Most app passwords of one account.
const MAX: u64 = 100;
/// Longest name in characters.
const NAME_CHARS: usize = 200;

/// An app password, without its secret. Times are milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPassword {
    /// Names it.
    pub id: AppPasswordId,
    /// What its owner calls it.
    pub name: String,
    /// The folder it is confined to, wherever that is now; `None` for the whole drive.
    pub path: Option<Path>,
    /// Whether it only allows reading.
    pub read_only: bool,
    /// When it was made.
    pub created_at: i64,
    /// When it ends.
    pub expires_at: Option<i64>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<i64>,
}

/// An app password to be made.
#[derive(Debug, Clone, Default)]
pub struct NewAppPassword {
    /// What its owner calls it.
    pub name: String,
    /// The folder to confine it to; `None` for the whole drive.
    pub path: Option<Path>,
    /// Whether it only allows reading.
    pub read_only: bool,
    /// When it ends.
    pub expires_at: Option<i64>,
}

impl Store {
    /// Makes an app password; its secret is shown this once.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for anybody but the owner and the console, [`Error::NotFound`]
    /// when the folder is not one of the drive, [`Error::Invalid`], [`Error::Limit`].
    pub async fn app_password_add(
        &self,
        actor: Actor,
        user: UserId,
        new: NewAppPassword,
        address: Option<IpAddr>,
    ) -> Result<(AppPassword, String)> {
        require_owner(actor, user)?;
        self.insert_app_password(actor, user, new, None, address)
            .await
    }

    /// Makes an app password for the caller, with the current password as proof: an app
    /// password outlives the log-in that made it, so whoever has got hold of one must not
    /// get the other.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`], [`Error::TooManyAttempts`], and those of
    /// [`Self::app_password_add`].
    pub async fn app_password_add_own(
        &self,
        caller: &Caller,
        current: &Password,
        new: NewAppPassword,
        address: Option<IpAddr>,
    ) -> Result<(AppPassword, String)> {
        let version = self.confirm_password(caller, current, address).await?;
        let actor = Actor::User(caller.user);
        self.insert_app_password(actor, caller.user, new, Some(version), address)
            .await
    }

    /// Makes an app password, while the account's credentials have the version, if one is
    /// given.
    async fn insert_app_password(
        &self,
        actor: Actor,
        user: UserId,
        new: NewAppPassword,
        version: Option<i64>,
        address: Option<IpAddr>,
    ) -> Result<(AppPassword, String)> {
        let name = new.name.trim().to_owned();
        if name.is_empty()
            || name.chars().count() > NAME_CHARS
            || name.chars().any(char::is_control)
        {
            return Err(Error::Invalid {
                field: "name",
                reason: format!("must have 1 to {NAME_CHARS} characters, no control characters"),
            });
        }
        let world = self.world().clone();
        if new.expires_at.is_some_and(|at| at <= world.now_ms()) {
            return Err(Error::Invalid {
                field: "expires_at",
                reason: "lies in the past".into(),
            });
        }
        let secret = secret::generate(&world, PREFIX);
        let digest = secret::digest(&secret);
        let made = AppPassword {
            id: AppPasswordId::new(&world),
            name,
            path: new.path,
            read_only: new.read_only,
            created_at: world.now_ms(),
            expires_at: new.expires_at,
            last_used_at: None,
        };
        let row = made.clone();
        self.db()
            .write(move |tx| {
                let owner = user::rows::lock(tx, user)?;
                if let Some(version) = version {
                    user::require_version(tx, user, version)?;
                }
                let root = match &row.path {
                    None => None,
                    Some(path) => Some(find_folder(tx, owner.drive, path)?),
                };
                if rows::count(tx, user)? >= MAX {
                    return Err(Error::Limit {
                        what: Limited::AppPasswords,
                        limit: MAX,
                    });
                }
                rows::insert(tx, user, &row, root, digest)?;
                let line = Line::new(AuditAction::AppPasswordAdd)
                    .of(user)
                    .about(row.id);
                audit::record(tx, &world, actor.user(), address, &line)
            })
            .await?;
        Ok((made, secret))
    }

    /// The account's app passwords, oldest first. One whose folder is gone is void and is
    /// not among them.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for anybody but the owner and the console.
    pub async fn app_password_list(&self, actor: Actor, user: UserId) -> Result<Vec<AppPassword>> {
        require_owner(actor, user)?;
        self.flush_uses().await?;
        self.db()
            .read(move |tx| {
                let owner = user::rows::find(tx, user)?.ok_or(Error::NotFound)?;
                let top = drive::rows::find(tx, owner.drive)?
                    .ok_or(Error::NotFound)?
                    .root;
                let mut alive = Vec::new();
                for (mut app_password, root) in rows::list(tx, user)? {
                    if let Some(root) = root.filter(|root| *root != top) {
                        let Some(path) = path_below(tx, top, root)? else {
                            continue;
                        };
                        app_password.path = Some(path);
                    }
                    alive.push(app_password);
                }
                Ok(alive)
            })
            .await
    }

    /// Ends an app password.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for anybody but the owner and the console, [`Error::NotFound`].
    pub async fn app_password_revoke(
        &self,
        actor: Actor,
        user: UserId,
        id: AppPasswordId,
        address: Option<IpAddr>,
    ) -> Result<()> {
        require_owner(actor, user)?;
        let world = self.world().clone();
        self.db()
            .write(move |tx| {
                if !rows::delete(tx, user, id)? {
                    return Err(Error::NotFound);
                }
                tx.effect(Effect::Account(user));
                let line = Line::new(AuditAction::AppPasswordRevoke).of(user).about(id);
                audit::record(tx, &world, actor.user(), address, &line)
            })
            .await
    }
}

/// Administrators see nobody's files, so they cannot make keys to them either.
fn require_owner(actor: Actor, user: UserId) -> Result<()> {
    match actor {
        Actor::Console => Ok(()),
        Actor::User(id) if id == user => Ok(()),
        Actor::User(_) => Err(Error::Forbidden),
    }
}

fn find_folder(tx: &mut Tx<'_>, drive: DriveId, path: &Path) -> Result<NodeId> {
    let top = drive::rows::find(tx, drive)?.ok_or(Error::NotFound)?.root;
    let nodes = node::rows::walk(tx, top, path)?;
    match nodes.last() {
        Some(node) if nodes.len() == path.depth() + 1 && node.is_folder() => Ok(node.id),
        _ => Err(Error::NotFound),
    }
}

/// Where a folder is below the drive's root; `None` when it is not.
fn path_below(tx: &mut Tx<'_>, top: NodeId, folder: NodeId) -> Result<Option<Path>> {
    let ancestors = node::rows::ancestors(tx, folder)?;
    if ancestors.last().is_none_or(|(parent, _)| *parent != top) {
        return Ok(None);
    }
    let names: Vec<&str> = ancestors
        .iter()
        .rev()
        .map(|(_, name)| name.as_str())
        .collect();
    Path::parse(&names.join("/")).map(Some)
}

/// Ends all app passwords of an account.
pub(crate) fn revoke_all(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    rows::delete_all(tx, user)?;
    tx.effect(Effect::Account(user));
    Ok(())
}
