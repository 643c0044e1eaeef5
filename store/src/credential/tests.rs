use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::caller::{Access, Actor};
use crate::db::{Tx, args, count_statements};
use crate::id::NodeId;
use crate::node;
use crate::path::{Name, Path};
use crate::testing::{TestClock, each_engine, each_engine_with};
use crate::user::{Admission, NewUser, User, UserChange};
use crate::{AppPassword, NewAppPassword};

const RIGHT: &str = "correct horse";

async fn add(store: &Store, name: &str, password: &str) -> User {
    let new = NewUser {
        username: Some(name.into()),
        email: None,
        password: Password::new(password),
        access: Access::User,
        quota_bytes: None,
    };
    store
        .register(new, Admission::Own(None), None)
        .await
        .unwrap()
}

async fn add_app_password(
    store: &Store,
    user: &User,
    new: NewAppPassword,
) -> (AppPassword, String) {
    let new = NewAppPassword {
        name: "mount".into(),
        ..new
    };
    store
        .app_password_add(Actor::User(user.id), user.id, new, None)
        .await
        .unwrap()
}

async fn basic(store: &Store, name: &str, secret: &str) -> Result<Caller> {
    store.authenticate_basic(name, secret, None).await
}

fn is_wrong(result: &Result<Caller>) -> bool {
    matches!(result, Err(Error::WrongCredentials))
}

#[tokio::test]
async fn five_hundred_requests_are_one_argon2_run() {
    each_engine(async |store, _| {
        let alice = add(store, "alice", RIGHT).await;
        let before = store.password_verifications();
        let requests: Vec<_> = (0..250)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { basic(&store, "alice", RIGHT).await.unwrap().user })
            })
            .collect();
        for request in requests {
            assert_eq!(request.await.unwrap(), alice.id);
        }
        for _ in 0..250 {
            assert!(basic(store, "alice", RIGHT).await.is_ok());
        }
        assert_eq!(store.password_verifications() - before, 1);
    })
    .await;
}

#[tokio::test]
async fn a_remembered_pair_costs_no_statement_where_we_own_the_data() {
    each_engine(async |store, _| {
        let alice = add(store, "alice", RIGHT).await;
        let (_, secret) = add_app_password(store, &alice, NewAppPassword::default()).await;
        let login = store
            .first_login(alice.id, "phone", None)
            .await
            .unwrap()
            .login;
        let warm = async || {
            basic(store, "alice", RIGHT).await.unwrap();
            basic(store, "alice", &secret).await.unwrap();
            store.login_caller(login, alice.id).await.unwrap();
        };
        warm().await;
        store.flush_uses().await.unwrap();
        let counter = Arc::new(AtomicU64::new(0));
        count_statements(Arc::clone(&counter), warm()).await;
        let expected = if store.db().is_exclusive() { 0 } else { 3 };
        assert_eq!(counter.load(Ordering::Relaxed), expected);
    })
    .await;
}

#[tokio::test]
async fn the_next_request_sees_what_changed() {
    each_engine(async |store, _| {
        let alice = add(store, "alice", RIGHT).await;
        let (made, secret) = add_app_password(store, &alice, NewAppPassword::default()).await;
        assert!(basic(store, "alice", RIGHT).await.is_ok());
        assert!(basic(store, "alice", &secret).await.is_ok());

        let set = async |change| {
            store
                .user_set(Actor::Console, alice.id, change, None)
                .await
                .unwrap();
        };
        set(UserChange {
            password: Some(Password::new("battery staple")),
            ..UserChange::default()
        })
        .await;
        assert!(is_wrong(&basic(store, "alice", RIGHT).await));
        assert!(basic(store, "alice", "battery staple").await.is_ok());
        assert!(basic(store, "alice", &secret).await.is_ok());

        store
            .app_password_revoke(Actor::User(alice.id), alice.id, made.id, None)
            .await
            .unwrap();
        assert!(is_wrong(&basic(store, "alice", &secret).await));

        set(UserChange {
            access: Some(Access::Administrator),
            ..UserChange::default()
        })
        .await;
        let caller = basic(store, "alice", "battery staple").await.unwrap();
        assert_eq!(caller.access, Access::Administrator);
        add(store, "spare", RIGHT).await;
    })
    .await;
}

#[tokio::test]
async fn wrong_is_wrong_whatever_was_wrong() {
    each_engine(async |store, _| {
        let alice = add(store, "alice", RIGHT).await;
        add(store, "bob", "other password").await;
        let (_, secret) = add_app_password(store, &alice, NewAppPassword::default()).await;
        let padded = format!("{RIGHT}\0");
        let long = "x".repeat(5000);
        for (name, given) in [
            ("alice", "other password"),
            ("bob", RIGHT),
            ("nobody", RIGHT),
            ("alice", ""),
            ("", RIGHT),
            ("", ""),
            ("alice", padded.as_str()),
            ("alice\0", RIGHT),
            ("bob", secret.as_str()),
            ("../alice", RIGHT),
            ("alice", long.as_str()),
            (long.as_str(), RIGHT),
        ] {
            let before = store.password_verifications();
            assert!(
                is_wrong(&basic(store, name, given).await),
                "{name:?} {given:?}"
            );
            // Equal work, whether there is such a name or not.
            assert_eq!(store.password_verifications() - before, 1);
        }
    })
    .await;
}

#[tokio::test]
async fn people_at_the_same_time_stay_apart() {
    each_engine(async |store, _| {
        let mut users = Vec::new();
        for index in 0..6 {
            let (name, password) = (format!("user{index}"), format!("password number {index}"));
            users.push((add(store, &name, &password).await.id, name, password));
        }
        let requests: Vec<_> = users
            .iter()
            .cycle()
            .take(60)
            .map(|(id, name, password)| {
                let (store, id) = (store.clone(), *id);
                let (name, password) = (name.clone(), password.clone());
                tokio::spawn(async move {
                    assert_eq!(basic(&store, &name, &password).await.unwrap().user, id);
                })
            })
            .collect();
        for request in requests {
            request.await.unwrap();
        }
        // The length in front tells these pairs apart.
        let credentials = store.credentials();
        assert_ne!(credentials.mac("ab", b"c"), credentials.mac("a", b"bc"));
    })
    .await;
}

#[tokio::test]
async fn guessing_has_to_wait_and_disturbs_nobody_else() {
    each_engine_with(
        |options| options.accounts.failures_per_account = 3,
        async |store, clock: &TestClock| {
            let alice = add(store, "alice", RIGHT).await;
            add(store, "bob", RIGHT).await;
            let (_, secret) = add_app_password(store, &alice, NewAppPassword::default()).await;
            for name in ["alice", "nobody"] {
                let guesses: Vec<_> = (0..20)
                    .map(|guess| {
                        let (store, name) = (store.clone(), name.to_owned());
                        tokio::spawn(async move {
                            basic(&store, &name, &format!("guess {guess}")).await
                        })
                    })
                    .collect();
                let (mut wrong, mut blocked) = (0, 0);
                for guess in guesses {
                    match guess.await.unwrap() {
                        Err(Error::WrongCredentials) => wrong += 1,
                        Err(Error::TooManyAttempts { retry_after_s: 1 }) => blocked += 1,
                        other => panic!("{other:?}"),
                    }
                }
                // However many come at once, and whether the name exists or not.
                assert_eq!((wrong, blocked), (3, 17), "{name}");
            }
            let blocked = basic(store, "alice", RIGHT).await;
            assert!(matches!(blocked, Err(Error::TooManyAttempts { .. })));
            assert!(basic(store, "bob", RIGHT).await.is_ok());
            // Nobody can guess these, so nobody can lock them out.
            assert!(basic(store, "alice", &secret).await.is_ok());
            clock.advance_ms(1000);
            assert!(basic(store, "alice", RIGHT).await.is_ok());
            assert!(is_wrong(&basic(store, "alice", "guess").await));
        },
    )
    .await;
}

#[tokio::test]
async fn a_stranger_who_knows_the_name_does_not_keep_the_owner_out() {
    each_engine_with(
        |options| options.accounts.failures_per_account = 3,
        async |store, _| {
            add(store, "alice", RIGHT).await;
            let stranger = Some([192, 0, 2, 1].into());
            for _ in 0..3 {
                let guess = store.authenticate_basic("alice", "guess", stranger).await;
                assert!(is_wrong(&guess));
            }
            let blocked = store.authenticate_basic("alice", RIGHT, stranger).await;
            assert!(matches!(blocked, Err(Error::TooManyAttempts { .. })));
            let owner = Some([192, 0, 2, 2].into());
            assert!(
                store
                    .authenticate_basic("alice", RIGHT, owner)
                    .await
                    .is_ok()
            );
        },
    )
    .await;
}

#[tokio::test]
async fn an_address_that_guesses_has_to_wait() {
    each_engine_with(
        |options| options.accounts.failures_per_address = 3,
        async |store, _| {
            add(store, "alice", RIGHT).await;
            let from = |text: &str| Some(text.parse().unwrap());
            for guess in 0..3 {
                let name = format!("name{guess}");
                let result = store
                    .authenticate_basic(&name, RIGHT, from("192.0.2.1"))
                    .await;
                assert!(is_wrong(&result));
            }
            let blocked = store
                .authenticate_basic("alice", RIGHT, from("192.0.2.1"))
                .await;
            assert!(matches!(blocked, Err(Error::TooManyAttempts { .. })));
            let elsewhere = store
                .authenticate_basic("alice", RIGHT, from("192.0.2.2"))
                .await;
            assert!(elsewhere.is_ok());
        },
    )
    .await;
}

#[tokio::test]
async fn what_is_remembered_is_looked_at_again() {
    each_engine(async |store, clock: &TestClock| {
        add(store, "alice", RIGHT).await;
        basic(store, "alice", RIGHT).await.unwrap();
        let before = store.password_verifications();
        clock.advance_ms(300_000);
        basic(store, "alice", RIGHT).await.unwrap();
        assert_eq!(store.password_verifications(), before);
        clock.advance_ms(1);
        basic(store, "alice", RIGHT).await.unwrap();
        assert_eq!(store.password_verifications(), before + 1);
    })
    .await;
}

/// A folder below the drive's root.
async fn make_folder(store: &Store, user: &User, parent: NodeId, name: &'static str) -> NodeId {
    let (folder, drive) = (NodeId::new(store.world()), user.drive);
    let insert = move |tx: &mut Tx<'_>| {
        node::rows::insert_folder(tx, folder, drive, 0)?;
        node::rows::insert_entry(tx, parent, &Name::new(name)?, folder)
    };
    store.db().write(insert).await.unwrap();
    folder
}

#[tokio::test]
async fn app_passwords_carry_their_limits() {
    each_engine(async |store, clock: &TestClock| {
        let (alice, bob) = (
            add(store, "alice", RIGHT).await,
            add(store, "bob", RIGHT).await,
        );
        let root = basic(store, "alice", RIGHT).await.unwrap().root;
        let outer = make_folder(store, &alice, root, "outer").await;
        let inner = make_folder(store, &alice, outer, "inner").await;
        let confined = NewAppPassword {
            name: "scanner".into(),
            path: Some(Path::parse("outer/inner").unwrap()),
            read_only: true,
            expires_at: Some(store.world().now_ms() + 60_000),
        };
        let of_another = store
            .app_password_add(Actor::User(bob.id), bob.id, confined.clone(), None)
            .await;
        assert!(matches!(of_another, Err(Error::NotFound)));
        let for_another = store
            .app_password_add(Actor::User(bob.id), alice.id, confined.clone(), None)
            .await;
        assert!(matches!(for_another, Err(Error::Forbidden)));

        let (made, secret) = add_app_password(store, &alice, confined).await;
        let caller = basic(store, "alice", &secret).await.unwrap();
        assert_eq!(
            (caller.root, caller.whole_drive, caller.read_only),
            (inner, false, true)
        );
        assert_eq!(caller.app_password, Some(made.id));
        // It is a device's key, not the person's.
        assert!(matches!(caller.require_person(), Err(Error::Forbidden)));
        let as_login = store
            .login("alice", &Password::new(&secret), "x", None)
            .await;
        assert!(matches!(as_login, Err(Error::WrongCredentials)));

        let listed = store
            .app_password_list(Actor::User(alice.id), alice.id)
            .await
            .unwrap();
        assert_eq!(listed[0].path, made.path);
        assert_eq!(listed[0].last_used_at, Some(store.world().now_ms()));
        clock.advance_ms(60_000);
        assert!(is_wrong(&basic(store, "alice", &secret).await));
    })
    .await;
}

#[tokio::test]
async fn an_app_password_ends_with_its_folder() {
    each_engine(async |store, _| {
        let alice = add(store, "alice", RIGHT).await;
        let root = basic(store, "alice", RIGHT).await.unwrap().root;
        let outer = make_folder(store, &alice, root, "outer").await;
        make_folder(store, &alice, outer, "inner").await;
        let confined = NewAppPassword {
            path: Some(Path::parse("outer/inner").unwrap()),
            ..NewAppPassword::default()
        };
        let (_, secret) = add_app_password(store, &alice, confined).await;
        assert!(basic(store, "alice", &secret).await.is_ok());
        let drive = alice.drive;
        let detach = move |tx: &mut Tx<'_>| {
            tx.execute("DELETE FROM entry WHERE node_id = $1", args![outer])?;
            tx.effect(crate::cache::Effect::Tree(drive));
            Ok(())
        };
        store.db().write(detach).await.unwrap();
        assert!(is_wrong(&basic(store, "alice", &secret).await));
    })
    .await;
}
