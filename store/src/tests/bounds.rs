//! What a drive refuses to take, whoever asks.

use super::*;
use crate::testing::each_engine_with;

fn property(value: String) -> Vec<PropertyChange> {
    vec![PropertyChange::Set(crate::Property {
        namespace: "urn:x".into(),
        name: "p".into(),
        value,
    })]
}

#[tokio::test]
async fn properties_and_locks_leave_the_reserve_of_the_disk_alone() {
    let change = |options: &mut crate::Options| {
        options.reserve_bytes = 1 << 60;
        options.capacity_bytes = Some(1 << 60);
    };
    each_engine_with(change, async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let (root, none) = (Path::root(), Condition::default);
        let set = property("<p/>".into());
        let refused = store.change_properties(&alice, &root, set, none()).await;
        assert!(matches!(refused, Err(Error::DiskFull)), "{refused:?}");
        let new = NewLock {
            token: "coffer-lock:1".into(),
            is_exclusive: true,
            is_deep: false,
            owner_xml: None,
            timeout_s: 600,
        };
        let refused = store.lock(&alice, &path("/new"), new.clone(), none()).await;
        assert!(matches!(refused, Err(Error::DiskFull)), "{refused:?}");
        // What is to be deleted may have to be locked first.
        store.lock(&alice, &root, new, none()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn properties_are_measured_in_bytes() {
    let change = |options: &mut crate::Options| options.limits.properties_bytes = 100;
    each_engine_with(change, async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let root = Path::root();
        let set = property("\u{fc}".repeat(60));
        let refused = store
            .change_properties(&alice, &root, set, Condition::default())
            .await;
        assert!(matches!(refused, Err(Error::Limit { .. })), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn paths_are_measured_from_the_root_of_the_drive() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let none = Condition::default;
        // Sixteen such names are the longest path.
        let long = "x".repeat(255);
        let mut folder = Path::root();
        for _ in 0..15 {
            folder = folder.join(crate::Name::new(&long).unwrap()).unwrap();
            store.make_folder(&alice, &folder, none()).await.unwrap();
        }
        let root = store.find(&alice, &folder).await.unwrap().unwrap().node.id;
        let confined = Caller {
            root,
            whole_drive: false,
            ..alice
        };
        let last = path(&long);
        store.make_folder(&confined, &last, none()).await.unwrap();
        let (below, file) = (path(&format!("{long}/a")), path("/file"));
        put(store, &confined, "/file", b"x").await.unwrap();
        let new = NewLock {
            token: "coffer-lock:1".into(),
            is_exclusive: true,
            is_deep: false,
            owner_xml: None,
            timeout_s: 600,
        };
        let options = UploadOptions {
            size_bytes: Some(5_000_000),
            ..UploadOptions::default()
        };
        for refused in [
            store
                .make_folder(&confined, &below, none())
                .await
                .map(|_| ()),
            store
                .begin_upload(&confined, &below, options, none())
                .await
                .map(|_| ()),
            store.lock(&confined, &below, new, none()).await.map(|_| ()),
            store
                .copy_tree(&confined, &file, &below, REPLACE, none())
                .await
                .map(|_| ()),
            store
                .move_tree(&confined, &file, &below, REPLACE, none())
                .await
                .map(|_| ()),
        ] {
            assert!(matches!(refused, Err(Error::InvalidName(_))), "{refused:?}");
        }
        // A folder is measured with what it holds.
        let (folder, longer) = (path("/b"), path(&"y".repeat(254)));
        store.make_folder(&confined, &folder, none()).await.unwrap();
        put(store, &confined, "/b/x", b"x").await.unwrap();
        let copied = store
            .copy_tree(&confined, &folder, &longer, REPLACE, none())
            .await;
        assert!(matches!(copied, Err(Error::InvalidName(_))), "{copied:?}");
    })
    .await;
}

#[tokio::test]
async fn a_drive_holds_so_many_files_and_folders() {
    let change = |options: &mut crate::Options| options.limits.drive_nodes = 4;
    each_engine_with(change, async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let none = Condition::default;
        let (folder, copy) = (path("/d"), path("/copy"));
        store.make_folder(&alice, &folder, none()).await.unwrap();
        put(store, &alice, "/d/a", b"x").await.unwrap();
        put(store, &alice, "/d/b", b"x").await.unwrap();
        let copied = store
            .copy_tree(&alice, &folder, &copy, REPLACE, none())
            .await;
        assert!(matches!(copied, Err(Error::Limit { limit: 4, .. })));
        store.make_folder(&alice, &copy, none()).await.unwrap();
        let made = store.make_folder(&alice, &path("/more"), none()).await;
        assert!(matches!(made, Err(Error::Limit { limit: 4, .. })));
        let made = put(store, &alice, "/more", b"x").await;
        assert!(matches!(made, Err(Error::Limit { limit: 4, .. })));
        put(store, &alice, "/d/a", b"more").await.unwrap();
        // What goes makes room.
        store.delete(&alice, &folder, none()).await.unwrap();
        put(store, &alice, "/more", b"x").await.unwrap();
        assert_eq!(
            store.check_references().await.unwrap(),
            Vec::<String>::new()
        );
    })
    .await;
}

#[tokio::test]
async fn a_drive_holds_so_many_bytes_of_properties() {
    let change = |options: &mut crate::Options| options.limits.drive_properties_bytes = 100;
    each_engine_with(change, async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let none = Condition::default;
        let (folder, copy, file) = (path("/d"), path("/copy"), path("/d/a"));
        store.make_folder(&alice, &folder, none()).await.unwrap();
        put(store, &alice, "/d/a", b"x").await.unwrap();
        let set = async |at: &Path, bytes: usize| {
            let set = property("x".repeat(bytes));
            store.change_properties(&alice, at, set, none()).await
        };
        set(&folder, 20).await.unwrap();
        set(&file, 60).await.unwrap();
        let refused = set(&folder, 50).await;
        assert!(matches!(refused, Err(Error::Limit { limit: 100, .. })));
        let copied = store
            .copy_tree(&alice, &folder, &copy, REPLACE, none())
            .await;
        assert!(matches!(copied, Err(Error::Limit { limit: 100, .. })));
        set(&file, 30).await.unwrap();
        store
            .copy_tree(&alice, &folder, &copy, REPLACE, none())
            .await
            .unwrap();
        store.delete(&alice, &folder, none()).await.unwrap();
        set(&copy, 70).await.unwrap();
        assert_eq!(
            store.check_references().await.unwrap(),
            Vec::<String>::new()
        );
    })
    .await;
}
