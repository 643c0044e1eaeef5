//! Which of its names, and how much of what happens to a file, others are told.

use super::{bind, delete, go, kept, must_be_sound};
use crate::grant::tests::{folder, path, reach, share, user};
use crate::testing::{each_engine, each_engine_with};
use crate::tests::put;
use crate::{Caller, Condition, Error, LinkKind, LinkProof, NewLink, Right, Store, Target};

async fn link(store: &Store, alice: &Caller, at: &str) -> String {
    let new = NewLink {
        target: Target::Path(path(at)),
        kind: LinkKind::Read,
        password: None,
        expires_at: None,
        downloads_most: None,
        label: String::new(),
    };
    store.link_add(alice, new, None).await.unwrap().1
}

async fn visited(store: &Store, token: &str) -> String {
    let found = store.find_link(token).await.unwrap().unwrap();
    let open = store.open_link(found, LinkProof::None, None).await;
    open.unwrap().name.as_str().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_shows_the_name_that_it_was_made_for() {
    each_engine(async |store, _| {
        let alice = user(store, "alice").await;
        // Names before and after it, in the order that one of them is chosen by.
        for at in ["/first", "/2", "/3", "/4", "/5", "/pub/sub", "/last"] {
            folder(store, &alice, at).await;
        }
        put(store, &alice, "/pub/report", b"one").await.unwrap();
        let early = link(store, &alice, "/pub/report").await;
        go(store, &alice, "/pub/report", "/pub/sub/report").await;
        for at in ["/first", "/2", "/3", "/4", "/5", "/last"] {
            bind(store, &alice, "/pub/sub/report", &format!("{at}/salary")).await;
        }
        let late = link(store, &alice, "/pub/sub/report").await;
        for token in [&early, &late] {
            assert_eq!(visited(store, token).await, "report");
        }
        let listed = store.link_list(&alice, None, None, 10).await.unwrap();
        for link in listed {
            assert_eq!(link.path.to_string(), "/pub/sub/report");
        }
        // It follows that name.
        go(store, &alice, "/pub/sub/report", "/pub/Bericht").await;
        for token in [&early, &late] {
            assert_eq!(visited(store, token).await, "Bericht");
        }
        // When it has gone, it is one of the others.
        delete(store, &alice, "/pub/Bericht").await;
        assert_eq!(visited(store, &early).await, "salary");
        must_be_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_shows_the_name_that_was_offered() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        for at in ["/first", "/2", "/3", "/4", "/5", "/x", "/last"] {
            folder(store, &alice, at).await;
        }
        put(store, &alice, "/x/f", b"one").await.unwrap();
        let target = Target::Path(path("/x/f"));
        let offered = store.offer(&alice, &target, "bob", false, None).await;
        assert_eq!(offered.unwrap().name, "f");
        for at in ["/first", "/2", "/3", "/4", "/5", "/last"] {
            bind(store, &alice, "/x/f", &format!("{at}/secret")).await;
        }
        let offers = store.offers(&bob, None, 10).await.unwrap();
        assert_eq!(offers[0].name, "f");
        go(store, &alice, "/x/f", "/last/g").await;
        let offers = store.offers(&bob, None, 10).await.unwrap();
        assert_eq!(offers[0].name, "g");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_folder_that_goes_only_what_is_shared_itself_is_told_anew() {
    each_engine_with(kept, async |store, _| {
        let (alice, _) = (user(store, "alice").await, user(store, "bob").await);
        for at in ["/d", "/e"] {
            folder(store, &alice, at).await;
        }
        for name in ["a", "b", "c"] {
            let at = format!("/d/{name}");
            put(store, &alice, &at, b"one").await.unwrap();
            bind(store, &alice, &at, &format!("/e/{name}")).await;
        }
        share(store, &alice, "/d/b", "bob", Right::Read).await;
        let since = store.change_cursor(&alice).await.unwrap();
        delete(store, &alice, "/d").await;
        let changes = store.changes(&alice, &path("/"), since, 100).await.unwrap();
        let mut told: Vec<String> = changes.items.into_iter().map(|item| item.path).collect();
        told.sort();
        assert_eq!(told, ["/d", "/e/b"]);
        must_be_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_go_over_a_border_whatever_else_a_file_is_called() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        for at in ["/s/sub", "/t/dir"] {
            folder(store, &alice, at).await;
        }
        put(store, &alice, "/s/sub/x", b"one").await.unwrap();
        put(store, &alice, "/s/x", b"two").await.unwrap();
        bind(store, &alice, "/s/sub/x", "/t/x").await;
        bind(store, &alice, "/s/x", "/t/dir/x").await;
        for at in ["/s", "/t"] {
            share(store, &alice, at, "bob", Right::Write).await;
        }
        let s = reach(store, &bob, "/Shared with me/s/x")
            .await
            .unwrap()
            .caller;
        let t = reach(store, &bob, "/Shared with me/t/x")
            .await
            .unwrap()
            .caller;
        let copy = async |from: &str, to: &str| {
            let (from, to) = (path(from), path(to));
            let condition = Condition::default();
            let copied = store.copy_across(&s, from, &t, to, super::REPLACE, condition);
            copied.await.map(drop)
        };
        copy("/sub", "/x").await.unwrap();
        copy("/x", "/dir").await.unwrap();
        // Onto itself is no copy.
        put(store, &alice, "/s/y", b"y").await.unwrap();
        bind(store, &alice, "/s/y", "/t/y").await;
        assert!(matches!(copy("/y", "/y").await, Err(Error::Overlap)));
        must_be_sound(store).await;
    })
    .await;
}
