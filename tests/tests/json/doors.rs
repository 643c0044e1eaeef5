//! Who is let in by what: log-ins and how long they last, every kind of credential at every door,
//! the first administrator.

use harness::{
    Cluster, Credential, Daemon, Database, Dav, Durability, Engine, Launch, Setup, World,
};
use serde_json::{Value, json};

use crate::phrase::{ask, basic, bearer, login, send, store, tokens};

/// "Password, stored only as an Argon2id hash; … rate-limited."
#[tokio::test]
async fn a1_registrations_are_counted_and_passwords_kept_as_hashes() {
    let setup = Setup::default().env("COFFER_ACCOUNTS_REGISTRATIONS_PER_ADDRESS", "2");
    let mut world = setup.start().await;
    let anyone = world.anonymous();
    let password = "nobody must ever read this";
    let new = |name: &str| json!({ "username": name, "password": password });
    send(&anyone, "POST", "/users", new("carol"))
        .await
        .must_be(201);
    // A name that is taken counts like one that is not.
    send(&anyone, "POST", "/users", new("carol"))
        .await
        .must_be(409);
    for name in ["carol", "dave"] {
        let slowed = send(&anyone, "POST", "/users", new(name)).await;
        let slowed = slowed.must_be(429);
        assert_eq!(slowed.json()["code"], "too_many_attempts");
        assert!(slowed.header("retry-after").parse::<u64>().unwrap() >= 1);
    }
    let kept = "SELECT password FROM accounts WHERE username = 'carol'";
    assert!(world.query(kept).starts_with("$argon2id$"));
    world.kill().await;
    let holds = |path: &std::path::Path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        let mut windows = bytes.windows(password.len());
        windows.any(|window| window == password.as_bytes())
    };
    for file in std::fs::read_dir(world.data_dir()).expect("our own folder") {
        let path = file.expect("our own folder").path();
        assert!(!holds(&path), "{} holds a password", path.display());
    }
    assert!(!world.log().contains(password), "the log holds a password");
}

/// Moves the last use of alice's log-ins back by so many hours.
fn unused_for(world: &World, hours: u64) {
    let ms = hours * 3_600_000;
    world.query(&format!(
        "UPDATE login SET last_used_at = last_used_at - {ms}"
    ));
}

/// "Log-ins not used for 48 h (configurable) are refused and purged by a background job; app
/// passwords, and mounts using them, are not log-ins."
#[tokio::test]
async fn a8_a_log_in_that_is_not_used_for_48_hours_ends() {
    let mut world = World::start().await;
    let old = tokens(&world.anonymous(), &World::alice_user()).await;
    let new = json!({ "name": "mount", "current_password": World::alice_user().password });
    let device = send(&world.alice(), "POST", "/me/app-passwords", new).await;
    let device = device.must_be(201).json()["password"].clone();
    // Its uses are written with the end of the process at the latest.
    world.restart().await;
    world.kill().await;
    unused_for(&world, 47);
    world.revive().await;
    let alice = bearer(&world.anonymous(), &old);
    ask(&alice, "GET", "/me").await.must_be(200);

    world.restart().await;
    world.kill().await;
    unused_for(&world, 49);
    world.revive().await;
    let anyone = world.anonymous();
    let alice = bearer(&anyone, &old);
    ask(&alice, "GET", "/me").await.must_be(401);
    alice.propfind("/", "0").await.must_be(401);
    let refresh = json!({ "refresh_token": old["refresh_token"] });
    send(&anyone, "POST", "/auth/refresh", refresh)
        .await
        .must_be(401);
    let logins = ask(&world.alice(), "GET", "/me/logins").await.must_be(200);
    assert_eq!(logins.json()["items"], json!([]));
    let mount = basic(&anyone, "alice", device.as_str().expect("a secret"));
    mount.propfind("/", "0").await.must_be(207);

    // The job removes it, and not one that is in use.
    let fresh = bearer(&anyone, &tokens(&anyone, &World::alice_user()).await);
    let root = world.as_user(&World::admin_user());
    ask(&root, "POST", "/admin/jobs/purge-logins/run")
        .await
        .must_be(202);
    let deadline = std::time::Duration::from_secs(30);
    harness::until("one log-in is left", deadline, async || {
        world.query("SELECT COUNT(*) FROM login") == "1"
    })
    .await;
    ask(&fresh, "GET", "/me").await.must_be(200);
    mount.propfind("/", "0").await.must_be(207);
}

/// "Register; log in; `Authorization: Bearer` on every later request."
#[tokio::test]
async fn b2_a_token_of_a_log_in_is_enough_for_everything() {
    let world = World::start().await;
    let anyone = world.anonymous();
    let new = json!({ "email": "carol@example.org", "password": "long enough" });
    send(&anyone, "POST", "/users", new).await.must_be(201);
    let tokens = login(&anyone, "carol@example.org", "long enough").await;
    let carol = bearer(&anyone, &tokens.must_be(200).json());
    let file = store(&carol, "/docs/a.txt", "one").await.must_be(201);
    let id = file.json()["id"].as_str().expect("an id").to_owned();
    for path in [
        "/auth/session".to_owned(),
        "/me".to_owned(),
        "/me/usage".to_owned(),
        "/me/logins".to_owned(),
        "/files?recursive=true".to_owned(),
        format!("/files/{id}"),
        format!("/files/{id}/content"),
        "/files/zip?path=/docs".to_owned(),
        "/search?q=a".to_owned(),
        "/store".to_owned(),
        "/ping".to_owned(),
    ] {
        ask(&carol, "GET", &path).await.must_be(200);
    }
    let change = json!({ "name": "b.txt" });
    send(&carol, "PATCH", &format!("/files/{id}"), change)
        .await
        .must_be(200);
    ask(&carol, "DELETE", &format!("/files/{id}"))
        .await
        .must_be(200);
    ask(&carol, "POST", "/auth/logout").await.must_be(204);
    ask(&carol, "GET", "/me").await.must_be(401);
}

/// "HTTP Basic as well as tokens, on every interface"; so does the cookie (D7).
#[tokio::test]
async fn e4_every_interface_takes_every_credential() {
    let setup = Setup::default().env("COFFER_ACCOUNTS_FAILURES_PER_ACCOUNT", "1000");
    let setup = setup.env("COFFER_ACCOUNTS_FAILURES_PER_ADDRESS", "1000");
    let world = setup.start().await;
    let (anyone, alice) = (world.anonymous(), World::alice_user());
    store(&world.alice(), "/docs/a.txt", "one")
        .await
        .must_be(201);
    let new = json!({ "name": "device", "current_password": alice.password });
    let device = send(&world.alice(), "POST", "/me/app-passwords", new).await;
    let device = device.must_be(201).json()["password"].clone();
    let tokens = tokens(&anyone, &alice).await;
    let token = tokens["access_token"].as_str().expect("a token");
    let of = |user: &str, password: &str| Credential::Basic {
        user: user.to_owned(),
        password: password.to_owned(),
    };
    let good = [
        (of(&alice.name, &alice.password), None),
        (of(&alice.email, &alice.password), None),
        (of(&alice.name, device.as_str().expect("a secret")), None),
        (Credential::Bearer(token.to_owned()), None),
        (Credential::None, Some(format!("coffer_token={token}"))),
    ];
    let altered = format!("{}x", &token[..token.len() - 1]);
    let bad = [
        (of(&alice.name, "not the password"), None),
        (Credential::Bearer(altered.clone()), None),
        (Credential::None, Some(format!("coffer_token={altered}"))),
        (Credential::None, None),
    ];
    let interfaces = [
        ("GET", "/api/v1/me"),
        ("GET", "/api/v1/auth/session"),
        ("GET", "/api/v1/files?path=/docs"),
        ("GET", "/api/v1/files/content?path=/docs/a.txt"),
        ("PUT", "/api/v1/files/content?path=/docs/b.txt"),
        ("GET", "/api/v1/search?q=a"),
        ("GET", "/api/v1/store"),
        ("POST", "/api/v1/store"),
        ("GET", "/api/v1/ping"),
        ("GET", "/dav/docs/a.txt"),
        ("PROPFIND", "/dav/"),
        ("PUT", "/dav/docs/c.txt"),
        ("PROPFIND", "/remote.php/webdav/"),
        ("PROPFIND", "/remote.php/dav/files/alice/"),
    ];
    for (method, target) in interfaces {
        let by = async |(credential, cookie): &(Credential, Option<String>)| {
            let request = anyone.with(credential.clone()).request_at(method, target);
            let request = match cookie {
                Some(cookie) => request.header("Cookie", cookie),
                None => request,
            };
            let request = match method {
                "PUT" | "POST" => request.body("content"),
                _ => request,
            };
            request.send().await
        };
        for credential in &good {
            let answer = by(credential).await;
            assert!(answer.succeeded(), "{credential:?}\n{answer:?}");
        }
        for credential in &bad {
            let refused = by(credential).await.must_be(401);
            assert!(!refused.header("www-authenticate").is_empty());
        }
    }
}

/// A daemon of its own, with this much said about the first administrator.
struct Server {
    daemon: Option<Daemon>,
    launch: Launch,
    // Dropped after the daemon.
    _database: Option<Database>,
    folder: tempfile::TempDir,
}

impl Server {
    async fn start(environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut launch = Launch::default();
        let database = match Engine::from_environment() {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Cluster::start(Durability::Skipped).database()),
        };
        if let Some(database) = &database {
            launch.arguments = vec!["--database".to_owned(), database.url()];
        }
        let mut server = Self {
            daemon: None,
            launch,
            _database: database,
            folder,
        };
        server.start_with(environment).await;
        server
    }

    async fn start_with(&mut self, environment: &[(&str, &str)]) {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop().await;
        }
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.launch.environment = environment.iter().map(pair).collect();
        let daemon = Daemon::start(self.folder.path(), &self.launch).await;
        self.daemon = Some(daemon.unwrap_or_else(|reason| panic!("{reason}")));
    }

    async fn access(&self, anyone: &Dav, name: &str, password: &str) -> Option<Value> {
        let address = self.daemon.as_ref().expect("it runs").address();
        let who = basic(&anyone.at(address), name, password);
        let answer = ask(&who, "GET", "/me").await;
        answer.succeeded().then(|| answer.json()["access"].clone())
    }
}

/// "The first administrator comes from the configuration (e-mail and password suffice) or the first
/// start, and only while there is none."
#[tokio::test]
async fn e5_the_first_administrator_comes_from_the_configuration() {
    let first = [
        ("COFFER_ADMIN_EMAIL", "chief@example.org"),
        ("COFFER_ADMIN_PASSWORD", "the chief's password"),
    ];
    let other = [
        ("COFFER_ADMIN_NAME", "other"),
        ("COFFER_ADMIN_EMAIL", "other@example.org"),
        ("COFFER_ADMIN_PASSWORD", "the other's password"),
    ];
    let mut server = Server::start(&first).await;
    let anyone = Dav::anonymous_at("http://127.0.0.1:0");
    let admin = json!("administrator");
    let (name, password) = ("chief@example.org", "the chief's password");
    assert_eq!(
        server.access(&anyone, name, password).await,
        Some(admin.clone())
    );
    // There is one now.
    server.start_with(&other).await;
    assert_eq!(server.access(&anyone, name, password).await, Some(admin));
    assert_eq!(server.access(&anyone, "other", other[2].1).await, None);
}

/// "Or the first start": then with a password of its own making.
#[tokio::test]
async fn e5_without_a_configuration_the_first_start_makes_an_administrator() {
    let server = Server::start(&[]).await;
    let anyone = Dav::anonymous_at("http://127.0.0.1:0");
    let kept = server.folder.path().join("data/admin-password");
    let password = std::fs::read_to_string(kept).expect("the password is in a file");
    let access = server.access(&anyone, "admin", password.trim()).await;
    assert_eq!(access, Some(json!("administrator")));
}
