use std::sync::atomic::Ordering;

use futures_util::FutureExt as _;
use tokio::time::timeout;

use super::*;
use crate::grant::tests::{folder, path, share};
use crate::testing::{each_engine, each_engine_on, test_options};
use crate::tests::{put, user};
use crate::{Access, Admission, NewUser, Password, Right, World};

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(30);

async fn login(store: &Store, name: &str) -> Caller {
    let password = "correct horse";
    let new = NewUser {
        username: Some(name.into()),
        email: None,
        password: Password::new(password),
        access: Access::User,
        quota_bytes: None,
    };
    let registered = store.register(new, Admission::Own(None), None).await;
    let user = registered.unwrap().id;
    let grant = store.first_login(user, "", None).await.unwrap();
    store.login_caller(grant.login, user).await.unwrap()
}

#[tokio::test]
async fn a_commit_wakes_those_whose_drive_it_is() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let bob = user(store, "bob", 1 << 30).await;
        let (hers, his) = (store.watch(&alice), store.watch(&bob));
        put(store, &alice, "/a", b"1").await.unwrap();
        // By the time the write is acknowledged.
        assert!(hers.news().now_or_never().is_some());
        assert!(his.news().now_or_never().is_none());
        assert_eq!(hers.read(0).await.unwrap().items.len(), 1);
        put(store, &alice, "/a", b"1").await.unwrap();
        put(store, &alice, "/a", b"2").await.unwrap();
        assert!(hers.news().now_or_never().is_some());
        assert!(hers.news().now_or_never().is_none(), "woken once for both");
    })
    .await;
}

/// What is told of what others share, from where it was last read.
async fn read_inside(watch: &Watch, inside: &mut Inside) -> Vec<String> {
    let read = watch.read_inside(std::mem::take(inside)).await.unwrap();
    *inside = read.0;
    read.1.items.into_iter().map(|item| item.path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_wakes_those_with_whom_something_in_the_drive_is_shared() {
    each_engine(async |store, _| {
        let (alice, bob) = (login(store, "alice").await, login(store, "bob").await);
        let carol = login(store, "carol").await;
        folder(store, &alice, "/s").await;
        share(store, &alice, "/s", "bob", Right::Read).await;
        let (his, hers) = (store.watch(&bob), store.watch(&carol));
        let (mut inside, mut none) = (Inside::default(), Inside::default());
        read_inside(&his, &mut inside).await;
        read_inside(&hers, &mut none).await;
        // What happened between reading and listening is looked for.
        assert!(his.inside().now_or_never().is_some());
        assert!(hers.inside().now_or_never().is_none());
        assert!(read_inside(&his, &mut inside).await.is_empty());
        assert!(his.inside().now_or_never().is_none());
        put(store, &alice, "/s/a", b"1").await.unwrap();
        assert!(his.inside().now_or_never().is_some());
        assert!(hers.inside().now_or_never().is_none());
        assert!(his.news().now_or_never().is_none());
        assert_eq!(
            read_inside(&his, &mut inside).await,
            ["/Shared with me/s/a"]
        );
        let target = crate::Target::Path(path("/s"));
        store.revoke(&alice, &target, None, None).await.unwrap();
        assert!(his.shares().now_or_never().is_some());
        assert!(read_inside(&his, &mut inside).await.is_empty());
        let _ = his.inside().now_or_never();
        put(store, &alice, "/s/b", b"1").await.unwrap();
        assert!(his.inside().now_or_never().is_none());
        drop((his, hers));
        assert_eq!(store.wakes().all().len(), 0);
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_credential_is_told_to_whoever_uses_it() {
    each_engine(async |store, _| {
        let (alice, bob) = (login(store, "alice").await, login(store, "bob").await);
        let (hers, his) = (store.watch(&alice), store.watch(&bob));
        assert!(hers.ended().now_or_never().is_none());
        let (ended, out) = tokio::join!(timeout(PATIENCE, hers.ended()), async {
            store.logout(&alice, None).await
        });
        ended.expect("it is told").unwrap();
        out.unwrap();
        let still = timeout(Duration::from_millis(50), his.ended()).await;
        assert!(still.is_err(), "bob is still there");
        // Whoever comes too late is told at once.
        let late = store.watch(&alice);
        timeout(PATIENCE, late.ended()).await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn nobody_who_left_is_remembered() {
    each_engine(async |store, _| {
        let alice = login(store, "alice").await;
        let watches: Vec<Watch> = (0..10).map(|_| store.watch(&alice)).collect();
        assert_eq!(store.wakes().all().len(), 10);
        drop(watches);
        assert_eq!(store.wakes().all().len(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_thousand_who_wait_cost_a_few_statements() {
    each_engine(async |store, clock| {
        let mut watches = Vec::new();
        for number in 0..10 {
            let caller = login(store, &format!("user{number}")).await;
            watches.extend((0..100).map(|_| store.watch(&caller)));
        }
        let counter = Arc::default();
        let looked = crate::count_statements(Arc::clone(&counter), store.look_after_watchers());
        looked.await.unwrap();
        let statements = counter.load(Ordering::Relaxed);
        assert!(statements <= 4, "{statements}");
        // The clock ends all of them, unheard of by anybody.
        clock.advance_ms(50 * 3_600_000);
        store.look_after_watchers().await.unwrap();
        for watch in &watches {
            timeout(PATIENCE, watch.ended()).await.unwrap().unwrap();
        }
        drop(watches);
        let looked = crate::count_statements(Arc::clone(&counter), store.look_after_watchers());
        looked.await.unwrap();
        assert_eq!(counter.load(Ordering::Relaxed), statements);
    })
    .await;
}

/// Two stores on one database, as two daemons have it.
#[expect(
    clippy::future_not_send,
    reason = "each test awaits it on its own thread"
)]
async fn side_by_side(test: impl AsyncFn(&Store, &Store)) {
    each_engine_on(async |database| {
        if matches!(database, crate::Database::Sqlite(_)) {
            return; // One process alone may use it.
        }
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let options = |data: &tempfile::TempDir| {
            test_options(data.path(), database.clone(), World::default())
        };
        let one = Store::open(options(&first)).await.unwrap();
        let other = Store::open(options(&second)).await.unwrap();
        test(&one, &other).await;
        one.close().await;
        other.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemons_wake_each_others_watchers() {
    side_by_side(async |one, other| {
        let (here, there) = (one.clone(), other.clone());
        let relays = [
            tokio::spawn(async move { here.relay_wakes().await }),
            tokio::spawn(async move { there.relay_wakes().await }),
        ];
        let alice = login(one, "alice").await;
        let watch = other.watch(&alice);
        let mut cursor = 0;
        for number in 0..20 {
            put(one, &alice, &format!("/{number}"), b"x").await.unwrap();
            while cursor == number {
                timeout(PATIENCE, watch.news()).await.expect("it is heard");
                cursor = watch.read(cursor).await.unwrap().cursor;
            }
        }
        one.logout(&alice, None).await.unwrap();
        timeout(PATIENCE, watch.ended()).await.unwrap().unwrap();
        for relay in relays {
            relay.abort();
            assert!(relay.await.unwrap_err().is_cancelled());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_heard_is_looked_for() {
    side_by_side(async |one, other| {
        let alice = login(one, "alice").await;
        let watch = other.watch(&alice);
        let cursor = watch.read(0).await.unwrap().cursor;
        other.look_after_watchers().await.unwrap();
        assert!(watch.news().now_or_never().is_none(), "nothing happened");
        put(one, &alice, "/a", b"x").await.unwrap();
        other.look_after_watchers().await.unwrap();
        assert!(watch.news().now_or_never().is_some());
        assert_eq!(watch.read(cursor).await.unwrap().items.len(), 1);
        one.logout(&alice, None).await.unwrap();
        other.look_after_watchers().await.unwrap();
        timeout(PATIENCE, watch.ended()).await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_share_is_followed_across_daemons() {
    side_by_side(async |one, other| {
        let (alice, bob) = (login(one, "alice").await, login(one, "bob").await);
        folder(one, &alice, "/s").await;
        share(one, &alice, "/s", "bob", Right::Read).await;
        let watch = other.watch(&bob);
        let mut inside = Inside::default();
        read_inside(&watch, &mut inside).await;
        watch.inside().await;
        assert!(read_inside(&watch, &mut inside).await.is_empty());
        // Looked for, where it was not heard.
        other.look_after_watchers().await.unwrap();
        assert!(watch.inside().now_or_never().is_none(), "nothing happened");
        put(one, &alice, "/s/a", b"x").await.unwrap();
        other.look_after_watchers().await.unwrap();
        assert!(watch.inside().now_or_never().is_some());
        assert_eq!(
            read_inside(&watch, &mut inside).await,
            ["/Shared with me/s/a"]
        );
        let (here, there) = (one.clone(), other.clone());
        let relays = [
            tokio::spawn(async move { here.relay_wakes().await }),
            tokio::spawn(async move { there.relay_wakes().await }),
        ];
        put(one, &alice, "/s/b", b"x").await.unwrap();
        timeout(PATIENCE, watch.inside())
            .await
            .expect("it is heard");
        assert_eq!(
            read_inside(&watch, &mut inside).await,
            ["/Shared with me/s/b"]
        );
        for relay in relays {
            relay.abort();
            assert!(relay.await.unwrap_err().is_cancelled());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_tells_what_it_did_before_it_ends() {
    side_by_side(async |one, other| {
        let alice = login(one, "alice").await;
        let relay = tokio::spawn({
            let other = other.clone();
            async move { other.relay_wakes().await }
        });
        let watch = other.watch(&alice);
        // Until it is heard: the other side may only be beginning to listen.
        let mut number = 0;
        while timeout(Duration::from_millis(100), watch.news())
            .await
            .is_err()
        {
            put(one, &alice, &format!("/{number}"), b"x").await.unwrap();
            one.send_last_wakes().await;
            number += 1;
            assert!(number < 300, "it is never heard");
        }
        relay.abort();
        let _ = relay.await;
    })
    .await;
}
