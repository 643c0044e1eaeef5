//! The space that an account has: there at once, counted, kept once, quick to read.

use harness::{Answer, Dav, Engine, Setup, World, noise};
use serde_json::{Value, json};

use crate::phrase::{ask, bearer, by_path, send, store};

async fn usage(who: &Dav) -> Value {
    ask(who, "GET", "/me/usage").await.must_be(200).json()
}

/// "Users together never reach the server's limit", which counts logical bytes.
#[tokio::test]
async fn a5_all_users_together_stay_below_the_capacity() {
    let world = Setup::default().capacity_bytes(200_000).start().await;
    let content = noise(1, 80_000);
    let (alice, bob) = (world.alice(), world.bob());
    store(&alice, "/a.bin", content.clone()).await.must_be(201);
    store(&bob, "/a.bin", content.clone()).await.must_be(201);
    // The same bytes are there already, which helps nobody.
    let published = alice.request_at("POST", "/api/v1/store");
    for refused in [
        store(&alice, "/b.bin", content.clone()).await,
        store(&bob, "/b.bin", content.clone()).await,
        published.body(content.clone()).send().await,
    ] {
        let refused = refused.must_be(507);
        assert_eq!(refused.json()["code"], "storage_full");
    }
    store(&bob, "/c.bin", noise(2, 40_000)).await.must_be(201);
    store(&alice, "/c.bin", "1").await.must_be(507);
}

/// "`capacity.overcommit = false` … refuses accounts."
#[tokio::test]
async fn a5_limits_may_be_kept_from_summing_to_more_than_there_is() {
    let setup = Setup::default().env("COFFER_ACCOUNTS_DEFAULT_QUOTA", "1MiB");
    let setup = setup.env("COFFER_CAPACITY_OVERCOMMIT", "false");
    let world = setup.capacity_bytes(4 << 20).start().await;
    // Three are there already.
    let new = |name: &str| json!({ "username": name, "password": "long enough" });
    let anyone = world.anonymous();
    send(&anyone, "POST", "/users", new("carol"))
        .await
        .must_be(201);
    let refused = send(&anyone, "POST", "/users", new("dave")).await;
    assert_eq!(refused.must_be(507).json()["code"], "storage_full");
}

/// "Below a reserve of free disk every write is refused alike."
#[tokio::test]
async fn a5_a_reserve_of_the_disk_is_left_alone() {
    let setup = Setup::default().env("COFFER_CAPACITY_RESERVE_BYTES", "100TB");
    let world = setup.capacity_bytes(1_000_000).start().await;
    let alice = world.alice();
    for content in [noise(1, 10), noise(1, 100_000)] {
        let refused = store(&alice, "/a.bin", content).await.must_be(507);
        assert_eq!(refused.json()["code"], "storage_full");
    }
    assert!(alice.names("/").await.is_empty());
}

/// "Created by itself on first use, and its use is always known", by every door alike.
#[tokio::test]
async fn a7_the_space_is_there_at_the_first_use_and_its_use_is_known() {
    let world = World::start().await;
    let new = json!({ "username": "carol", "password": "long enough" });
    let made = send(&world.anonymous(), "POST", "/users", new).await;
    let carol = bearer(&world.anonymous(), &made.must_be(201).json());
    carol.put("/a.txt", "12345").await.must_be(201);
    let mut expected = 5;
    let copy = by_path("/copy", "/a.txt");
    let published = carol.request_at("POST", "/api/v1/store").body("published");
    for (answer, more) in [
        (
            store(&carol, "/new/b.bin", noise(1, 100_000)).await,
            100_000,
        ),
        (
            send(&carol, "POST", &copy, json!({ "name": "c.txt" })).await,
            5,
        ),
        (carol.copy("/new", "/more").await, 100_000),
        (published.send().await, 9),
        (carol.mkcol("/empty").await, 0),
    ] {
        answer.must_be(201);
        expected += more;
    }
    let usage = usage(&carol).await;
    assert_eq!(usage["used_bytes"], expected);
    assert_eq!(usage["reserved_bytes"], 0);
    let me = ask(&carol, "GET", "/me").await.must_be(200).json();
    assert_eq!(me["usage"], usage);
    let asked = "<D:quota-used-bytes/><D:quota-available-bytes/>";
    let told = carol.propfind_of("/", "0", asked).await.multistatus();
    let told = |name: &str| told.only().dav(name).map(str::to_owned);
    assert_eq!(told("quota-used-bytes"), Some(expected.to_string()));
    assert_eq!(
        told("quota-available-bytes"),
        Some(usage["free_bytes"].to_string())
    );
}

/// What an upload is answered, without what is its own.
fn told(answer: &Answer) -> (u16, Value) {
    let mut file = answer.json();
    for own in ["id", "created_at", "modified_at", "published_at"] {
        if let Some(value) = file.get_mut(own) {
            *value = Value::Null;
        }
    }
    (answer.status(), file)
}

/// "Content that is already stored is not stored again", and nobody can tell (P2).
#[tokio::test]
async fn d6_content_that_is_stored_already_is_not_stored_again() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    for size in [30_000, 1 << 20, 9 << 20] {
        let content = noise(61, size);
        let path = format!("/{size}.bin");
        let first = store(&alice, &path, content.clone()).await.must_be(201);
        let blobs = world.blobs();
        assert!(!blobs.is_empty());
        // By another user, by the same one elsewhere, and by another door.
        let again = store(&bob, &path, content.clone()).await;
        assert_eq!(told(&again), told(&first));
        let copy = format!("/copy-of-{size}.bin");
        store(&alice, &copy, content.clone()).await.must_be(201);
        bob.put(&copy, content.clone()).await.must_be(201);
        assert_eq!(world.blobs(), blobs, "{size} bytes are stored once");
        assert!(bob.get(&path).await == content);
    }
    // What is charged is what was sent.
    assert_eq!(usage(&alice).await, usage(&bob).await);
    let stored: u64 = world.blobs().iter().map(|(_, size_bytes)| size_bytes).sum();
    assert_eq!(usage(&bob).await["used_bytes"], 2 * stored);
}

/// "PostgreSQL … as database … an in-memory cache for hot data": on SQLite, where one daemon owns
/// the data, what was read before is read without a statement; on PostgreSQL rights are asked for
/// each time (P6).
#[tokio::test]
async fn b7_hot_data_is_read_from_memory() {
    let engine = Engine::from_environment();
    let world = World::start().await;
    let kept = world.data_dir().join("coffer.db").exists();
    assert_eq!(kept, engine == Engine::Sqlite);
    assert_eq!(world.query("SELECT COUNT(*) FROM account"), "3");

    let alice = world.alice();
    for name in ["a.txt", "b.txt", "c.txt"] {
        let path = format!("/docs/{name}");
        store(&alice, &path, name).await.must_be(201);
    }
    store(&alice, "/docs/large.bin", noise(1, 300_000))
        .await
        .must_be(201);
    let api = |path: String| format!("/api/v1{path}");
    let asked = [
        ("GET", api(by_path("", "/docs"))),
        ("GET", api(format!("{}&limit=2", by_path("", "/docs")))),
        ("GET", api(by_path("/content", "/docs/a.txt"))),
        ("GET", api(by_path("/content", "/docs/large.bin"))),
        ("HEAD", api(by_path("/content", "/docs/a.txt"))),
        ("GET", "/dav/docs/a.txt".to_owned()),
        ("PROPFIND", "/dav/docs/".to_owned()),
        ("PROPFIND", "/dav/docs/a.txt".to_owned()),
    ];
    for (method, target) in &asked {
        let read = || alice.request_at(method, target).header("Depth", "1");
        let cold = read().send().await.must_be_one_of(&[200, 207]);
        let (warm, line) = world.logged(read()).await;
        assert_eq!(warm.body, cold.body);
        match engine {
            Engine::Sqlite => assert_eq!(line.statements, 0, "{method} {target}"),
            Engine::Postgres => assert!(line.statements > 0, "{method} {target}"),
        }
    }
    what_is_remembered_is_never_old(&alice).await;
}

/// Each change shows in the next list, however warm it was.
async fn what_is_remembered_is_never_old(alice: &Dav) {
    let list = async || {
        let list = ask(alice, "GET", &by_path("", "/docs")).await.must_be(200);
        let list = list.json();
        let shown = |item: &Value| (item["name"].to_string(), item["size_bytes"].to_string());
        let items = list["items"].as_array().expect("a list");
        let by_api: Vec<(String, String)> = items.iter().map(shown).collect();
        assert_eq!(alice.names("/docs").await.len(), by_api.len());
        by_api
    };
    let mut before = list().await;
    let changes = [
        ("PUT", "/docs/a.txt", "longer than before"),
        ("PUT", "/docs/new.txt", "new"),
        ("MKCOL", "/docs/sub", ""),
        ("MOVE", "/docs/new.txt", "/dav/docs/renamed.txt"),
        ("COPY", "/docs/a.txt", "/dav/docs/copy.txt"),
        ("DELETE", "/docs/b.txt", ""),
        ("MOVE", "/docs/renamed.txt", "/dav/elsewhere.txt"),
        ("DELETE", "/docs/sub", ""),
    ];
    for (method, path, detail) in changes {
        let request = alice.request(method, path);
        let request = match method {
            "MOVE" | "COPY" => request.header("Destination", detail),
            "PUT" => request.body(detail),
            _ => request,
        };
        let done = request.send().await;
        assert!(done.succeeded(), "{done:?}");
        let after = list().await;
        assert_ne!(after, before, "{method} {path}");
        before = after;
    }
    // The folder itself goes, and another comes in its place.
    alice.delete("/docs").await.must_be(204);
    ask(alice, "GET", &by_path("", "/docs")).await.must_be(404);
    alice.mkcol("/docs").await.must_be(201);
    assert!(list().await.is_empty());
}
