mod locks;
mod told;
mod trees;
mod ways;

use crate::grant::tests::{folder, path, user};
use crate::store::{Options, TrashOptions, VersionOptions};
use crate::testing::{each_engine, each_engine_with};
use crate::tests::{get, put};
use crate::{
    Caller, Condition, Error, Limits, Name, NewLock, Node, Now, Path, PropertyChange, Store,
    TransferOptions, Transferred, UploadOptions,
};

const REPLACE: TransferOptions = TransferOptions {
    overwrite: true,
    shallow: false,
    modified_ns: None,
};

fn kept(options: &mut Options) {
    options.trash = TrashOptions::default();
    options.versions = VersionOptions::default();
}

/// The folder of a path, and the name in it.
fn folder_of(at: &str) -> (Path, Name) {
    let at = path(at);
    (at.parent().unwrap(), at.name().unwrap().clone())
}

async fn try_bind(
    store: &Store,
    caller: &Caller,
    file: &str,
    to: &str,
    overwrite: bool,
) -> Result<Transferred, Error> {
    let (into, name) = folder_of(to);
    let condition = Condition::default();
    store
        .bind(caller, &into, name, &path(file), overwrite, condition)
        .await
}

pub(crate) async fn bind(store: &Store, caller: &Caller, file: &str, to: &str) -> Node {
    let bound = try_bind(store, caller, file, to, false).await.unwrap();
    assert!(bound.created);
    assert_eq!(bound.path, path(to));
    bound.node
}

async fn node(store: &Store, caller: &Caller, at: &str) -> Option<Node> {
    let found = store.find(caller, &path(at)).await.unwrap();
    found.map(|found| found.node.clone())
}

/// How many names a file has, as each way to look at it says.
async fn links(store: &Store, caller: &Caller, at: &str) -> u64 {
    let at_path = node(store, caller, at).await.unwrap();
    let parent = path(at).parent().unwrap();
    let parent = store.find(caller, &parent).await.unwrap().unwrap();
    let page = store.list(parent.node.id, None).await.unwrap();
    let name = path(at).name().unwrap().clone();
    let listed = page.entries.iter().find(|e| *e.name == *name.as_str());
    assert_eq!(listed.unwrap().node, at_path);
    at_path.links
}

async fn delete(store: &Store, caller: &Caller, at: &str) -> Node {
    let at = path(at);
    let deleted = store.delete(caller, &at, Condition::default());
    deleted.await.unwrap().node
}

/// Nothing is wrong, before what is to be purged is and after.
async fn must_be_sound(store: &Store) {
    assert_eq!(store.check_references().await.unwrap(), [""; 0]);
    while store.purge_trash().await.unwrap() {}
    assert_eq!(store.check_references().await.unwrap(), [""; 0]);
}

async fn lock(
    store: &Store,
    caller: &Caller,
    at: &str,
    token: &str,
    is_deep: bool,
) -> Result<(), Error> {
    let new = NewLock {
        token: token.into(),
        is_exclusive: true,
        is_deep,
        owner_xml: None,
        timeout_s: 600,
    };
    let at = path(at);
    store.lock(caller, &at, new, Condition::default()).await?;
    Ok(())
}

async fn unlock(store: &Store, caller: &Caller, at: &str) {
    let at = path(at);
    let unlocked = store.unlock(caller, &at, "t", Condition::default());
    unlocked.await.unwrap();
}

async fn copy(store: &Store, caller: &Caller, from: &str, to: &str) -> Transferred {
    let (from, to) = (path(from), path(to));
    let copied = store.copy_tree(caller, &from, &to, REPLACE, Condition::default());
    copied.await.unwrap()
}

async fn go(store: &Store, caller: &Caller, from: &str, to: &str) -> Transferred {
    let (from, to) = (path(from), path(to));
    let moved = store.move_tree(caller, &from, &to, REPLACE, Condition::default());
    moved.await.unwrap()
}

async fn put_with(store: &Store, caller: &Caller, at: &str, tokens: &[&str]) -> Result<(), Error> {
    let condition = Condition {
        lock_tokens: tokens.iter().map(|&token| token.to_owned()).collect(),
        ..Condition::default()
    };
    let options = UploadOptions {
        size_bytes: Some(0),
        ..UploadOptions::default()
    };
    let at = path(at);
    let upload = store.begin_upload(caller, &at, options, condition);
    upload.await?.complete().await?.commit(None).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_one_name_shows_under_all_and_is_told_under_all() {
    each_engine_with(kept, async |store, _| {
        let alice = user(store, "alice").await;
        folder(store, &alice, "/d/e\u{301}").await;
        put(store, &alice, "/a", b"one").await.unwrap();
        let bound = bind(store, &alice, "/a", "/d/e\u{301}/b").await;
        assert_eq!(bound.links, 2);
        for at in ["/a", "/d/e\u{301}/b"] {
            // Warm: read, and so remembered.
            assert_eq!(get(store, &alice, at).await.unwrap(), b"one");
            assert_eq!(links(store, &alice, at).await, 2);
        }
        let told = async |since| {
            let changes = store.changes(&alice, &path("/"), since, 100).await.unwrap();
            let mut told: Vec<String> = Vec::new();
            for item in changes.items {
                assert!(matches!(item.now, Now::Present(_)), "{item:?}");
                told.push(item.path);
            }
            told.sort();
            told
        };
        let since = store.change_cursor(&alice).await.unwrap();
        put(store, &alice, "/d/e\u{301}/b", b"longer")
            .await
            .unwrap();
        assert_eq!(get(store, &alice, "/a").await.unwrap(), b"longer");
        assert_eq!(told(since).await, ["/a", "/d/e\u{301}/b"]);
        let since = store.change_cursor(&alice).await.unwrap();
        let changes = vec![PropertyChange::Modified(5)];
        let at = path("/a");
        let set = store.change_properties(&alice, &at, changes, Condition::default());
        set.await.unwrap();
        let other = node(store, &alice, "/d/e\u{301}/b").await.unwrap();
        assert_eq!(other.modified_ns, 5);
        assert_eq!(told(since).await, ["/a", "/d/e\u{301}/b"]);
        // Charged once, with its version.
        let usage = store.usage(&alice).await.unwrap();
        assert_eq!((usage.files, usage.used_bytes), (1, 6 + 3));
        must_be_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_of_several_names_nothing_goes_but_the_name() {
    each_engine_with(kept, async |store, _| {
        let alice = user(store, "alice").await;
        put(store, &alice, "/a", b"one").await.unwrap();
        bind(store, &alice, "/a", "/b").await;
        lock(store, &alice, "/a", "t", false).await.unwrap();
        let put_b = put_with(store, &alice, "/b", &[]).await;
        assert!(matches!(put_b, Err(Error::Locked { .. })));
        let gone = store
            .delete(&alice, &path("/a"), Condition::default())
            .await;
        assert!(
            matches!(gone, Err(Error::Locked { .. })),
            "it is locked, by any name"
        );
        let tokens = Condition {
            lock_tokens: vec!["t".into()],
            ..Condition::default()
        };
        store.delete(&alice, &path("/a"), tokens).await.unwrap();
        assert_eq!(node(store, &alice, "/a").await, None);
        assert_eq!(links(store, &alice, "/b").await, 1);
        let put_b = put_with(store, &alice, "/b", &[]).await;
        assert!(matches!(put_b, Err(Error::Locked { .. })), "the lock stays");
        assert_eq!(store.trash(&alice, None, 10).await.unwrap().len(), 0);
        must_be_sound(store).await;
        unlock(store, &alice, "/b").await;
        let last = delete(store, &alice, "/b").await;
        assert_eq!(store.trash(&alice, None, 10).await.unwrap().len(), 1);
        let restored = store.restore(&alice, last.id, None, Condition::default());
        assert_eq!(restored.await.unwrap().path, path("/b"));
        assert_eq!(get(store, &alice, "/b").await.unwrap(), b"one");
        must_be_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_given_to_files_in_ones_own_drive() {
    let few = |options: &mut Options| {
        kept(options);
        options.limits = Limits {
            drive_nodes: 1005,
            ..Limits::default()
        };
    };
    each_engine_with(few, async |store, _| {
        let alice = user(store, "alice").await;
        folder(store, &alice, "/d/sub").await;
        put(store, &alice, "/d/a", b"one").await.unwrap();
        put(store, &alice, "/b", b"two").await.unwrap();
        let refused = |result: Result<Transferred, Error>| result.unwrap_err().to_string();
        for (file, to, overwrite, why) in [
            ("/none", "/x", true, "not found"),
            ("/d", "/x", true, "is a folder"),
            ("/d/a", "/none/x", true, "the parent folder does not exist"),
            ("/d/a", "/b/x", true, "is not a folder"),
            ("/d/a", "/b", false, "already exists"),
            ("/d/a", "/d/a", false, "already exists"),
            ("/d/a", "/d", true, "source and destination overlap"),
        ] {
            let bound = try_bind(store, &alice, file, to, overwrite).await;
            assert_eq!(refused(bound), why, "{file} {to}");
        }
        // What was there is replaced, as by a move; onto itself nothing happens.
        let bound = try_bind(store, &alice, "/d/a", "/b", true).await.unwrap();
        assert!(!bound.created);
        assert_eq!(get(store, &alice, "/b").await.unwrap(), b"one");
        assert_eq!(store.trash(&alice, None, 10).await.unwrap().len(), 1);
        let since = store.change_cursor(&alice).await.unwrap();
        let bound = try_bind(store, &alice, "/d/a", "/b", true).await.unwrap();
        assert_eq!((bound.created, bound.node.links), (false, 2));
        assert_eq!(store.change_cursor(&alice).await.unwrap(), since);
        let reader = Caller {
            read_only: true,
            ..alice.clone()
        };
        let bound = try_bind(store, &reader, "/d/a", "/x", true).await;
        assert!(matches!(bound, Err(Error::Forbidden)));
        // In a folder that is locked only its holder gives names.
        lock(store, &alice, "/d", "t", true).await.unwrap();
        let bound = try_bind(store, &alice, "/b", "/d/x", true).await;
        assert!(matches!(bound, Err(Error::Locked { .. })));
        // And what is in it by another name is locked by that one, too.
        let put_b = put_with(store, &alice, "/b", &[]).await;
        assert!(matches!(put_b, Err(Error::Locked { .. })));
        unlock(store, &alice, "/d").await;
        must_be_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_have_limits() {
    let few = |options: &mut Options| options.limits.drive_nodes = super::MOST + 10;
    each_engine_with(few, async |store, _| {
        let alice = user(store, "alice").await;
        put(store, &alice, "/0", b"one").await.unwrap();
        for number in 1..super::MOST {
            bind(store, &alice, "/0", &format!("/{number}")).await;
        }
        let bound = try_bind(store, &alice, "/0", "/more", false).await;
        assert!(matches!(bound, Err(Error::Limit { .. })), "{bound:?}");
        put(store, &alice, "/other", b"1").await.unwrap();
        for number in 0..9 {
            bind(store, &alice, "/other", &format!("/o{number}")).await;
        }
        // Names count as files do.
        let bound = try_bind(store, &alice, "/other", "/more", false).await;
        assert!(matches!(bound, Err(Error::Limit { .. })), "{bound:?}");
        let put_more = put(store, &alice, "/more", b"").await;
        assert!(matches!(put_more, Err(Error::Limit { .. })));
        assert_eq!(store.usage(&alice).await.unwrap().files, 2);
        must_be_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_locks_by_two_names_both_hold() {
    each_engine(async |store, _| {
        let alice = user(store, "alice").await;
        folder(store, &alice, "/d").await;
        folder(store, &alice, "/e").await;
        put(store, &alice, "/d/a", b"one").await.unwrap();
        bind(store, &alice, "/d/a", "/e/a").await;
        for (at, token) in [("/d", "d"), ("/e", "e")] {
            lock(store, &alice, at, token, true).await.unwrap();
        }
        for tokens in [&["d"][..], &["e"], &[]] {
            let refused = put_with(store, &alice, "/d/a", tokens).await;
            assert!(matches!(refused, Err(Error::Locked { .. })), "{tokens:?}");
        }
        put_with(store, &alice, "/d/a", &["d", "e"]).await.unwrap();
        let refused = lock(store, &alice, "/e/a", "f", false).await;
        assert!(matches!(refused, Err(Error::LockConflict { .. })));
        must_be_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_a_name_once() {
    each_engine(async |store, _| {
        let alice = user(store, "alice").await;
        folder(store, &alice, "/d").await;
        put(store, &alice, "/report", b"one").await.unwrap();
        bind(store, &alice, "/report", "/d/report").await;
        bind(store, &alice, "/report", "/d/report 2").await;
        let mut after = None;
        let mut found = Vec::new();
        loop {
            let hits = store.search(&alice, "report", after, 1).await.unwrap();
            found.extend(hits.items.into_iter().map(|hit| hit.path));
            after = hits.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, ["/d/report", "/d/report 2"]);
    })
    .await;
}
