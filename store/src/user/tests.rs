use std::time::Duration;

use super::*;
use crate::caller::Caller;
use crate::db::args;
use crate::setting::SettingsChange;
use crate::testing::{after_waiting, each_engine, each_engine_with};

fn new_user(name: &str) -> NewUser {
    NewUser {
        username: Some(name.into()),
        email: Some(format!("{name}@example.org")),
        password: Password::new("correct horse"),
        access: Access::User,
        quota_bytes: None,
    }
}

async fn add(store: &Store, new: NewUser) -> Result<User> {
    store
        .register(new, Admission::By(Actor::Console), None)
        .await
}

async fn administrator(store: &Store, name: &str) -> User {
    let new = NewUser {
        access: Access::Administrator,
        ..new_user(name)
    };
    add(store, new).await.unwrap()
}

async fn caller(store: &Store, name: &str) -> Caller {
    store
        .authenticate_basic(name, "correct horse", None)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_account_has_an_empty_drive_of_the_default_size() {
    each_engine(async |store, _| {
        let made = store
            .register(new_user("alice"), Admission::Own(None), None)
            .await
            .unwrap();
        assert_eq!(made.usage.limit_bytes, 50_000_000_000);
        assert_eq!((made.usage.used_bytes, made.usage.files), (0, 0));
        assert_eq!(store.user(made.id).await.unwrap(), made);
        for text in ["ALICE", "Alice@Example.org", &made.id.to_string()] {
            assert_eq!(store.user_find(Actor::Console, text).await.unwrap(), made);
        }
        let caller = caller(store, "alice@EXAMPLE.org").await;
        assert_eq!((caller.user, caller.drive), (made.id, made.drive));
        assert!(caller.whole_drive && !caller.read_only);
    })
    .await;
}

#[tokio::test]
async fn one_name_is_enough() {
    each_engine(async |store, _| {
        let by_email = NewUser {
            username: None,
            ..new_user("carol")
        };
        let carol = add(store, by_email.clone()).await.unwrap();
        assert_eq!(carol.username, "carol@example.org");
        let by_name = NewUser {
            username: Some("dave@example.org".into()),
            email: None,
            ..by_email.clone()
        };
        let dave = add(store, by_name).await.unwrap();
        assert_eq!(dave.email, None);
        let neither = NewUser {
            email: None,
            ..by_email
        };
        assert!(matches!(
            add(store, neither).await,
            Err(Error::Invalid { .. })
        ));
    })
    .await;
}

#[tokio::test]
async fn names_and_addresses_share_one_space() {
    each_engine(async |store, _| {
        add(store, new_user("alice")).await.unwrap();
        for (username, email) in [
            ("ALICE", "new@example.org"),
            ("new", "Alice@example.org"),
            ("alice@example.org", "new@example.org"),
        ] {
            let new = NewUser {
                username: Some(username.into()),
                email: Some(email.into()),
                ..new_user("")
            };
            assert!(
                matches!(add(store, new).await, Err(Error::NameTaken)),
                "{username}"
            );
        }
        // Nothing of the refused ones is left.
        assert_eq!(
            store
                .user_list(Actor::Console, None, 10)
                .await
                .unwrap()
                .len(),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn who_registers_becomes_a_plain_user() {
    each_engine(async |store, _| {
        let greedy = NewUser {
            access: Access::Administrator,
            quota_bytes: Some(1 << 50),
            ..new_user("mallory")
        };
        let made = store
            .register(greedy, Admission::Own(None), None)
            .await
            .unwrap();
        assert_eq!(made.access, Access::User);
        assert_eq!(made.usage.limit_bytes, 50_000_000_000);
    })
    .await;
}

#[tokio::test]
async fn closed_doors_stay_closed_and_invitations_work_once() {
    each_engine(async |store, clock| {
        let root = administrator(store, "root").await;
        let admin = Actor::User(root.id);
        let register = async |name: &str, code: Option<&str>| {
            let admission = Admission::Own(code.map(str::to_owned));
            store.register(new_user(name), admission, None).await
        };
        let mode = async |mode| {
            let change = SettingsChange {
                registration: Some(Some(mode)),
                ..SettingsChange::default()
            };
            store.change_settings(admin, change, None).await.unwrap();
        };
        let day = Duration::from_hours(24);
        let (_, code) = store.invite(admin, day, None).await.unwrap();
        mode(Registration::Closed).await;
        for code in [None, Some(code.as_str())] {
            let refused = register("alice", code).await;
            assert!(matches!(refused, Err(Error::RegistrationClosed)));
        }
        mode(Registration::Invitation).await;
        for code in [None, Some("inv_made_up")] {
            let refused = register("root", code).await;
            assert!(matches!(refused, Err(Error::WrongInvitation)));
        }
        // A taken name does not use the invitation up.
        let taken = register("root", Some(&code)).await;
        assert!(matches!(taken, Err(Error::NameTaken)));
        let alice = register("alice", Some(&code)).await.unwrap();
        let used = register("bob", Some(&code)).await;
        assert!(matches!(used, Err(Error::WrongInvitation)));

        let (late, code) = store.invite(Actor::Console, day, None).await.unwrap();
        clock.advance_ms(24 * 3600 * 1000);
        let expired = register("bob", Some(&code)).await;
        assert!(matches!(expired, Err(Error::WrongInvitation)));
        let gone = store.invitation_revoke(admin, late.id, None).await;
        assert!(matches!(gone, Err(Error::NotFound)));
        for valid_for in [Duration::ZERO, 366 * day] {
            let refused = store.invite(admin, valid_for, None).await;
            assert!(matches!(refused, Err(Error::Invalid { .. })));
        }
        let by = Actor::User(alice.id);
        assert!(store.invite(by, day, None).await.is_err());
        assert!(store.invitation_list(by, None, 10).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn an_invitation_can_be_withdrawn() {
    each_engine(async |store, clock| {
        let root = administrator(store, "root").await;
        let (admin, day) = (Actor::User(root.id), Duration::from_hours(24));
        let (first, code) = store.invite(admin, day, None).await.unwrap();
        clock.advance_ms(1);
        let (second, _) = store.invite(Actor::Console, day, None).await.unwrap();
        let listed = store.invitation_list(admin, None, 10).await.unwrap();
        assert_eq!(listed, [first.clone(), second.clone()]);
        let rest = store.invitation_list(admin, Some(first.id), 10).await;
        assert_eq!(rest.unwrap(), [second]);
        let maker = first.created_by.unwrap();
        assert_eq!(maker.username.as_deref(), Some("root"));
        store
            .invitation_revoke(admin, first.id, None)
            .await
            .unwrap();

        let change = SettingsChange {
            registration: Some(Some(Registration::Invitation)),
            ..SettingsChange::default()
        };
        store.change_settings(admin, change, None).await.unwrap();
        let admission = Admission::Own(Some(code));
        let refused = store.register(new_user("alice"), admission, None).await;
        assert!(matches!(refused, Err(Error::WrongInvitation)));
    })
    .await;
}

#[tokio::test]
async fn who_registers_gets_the_quota_that_is_set() {
    each_engine(async |store, _| {
        let change = SettingsChange {
            default_quota_bytes: Some(Some(12_345)),
            ..SettingsChange::default()
        };
        store
            .change_settings(Actor::Console, change, None)
            .await
            .unwrap();
        let own = store
            .register(new_user("alice"), Admission::Own(None), None)
            .await
            .unwrap();
        let added = add(store, new_user("bob")).await.unwrap();
        for user in [own, added] {
            assert_eq!(user.usage.limit_bytes, 12_345);
        }
    })
    .await;
}

#[tokio::test]
async fn probing_for_names_has_to_wait() {
    each_engine_with(
        |options| options.accounts.failures_per_address = 2,
        async |store, _| {
            let from = Some("192.0.2.1".parse().unwrap());
            let register = async |name: &str| {
                store
                    .register(new_user(name), Admission::Own(None), from)
                    .await
            };
            register("alice").await.unwrap();
            assert!(matches!(register("alice").await, Err(Error::NameTaken)));
            assert!(matches!(register("alice").await, Err(Error::NameTaken)));
            let third = register("bob").await;
            assert!(matches!(
                third,
                Err(Error::TooManyAttempts { retry_after_s: 1 })
            ));
        },
    )
    .await;
}

#[tokio::test]
async fn the_first_administrator_is_made_once() {
    each_engine(async |store, _| {
        let password = Password::new("first of all");
        assert_eq!(store.administrator_name().await.unwrap(), None);
        let first = store
            .ensure_administrator(Some("admin"), None, &password)
            .await
            .unwrap();
        let FirstAdministrator::Created(user) = first else {
            panic!("there was one already");
        };
        assert_eq!(user.access, Access::Administrator);
        let again = store
            .ensure_administrator(Some("other"), None, &password)
            .await
            .unwrap();
        assert_eq!(again, FirstAdministrator::AlreadyThere);
        let name = store.administrator_name().await.unwrap();
        assert_eq!(name.as_deref(), Some("admin"));
    })
    .await;
}

#[tokio::test]
async fn somebody_always_administers() {
    each_engine(async |store, _| {
        let (one, two) = (
            administrator(store, "one").await,
            administrator(store, "two").await,
        );
        let demote = UserChange {
            access: Some(Access::User),
            ..UserChange::default()
        };
        let disable = UserChange {
            disabled: Some(true),
            ..UserChange::default()
        };
        // Both at once: one of them must stay.
        let (first, second) = tokio::join!(
            store.user_set(Actor::Console, one.id, demote.clone(), None),
            store.user_set(Actor::Console, two.id, disable.clone(), None),
        );
        let (refused, last) = match (first, second) {
            (Ok(_), Err(error)) => (error, two.id),
            (Err(error), Ok(_)) => (error, one.id),
            other => panic!("{other:?}"),
        };
        assert!(matches!(refused, Error::LastAdministrator));
        let is_refused = |result: Result<User>| matches!(result, Err(Error::LastAdministrator));
        assert!(is_refused(
            store.user_set(Actor::Console, last, demote, None).await
        ));
        assert!(is_refused(
            store.user_set(Actor::Console, last, disable, None).await
        ));
        let removed = store
            .user_remove(Actor::Console, last, crate::TagCondition::default(), None)
            .await;
        assert!(matches!(removed, Err(Error::LastAdministrator)));
    })
    .await;
}

#[tokio::test]
async fn only_administrators_administer() {
    each_engine(async |store, _| {
        let root = administrator(store, "root").await;
        let spare = administrator(store, "spare").await;
        let alice = add(store, new_user("alice")).await.unwrap();
        let quota = |bytes| UserChange {
            quota_bytes: Some(bytes),
            ..UserChange::default()
        };
        let by = Actor::User(alice.id);
        assert!(matches!(
            store.user_list(by, None, 1).await,
            Err(Error::Forbidden)
        ));
        assert!(matches!(
            store.user_find(by, "root").await,
            Err(Error::Forbidden)
        ));
        assert!(matches!(
            store.user_set(by, alice.id, quota(1), None).await,
            Err(Error::Forbidden)
        ));
        assert!(matches!(
            store
                .user_remove(by, root.id, crate::TagCondition::default(), None)
                .await,
            Err(Error::Forbidden)
        ));

        let by = Actor::User(root.id);
        let changed = store.user_set(by, alice.id, quota(7), None).await.unwrap();
        assert_eq!(changed.usage.limit_bytes, 7);
        // Rights are those of now, not those of the credential.
        let demote = UserChange {
            access: Some(Access::User),
            ..UserChange::default()
        };
        store
            .user_set(Actor::User(spare.id), root.id, demote, None)
            .await
            .unwrap();
        assert!(matches!(
            store.user_set(by, alice.id, quota(8), None).await,
            Err(Error::Forbidden)
        ));
    })
    .await;
}

#[tokio::test]
async fn without_overcommit_limits_sum_to_the_capacity_at_most() {
    each_engine_with(
        |options| options.overcommit = false,
        async |store, _| {
            store
                .db()
                .write(|tx| {
                    tx.execute(
                        "UPDATE capacity SET limit_bytes = 4096 WHERE id = 1",
                        args![],
                    )
                })
                .await
                .unwrap();
            let with_quota = |name: &str, bytes| NewUser {
                quota_bytes: Some(bytes),
                ..new_user(name)
            };
            let alice = add(store, with_quota("alice", 3072)).await.unwrap();
            let too_much = add(store, with_quota("bob", 2048)).await;
            assert!(matches!(too_much, Err(Error::CapacityExceeded)));
            add(store, with_quota("bob", 1024)).await.unwrap();
            let raise = UserChange {
                quota_bytes: Some(4096),
                ..UserChange::default()
            };
            let raised = store.user_set(Actor::Console, alice.id, raise, None).await;
            assert!(matches!(raised, Err(Error::CapacityExceeded)));
        },
    )
    .await;
}

#[tokio::test]
async fn people_change_their_account_with_their_password() {
    each_engine(async |store, _| {
        add(store, new_user("alice")).await.unwrap();
        let me = caller(store, "alice").await;
        let (old, new) = (
            Password::new("correct horse"),
            Password::new("battery staple"),
        );
        let change = || OwnChange {
            password: Some(new.clone()),
            email: Some(Some("a@example.net".into())),
            ..OwnChange::default()
        };
        let refused = store.change_own(&me, &new, change(), None).await;
        assert!(matches!(refused, Err(Error::WrongCredentials)));
        let changed = store.change_own(&me, &old, change(), None).await.unwrap();
        assert_eq!(changed.email.as_deref(), Some("a@example.net"));

        let basic = async |name, secret| store.authenticate_basic(name, secret, None).await;
        assert!(basic("alice", "correct horse").await.is_err());
        assert!(basic("alice@example.org", "battery staple").await.is_err());
        assert!(basic("a@example.net", "battery staple").await.is_ok());
        // The address that was given up is free.
        add(store, new_user("alice2")).await.unwrap();
        let taken = OwnChange {
            email: Some(Some("alice2@example.org".into())),
            ..OwnChange::default()
        };
        let taken = store.change_own(&me, &new, taken, None).await;
        assert!(matches!(taken, Err(Error::NameTaken)));
    })
    .await;
}

#[tokio::test]
async fn removing_an_account_leaves_its_tree_to_the_purge_and_nothing_else() {
    each_engine(async |store, _| {
        let alice = add(store, new_user("alice")).await.unwrap();
        let me = caller(store, "alice").await;
        let token = store.first_login(alice.id, "phone", None).await.unwrap();
        let new = crate::NewAppPassword {
            name: "mount".into(),
            ..Default::default()
        };
        let owner = Actor::User(alice.id);
        let (_, secret) = store
            .app_password_add(owner, alice.id, new, None)
            .await
            .unwrap();
        // As if 100 bytes were stored and 20 promised.
        let (drive, root) = (me.drive, me.root);
        let charge = move |tx: &mut Tx<'_>| {
            tx.execute(
                "UPDATE drive SET used_bytes = 100, reserved_bytes = 20 WHERE id = $1",
                args![drive],
            )?;
            tx.execute(
                "UPDATE capacity SET used_bytes = 150, reserved_bytes = 30 WHERE id = 1",
                args![],
            )
        };
        store.db().write(charge).await.unwrap();

        let wrong = Password::new("not that one");
        assert!(
            store
                .remove_own(&me, &wrong, crate::TagCondition::default(), None)
                .await
                .is_err()
        );
        store
            .remove_own(
                &me,
                &Password::new("correct horse"),
                crate::TagCondition::default(),
                None,
            )
            .await
            .unwrap();

        assert!(
            store
                .authenticate_basic("alice", "correct horse", None)
                .await
                .is_err()
        );
        assert!(
            store
                .authenticate_basic("alice", &secret, None)
                .await
                .is_err()
        );
        assert!(store.login_caller(token.login, alice.id).await.is_err());
        assert!(store.refresh(&token.refresh_token, None).await.is_err());
        assert!(matches!(store.user(alice.id).await, Err(Error::NotFound)));
        let left = store
            .db()
            .read(move |tx| {
                let trashed = tx.first(
                    "SELECT node_id FROM trash WHERE drive_id = $1",
                    args![drive],
                    |row| row.get(0),
                )?;
                let capacity = tx.first(
                    "SELECT used_bytes, reserved_bytes FROM capacity WHERE id = 1",
                    args![],
                    |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?)),
                )?;
                Ok((trashed, capacity))
            })
            .await
            .unwrap();
        assert_eq!(left, (Some(root), Some((50, 10))));
        // The name is free again, for another drive.
        let again = add(store, new_user("alice")).await.unwrap();
        assert_ne!((again.id, again.drive), (alice.id, alice.drive));
    })
    .await;
}

#[tokio::test]
async fn the_view_of_accounts_holds_what_was_promised() {
    each_engine(async |store, _| {
        let alice = add(store, new_user("alice")).await.unwrap();
        let row =
            store
                .db()
                .read(|tx| {
                    tx.first(
                    "SELECT id, email, username, password, space, \"create\", access FROM accounts",
                    args![],
                    |row| {
                        let texts = [row.get::<String>(1)?, row.get(2)?, row.get(3)?, row.get(6)?];
                        Ok((row.get::<UserId>(0)?, texts, row.get::<i64>(4)?, row.get::<i64>(5)?))
                    },
                )
                })
                .await
                .unwrap();
        let (id, [email, username, password, access], space, created_at) = row.unwrap();
        assert_eq!((id, space, created_at), (alice.id, 0, alice.created_at));
        assert_eq!(
            [&*email, &*username, &*access],
            ["alice@example.org", "alice", "user"]
        );
        assert!(password.starts_with("$argon2id$"));
    })
    .await;
}

#[tokio::test]
async fn an_administrator_renames() {
    each_engine(async |store, _| {
        let alice = add(store, new_user("alice")).await.unwrap();
        add(store, new_user("bob")).await.unwrap();
        let rename = async |name: &str| {
            let change = UserChange {
                username: Some(name.into()),
                ..UserChange::default()
            };
            store.user_set(Actor::Console, alice.id, change, None).await
        };
        assert!(matches!(rename("Bob").await, Err(Error::NameTaken)));
        let renamed = rename("Alicia").await.unwrap();
        assert_eq!(renamed.username, "Alicia");
        assert_eq!(renamed.email, alice.email);
        assert_eq!(caller(store, "alicia").await.user, alice.id);
        let former = store
            .authenticate_basic("alice", "correct horse", None)
            .await;
        assert!(former.is_err());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waited_for_an_account_sees_its_drive_as_it_is_by_then() {
    each_engine(async |store, _| {
        let alice = crate::tests::user(store, "alice", 5).await;
        let (id, drive) = (alice.user, alice.drive);
        let change = move |tx: &mut Tx<'_>| {
            rows::lock(tx, id)?;
            drive::rows::set_limit(tx, drive, 7)
        };
        let seen = after_waiting(store, change, move |tx| rows::lock(tx, id)).await;
        assert_eq!(seen.usage.limit_bytes, 7);
    })
    .await;
}
