//! Passwords: bounded, wiped from memory, hashed by Argon2id where it stalls nobody.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::clock::World;
use crate::error::{DatabaseError, Error, Result};

/// Hashes that may wait for their turn; more than that is answered "busy".
const QUEUE: usize = 512;

/// A password as somebody typed it, in Unicode normalisation form C (RFC 8265 §4.2.2).
///
/// Never shortened: one that is too long is kept as "matches nothing".
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Option<Zeroizing<String>>);

impl Password {
    /// Longest password in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// Takes any text, also such that can never be a password here.
    pub fn new(text: &str) -> Self {
        if text.len() > Self::MAX_BYTES {
            return Self(None);
        }
        // Room enough that growing leaves no copy behind in most cases.
        let mut normal = Zeroizing::new(String::with_capacity(text.len() * 2));
        normal.extend(text.nfc());
        Self((normal.len() <= Self::MAX_BYTES).then_some(normal))
    }

    /// Whether an account may have this password from now on.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is shorter than `min_chars` or too long.
    pub(crate) fn check_new(&self, min_chars: usize) -> Result<()> {
        let reason = match &self.0 {
            None => format!("must have at most {} bytes", Self::MAX_BYTES),
            Some(text) if text.chars().count() < min_chars.max(1) => {
                format!("must have at least {} characters", min_chars.max(1))
            }
            Some(_) => return Ok(()),
        };
        let field = "password";
        Err(Error::Invalid { field, reason })
    }

    /// The bytes; none when the password can match nothing.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        self.0.as_ref().map(|text| text.as_bytes())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// Runs Argon2id, a bounded number at a time, on the blocking pool.
pub(crate) struct Hasher {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    verifications: AtomicU64,
    /// A well-formed hash that no password has, for names that do not exist.
    nobody: Arc<str>,
}

impl Hasher {
    pub fn new(world: &World, at_a_time: usize) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let permits = if at_a_time == 0 {
            processors
        } else {
            at_a_time
        };
        let params = argon2::Params::DEFAULT;
        let nobody = format!(
            "$argon2id$v=19$m={},t={},p={}${}${}",
            params.m_cost(),
            params.t_cost(),
            params.p_cost(),
            STANDARD_NO_PAD.encode(world.bytes::<16>()),
            STANDARD_NO_PAD.encode(world.bytes::<32>()),
        );
        Self {
            permits: Arc::new(Semaphore::new(permits)),
            waiting: AtomicUsize::new(0),
            verifications: AtomicU64::new(0),
            nobody: nobody.into(),
        }
    }

    /// Verifications run so far, also those for names that do not exist.
    pub fn verifications(&self) -> u64 {
        self.verifications.load(Ordering::Relaxed)
    }

    /// The hash of a new password, as a PHC string.
    pub async fn hash(&self, world: &World, password: &Password) -> Result<String> {
        let (password, salt) = (password.clone(), world.bytes::<16>());
        self.run(move || {
            let bytes = password.bytes().unwrap_or_default();
            Argon2::default()
                .hash_password_with_salt(bytes, &salt)
                .map(|hash| hash.to_string())
                .map_err(|error| failed(&error))
        })
        .await?
    }

    /// Whether the password is the hash's; the same work when there is no hash.
    pub async fn verify(&self, password: &Password, hash: Option<&str>) -> Result<bool> {
        let exists = hash.is_some() && password.bytes().is_some();
        let hash: Arc<str> = hash.map_or_else(|| Arc::clone(&self.nobody), Arc::from);
        let password = password.clone();
        self.verifications.fetch_add(1, Ordering::Relaxed);
        let matches = self
            .run(move || {
                let parsed = PasswordHash::new(&hash).map_err(|error| failed(&error))?;
                let bytes = password.bytes().unwrap_or_default();
                match Argon2::default().verify_password(bytes, &parsed) {
                    Ok(()) => Ok(true),
                    Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                    Err(error) => Err(failed(&error)),
                }
            })
            .await??;
        tracing::debug!("password verified by Argon2");
        Ok(matches & exists)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let _place = Place::take(&self.waiting)?;
        let closed = |_| Error::Busy;
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(closed)?;
        // The permit goes along: a caller that hangs up does not make room for another run.
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        })
        .await
        .map_err(|error| failed(&error))
    }
}

fn failed(error: &dyn fmt::Display) -> Error {
    Error::Database(DatabaseError(format!("password hash: {error}").into()))
}

/// A place in the queue, given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Result<Self> {
        let place = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            return Err(Error::Busy);
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher() -> (World, Hasher) {
        let world = World::default();
        let hasher = Hasher::new(&world, 0);
        (world, hasher)
    }

    #[tokio::test]
    async fn only_the_whole_password_matches() {
        let (world, hasher) = hasher();
        let hash = hasher
            .hash(&world, &Password::new("right\0tail"))
            .await
            .unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        for (text, expected) in [
            ("right\0tail", true),
            ("right", false),
            ("right\0", false),
            ("right\0tail\0", false),
            (" right\0tail", false),
            ("", false),
        ] {
            let matches = hasher.verify(&Password::new(text), Some(&hash)).await;
            assert_eq!(matches.unwrap(), expected, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_costs_a_run_and_matches_nothing() {
        let (_, hasher) = hasher();
        assert!(!hasher.verify(&Password::new(""), None).await.unwrap());
        assert_eq!(hasher.verifications(), 1);
    }

    #[tokio::test]
    async fn too_long_is_never_cut_to_something_that_fits() {
        let (world, hasher) = hasher();
        let longest = "p".repeat(Password::MAX_BYTES);
        let hash = hasher.hash(&world, &Password::new(&longest)).await.unwrap();
        let longer = Password::new(&(longest.clone() + "p"));
        assert!(
            hasher
                .verify(&Password::new(&longest), Some(&hash))
                .await
                .unwrap()
        );
        assert!(!hasher.verify(&longer, Some(&hash)).await.unwrap());
        assert!(longer.check_new(8).is_err());
        let empty = hasher.hash(&world, &Password::new("")).await.unwrap();
        assert!(!hasher.verify(&longer, Some(&empty)).await.unwrap());
    }

    #[test]
    fn forms_of_one_text_are_one_password() {
        assert!(Password::new("e\u{301}tude-1") == Password::new("\u{e9}tude-1"));
        assert!(Password::new("seven77").check_new(8).is_err());
        assert!(Password::new("").check_new(0).is_err());
        assert!(Password::new("eight888").check_new(8).is_ok());
    }
}
