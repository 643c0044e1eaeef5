//! Live notices: "a WebSocket between clients and server carries live notices; requests and data go
//! over HTTP" (A9).

use std::time::Duration;

use harness::{Credential, Setup, Socket, Wire, World};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::phrase::{ask, basic, bearer, send, tokens};

pub const EVENTS: &str = "/api/v1/events";

/// What was heard, as `+path` (changed), `-path` (removed) and `*path` (tree), and where it ended.
#[derive(Default)]
pub struct Heard {
    pub items: Vec<String>,
    pub cursor: String,
}

impl Heard {
    pub fn note(&mut self, message: &Value) {
        if let Some(cursor) = message["cursor"].as_str() {
            cursor.clone_into(&mut self.cursor);
        }
        for item in message["items"].as_array().into_iter().flatten() {
            let sign = match item["kind"].as_str() {
                Some("changed") => '+',
                Some("removed") => '-',
                Some("tree") => '*',
                other => panic!("kind {other:?}"),
            };
            assert!(item["id"].is_string());
            let path = item["path"].as_str().expect("a path");
            self.items.push(format!("{sign}{path}"));
        }
    }

    /// Listens until so many items have been heard.
    pub async fn listen(&mut self, socket: &mut Socket, count: usize) {
        while self.items.len() < count {
            let message = socket.next().await.expect("the socket stays open");
            assert_ne!(message["type"], "resync", "after {:?}", self.items);
            self.note(&message);
        }
    }
}

pub async fn open(address: &str, since: Option<&str>, line: &str) -> Socket {
    let target = since.map_or(EVENTS.to_owned(), |since| format!("{EVENTS}?since={since}"));
    let opened = Socket::open(address, &target, &[line.to_owned()]).await;
    opened.unwrap_or_else(|answer| panic!("not opened: {answer:?}"))
}

pub fn line_of(who: &Credential) -> String {
    match who {
        Credential::Basic { user, password } => {
            format!("Authorization: {}", Wire::basic(user, password))
        }
        Credential::Bearer(token) => format!("Authorization: Bearer {token}"),
        Credential::None => "X-Nobody: 1".to_owned(),
    }
}

pub fn alice() -> String {
    line_of(&World::alice_user().credential())
}

#[tokio::test]
async fn a9_what_happens_is_told_as_it_happens() {
    let world = World::start().await;
    let dav = world.alice();
    let mut socket = open(world.address(), None, &alice()).await;
    let ready = socket.next().await.expect("a first message");
    assert_eq!(ready["type"], "ready");
    dav.put("/a.txt", "one").await.must_be(201);
    dav.put("/a.txt", "two").await.must_be(204);
    dav.request("MKCOL", "/d").send().await.must_be(201);
    let target = format!("{}/dav/d/b.txt", world.address());
    let moved = dav.request("MOVE", "/a.txt").header("Destination", &target);
    moved.send().await.must_be(201);
    let target = format!("{}/dav/e", world.address());
    let moved = dav.request("MOVE", "/d").header("Destination", &target);
    moved.send().await.must_be(201);
    ask(&dav, "DELETE", "/files?path=/e/b.txt")
        .await
        .must_be(200);
    let mut heard = Heard::default();
    heard.listen(&mut socket, 8).await;
    assert_eq!(
        heard.items,
        [
            "+/a.txt",
            "+/a.txt",
            "+/d",
            "-/a.txt",
            "+/d/b.txt",
            "-/d",
            "*/e",
            "-/e/b.txt"
        ]
    );
    // Nobody else's business.
    world.bob().put("/secret.txt", "x").await.must_be(201);
    dav.put("/last.txt", "x").await.must_be(201);
    heard.listen(&mut socket, 9).await;
    assert_eq!(heard.items[8], "+/last.txt");
    socket.close().await;
}

#[tokio::test]
async fn a9_the_quota_is_told_at_first_and_when_it_changes() {
    let world = World::start().await;
    let dav = world.alice();
    let mut socket = open(world.address(), None, &alice()).await;
    let first = socket.next_of("quota").await;
    assert_eq!(first["usage"]["used_bytes"], 0);
    dav.put("/a.txt", "12345").await.must_be(201);
    let mut told = socket.next_of("quota").await;
    while told["usage"]["used_bytes"] != 5 {
        told = socket.next_of("quota").await;
    }
    let shown = ask(&dav, "GET", "/me/usage").await.must_be(200).json();
    assert_eq!(told["usage"], shown);
    let root = world.as_user(&World::admin_user());
    let id = ask(&dav, "GET", "/me").await.json()["id"].clone();
    let path = format!("/users/{}", id.as_str().expect("an id"));
    let limit = json!({ "quota_bytes": 1_000_000 });
    send(&root, "PATCH", &path, limit).await.must_be(200);
    while told["usage"]["limit_bytes"] != 1_000_000 {
        told = socket.next_of("quota").await;
    }
}

/// "No change is missed between `since` and now", however often a client comes back, and whatever
/// daemon it comes back to.
#[tokio::test]
async fn a9_nothing_is_missed_and_nothing_told_twice() {
    const FILES: usize = 400;
    let mut world = World::start().await;
    let mut socket = open(world.address(), None, &alice()).await;
    let mut heard = Heard::default();
    heard.note(&socket.next().await.expect("a first message"));
    let start = heard.cursor.clone();
    let mut dice = StdRng::seed_from_u64(9);
    let expected: Vec<String> = (0..FILES).map(|number| format!("+/{number}")).collect();
    for part in 0..2 {
        let files = part * FILES / 2..(part + 1) * FILES / 2;
        let until = files.end;
        let (dav, address) = (world.alice(), world.address().to_owned());
        let writer = tokio::spawn(async move {
            for number in files {
                dav.put(&format!("/{number}"), "x").await.must_be(201);
            }
        });
        while heard.items.len() < until {
            // Sometimes in good order, sometimes not; sometimes before anything was heard.
            let since = heard.cursor.clone();
            let again = open(&address, Some(&since), &alice()).await;
            let old = std::mem::replace(&mut socket, again);
            if dice.random_bool(0.5) {
                old.close().await;
            } else {
                drop(old);
            }
            let more = heard.items.len() + dice.random_range(0..40);
            heard.listen(&mut socket, more.min(until)).await;
        }
        writer.await.expect("all is written");
        world.restart().await;
    }
    assert_eq!(heard.items, expected);
    let mut again = Heard::default();
    let mut socket = open(world.address(), Some(&start), &alice()).await;
    again.listen(&mut socket, FILES).await;
    assert_eq!((again.items, again.cursor), (expected, heard.cursor));
}

#[tokio::test]
async fn a9_a_cursor_of_another_drive_means_to_begin_anew() {
    let world = World::start().await;
    let line = line_of(&World::bob_user().credential());
    let mut his = open(world.address(), None, &line).await;
    let cursor = his.next().await.expect("a first message")["cursor"].clone();
    let cursor = cursor.as_str().expect("a cursor");
    let mut hers = open(world.address(), Some(cursor), &alice()).await;
    let mut heard = Heard::default();
    heard.note(&hers.next_of("resync").await);
    assert_ne!(heard.cursor, cursor);
    // It goes on from there.
    world.alice().put("/a.txt", "x").await.must_be(201);
    heard.listen(&mut hers, 1).await;
    let mut again = open(world.address(), Some(&heard.cursor), &alice()).await;
    world.alice().put("/b.txt", "x").await.must_be(201);
    heard.listen(&mut again, 2).await;
    assert_eq!(heard.items, ["+/a.txt", "+/b.txt"]);
}

/// A second daemon on the same database; the first itself where there can be no second.
struct Beside {
    _folder: tempfile::TempDir,
    daemon: Option<harness::Daemon>,
    address: String,
}

impl Beside {
    async fn start(world: &World) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let daemon = match world.postgres() {
            Some(_) => Some(world.second_daemon(folder.path()).await),
            None => None,
        };
        let address = daemon
            .as_ref()
            .map_or(world.address(), |daemon| daemon.address());
        Self {
            address: address.to_owned(),
            _folder: folder,
            daemon,
        }
    }

    async fn stop(self) {
        if let Some(daemon) = self.daemon {
            assert_eq!(daemon.stop().await, Some(0));
        }
    }
}

#[tokio::test]
async fn a9_what_one_daemon_does_another_tells() {
    let world = World::start().await;
    let beside = Beside::start(&world).await;
    let mut socket = open(&beside.address, None, &alice()).await;
    let mut heard = Heard::default();
    heard.note(&socket.next().await.expect("a first message"));
    let mut slowest = Duration::ZERO;
    for number in 0..20 {
        world
            .alice()
            .put(&format!("/{number}"), "x")
            .await
            .must_be(201);
        let written = std::time::Instant::now();
        heard.listen(&mut socket, number + 1).await;
        slowest = slowest.max(written.elapsed());
    }
    eprintln!("the slowest notice came after {slowest:?}");
    // And the other way round, from where the first one stands.
    let mut socket = open(world.address(), Some(&heard.cursor), &alice()).await;
    let dav = world.alice().at(&beside.address);
    dav.put("/there", "x").await.must_be(201);
    heard.listen(&mut socket, 21).await;
    beside.stop().await;
}

/// "Ends when the log-in ends", "on every daemon".
#[tokio::test]
async fn a9_notices_end_with_the_log_in() {
    let world = World::start().await;
    let beside = Beside::start(&world).await;
    let (anyone, user) = (world.anonymous(), World::alice_user());
    let root = world.as_user(&World::admin_user());
    let by_token = |tokens: &Value| {
        let token = tokens["access_token"].as_str().expect("a token");
        format!("Authorization: Bearer {token}")
    };
    let over = async |socket: &mut Socket, what: &str| {
        let ended = socket.next_of("ended").await;
        assert_eq!(ended["reason"], "login_ended", "{what}");
        assert_eq!(socket.end().await, Some(1008), "{what}");
    };

    let (one, other) = (tokens(&anyone, &user).await, tokens(&anyone, &user).await);
    let mut ending = open(&beside.address, None, &by_token(&one)).await;
    let mut staying = open(&beside.address, None, &by_token(&other)).await;
    send(
        &bearer(&anyone, &one),
        "POST",
        "/auth/logout",
        json!({ "refresh_token": one["refresh_token"] }),
    )
    .await
    .must_be(204);
    over(&mut ending, "log-out").await;

    let new = json!({ "name": "mount", "current_password": user.password });
    let made = send(&bearer(&anyone, &other), "POST", "/me/app-passwords", new).await;
    let made = made.must_be(201).json();
    let secret = made["password"].as_str().expect("a secret");
    let line = format!("Authorization: {}", Wire::basic(&user.name, secret));
    let mut mounted = open(&beside.address, None, &line).await;
    let mut by_password = open(&beside.address, None, &alice()).await;
    mounted.next().await.expect("it is open");
    by_password.next().await.expect("it is open");

    let change = json!({ "password": "another long password", "current_password": user.password });
    send(&bearer(&anyone, &other), "PATCH", "/me", change)
        .await
        .must_be(200);
    over(&mut by_password, "another password").await;
    let third = anyone.clone();
    let third = crate::phrase::login(&third, &user.name, "another long password").await;
    let third = third.must_be(200).json();
    let mut third_socket = open(&beside.address, None, &by_token(&third)).await;

    let path = format!("/me/app-passwords/{}", made["id"].as_str().expect("an id"));
    ask(&bearer(&anyone, &other), "DELETE", &path)
        .await
        .must_be(204);
    over(&mut mounted, "app password revoked").await;

    let logins = ask(&bearer(&anyone, &other), "GET", "/me/logins")
        .await
        .json();
    let theirs = logins["items"].as_array().expect("items").iter();
    let theirs = theirs
        .filter(|login| login["current"] == false)
        .map(|login| &login["id"]);
    for id in theirs {
        let path = format!("/me/logins/{}", id.as_str().expect("an id"));
        ask(&bearer(&anyone, &other), "DELETE", &path)
            .await
            .must_be(204);
    }
    over(&mut third_socket, "log-in revoked").await;

    // The one that did all this is still there.
    let dav = basic(&anyone, &user.name, "another long password");
    dav.put("/still.txt", "x").await.must_be(201);
    staying.next_of("changes").await;
    let id = ask(&dav, "GET", "/me").await.json()["id"].clone();
    let path = format!("/users/{}", id.as_str().expect("an id"));
    send(&root, "PATCH", &path, json!({ "disabled": true }))
        .await
        .must_be(200);
    over(&mut staying, "account disabled").await;

    let mut his = open(
        &beside.address,
        None,
        &line_of(&World::bob_user().credential()),
    )
    .await;
    his.next().await.expect("it is open");
    let id = ask(&world.bob(), "GET", "/me").await.json()["id"].clone();
    let path = format!("/users/{}", id.as_str().expect("an id"));
    ask(&root, "DELETE", &path).await.must_be(204);
    over(&mut his, "account removed").await;
    beside.stop().await;
}

#[tokio::test]
async fn a9_an_app_password_that_expires_ends_its_notices() {
    let world = World::start().await;
    let user = World::alice_user();
    let new = json!({
        "name": "mount", "current_password": user.password, "expires_at": in_seconds(3),
    });
    let made = send(&world.alice(), "POST", "/me/app-passwords", new).await;
    let made = made.must_be(201).json();
    let secret = made["password"].as_str().expect("a secret");
    let line = format!("Authorization: {}", Wire::basic(&user.name, secret));
    let mut mounted = open(world.address(), None, &line).await;
    assert_eq!(mounted.next_of("ended").await["reason"], "login_ended");
    assert_eq!(mounted.end().await, Some(1008));
}

/// The instant so many seconds from now.
fn in_seconds(seconds: u32) -> String {
    let output = std::process::Command::new("date")
        .args(["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d"])
        .arg(format!("+{} seconds", seconds + 1))
        .output()
        .expect("date can be run");
    let text = String::from_utf8(output.stdout).expect("an instant is ASCII");
    text.trim().to_owned()
}

/// An access token lives for a moment, its log-in for long: notices follow the log-in.
#[tokio::test]
async fn a9_a_token_that_expires_does_not_end_them() {
    let world = Setup::default()
        .env("COFFER_JWT_ACCESS_TOKEN_AGE", "10s")
        .env("COFFER_SERVER_STALL_TIMEOUT", "1s")
        .env("COFFER_SERVER_HEADER_TIMEOUT", "1s")
        .env("COFFER_SERVER_IDLE_TIMEOUT", "1s")
        .start()
        .await;
    let tokens = tokens(&world.anonymous(), &World::alice_user()).await;
    let token = tokens["access_token"].as_str().expect("a token");
    let mut socket = open(
        world.address(),
        None,
        &format!("Authorization: Bearer {token}"),
    )
    .await;
    // Longer than any patience with requests.
    while ask(&bearer(&world.anonymous(), &tokens), "GET", "/me")
        .await
        .succeeded()
    {
        socket.pings(1).await;
    }
    world.alice().put("/a.txt", "x").await.must_be(201);
    let mut heard = Heard::default();
    heard.listen(&mut socket, 1).await;
}

#[tokio::test]
async fn a9_who_is_confined_to_a_folder_hears_of_it_alone() {
    let world = World::start().await;
    let (dav, user) = (world.alice(), World::alice_user());
    dav.request("MKCOL", "/in").send().await.must_be(201);
    let new = json!({ "name": "mount", "current_password": user.password, "path": "/in" });
    let made = send(&dav, "POST", "/me/app-passwords", new)
        .await
        .must_be(201)
        .json();
    let secret = made["password"].as_str().expect("a secret");
    let line = format!("Authorization: {}", Wire::basic(&user.name, secret));
    let mut socket = open(world.address(), None, &line).await;
    dav.put("/out.txt", "x").await.must_be(201);
    dav.put("/in/a.txt", "x").await.must_be(201);
    dav.put("/inner.txt", "x").await.must_be(201);
    dav.put("/in/b.txt", "x").await.must_be(201);
    let mut heard = Heard::default();
    heard.listen(&mut socket, 2).await;
    assert_eq!(heard.items, ["+/a.txt", "+/b.txt"]);
    dav.delete("/in").await.must_be(204);
    assert_eq!(socket.next_of("ended").await["reason"], "login_ended");
}

/// "They find it in their own drive" (D1), as soon as it is there.
#[tokio::test]
async fn a9_what_comes_and_goes_by_sharing_is_told() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    alice.request("MKCOL", "/s").send().await.must_be(201);
    let line = line_of(&World::bob_user().credential());
    let mut socket = open(world.address(), None, &line).await;
    let ready = socket.next().await.expect("a first message");
    assert_eq!(ready["type"], "ready");
    let shared = async || {
        let list = ask(&bob, "GET", "/shared").await.must_be(200).json();
        let items = list["items"].as_array().expect("a list").iter();
        items.map(|one| one["right"].clone()).collect::<Vec<_>>()
    };
    for right in ["read", "write"] {
        let body = json!({ "name": "bob", "right": right });
        let made = send(&alice, "POST", "/files/grants?path=/s", body).await;
        made.must_be_one_of(&[200, 201]);
        assert_eq!(socket.next_of("shares").await, json!({ "type": "shares" }));
        assert_eq!(shared().await, [right]);
    }
    ask(&alice, "DELETE", "/files/grants?path=/s")
        .await
        .must_be(200);
    socket.next_of("shares").await;
    assert_eq!(shared().await, Vec::<Value>::new());
    // Deleting ends it too; and what is in nobody's share is nobody else's business.
    let body = json!({ "name": "bob", "right": "read" });
    let made = send(&alice, "POST", "/files/grants?path=/s", body).await;
    made.must_be(201);
    socket.next_of("shares").await;
    alice.delete("/s").await.must_be(204);
    socket.next_of("shares").await;
    assert_eq!(shared().await, Vec::<Value>::new());
}

/// What happens inside of what others share, to read or to write: on every daemon, from when it was
/// granted until it is taken back, and nothing of what happens beside it.
#[tokio::test]
async fn a9_what_happens_inside_a_share_is_told() {
    let world = World::start().await;
    let beside = Beside::start(&world).await;
    let (alice, bob) = (world.alice(), world.bob());
    for path in ["/s", "/t", "/out"] {
        alice.request("MKCOL", path).send().await.must_be(201);
    }
    let grant = async |path: &str, right: &str| {
        let body = json!({ "name": "bob", "right": right });
        let made = send(&alice, "POST", &format!("/files/grants?path={path}"), body).await;
        made.must_be(201);
    };
    grant("/s", "read").await;
    let line = line_of(&World::bob_user().credential());
    let mut socket = open(&beside.address, None, &line).await;
    let ready = socket.next().await.expect("a first message");
    assert_eq!(ready["type"], "ready");
    // Until something inside is told, nothing else is that could come of what happens beside.
    let mut heard = Heard::default();
    let mut listen = async |socket: &mut Socket, expected: &[&str]| {
        let before = heard.items.len();
        while heard.items.len() < before + expected.len() {
            let message = socket.next().await.expect("the socket stays open");
            match message["type"].as_str() {
                Some("shared_changes") => {
                    assert!(message["cursor"].is_null());
                    assert_ne!(message["items"], json!([]));
                    heard.note(&message);
                }
                Some("quota" | "shares") => {}
                _ => panic!("{message}"),
            }
        }
        assert_eq!(heard.items[before..], *expected);
    };
    for number in 0..300 {
        let path = format!("/out/{number}");
        alice.put(&path, "x").await.must_be(201);
    }
    alice.put("/s/a.txt", "x").await.must_be(201);
    listen(&mut socket, &["+/Shared with me/s/a.txt"]).await;
    grant("/t", "write").await;
    socket.next_of("shares").await;
    bob.put("/Shared with me/t/b.txt", "x").await.must_be(201);
    listen(&mut socket, &["+/Shared with me/t/b.txt"]).await;
    // Wherever its owner keeps it.
    let target = format!("{}/dav/out/t", world.address());
    let moved = alice.request("MOVE", "/t").header("Destination", &target);
    moved.send().await.must_be(201);
    alice.put("/out/t/c.txt", "x").await.must_be(201);
    alice.delete("/out/t/b.txt").await.must_be(204);
    let told = ["+/Shared with me/t/c.txt", "-/Shared with me/t/b.txt"];
    listen(&mut socket, &told).await;
    ask(&alice, "DELETE", "/files/grants?path=/s")
        .await
        .must_be(200);
    alice.put("/s/late.txt", "x").await.must_be(201);
    alice.put("/out/t/d.txt", "x").await.must_be(201);
    listen(&mut socket, &["+/Shared with me/t/d.txt"]).await;
    // No cursor speaks of it.
    socket.close().await;
    let mut again = open(&beside.address, None, &line).await;
    let ready_again = again.next().await.expect("a first message");
    assert_eq!(ready_again, ready);
    beside.stop().await;
}
