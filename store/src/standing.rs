//! Whether what somebody was let in by still holds, asked long after they were let in.
//!
//! Unlike a request, asking is no use of the log-in: one that only listens ends like one that does
//! nothing.

mod rows;

use crate::caller::Caller;
use crate::error::Result;
use crate::id::{AppPasswordId, LoginId, UserId};
use crate::last_use::Used;
use crate::store::Store;

/// What a caller's credential is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It was revoked, has expired, or its account is gone or disabled.
    Ended,
    /// It holds; the time, in milliseconds since 1970-01-01 UTC, when it ends by itself, where
    /// that is known.
    Holds { until: Option<i64> },
}

impl Store {
    /// What the callers' credentials are worth, in this order. At most three statements, however
    /// many there are.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn standing(&self, callers: &[Caller]) -> Result<Vec<Standing>> {
        let logins: Vec<LoginId> = callers.iter().filter_map(|caller| caller.login).collect();
        let app_passwords: Vec<AppPasswordId> = callers
            .iter()
            .filter_map(|caller| caller.app_password)
            .collect();
        let users: Vec<UserId> = callers
            .iter()
            .filter(|caller| caller.password_version.is_some())
            .map(|caller| caller.user)
            .collect();
        let (logins, app_passwords, users) = self
            .db()
            .read(move |tx| {
                Ok((
                    rows::logins(tx, logins)?,
                    rows::app_passwords(tx, app_passwords)?,
                    rows::versions(tx, users)?,
                ))
            })
            .await?;
        let now = self.world().now_ms();
        let standing = |caller: &Caller| {
            if let Some(login) = caller.login {
                let used_at = *logins.get(&login)?;
                let until = self.idle_end(login, used_at);
                return (until >= now).then_some(Some(until));
            }
            if let Some(id) = caller.app_password {
                let until = *app_passwords.get(&id)?;
                return until.is_none_or(|until| until > now).then_some(until);
            }
            let version = users.get(&caller.user);
            let holds = version.is_some() && version == caller.password_version.as_ref();
            holds.then_some(None)
        };
        Ok(callers
            .iter()
            .map(|caller| match standing(caller) {
                None => Standing::Ended,
                Some(until) => Standing::Holds { until },
            })
            .collect())
    }

    /// When the log-in ends if it is not used any more. Another daemon may not have written its
    /// last minute yet.
    fn idle_end(&self, login: LoginId, used_at: i64) -> i64 {
        let uses = &self.credentials().uses;
        let noted = uses.last(Used::Login(login)).unwrap_or(0);
        used_at
            .max(noted)
            .saturating_add(self.idle_ms())
            .saturating_add(uses.interval_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestClock, each_engine};
    use crate::tests::user;
    use crate::{
        Access, Actor, Admission, NewAppPassword, NewUser, OwnChange, Password, UserChange,
    };

    const HOUR_MS: i64 = 3_600_000;
    const PASSWORD: &str = "correct horse";

    async fn register(store: &Store, name: &str) -> UserId {
        let new = NewUser {
            username: Some(name.into()),
            email: None,
            password: Password::new(PASSWORD),
            access: Access::User,
            quota_bytes: None,
        };
        let made = store.register(new, Admission::Own(None), None).await;
        made.unwrap().id
    }

    async fn by_login(store: &Store, name: &str) -> Caller {
        let password = Password::new(PASSWORD);
        let grant = store.login(name, &password, "", None).await.unwrap();
        let caller = store.login_caller(grant.login, grant.user.id).await;
        caller.unwrap()
    }

    async fn by_app_password(store: &Store, user: UserId, expires_at: Option<i64>) -> Caller {
        let new = NewAppPassword {
            name: "mount".into(),
            expires_at,
            ..NewAppPassword::default()
        };
        let added = store.app_password_add(Actor::User(user), user, new, None);
        let (_, secret) = added.await.unwrap();
        let caller = store.authenticate_basic("alice", &secret, None).await;
        caller.unwrap()
    }

    async fn holds(store: &Store, callers: &[Caller]) -> Vec<bool> {
        let standing = store.standing(callers).await.unwrap();
        standing
            .iter()
            .map(|standing| *standing != Standing::Ended)
            .collect()
    }

    #[tokio::test]
    async fn each_credential_ends_with_what_it_stands_on() {
        each_engine(async |store, _| {
            let id = register(store, "alice").await;
            register(store, "bob").await;
            let callers = [
                by_login(store, "alice").await,
                by_login(store, "alice").await,
                by_app_password(store, id, None).await,
                store
                    .authenticate_basic("alice", PASSWORD, None)
                    .await
                    .unwrap(),
                by_login(store, "bob").await,
            ];
            assert_eq!(holds(store, &callers).await, [true; 5]);
            store.logout(&callers[0], None).await.unwrap();
            assert_eq!(
                holds(store, &callers).await,
                [false, true, true, true, true]
            );
            let change = OwnChange {
                password: Some(Password::new("another horse")),
                ..OwnChange::default()
            };
            store
                .change_own(&callers[1], &Password::new(PASSWORD), change, None)
                .await
                .unwrap();
            let after = holds(store, &callers).await;
            assert_eq!((after[0], after[3], after[4]), (false, false, true));
            let app_password = callers[2].app_password.unwrap();
            store
                .app_password_revoke(Actor::User(id), id, app_password, None)
                .await
                .unwrap();
            assert!(!holds(store, &callers[2..3]).await[0]);
        })
        .await;
    }

    #[tokio::test]
    async fn a_disabled_account_has_no_credentials_that_hold() {
        each_engine(async |store, _| {
            let id = register(store, "alice").await;
            let callers = [
                by_login(store, "alice").await,
                by_app_password(store, id, None).await,
                store
                    .authenticate_basic("alice", PASSWORD, None)
                    .await
                    .unwrap(),
            ];
            let change = UserChange {
                disabled: Some(true),
                ..UserChange::default()
            };
            let changed = store.user_set(Actor::Console, id, change, None);
            changed.await.unwrap();
            assert_eq!(holds(store, &callers).await, [false; 3]);
        })
        .await;
    }

    #[tokio::test]
    async fn time_ends_them_too_and_asking_is_no_use() {
        each_engine(async |store, clock: &TestClock| {
            let id = register(store, "alice").await;
            let expires_at = store.world().now_ms() + HOUR_MS;
            let callers = [
                by_login(store, "alice").await,
                by_app_password(store, id, Some(expires_at)).await,
            ];
            let standing = store.standing(&callers).await.unwrap();
            let until = Some(expires_at);
            assert_eq!(standing[1], Standing::Holds { until });
            clock.advance_ms(HOUR_MS);
            assert_eq!(holds(store, &callers).await, [true, false]);
            clock.advance_ms(47 * HOUR_MS);
            assert!(holds(store, &callers).await[0]);
            clock.advance_ms(61_000);
            assert_eq!(holds(store, &callers).await, [false, false]);
        })
        .await;
    }

    #[tokio::test]
    async fn many_are_asked_for_at_once() {
        each_engine(async |store, _| {
            let callers: Vec<Caller> = {
                let mut callers = Vec::new();
                for number in 0..50 {
                    callers.push(user(store, &format!("user {number}"), 1).await);
                }
                callers
            };
            let counter = std::sync::Arc::default();
            let asked = crate::count_statements(std::sync::Arc::clone(&counter), async {
                store.standing(&callers).await.unwrap()
            });
            assert_eq!(asked.await.len(), 50);
            let statements = counter.load(std::sync::atomic::Ordering::Relaxed);
            assert!(statements <= 3, "{statements}");
        })
        .await;
    }
}
