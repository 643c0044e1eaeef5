//! Locks of files with several names.

use super::{bind, folder_of, kept, lock, must_be_sound, put_with, try_bind};
use crate::grant::tests::{folder, path, reach, share, user};
use crate::testing::{each_engine, each_engine_with};
use crate::tests::put;
use crate::{Caller, Condition, Error, Right, Store};

fn holding(token: &str) -> Condition {
    Condition {
        lock_tokens: vec![token.to_owned()],
        ..Condition::default()
    }
}

/// What `/s` leads to for bob, who may write there.
async fn of_bob(store: &Store, alice: &Caller) -> Caller {
    let bob = user(store, "bob").await;
    share(store, alice, "/s", "bob", Right::Write).await;
    let reached = reach(store, &bob, "/Shared with me/s/x").await.unwrap();
    reached.caller
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receivers_lock_ends_with_the_last_name_that_they_reach() {
    for gone in ["/x", "/sub"] {
        each_engine_with(kept, async |store, _| {
            let alice = user(store, "alice").await;
            for at in ["/s/sub", "/private"] {
                folder(store, &alice, at).await;
            }
            put(store, &alice, "/private/x", b"one").await.unwrap();
            bind(store, &alice, "/private/x", "/s/x").await;
            bind(store, &alice, "/private/x", "/s/sub/x").await;
            let bob = of_bob(store, &alice).await;
            lock(store, &bob, "/x", "t", false).await.unwrap();
            let other = if gone == "/x" { "/sub" } else { "/x" };
            store
                .delete(&bob, &path(other), holding("t"))
                .await
                .unwrap();
            // There is one left by which bob may write.
            let refused = put_with(store, &alice, "/private/x", &[]).await;
            assert!(matches!(refused, Err(Error::Locked { .. })));
            store.delete(&bob, &path(gone), holding("t")).await.unwrap();
            put_with(store, &alice, "/private/x", &[]).await.unwrap();
            // The owner's own stay.
            lock(store, &alice, "/private/x", "o", false).await.unwrap();
            bind_and_delete(store, &alice).await;
            let refused = put_with(store, &alice, "/private/x", &[]).await;
            assert!(matches!(refused, Err(Error::Locked { .. })));
            must_be_sound(store).await;
        })
        .await;
    }
}

async fn bind_and_delete(store: &Store, alice: &Caller) {
    let (into, name) = folder_of("/s/y");
    let file = path("/private/x");
    let bound = store.bind(alice, &into, name, &file, false, holding("o"));
    bound.await.unwrap();
    store
        .delete(alice, &path("/s/y"), holding("o"))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_moves_leaves_the_lock_of_a_file_with_a_name_outside() {
    each_engine(async |store, _| {
        let alice = user(store, "alice").await;
        folder(store, &alice, "/d/sub").await;
        put(store, &alice, "/d/sub/x", b"one").await.unwrap();
        bind(store, &alice, "/d/sub/x", "/y").await;
        put(store, &alice, "/d/in", b"in").await.unwrap();
        bind(store, &alice, "/d/in", "/d/sub/in").await;
        lock(store, &alice, "/y", "t", false).await.unwrap();
        lock(store, &alice, "/d/in", "in", false).await.unwrap();
        let tokens = Condition {
            lock_tokens: vec!["t".into(), "in".into()],
            ..Condition::default()
        };
        let (from, to) = (path("/d"), path("/e"));
        let moved = store.move_tree(&alice, &from, &to, super::REPLACE, tokens);
        moved.await.unwrap();
        for at in ["/y", "/e/sub/x"] {
            let refused = put_with(store, &alice, at, &[]).await;
            assert!(matches!(refused, Err(Error::Locked { .. })), "{at}");
            put_with(store, &alice, at, &["t"]).await.unwrap();
        }
        // All names of this one have moved.
        put_with(store, &alice, "/e/in", &[]).await.unwrap();
        must_be_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_has_locked_gets_no_name() {
    each_engine(async |store, _| {
        let alice = user(store, "alice").await;
        for at in ["/s", "/locked"] {
            folder(store, &alice, at).await;
        }
        put(store, &alice, "/s/x", b"one").await.unwrap();
        let bob = of_bob(store, &alice).await;
        lock(store, &bob, "/x", "t", false).await.unwrap();
        let refused = try_bind(store, &alice, "/s/x", "/y", false).await;
        let Err(Error::Locked { paths }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(paths, ["/s/x"]);
        super::unlock(store, &bob, "/x").await;
        // What one has locked oneself is another matter.
        lock(store, &alice, "/s/x", "t", false).await.unwrap();
        bind(store, &alice, "/s/x", "/y").await;
        must_be_sound(store).await;
    })
    .await;
}
