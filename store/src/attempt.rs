//! Failed attempts and the delay they cost, shared by all daemons.
//!
//! An attempt on an account name is charged before the password is looked at and forgiven
//! when it was right, so that no number of parallel guesses gets past the delay. Names
//! that do not exist are charged alike. Addresses are charged for failures only: many
//! people may share one.
//!
//! Attempts on a name are counted for each network they come from, so that a stranger who
//! knows the name delays nobody but themselves. All networks together have a bound of their
//! own, against guesses spread over many; it is not asked where the name's password was
//! right before, so that those who reach it keep no owner out of where the owner usually is.

mod rows;

use std::net::IpAddr;
use std::time::Duration;

use crate::db::Tx;
use crate::digest::Digest;
use crate::error::{Error, Result};

/// Failures this long ago count no more.
const FORGOTTEN_AFTER_MS: i64 = 15 * 60 * 1000;
/// Longest delay between two attempts.
const LONGEST: Duration = Duration::from_mins(1);
/// How often one network's free attempts all networks together have.
const NETWORKS: u32 = 10;
/// How long a network stays known for a name whose password was right there.
const KNOWN_FOR_MS: i64 = 30 * 86_400 * 1000;

/// What is being counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subject(Digest);

impl Subject {
    /// Failures from one address.
    pub fn address(address: IpAddr) -> Self {
        Self(Digest::of(
            format!("address {}", network(address)).as_bytes(),
        ))
    }

    /// Names tried for registration from one address.
    pub fn registration(address: IpAddr) -> Self {
        Self(Digest::of(
            format!("registration {}", network(address)).as_bytes(),
        ))
    }

    fn digest(self) -> Digest {
        self.0
    }
}

/// An attempt on an account name, in its canonical form, by password.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guess {
    from_network: Subject,
    from_anywhere: Subject,
}

impl Guess {
    /// Whoever has no address is in one network with all others that have none.
    pub fn new(key: &str, address: Option<IpAddr>) -> Self {
        let network = address.map_or_else(|| "none".to_owned(), |at| network(at).to_string());
        Self {
            from_network: Subject(Digest::of(format!("name {network} {key}").as_bytes())),
            from_anywhere: Subject(Digest::of(format!("name {key}").as_bytes())),
        }
    }

    /// Counts it, before the password is looked at. Whether a delay sets in with this one.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`], as of [`charge`].
    pub fn charge(self, tx: &mut Tx<'_>, free: u32, now_ms: i64) -> Result<bool> {
        let charged = count(tx, self.from_network, free, now_ms)?;
        if charged.is_known {
            // Looked at for nothing: who shares the network must not tell by the statements that
            // there is somebody of this name.
            rows::blocked_until(tx, self.from_anywhere.digest())?;
            return Ok(charged.delay_sets_in);
        }
        let free = free.saturating_mul(NETWORKS);
        Ok(charge(tx, self.from_anywhere, free, now_ms)? || charged.delay_sets_in)
    }

    /// Forgets the failures before it: the password was right.
    pub fn forgive(self, tx: &mut Tx<'_>, now_ms: i64) -> Result<()> {
        let known_since = now_ms - KNOWN_FOR_MS;
        if !rows::succeed(tx, self.from_network.digest(), now_ms, known_since)? {
            rows::forget(tx, self.from_anywhere.digest())?;
        }
        Ok(())
    }
}

/// The unit in which clients are counted, what one customer of a provider usually has: an
/// IPv4 address, or the 64 bits of IPv6 behind which they can choose freely.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(bits.into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Refuses while the subject has to wait.
///
/// # Errors
/// [`Error::TooManyAttempts`].
pub(crate) fn check(tx: &mut Tx<'_>, subject: Subject, now_ms: i64) -> Result<()> {
    let blocked_until = rows::blocked_until(tx, subject.digest())?.unwrap_or(0);
    refuse_until(blocked_until, now_ms)
}

/// Counts an attempt; `free` of them cost nothing, each further one doubles the delay
/// before the next. Whether the delay sets in with this one.
///
/// # Errors
/// [`Error::TooManyAttempts`] while the subject has to wait; then nothing is counted.
pub(crate) fn charge(tx: &mut Tx<'_>, subject: Subject, free: u32, now_ms: i64) -> Result<bool> {
    count(tx, subject, free, now_ms).map(|charged| charged.delay_sets_in)
}

/// What charging an attempt has shown.
struct Charged {
    /// Whether the subject is known by a success.
    is_known: bool,
    delay_sets_in: bool,
}

fn count(tx: &mut Tx<'_>, subject: Subject, free: u32, now_ms: i64) -> Result<Charged> {
    let subject = subject.digest();
    // Counting first takes the row's lock, so that parallel attempts are told apart.
    let counted = rows::count(tx, subject, now_ms, FORGOTTEN_AFTER_MS)?;
    let rows::Counted {
        failures,
        blocked_until,
        succeeded_at,
    } = counted;
    refuse_until(blocked_until, now_ms)?;
    let exponent = failures - i64::from(free);
    if exponent >= 0 {
        let seconds = 1_i64.checked_shl(u32::try_from(exponent).unwrap_or(62).min(62));
        let longest = i64::try_from(LONGEST.as_millis()).expect("a minute");
        let delay_ms = seconds.unwrap_or(longest).saturating_mul(1000).min(longest);
        rows::block(tx, subject, now_ms + delay_ms)?;
    }
    Ok(Charged {
        is_known: succeeded_at >= now_ms - KNOWN_FOR_MS,
        delay_sets_in: exponent == 0,
    })
}

/// Removes what counts no more; the number of subjects.
pub(crate) fn purge(tx: &mut Tx<'_>, now_ms: i64) -> Result<u64> {
    rows::purge(tx, now_ms - FORGOTTEN_AFTER_MS, now_ms - KNOWN_FOR_MS)
}

fn refuse_until(blocked_until: i64, now_ms: i64) -> Result<()> {
    match u64::try_from(blocked_until - now_ms) {
        Ok(left_ms) if left_ms > 0 => Err(Error::TooManyAttempts {
            retry_after_s: left_ms.div_ceil(1000),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn delays_double_and_are_forgotten() {
        testing::each_engine(async |store, clock| {
            let try_once = async |subject: Subject| {
                let now = store.world().now_ms();
                let result = store
                    .db()
                    .write(move |tx| charge(tx, subject, 2, now))
                    .await;
                match result {
                    Ok(_) => 0,
                    Err(Error::TooManyAttempts { retry_after_s }) => retry_after_s,
                    Err(error) => panic!("{error}"),
                }
            };
            let alice = Subject::address([192, 0, 2, 1].into());
            assert_eq!(try_once(alice).await, 0);
            assert_eq!(try_once(alice).await, 0);
            assert_eq!(try_once(alice).await, 1);
            assert_eq!(try_once(Subject::address([192, 0, 2, 2].into())).await, 0);
            clock.advance_ms(1000);
            assert_eq!(try_once(alice).await, 0);
            assert_eq!(try_once(alice).await, 2);
            for _ in 0..20 {
                clock.advance_ms(60_000);
                assert_eq!(try_once(alice).await, 0);
            }
            assert_eq!(try_once(alice).await, 60);
            clock.advance_ms(FORGOTTEN_AFTER_MS + 1);
            assert_eq!(try_once(alice).await, 0);
            assert_eq!(try_once(alice).await, 0);
            assert_eq!(try_once(alice).await, 1);
        })
        .await;
    }

    #[tokio::test]
    async fn guesses_from_many_networks_delay_only_networks_where_none_was_right() {
        testing::each_engine(async |store, clock| {
            let guess = async |host: u8| {
                let now = store.world().now_ms();
                let guess = Guess::new("alice", Some([192, 0, 2, host].into()));
                let charged = store.db().write(move |tx| guess.charge(tx, 2, now)).await;
                match charged {
                    Ok(_) => true,
                    Err(Error::TooManyAttempts { .. }) => false,
                    Err(error) => panic!("{error}"),
                }
            };
            let right = async |host: u8| {
                let now = store.world().now_ms();
                let guess = Guess::new("alice", Some([192, 0, 2, host].into()));
                store.db().write(move |tx| guess.forgive(tx, now)).await
            };
            assert!(guess(200).await);
            right(200).await.unwrap();
            for host in 0..10 {
                assert!(guess(host).await && guess(host).await);
                assert!(!guess(host).await, "{host}");
            }
            assert!(!guess(100).await, "all together have had ten times as many");
            assert!(guess(200).await, "the owner is known there");
            right(200).await.unwrap();
            assert!(!guess(100).await, "the owner's coming helps no guesser");
            assert!(guess(200).await && guess(200).await);
            assert!(!guess(200).await, "a known network has its own bound still");

            clock.advance_ms(FORGOTTEN_AFTER_MS + 1);
            let now = store.world().now_ms();
            let purged = store.db().write(move |tx| purge(tx, now)).await.unwrap();
            assert_eq!(purged, 11, "ten networks and their sum");
            clock.advance_ms(KNOWN_FOR_MS);
            let now = store.world().now_ms();
            let purged = store.db().write(move |tx| purge(tx, now)).await.unwrap();
            assert_eq!(purged, 1);
        })
        .await;
    }

    #[test]
    fn one_customer_is_one_subject() {
        let subject = |text: &str| Subject::address(text.parse().unwrap());
        assert_eq!(subject("2001:db8::1"), subject("2001:db8::ffff:2"));
        assert_ne!(subject("2001:db8::1"), subject("2001:db8:0:1::1"));
        assert_eq!(subject("::ffff:192.0.2.1"), subject("192.0.2.1"));
        assert_ne!(subject("192.0.2.2"), subject("192.0.2.1"));
    }
}
