use super::*;
use crate::caller::Access;
use crate::db::args;
use crate::password::Password;
use crate::testing::{each_engine, each_engine_with};
use crate::{Admission, NewAppPassword, NewUser, User, UserChange};

async fn add(store: &Store, name: &str, access: Access) -> User {
    let new = NewUser {
        username: Some(name.into()),
        email: None,
        password: Password::new("correct horse"),
        access,
        quota_bytes: None,
    };
    let admission = Admission::By(Actor::Console);
    store.register(new, admission, None).await.unwrap()
}

async fn lines(store: &Store, filter: AuditFilter) -> Vec<AuditLine> {
    store
        .audit(Actor::Console, filter, None, 100)
        .await
        .unwrap()
}

#[tokio::test]
async fn who_did_what_to_whom_from_where_and_when() {
    each_engine(async |store, clock| {
        let root = add(store, "root", Access::Administrator).await;
        let alice = add(store, "alice", Access::User).await;
        clock.advance_ms(1000);
        let from = Some("192.0.2.1".parse().unwrap());
        let change = UserChange {
            quota_bytes: Some(7),
            disabled: Some(true),
            ..UserChange::default()
        };
        let admin = Actor::User(root.id);
        store.user_set(admin, alice.id, change, from).await.unwrap();
        let done = AuditFilter {
            account: Some(alice.id),
            action: Some(AuditAction::UserQuota),
        };
        let [line]: [_; 1] = lines(store, done).await.try_into().unwrap();
        let named = |user: &User| {
            Some(Party {
                id: user.id,
                username: Some(user.username.clone()),
            })
        };
        assert_eq!((&line.by, &line.account), (&named(&root), &named(&alice)));
        assert_eq!(line.detail, "50000000000 -> 7");
        assert_eq!(line.address.as_deref(), Some("192.0.2.1"));
        assert_eq!(line.at, store.world().now_ms());

        // A removed account keeps its lines, and the last of them its name.
        store
            .user_remove(admin, alice.id, crate::TagCondition::default(), from)
            .await
            .unwrap();
        let of_alice = AuditFilter {
            account: Some(alice.id),
            action: None,
        };
        let left = lines(store, of_alice).await;
        assert_eq!(left.len(), 4, "{left:#?}");
        assert!(left.iter().all(|line| line.account
            == Some(Party {
                id: alice.id,
                username: None
            })));
        let removal = AuditFilter {
            action: Some(AuditAction::UserRemove),
            ..AuditFilter::default()
        };
        assert_eq!(lines(store, removal).await[0].detail, "alice");
        // What root did counts as root's, whomever it was done to.
        let of_root = AuditFilter {
            account: Some(root.id),
            action: None,
        };
        assert_eq!(lines(store, of_root).await.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_refused_change_leaves_no_line_and_no_line_goes() {
    each_engine(async |store, _| {
        let alice = add(store, "alice", Access::User).await;
        let by = Actor::User(alice.id);
        assert!(
            store
                .user_remove(by, alice.id, crate::TagCondition::default(), None)
                .await
                .is_err()
        );
        assert!(store.note_job_run(by, "sweep", None).await.is_err());
        let refused = store.audit(by, AuditFilter::default(), None, 1).await;
        assert!(matches!(refused, Err(Error::Forbidden)));
        assert_eq!(lines(store, AuditFilter::default()).await.len(), 1);
        for sql in ["DELETE FROM audit", "UPDATE audit SET detail = 'x'"] {
            let tampered = store.db().write(move |tx| tx.execute(sql, args![])).await;
            assert!(tampered.is_err());
        }
        assert_eq!(lines(store, AuditFilter::default()).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_trail_is_read_in_parts_from_its_end() {
    each_engine(async |store, clock| {
        let alice = add(store, "alice", Access::User).await;
        for number in 0..5 {
            clock.advance_ms(1);
            let new = NewAppPassword {
                name: format!("device {number}"),
                ..NewAppPassword::default()
            };
            let added = store.app_password_add(Actor::User(alice.id), alice.id, new, None);
            added.await.unwrap();
        }
        let all = lines(store, AuditFilter::default()).await;
        assert_eq!(all.len(), 6);
        assert!(all.windows(2).all(|pair| pair[0].id > pair[1].id));
        for filter in [
            AuditFilter::default(),
            AuditFilter {
                account: Some(alice.id),
                action: None,
            },
        ] {
            let mut read = Vec::new();
            while let Ok(part) = store
                .audit(
                    Actor::Console,
                    filter,
                    read.last().map(|l: &AuditLine| l.id),
                    4,
                )
                .await
                && !part.is_empty()
            {
                read.extend(part);
            }
            assert_eq!(read, all);
        }
    })
    .await;
}

#[tokio::test]
async fn a_delay_is_written_down_once() {
    each_engine_with(
        |options| {
            options.accounts.failures_per_account = 3;
            options.accounts.failures_per_address = 5;
        },
        async |store, clock| {
            let alice = add(store, "alice", Access::User).await;
            let from = Some("192.0.2.1".parse().unwrap());
            for name in ["alice", "nobody"] {
                for guess in 0..6 {
                    let guess = format!("guess {guess}");
                    let tried = store.authenticate_basic(name, &guess, from).await;
                    assert!(tried.is_err());
                }
                clock.advance_ms(5000);
            }
            let blocked = AuditFilter {
                action: Some(AuditAction::LoginBlocked),
                ..AuditFilter::default()
            };
            let mut found = lines(store, blocked).await;
            found.reverse();
            let found: Vec<_> = found
                .iter()
                .map(|line| (line.account.as_ref().map(|a| a.id), line.detail.as_str()))
                .collect();
            let expected = [(Some(alice.id), "account"), (None, "address")];
            assert_eq!(found, expected);
            // A right password at the last free attempt is no attack.
            let from = Some("192.0.2.2".parse().unwrap());
            clock.advance_ms(3_600_000);
            for secret in ["wrong", "wrong again", "correct horse"] {
                let _ = store.authenticate_basic("alice", secret, from).await;
            }
            let again = lines(store, blocked).await;
            assert_eq!(again.len(), found.len());
        },
    )
    .await;
}

#[test]
fn every_action_has_a_word_of_its_own() {
    for action in AuditAction::ALL {
        assert_eq!(AuditAction::parse(action.as_str()).unwrap(), *action);
    }
    assert!(AuditAction::parse("user.eat").is_err());
}
