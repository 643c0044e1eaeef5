use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::condition::Condition;
use crate::db::count_statements;
use crate::password::Password;
use crate::path::Path;
use crate::testing::each_engine;
use crate::{Actor, Admission, NewAppPassword, NewUser, TransferOptions};

async fn user(store: &Store, name: &str) -> Caller {
    let new = NewUser {
        username: Some(name.into()),
        email: None,
        password: Password::new("correct horse"),
        access: crate::Access::User,
        quota_bytes: None,
    };
    let admission = Admission::Own(None);
    store.register(new, admission, None).await.unwrap();
    basic(store, name, "correct horse").await
}

async fn basic(store: &Store, name: &str, secret: &str) -> Caller {
    store.authenticate_basic(name, secret, None).await.unwrap()
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

async fn folders(store: &Store, caller: &Caller, paths: &[&str]) {
    for at in paths {
        store
            .make_folder(caller, &path(at), Condition::default())
            .await
            .unwrap();
    }
}

async fn found(store: &Store, caller: &Caller, text: &str) -> Vec<String> {
    let hits = store.search(caller, text, None, 100).await.unwrap();
    assert_eq!(hits.next, None);
    hits.items.into_iter().map(|hit| hit.path).collect()
}

#[tokio::test]
async fn names_are_found_without_regard_to_case_and_composition() {
    each_engine(async |store, _| {
        let alice = user(store, "alice").await;
        folders(
            store,
            &alice,
            &[
                "/B",
                "/B/Report 2024",
                "/a_report",
                "/u\u{308}bung",
                "/STRASSE",
                "/100%",
            ],
        )
        .await;
        let reports = ["/a_report", "/B/Report 2024"];
        assert_eq!(found(store, &alice, "REPORT").await, reports);
        assert_eq!(found(store, &alice, "\u{dc}BUNG").await, ["/u\u{308}bung"]);
        assert_eq!(found(store, &alice, "straße").await, ["/STRASSE"]);
        // Signs of the database's patterns are signs like others.
        assert_eq!(found(store, &alice, "%").await, ["/100%"]);
        assert_eq!(found(store, &alice, "_").await, ["/a_report"]);
        assert!(found(store, &alice, "\\").await.is_empty());
        assert!(found(store, &alice, "/").await.is_empty());
        for text in ["", &"x".repeat(256)] {
            let refused = store.search(&alice, text, None, 1).await;
            assert!(matches!(refused, Err(Error::Invalid { field: "q", .. })));
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_moved_and_copied_is_found_where_it_is_now() {
    each_engine(async |store, _| {
        let alice = user(store, "alice").await;
        folders(store, &alice, &["/One", "/One/Needle", "/two"]).await;
        let options = TransferOptions {
            overwrite: false,
            shallow: false,
            modified_ns: None,
        };
        let (from, copy) = (path("/One"), path("/two/Copy"));
        store
            .copy_tree(&alice, &from, &copy, options, Condition::default())
            .await
            .unwrap();
        store
            .move_tree(
                &alice,
                &from,
                &path("/moved"),
                options,
                Condition::default(),
            )
            .await
            .unwrap();
        let mut everywhere = found(store, &alice, "needle").await;
        everywhere.sort();
        assert_eq!(everywhere, ["/moved/Needle", "/two/Copy/Needle"]);
        store
            .delete(&alice, &path("/two"), Condition::default())
            .await
            .unwrap();
        assert_eq!(found(store, &alice, "needle").await, ["/moved/Needle"]);
        assert!(found(store, &alice, "one").await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn nobody_finds_what_is_outside_their_root() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        folders(store, &alice, &["/in", "/in/note", "/note"]).await;
        assert!(found(store, &bob, "note").await.is_empty());
        let confined = NewAppPassword {
            name: "device".into(),
            path: Some(path("/in")),
            read_only: true,
            ..NewAppPassword::default()
        };
        let (_, secret) = store
            .app_password_add(Actor::User(alice.user), alice.user, confined, None)
            .await
            .unwrap();
        let device = basic(store, "alice", &secret).await;
        assert_eq!(found(store, &device, "note").await, ["/note"]);
        assert!(found(store, &device, "in").await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn parts_make_the_whole_and_each_is_one_statement() {
    each_engine(async |store, _| {
        let alice = user(store, "alice").await;
        // Names that are equal without regard to case are told apart by their ids.
        folders(
            store,
            &alice,
            &["/x", "/X", "/x/x", "/x/X", "/X/x", "/ax", "/other"],
        )
        .await;
        let whole = found(store, &alice, "x").await;
        assert_eq!(whole.len(), 6);
        assert_eq!(whole[0], "/ax");
        let (mut parts, mut after) = (Vec::new(), None);
        loop {
            let statements = Arc::new(AtomicU64::new(0));
            let search = store.search(&alice, "x", after, 2);
            let hits = count_statements(Arc::clone(&statements), search).await;
            let hits = hits.unwrap();
            assert_eq!(statements.load(std::sync::atomic::Ordering::Relaxed), 1);
            parts.extend(hits.items.into_iter().map(|hit| hit.path));
            after = hits.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(parts, whole);
    })
    .await;
}
