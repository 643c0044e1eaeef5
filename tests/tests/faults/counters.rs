//! What is counted is exact, whatever was done at once.

use std::time::Duration;

use futures_util::future::join_all;
use harness::{Dav, Request, World, encode_path, noise, until};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::{scale, seed};

const CLIENTS: u64 = 8;
/// Few, so that clients meet.
const NAMES: u64 = 12;

/// One of the things that change a counter; some of them cannot be done at the moment.
fn something(dav: &Dav, random: &mut StdRng) -> Request {
    let path = |random: &mut StdRng| {
        let folder = ["", "/f", "/g", "/f/h"][random.random_range(0..4)];
        format!("{folder}/{}", random.random_range(0..NAMES))
    };
    let (one, other) = (path(random), path(random));
    let content = noise(
        random.random_range(0..20),
        [10, 5_000, 40_000][random.random_range(0..3)],
    );
    let to = dav.url(&other);
    match random.random_range(0..10) {
        0..4 => {
            let target = format!("/api/v1/files/content?path={}", encode_path(&one));
            dav.request_at("PUT", &target).body(content)
        }
        4 => dav.request("PUT", &one).chunked(content),
        5 => dav.request("COPY", &one).header("Destination", &to),
        6 => dav.request("MOVE", &one).header("Destination", &to),
        7 => dav.request("DELETE", &one),
        8 => {
            let folder = ["/f", "/g", "/f/h"][random.random_range(0..3)];
            let copy = dav.url(["/f/h/copy", "/g/copy"][random.random_range(0..2)]);
            match random.random_range(0..3) {
                0 => dav.request("DELETE", folder),
                _ => dav.request("COPY", folder).header("Destination", &copy),
            }
        }
        _ => dav.request_at("POST", "/api/v1/store").body(content),
    }
}

async fn ask(dav: &Dav, target: &str) -> Value {
    let answer = dav.request_at("GET", &format!("/api/v1{target}"));
    answer.send().await.must_be(200).json()
}

/// How many files there are, and their bytes.
async fn counted(dav: &Dav) -> (u64, u64) {
    let (mut files, mut size_bytes) = (0, 0);
    let mut next = String::new();
    loop {
        let part = ask(dav, &format!("/files?recursive=true&limit=1000{next}")).await;
        for item in part["items"].as_array().expect("a list") {
            files += u64::from(item["kind"] == "file");
            size_bytes += item["size_bytes"].as_u64().expect("a size");
        }
        let Some(cursor) = part["next_cursor"].as_str() else {
            return (files, size_bytes);
        };
        next = format!("&cursor={cursor}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_is_exact_after_everything_at_once() {
    let operations = scale("COFFER_COUNTED_OPERATIONS", 60);
    let seed = seed();
    let world = World::start().await;
    let users = [world.alice(), world.bob()];
    let clients = (0..CLIENTS).zip(users.iter().cycle()).map(|(number, dav)| {
        let mut random = StdRng::seed_from_u64(seed.wrapping_add(number));
        async move {
            let mut done = 0;
            for _ in 0..operations {
                let answer = something(dav, &mut random).send().await;
                assert!(answer.status() < 500, "{answer:?}");
                done += u64::from(answer.succeeded());
            }
            done
        }
    });
    let done: u64 = join_all(clients).await.into_iter().sum();
    eprintln!("{done} of {} operations were done", CLIENTS * operations);
    assert_exact(&world, &users).await;
}

/// Gives a folder to and fro while its owner of the moment writes into it.
#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_while_its_owner_writes_moves_exactly_what_is_there() {
    let rounds = scale("COFFER_TRANSFERS", 6);
    let world = World::start().await;
    let users = [(world.alice(), "alice"), (world.bob(), "bob")];
    users[0].0.mkcol("/Plans").await.must_be(201);
    let mut written = 0;
    for round in 0..rounds {
        let [(owner, _), (other, name)] = if round % 2 == 0 {
            [&users[0], &users[1]]
        } else {
            [&users[1], &users[0]]
        };
        let writers = (0..4).map(async |writer| {
            // Until the folder is somebody else's.
            let mut done = 0;
            for number in 0.. {
                let path = format!("/Plans/{round}-{writer}-{number}");
                let content = noise(number, [100, 30_000][usize::from(writer % 2 == 0)]);
                if owner
                    .put(&path, content)
                    .await
                    .must_be_one_of(&[201, 404, 409])
                    .status()
                    != 201
                {
                    break;
                }
                done += 1;
            }
            done
        });
        let hand_over = async {
            let offer = owner.request_at("POST", "/api/v1/files/transfer?path=/Plans");
            let terms = serde_json::json!({ "to": name, "keep_access": false });
            let offer = offer.json(&terms).send().await.must_be(202).json();
            let id = offer["id"].as_str().expect("an id");
            let accept = format!("/api/v1/transfers/{id}/accept");
            other
                .request_at("POST", &accept)
                .send()
                .await
                .must_be_one_of(&[200, 204]);
        };
        let (done, ()) = futures_util::future::join(join_all(writers), hand_over).await;
        written += done.into_iter().sum::<u64>();
        assert_eq!(
            counted(other).await.0,
            written,
            "all that was acknowledged came along"
        );
        assert_eq!(counted(owner).await, (0, 0));
    }
    eprintln!("{written} files were written during {rounds} transfers");
    assert_exact(&world, &users.map(|(dav, _)| dav)).await;
}

/// Every number is what there is, of each of these users and of all together.
async fn assert_exact(world: &World, users: &[Dav]) {
    let mut charged = 0;
    for dav in users {
        until("nothing is reserved", Duration::from_mins(1), || async {
            ask(dav, "/me/usage").await["reserved_bytes"] == 0
        })
        .await;
        let usage = ask(dav, "/me/usage").await;
        let told = |field: &str| usage[field].as_u64().unwrap_or_default();
        let (files, size_bytes) = counted(dav).await;
        assert_eq!(told("files"), files);
        let parts = ["published_bytes", "versions_bytes", "trash_bytes"];
        let parts: u64 = parts.into_iter().map(told).sum();
        assert_eq!(told("used_bytes"), size_bytes + parts);
        let published = ask(dav, "/store?limit=1000").await;
        let published = published["items"].as_array().expect("a list").len();
        assert_eq!(told("publications"), published as u64);
        charged += told("used_bytes");
    }
    let root = world.as_user(&World::admin_user());
    let all = ask(&root, "/admin/usage").await;
    assert_eq!(all["capacity"]["used_bytes"], charged);
    assert_eq!(all["capacity"]["reserved_bytes"], 0);
    let checked = world.cli(&["check", "--contents"], "").await;
    assert!(checked.status.success(), "{checked:?}");
}
