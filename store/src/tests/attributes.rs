//! POSIX attributes of nodes, and that what they take is counted.

use bytes::Bytes;

use super::{REPLACE, path, put, user};
use crate::store::{Options, TrashOptions, VersionOptions};
use crate::testing::each_engine_with;
use crate::{
    Attributes, Caller, Condition, Error, Limited, Node, PropertyChange, Store, Target,
    UploadOptions,
};

const WORDS: &str = "mode=100640 mtime=1700000000.123456789";
const MODIFIED_NS: i64 = 1_700_000_000_123_456_789;

fn kept(options: &mut Options) {
    options.trash = TrashOptions::default();
    options.versions = VersionOptions::default();
    options.limits.drive_properties_bytes = 1_000;
}

fn words(text: &str) -> Attributes {
    Attributes::parse(text).unwrap()
}

async fn describe(
    store: &Store,
    caller: &Caller,
    at: &str,
    content: &'static [u8],
    text: &str,
) -> Result<Node, Error> {
    let options = UploadOptions {
        size_bytes: Some(content.len() as u64),
        ..UploadOptions::default()
    };
    let mut upload = store
        .begin_upload(caller, &path(at), options, Condition::default())
        .await?;
    upload.write(Bytes::from_static(content)).await?;
    let mut complete = upload.complete().await?;
    complete.describe(words(text));
    Ok(complete.commit(None).await?.node)
}

async fn set(store: &Store, caller: &Caller, at: &str, text: Option<&str>) -> Result<(), Error> {
    let changes = vec![PropertyChange::Attributes(text.map(words))];
    store
        .change_properties(caller, &path(at), changes, Condition::default())
        .await
}

async fn node(store: &Store, caller: &Caller, at: &str) -> Node {
    let found = store.find(caller, &path(at)).await.unwrap();
    found.unwrap().node.clone()
}

async fn text(store: &Store, caller: &Caller, at: &str) -> Option<String> {
    let attributes = node(store, caller, at).await.attributes;
    attributes.map(|attributes| attributes.as_str().to_owned())
}

async fn assert_sound(store: &Store) {
    let checked = store.check(true, |_| ()).await.unwrap();
    assert_eq!(checked.faults, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_are_kept_with_the_exact_time_they_say() {
    each_engine_with(kept, async |store, clock| {
        let alice = user(store, "alice", 1 << 30).await;
        let made = describe(store, &alice, "/a", b"one", WORDS).await.unwrap();
        assert_eq!(made.modified_ns, MODIFIED_NS);
        assert_eq!(node(store, &alice, "/a").await, made);
        clock.advance_ms(3_600_000);
        put(store, &alice, "/a", b"two").await.unwrap();
        assert_eq!(text(store, &alice, "/a").await.as_deref(), Some(WORDS));
        assert_ne!(node(store, &alice, "/a").await.modified_ns, MODIFIED_NS);

        // A version is of the content; what the mount says of the file is not.
        let file: Target = path("/a").into();
        let other = "mode=100600 mtime=1.000000001";
        set(store, &alice, "/a", Some(other)).await.unwrap();
        assert_eq!(node(store, &alice, "/a").await.modified_ns, 1_000_000_001);
        let versions = store.versions(&alice, &file, None, 10).await.unwrap();
        let restored = store
            .restore_version(&alice, &file, versions[0].id, Condition::default())
            .await
            .unwrap();
        assert_eq!(restored.node, node(store, &alice, "/a").await);
        assert_eq!(text(store, &alice, "/a").await.as_deref(), Some(other));

        let folder = store
            .make_folder_with(
                &alice,
                &path("/d"),
                Some(words(WORDS)),
                Condition::default(),
            )
            .await
            .unwrap();
        assert_eq!(folder.modified_ns, MODIFIED_NS);
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_attributes_take_is_counted_wherever_they_go() {
    each_engine_with(kept, async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let condition = Condition::default;
        store
            .make_folder_with(&alice, &path("/d"), Some(words("mode=40755")), condition())
            .await
            .unwrap();
        describe(store, &alice, "/d/a", b"one", WORDS)
            .await
            .unwrap();
        put(store, &alice, "/d/b", b"two").await.unwrap();
        set(store, &alice, "/d/b", Some("mode=100600"))
            .await
            .unwrap();
        set(store, &alice, "/d/b", Some("mode=1")).await.unwrap();
        store
            .copy_tree(&alice, path("/d"), path("/e"), REPLACE, condition())
            .await
            .unwrap();
        assert_eq!(
            text(store, &alice, "/e").await.as_deref(),
            Some("mode=40755")
        );
        assert_eq!(text(store, &alice, "/e/a").await.as_deref(), Some(WORDS));
        assert_eq!(node(store, &alice, "/e/a").await.modified_ns, MODIFIED_NS);
        assert_sound(store).await;
        let deleted = store.delete(&alice, path("/d"), condition()).await.unwrap();
        store
            .delete(&alice, path("/e/a"), condition())
            .await
            .unwrap();
        assert_sound(store).await;
        let id = deleted.node.id;
        store.restore(&alice, id, None, condition()).await.unwrap();
        assert_eq!(text(store, &alice, "/d/b").await.as_deref(), Some("mode=1"));
        set(store, &alice, "/d/a", None).await.unwrap();
        assert_eq!(text(store, &alice, "/d/a").await, None);
        store.empty_trash(&alice, false).await.unwrap();
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_of_a_drive_have_a_limit() {
    each_engine_with(kept, async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let long = format!("target={}", "x".repeat(900));
        describe(store, &alice, "/a", b"one", &long).await.unwrap();
        describe(store, &alice, "/a", b"two", &long).await.unwrap();
        let too_much = "target=".to_owned() + &"y".repeat(100);
        let refused = [
            describe(store, &alice, "/b", b"one", &too_much)
                .await
                .map(drop),
            set(store, &alice, "/", Some(&too_much)).await,
            store
                .make_folder_with(
                    &alice,
                    &path("/d"),
                    Some(words(&too_much)),
                    Condition::default(),
                )
                .await
                .map(drop),
        ];
        for refused in refused {
            let what = Limited::DriveProperties;
            assert!(matches!(refused, Err(Error::Limit { what: w, .. }) if w == what));
        }
        assert!(store.find(&alice, &path("/b")).await.unwrap().is_none());
        set(store, &alice, "/a", Some("mode=1")).await.unwrap();
        describe(store, &alice, "/b", b"one", &too_much)
            .await
            .unwrap();
        assert_sound(store).await;
    })
    .await;
}
