//! From a token to what it opens, past the password where there is one.
//!
//! A caller is handed out only by [`Store::open_link`], so nobody can forget to ask.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use super::{LinkKind, rows};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::id::LinkId;
use crate::node::Node;
use crate::password::Password;
use crate::path::Name;
use crate::secret;
use crate::store::Store;

/// How long a password once proved need not be given again.
const PASS_MS: i64 = 12 * 3_600_000;
const PASS_BYTES: usize = 8 + 32;

/// A link that leads somewhere, still closed.
#[derive(Debug, Clone)]
pub struct FoundLink {
    pub(super) id: LinkId,
    pub(super) kind: LinkKind,
    pub(super) name: Name,
    pub(super) node: Node,
    pub(super) caller: Caller,
    pub(super) is_limited: bool,
    pub(super) password_hash: Option<Arc<str>>,
}

/// A link whose password, where it has one, was proved.
#[derive(Debug, Clone)]
pub struct OpenLink {
    /// Names it.
    pub id: LinkId,
    /// What it is for.
    pub kind: LinkKind,
    /// The name of what it leads to.
    pub name: Name,
    /// What it leads to.
    pub node: Node,
    /// Who comes by it: confined to that node, in its owner's drive.
    pub caller: Caller,
    /// Whether its downloads are limited.
    pub is_limited: bool,
    /// Signs passes; absent where there is no password.
    password_hash: Option<Arc<str>>,
}

/// What shows that somebody knows a link's password.
#[derive(Debug, Clone, Copy)]
pub enum LinkProof<'a> {
    /// Nothing.
    None,
    /// The password itself.
    Password(&'a Password),
    /// What was given to whoever proved it before ([`OpenLink::pass`]).
    Pass(&'a str),
}

impl FoundLink {
    /// Names it.
    pub fn id(&self) -> LinkId {
        self.id
    }

    /// Whether it asks for a password.
    pub fn has_password(&self) -> bool {
        self.password_hash.is_some()
    }
}

impl OpenLink {
    /// How long a pass holds, in seconds.
    pub const PASS_S: i64 = PASS_MS / 1000;

    /// Whether there is a password.
    pub fn has_password(&self) -> bool {
        self.password_hash.is_some()
    }

    /// What proves the password from now on, for a while and for as long as it does not change:
    /// a time and its MAC under a key that only the stored hash of the password gives.
    pub fn pass(&self, store: &Store) -> Option<String> {
        let hash = self.password_hash.as_deref()?;
        let expires_at = store.world().now_ms() + PASS_MS;
        let tag = hmac::sign(&pass_key(hash), &signed(self.id, expires_at));
        let pass = [&expires_at.to_be_bytes(), tag.as_ref()].concat();
        Some(URL_SAFE_NO_PAD.encode(pass))
    }
}

impl Store {
    /// What a token leads to; one statement. Whether a token was never given, was revoked, has
    /// expired or is used up is not told.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn find_link(&self, token: &str) -> Result<Option<FoundLink>> {
        let (digest, now_ms) = (secret::digest(token), self.world().now_ms());
        self.db()
            .read(move |tx| rows::by_token(tx, digest, now_ms))
            .await
    }

    /// Opens a link.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`] when the password is not proved, [`Error::TooManyAttempts`],
    /// [`Error::Busy`].
    pub async fn open_link(
        &self,
        found: FoundLink,
        proof: LinkProof<'_>,
        address: Option<IpAddr>,
    ) -> Result<OpenLink> {
        if let Some(hash) = &found.password_hash {
            match proof {
                LinkProof::None => return Err(Error::WrongCredentials),
                LinkProof::Pass(pass) => {
                    if !is_pass(pass, hash, found.id, self.world().now_ms()) {
                        return Err(Error::WrongCredentials);
                    }
                }
                LinkProof::Password(password) => {
                    let owner = found.caller.user;
                    let checked =
                        self.check_link_password(found.id, owner, hash, password, address);
                    Box::pin(checked).await?;
                }
            }
        }
        self.note_link_use(found.id, found.caller.drive, 0);
        let FoundLink {
            id,
            kind,
            name,
            node,
            caller,
            is_limited,
            password_hash,
        } = found;
        Ok(OpenLink {
            id,
            kind,
            name,
            node,
            caller,
            is_limited,
            password_hash,
        })
    }
}

fn pass_key(password_hash: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, password_hash.as_bytes())
}

fn signed(link: LinkId, expires_at: i64) -> Vec<u8> {
    [
        b"pass of a link".as_slice(),
        link.as_bytes(),
        &expires_at.to_be_bytes(),
    ]
    .concat()
}

fn is_pass(text: &str, password_hash: &str, link: LinkId, now_ms: i64) -> bool {
    let mut pass = [0; PASS_BYTES];
    if URL_SAFE_NO_PAD.decode_slice(text, &mut pass) != Ok(PASS_BYTES) {
        return false;
    }
    let (expires_at, tag) = pass.split_at(8);
    let expires_at = i64::from_be_bytes(expires_at.try_into().expect("8 bytes"));
    let signed = signed(link, expires_at);
    expires_at > now_ms && hmac::verify(&pass_key(password_hash), &signed, tag).is_ok()
}
