//! The store's rules, on every engine at hand: SQLite always, PostgreSQL where
//! `COFFER_TEST_POSTGRES_URL` names a server on which databases may be made.

mod attributes;
mod bounds;
mod content;
mod folders;
mod upkeep;
mod uploads;

use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use crate::change::Now;
use crate::db::{Db, args};
use crate::id::UserId;
use crate::testing::{each_engine, each_engine_on, test_options};
use crate::{
    Access, Caller, Condition, Error, NewLock, Path, PropertyChange, PropertyNames, Store,
    TransferOptions, UploadOptions, Via, World,
};

const REPLACE: TransferOptions = TransferOptions {
    overwrite: true,
    shallow: false,
    modified_ns: None,
};

pub(crate) async fn user(store: &Store, name: &str, limit_bytes: u64) -> Caller {
    let (world, id) = (store.world().clone(), UserId::new(store.world()));
    let username = name.to_owned();
    let (drive, root) = store
        .db()
        .write(move |tx| {
            tx.execute(
                "INSERT INTO account (id, username, password_hash, access, credential_version, \
                     created_at) VALUES ($1, $2, '', 'user', 1, 0)",
                args![id, &username],
            )?;
            crate::drive::create(tx, &world, id, limit_bytes)
        })
        .await
        .unwrap();
    Caller {
        user: id,
        username: name.into(),
        access: Access::User,
        drive,
        root,
        whole_drive: true,
        read_only: false,
        login: None,
        app_password: None,
        via: Via::Own,
        password_version: Some(1),
    }
}

pub(crate) fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

pub(crate) async fn put(
    store: &Store,
    caller: &Caller,
    at: &str,
    content: &[u8],
) -> Result<bool, Error> {
    let options = UploadOptions {
        size_bytes: Some(content.len() as u64),
        ..UploadOptions::default()
    };
    let mut upload = store
        .begin_upload(caller, &path(at), options, Condition::default())
        .await?;
    for frame in content.chunks(100_000) {
        upload.write(Bytes::copy_from_slice(frame)).await?;
    }
    Ok(upload.complete().await?.commit(None).await?.created)
}

pub(crate) async fn get(store: &Store, caller: &Caller, at: &str) -> Option<Vec<u8>> {
    let (found, stored) = store.open_file(caller, &path(at)).await.unwrap()?;
    let mut download = store.download(&stored, 0..found.node.size_bytes);
    let mut content = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| download.poll_next(cx)).await {
        content.extend_from_slice(&frame.unwrap());
    }
    Some(content)
}

async fn names(store: &Store, caller: &Caller, at: &str) -> Vec<String> {
    let folder = store.find(caller, &path(at)).await.unwrap().unwrap();
    let page = store.list(folder.node.id, None).await.unwrap();
    page.entries
        .iter()
        .map(|entry| entry.name.to_string())
        .collect()
}

/// Runs a test once for each engine.
macro_rules! on_each_engine {
    ($($(#[$doc:meta])* async fn $name:ident($store:ident: Store) $body:block)*) => {$(
        $(#[$doc])*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            each_engine(async |store, _| {
                let $store = store.clone();
                $body
            })
            .await;
        }
    )*};
}

on_each_engine! {
    async fn files_of_every_size_come_back_as_they_went_in(store: Store) {
        let alice = user(&store, "alice", 1 << 30).await;
        let long = crate::chunk::tests::noise(1, 9_000_000);
        for content in [&b""[..], b"small", &long[..100_000], &long] {
            let created = put(&store, &alice, "/file", content).await.unwrap();
            assert_eq!(created, content.is_empty(), "the first write makes the file");
            assert_eq!(get(&store, &alice, "/file").await.unwrap(), content);
            let found = store.find(&alice, &path("/file")).await.unwrap().unwrap();
            let digest = crate::Digest::of(content);
            assert_eq!(found.node.etag(), format!("\"{digest}\""));
            assert_eq!(store.usage(&alice).await.unwrap().used_bytes, content.len() as u64);
        }
        assert_eq!(store.usage(&alice).await.unwrap().reserved_bytes, 0);
        assert_eq!(store.usage(&alice).await.unwrap().files, 1);
    }

    async fn overwritten_and_deleted_content_is_swept(store: Store) {
        let alice = user(&store, "alice", 1 << 30).await;
        put(&store, &alice, "/a", &crate::chunk::tests::noise(2, 9_000_000)).await.unwrap();
        put(&store, &alice, "/a", b"small").await.unwrap();
        put(&store, &alice, "/b", b"small").await.unwrap();
        let gone = store.sweep(true).await.unwrap();
        assert_eq!(gone.size_bytes, 9_000_000);
        assert_eq!(store.sweep(false).await.unwrap(), gone);
        assert_eq!(get(&store, &alice, "/b").await.unwrap(), b"small");
        store.delete(&alice, &path("/a"), Condition::default()).await.unwrap();
        assert_eq!(store.sweep(false).await.unwrap().blobs, 0, "b still refers to it");
        store.delete(&alice, &path("/b"), Condition::default()).await.unwrap();
        assert_eq!(store.sweep(false).await.unwrap().blobs, 1);
        assert_eq!(store.usage(&alice).await.unwrap().used_bytes, 0);
    }

    async fn daemons_that_purge_together_release_each_reference_once(store: Store) {
        let alice = user(&store, "alice", 1 << 30).await;
        let gone = path("/gone");
        store.make_folder(&alice, &gone, Condition::default()).await.unwrap();
        put(&store, &alice, "/kept", b"shared").await.unwrap();
        for n in 0..100 {
            put(&store, &alice, &format!("/gone/{n}"), b"shared").await.unwrap();
        }
        store.delete(&alice, &gone, Condition::default()).await.unwrap();
        let purge = || async { while store.purge_trash().await.unwrap() {} };
        tokio::join!(purge(), purge(), purge(), purge());
        assert_eq!(store.check_references().await.unwrap(), Vec::<String>::new());
        store.sweep(false).await.unwrap();
        assert_eq!(get(&store, &alice, "/kept").await.unwrap(), b"shared");
    }

    async fn a_tree_is_copied_moved_and_deleted_as_a_whole(store: Store) {
        let alice = user(&store, "alice", 1000).await;
        let folder = |at| store.make_folder(&alice, at, Condition::default());
        let (a, deep) = (path("/a"), path("/a/deep"));
        folder(&a).await.unwrap();
        folder(&deep).await.unwrap();
        assert!(matches!(folder(&deep).await, Err(Error::AlreadyExists)));
        assert!(matches!(folder(&path("/no/where")).await, Err(Error::ParentMissing)));
        put(&store, &alice, "/a/deep/x", b"0123456789").await.unwrap();
        put(&store, &alice, "/a/y", b"01234").await.unwrap();

        let b = path("/b");
        let copied =
            store.copy_tree(&alice, &a, &b, REPLACE, Condition::default()).await.unwrap();
        assert!(copied.created);
        assert_eq!(get(&store, &alice, "/b/deep/x").await.unwrap(), b"0123456789");
        assert_eq!(store.usage(&alice).await.unwrap().used_bytes, 30);
        assert_eq!(store.usage(&alice).await.unwrap().files, 4);

        for to in ["/a", "/a/deep/in", "/"] {
            let result =
                store.move_tree(&alice, &a, &path(to), REPLACE, Condition::default()).await;
            assert!(matches!(result, Err(Error::Overlap)), "{to}");
        }
        let ancestor =
            store.move_tree(&alice, &deep, &a, REPLACE, Condition::default()).await;
        assert!(matches!(ancestor, Err(Error::Overlap)));

        let moved = store.move_tree(&alice, &a, &b, REPLACE, Condition::default()).await.unwrap();
        assert!(!moved.created, "b was there");
        assert_eq!(names(&store, &alice, "/").await, ["b"]);
        assert_eq!(store.usage(&alice).await.unwrap().used_bytes, 15);

        store.delete(&alice, &b, Condition::default()).await.unwrap();
        assert_eq!(names(&store, &alice, "/").await, Vec::<String>::new());
        let usage = store.usage(&alice).await.unwrap();
        assert_eq!((usage.used_bytes, usage.files), (0, 0));
        let root = store.delete(&alice, &Path::root(), Condition::default()).await;
        assert!(matches!(root, Err(Error::Protected)));
        assert!(store.sweep(false).await.unwrap().blobs > 0);
        assert_eq!(store.check_references().await.unwrap(), Vec::<String>::new());
    }

    async fn nothing_exceeds_the_quota(store: Store) {
        let alice = user(&store, "alice", 1_000_000).await;
        put(&store, &alice, "/a", &vec![1; 600_000]).await.unwrap();
        let refused = put(&store, &alice, "/b", &vec![2; 600_000]).await;
        assert!(matches!(refused, Err(Error::QuotaExceeded { free_bytes: 400_000, .. })));
        let copy = store
            .copy_tree(&alice, &path("/a"), &path("/b"), REPLACE, Condition::default())
            .await;
        assert!(matches!(copy, Err(Error::QuotaExceeded { .. })));
        assert!(matches!(
            put(&store, &alice, "/small", &vec![3; 10_000]).await.map(|_| ()),
            Ok(())
        ));
        // Replacing needs room only for what is more.
        put(&store, &alice, "/a", &vec![4; 900_000]).await.unwrap();
        let usage = store.usage(&alice).await.unwrap();
        assert_eq!((usage.used_bytes, usage.reserved_bytes), (910_000, 0));
    }

    async fn a_dropped_upload_leaves_nothing(store: Store) {
        let alice = user(&store, "alice", 1 << 30).await;
        let options = UploadOptions { size_bytes: Some(9_000_000), ..UploadOptions::default() };
        let mut upload = store
            .begin_upload(&alice, &path("/a"), options, Condition::default())
            .await
            .unwrap();
        assert_eq!(store.usage(&alice).await.unwrap().reserved_bytes, 9_000_000);
        upload.write(Bytes::from(vec![7; 1_000_000])).await.unwrap();
        drop(upload);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while store.usage(&alice).await.unwrap().reserved_bytes != 0 {
            assert!(tokio::time::Instant::now() < deadline, "the reservation stays");
            tokio::task::yield_now().await;
        }
        assert!(store.find(&alice, &path("/a")).await.unwrap().is_none());
    }

    async fn a_lock_keeps_everybody_out_who_does_not_hold_its_token(store: Store) {
        let alice = user(&store, "alice", 1 << 30).await;
        let new = |token: &str, is_exclusive| NewLock {
            token: token.into(),
            is_exclusive,
            is_deep: true,
            owner_xml: None,
            timeout_s: 600,
        };
        let none = Condition::default;
        store.make_folder(&alice, &path("/d"), none()).await.unwrap();
        let (lock, created) =
            store.lock(&alice, &path("/d/new"), new("urn:a", true), none()).await.unwrap();
        assert!(created, "an unmapped name becomes an empty file");
        assert_eq!(lock.path, "/d/new");
        assert!(matches!(
            store.lock(&alice, &path("/d"), new("urn:b", false), none()).await,
            Err(Error::LockConflict { .. })
        ));
        for refused in [
            put(&store, &alice, "/d/new", b"x").await.map(|_| ()),
            store.delete(&alice, &path("/d"), none()).await.map(|_| ()),
            store.move_tree(&alice, &path("/d"), &path("/e"), REPLACE, none()).await.map(|_| ()),
        ] {
            assert!(matches!(refused, Err(Error::Locked { .. })), "{refused:?}");
        }
        let holding = Condition { lock_tokens: vec!["urn:a".into()], ..none() };
        store.delete(&alice, &path("/d"), holding).await.unwrap();
        assert!(store.locks(&alice).await.unwrap().is_empty());
    }

    async fn a_report_tells_what_changed_since_a_cursor(store: Store) {
        let alice = user(&store, "alice", 1 << 30).await;
        let none = Condition::default;
        store.make_folder(&alice, &path("/d"), none()).await.unwrap();
        put(&store, &alice, "/d/old", b"1").await.unwrap();
        let start = store.change_cursor(&alice).await.unwrap();
        put(&store, &alice, "/d/new", b"2").await.unwrap();
        store.delete(&alice, &path("/d/old"), none()).await.unwrap();
        put(&store, &alice, "/elsewhere", b"3").await.unwrap();
        let changes = store.changes(&alice, &path("/d"), start, 100).await.unwrap();
        let lines: Vec<_> = changes
            .items
            .iter()
            .map(|item| (item.path.as_str(), matches!(item.now, Now::Gone)))
            .collect();
        assert_eq!(lines, [("/new", false), ("/old", true)]);
        assert_eq!(changes.cursor, store.change_cursor(&alice).await.unwrap());
        assert!(matches!(
            store.changes(&alice, &path("/d"), changes.cursor + 1, 100).await,
            Err(Error::CursorExpired)
        ));
    }

    async fn properties_are_kept_and_copied(store: Store) {
        let alice = user(&store, "alice", 1 << 30).await;
        put(&store, &alice, "/a", b"1").await.unwrap();
        let property = crate::Property {
            namespace: "urn:x".into(),
            name: "colour".into(),
            value: "<colour xmlns=\"urn:x\">red</colour>".into(),
        };
        let changes = vec![
            PropertyChange::Set(property.clone()),
            PropertyChange::Modified(1_000_000_000),
        ];
        store
            .change_properties(&alice, &path("/a"), changes, Condition::default())
            .await
            .unwrap();
        store
            .copy_tree(&alice, &path("/a"), &path("/b"), REPLACE, Condition::default())
            .await
            .unwrap();
        let copy = store.find(&alice, &path("/b")).await.unwrap().unwrap();
        assert_eq!(copy.node.modified_ns, 1_000_000_000);
        let found = store.properties(vec![copy.node.id], PropertyNames::All).await.unwrap();
        assert_eq!(found[&copy.node.id], [property]);
    }

    async fn properties_come_in_batches_of_whole_nodes_in_the_order_asked(store: Store) {
        let alice = user(&store, "alice", 1 << 30).await;
        let mut nodes = Vec::new();
        for number in 0..4 {
            let at = path(&format!("/{number}"));
            put(&store, &alice, &format!("/{number}"), b"1").await.unwrap();
            let set = |name: String, bytes| {
                PropertyChange::Set(crate::Property {
                    namespace: "urn:x".into(),
                    name,
                    value: "v".repeat(bytes),
                })
            };
            let mut changes: Vec<_> =
                (0..20).map(|n| set(format!("large{n}"), 30_000)).collect();
            changes.push(set("small".into(), 1));
            store.change_properties(&alice, &at, changes, Condition::default()).await.unwrap();
            nodes.push(store.find(&alice, &at).await.unwrap().unwrap().node.id);
        }
        nodes.swap(0, 3);
        let found = store.properties(nodes.clone(), PropertyNames::All).await.unwrap();
        let counts: Vec<_> = nodes.iter().map(|id| found.get(id).map(Vec::len)).collect();
        assert_eq!(counts, [Some(21), Some(21), None, None]);
        let these = [("urn:x".to_owned(), "small".to_owned()), (String::new(), "large1".to_owned())];
        let these = PropertyNames::These(these.into());
        let found = store.properties(nodes.clone(), these).await.unwrap();
        let counts: Vec<_> = nodes.iter().map(|id| found.get(id).map(Vec::len)).collect();
        assert_eq!(counts, [Some(1); 4]);
        let none = PropertyNames::These([(String::new(), "small".to_owned())].into());
        let found = store.properties(nodes.clone(), none).await.unwrap();
        assert_eq!((found.len(), found[&nodes[0]].len()), (4, 0));
    }

    async fn of_many_writers_with_one_condition_one_wins(store: Store) {
        let alice = user(&store, "alice", 1 << 30).await;
        let absent = Condition {
            check: Some(std::sync::Arc::new(|state, _| state.node.is_none())),
            ..Condition::default()
        };
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..20u8 {
            let (store, alice, absent) = (store.clone(), alice.clone(), absent.clone());
            tasks.spawn(async move {
                let options = UploadOptions { size_bytes: Some(1), ..UploadOptions::default() };
                let mut upload =
                    store.begin_upload(&alice, &path("/once"), options, absent).await.unwrap();
                upload.write(Bytes::from(vec![number])).await.unwrap();
                upload.complete().await.unwrap().commit(None).await.is_ok()
            });
        }
        let won = tasks.join_all().await.into_iter().filter(|won| *won).count();
        assert_eq!(won, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_a_newer_program_is_refused_with_a_sentence() {
    each_engine_on(async |database| {
        let data = TempDir::new().unwrap();
        let options = test_options(data.path(), database.clone(), World::default());
        let store = Store::open(options).await.unwrap();
        store
            .db()
            .write(|tx| {
                tx.execute(
                    "INSERT INTO schema_version (number, name, applied_at) VALUES (999, 'x', 0)",
                    args![],
                )
            })
            .await
            .unwrap();
        store.close().await;
        let again = Db::open(&database, std::sync::Arc::new(|_| ()), 0).await;
        let Err(Error::Unusable(sentence)) = again else {
            panic!("opened a newer schema")
        };
        assert!(sentence.contains("999"), "{sentence}");
    })
    .await;
}
