use super::{assert_sound, attach, author, new, posted};
use crate::asset::rows;
use crate::chunk::tests::noise;
use crate::testing::{after_waiting, each_engine};
use crate::{Actor, Asset, AssetId, Caller, Error, Expected, Store, UserChange};

async fn join(store: &Store, owner: &Caller, id: AssetId, other: &Caller) -> Asset {
    let name = store.public_name(other).await.unwrap().unwrap();
    store
        .asset_offer(owner, id, &name, Expected::default(), None)
        .await
        .unwrap();
    store.asset_join(other, id, None).await.unwrap()
}

async fn used(store: &Store, caller: &Caller) -> u64 {
    store.usage(caller).await.unwrap().used_bytes
}

#[tokio::test]
async fn nobody_learns_whether_a_name_that_was_asked_exists() {
    each_engine(async |store, clock| {
        let alice = author(store, "alice", 1 << 30).await;
        let bob = author(store, "bob", 1 << 30).await;
        let id = store.asset_add(&alice, new("Chair")).await.unwrap().id;
        for name in ["BOB arts", "Nobody at all"] {
            clock.advance_ms(1);
            store
                .asset_offer(&alice, id, name, Expected::default(), None)
                .await
                .unwrap();
        }
        let seen = store.asset(Some(&alice), id).await.unwrap();
        assert_eq!(seen.offers, ["BOB arts", "Nobody at all"]);
        assert_eq!(seen.authors, ["alice Arts"]);
        let refused = store.asset(Some(&bob), id).await;
        assert!(
            matches!(refused, Err(Error::NotFound)),
            "an offer shows no draft"
        );
        let offers = store.asset_offers(&bob).await.unwrap();
        assert_eq!(
            (offers[0].asset, &*offers[0].name, &offers[0].authors),
            (id, "Chair", &seen.authors)
        );
        let carol = author(store, "carol", 1 << 30).await;
        assert!(matches!(
            store.asset_join(&carol, id, None).await,
            Err(Error::NotFound)
        ));

        let joined = store.asset_join(&bob, id, None).await.unwrap();
        assert_eq!(joined.authors, ["alice Arts", "bob Arts"]);
        assert_eq!(joined.offers, ["Nobody at all"]);
        assert!(matches!(
            store.asset_join(&bob, id, None).await,
            Err(Error::NotFound)
        ));
        let gone = store.asset_author_remove(&bob, id, "nobody AT all", Expected::default(), None);
        gone.await.unwrap();
        assert_eq!(
            store.asset(Some(&alice), id).await.unwrap().offers,
            Vec::<String>::new()
        );

        // Declined.
        store
            .asset_offer(&bob, id, "carol arts", Expected::default(), None)
            .await
            .unwrap();
        let decline =
            || store.asset_author_remove(&carol, id, "carol arts", Expected::default(), None);
        decline().await.unwrap();
        assert!(matches!(decline().await, Err(Error::NotFound)));
        assert_eq!(store.asset_offers(&carol).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn each_pays_for_what_they_have_sent_until_they_leave() {
    each_engine(async |store, clock| {
        let alice = author(store, "alice", 1 << 30).await;
        let bob = author(store, "bob", 50_000).await;
        let carol = author(store, "carol", 1 << 30).await;
        let id = posted(store, &alice, new("Chair"), &noise(94, 60_000))
            .await
            .id;
        clock.advance_ms(1);
        join(store, &alice, id, &bob).await;
        clock.advance_ms(1);
        join(store, &bob, id, &carol).await;
        attach(store, &bob, id, "bobs", &noise(95, 20_000))
            .await
            .unwrap();
        assert_eq!(
            (used(store, &alice).await, used(store, &bob).await),
            (60_000, 20_000)
        );
        // What one replaces of another's is charged to whoever replaces it.
        attach(store, &carol, id, "bobs", &noise(96, 30_000))
            .await
            .unwrap();
        assert_eq!(
            (used(store, &bob).await, used(store, &carol).await),
            (0, 30_000)
        );

        // bob has no room for it, carol has.
        let leave = |who: &Caller, name: &'static str| {
            let (store, who) = (store.clone(), who.clone());
            async move {
                store
                    .asset_author_remove(&who, id, name, Expected::default(), None)
                    .await
            }
        };
        leave(&alice, "alice arts").await.unwrap();
        assert_eq!(
            (used(store, &alice).await, used(store, &carol).await),
            (0, 90_000)
        );
        let asset = store.asset(None, id).await.unwrap();
        assert_eq!(
            (&asset.authors[..], asset.size_bytes),
            (&["bob Arts".into(), "carol Arts".into()][..], 90_000)
        );
        let refused = leave(&carol, "carol arts").await;
        assert!(
            matches!(
                refused,
                Err(Error::Invalid {
                    field: "authors",
                    ..
                })
            ),
            "no room"
        );
        leave(&bob, "bob arts").await.unwrap();
        let refused = leave(&carol, "carol arts").await;
        assert!(
            matches!(
                refused,
                Err(Error::Invalid {
                    field: "authors",
                    ..
                })
            ),
            "the last"
        );
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test]
async fn assets_of_a_removed_account_stay_with_the_other_authors() {
    each_engine(async |store, clock| {
        let admin = Actor::Console;
        let alice = author(store, "alice", 1 << 30).await;
        let bob = author(store, "bob", 100_000).await;
        let alone = posted(store, &alice, new("Alone"), &noise(97, 5_000)).await;
        let fits = posted(store, &alice, new("Fits"), &noise(98, 70_000)).await;
        let exceeds = posted(store, &alice, new("Exceeds"), &noise(99, 70_000)).await;
        clock.advance_ms(1);
        for asset in [&fits, &exceeds] {
            join(store, &alice, asset.id, &bob).await;
            attach(store, &bob, asset.id, "readme", b"text")
                .await
                .unwrap();
        }
        let offered = posted(store, &bob, new("Offered"), b"x").await;
        let asked = store.asset_offer(&bob, offered.id, "alice arts", Expected::default(), None);
        asked.await.unwrap();
        assert_sound(store).await;

        store
            .user_remove(admin, alice.user, crate::TagCondition::default(), None)
            .await
            .unwrap();
        let gone = store.asset(None, alone.id).await;
        assert!(matches!(gone, Err(Error::NotFound)));
        let fits = store.asset(None, fits.id).await.unwrap();
        assert_eq!(
            (fits.authors, fits.size_bytes),
            (vec!["bob Arts".to_owned()], 70_004)
        );
        assert!(matches!(
            store.asset(None, exceeds.id).await,
            Err(Error::NotFound)
        ));
        let draft = store.asset(Some(&bob), exceeds.id).await.unwrap();
        assert_eq!(
            (draft.posted_at, draft.size_bytes),
            (None, 4),
            "its rest is a draft"
        );
        assert_eq!(
            store.asset(Some(&bob), offered.id).await.unwrap().offers,
            ["alice arts"]
        );
        assert_eq!(used(store, &bob).await, 70_009);
        assert_sound(store).await;
        store.sweep(false).await.unwrap();
        let usage = store.server_usage(admin).await.unwrap();
        assert_eq!((usage.capacity.used_bytes, usage.users), (70_009, 1));
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test]
async fn assets_are_not_listed_while_all_their_authors_are_disabled() {
    each_engine(async |store, _| {
        let alice = author(store, "alice", 1 << 30).await;
        let bob = author(store, "bob", 1 << 30).await;
        let both = posted(store, &alice, new("Both"), b"x").await;
        join(store, &alice, both.id, &bob).await;
        let one = posted(store, &alice, new("One"), b"x").await;
        let disable = |disabled| {
            let change = UserChange {
                disabled: Some(disabled),
                ..UserChange::default()
            };
            store.user_set(Actor::Console, alice.user, change, None)
        };
        disable(true).await.unwrap();
        assert!(matches!(
            store.asset(None, one.id).await,
            Err(Error::NotFound)
        ));
        store.asset(None, both.id).await.unwrap();
        disable(false).await.unwrap();
        store.asset(None, one.id).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waited_for_an_asset_sees_its_authors_as_they_are_by_then() {
    each_engine(async |store, _| {
        let alice = author(store, "alice", 1 << 30).await;
        let bob = author(store, "bob", 1 << 30).await.user;
        let id = store.asset_add(&alice, new("Chair")).await.unwrap().id;
        let change = move |tx: &mut crate::db::Tx<'_>| {
            let row = rows::lock(tx, id, bob)?.ok_or(Error::NotFound)?;
            rows::insert_author(tx, row.number, bob, 1)
        };
        let seen = after_waiting(store, change, move |tx| rows::lock(tx, id, bob)).await;
        assert!(seen.unwrap().is_author);
    })
    .await;
}
