//! The folders above a path, and what lies below one.

use super::*;
use crate::testing::each_engine_with;
use crate::{NodeChange, Target, Walk};

/// Stores a file with the folders missing above it.
async fn put_with_parents(store: &Store, caller: &Caller, at: &str) -> Result<(), Error> {
    let options = UploadOptions {
        make_parents: true,
        ..UploadOptions::default()
    };
    let mut upload = store
        .begin_upload(caller, &path(at), options, Condition::default())
        .await?;
    upload.write(Bytes::from_static(b"x")).await?;
    upload.complete().await?.commit(None).await.map(|_| ())
}

#[tokio::test]
async fn a_file_comes_with_the_folders_above_it_or_not_at_all() {
    let change = |options: &mut crate::Options| options.limits.drive_nodes = 6;
    each_engine_with(change, async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let refused = put_with_parents(store, &alice, "/a/b/c/d/e/f/g").await;
        assert!(matches!(refused, Err(Error::Limit { .. })), "{refused:?}");
        assert!(names(store, &alice, "/").await.is_empty());
        put_with_parents(store, &alice, "/a/b/c").await.unwrap();
        assert_eq!(names(store, &alice, "/a/b").await, ["c"]);
        let refused = put_with_parents(store, &alice, "/a/b/c/d").await;
        assert!(matches!(refused, Err(Error::NotFolder)), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn a_folder_is_measured_no_further_than_is_asked() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        for at in ["/f/a", "/f/b/c", "/g"] {
            put_with_parents(store, &alice, at).await.unwrap();
        }
        let folder = Target::from(&path("/f"));
        let all = store.extent(&alice, &folder, 100).await.unwrap();
        // `a`, `b` and `b/c`.
        assert_eq!((all.entries, all.path_bytes), (3, 5));
        let some = store.extent(&alice, &folder, 2).await.unwrap();
        assert_eq!(some.entries, 2);
        let file = store.extent(&alice, &Target::from(&path("/g")), 2).await;
        assert!(matches!(file, Err(Error::NotFolder)));
    })
    .await;
}

/// A caller's ids end where its paths do, and a node that was deleted has none.
#[tokio::test]
async fn an_id_is_looked_up_below_the_callers_root_alone() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let bob = user(store, "bob", 1 << 30).await;
        put_with_parents(store, &alice, "/in/a/u\u{308}")
            .await
            .unwrap();
        let file = store.find(&alice, &path("/in/a/\u{fc}")).await.unwrap();
        let file = Target::Node(file.unwrap().node.id);
        let found = store.look_up(&alice, &file).await.unwrap().unwrap();
        assert_eq!(found.path.to_string(), "/in/a/u\u{308}");
        assert_eq!(store.look_up(&bob, &file).await.unwrap(), None);
        let folder = store.find(&alice, &path("/in")).await.unwrap().unwrap();
        let confined = Caller {
            root: folder.node.id,
            whole_drive: false,
            ..alice.clone()
        };
        let found = store.look_up(&confined, &file).await.unwrap().unwrap();
        assert_eq!(found.path.to_string(), "/a/u\u{308}");
        let root = Target::Node(alice.root);
        assert_eq!(store.look_up(&confined, &root).await.unwrap(), None);
        let change = store.change_node(
            &bob,
            file.clone(),
            NodeChange::default(),
            Condition::default(),
        );
        assert!(matches!(change.await, Err(Error::NotFound)));

        store
            .delete(&alice, &path("/in"), Condition::default())
            .await
            .unwrap();
        assert_eq!(store.look_up(&alice, &file).await.unwrap(), None);
        let walk = Walk {
            is_deep: true,
            after: None,
            limit: 10,
        };
        let members = store
            .members(&alice, &Target::Node(folder.node.id), walk)
            .await;
        assert!(matches!(members, Err(Error::NotFound)));
    })
    .await;
}
