use super::*;
use crate::caller::{Access, Actor};
use crate::testing::{TestClock, each_engine};
use crate::user::{Admission, NewUser, OwnChange, UserChange};

const HOUR_MS: i64 = 3_600_000;

async fn alice(store: &Store) -> LoginGrant {
    let new = NewUser {
        username: Some("alice".into()),
        email: None,
        password: Password::new("correct horse"),
        access: Access::User,
        quota_bytes: None,
    };
    store
        .register(new, Admission::Own(None), None)
        .await
        .unwrap();
    login(store).await.unwrap()
}

async fn login(store: &Store) -> Result<LoginGrant> {
    store
        .login("alice", &Password::new("correct horse"), "laptop", None)
        .await
}

async fn is_alive(store: &Store, grant: &LoginGrant) -> bool {
    match store.login_caller(grant.login, grant.user.id).await {
        Ok(caller) => {
            assert_eq!(caller.login, Some(grant.login));
            true
        }
        Err(Error::WrongCredentials) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_login_that_is_used_stays_and_one_that_is_not_ends() {
    each_engine(async |store, clock: &TestClock| {
        let grant = alice(store).await;
        for _ in 0..3 {
            clock.advance_ms(48 * HOUR_MS);
            assert!(is_alive(store, &grant).await);
            // A second use within the minute, which is not written at once.
            clock.advance_ms(30_000);
            assert!(is_alive(store, &grant).await);
        }
        assert_eq!(store.purge_logins().await.unwrap(), 0);
        clock.advance_ms(48 * HOUR_MS + 1);
        assert!(!is_alive(store, &grant).await);
        assert!(store.refresh(&grant.refresh_token, None).await.is_err());
        clock.advance_ms(60_000);
        assert_eq!(store.purge_logins().await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn app_passwords_do_not_keep_logins_alive() {
    each_engine(async |store, clock: &TestClock| {
        let grant = alice(store).await;
        let new = crate::NewAppPassword {
            name: "mount".into(),
            ..Default::default()
        };
        let owner = Actor::User(grant.user.id);
        let (_, secret) = store
            .app_password_add(owner, grant.user.id, new, None)
            .await
            .unwrap();
        clock.advance_ms(48 * HOUR_MS + 1);
        assert!(
            store
                .authenticate_basic("alice", &secret, None)
                .await
                .is_ok()
        );
        assert!(!is_alive(store, &grant).await);
    })
    .await;
}

#[tokio::test]
async fn refreshing_rotates_and_a_copied_token_ends_the_login() {
    each_engine(async |store, _| {
        let first = alice(store).await;
        let second = store.refresh(&first.refresh_token, None).await.unwrap();
        assert_eq!(second.login, first.login);
        let third = store.refresh(&second.refresh_token, None).await.unwrap();
        assert!(is_alive(store, &third).await);
        // Two rotations ago, and still recognised.
        assert!(store.refresh(&first.refresh_token, None).await.is_err());
        assert!(!is_alive(store, &third).await);
        assert!(store.refresh(&third.refresh_token, None).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn of_two_refreshes_at_once_one_is_a_copy() {
    each_engine(async |store, _| {
        let grant = alice(store).await;
        let (one, two) = tokio::join!(
            store.refresh(&grant.refresh_token, None),
            store.refresh(&grant.refresh_token, None),
        );
        assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1);
        assert!(!is_alive(store, &grant).await);
    })
    .await;
}

#[tokio::test]
async fn tokens_that_we_never_gave_are_nothing() {
    each_engine(async |store, _| {
        let grant = alice(store).await;
        for token in ["", "cfr_", "cfr_AAAA", &format!("cfr_{}", "A".repeat(86))] {
            assert!(matches!(
                store.refresh(token, None).await,
                Err(Error::WrongCredentials)
            ));
        }
        assert!(is_alive(store, &grant).await);
    })
    .await;
}

#[tokio::test]
async fn logging_out_ends_this_login_only() {
    each_engine(async |store, clock: &TestClock| {
        let one = alice(store).await;
        clock.advance_ms(1);
        let two = login(store).await.unwrap();
        let caller = store.login_caller(one.login, one.user.id).await.unwrap();
        let listed = store.logins(&caller).await.unwrap();
        let listed: Vec<_> = listed
            .iter()
            .map(|login| (login.id, login.is_current))
            .collect();
        assert_eq!(listed, [(two.login, false), (one.login, true)]);
        store.logout(&caller, None).await.unwrap();
        assert!(!is_alive(store, &one).await);
        assert!(store.refresh(&one.refresh_token, None).await.is_err());
        assert!(is_alive(store, &two).await);
        store
            .logout_by_token(&two.refresh_token, None)
            .await
            .unwrap();
        assert!(!is_alive(store, &two).await);
    })
    .await;
}

#[tokio::test]
async fn nobody_ends_or_uses_anothers_login() {
    each_engine(async |store, _| {
        let grant = alice(store).await;
        let new = NewUser {
            username: Some("bob".into()),
            email: None,
            password: Password::new("correct horse"),
            access: Access::User,
            quota_bytes: None,
        };
        let bob = store
            .register(new, Admission::Own(None), None)
            .await
            .unwrap();
        let caller = store
            .authenticate_basic("bob", "correct horse", None)
            .await
            .unwrap();
        let ended = store.revoke_login(&caller, grant.login, None).await;
        assert!(matches!(ended, Err(Error::NotFound)));
        assert!(is_alive(store, &grant).await);
        assert!(store.login_caller(grant.login, bob.id).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_new_password_ends_the_other_logins() {
    each_engine(async |store, _| {
        let (mine, other) = (alice(store).await, login(store).await.unwrap());
        assert!(is_alive(store, &other).await);
        let caller = store.login_caller(mine.login, mine.user.id).await.unwrap();
        let change = OwnChange {
            password: Some(Password::new("battery staple")),
            ..OwnChange::default()
        };
        let old = Password::new("correct horse");
        store.change_own(&caller, &old, change, None).await.unwrap();
        assert!(is_alive(store, &mine).await);
        assert!(!is_alive(store, &other).await);
        assert!(login(store).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn disabling_ends_every_login_for_good() {
    each_engine(async |store, _| {
        let grant = alice(store).await;
        assert!(is_alive(store, &grant).await);
        for disabled in [true, false] {
            let change = UserChange {
                disabled: Some(disabled),
                ..UserChange::default()
            };
            store
                .user_set(Actor::Console, grant.user.id, change, None)
                .await
                .unwrap();
            assert!(!is_alive(store, &grant).await);
            assert_eq!(login(store).await.is_err(), disabled);
        }
    })
    .await;
}
