//! The password of a link: slowed down and remembered like that of an account.

use std::net::IpAddr;

use crate::attempt::{self, Guess, Subject};
use crate::audit::{AuditAction, Line};
use crate::error::{Error, Result};
use crate::id::{LinkId, UserId};
use crate::password::Password;
use crate::store::Store;

/// What a look at a password found.
#[derive(Clone, Copy)]
pub(super) enum Seen {
    Right,
    Wrong,
    Blocked { retry_after_s: u64 },
}

impl Store {
    /// Makes sure that a password is the one of this hash, by one Argon2 run for all requests that
    /// bring the same. What is remembered goes by the hash, so it ends when the password changes.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`], [`Error::TooManyAttempts`], [`Error::Busy`].
    pub(crate) async fn check_link_password(
        &self,
        link: LinkId,
        owner: UserId,
        hash: &str,
        password: &Password,
        address: Option<IpAddr>,
    ) -> Result<()> {
        let credentials = self.credentials();
        let name = format!("{link} {hash}");
        let mac = credentials.mac(&name, password.bytes().unwrap_or_default());
        if credentials.links.contains_key(&mac) {
            return Ok(());
        }
        let look = || self.look_at_link_password(link, owner, hash, password, address);
        match credentials.link_flights.join(mac, look).await?.0 {
            Seen::Right => {
                credentials.links.insert(mac, ());
                Ok(())
            }
            Seen::Wrong => Err(Error::WrongCredentials),
            Seen::Blocked { retry_after_s } => Err(Error::TooManyAttempts { retry_after_s }),
        }
    }

    async fn look_at_link_password(
        &self,
        link: LinkId,
        owner: UserId,
        hash: &str,
        password: &Password,
        address: Option<IpAddr>,
    ) -> Result<Seen> {
        // No account has a name with a control character in it.
        let guess = Guess::new(&format!("\0link {link}"), address);
        let from = address.map(Subject::address);
        let free = self.options().accounts.failures_per_account;
        let now = self.world().now_ms();
        let charged = self
            .db()
            .write(move |tx| {
                if let Some(from) = from {
                    attempt::check(tx, from, now)?;
                }
                guess.charge(tx, free, now)
            })
            .await;
        let is_last_free = match charged {
            Err(Error::TooManyAttempts { retry_after_s }) => {
                return Ok(Seen::Blocked { retry_after_s });
            }
            charged => charged?,
        };
        if !self
            .credentials()
            .hasher
            .verify(password, Some(hash))
            .await?
        {
            if is_last_free {
                let line = Line::new(AuditAction::LoginBlocked).of(owner).about(link);
                self.note_blocked(address, line.detail("link")).await?;
            }
            if let Some(address) = address {
                self.charge_address(address).await?;
            }
            return Ok(Seen::Wrong);
        }
        let now = self.world().now_ms();
        self.db().write(move |tx| guess.forgive(tx, now)).await?;
        Ok(Seen::Right)
    }
}
