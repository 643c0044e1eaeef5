mod authors;
mod contents;
mod searching;

use bytes::Bytes;

use crate::path::Name;
use crate::testing::each_engine;
use crate::tests::user;
use crate::{Asset, AssetChange, AssetId, AssetKind, Caller, Error, Expected, NewAsset, Store};

fn new(name: &str) -> NewAsset {
    NewAsset {
        name: name.to_owned(),
        description: String::new(),
        kind: AssetKind::ThreeD,
        engine_versions: Vec::new(),
        tags: Vec::new(),
    }
}

/// A user who publishes under a name of their own.
async fn author(store: &Store, name: &str, limit_bytes: u64) -> Caller {
    let caller = user(store, name, limit_bytes).await;
    store
        .set_public_name(&caller, &format!("{name} Arts"))
        .await
        .unwrap();
    caller
}

async fn attach(
    store: &Store,
    caller: &Caller,
    id: AssetId,
    name: &str,
    content: &[u8],
) -> Result<Asset, Error> {
    let (name, size_bytes) = (Name::new(name).unwrap(), Some(content.len() as u64));
    let begun = store.asset_file_begin(caller, id, name, size_bytes, Expected::default());
    let mut attaching = begun.await?;
    for frame in content.chunks(300_000) {
        attaching.write(Bytes::copy_from_slice(frame)).await?;
    }
    Ok(attaching.commit(None).await?.asset)
}

/// A draft with a file, posted.
async fn posted(store: &Store, caller: &Caller, new: NewAsset, content: &[u8]) -> Asset {
    let asset = store.asset_add(caller, new).await.unwrap();
    attach(store, caller, asset.id, "model.bin", content)
        .await
        .unwrap();
    store
        .asset_post(caller, asset.id, Expected::default())
        .await
        .unwrap()
}

async fn assert_sound(store: &Store) {
    let checked = store.check(true, |_| ()).await.unwrap();
    assert_eq!(checked.faults, Vec::<String>::new());
}

#[tokio::test]
async fn a_draft_is_its_authors_alone_and_a_posted_asset_everyones() {
    each_engine(async |store, clock| {
        let alice = author(store, "alice", 1 << 30).await;
        let bob = author(store, "bob", 1 << 30).await;
        let draft = store.asset_add(&alice, new("Chair")).await.unwrap();
        assert_eq!(
            (draft.posted_at, &draft.authors[..]),
            (None, &["alice Arts".to_owned()][..])
        );
        assert_eq!(store.asset(Some(&alice), draft.id).await.unwrap(), draft);
        for stranger in [None, Some(&bob)] {
            let found = store.asset(stranger, draft.id).await;
            assert!(matches!(found, Err(Error::NotFound)));
        }
        let change = || AssetChange {
            name: Some("Mine".to_owned()),
            ..AssetChange::default()
        };
        let refused = store
            .asset_set(&bob, draft.id, change(), Expected::default())
            .await;
        assert!(matches!(refused, Err(Error::NotFound)));
        let refused = store
            .asset_post(&alice, draft.id, Expected::default())
            .await;
        assert!(matches!(
            refused,
            Err(Error::Invalid { field: "files", .. })
        ));

        attach(store, &alice, draft.id, "model.bin", b"model")
            .await
            .unwrap();
        clock.advance_ms(1000);
        let asset = store
            .asset_post(&alice, draft.id, Expected::default())
            .await
            .unwrap();
        assert_eq!(asset.posted_at, Some(store.world().now_ms()));
        assert_eq!(store.asset(None, draft.id).await.unwrap(), asset);
        let again = store
            .asset_post(&alice, draft.id, Expected::default())
            .await
            .unwrap();
        assert_eq!(again, asset, "what is posted stays as it is");
        for refused in [
            store
                .asset_set(&bob, draft.id, change(), Expected::default())
                .await
                .map(drop),
            store
                .asset_withdraw(&bob, draft.id, Expected::default())
                .await,
            attach(store, &bob, draft.id, "x", b"x").await.map(drop),
        ] {
            assert!(matches!(refused, Err(Error::Forbidden)));
        }
        store
            .asset_withdraw(&alice, draft.id, Expected::default())
            .await
            .unwrap();
        let found = store.asset(Some(&alice), draft.id).await;
        assert!(matches!(found, Err(Error::NotFound)));
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test]
async fn a_change_needs_the_entity_tag_it_expects() {
    each_engine(async |store, _| {
        let alice = author(store, "alice", 1 << 30).await;
        let draft = store.asset_add(&alice, new("Chair")).await.unwrap();
        let expected = |etag: &str| {
            let etag = etag.to_owned();
            Expected::new(move |now| now == etag)
        };
        let change = AssetChange {
            description: Some("oak".to_owned()),
            kind: Some(AssetKind::TwoD),
            tags: Some(vec!["Low Poly".to_owned(), "low-poly".to_owned()]),
            engine_versions: Some(vec!["5.3".to_owned()]),
            ..AssetChange::default()
        };
        let first = expected(&draft.etag());
        let changed = store
            .asset_set(&alice, draft.id, change.clone(), first.clone())
            .await
            .unwrap();
        assert_eq!((&*changed.name, &*changed.description), ("Chair", "oak"));
        assert_eq!(
            (changed.kind, &changed.tags[..]),
            (AssetKind::TwoD, &["low-poly".to_owned()][..])
        );
        assert_eq!(changed.engine_versions, ["5.3"]);
        assert_ne!(changed.etag(), draft.etag());
        let stale = store
            .asset_set(&alice, draft.id, change, first.clone())
            .await;
        assert!(matches!(stale, Err(Error::PreconditionFailed)));
        let stale = store.asset_withdraw(&alice, draft.id, first).await;
        assert!(matches!(stale, Err(Error::PreconditionFailed)));
        store
            .asset_withdraw(&alice, draft.id, expected(&changed.etag()))
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_is_said_of_an_asset_is_bounded() {
    each_engine(async |store, _| {
        let nameless = user(store, "carol", 1 << 30).await;
        let refused = store.asset_add(&nameless, new("x")).await;
        assert!(matches!(
            refused,
            Err(Error::Invalid {
                field: "public_name",
                ..
            })
        ));
        let alice = author(store, "alice", 1 << 30).await;
        let texts = |count: usize| (0..count).map(|number| format!("t{number}")).collect();
        for (field, wrong) in [
            ("name", new("")),
            ("name", new(" ")),
            ("name", new(&"x".repeat(201))),
            ("name", new("a\nb")),
            (
                "description",
                NewAsset {
                    description: "x".repeat(65_537),
                    ..new("x")
                },
            ),
            (
                "tags",
                NewAsset {
                    tags: texts(33),
                    ..new("x")
                },
            ),
            (
                "tags",
                NewAsset {
                    tags: vec!["!".to_owned()],
                    ..new("x")
                },
            ),
            (
                "tags",
                NewAsset {
                    tags: vec!["x".repeat(33)],
                    ..new("x")
                },
            ),
            (
                "engine_versions",
                NewAsset {
                    engine_versions: texts(1),
                    ..new("x")
                },
            ),
        ] {
            match store.asset_add(&alice, wrong).await {
                Err(Error::Invalid { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
        let most = NewAsset {
            description: "ä ".repeat(21_845),
            tags: texts(32),
            ..new(&"ü".repeat(200))
        };
        let asset = posted(store, &alice, most, b"x").await;
        assert_eq!(asset.tags.len(), 32);
        let reader = Caller {
            read_only: true,
            ..alice.clone()
        };
        let confined = Caller {
            whole_drive: false,
            ..alice.clone()
        };
        for caller in [&reader, &confined] {
            let refused = store.asset_add(caller, new("x")).await;
            assert!(matches!(refused, Err(Error::Forbidden)));
        }
    })
    .await;
}

#[tokio::test]
async fn a_public_name_is_nobody_elses_and_no_name_of_the_account() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice", 1).await, user(store, "bob", 1).await);
        for (caller, key) in [
            (&alice, "alice"),
            (&alice, "alice@example.org"),
            (&bob, "bob"),
        ] {
            let id = caller.user;
            let add = move |tx: &mut crate::db::Tx<'_>| {
                let sql = "INSERT INTO account_name (name_key, account_id) VALUES ($1, $2)";
                tx.execute(sql, crate::db::args![key, id])
            };
            store.db().write(add).await.unwrap();
        }
        for own in ["alice", "ALICE", " alice ", "ａlice", "Alice@Example.org"] {
            let refused = store.set_public_name(&alice, own).await;
            assert!(
                matches!(
                    refused,
                    Err(Error::Invalid {
                        field: "public_name",
                        ..
                    })
                ),
                "{own}"
            );
        }
        // That somebody is called so must not be seen.
        assert_eq!(store.set_public_name(&alice, "Bob").await.unwrap(), "Bob");
        let taken = store.set_public_name(&bob, "BÖB").await.unwrap();
        assert_eq!(taken, "BÖB");
        let refused = store.set_public_name(&alice, "böb").await;
        assert!(matches!(refused, Err(Error::AlreadyExists)));
        assert_eq!(store.set_public_name(&alice, "bob").await.unwrap(), "bob");
        assert_eq!(
            store.public_name(&alice).await.unwrap().as_deref(),
            Some("bob")
        );
    })
    .await;
}
