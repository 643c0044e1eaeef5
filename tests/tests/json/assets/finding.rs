//! Assets are found by words and filters (C2).

use std::time::Duration;

use harness::{World, until};
use serde_json::json;

use super::{found, named, posted, show};
use crate::phrase::ask;

/// "Search: text over name and description, filters on kind, engine version, tag, author, size,
/// date; sorting by downloads, date, name; paging; no account needed."
#[tokio::test]
async fn c2_assets_are_found_by_words_and_filters_in_order() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    named(&alice, "Pine Studio").await;
    named(&bob, "Böb's Works").await;
    let mut dates = Vec::new();
    for (who, name, description, kind, engine, tags, size) in [
        (
            &alice,
            "Chair",
            "made of oak",
            "3d",
            "4.2",
            json!(["wood", "seat"]),
            10,
        ),
        (
            &alice,
            "armchair",
            "leather",
            "3d",
            ">=5",
            json!(["seat"]),
            30,
        ),
        (
            &bob,
            "Oak tiles",
            "seamless, für Böden",
            "2d",
            "*",
            json!(["wood"]),
            20,
        ),
    ] {
        let body = json!({
            "name": name, "description": description, "kind": kind,
            "engine_versions": [engine], "tags": tags,
        });
        let id = posted(who, body, vec![b'x'; size]).await;
        dates.push(
            show(who, &id).await["posted_at"]
                .as_str()
                .expect("a date")
                .to_owned(),
        );
    }
    for (query, expected) in [
        ("", &["Oak tiles", "armchair", "Chair"][..]),
        ("?q=oak", &["Oak tiles", "Chair"]),
        ("?q=OAK&sort=name", &["Chair", "Oak tiles"]),
        ("?q=oak+cha", &["Chair"]),
        ("?q=boden", &["Oak tiles"]),
        ("?q=nothing", &[]),
        ("?kind=3d&sort=name", &["armchair", "Chair"]),
        ("?engine_version=5.3", &["Oak tiles", "armchair"]),
        ("?tag=wood&tag=seat", &["Chair"]),
        ("?author=B%C3%B6b%27s%20works", &["Oak tiles"]),
        ("?min_bytes=11&max_bytes=20", &["Oak tiles"]),
        ("?sort=date&order=asc", &["Chair", "armchair", "Oak tiles"]),
        ("?sort=name&order=desc", &["Oak tiles", "Chair", "armchair"]),
    ] {
        assert_eq!(found(&world, query).await, expected, "{query}");
    }
    let after = format!("?posted_after={}&posted_before={}", dates[1], dates[2]);
    assert_eq!(found(&world, &after).await, ["armchair"]);

    let mut parts = Vec::new();
    let mut query = "?sort=name&limit=1".to_owned();
    loop {
        let part = ask(&world.anonymous(), "GET", &format!("/assets{query}")).await;
        let part = part.must_be(200).json();
        parts.push(part["items"][0]["name"].clone());
        let Some(next) = part["next_cursor"].as_str() else {
            break;
        };
        query = format!("?sort=name&limit=1&cursor={next}");
        let other = format!("/assets?sort=date&cursor={next}");
        let other = ask(&world.anonymous(), "GET", &other).await;
        assert_eq!(other.must_be(400).json()["code"], "invalid_query");
    }
    assert_eq!(parts, ["armchair", "Chair", "Oak tiles"]);
    for (query, status, code) in [
        ("?q=!", 422, "invalid_fields"),
        ("?kind=4d", 422, "invalid_fields"),
        ("?engine_version=x", 422, "invalid_fields"),
        ("?sort=size", 400, "invalid_query"),
        ("?order=up", 400, "invalid_query"),
        ("?min_bytes=-1", 400, "invalid_query"),
        ("?posted_after=today", 400, "invalid_query"),
        ("?limit=0", 400, "invalid_query"),
        ("?q=a&q=b", 400, "invalid_query"),
        ("?colour=red", 400, "invalid_query"),
        ("?cursor=AAAA", 400, "invalid_query"),
    ] {
        let refused = ask(&world.anonymous(), "GET", &format!("/assets{query}")).await;
        assert_eq!(refused.must_be(status).json()["code"], code, "{query}");
    }
}

/// Show 7: however much there is, a search takes the same statements.
#[tokio::test]
async fn c2_a_search_takes_as_many_statements_in_a_large_catalogue_as_in_a_small_one() {
    let world = World::start().await;
    let alice = world.alice();
    named(&alice, "Pine Studio").await;
    let add = async |count: usize| {
        for number in 0..count {
            let body = json!({ "name": format!("Chair {number}"), "kind": "3d", "tags": ["wood"] });
            posted(&alice, body, "x").await;
        }
    };
    let query = "/assets?q=cha&kind=3d&engine_version=5&tag=wood&author=pine+studio&sort=downloads";
    add(2).await;
    ask(&world.anonymous(), "GET", query).await.must_be(200);
    add(40).await;
    let many = ask(&world.anonymous(), "GET", query)
        .await
        .must_be(200)
        .json();
    assert_eq!(many["items"].as_array().map(Vec::len), Some(42));
    until(
        "both searches are logged",
        Duration::from_secs(10),
        || async { searches(&world).len() == 2 },
    )
    .await;
    let statements = searches(&world);
    assert_eq!(statements[0], statements[1]);
    assert!(statements[0] <= 8, "{statements:?}");
}

fn searches(world: &World) -> Vec<u64> {
    let requests = world.requests().into_iter();
    let searches = requests.filter(|one| one.method == "GET" && one.route == "/api/v1/assets");
    searches.map(|one| one.statements).collect()
}
