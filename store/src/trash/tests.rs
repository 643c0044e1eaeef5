use std::time::Duration;

use super::Trashed;
use crate::chunk::tests::noise;
use crate::store::{Options, TrashOptions, VersionOptions};
use crate::testing::{each_engine_with, purge_to_none};
use crate::tests::{get, path, put, user};
use crate::{
    Caller, Condition, Error, Located, NodeId, PropertyChange, Store, TransferOptions,
    UploadOptions,
};

const LIMIT: u64 = 1 << 30;
const REPLACE: TransferOptions = TransferOptions {
    overwrite: true,
    shallow: false,
    modified_ns: None,
};

fn kept(options: &mut Options) {
    options.trash = TrashOptions::default();
    options.versions = VersionOptions::default();
}

async fn make_folder(store: &Store, caller: &Caller, at: &str) -> NodeId {
    let at = path(at);
    let made = store.make_folder(caller, &at, Condition::default());
    made.await.unwrap().id
}

async fn delete(store: &Store, caller: &Caller, at: &str) -> NodeId {
    let at = path(at);
    let deleted = store.delete(caller, &at, Condition::default());
    deleted.await.unwrap().node.id
}

async fn restore(
    store: &Store,
    caller: &Caller,
    id: NodeId,
    to: Option<&str>,
) -> Result<Located, Error> {
    let to = to.map(path);
    store.restore(caller, id, to, Condition::default()).await
}

async fn id(store: &Store, caller: &Caller, at: &str) -> NodeId {
    let found = store.find(caller, &path(at)).await.unwrap();
    found.unwrap().node.id
}

async fn trash(store: &Store, caller: &Caller) -> Vec<Trashed> {
    store.trash(caller, None, 100).await.unwrap()
}

async fn paths(store: &Store, caller: &Caller) -> Vec<String> {
    let found = trash(store, caller).await;
    found.into_iter().map(|trashed| trashed.path).collect()
}

/// Bytes in use, in the trash, and free below the limit.
async fn usage(store: &Store, caller: &Caller) -> (u64, u64, u64) {
    let usage = store.usage(caller).await.unwrap();
    (usage.used_bytes, usage.trash_bytes, usage.free_bytes())
}

async fn assert_sound(store: &Store) {
    let checked = store.check(true, |_| ()).await.unwrap();
    assert_eq!(checked.faults, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_folder_comes_back_with_its_ids_properties_and_versions() {
    each_engine_with(kept, async |store, _| {
        let alice = user(store, "alice", LIMIT).await;
        make_folder(store, &alice, "/docs").await;
        make_folder(store, &alice, "/docs/u\u{308}").await;
        let content = noise(95, 5_000_000);
        put(store, &alice, "/docs/u\u{308}/a", &content)
            .await
            .unwrap();
        put(store, &alice, "/docs/u\u{308}/b", b"1").await.unwrap();
        put(store, &alice, "/docs/u\u{308}/b", b"22").await.unwrap();
        let set = vec![PropertyChange::Set(crate::Property {
            namespace: "urn:x".into(),
            name: "note".into(),
            value: "<x:note xmlns:x=\"urn:x\">n</x:note>".into(),
        })];
        store
            .change_properties(&alice, &path("/docs/u\u{308}/a"), set, Condition::default())
            .await
            .unwrap();
        let ids = [
            id(store, &alice, "/docs/u\u{308}").await,
            id(store, &alice, "/docs/u\u{308}/a").await,
        ];
        let before = store.usage(&alice).await.unwrap();
        let deleted = delete(store, &alice, "/docs/\u{fc}").await;
        assert_eq!(deleted, ids[0]);
        let [trashed] = &trash(store, &alice).await[..] else {
            panic!("one tree");
        };
        assert_eq!(trashed.path, "/docs/u\u{308}", "as it was given");
        assert_eq!((trashed.size_bytes, trashed.files), (5_000_002, 2));
        assert_eq!(trashed.deleted_by, Some(alice.user));
        assert_eq!(usage(store, &alice).await, (5_000_003, 5_000_002, LIMIT));
        assert_eq!(store.usage(&alice).await.unwrap().files, 0);
        assert_sound(store).await;
        while store.purge_trash().await.unwrap() {}
        // The folder above it has gone as well.
        delete(store, &alice, "/docs").await;
        let back = restore(store, &alice, deleted, None).await.unwrap();
        assert_eq!(back.path.to_string(), "/docs/u\u{308}");
        let after = [
            id(store, &alice, "/docs/\u{fc}").await,
            id(store, &alice, "/docs/\u{fc}/a").await,
        ];
        assert_eq!(after, ids);
        let read = get(store, &alice, "/docs/\u{fc}/a").await.unwrap();
        assert!(read == content);
        let file = path("/docs/\u{fc}/b").into();
        let versions = store.versions(&alice, &file, None, 9).await.unwrap();
        assert_eq!(versions.len(), 1);
        let usage = store.usage(&alice).await.unwrap();
        assert_eq!((usage.trashed, usage.trash_bytes), (1, 0), "/docs");
        assert_eq!((usage.used_bytes, usage.files), (before.used_bytes, 2));
        assert_sound(store).await;
        let again = restore(store, &alice, deleted, None).await;
        assert!(matches!(again, Err(Error::NotFound)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_gets_a_mark() {
    each_engine_with(kept, async |store, clock| {
        let alice = user(store, "alice", LIMIT).await;
        let mut deleted = Vec::new();
        for content in [b"1", b"2", b"3"] {
            put(store, &alice, "/a.txt", content).await.unwrap();
            deleted.push(delete(store, &alice, "/a.txt").await);
            clock.advance_ms(1);
        }
        assert_eq!(paths(store, &alice).await, ["/a.txt"; 3]);
        let mut back = Vec::new();
        for id in &deleted {
            let located = restore(store, &alice, *id, None).await.unwrap();
            back.push(located.path.to_string());
        }
        let expected = ["/a.txt", "/a (restored).txt", "/a (restored 2).txt"];
        assert_eq!(back, expected);
        delete(store, &alice, "/a.txt").await;
        let taken = restore(store, &alice, deleted[0], Some("/a (restored).txt")).await;
        assert!(matches!(taken, Err(Error::AlreadyExists)));
        let below = restore(store, &alice, deleted[0], Some("/a (restored).txt/x")).await;
        assert!(matches!(below, Err(Error::NotFolder)));
        let made = restore(store, &alice, deleted[0], Some("/new/b.txt")).await;
        assert_eq!(made.unwrap().path.to_string(), "/new/b.txt");
        assert_eq!(get(store, &alice, "/new/b.txt").await.unwrap(), b"1");
        assert_sound(store).await;
    })
    .await;
}

#[test]
fn a_long_name_is_cut_for_its_mark() {
    let marked = |name: &str, is_folder, number| {
        let name = crate::Name::new(name).unwrap();
        let made = super::restored_name(&name, is_folder, number).unwrap();
        made.as_str().to_owned()
    };
    assert_eq!(marked(".profile", false, 1), ".profile (restored)");
    assert_eq!(marked("v1.2", true, 3), "v1.2 (restored 3)");
    let long = marked(&format!("{}.txt", "\u{e4}".repeat(125)), false, 1);
    assert!(long.ends_with("\u{e4} (restored).txt"));
    assert_eq!(long.len(), 255);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_copy_or_move_replaces_goes_into_the_trash() {
    each_engine_with(kept, async |store, clock| {
        let alice = user(store, "alice", LIMIT).await;
        for (at, content) in [("/a", "1"), ("/b", "22"), ("/c", "333")] {
            put(store, &alice, at, content.as_bytes()).await.unwrap();
        }
        let none = Condition::default;
        store
            .copy_tree(&alice, &path("/a"), &path("/b"), REPLACE, none())
            .await
            .unwrap();
        clock.advance_ms(1);
        store
            .move_tree(&alice, &path("/a"), &path("/c"), REPLACE, none())
            .await
            .unwrap();
        assert_eq!(paths(store, &alice).await, ["/c", "/b"]);
        assert_eq!(usage(store, &alice).await, (7, 5, LIMIT - 2));
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_goes_to_make_room_with_exact_numbers() {
    each_engine_with(kept, async |store, clock| {
        let alice = user(store, "alice", 1_000_000).await;
        for number in 0..10 {
            let at = format!("/{number}");
            put(store, &alice, &at, &noise(number, 100_000))
                .await
                .unwrap();
            delete(store, &alice, &at).await;
            clock.advance_ms(1);
        }
        assert_eq!(
            usage(store, &alice).await,
            (1_000_000, 1_000_000, 1_000_000)
        );
        put(store, &alice, "/a", b"x").await.unwrap();
        assert_eq!(usage(store, &alice).await, (900_001, 900_000, 999_999));
        assert_eq!(paths(store, &alice).await.last().unwrap(), "/1");
        // Without a length, room is reserved step by step.
        let upload = store
            .begin_upload(
                &alice,
                &path("/b"),
                UploadOptions::default(),
                Condition::default(),
            )
            .await;
        let mut upload = upload.unwrap();
        for _ in 0..5 {
            upload.write(vec![7; 99_999].into()).await.unwrap();
        }
        let complete = upload.complete().await.unwrap();
        complete.commit(None).await.unwrap();
        let (used, trashed, free) = usage(store, &alice).await;
        assert_eq!((used - trashed, free), (499_996, 500_004));
        let too_much = put(store, &alice, "/c", &noise(30, 500_005)).await;
        assert!(matches!(
            too_much,
            Err(Error::QuotaExceeded {
                needed_bytes: 500_005,
                free_bytes: 500_004
            })
        ));
        put(store, &alice, "/c", &noise(30, 500_004)).await.unwrap();
        assert_eq!(usage(store, &alice).await, (1_000_000, 0, 0));
        assert_eq!(paths(store, &alice).await, Vec::<String>::new());
        assert_sound(store).await;
        while store.purge_trash().await.unwrap() {}
        assert_sound(store).await;
    })
    .await;
}

/// The server's capacity counts what is kept too; whoever needs room gets it from others as well.
#[tokio::test(flavor = "multi_thread")]
async fn trash_of_others_gives_way_when_the_server_is_full() {
    let small = |options: &mut Options| {
        kept(options);
        options.capacity_bytes = Some(1_000_000);
    };
    each_engine_with(small, async |store, clock| {
        let alice = user(store, "alice", LIMIT).await;
        let bob = user(store, "bob", LIMIT).await;
        for (who, number) in [(&alice, 1), (&bob, 2), (&alice, 3), (&bob, 4)] {
            put(store, who, "/x", &noise(number, 250_000))
                .await
                .unwrap();
            delete(store, who, "/x").await;
            clock.advance_ms(1);
        }
        // Who looks for others' is not shown their own, however old.
        let drive = alice.drive;
        let others = store
            .db()
            .read(move |tx| crate::trash::rows::oldest_of_all(tx, i64::MAX, 1, Some(drive)));
        let others: Vec<_> = others.await.unwrap().iter().map(|one| one.1).collect();
        assert_eq!(others, [bob.drive]);
        // First one's own, then the oldest of all.
        put(store, &bob, "/a", &noise(5, 100_000)).await.unwrap();
        assert_eq!(store.usage(&bob).await.unwrap().trash_bytes, 250_000);
        // What does not fit whatever is given up takes nothing away.
        let vast = put(store, &bob, "/b", &noise(6, 900_001)).await;
        assert!(matches!(vast, Err(Error::CapacityExceeded)));
        assert_eq!(store.usage(&alice).await.unwrap().trash_bytes, 500_000);
        put(store, &bob, "/b", &noise(6, 900_000)).await.unwrap();
        assert_eq!(store.usage(&alice).await.unwrap().trash_bytes, 0);
        assert_eq!(store.usage(&bob).await.unwrap().trash_bytes, 0);
        let capacity = store.capacity().await.unwrap();
        assert_eq!(
            (capacity.used_bytes, capacity.reserved_bytes),
            (1_000_000, 0)
        );
        let full = put(store, &alice, "/c", b"x").await;
        assert!(matches!(full, Err(Error::CapacityExceeded)));
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trash_is_bounded_by_number_nodes_properties_and_age() {
    let few = |options: &mut Options| {
        options.trash = TrashOptions {
            retention: Duration::from_hours(1),
            most: 3,
        };
        options.limits.drive_nodes = 5;
    };
    each_engine_with(few, async |store, clock| {
        let alice = user(store, "alice", LIMIT).await;
        for name in ["/1", "/2", "/3", "/4"] {
            put(store, &alice, name, b"x").await.unwrap();
            delete(store, &alice, name).await;
            clock.advance_ms(10 * 60_000);
        }
        assert_eq!(paths(store, &alice).await, ["/4", "/3", "/2"]);
        for name in ["/a", "/b", "/c"] {
            make_folder(store, &alice, name).await;
        }
        assert_eq!(paths(store, &alice).await, ["/4", "/3"]);
        assert_sound(store).await;
        clock.advance_ms(45 * 60_000);
        assert_eq!(store.expire_kept().await.unwrap(), 1);
        assert_eq!(paths(store, &alice).await, ["/4"]);
        assert_eq!(usage(store, &alice).await, (1, 1, LIMIT));
        purge_to_none(store, "trash WHERE is_kept = 0").await;
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_is_purged_with_its_versions() {
    each_engine_with(kept, async |store, clock| {
        let alice = user(store, "alice", LIMIT).await;
        make_folder(store, &alice, "/d").await;
        for at in ["/d/a", "/b"] {
            put(store, &alice, at, &noise(40, 100_000)).await.unwrap();
            put(store, &alice, at, &noise(41, 5_000_000)).await.unwrap();
        }
        let folder = delete(store, &alice, "/d").await;
        clock.advance_ms(1);
        delete(store, &alice, "/b").await;
        assert_eq!(usage(store, &alice).await, (10_200_000, 10_000_000, LIMIT));
        store.remove_trashed(&alice, folder).await.unwrap();
        let gone = store.remove_trashed(&alice, folder).await;
        assert!(matches!(gone, Err(Error::NotFound)));
        let dry = store.empty_trash(&alice, true).await.unwrap();
        let emptied = store.empty_trash(&alice, false).await.unwrap();
        assert_eq!(dry, emptied);
        let told = (emptied.items, emptied.files, emptied.size_bytes);
        assert_eq!(told, (1, 1, 5_000_000));
        assert_eq!(trash(store, &alice).await, []);
        assert_sound(store).await;
        while store.purge_trash().await.unwrap() {}
        assert_eq!(usage(store, &alice).await, (0, 0, LIMIT));
        assert_sound(store).await;
        store.sweep(false).await.unwrap();
        assert_eq!(store.blobs().list().unwrap().count(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_those_who_restore_the_same_one_wins() {
    each_engine_with(kept, async |store, _| {
        let alice = user(store, "alice", LIMIT).await;
        put(store, &alice, "/a", b"1").await.unwrap();
        let id = delete(store, &alice, "/a").await;
        let restore = || restore(store, &alice, id, None);
        let all = tokio::join!(restore(), restore(), restore(), restore());
        let all = [all.0, all.1, all.2, all.3];
        assert_eq!(all.iter().filter(|done| done.is_ok()).count(), 1);
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test]
async fn who_sees_only_a_folder_sees_no_trash() {
    each_engine_with(kept, async |store, _| {
        let alice = user(store, "alice", LIMIT).await;
        make_folder(store, &alice, "/d").await;
        put(store, &alice, "/d/a", b"1").await.unwrap();
        let confined = Caller {
            whole_drive: false,
            root: id(store, &alice, "/d").await,
            ..alice.clone()
        };
        let deleted = delete(store, &confined, "/a").await;
        assert_eq!(paths(store, &alice).await, ["/d/a"]);
        let list = store.trash(&confined, None, 1).await;
        assert!(matches!(list, Err(Error::Forbidden)));
        let back = restore(store, &confined, deleted, None).await;
        assert!(matches!(back, Err(Error::Forbidden)));
        let reader = Caller {
            read_only: true,
            ..alice.clone()
        };
        assert_eq!(trash(store, &reader).await.len(), 1);
        for done in [
            restore(store, &reader, deleted, None).await.map(drop),
            store.remove_trashed(&reader, deleted).await,
            store.empty_trash(&reader, true).await.map(drop),
        ] {
            assert!(matches!(done, Err(Error::Forbidden)));
        }
        let bob = user(store, "bob", LIMIT).await;
        let other = restore(store, &bob, deleted, None).await;
        assert!(matches!(other, Err(Error::NotFound)));
        assert!(matches!(
            store.trashed(&bob, deleted).await,
            Err(Error::NotFound)
        ));
        // An id leads nowhere while its node is in the trash.
        assert!(store.find_node(&alice, deleted).await.unwrap().is_none());
        let (found, _) = store.open_trashed(&alice, deleted).await.unwrap();
        assert_eq!(found.path.to_string(), "/d/a");
    })
    .await;
}
