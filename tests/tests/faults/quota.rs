//! P3: no interleaving of any requests exceeds a quota or the server's capacity, and none of them
//! is refused without need.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use harness::{Answer, Daemon, Dav, Engine, Request, Setup, User, Wire, World, noise, until};

use crate::drive;

const PARALLEL: usize = 64;
const FIT: usize = 10;
/// Above what is held in memory, so that space is reserved before the body is read.
const SIZE: usize = 100_000;
const QUOTA_BYTES: u64 = (FIT * SIZE) as u64;

/// Sends all at once; the answers.
async fn race(requests: Vec<Request>) -> Vec<Answer> {
    join_all(requests.into_iter().map(Request::send)).await
}

/// How many succeeded; every other one must say 507.
#[track_caller]
fn winners(answers: &[Answer]) -> usize {
    for answer in answers {
        assert!(
            answer.succeeded() || answer.status() == 507,
            "neither done nor 507\n{answer:?}"
        );
    }
    answers.iter().filter(|answer| answer.succeeded()).count()
}

fn content(number: usize, size: usize) -> Bytes {
    Bytes::from(noise(number as u64 + 1, size))
}

/// The daemon's clients in turn, one for each of the racing requests.
fn in_turn(clients: &[Dav]) -> impl Iterator<Item = (usize, &Dav)> {
    (0..PARALLEL).map(|number| (number, &clients[number % clients.len()]))
}

async fn assert_usage(dav: &Dav, used_bytes: u64, limit_bytes: u64) {
    until(
        "usage is the sum, nothing stays reserved",
        Duration::from_mins(1),
        || async { drive::quota(dav).await == (used_bytes, limit_bytes - used_bytes) },
    )
    .await;
    let sizes = drive::list(dav, "").await.expect("a listing");
    let sum: u64 = sizes.values().map(|listed| listed.size_bytes).sum();
    assert_eq!(sum, used_bytes, "what is listed is what is charged");
}

async fn puts_with_length(clients: &[Dav], size: usize) {
    let requests = in_turn(clients)
        .map(|(n, dav)| dav.request("PUT", &format!("/f{n}")).body(content(n, size)))
        .collect();
    let answers = race(requests).await;
    assert_eq!(winners(&answers), FIT);
    let limit = (FIT * size) as u64;
    assert_usage(&clients[0], limit, limit).await;
}

async fn puts_without_length(clients: &[Dav]) {
    let requests = in_turn(clients)
        .map(|(n, dav)| {
            dav.request("PUT", &format!("/f{n}"))
                .chunked(content(n, SIZE))
        })
        .collect();
    let won = winners(&race(requests).await);
    assert!((1..=FIT).contains(&won), "{won} of {FIT} that fit");
    assert_usage(&clients[0], (won * SIZE) as u64, QUOTA_BYTES).await;
}

async fn copies(clients: &[Dav]) {
    clients[0].put("/from", content(0, SIZE)).await.must_be(201);
    let requests = in_turn(clients)
        .map(|(n, dav)| {
            dav.request("COPY", "/from")
                .header("Destination", &dav.url(&format!("/f{n}")))
        })
        .collect();
    assert_eq!(winners(&race(requests).await), FIT - 1);
    assert_usage(&clients[0], QUOTA_BYTES, QUOTA_BYTES).await;
}

async fn ranged_writes(clients: &[Dav]) {
    for n in 0..PARALLEL {
        clients[0].put(&format!("/f{n}"), "").await.must_be(201);
    }
    let requests = in_turn(clients)
        .map(|(n, dav)| {
            dav.request("PATCH", &format!("/f{n}"))
                .header("Content-Type", "application/x-sabredav-partialupdate")
                .header("X-Update-Range", "append")
                .body(content(n, SIZE))
        })
        .collect();
    assert_eq!(winners(&race(requests).await), FIT);
    assert_usage(&clients[0], QUOTA_BYTES, QUOTA_BYTES).await;
}

async fn world_with(quota_bytes: u64) -> (World, Vec<Dav>) {
    let world = World::start().await;
    let user = world.add_user("carol", Some(quota_bytes)).await;
    let dav = world.as_user(&user);
    (world, vec![dav])
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_puts_with_a_length_exactly_those_that_fit_succeed() {
    let (_world, clients) = world_with(QUOTA_BYTES).await;
    puts_with_length(&clients, SIZE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_small_puts_exactly_those_that_fit_succeed() {
    let (_world, clients) = world_with(FIT as u64 * 4096).await;
    puts_with_length(&clients, 4096).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_puts_without_a_length_some_succeed_and_no_more_than_fit() {
    let (_world, clients) = world_with(QUOTA_BYTES).await;
    puts_without_length(&clients).await;
}

/// Uploads of unknown length reserve step by step: none must starve all the others.
#[tokio::test(flavor = "multi_thread")]
async fn of_64_large_puts_without_a_length_at_least_one_succeeds() {
    const LARGE: usize = 3_000_000;
    let limit = (FIT * LARGE) as u64;
    let (_world, clients) = world_with(limit).await;
    let body = content(0, LARGE);
    let requests = in_turn(&clients)
        .map(|(n, dav)| dav.request("PUT", &format!("/f{n}")).chunked(body.clone()))
        .collect();
    let won = winners(&race(requests).await);
    assert!((1..=FIT).contains(&won), "{won} of {FIT} that fit");
    assert_usage(&clients[0], (won * LARGE) as u64, limit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_copies_exactly_those_that_fit_succeed() {
    let (_world, clients) = world_with(QUOTA_BYTES).await;
    copies(&clients).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_ranged_writes_exactly_those_that_fit_succeed() {
    let (_world, clients) = world_with(QUOTA_BYTES).await;
    ranged_writes(&clients).await;
}

/// Overwriting needs room for what is more than before, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_drive_can_be_overwritten_with_as_much() {
    let (_world, clients) = world_with(QUOTA_BYTES).await;
    let dav = &clients[0];
    dav.put("/a", noise(1, FIT * SIZE)).await.must_be(201);
    dav.put("/b", "x").await.must_be(507);
    dav.put("/a", noise(2, FIT * SIZE)).await.must_be(204);
    dav.put("/a", noise(3, FIT * SIZE + 1)).await.must_be(507);
    dav.request("PUT", "/a")
        .chunked(noise(4, FIT * SIZE + 1))
        .send()
        .await
        .must_be(507);
    assert_eq!(dav.get("/a").await, noise(2, FIT * SIZE));
    assert_usage(dav, QUOTA_BYTES, QUOTA_BYTES).await;
}

/// A client that sends a long body without waiting must be able to read why it is refused, and to
/// go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let (_world, clients) = world_with(QUOTA_BYTES).await;
    let dav = &clients[0];
    dav.put("/kept", "text").await.must_be(201);
    let long = noise(5, 40 << 20);
    for _ in 0..5 {
        let refused = dav.put("/long", long.clone()).await.must_be(507);
        assert_eq!(refused.header("connection"), "close");
        assert_eq!(dav.get("/kept").await, "text");
        let chunked = dav.request("PUT", "/long").chunked(long.clone());
        chunked.send().await.must_be(507);
        assert_eq!(dav.get("/kept").await, "text");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_users_together_never_exceed_the_capacity() {
    let world = Setup::default().capacity_bytes(QUOTA_BYTES).start().await;
    let mut clients = Vec::new();
    for n in 0..8 {
        let user = world.add_user(&format!("user{n}"), None).await;
        clients.push(world.as_user(&user));
    }
    capacity_race(&clients).await;
}

/// Every eighth client is of another user; together they fill what all may store.
async fn capacity_race(clients: &[Dav]) {
    for (method, size) in [("with a length", SIZE), ("small", 4096)] {
        let requests = in_turn(clients)
            .map(|(n, dav)| {
                let request = dav.request("PUT", &format!("/{size}-{n}"));
                request.body(content(n, size))
            })
            .collect();
        let won = winners(&race(requests).await);
        if size == SIZE {
            assert_eq!(won, FIT, "{method}");
        } else {
            assert_eq!(won, 0, "{method}: the capacity is used up");
        }
    }
    for dav in clients {
        for name in dav.names("/").await {
            dav.delete(&format!("/{name}")).await.must_be(204);
        }
    }
    let requests = in_turn(clients)
        .map(|(n, dav)| {
            dav.request("PUT", &format!("/g{n}"))
                .chunked(content(n, SIZE))
        })
        .collect();
    let won = winners(&race(requests).await);
    assert!((1..=FIT).contains(&won), "chunked: {won} of {FIT} that fit");
}

/// Two daemons over one PostgreSQL, with the same blobs.
struct Pair {
    world: World,
    second: Daemon,
    _folders: [tempfile::TempDir; 2],
}

impl Pair {
    async fn start(setup: Setup) -> Self {
        let folder = |prefix| {
            let made = tempfile::Builder::new().prefix(prefix).tempdir();
            made.expect("a temporary folder can be made")
        };
        let (blobs, own) = (folder("coffer-blobs-"), folder("coffer-second-"));
        let world = setup
            .engine(Engine::Postgres)
            .env("COFFER_BLOBS_PATH", blobs.path().display().to_string())
            .start()
            .await;
        let second = world.second_daemon(own.path()).await;
        Self {
            world,
            second,
            _folders: [blobs, own],
        }
    }

    /// `user` by way of the first and by way of the second.
    fn clients(&self, user: &User) -> Vec<Dav> {
        let first = self.world.as_user(user);
        let second = first.at(self.second.address());
        vec![first, second]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_on_one_database_keep_one_quota() {
    let pair = Pair::start(Setup::default()).await;
    let quota = QUOTA_BYTES;
    let user = pair.world.add_user("u1", Some(quota)).await;
    puts_with_length(&pair.clients(&user), SIZE).await;
    let user = pair.world.add_user("u2", Some(quota)).await;
    puts_without_length(&pair.clients(&user)).await;
    let user = pair.world.add_user("u3", Some(quota)).await;
    copies(&pair.clients(&user)).await;
    let user = pair.world.add_user("u4", Some(quota)).await;
    ranged_writes(&pair.clients(&user)).await;
    let user = pair.world.add_user("u5", Some(FIT as u64 * 4096)).await;
    puts_with_length(&pair.clients(&user), 4096).await;
    let output = pair.world.cli(&["check", "--contents"], "").await;
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_on_one_database_keep_one_capacity() {
    let pair = Pair::start(Setup::default().capacity_bytes(QUOTA_BYTES)).await;
    let mut clients = Vec::new();
    for n in 0..4 {
        let user = pair.world.add_user(&format!("user{n}"), None).await;
        clients.extend(pair.clients(&user));
    }
    capacity_race(&clients).await;
}

/// Opens an upload of `announced` bytes and sends half of it.
async fn half_upload(world: &World, user: &User, path: &str, announced: usize) -> Wire {
    let mut wire = world.wire().await;
    let authorization = Wire::basic(&user.name, &user.password);
    let head = [
        format!("PUT /dav{path} HTTP/1.1"),
        "Host: localhost".to_owned(),
        format!("Authorization: {authorization}"),
        format!("Content-Length: {announced}"),
    ];
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    assert!(wire.send_head(&head).await);
    assert!(wire.send(noise(7, announced / 2)).await);
    wire
}

/// The uploads hold what they announced; `used` bytes are charged.
async fn wait_until_reserved(dav: &Dav, used: u64, available: u64) {
    until(
        "the uploads are reserved",
        Duration::from_secs(30),
        || async { drive::quota(dav).await == (used, available) },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reservations_of_a_killed_daemon_are_given_back_within_a_minute() {
    let (mut world, _) = world_with(QUOTA_BYTES).await;
    let user = User::named("carol");
    let dav = world.as_user(&user);
    dav.put("/kept", noise(1, SIZE)).await.must_be(201);
    let mut uploads = Vec::new();
    for n in 0..4 {
        uploads.push(half_upload(&world, &user, &format!("/f{n}"), 2 * SIZE).await);
    }
    wait_until_reserved(&dav, SIZE as u64, SIZE as u64).await;
    dav.put("/more", noise(2, 2 * SIZE)).await.must_be(507);
    world.kill().await;
    drop(uploads);
    world.revive().await;
    let dav = world.as_user(&user);
    let room = QUOTA_BYTES - SIZE as u64;
    until(
        "what was reserved is free",
        Duration::from_mins(1),
        || async { drive::quota(&dav).await == (SIZE as u64, room) },
    )
    .await;
    dav.put("/all", noise(3, 9 * SIZE)).await.must_be(201);
    assert_eq!(dav.names("/").await, ["all", "kept"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let (world, _) = world_with(QUOTA_BYTES).await;
    let user = User::named("carol");
    let dav = world.as_user(&user);
    dav.put("/f", "old").await.must_be(201);
    let upload = half_upload(&world, &user, "/f", 5 * SIZE).await;
    wait_until_reserved(&dav, 3, QUOTA_BYTES - 5 * SIZE as u64).await;
    drop(upload);
    until(
        "the reservation is given back",
        Duration::from_secs(30),
        || async { drive::quota(&dav).await == (3, QUOTA_BYTES - 3) },
    )
    .await;
    assert_eq!(dav.get("/f").await, "old");
    until("incoming/ is empty", Duration::from_secs(30), || async {
        is_empty(&world.data_dir().join("incoming"))
    })
    .await;
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).map_or(0, Iterator::count) == 0
}

/// "Transfer while the owner writes: quota sums stay right."
#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_away_while_it_is_written_is_charged_once() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    let api =
        |who: &Dav, method: &str, path: &str| who.request_at(method, &format!("/api/v1{path}"));
    for round in 0..5 {
        let folder = format!("/t{round}");
        alice.mkcol(&folder).await.must_be(201);
        for file in 0..4 {
            let first = content(file, SIZE);
            alice
                .put(&format!("{folder}/f{file}"), first)
                .await
                .must_be(201);
        }
        let offer = api(&alice, "POST", &format!("/files/transfer?path={folder}"));
        let offer = offer.json(&serde_json::json!({ "to": "bob" })).send().await;
        let offer = offer.must_be(202).json()["id"].as_str().unwrap().to_owned();
        // Whoever writes is done before, or finds nothing.
        let writers = (0..16).map(|n| {
            let path = format!("{folder}/f{}", n % 8);
            alice
                .request("PUT", &path)
                .body(content(20 + n, SIZE / 2 + n * 10_000))
        });
        let accept = api(&bob, "POST", &format!("/transfers/{offer}/accept"));
        let (answers, accepted) = tokio::join!(race(writers.collect()), accept.send());
        accepted.must_be(200);
        for answer in answers {
            answer.must_be_one_of(&[201, 204, 404, 409, 503]);
        }
        alice.propfind(&folder, "0").await.must_be(404);
        bob.propfind(&folder, "0").await.must_be(207);
    }
    let numbers = async |who: &Dav| {
        let usage = api(who, "GET", "/me/usage")
            .send()
            .await
            .must_be(200)
            .json();
        let list = api(who, "GET", "/files?recursive=true&limit=1000")
            .send()
            .await;
        let list = list.must_be(200).json();
        let sizes = list["items"].as_array().unwrap().iter();
        let sum: u64 = sizes.map(|one| one["size_bytes"].as_u64().unwrap()).sum();
        let of = |name: &str| usage[name].as_u64().unwrap();
        (of("used_bytes") >= sum, of("reserved_bytes"), of("files"))
    };
    until("nothing stays reserved", Duration::from_mins(1), || async {
        numbers(&alice).await == (true, 0, 0) && numbers(&bob).await.1 == 0
    })
    .await;
    assert!(numbers(&bob).await.0 && numbers(&bob).await.2 >= 20);
    let checked = world.cli(&["check"], "").await;
    assert!(checked.status.success(), "{checked:?}");
}
