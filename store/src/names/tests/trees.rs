//! Names in trees that are deleted, purged, copied and moved.

use super::{bind, copy, delete, go, kept, links, lock, must_be_sound, node, put_with};
use crate::chunk::tests::noise;
use crate::grant::tests::{folder, path, user};
use crate::testing::{each_engine, each_engine_with, purge_to_none};
use crate::tests::{get, put};
use crate::{Actor, Condition, TagCondition};

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_folder_takes_along_only_what_has_no_name_elsewhere() {
    each_engine_with(kept, async |store, _| {
        let alice = user(store, "alice").await;
        folder(store, &alice, "/d/sub").await;
        let long = noise(1, 9_000_000);
        put(store, &alice, "/d/stays", &long).await.unwrap();
        bind(store, &alice, "/d/stays", "/stays").await;
        bind(store, &alice, "/d/stays", "/d/sub/stays").await;
        put(store, &alice, "/d/goes", b"goes").await.unwrap();
        bind(store, &alice, "/d/goes", "/d/sub/goes").await;
        assert_eq!(links(store, &alice, "/stays").await, 3);
        lock(store, &alice, "/d/stays", "t", false).await.unwrap();
        let tokens = Condition {
            lock_tokens: vec!["t".into()],
            ..Condition::default()
        };
        let deleted = store.delete(&alice, &path("/d"), tokens).await.unwrap();
        assert_eq!(links(store, &alice, "/stays").await, 1);
        assert_eq!(get(store, &alice, "/stays").await.unwrap(), long);
        let put_locked = put_with(store, &alice, "/stays", &[]).await;
        assert!(put_locked.is_err(), "the lock stays with the file");
        let trashed = store.trash(&alice, None, 10).await.unwrap();
        assert_eq!((trashed[0].files, trashed[0].size_bytes), (1, 4));
        let usage = store.usage(&alice).await.unwrap();
        assert_eq!((usage.files, usage.used_bytes), (1, 9_000_004));
        must_be_sound(store).await;
        let back = store.restore(&alice, deleted.node.id, None, Condition::default());
        back.await.unwrap();
        assert_eq!(node(store, &alice, "/d/stays").await, None);
        assert_eq!(links(store, &alice, "/d/goes").await, 2);
        assert_eq!(get(store, &alice, "/d/sub/goes").await.unwrap(), b"goes");
        must_be_sound(store).await;
        delete(store, &alice, "/d").await;
        store.empty_trash(&alice, false).await.unwrap();
        must_be_sound(store).await;
        assert_eq!(get(store, &alice, "/stays").await.unwrap(), long);
        assert_eq!(store.usage(&alice).await.unwrap().used_bytes, 9_000_000);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_purged_once_with_the_last_of_its_names() {
    each_engine(async |store, _| {
        let alice = user(store, "alice").await;
        folder(store, &alice, "/d/one/deep").await;
        folder(store, &alice, "/d/two").await;
        let long = noise(2, 5_000_000);
        // The same bytes elsewhere must outlive it.
        put(store, &alice, "/same", &long).await.unwrap();
        put(store, &alice, "/d/a", &long).await.unwrap();
        for to in ["/d/b", "/d/one/a", "/d/one/deep/a", "/d/two/a"] {
            bind(store, &alice, "/d/a", to).await;
        }
        put(store, &alice, "/d/one/own", b"small").await.unwrap();
        delete(store, &alice, "/d").await;
        assert_eq!(store.usage(&alice).await.unwrap().used_bytes, 5_000_000);
        // Sound at each step on the way.
        while store.purge_trash().await.unwrap() {
            assert_eq!(store.check_references().await.unwrap(), [""; 0]);
        }
        purge_to_none(store, "node WHERE links > 1").await;
        store.sweep(false).await.unwrap();
        assert_eq!(get(store, &alice, "/same").await.unwrap(), long);
        must_be_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_goes_with_all_names_of_its_files() {
    each_engine_with(kept, async |store, _| {
        let alice = user(store, "alice").await;
        folder(store, &alice, "/d/one").await;
        put(store, &alice, "/d/a", b"one").await.unwrap();
        bind(store, &alice, "/d/a", "/b").await;
        bind(store, &alice, "/d/a", "/d/one/b").await;
        put(store, &alice, "/d/a", b"two").await.unwrap();
        store
            .user_remove(Actor::Console, alice.user, TagCondition::default(), None)
            .await
            .unwrap();
        must_be_sound(store).await;
        purge_to_none(store, "node").await;
        purge_to_none(store, "blob WHERE reference_count > 0").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_tree_has_names_of_its_own() {
    each_engine_with(kept, async |store, _| {
        let alice = user(store, "alice").await;
        folder(store, &alice, "/d/sub").await;
        put(store, &alice, "/d/a", b"both").await.unwrap();
        bind(store, &alice, "/d/a", "/d/sub/a").await;
        put(store, &alice, "/d/out", b"outside").await.unwrap();
        bind(store, &alice, "/d/out", "/out").await;
        copy(store, &alice, "/d", "/e").await;
        assert_eq!(links(store, &alice, "/e/a").await, 2);
        assert_eq!(links(store, &alice, "/e/out").await, 1);
        put(store, &alice, "/e/sub/a", b"changed").await.unwrap();
        assert_eq!(get(store, &alice, "/e/a").await.unwrap(), b"changed");
        assert_eq!(get(store, &alice, "/d/a").await.unwrap(), b"both");
        must_be_sound(store).await;
        // One name copied over another of the same file: that becomes a file of its own.
        copy(store, &alice, "/d/a", "/d/sub/a").await;
        assert_eq!(links(store, &alice, "/d/a").await, 1);
        put(store, &alice, "/d/sub/a", b"own").await.unwrap();
        assert_eq!(get(store, &alice, "/d/a").await.unwrap(), b"both");
        assert_eq!(store.usage(&alice).await.unwrap().files, 5);
        must_be_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_names_moves_alone() {
    each_engine_with(kept, async |store, _| {
        let alice = user(store, "alice").await;
        folder(store, &alice, "/d").await;
        put(store, &alice, "/a", b"one").await.unwrap();
        bind(store, &alice, "/a", "/b").await;
        bind(store, &alice, "/a", "/c").await;
        go(store, &alice, "/a", "/d/a").await;
        assert_eq!(links(store, &alice, "/d/a").await, 3);
        assert_eq!(node(store, &alice, "/a").await, None);
        // Onto another name of the same file.
        let moved = go(store, &alice, "/d/a", "/b").await;
        assert_eq!((moved.created, moved.node.links), (false, 2));
        assert_eq!(links(store, &alice, "/b").await, 2);
        assert_eq!(node(store, &alice, "/d/a").await, None);
        must_be_sound(store).await;
        // A folder over one that holds another name.
        go(store, &alice, "/b", "/d/b").await;
        folder(store, &alice, "/e").await;
        go(store, &alice, "/c", "/e/c").await;
        go(store, &alice, "/d", "/e").await;
        assert_eq!(links(store, &alice, "/e/b").await, 1);
        assert_eq!(get(store, &alice, "/e/b").await.unwrap(), b"one");
        // Into the trash went a folder without it.
        let trashed = store.trash(&alice, None, 10).await.unwrap();
        assert_eq!((trashed.len(), trashed[0].files), (1, 0));
        must_be_sound(store).await;
    })
    .await;
}
