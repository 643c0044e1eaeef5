//! Who reaches a file by which of its names.

use super::{bind, delete, kept, links, must_be_sound, node, try_bind};
use crate::grant::tests::{folder, path, reach, share, user};
use crate::testing::{each_engine, each_engine_with};
use crate::tests::{get, put};
use crate::{Condition, Error, LinkKind, NewLink, Reach, Right, Target};

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_leads_to_what_is_in_its_folder_whatever_else_that_is_called() {
    each_engine_with(kept, async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        for at in ["/in/plans", "/own/a", "/z"] {
            folder(store, &alice, at).await;
        }
        // Names before and after it, in the order that one of them is chosen by.
        put(store, &alice, "/own/a/f", b"one").await.unwrap();
        bind(store, &alice, "/own/a/f", "/in/plans/f").await;
        bind(store, &alice, "/own/a/f", "/z/f").await;
        share(store, &alice, "/in/plans", "bob", Right::Write).await;
        let reached = reach(store, &bob, "/Shared with me/plans/f").await.unwrap();
        put(store, &reached.caller, "/f", b"of bob").await.unwrap();
        assert_eq!(get(store, &alice, "/z/f").await.unwrap(), b"of bob");
        let id = node(store, &alice, "/z/f").await.unwrap().id;
        let by_id = store.reach(&bob, &Target::Node(id)).await.unwrap();
        let Some(Reach::Drive(by_id)) = by_id else {
            panic!("it is reached");
        };
        let found = store.look_up(&by_id.caller, &by_id.target).await.unwrap();
        assert_eq!(found.unwrap().path, path("/f"));
        // Who was granted rights gives no names.
        let bound = try_bind(store, &reached.caller, "/f", "/g", false).await;
        assert!(matches!(bound, Err(Error::Forbidden)));
        // The name that bob deletes is one of three.
        delete(store, &reached.caller, "/f").await;
        assert_eq!(links(store, &alice, "/own/a/f").await, 2);
        let by_id = store.reach(&bob, &Target::Node(id)).await.unwrap();
        let Some(Reach::Drive(by_id)) = by_id else {
            panic!("taken for one of bob's own");
        };
        let found = store.look_up(&by_id.caller, &by_id.target).await.unwrap();
        assert_eq!(found, None);
        must_be_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shared_of_a_file_is_listed_once_and_ends_with_its_last_name() {
    each_engine_with(kept, async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        folder(store, &alice, "/d").await;
        put(store, &alice, "/f", b"one").await.unwrap();
        bind(store, &alice, "/f", "/d/f").await;
        share(store, &alice, "/d/f", "bob", Right::Write).await;
        let link = NewLink {
            target: Target::Path(path("/f")),
            kind: LinkKind::Read,
            password: None,
            expires_at: None,
            downloads_most: None,
            label: String::new(),
        };
        let (_, token) = store.link_add(&alice, link, None).await.unwrap();
        let listed = async || {
            let granted = store.granted_by(&alice, None, 10).await.unwrap().len();
            let target = Target::Path(path("/f"));
            let grants = store.grants(&alice, &target, None, 10).await.unwrap();
            let links = store.link_list(&alice, None, None, 10).await.unwrap().len();
            let shares = store.shares(&bob, None, 10).await.unwrap().len();
            (granted, grants.items.len(), grants.count, links, shares)
        };
        assert_eq!(listed().await, (1, 1, 1, 1, 1));
        let reached = reach(store, &bob, "/Shared with me/f").await.unwrap();
        put(store, &reached.caller, "/", b"of bob").await.unwrap();
        assert_eq!(get(store, &alice, "/d/f").await.unwrap(), b"of bob");
        for gone in ["/f", "/d"] {
            assert!(store.find_link(&token).await.unwrap().is_some());
            assert_eq!(listed_shares(store, &bob).await, 1);
            if gone == "/f" {
                delete(store, &alice, gone).await;
                bind(store, &alice, "/d/f", "/f").await;
            }
        }
        // A folder that goes leaves what is shared by another name.
        delete(store, &alice, "/d").await;
        assert_eq!(listed().await, (1, 1, 1, 1, 1));
        assert_eq!(get(store, &reached.caller, "/").await.unwrap(), b"of bob");
        must_be_sound(store).await;
        delete(store, &alice, "/f").await;
        assert_eq!(
            store.link_list(&alice, None, None, 10).await.unwrap().len(),
            0
        );
        assert_eq!(listed_shares(store, &bob).await, 0);
        must_be_sound(store).await;
    })
    .await;
}

async fn listed_shares(store: &crate::Store, of: &crate::Caller) -> usize {
    store.shares(of, None, 10).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_away_holds_all_names_of_its_files() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        folder(store, &alice, "/d/sub").await;
        put(store, &alice, "/d/a", b"one").await.unwrap();
        bind(store, &alice, "/d/a", "/d/sub/a").await;
        let offer = async |at: &str| {
            let target = Target::Path(path(at));
            store.offer(&alice, &target, "bob", false, None).await
        };
        assert!(matches!(offer("/d/a").await, Err(Error::NamesElsewhere)));
        let offered = offer("/d").await.unwrap();
        bind(store, &alice, "/d/a", "/outside").await;
        assert!(matches!(offer("/d").await, Err(Error::NamesElsewhere)));
        let accept = async || store.accept_offer(&bob, offered.id, false, None).await;
        assert!(matches!(accept().await, Err(Error::NamesElsewhere)));
        must_be_sound(store).await;
        delete(store, &alice, "/outside").await;
        accept().await.unwrap();
        assert_eq!(links(store, &bob, "/d/sub/a").await, 2);
        assert_eq!(store.usage(&bob).await.unwrap().files, 1);
        assert_eq!(store.usage(&alice).await.unwrap().files, 0);
        must_be_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_its_id_a_file_is_found_by_one_name_and_loses_that() {
    each_engine(async |store, _| {
        let alice = user(store, "alice").await;
        folder(store, &alice, "/d").await;
        put(store, &alice, "/d/caf\u{e9}", b"one").await.unwrap();
        bind(store, &alice, "/d/caf\u{e9}", "/Cafe\u{301}").await;
        let id = node(store, &alice, "/d/caf\u{e9}").await.unwrap().id;
        let found = async || {
            let found = store.look_up(&alice, &Target::Node(id)).await.unwrap();
            found.map(|found| found.path.to_string())
        };
        // Each path as it was given, whichever is the first.
        for at in ["/d/cafe\u{301}", "/Caf\u{e9}"] {
            let target = Target::Path(path(at));
            let located = store.look_up(&alice, &target).await.unwrap().unwrap();
            assert_eq!(located.path.key(), path(at).key());
            assert_ne!(located.path.to_string(), at);
        }
        let first = found().await.unwrap();
        let gone = store
            .delete(&alice, id, Condition::default())
            .await
            .unwrap();
        assert_eq!(gone.path.to_string(), first);
        let second = found().await.unwrap();
        assert_ne!(first, second);
        store
            .delete(&alice, id, Condition::default())
            .await
            .unwrap();
        assert_eq!(found().await, None);
        must_be_sound(store).await;
    })
    .await;
}
