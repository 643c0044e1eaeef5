use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::{LinkChange, LinkKind, LinkProof, NewLink, OpenLink};
use crate::testing::{each_engine, each_engine_with};
use crate::tests::{get, put, user};
use crate::{
    Caller, Condition, Error, Password, Path, Store, Target, TransferOptions, UploadOptions,
};

const DAY_MS: i64 = 86_400 * 1000;

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn to(target: &str) -> NewLink {
    NewLink {
        target: Target::Path(path(target)),
        kind: LinkKind::Read,
        password: None,
        expires_at: None,
        downloads_most: None,
        label: String::new(),
    }
}

async fn make(store: &Store, caller: &Caller, new: NewLink) -> (super::Link, String) {
    store.link_add(caller, new, None).await.unwrap()
}

async fn is_alive(store: &Store, token: &str) -> bool {
    store.find_link(token).await.unwrap().is_some()
}

async fn open(store: &Store, token: &str) -> OpenLink {
    let found = store.find_link(token).await.unwrap().unwrap();
    store.open_link(found, LinkProof::None, None).await.unwrap()
}

async fn upload(store: &Store, caller: &Caller, at: &str, content: &[u8]) -> Result<(), Error> {
    let options = UploadOptions {
        size_bytes: Some(content.len() as u64),
        check_first: true,
        ..UploadOptions::default()
    };
    let mut upload = store
        .begin_upload(caller, &path(at), options, Condition::default())
        .await?;
    upload.write(Bytes::copy_from_slice(content)).await?;
    upload.complete().await?.commit(None).await?;
    Ok(())
}

/// Expired, revoked, used up, never made: one answer, and one statement.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_leads_nowhere_does_not_tell_why() {
    each_engine(async |store, clock| {
        let alice = user(store, "alice", 1 << 30).await;
        put(store, &alice, "/a.txt", b"one").await.unwrap();
        let (_, open_token) = make(store, &alice, to("/a.txt")).await;
        let now = store.world().now_ms();
        let brief = NewLink {
            expires_at: Some(now + 1000),
            ..to("/a.txt")
        };
        let once = NewLink {
            downloads_most: Some(1),
            ..to("/a.txt")
        };
        let (_, expired) = make(store, &alice, brief).await;
        let (_, used_up) = make(store, &alice, once).await;
        let (link, revoked) = make(store, &alice, to("/a.txt")).await;
        for token in [&open_token, &expired, &used_up, &revoked] {
            assert!(is_alive(store, token).await);
        }
        let used = open(store, &used_up).await;
        let download = store.begin_link_download(&used).await.unwrap();
        download.complete().await.unwrap();
        store
            .link_revoke(&alice, link.id, crate::TagCondition::default(), None)
            .await
            .unwrap();
        clock.advance_ms(1000);
        for token in [&expired, &used_up, &revoked, "no such token"] {
            let counter = Arc::new(AtomicU64::new(0));
            let found = crate::count_statements(counter.clone(), store.find_link(token));
            assert!(found.await.unwrap().is_none(), "{token}");
            assert_eq!(counter.load(Ordering::Relaxed), 1);
        }
        assert!(is_alive(store, &open_token).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_follows_its_node_and_ends_with_it_for_good() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        for file in ["/docs/sub/a.txt", "/docs/b.txt", "/c.txt"] {
            let options = UploadOptions {
                make_parents: true,
                size_bytes: Some(1),
                ..UploadOptions::default()
            };
            let mut upload = store
                .begin_upload(&alice, &path(file), options, Condition::default())
                .await
                .unwrap();
            upload.write(Bytes::from_static(b"x")).await.unwrap();
            upload.complete().await.unwrap().commit(None).await.unwrap();
        }
        let (deep, deep_token) = make(store, &alice, to("/docs/sub/a.txt")).await;
        let (_, folder_token) = make(store, &alice, to("/docs/sub")).await;
        let (_, other_token) = make(store, &alice, to("/docs/b.txt")).await;
        let (_, file_token) = make(store, &alice, to("/c.txt")).await;
        assert_eq!(deep.path, path("/docs/sub/a.txt"));

        let options = TransferOptions {
            overwrite: true,
            shallow: false,
            modified_ns: None,
        };
        let move_to = async |from: &str, to: &str| {
            let to = path(to);
            let condition = Condition::default();
            let moved = store.move_tree(&alice, path(from), &to, options, condition);
            moved.await.unwrap();
        };
        move_to("/docs/sub", "/moved").await;
        assert!(is_alive(store, &deep_token).await);
        let listed = store.link_list(&alice, None, None, 10).await.unwrap();
        assert_eq!(listed.len(), 4);
        let moved = listed.iter().find(|link| link.id == deep.id).unwrap();
        assert_eq!(moved.path, path("/moved/a.txt"));
        // New content of the same file.
        put(store, &alice, "/c.txt", b"new").await.unwrap();
        assert_eq!(open(store, &file_token).await.node.size_bytes, 3);

        let delete = async |at: &str| {
            let deleted = store.delete(&alice, path(at), Condition::default());
            deleted.await.unwrap();
        };
        delete("/moved").await;
        assert!(!is_alive(store, &deep_token).await);
        assert!(!is_alive(store, &folder_token).await);
        assert!(is_alive(store, &other_token).await);
        delete("/c.txt").await;
        assert!(!is_alive(store, &file_token).await);
        // What is replaced by something else is gone too.
        put(store, &alice, "/d.txt", b"d").await.unwrap();
        move_to("/d.txt", "/docs/b.txt").await;
        assert!(!is_alive(store, &other_token).await);
        let left = store.link_list(&alice, None, None, 10).await.unwrap();
        assert!(left.is_empty(), "{left:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_owner_in_person_has_to_do_with_a_link() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let bob = user(store, "bob", 1 << 30).await;
        put(store, &alice, "/a.txt", b"one").await.unwrap();
        let (link, _) = make(store, &alice, to("/a.txt")).await;
        let device = Caller {
            app_password: Some(crate::AppPasswordId::new(store.world())),
            ..alice.clone()
        };
        let made = store.link_add(&device, to("/a.txt"), None).await;
        assert!(matches!(made, Err(Error::Forbidden)));
        let of_alice = NewLink {
            target: Target::Node(link.node),
            ..to("/")
        };
        let made = store.link_add(&bob, of_alice, None).await;
        assert!(matches!(made, Err(Error::NotFound)));
        let seen = store.link(&bob, link.id).await;
        assert!(matches!(seen, Err(Error::NotFound)));
        let changed = store.link_change(&bob, link.id, LinkChange::default(), None);
        assert!(matches!(changed.await, Err(Error::NotFound)));
        let revoked = store
            .link_revoke(&bob, link.id, crate::TagCondition::default(), None)
            .await;
        assert!(matches!(revoked, Err(Error::NotFound)));
        let listed = store.link_list(&bob, None, None, 10).await.unwrap();
        assert!(listed.is_empty());
        let listed = store.link_list(&bob, Some(Target::Node(link.node)), None, 10);
        assert!(matches!(listed.await, Err(Error::NotFound)));
        assert_eq!(store.link(&alice, link.id).await.unwrap(), link);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_are_as_many_as_downloads_are_left() {
    each_engine(async |store, clock| {
        let alice = user(store, "alice", 1 << 30).await;
        put(store, &alice, "/a.txt", b"one").await.unwrap();
        let two = NewLink {
            downloads_most: Some(2),
            ..to("/a.txt")
        };
        let (link, token) = make(store, &alice, two).await;
        let link_row = async || store.link(&alice, link.id).await.unwrap();
        let opened = open(store, &token).await;
        let first = store.begin_link_download(&opened).await.unwrap();
        let second = store.begin_link_download(&opened).await.unwrap();
        let third = store.begin_link_download(&opened).await;
        assert!(matches!(third, Err(Error::Limit { limit: 2, .. })));
        first.complete().await.unwrap();
        assert_eq!(link_row().await.downloads_done, 1);
        assert!(matches!(
            store.begin_link_download(&opened).await,
            Err(Error::Limit { .. })
        ));
        // The daemon extends what it holds …
        for _ in 0..5 {
            clock.advance_ms(20_000);
            store.extend_link_downloads().await.unwrap();
        }
        assert!(store.begin_link_download(&opened).await.is_err());
        // … and one that stands still loses it, and must not complete on top of those who got it.
        clock.advance_ms(30_000);
        let third = store.begin_link_download(&opened).await.unwrap();
        assert!(matches!(second.complete().await, Err(Error::Limit { .. })));
        third.complete().await.unwrap();
        assert_eq!(link_row().await.downloads_done, 2);
        let fourth = store.begin_link_download(&opened).await;
        assert!(matches!(fourth, Err(Error::NotFound)));
        assert!(!is_alive(store, &token).await);

        let more = LinkChange {
            downloads_most: Some(Some(3)),
            ..LinkChange::default()
        };
        store
            .link_change(&alice, link.id, more, None)
            .await
            .unwrap();
        let opened = open(store, &token).await;
        let begun = store.begin_link_download(&opened).await.unwrap();
        store
            .link_revoke(&alice, link.id, crate::TagCondition::default(), None)
            .await
            .unwrap();
        // What had begun may end.
        begun.complete().await.unwrap();
        assert!(!is_alive(store, &token).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_limit_downloads_are_counted_too() {
    each_engine(async |store, clock| {
        let alice = user(store, "alice", 1 << 30).await;
        put(store, &alice, "/a.txt", b"one").await.unwrap();
        let (link, token) = make(store, &alice, to("/a.txt")).await;
        assert_eq!(link.last_used_at, None);
        clock.advance_ms(1000);
        let opened = open(store, &token).await;
        for _ in 0..3 {
            let download = store.begin_link_download(&opened).await.unwrap();
            download.complete().await.unwrap();
        }
        drop(store.begin_link_download(&opened).await.unwrap());
        let link = store.link(&alice, link.id).await.unwrap();
        assert_eq!(link.downloads_done, 3);
        assert_eq!(link.last_used_at, Some(store.world().now_ms()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_slowed_down_and_remembered() {
    each_engine(async |store, clock| {
        let alice = user(store, "alice", 1 << 30).await;
        put(store, &alice, "/a.txt", b"one").await.unwrap();
        let secret = NewLink {
            password: Some(Password::new("open sesame")),
            ..to("/a.txt")
        };
        let (link, token) = make(store, &alice, secret).await;
        assert!(link.has_password);
        let try_with = async |proof: LinkProof<'_>| {
            let found = store.find_link(&token).await.unwrap().unwrap();
            store.open_link(found, proof, None).await
        };
        let try_password = async |text: &str| {
            let password = Password::new(text);
            try_with(LinkProof::Password(&password)).await
        };
        let closed = try_with(LinkProof::None).await;
        assert!(matches!(closed, Err(Error::WrongCredentials)));
        let opened = try_password("open sesame").await.unwrap();
        let pass = opened.pass(store).unwrap();
        try_with(LinkProof::Pass(&pass)).await.unwrap();
        for wrong in ["", "x", &pass[1..], &format!("{pass}A")] {
            let refused = try_with(LinkProof::Pass(wrong)).await;
            assert!(matches!(refused, Err(Error::WrongCredentials)), "{wrong}");
        }
        // One run of Argon2 for all that bring the same.
        let runs = store.password_verifications();
        try_password("open sesame").await.unwrap();
        assert_eq!(store.password_verifications(), runs);

        for _ in 0..10 {
            let wrong = try_password("guess").await;
            assert!(matches!(wrong, Err(Error::WrongCredentials)));
        }
        let blocked = try_password("another guess").await;
        assert!(matches!(blocked, Err(Error::TooManyAttempts { .. })));
        try_with(LinkProof::Pass(&pass)).await.unwrap();

        // Another password ends what the old one opened.
        let change = LinkChange {
            password: Some(Some(Password::new("another one"))),
            ..LinkChange::default()
        };
        let changed = store.link_change(&alice, link.id, change, None);
        changed.await.unwrap();
        clock.advance_ms(60_000);
        let stale = try_with(LinkProof::Pass(&pass)).await;
        assert!(matches!(stale, Err(Error::WrongCredentials)));
        let stale = try_password("open sesame").await;
        assert!(matches!(stale, Err(Error::WrongCredentials)));
        clock.advance_ms(60_000);
        let opened = try_password("another one").await.unwrap();
        let pass = opened.pass(store).unwrap();
        clock.advance_ms(12 * 3_600_000);
        let late = try_with(LinkProof::Pass(&pass)).await;
        assert!(matches!(late, Err(Error::WrongCredentials)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_for_uploads_adds_files_and_does_nothing_else() {
    each_engine_with(
        |options| options.limits.uploads_per_user = 1,
        async |store, _| {
            let alice = user(store, "alice", 1 << 30).await;
            store
                .make_folder(&alice, &path("/in"), Condition::default())
                .await
                .unwrap();
            put(store, &alice, "/in/a.txt", b"old").await.unwrap();
            let new = NewLink {
                kind: LinkKind::Upload,
                ..to("/in")
            };
            let (link, token) = make(store, &alice, new).await;
            let stranger = open(store, &token).await.caller;
            let long = vec![3; 50_000];
            for content in [&b"1"[..], b"2", &long] {
                upload(store, &stranger, "/a.txt", content).await.unwrap();
            }
            assert_eq!(get(store, &alice, "/in/a.txt").await.unwrap(), b"old");
            assert_eq!(get(store, &alice, "/in/a (2).txt").await.unwrap(), b"1");
            assert_eq!(get(store, &alice, "/in/a (3).txt").await.unwrap(), b"2");
            let long = get(store, &alice, "/in/a (4).txt").await.unwrap();
            assert_eq!(long.len(), 50_000);

            let delete = store.delete(&stranger, path("/a.txt"), Condition::default());
            assert!(matches!(delete.await, Err(Error::Forbidden)));
            let folder = store
                .make_folder(&stranger, &path("/x"), Condition::default())
                .await;
            assert!(matches!(folder, Err(Error::Forbidden)));
            // The owner's places are not the strangers'.
            let options = UploadOptions::default();
            let mut held = store
                .begin_upload(&stranger, &path("/b"), options, Condition::default())
                .await
                .unwrap();
            put(store, &alice, "/mine", b"x").await.unwrap();

            // What is under way when the link ends is not stored.
            held.write(Bytes::from_static(b"x")).await.unwrap();
            store
                .link_revoke(&alice, link.id, crate::TagCondition::default(), None)
                .await
                .unwrap();
            let late = held.complete().await.unwrap().commit(None).await;
            assert!(matches!(late, Err(Error::NotFound)));
            let (_, token) = make(store, &alice, to("/in")).await;
            let reader = open(store, &token).await.caller;
            let refused = upload(store, &reader, "/b", b"x").await;
            assert!(matches!(refused, Err(Error::Forbidden)));
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_link_is_refused() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        put(store, &alice, "/a.txt", b"one").await.unwrap();
        let now = store.world().now_ms();
        let field_of = async |new: NewLink| match store.link_add(&alice, new, None).await {
            Err(Error::Invalid { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(field_of(to("/")).await, "path");
        let mut new = to("/a.txt");
        new.expires_at = Some(now);
        assert_eq!(field_of(new).await, "expires_at");
        let mut new = to("/a.txt");
        new.downloads_most = Some(0);
        assert_eq!(field_of(new).await, "downloads_most");
        let mut new = to("/a.txt");
        new.label = "a\nb".to_owned();
        assert_eq!(field_of(new).await, "label");
        let mut new = to("/a.txt");
        new.password = Some(Password::new("short"));
        assert_eq!(field_of(new).await, "password");
        let mut new = to("/a.txt");
        new.kind = LinkKind::Upload;
        let refused = store.link_add(&alice, new, None).await;
        assert!(matches!(refused, Err(Error::NotFolder)));
        let refused = store.link_add(&alice, to("/b.txt"), None).await;
        assert!(matches!(refused, Err(Error::NotFound)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_links_stay_in_the_list_for_a_month() {
    each_engine(async |store, clock| {
        let alice = user(store, "alice", 1 << 30).await;
        put(store, &alice, "/a.txt", b"one").await.unwrap();
        let brief = NewLink {
            expires_at: Some(store.world().now_ms() + DAY_MS),
            ..to("/a.txt")
        };
        make(store, &alice, brief).await;
        make(store, &alice, to("/a.txt")).await;
        let listed = async || {
            let listed = store.link_list(&alice, None, None, 10).await;
            listed.unwrap().len()
        };
        clock.advance_ms(31 * DAY_MS);
        assert_eq!(store.purge_links().await.unwrap(), 0);
        assert_eq!(listed().await, 2);
        clock.advance_ms(1);
        assert_eq!(store.purge_links().await.unwrap(), 1);
        assert_eq!(listed().await, 1);
    })
    .await;
}
