//! Public names, under which accounts publish assets. They tell nothing of the account: neither
//! its user name nor its e-mail address can be one.

pub(crate) mod rows;

use crate::access;
use crate::caller::Caller;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::id::UserId;
use crate::store::Store;
use crate::user::{self, UserName};

impl Store {
    /// The name under which the caller publishes, if they have chosen one.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn public_name(&self, caller: &Caller) -> Result<Option<String>> {
        let user = caller.user;
        self.db()
            .read(move |tx| Ok(rows::find(tx, user)?.map(|(name, _)| name)))
            .await
    }

    /// Sets the name under which the caller publishes. Assets that are there show it at once.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it can be no name, or is the caller's own user name or e-mail
    /// address; [`Error::AlreadyExists`] when another author has it; [`Error::Forbidden`] for an
    /// app password. Whether it is the user name of somebody else is nobody's business.
    pub async fn set_public_name(&self, caller: &Caller, text: &str) -> Result<String> {
        caller.require_person()?;
        access::require_write(caller)?;
        let (user, name) = (caller.user, UserName::public(text)?);
        self.db()
            .write(move |tx| {
                // Held, so that the account's own names stay what they are meanwhile.
                user::rows::lock(tx, user)?;
                if user::rows::has_name(tx, user, name.key())? {
                    return Err(is_own("public_name"));
                }
                rows::set(tx, user, &name)?;
                Ok(name.as_str().to_owned())
            })
            .await
    }
}

/// Refuses names of an account that would be the name it publishes under.
///
/// # Errors
/// [`Error::Invalid`].
pub(crate) fn require_different(
    tx: &mut Tx<'_>,
    user: UserId,
    (username, email): (&str, Option<&str>),
) -> Result<()> {
    match rows::find(tx, user)? {
        Some((_, key)) if key == username => Err(is_own("username")),
        Some((_, key)) if Some(&*key) == email => Err(is_own("email")),
        _ => Ok(()),
    }
}

fn is_own(field: &'static str) -> Error {
    Error::Invalid {
        field,
        reason: "the public name cannot be one's own user name or e-mail address".to_owned(),
    }
}
