//! What administrators see and set of the whole server: settings, audit trail, usage, jobs.

use std::time::Duration;

use harness::{Answer, Dav, Setup, World, until};
use serde_json::{Value, json};

use crate::phrase::{ask, basic, login, send};

fn root(world: &World) -> Dav {
    world.as_user(&World::admin_user())
}

fn newcomer(name: &str) -> Value {
    json!({ "username": name, "password": "long enough" })
}

async fn register(world: &World, body: Value) -> Answer {
    send(&world.anonymous(), "POST", "/users", body).await
}

async fn set(world: &World, change: Value) -> Value {
    let answer = send(&root(world), "PATCH", "/admin/settings", change).await;
    answer.must_be(200).json()
}

async fn id_of(who: &Dav) -> String {
    let me = ask(who, "GET", "/me").await.must_be(200).json();
    me["id"].as_str().expect("an id").to_owned()
}

/// All items of a list, read in parts of `limit`.
async fn parts(who: &Dav, path: &str, limit: usize) -> Vec<Value> {
    let mut items = Vec::new();
    let sign = if path.contains('?') { '&' } else { '?' };
    let mut next = format!("{path}{sign}limit={limit}");
    loop {
        let part = ask(who, "GET", &next).await.must_be(200).json();
        let found = part["items"].as_array().expect("a list");
        assert!(found.len() <= limit);
        items.extend(found.iter().cloned());
        match part["next_cursor"].as_str() {
            Some(cursor) => next = format!("{path}{sign}limit={limit}&cursor={cursor}"),
            None => return items,
        }
    }
}

/// "Registration is open (default), by invitation or closed": a setting, over restarts.
#[tokio::test]
async fn e5_who_may_register_is_set_while_the_server_runs() {
    let mut world = World::start().await;
    let closed = set(&world, json!({ "registration": "closed" })).await;
    assert_eq!(closed["registration"], "closed");
    assert_eq!(closed["configured"]["registration"], "open");
    let refused = register(&world, newcomer("carol")).await.must_be(403);
    assert_eq!(refused.json()["code"], "registration_closed");

    set(&world, json!({ "registration": "invitation" })).await;
    world.restart().await;
    let mut invited = newcomer("carol");
    for code in [Value::Null, json!("inv_made_up")] {
        invited["invitation"] = code;
        let refused = register(&world, invited.clone()).await.must_be(403);
        assert_eq!(refused.json()["code"], "wrong_invitation");
    }
    let made = ask(&root(&world), "POST", "/invitations").await;
    invited["invitation"] = made.must_be(201).json()["code"].clone();
    register(&world, invited).await.must_be(201);

    let open = set(&world, json!({ "registration": null })).await;
    assert_eq!(open["registration"], "open");
    register(&world, newcomer("dave")).await.must_be(201);
}

/// "50 GB per user by default, settable": the default is a setting too.
#[tokio::test]
async fn a4_the_default_quota_is_set_while_the_server_runs() {
    let setup = Setup::default().env("COFFER_ACCOUNTS_DEFAULT_QUOTA", "1MB");
    let world = setup.start().await;
    let before = ask(&root(&world), "GET", "/admin/settings").await;
    assert_eq!(before.must_be(200).json()["default_quota_bytes"], 1_000_000);
    set(&world, json!({ "default_quota_bytes": 4 })).await;
    register(&world, newcomer("carol")).await.must_be(201);
    let carol = basic(&world.anonymous(), "carol", "long enough");
    carol.put("/a.txt", "12345").await.must_be(507);
    carol.put("/a.txt", "1234").await.must_be(201);
    let usage = ask(&world.alice(), "GET", "/me/usage").await.must_be(200);
    assert_eq!(usage.json()["limit_bytes"], 1_000_000, "others keep theirs");
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused_by_name() {
    let world = World::start().await;
    for (change, field) in [
        (json!({ "registration": "ajar" }), "registration"),
        (json!({ "registration": 1 }), "registration"),
        (json!({ "default_quota_bytes": -1 }), "default_quota_bytes"),
        (json!({ "default_quota_bytes": u64::MAX }), "quota_bytes"),
        (json!({ "capacity": 1 }), "capacity"),
    ] {
        let refused = send(&root(&world), "PATCH", "/admin/settings", change).await;
        let problem = refused.must_be(422).json();
        assert!(
            problem["detail"].as_str().unwrap().contains(field),
            "{problem}"
        );
    }
    let settings = ask(&root(&world), "GET", "/admin/settings").await;
    assert_eq!(settings.must_be(200).json()["registration"], "open");
}

/// "An audit trail (who, what, from where, when; append-only)."
#[tokio::test]
async fn h4_the_audit_trail_says_who_did_what_from_where_and_when() {
    let world = World::start().await;
    let (root, alice) = (root(&world), world.alice());
    let (root_id, alice_id) = (id_of(&root).await, id_of(&alice).await);
    let path = format!("/users/{alice_id}");
    let change = json!({ "quota_bytes": 7, "disabled": false, "revoke_app_passwords": true });
    send(&root, "PATCH", &path, change).await.must_be(200);
    let secret = World::alice_user().password;
    let app_password = json!({ "name": "phone", "current_password": secret });
    let made = send(&alice, "POST", "/me/app-passwords", app_password).await;
    let phone = made.must_be(201).json()["id"].clone();
    set(&world, json!({ "registration": "closed" })).await;

    let quota = format!("/admin/audit?account={alice_id}&action=user.quota");
    let lines = parts(&root, &quota, 10).await;
    let [line] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert_eq!(line["by"], json!({ "id": root_id, "username": "root" }));
    assert_eq!(
        line["account"],
        json!({ "id": alice_id, "username": "alice" })
    );
    assert_eq!(line["detail"], "50000000000 -> 7");
    assert_eq!(line["address"], "127.0.0.1");
    assert!(line["at"].as_str().unwrap().ends_with('Z'), "{line}");

    let whole = parts(&root, "/admin/audit", 1000).await;
    assert_eq!(parts(&root, "/admin/audit", 2).await, whole);
    let instants: Vec<&str> = whole.iter().filter_map(|l| l["at"].as_str()).collect();
    assert!(instants.is_sorted_by(|a, b| b <= a), "{instants:?}");
    let actions: Vec<&str> = whole.iter().filter_map(|l| l["action"].as_str()).collect();
    for action in ["user.add", "app_password.revoke_all"] {
        assert!(actions.contains(&action), "{actions:?}");
    }
    assert!(!actions.contains(&"user.enable"), "it was never disabled");
    let settings = parts(&root, "/admin/audit?action=setting.change", 10).await;
    assert_eq!(settings[0]["subject"], "registration");
    assert_eq!(settings[0]["detail"], "open -> closed");
    let added = parts(&root, "/admin/audit?action=app_password.add", 10).await;
    assert_eq!(added[0]["subject"], phone);
    // What was added by the command line was added by nobody that has an account.
    let by_console = whole.iter().filter(|line| line["by"].is_null());
    assert!(by_console.count() >= 2, "{whole:#?}");

    // The account goes, its lines stay.
    ask(&root, "DELETE", &path).await.must_be(204);
    let left = parts(&root, &quota, 10).await;
    assert_eq!(
        left[0]["account"],
        json!({ "id": alice_id, "username": null })
    );

    for (query, status) in [
        ("action=user.eat", 422),
        ("account=alice", 422),
        ("cursor=x", 400),
        ("limit=many", 400),
        ("since=yesterday", 400),
    ] {
        let path = format!("/admin/audit?{query}");
        ask(&root, "GET", &path).await.must_be(status);
    }
    for method in ["DELETE", "PATCH", "POST", "PUT"] {
        ask(&root, method, "/admin/audit").await.must_be(405);
    }
}

#[tokio::test]
async fn guessing_that_had_to_be_slowed_down_is_in_the_audit_trail() {
    let setup = Setup::default().env("COFFER_ACCOUNTS_FAILURES_PER_ACCOUNT", "2");
    let world = setup.start().await;
    let anyone = world.anonymous();
    for guess in 0..5 {
        login(&anyone, "alice", &format!("guess number {guess}"))
            .await
            .must_be_one_of(&[401, 429]);
    }
    let lines = parts(&root(&world), "/admin/audit?action=login.blocked", 10).await;
    let [line] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert_eq!(line["account"]["username"], "alice");
    assert_eq!(
        (&line["by"], &line["address"]),
        (&Value::Null, &json!("127.0.0.1"))
    );
}

/// "It counts charged (logical) bytes, so that it reveals nothing of deduplication": the
/// administrator sees both.
#[tokio::test]
async fn a5_the_server_says_how_full_it_is() {
    let world = Setup::default().capacity_bytes(1_000_000).start().await;
    let content = vec![7u8; 20_000];
    for who in [world.alice(), world.bob()] {
        who.put("/same.bin", content.clone()).await.must_be(201);
    }
    world.bob().put("/more.txt", "12345").await.must_be(201);
    let root = root(&world);
    let usage = ask(&root, "GET", "/admin/usage").await.must_be(200).json();
    let capacity = json!({
        "limit_bytes": 1_000_000, "used_bytes": 40_005, "reserved_bytes": 0,
        "free_bytes": 959_995,
    });
    assert_eq!(usage["capacity"], capacity);
    let charged = json!({
        "live_bytes": 40_005, "published_bytes": 0, "versions_bytes": 0, "trash_bytes": 0,
    });
    assert_eq!(usage["parts"], charged);
    let stored = json!({ "blobs": 2, "size_bytes": 20_005, "unreferenced_bytes": 0 });
    assert_eq!(usage["stored"], stored);
    assert_eq!((&usage["users"], &usage["files"]), (&json!(3), &json!(3)));
    let ratio = usage["deduplication_ratio"].as_f64().expect("a number");
    assert!((1.9..2.0).contains(&ratio), "{ratio}");
    assert!(usage["disk_free_bytes"].as_u64() > Some(0));

    let fullest = parts(&root, "/admin/usage/users", 1).await;
    let names: Vec<&Value> = fullest.iter().map(|user| &user["username"]).collect();
    assert_eq!(names, ["bob", "alice", "root"]);
    assert_eq!(fullest[0]["usage"]["used_bytes"], 20_005);
    for cursor in ["x", "1_x", "x_01890000-0000-7000-8000-000000000000"] {
        let path = format!("/admin/usage/users?cursor={cursor}");
        ask(&root, "GET", &path).await.must_be(400);
    }
}

/// The job `sweep` as administrators see it.
async fn sweep(root: &Dav) -> Value {
    let jobs = ask(root, "GET", "/admin/jobs").await.must_be(200).json();
    let jobs = jobs["items"].as_array().expect("a list");
    let found = jobs.iter().find(|job| job["name"] == "sweep");
    found.expect("there is a sweep").clone()
}

fn has_ended(job: &Value) -> bool {
    job["last_result"] == "done" && job["next_run_at"].is_string()
}

#[tokio::test]
async fn jobs_say_when_they_ran_and_run_when_asked() {
    let world = World::start().await;
    let root = root(&world);
    let (root, deadline) = (&root, Duration::from_secs(30));
    until("the first sweep ends", deadline, || async {
        has_ended(&sweep(root).await)
    })
    .await;
    let first = sweep(root).await;
    assert_eq!(first["every_s"], 3600);
    assert_eq!(first["running"], false);

    let run = "/admin/jobs/sweep/run";
    ask(root, "POST", run).await.must_be(202);
    let before = &first["last_run_at"];
    until("it runs again", deadline, || async {
        let job = sweep(root).await;
        has_ended(&job) && job["last_run_at"] != *before
    })
    .await;
    let lines = parts(root, "/admin/audit?action=job.run", 10).await;
    assert_eq!((lines.len(), &lines[0]["subject"]), (1, &json!("sweep")));
    let unknown = ask(root, "POST", "/admin/jobs/weep/run").await;
    unknown.must_be(404);
    ask(root, "GET", run).await.must_be(405);
}

#[tokio::test]
async fn invitations_are_listed_and_withdrawn() {
    let setup = Setup::default().env("COFFER_ACCOUNTS_REGISTRATION", "invitation");
    let world = setup.start().await;
    let root = root(&world);
    let mut codes = Vec::new();
    for _ in 0..3 {
        let made = ask(&root, "POST", "/invitations").await.must_be(201);
        assert!(
            made.header("location")
                .ends_with(made.json()["id"].as_str().unwrap())
        );
        codes.push(made.json()["code"].clone());
    }
    let listed = parts(&root, "/invitations", 2).await;
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|one| one.get("code").is_none()));
    assert_eq!(listed[0]["created_by"]["username"], "root");
    let all: Vec<String> = listed
        .iter()
        .map(|one| format!("/invitations/{}", one["id"].as_str().unwrap()))
        .collect();
    for path in &all {
        ask(&world.alice(), "DELETE", path).await.must_be(403);
        ask(&root, "DELETE", path).await.must_be(204);
        ask(&root, "DELETE", path).await.must_be(404);
    }
    for code in codes {
        let mut body = newcomer("carol");
        body["invitation"] = code;
        register(&world, body).await.must_be(403);
    }
    for seconds in [0, 400 * 86_400] {
        let body = json!({ "valid_for_s": seconds });
        send(&root, "POST", "/invitations", body).await.must_be(422);
    }
}

/// "ID, EMAIL, USERNAME, PASSWORD (the hash), SPACE (bytes used), CREATE (time), ACCESS."
#[tokio::test]
async fn a10_a_view_of_the_database_shows_the_accounts() {
    let world = World::start().await;
    world.alice().put("/a.txt", "12345").await.must_be(201);
    let sql = "SELECT email || ' ' || username || ' ' || SUBSTR(password, 1, 10) || ' ' || space \
         || ' ' || access FROM accounts WHERE LENGTH(id) = 16 AND \"create\" > 1700000000000 \
         ORDER BY space DESC, username";
    let expected = "alice@example.org alice $argon2id$ 5 user\n\
         bob@example.org bob $argon2id$ 0 user\n\
         root@example.org root $argon2id$ 0 administrator";
    assert_eq!(world.query(sql), expected);
}

/// "A user can neither see what others store nor learn who the others are."
#[tokio::test]
async fn a6_the_server_is_administered_by_people_who_administer() {
    let world = World::start().await;
    let (root, alice) = (root(&world), world.alice());
    let own = World::admin_user().password;
    let new = json!({ "name": "device", "current_password": own });
    let made = send(&root, "POST", "/me/app-passwords", new).await;
    let secret = made.must_be(201).json()["password"].clone();
    let device = basic(&world.anonymous(), "root", secret.as_str().unwrap());
    for (method, path) in [
        ("GET", "/admin/settings"),
        ("PATCH", "/admin/settings"),
        ("GET", "/admin/audit"),
        ("GET", "/admin/usage"),
        ("GET", "/admin/usage/users"),
        ("GET", "/admin/jobs"),
        ("POST", "/admin/jobs/sweep/run"),
        ("POST", "/admin/jobs/no-such-job/run"),
        ("GET", "/invitations"),
        ("POST", "/invitations"),
        (
            "DELETE",
            "/invitations/01890000-0000-7000-8000-000000000000",
        ),
        ("GET", "/users"),
    ] {
        let with = async |who: &Dav| match method {
            "PATCH" => send(who, method, path, json!({})).await,
            _ => ask(who, method, path).await,
        };
        for who in [&alice, &device] {
            let refused = with(who).await.must_be(403);
            assert_eq!(refused.json()["code"], "forbidden", "{method} {path}");
        }
        with(&world.anonymous()).await.must_be(401);
    }
    // Rights are those of now, not those of the log-in.
    let second = json!({
        "username": "second", "password": "second has a password", "access": "administrator",
    });
    send(&root, "POST", "/users", second).await.must_be(201);
    let second = basic(&world.anonymous(), "second", "second has a password");
    ask(&second, "GET", "/admin/audit").await.must_be(200);
    let path = format!("/users/{}", id_of(&second).await);
    let demote = json!({ "access": "user" });
    send(&root, "PATCH", &path, demote).await.must_be(200);
    ask(&second, "GET", "/admin/audit").await.must_be(403);
    ask(&second, "GET", "/admin/jobs").await.must_be(403);
}
