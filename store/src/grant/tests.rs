use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::testing::each_engine;
use crate::tests::{get, put};
use crate::{
    Actor, Admission, AuditFilter, Caller, Condition, Error, Name, NewUser, Now, Password, Path,
    Reach, Reached, Right, Store, Target, TransferOptions, Via,
};

pub(crate) async fn user(store: &Store, name: &str) -> Caller {
    let new = NewUser {
        username: Some(name.to_owned()),
        email: Some(format!("{name}@example.org")),
        password: Password::new(&format!("{name} has a password")),
        access: crate::Access::User,
        quota_bytes: None,
    };
    let made = store.register(new, Admission::By(Actor::Console), None);
    made.await.unwrap();
    let secret = format!("{name} has a password");
    store.authenticate_basic(name, &secret, None).await.unwrap()
}

pub(crate) fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

pub(crate) async fn folder(store: &Store, caller: &Caller, at: &str) {
    store
        .make_folders(caller, &path(at), Condition::default())
        .await
        .unwrap();
}

pub(crate) async fn share(store: &Store, owner: &Caller, at: &str, name: &str, right: Right) {
    let target = Target::Path(path(at));
    store
        .grant(owner, &target, name, right, None)
        .await
        .unwrap();
}

pub(crate) async fn reach(store: &Store, caller: &Caller, at: &str) -> Option<Reached> {
    match store
        .reach(caller, &Target::Path(path(at)))
        .await
        .unwrap()?
    {
        Reach::Drive(reached) => Some(*reached),
        Reach::Shares => None,
    }
}

async fn mounts(store: &Store, caller: &Caller) -> Vec<String> {
    let shares = store.shares(caller, None, 100).await.unwrap();
    let names = shares.iter().map(|share| share.name.as_str().to_owned());
    names.collect()
}

async fn id(store: &Store, caller: &Caller, at: &str) -> Target {
    let found = store.find(caller, &path(at)).await.unwrap().unwrap();
    Target::Node(found.node.id)
}

/// Tries to write into what is shared.
async fn write(store: &Store, caller: &Caller, at: &str) -> Result<bool, Error> {
    let reached = reach(store, caller, at).await.ok_or(Error::NotFound)?;
    let below = reached.path().unwrap().to_string();
    put(store, &reached.caller, &below, b"written").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_granted_is_reached_until_it_is_taken_back() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        folder(store, &alice, "/Plans/2026").await;
        put(store, &alice, "/Plans/2026/a", b"alice's")
            .await
            .unwrap();
        let file = id(store, &alice, "/Plans/2026/a").await;
        assert!(!store.has_shares(&bob).await.unwrap());
        assert!(reach(store, &bob, "/Shared with me/Plans").await.is_none());

        share(store, &alice, "/Plans", "BOB@example.org", Right::Read).await;
        assert!(store.has_shares(&bob).await.unwrap());
        assert_eq!(mounts(store, &bob).await, ["Plans"]);
        let reached = reach(store, &bob, "/Shared with me/Plans/2026/a")
            .await
            .unwrap();
        assert!(matches!(reached.caller.via, Via::Grant(_)));
        assert!(reached.caller.read_only && !reached.caller.whole_drive);
        assert_eq!(reached.base, path("/Shared with me/Plans"));
        let content = get(store, &reached.caller, "/2026/a").await;
        assert_eq!(content.unwrap(), b"alice's");
        let Some(Reach::Drive(by_id)) = store.reach(&bob, &file).await.unwrap() else {
            panic!("the file is shared");
        };
        assert_eq!(by_id.base, path("/Shared with me/Plans"));
        let found = store.look_up(&by_id.caller, &file).await.unwrap().unwrap();
        assert_eq!(found.path, path("/2026/a"));
        let refused = write(store, &bob, "/Shared with me/Plans/new").await;
        assert!(matches!(refused, Err(Error::Forbidden)));

        share(store, &alice, "/Plans", "bob@example.org", Right::Write).await;
        assert!(
            write(store, &bob, "/Shared with me/Plans/new")
                .await
                .unwrap()
        );
        let usage = store.usage(&alice).await.unwrap();
        assert_eq!((usage.files, usage.used_bytes), (2, 14));
        assert_eq!(store.usage(&bob).await.unwrap().used_bytes, 0);

        // The right is asked again where something is written, whatever was reached before.
        let held = reach(store, &bob, "/Shared with me/Plans/x").await.unwrap();
        let plans = id(store, &alice, "/Plans").await;
        assert_eq!(store.revoke(&alice, &plans, None, None).await.unwrap(), 1);
        let refused = put(store, &held.caller, "/x", b"late").await;
        assert!(matches!(refused, Err(Error::NotFound)));
        assert!(reach(store, &bob, "/Shared with me/Plans").await.is_none());
        assert!(!store.has_shares(&bob).await.unwrap());
        assert_eq!(store.check_references().await.unwrap(), [""; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_nobody_has_costs_the_same_and_gets_nothing_later() {
    each_engine(async |store, _| {
        let alice = user(store, "alice").await;
        user(store, "bob").await;
        folder(store, &alice, "/a").await;
        let target = id(store, &alice, "/a").await;
        let mut costs = BTreeSet::new();
        for name in [
            "bob",
            "carol",
            "alice",
            "bob@example.org",
            "carol@example.org",
        ] {
            let counter = Arc::new(AtomicU64::new(0));
            let granting = async {
                let made = store.grant(&alice, &target, name, Right::Read, None).await;
                let (made, is_new) = made.unwrap();
                assert_eq!((made.name.as_str(), is_new), (name, true));
                let again = store.grant(&alice, &target, name, Right::Write, None);
                assert!(!again.await.unwrap().1);
                store
                    .change_grant(
                        &alice,
                        &target,
                        made.id,
                        Right::Read,
                        crate::TagCondition::default(),
                        None,
                    )
                    .await
                    .unwrap();
                made.id
            };
            let made = crate::count_statements(Arc::clone(&counter), granting).await;
            let listed = store.grants(&alice, &target, None, 100).await.unwrap();
            assert_eq!(listed.count, 1);
            assert_eq!(listed.items[0].right, Right::Read);
            store
                .revoke(
                    &alice,
                    &target,
                    Some((made, crate::TagCondition::default())),
                    None,
                )
                .await
                .unwrap();
            costs.insert(counter.load(Ordering::Relaxed));
        }
        assert_eq!(costs.len(), 1, "{costs:?}");

        store
            .grant(&alice, &target, "carol", Right::Read, None)
            .await
            .unwrap();
        let carol = user(store, "carol").await;
        assert!(!store.has_shares(&carol).await.unwrap());
        // Typed again, it is hers.
        store
            .grant(&alice, &target, "Carol", Right::Read, None)
            .await
            .unwrap();
        assert_eq!(mounts(store, &carol).await, ["a"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_strongest_right_on_the_way_counts() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        folder(store, &alice, "/a/b/c").await;
        share(store, &alice, "/a", "bob", Right::Read).await;
        share(store, &alice, "/a/b", "bob", Right::Write).await;
        assert_eq!(mounts(store, &bob).await, ["a", "b"]);
        for (place, may) in [
            ("/a/x", false),
            ("/a/b/x", true),
            ("/a/b/c/x", true),
            ("/b/c/y", true),
        ] {
            let written = write(store, &bob, &format!("/Shared with me{place}")).await;
            assert_eq!(written.is_ok(), may, "{place}: {written:?}");
        }
        let reached = reach(store, &bob, "/Shared with me/a/b/c").await.unwrap();
        assert_eq!(reached.base, path("/Shared with me/a/b"));
        // The root of what is shared stays, whichever way leads to it.
        let removed = store.delete(&reached.caller, Path::root(), Condition::default());
        assert!(matches!(removed.await, Err(Error::Protected)));

        share(store, &alice, "/a", "bob", Right::Write).await;
        share(store, &alice, "/a/b", "bob", Right::Read).await;
        assert!(write(store, &bob, "/Shared with me/b/z").await.unwrap());
        let a = reach(store, &bob, "/Shared with me/a/b").await.unwrap();
        let removed = store.delete(&a.caller, path("/b"), Condition::default());
        assert!(matches!(removed.await, Err(Error::Protected)));
        let removed = store.delete(&a.caller, path("/b/c"), Condition::default());
        removed.await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_keep_their_names_and_others_get_numbers() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        let carol = user(store, "carol").await;
        for (owner, at) in [(&alice, "/Plans"), (&carol, "/Plans"), (&alice, "/x/Plans")] {
            folder(store, owner, at).await;
            share(store, owner, at, "bob", Right::Read).await;
        }
        put(store, &alice, "/r.txt", b"").await.unwrap();
        put(store, &carol, "/r.txt", b"").await.unwrap();
        share(store, &alice, "/r.txt", "bob", Right::Read).await;
        share(store, &carol, "/r.txt", "bob", Right::Read).await;
        // The same thing by another name of the same person is the same share.
        share(store, &carol, "/r.txt", "bob@example.org", Right::Write).await;
        let all = ["Plans", "Plans (2)", "Plans (3)", "r (2).txt", "r.txt"];
        assert_eq!(mounts(store, &bob).await, all);
        let target = Target::Path(path("/r.txt"));
        let options = TransferOptions {
            overwrite: false,
            shallow: false,
            modified_ns: None,
        };
        let moved = store.move_tree(
            &alice,
            target,
            path("/x/s.txt"),
            options,
            Condition::default(),
        );
        moved.await.unwrap();
        assert_eq!(mounts(store, &bob).await, all);
        assert!(reach(store, &bob, "/Shared with me/r.txt").await.is_some());
        let shares = store
            .shares(&bob, Some("Plans (3)".into()), 1)
            .await
            .unwrap();
        assert_eq!(
            (shares[0].owner.as_str(), shares[0].right),
            ("carol", Right::Write)
        );
        // Nothing else can have the name of the folder they are in.
        let reserved = path("/Shared with me");
        let taken = store.make_folder(&bob, &reserved, Condition::default());
        assert!(matches!(taken.await, Err(Error::Reserved)));
        let inside = path("/x/Shared with me");
        store
            .make_folder(&alice, &inside, Condition::default())
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_or_left_is_shared_no_more() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        folder(store, &alice, "/a/b").await;
        put(store, &alice, "/f", b"x").await.unwrap();
        for at in ["/a", "/a/b", "/f"] {
            share(store, &alice, at, "bob", Right::Write).await;
        }
        let all = store.granted_by(&alice, None, 100).await.unwrap();
        // Made in one instant, they come in no order.
        let paths: BTreeSet<&str> = all.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, BTreeSet::from(["/a", "/a/b", "/f"]));
        // Somebody who may write cannot take away what is shared by overwriting it either.
        let a = reach(store, &bob, "/Shared with me/a").await.unwrap();
        put(store, &a.caller, "/c", b"c").await.unwrap();
        let options = TransferOptions {
            overwrite: true,
            shallow: false,
            modified_ns: None,
        };
        let over = store.copy_tree(
            &a.caller,
            path("/c"),
            path("/b"),
            options,
            Condition::default(),
        );
        assert!(matches!(over.await, Err(Error::Protected)));

        store
            .delete(&alice, path("/a"), Condition::default())
            .await
            .unwrap();
        assert_eq!(mounts(store, &bob).await, ["f"]);
        let share = store.shares(&bob, None, 1).await.unwrap().remove(0);
        store.leave_share(&bob, share.id, None).await.unwrap();
        assert!(mounts(store, &bob).await.is_empty());
        // Its owner is not told.
        let listed = store
            .grants(&alice, &Target::Path(path("/f")), None, 10)
            .await
            .unwrap();
        assert_eq!(listed.items[0].name, "bob");
        let trail = store
            .audit(Actor::Console, AuditFilter::default(), None, 100)
            .await
            .unwrap();
        let done: BTreeSet<&str> = trail.iter().map(|line| line.action.as_str()).collect();
        assert!(
            done.contains("grant.leave") && done.contains("grant.add"),
            "{done:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_over_a_border_are_charged_to_whom_they_belong() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        folder(store, &alice, "/in/sub").await;
        put(store, &alice, "/in/sub/f", &vec![7; 100_000])
            .await
            .unwrap();
        put(store, &bob, "/own", &vec![8; 40_000]).await.unwrap();
        share(store, &alice, "/in", "bob", Right::Write).await;
        let share = reach(store, &bob, "/Shared with me/in")
            .await
            .unwrap()
            .caller;
        let options = TransferOptions {
            overwrite: false,
            shallow: false,
            modified_ns: None,
        };
        let none = Condition::default;
        let copied = store.copy_across(&share, path("/sub"), &bob, path("/got"), options, none());
        assert!(copied.await.unwrap().created);
        assert_eq!(get(store, &bob, "/got/f").await.unwrap(), vec![7; 100_000]);
        let copied = store.copy_across(&bob, path("/own"), &share, path("/own"), options, none());
        copied.await.unwrap();
        let used = async |who: &Caller| store.usage(who).await.unwrap().used_bytes;
        assert_eq!(used(&alice).await, 140_000);
        assert_eq!(used(&bob).await, 140_000);
        let again = store.copy_across(&bob, path("/own"), &share, path("/own"), options, none());
        assert!(matches!(again.await, Err(Error::AlreadyExists)));
        // Two ways into one drive: a folder does not go into itself.
        folder(store, &alice, "/in/sub/deep").await;
        let sub = Target::Path(path("/in/sub"));
        store
            .grant(&alice, &sub, "bob", Right::Write, None)
            .await
            .unwrap();
        let inner = reach(store, &bob, "/Shared with me/sub")
            .await
            .unwrap()
            .caller;
        let into = store.copy_across(
            &share,
            path("/sub"),
            &inner,
            path("/deep/x"),
            options,
            none(),
        );
        assert!(matches!(into.await, Err(Error::Overlap)));
        assert_eq!(store.check_references().await.unwrap(), [""; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_account_shares_nothing_and_is_not_told_of() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        let carol = user(store, "carol").await;
        folder(store, &alice, "/a").await;
        share(store, &alice, "/a", "bob", Right::Read).await;
        share(store, &alice, "/a", "carol", Right::Read).await;
        store
            .user_remove(
                Actor::Console,
                carol.user,
                crate::TagCondition::default(),
                None,
            )
            .await
            .unwrap();
        let listed = store
            .grants(&alice, &Target::Path(path("/a")), None, 10)
            .await
            .unwrap();
        let names: BTreeSet<&str> = listed.items.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, BTreeSet::from(["bob", "carol"]));
        store
            .user_remove(
                Actor::Console,
                alice.user,
                crate::TagCondition::default(),
                None,
            )
            .await
            .unwrap();
        assert!(!store.has_shares(&bob).await.unwrap());
        assert!(reach(store, &bob, "/Shared with me/a").await.is_none());
        assert_eq!(store.check_references().await.unwrap(), [""; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_shown_within_their_limits() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        let long = Name::new(&"\u{fc}".repeat(127)).unwrap();
        for above in ["/a", "/b"] {
            let at = format!("{above}/{}", long.as_str());
            folder(store, &alice, &at).await;
            share(store, &alice, &at, "bob", Right::Read).await;
        }
        let names = mounts(store, &bob).await;
        assert_eq!(names.len(), 2);
        assert!(names.iter().any(|name| name.ends_with(" (2)")));
        assert!(names.iter().all(|name| name.len() <= Name::MAX_BYTES));
    })
    .await;
}

const MOVE: TransferOptions = TransferOptions {
    overwrite: false,
    shallow: false,
    modified_ns: None,
};

#[tokio::test(flavor = "multi_thread")]
async fn only_its_owner_moves_what_is_shared_by_itself() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        folder(store, &alice, "/a/shared").await;
        folder(store, &alice, "/a/plain").await;
        share(store, &alice, "/a", "bob", Right::Write).await;
        user(store, "carol").await;
        share(store, &alice, "/a/shared", "carol", Right::Read).await;
        let a = reach(store, &bob, "/Shared with me/a").await.unwrap();
        let move_to = async |from: &str, to: &str| {
            let (from, to) = (path(from), path(to));
            let moved = store.move_tree(&a.caller, from, &to, MOVE, Condition::default());
            moved.await.map(drop)
        };
        for to in ["/plain/shared", "/SHARED"] {
            let refused = move_to("/shared", to).await;
            assert!(matches!(refused, Err(Error::Protected)), "{refused:?}");
        }
        move_to("/plain", "/other").await.unwrap();
        let (from, to) = (path("/a/shared"), path("/b"));
        let moved = store.move_tree(&alice, from, &to, MOVE, Condition::default());
        moved.await.unwrap();
    })
    .await;
}

/// A history that reaches back before the grant tells nothing of what is elsewhere now.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_left_a_shared_folder_is_not_told_as_it_is_now() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        folder(store, &alice, "/s").await;
        share(store, &alice, "/s", "bob", Right::Read).await;
        let s = reach(store, &bob, "/Shared with me/s").await.unwrap();
        let before = store.change_cursor(&alice).await.unwrap();
        put(store, &alice, "/s/secret", b"1").await.unwrap();
        put(store, &alice, "/s/stays", b"1").await.unwrap();
        let (from, to) = (path("/s/secret"), path("/private"));
        let moved = store.move_tree(&alice, from, &to, MOVE, Condition::default());
        moved.await.unwrap();
        let all = store.changes(&s.caller, &Path::root(), before, 9).await;
        let all = all.unwrap().items;
        let stays = all.iter().filter(|item| item.now != Now::Gone);
        let stays: Vec<&str> = stays.map(|item| item.path.as_str()).collect();
        assert_eq!(stays, ["/stays"]);
        let told = store
            .changes(&s.caller, &Path::root(), before, 1)
            .await
            .unwrap();
        let is_told = told.items.iter().any(|item| !matches!(item.now, Now::Gone));
        assert!(!is_told, "{:?}", told.items);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_before_the_grant_is_not_told() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        folder(store, &alice, "/s").await;
        let before = store.change_cursor(&alice).await.unwrap();
        put(store, &alice, "/s/draft", b"1").await.unwrap();
        let target = Target::Path(path("/s/draft"));
        let gone = store.delete(&alice, target, Condition::default());
        gone.await.unwrap();
        share(store, &alice, "/s", "bob", Right::Read).await;
        let since = store.change_cursor(&alice).await.unwrap();
        let s = reach(store, &bob, "/Shared with me/s").await.unwrap();
        for cursor in before..since {
            let told = store.changes(&s.caller, &Path::root(), cursor, 9).await;
            assert!(matches!(told, Err(Error::CursorExpired)), "{told:?}");
        }
        put(store, &alice, "/s/a", b"1").await.unwrap();
        // Another right is no other beginning; a grant that was taken back and given anew is one.
        share(store, &alice, "/s", "bob", Right::Write).await;
        let told = store.changes(&s.caller, &Path::root(), since, 9).await;
        assert_eq!(told.unwrap().items.len(), 1);
        let target = Target::Path(path("/s"));
        store.revoke(&alice, &target, None, None).await.unwrap();
        let told = store.changes(&s.caller, &Path::root(), since, 9).await;
        assert!(matches!(told, Err(Error::NotFound)), "{told:?}");
        share(store, &alice, "/s", "bob", Right::Read).await;
        let told = store.changes(&s.caller, &Path::root(), since, 9).await;
        assert!(matches!(told, Err(Error::CursorExpired)), "{told:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_away_is_not_told_as_it_is_now() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        let before = store.change_cursor(&alice).await.unwrap();
        put(store, &alice, "/a", b"1").await.unwrap();
        let target = Target::Path(path("/a"));
        let offer = store.offer(&alice, &target, "bob", false, None).await;
        let taken = store.accept_offer(&bob, offer.unwrap().id, false, None);
        taken.await.unwrap();
        put(store, &bob, "/a", b"of bob").await.unwrap();
        for limit in [1, 9] {
            let told = store.changes(&alice, &Path::root(), before, limit).await;
            let told = told.unwrap().items;
            assert!(told.iter().all(|item| item.now == Now::Gone), "{told:?}");
        }
    })
    .await;
}

/// "Whom they share with keeps what was shared."
#[tokio::test(flavor = "multi_thread")]
async fn what_a_disabled_owner_shares_stays_with_others() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        folder(store, &alice, "/s").await;
        put(store, &alice, "/s/a", b"alice's").await.unwrap();
        share(store, &alice, "/s", "bob", Right::Write).await;
        let change = crate::UserChange {
            disabled: Some(true),
            ..crate::UserChange::default()
        };
        let changed = store.user_set(Actor::Console, alice.user, change, None);
        changed.await.unwrap();
        assert_eq!(mounts(store, &bob).await, ["s"]);
        let reached = reach(store, &bob, "/Shared with me/s").await.unwrap();
        let content = get(store, &reached.caller, "/a").await;
        assert_eq!(content.unwrap(), b"alice's");
        assert!(write(store, &bob, "/Shared with me/s/b").await.unwrap());
    })
    .await;
}
