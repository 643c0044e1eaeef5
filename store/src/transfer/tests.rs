use std::time::Duration;

use crate::grant::tests::{folder, path, reach, share, user};
use crate::testing::{each_engine, each_engine_with};
use crate::tests::{get, put};
use crate::{
    Actor, Caller, Condition, Error, NewLock, Options, Right, Store, Target, UploadOptions,
    UserChange,
};

async fn offer(store: &Store, owner: &Caller, at: &str, to: &str) -> crate::Offer {
    let target = Target::Path(path(at));
    store.offer(owner, &target, to, true, None).await.unwrap()
}

async fn set_quota(store: &Store, user: &Caller, quota_bytes: u64) {
    let change = UserChange {
        quota_bytes: Some(quota_bytes),
        ..UserChange::default()
    };
    let set = store.user_set(Actor::Console, user.user, change, None);
    set.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_changes_drive_and_bill_at_once() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        let carol = user(store, "carol").await;
        folder(store, &alice, "/in/Plans/sub").await;
        folder(store, &bob, "/Plans").await;
        put(store, &alice, "/in/Plans/sub/f", &vec![7; 100_000])
            .await
            .unwrap();
        share(store, &alice, "/in/Plans", "bob", Right::Read).await;
        share(store, &alice, "/in/Plans/sub", "carol", Right::Write).await;
        let offered = offer(store, &alice, "/in/Plans", "Bob").await;
        assert!(!offered.is_incoming);
        let listed = store.offers(&bob, None, 10).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert!(listed[0].is_incoming);
        assert_eq!(
            (listed[0].from.as_str(), listed[0].name.as_str()),
            ("alice", "Plans")
        );
        // It is nobody else's to accept.
        for other in [&alice, &carol] {
            let accepted = store.accept_offer(other, offered.id, true, None).await;
            assert!(matches!(accepted, Err(Error::NotFound)));
        }
        set_quota(store, &bob, 99_999).await;
        let accepted = store.accept_offer(&bob, offered.id, true, None).await;
        assert!(matches!(accepted, Err(Error::QuotaExceeded { .. })));
        set_quota(store, &bob, 100_000).await;
        let accepted = store
            .accept_offer(&bob, offered.id, true, None)
            .await
            .unwrap();
        assert_eq!(accepted.path, path("/Plans (2)"));
        assert_eq!(accepted.node.id, offered.node.id);

        assert_eq!(
            get(store, &bob, "/Plans (2)/sub/f").await.unwrap(),
            vec![7; 100_000]
        );
        assert_eq!(store.find(&alice, &path("/in/Plans")).await.unwrap(), None);
        assert_eq!(store.usage(&alice).await.unwrap().used_bytes, 0);
        assert_eq!(store.usage(&bob).await.unwrap().used_bytes, 100_000);
        assert_eq!(store.usage(&bob).await.unwrap().files, 1);
        // The former owner keeps writing, others keep what they had, the new owner needs nothing.
        let back = reach(store, &alice, "/Shared with me/Plans (2)")
            .await
            .unwrap();
        assert!(!back.caller.read_only);
        let carols = reach(store, &carol, "/Shared with me/sub").await.unwrap();
        assert_eq!(carols.caller.drive, bob.drive);
        assert!(!store.has_shares(&bob).await.unwrap());
        assert!(store.offers(&bob, None, 10).await.unwrap().is_empty());
        assert_eq!(store.check_references().await.unwrap(), [""; 0]);
        // What comes to be below it is charged to whom it is now.
        set_quota(store, &bob, 1 << 30).await;
        put(store, &carols.caller, "/g", b"carol's").await.unwrap();
        assert_eq!(store.usage(&bob).await.unwrap().used_bytes, 100_007);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_offer_looks_like_one_to_nobody() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        folder(store, &alice, "/a").await;
        let to_bob = offer(store, &alice, "/a", "bob").await;
        let to_nobody = offer(store, &alice, "/a", "nobody").await;
        store.end_offer(&bob, to_bob.id, None).await.unwrap();
        assert!(store.offers(&bob, None, 10).await.unwrap().is_empty());
        let listed = store.offers(&alice, None, 10).await.unwrap();
        assert_eq!(listed.len(), 2);
        assert!(listed.contains(&to_bob) && listed.contains(&to_nobody));
        let accepted = store.accept_offer(&bob, to_bob.id, true, None).await;
        assert!(matches!(accepted, Err(Error::NotFound)));
        for id in [to_bob.id, to_nobody.id] {
            store.end_offer(&alice, id, None).await.unwrap();
        }
        let again = store.end_offer(&alice, to_bob.id, None).await;
        assert!(matches!(again, Err(Error::NotFound)));
        // What is deleted is offered no more.
        let gone = offer(store, &alice, "/a", "bob").await;
        store
            .delete(&alice, path("/a"), Condition::default())
            .await
            .unwrap();
        let accepted = store.accept_offer(&bob, gone.id, true, None).await;
        assert!(matches!(accepted, Err(Error::NotFound)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_into_what_was_given_away_finds_nothing_and_keeps_nothing() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        folder(store, &alice, "/a").await;
        put(store, &alice, "/a/f", &vec![1; 50_000]).await.unwrap();
        share(store, &alice, "/a", "bob", Right::Write).await;
        let new = NewLock {
            token: "coffer-lock:1".into(),
            is_exclusive: true,
            is_deep: true,
            owner_xml: None,
            timeout_s: 600,
        };
        let at = path("/a");
        let locked = store.lock(&alice, &at, new, Condition::default());
        locked.await.unwrap();
        let held = reach(store, &bob, "/Shared with me/a")
            .await
            .unwrap()
            .caller;
        let options = || UploadOptions {
            size_bytes: Some(60_000),
            ..UploadOptions::default()
        };
        let condition = Condition {
            lock_tokens: vec!["coffer-lock:1".into()],
            ..Condition::default()
        };
        let mut upload = store
            .begin_upload(&alice, &path("/a/f"), options(), condition)
            .await
            .unwrap();
        upload.write(vec![2; 60_000].into()).await.unwrap();
        let complete = upload.complete().await.unwrap();
        let offered = offer(store, &alice, "/a", "bob").await;
        store
            .accept_offer(&bob, offered.id, false, None)
            .await
            .unwrap();
        assert!(!store.has_shares(&alice).await.unwrap());
        assert!(matches!(
            complete.commit(None).await,
            Err(Error::ParentMissing)
        ));
        let refused = put(store, &held, "/g", b"x").await;
        assert!(matches!(refused, Err(Error::NotFound)));
        // Its locks ended with it.
        put(store, &bob, "/a/f", &[3; 10]).await.unwrap();
        assert_eq!(store.usage(&alice).await.unwrap().used_bytes, 0);
        assert_eq!(store.usage(&bob).await.unwrap().used_bytes, 10);
        store.expire_reservations().await.unwrap();
        assert!(store.locks(&bob).await.unwrap().is_empty());
    })
    .await;
}

/// Versions never keep anything out: of what comes along those give way for which there is no room.
#[tokio::test(flavor = "multi_thread")]
async fn versions_that_come_along_give_way_and_are_counted_right() {
    let each = |options: &mut Options| {
        options.versions.interval = Duration::ZERO;
        options.versions.most = 20;
    };
    each_engine_with(each, async |store, clock| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        put(store, &alice, "/f", &vec![1; 50_000]).await.unwrap();
        put(store, &alice, "/f", &vec![2; 10_000]).await.unwrap();
        clock.advance_ms(3_600_000);
        put(store, &bob, "/own", &vec![3; 2000]).await.unwrap();
        put(store, &bob, "/own", &vec![4; 3000]).await.unwrap();
        set_quota(store, &bob, 20_000).await;
        let offered = offer(store, &alice, "/f", "bob").await;
        let accepted = store.accept_offer(&bob, offered.id, true, None).await;
        accepted.unwrap();
        let usage = store.usage(&bob).await.unwrap();
        assert_eq!(usage.used_bytes, 15_000, "the older version went");
        assert_eq!((usage.versions_bytes, usage.versions), (2000, 1));
        assert_eq!(usage.free_bytes(), 7000);
        assert_eq!(store.usage(&alice).await.unwrap().used_bytes, 0);
        let refused = put(store, &bob, "/more", &vec![5; 7001]).await;
        assert!(matches!(refused, Err(Error::QuotaExceeded { .. })));
        let checked = store.check(true, |_| ()).await.unwrap();
        assert_eq!(checked.faults, Vec::<String>::new());
    })
    .await;
}
