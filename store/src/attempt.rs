//! Failed attempts and the delay they cost, shared by all daemons.
//!
//! An attempt on an account name is charged before the password is looked at and forgiven
//! when it was right, so that no number of parallel guesses gets past the delay. Names
//! that do not exist are charged alike. Addresses are charged for failures only: many
//! people may share one.

mod rows;

use std::net::IpAddr;
use std::time::Duration;

use crate::db::Tx;
use crate::digest::Digest;
use crate::error::{Error, Result};

/// Failures this long ago count no more.
const FORGOTTEN_AFTER_MS: i64 = 15 * 60 * 1000;
/// Longest delay: an attacker can keep an owner from logging in no longer than this.
const LONGEST: Duration = Duration::from_mins(1);

/// What is being counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subject(Digest);

impl Subject {
    /// Attempts on one account name, in its canonical form.
    pub fn name(key: &str) -> Self {
        Self(Digest::of(format!("name {key}").as_bytes()))
    }

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

/// What one customer of a provider usually has: an IPv4 address, or 64 bits of IPv6.
fn network(address: IpAddr) -> IpAddr {
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
/// before the next.
///
/// # Errors
/// [`Error::TooManyAttempts`] while the subject has to wait; then nothing is counted.
pub(crate) fn charge(tx: &mut Tx<'_>, subject: Subject, free: u32, now_ms: i64) -> Result<()> {
    let subject = subject.digest();
    // Counting first takes the row's lock, so that parallel attempts are told apart.
    let (failures, blocked_until) = rows::count(tx, subject, now_ms, FORGOTTEN_AFTER_MS)?;
    refuse_until(blocked_until, now_ms)?;
    if let Some(exponent) = failures.checked_sub(i64::from(free)).filter(|n| *n >= 0) {
        let seconds = 1_i64.checked_shl(u32::try_from(exponent).unwrap_or(62).min(62));
        let longest = i64::try_from(LONGEST.as_millis()).expect("a minute");
        let delay_ms = seconds.unwrap_or(longest).saturating_mul(1000).min(longest);
        rows::block(tx, subject, now_ms + delay_ms)?;
    }
    Ok(())
}

/// Forgets the subject's failures.
pub(crate) fn forgive(tx: &mut Tx<'_>, subject: Subject) -> Result<()> {
    rows::forget(tx, subject.digest())
}

/// Removes what counts no more; the number of subjects.
pub(crate) fn purge(tx: &mut Tx<'_>, now_ms: i64) -> Result<u64> {
    rows::purge(tx, now_ms - FORGOTTEN_AFTER_MS)
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
                    Ok(()) => 0,
                    Err(Error::TooManyAttempts { retry_after_s }) => retry_after_s,
                    Err(error) => panic!("{error}"),
                }
            };
            let alice = Subject::name("alice");
            assert_eq!(try_once(alice).await, 0);
            assert_eq!(try_once(alice).await, 0);
            assert_eq!(try_once(alice).await, 1);
            assert_eq!(try_once(Subject::name("bob")).await, 0);
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

    #[test]
    fn one_customer_is_one_subject() {
        let subject = |text: &str| Subject::address(text.parse().unwrap());
        assert_eq!(subject("2001:db8::1"), subject("2001:db8::ffff:2"));
        assert_ne!(subject("2001:db8::1"), subject("2001:db8:0:1::1"));
        assert_eq!(subject("::ffff:192.0.2.1"), subject("192.0.2.1"));
        assert_ne!(subject("192.0.2.2"), subject("192.0.2.1"));
    }
}
