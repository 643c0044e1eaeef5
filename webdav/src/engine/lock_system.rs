//! The store's locks as dav-server's lock system.
//!
//! One object per request: it knows the caller, and the request's words as our grammar read them.

use std::time::Duration;

use dav_server::davpath::DavPath;
use dav_server::ls::{DavLock, DavLockSystem, LsFuture};
use store::{Error, Lock, NewLock};
use xmltree::Element;

use super::context::Credentials;
use super::meta_data::instant;
use crate::grammar::timeout::Timeout;

/// The locks, as one request sees them.
#[derive(Debug, Clone)]
pub(super) struct LockSystem(pub Credentials);

impl DavLockSystem for LockSystem {
    /// Locks, and makes the empty file where nothing is, in one transaction.
    ///
    /// Owner and timeout are taken from the request's own words: dav-server cuts exclusive locks
    /// at 600 seconds, misreads `Second-5, Infinite` and moves the owner to another prefix.
    fn lock(
        &'_ self,
        path: &DavPath,
        _principal: Option<&str>,
        _owner: Option<&Element>,
        _timeout: Option<Duration>,
        shared: bool,
        deep: bool,
    ) -> LsFuture<'_, Result<DavLock, DavLock>> {
        let path = path.clone();
        Box::pin(async move {
            let Ok(target) = self.0.path(&path) else {
                return Err(unknown(&path));
            };
            // Only LOCK comes here, and it always brings one.
            let Some(wish) = self.0.wish.clone() else {
                return Err(unknown(&path));
            };
            let new = NewLock {
                token: wish.token,
                is_exclusive: !shared,
                is_deep: deep,
                owner_xml: wish.owner_xml,
                timeout_s: Timeout::wished_s(wish.timeout),
            };
            let condition = self.0.condition(&target);
            let granted = self
                .0
                .store
                .lock(&self.0.caller, &target, new, condition)
                .await;
            match granted {
                Ok((lock, created)) => {
                    let answer = dav_lock(&path, &lock);
                    self.0.outcome().lock = Some((lock, created));
                    Ok(answer)
                }
                Err(error) => {
                    self.0.refuse(error);
                    Err(unknown(&path))
                }
            }
        })
    }

    fn unlock(&'_ self, path: &DavPath, token: &str) -> LsFuture<'_, Result<(), ()>> {
        let (path, token) = (path.clone(), token.to_owned());
        Box::pin(async move {
            let target = self.0.path(&path).map_err(|_| ())?;
            let condition = self.0.condition(&target);
            let removed = self
                .0
                .store
                .unlock(&self.0.caller, &target, &token, condition)
                .await;
            removed.map_err(|error| {
                self.0.refuse(error);
            })
        })
    }

    fn refresh(
        &'_ self,
        path: &DavPath,
        _token: &str,
        _timeout: Option<Duration>,
    ) -> LsFuture<'_, Result<DavLock, ()>> {
        let path = path.clone();
        Box::pin(async move {
            let target = self.0.path(&path).map_err(|_| ())?;
            let wished = self.0.wish.as_ref().and_then(|wish| wish.timeout);
            let timeout_s = wished.map(|timeout| Timeout::wished_s(Some(timeout)));
            let condition = self.0.condition(&target);
            let refreshed = self
                .0
                .store
                .refresh_lock(&self.0.caller, &target, timeout_s, condition)
                .await;
            match refreshed {
                Ok(lock) => {
                    let answer = dav_lock(&path, &lock);
                    self.0.outcome().lock = Some((lock, false));
                    Ok(answer)
                }
                Err(error) => {
                    self.0.refuse(error);
                    Err(())
                }
            }
        })
    }

    /// dav-server asks two questions with this. Of a state token in `If` (`ignore_principal`):
    /// is it a live lock here? Before a change: may we? The second one the store answers when it
    /// makes the change, in the same transaction; an answer from before would be worth nothing.
    fn check(
        &'_ self,
        path: &DavPath,
        _principal: Option<&str>,
        ignore_principal: bool,
        _deep: bool,
        submitted_tokens: &[String],
    ) -> LsFuture<'_, Result<(), DavLock>> {
        let (path, tokens) = (path.clone(), submitted_tokens.to_vec());
        Box::pin(async move {
            if !ignore_principal {
                return Ok(());
            }
            let live = self.covering(&path).await;
            if live.iter().any(|lock| tokens.contains(&lock.token)) {
                Ok(())
            } else {
                Err(unknown(&path))
            }
        })
    }

    fn discover(&'_ self, path: &DavPath) -> LsFuture<'_, Vec<DavLock>> {
        let path = path.clone();
        Box::pin(async move { self.covering(&path).await })
    }

    /// The store ends locks together with what they locked.
    fn delete(&'_ self, _path: &DavPath) -> LsFuture<'_, Result<(), ()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl LockSystem {
    /// The live locks that cover a path.
    async fn covering(&self, path: &DavPath) -> Vec<DavLock> {
        let found = async {
            let target = self.0.path(path).map_err(|_| Error::NotFound)?;
            let found = self.0.store.find(&self.0.caller, &target).await?;
            let Some(found) = found else {
                return Ok(Vec::new());
            };
            let locks = self.0.store.locks(&self.0.caller).await?;
            let locks = locks.covering(&found.node, &found.above);
            Ok(locks.into_iter().map(|lock| dav_lock(path, lock)).collect())
        };
        found.await.unwrap_or_else(|error| {
            self.0.refuse(error);
            Vec::new()
        })
    }
}

fn dav_lock(path: &DavPath, lock: &Lock) -> DavLock {
    let owner = lock.owner_xml.as_deref();
    DavLock {
        token: lock.token.clone(),
        path: Box::new(path.clone()),
        principal: None,
        // Stored owners have passed our guard: no deeper than 32 elements.
        owner: owner
            .and_then(|xml| Element::parse(xml.as_bytes()).ok())
            .map(Box::new),
        timeout_at: Some(instant(lock.expires_at.saturating_mul(1_000_000))),
        timeout: Some(Duration::from_secs(lock.timeout_s.into())),
        shared: !lock.is_exclusive,
        deep: lock.is_deep,
    }
}

/// What dav-server wants to see for a refusal, and does not look at.
fn unknown(path: &DavPath) -> DavLock {
    DavLock {
        token: String::new(),
        path: Box::new(path.clone()),
        principal: None,
        owner: None,
        timeout_at: None,
        timeout: None,
        shared: false,
        deep: false,
    }
}
