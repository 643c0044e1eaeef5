use super::{author, new, posted};
use crate::asset::AssetKey;
use crate::asset::search::rows::{Filter, Way, few, find};
use crate::asset::term::Query;
use crate::testing::each_engine;
use crate::{
    Asset, AssetChange, AssetHit, AssetKind, AssetQuery, AssetSort, Caller, Error, Expected,
    NewAsset, Store,
};

const ALL: AssetQuery = AssetQuery {
    text: None,
    kind: None,
    engine_version: None,
    tags: Vec::new(),
    author: None,
    min_bytes: None,
    max_bytes: None,
    posted_after: None,
    posted_before: None,
    sort: AssetSort::Date,
    descending: true,
    after: None,
    limit: 100,
};

fn text(text: &str) -> AssetQuery {
    AssetQuery {
        text: Some(text.to_owned()),
        ..ALL
    }
}

async fn names(store: &Store, query: AssetQuery) -> Vec<String> {
    let found = store.asset_search(query).await.unwrap();
    found.items.into_iter().map(|hit| hit.name).collect()
}

async fn add(
    store: &Store,
    caller: &Caller,
    name: &str,
    description: &str,
    more: NewAsset,
    bytes: usize,
) -> Asset {
    let new = NewAsset {
        name: name.into(),
        description: description.into(),
        ..more
    };
    posted(store, caller, new, &vec![b'x'; bytes]).await
}

/// What the two engines make of words must be the same, so each line is asked of both.
#[tokio::test]
async fn words_find_the_same_on_each_engine() {
    each_engine(async |store, clock| {
        let alice = author(store, "alice", 1 << 30).await;
        for (name, description) in [
            ("Wooden chair", "Made of OAK, for kitchens."),
            ("Oaken table", "Four legs; running, runs and ran."),
            ("Ångström Straße", "naïve café — Ελλάς σίσυφος"),
            ("the of and", "stop words are words"),
            ("low_poly v2.5", "3D-scan #tag @name ^mark it's"),
            ("木の椅子", "ﬁsh ＷＩＤＥ ½"),
        ] {
            clock.advance_ms(1);
            add(store, &alice, name, description, new(""), 1).await;
        }
        for (query, expected) in [
            ("oak", &["Oaken table", "Wooden chair"][..]),
            ("OAK chair", &["Wooden chair"]),
            ("oake", &["Oaken table"]),
            ("run", &["Oaken table"]),
            ("ran run", &["Oaken table"]),
            ("runner", &[]),
            ("four leg", &["Oaken table"]),
            ("four leg table", &[]),
            ("angstrom", &["Ångström Straße"]),
            ("STRASSE", &["Ångström Straße"]),
            ("naive cafe", &["Ångström Straße"]),
            ("ΣΊΣΥΦΟΣ", &["Ångström Straße"]),
            ("ελλας", &["Ångström Straße"]),
            ("the", &["the of and"]),
            ("and the of", &["the of and"]),
            ("poly", &["low_poly v2.5"]),
            ("v2 5", &["low_poly v2.5"]),
            ("tag name mark", &["low_poly v2.5"]),
            ("#tag", &["low_poly v2.5"]),
            ("its", &[]),
            ("it s", &["low_poly v2.5"]),
            ("木", &["木の椅子"]),
            ("木の椅子", &["木の椅子"]),
            ("fish wide", &["木の椅子"]),
            ("o\" OR a*", &[]),
            ("' | 'oak", &["Oaken table", "Wooden chair"]),
        ] {
            assert_eq!(names(store, text(query)).await, expected, "{query}");
        }
        for wrong in ["", " ", "!", &"a b ".repeat(200)] {
            let refused = store.asset_search(text(wrong)).await;
            assert!(
                matches!(refused, Err(Error::Invalid { field: "q", .. })),
                "{wrong}"
            );
        }
    })
    .await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of queries")]
async fn filters_and_orders_are_those_asked_for() {
    each_engine(async |store, clock| {
        let alice = author(store, "alice", 1 << 30).await;
        let bob = author(store, "bob", 1 << 30).await;
        let kinds = |kind, versions: &[&str], tags: &[&str]| NewAsset {
            kind,
            engine_versions: versions.iter().map(|&text| text.to_owned()).collect(),
            tags: tags.iter().map(|&text| text.to_owned()).collect(),
            ..new("")
        };
        let (flat, solid) = (AssetKind::TwoD, AssetKind::ThreeD);
        let mut made = Vec::new();
        for (who, name, more, bytes) in [
            (
                &alice,
                "banana",
                kinds(flat, &["4.2", "5.1"], &["fruit", "Low Poly"]),
                10,
            ),
            (&bob, "Apple", kinds(flat, &[">=5"], &["fruit"]), 30),
            (
                &alice,
                "cherry",
                kinds(solid, &["*"], &["fruit", "red"]),
                20,
            ),
            (&bob, "Äpfel", kinds(solid, &["<4"], &[]), 40),
        ] {
            clock.advance_ms(1000);
            made.push(add(store, who, name, "plant", more, bytes).await);
        }
        for (asset, downloads) in made.iter().zip([2, 0, 2, 1]) {
            (0..downloads).for_each(|_| store.count_download(asset.id));
        }
        store.flush_downloads().await.unwrap();
        let at = |asset: &Asset| asset.posted_at.unwrap();
        let tags = |tags: &[&str]| tags.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>();
        let version = |text: &str| Some(text.to_owned());
        for (query, expected) in [
            (ALL, &["Äpfel", "cherry", "Apple", "banana"][..]),
            (
                AssetQuery {
                    descending: false,
                    ..ALL
                },
                &["banana", "Apple", "cherry", "Äpfel"],
            ),
            (
                AssetQuery {
                    sort: AssetSort::Name,
                    descending: false,
                    ..ALL
                },
                &["Apple", "banana", "cherry", "Äpfel"],
            ),
            (
                AssetQuery {
                    sort: AssetSort::Name,
                    ..ALL
                },
                &["Äpfel", "cherry", "banana", "Apple"],
            ),
            // Of equals the one that was made later comes first, or last.
            (
                AssetQuery {
                    sort: AssetSort::Downloads,
                    ..ALL
                },
                &["cherry", "banana", "Äpfel", "Apple"],
            ),
            (
                AssetQuery {
                    sort: AssetSort::Downloads,
                    descending: false,
                    ..ALL
                },
                &["Apple", "Äpfel", "banana", "cherry"],
            ),
            (
                AssetQuery {
                    kind: Some(flat),
                    ..ALL
                },
                &["Apple", "banana"],
            ),
            (
                AssetQuery {
                    engine_version: version("5.1.7"),
                    ..ALL
                },
                &["cherry", "Apple", "banana"],
            ),
            (
                AssetQuery {
                    engine_version: version("4.5"),
                    ..ALL
                },
                &["cherry"],
            ),
            (
                AssetQuery {
                    engine_version: version("3"),
                    ..ALL
                },
                &["Äpfel", "cherry"],
            ),
            (
                AssetQuery {
                    tags: tags(&["Fruit"]),
                    ..ALL
                },
                &["cherry", "Apple", "banana"],
            ),
            (
                AssetQuery {
                    tags: tags(&["fruit", "low-poly"]),
                    ..ALL
                },
                &["banana"],
            ),
            (
                AssetQuery {
                    tags: tags(&["frui"]),
                    ..ALL
                },
                &[],
            ),
            (
                AssetQuery {
                    author: version("BOB arts"),
                    ..ALL
                },
                &["Äpfel", "Apple"],
            ),
            (
                AssetQuery {
                    author: version("bob"),
                    ..ALL
                },
                &[],
            ),
            (
                AssetQuery {
                    min_bytes: Some(20),
                    max_bytes: Some(30),
                    ..ALL
                },
                &["cherry", "Apple"],
            ),
            (
                AssetQuery {
                    posted_after: Some(at(&made[1])),
                    posted_before: Some(at(&made[3])),
                    ..ALL
                },
                &["cherry", "Apple"],
            ),
            (
                AssetQuery {
                    kind: Some(solid),
                    tags: tags(&["red"]),
                    author: version("alice arts"),
                    ..text("pla")
                },
                &["cherry"],
            ),
        ] {
            assert_eq!(names(store, query.clone()).await, expected, "{query:?}");
        }
        let wrong = AssetQuery {
            engine_version: version("five"),
            ..ALL
        };
        let refused = store.asset_search(wrong).await;
        assert!(matches!(
            refused,
            Err(Error::Invalid {
                field: "engine_version",
                ..
            })
        ));
        let hit: AssetHit = store
            .asset_search(text("banana"))
            .await
            .unwrap()
            .items
            .remove(0);
        assert_eq!(
            (hit.authors, hit.tags),
            (tags(&["alice Arts"]), tags(&["fruit", "low-poly"]))
        );
        assert_eq!((&*hit.summary, hit.downloads), ("plant", 2));
    })
    .await;
}

#[tokio::test]
async fn what_is_changed_is_found_by_what_it_says_now() {
    each_engine(async |store, _| {
        let alice = author(store, "alice", 1 << 30).await;
        let draft = store.asset_add(&alice, new("secret")).await.unwrap();
        assert_eq!(names(store, text("secret")).await, Vec::<String>::new());
        assert_eq!(names(store, ALL).await, Vec::<String>::new());
        let own = store.own_assets(&alice, None, 10).await.unwrap();
        assert_eq!(
            (own.len(), own[0].id, own[0].posted_at),
            (1, draft.id, None)
        );
        let asset = posted(store, &alice, new("chair"), b"x").await;
        let change = AssetChange {
            name: Some("stool".to_owned()),
            ..AssetChange::default()
        };
        store
            .asset_set(&alice, asset.id, change, Expected::default())
            .await
            .unwrap();
        assert_eq!(names(store, text("chair")).await, Vec::<String>::new());
        assert_eq!(names(store, text("stool")).await, ["stool"]);
        store
            .set_public_name(&alice, "Somebody else")
            .await
            .unwrap();
        let by = |name: &str| AssetQuery {
            author: Some(name.to_owned()),
            ..ALL
        };
        assert_eq!(names(store, by("somebody else")).await, ["stool"]);
        assert_eq!(names(store, by("alice arts")).await, Vec::<String>::new());
        store
            .asset_withdraw(&alice, asset.id, Expected::default())
            .await
            .unwrap();
        assert_eq!(names(store, text("stool")).await, Vec::<String>::new());
    })
    .await;
}

/// Both ways to an answer, in parts of any size, give what a plain look at everything gives.
#[tokio::test]
async fn both_ways_lead_to_the_same_answer() {
    each_engine(async |store, clock| {
        let alice = author(store, "alice", 1 << 30).await;
        let mut dice = [0; 4];
        let mut die = |sides: u32| {
            store.world().random.fill(&mut dice);
            u32::from_le_bytes(dice) % sides
        };
        let mut all = Vec::new();
        for _ in 0..60 {
            clock.advance_ms(i64::from(die(2)));
            let words = ["oak", "oaken", "ash", "birch"];
            let mut picked = || words[die(4) as usize];
            let (name, description) = (picked(), format!("{} {}", picked(), picked()));
            let kind = if die(2) == 0 {
                AssetKind::TwoD
            } else {
                AssetKind::ThreeD
            };
            let more = NewAsset { kind, ..new("") };
            let asset = add(store, &alice, name, &description, more, die(5) as usize).await;
            (0..die(3)).for_each(|_| store.count_download(asset.id));
            all.push(asset);
        }
        store.flush_downloads().await.unwrap();
        for asset in &mut all {
            *asset = store.asset(None, asset.id).await.unwrap();
        }
        for sort in [AssetSort::Downloads, AssetSort::Date, AssetSort::Name] {
            for (words, begun) in [("oak", "oak"), ("ash oak", "oak"), ("oak bir", "bir")] {
                let query = AssetQuery {
                    kind: Some(AssetKind::TwoD),
                    min_bytes: Some(1),
                    sort,
                    limit: 7,
                    ..text(words)
                };
                let whole = words.strip_suffix(begun).unwrap().trim();
                let mut expected: Vec<&Asset> = all
                    .iter()
                    .filter(|asset| {
                        let said = format!("{} {}", asset.name, asset.description);
                        asset.kind == AssetKind::TwoD
                            && asset.size_bytes >= 1
                            && said.split(' ').any(|word| word.starts_with(begun))
                            && (whole.is_empty() || said.split(' ').any(|word| word == whole))
                    })
                    .collect();
                expected.sort_by_key(|asset| {
                    let number = match sort {
                        AssetSort::Downloads => asset.downloads,
                        AssetSort::Date => asset.posted_at.unwrap().unsigned_abs(),
                        AssetSort::Name => 0,
                    };
                    let name = if sort == AssetSort::Name {
                        &*asset.name
                    } else {
                        ""
                    };
                    (number, name, asset.id)
                });
                let ids: Vec<_> = expected.iter().map(|asset| asset.id).collect();
                for is_walk in [false, true] {
                    for descending in [false, true] {
                        let query = AssetQuery {
                            descending,
                            ..query.clone()
                        };
                        let mut found = in_parts(store, query, is_walk).await;
                        if descending {
                            found.reverse();
                        }
                        assert_eq!(found, ids, "{sort:?} {words} {is_walk} {descending}");
                    }
                }
            }
        }
    })
    .await;
}

async fn in_parts(store: &Store, mut query: AssetQuery, is_walk: bool) -> Vec<crate::AssetId> {
    let mut ids = Vec::new();
    loop {
        let asked = query.clone();
        let part = store.db().read(move |tx| {
            let filter = Filter::new(&asked)?;
            let words = Query::new(asked.text.as_deref(), &[], None)?
                .with_filters(filter.asked_kind(), filter.asked_major());
            let way = if is_walk {
                Way::WalkAndLook
            } else {
                Way::Matches(few(tx, &words, 10_000)?.unwrap())
            };
            let found = find(tx, &asked, &filter, &words, way)?;
            Ok(found
                .into_iter()
                .map(|found| (found.key, found.hit.id))
                .collect::<Vec<_>>())
        });
        let mut part: Vec<(AssetKey, _)> = part.await.unwrap();
        let is_last = part.len() <= query.limit as usize;
        part.truncate(query.limit as usize);
        ids.extend(part.iter().map(|(_, id)| *id));
        if is_last {
            return ids;
        }
        let (key, id) = part.pop().unwrap();
        query.after = Some(crate::AssetCursor { key, id });
    }
}
