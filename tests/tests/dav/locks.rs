//! Locks (RFC 4918 §6, §7, §9.10, §9.11).

use harness::{Answer, Dav, World};

use crate::phrase::{EXCLUSIVE, lock_token};

const SHARED: &str = "<D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:shared/></D:lockscope>\
    <D:locktype><D:write/></D:locktype></D:lockinfo>";

async fn lock_with(alice: &Dav, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    alice
        .request("LOCK", path)
        .headers(headers)
        .xml(body)
        .send()
        .await
}

/// The seconds in the `D:timeout` of a LOCK answer.
#[track_caller]
fn granted_seconds(answer: &Answer) -> u64 {
    let text = answer.text();
    let from = text
        .find("Second-")
        .unwrap_or_else(|| panic!("no finite timeout\n{answer:?}"));
    let digits: String = text[from + 7..]
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().expect("digits make a number")
}

async fn put_with(alice: &Dav, path: &str, condition: &str) -> Answer {
    alice
        .request("PUT", path)
        .header("If", condition)
        .body("written")
        .send()
        .await
}

#[tokio::test]
async fn the_token_is_the_same_in_header_body_and_property() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    let locked = alice.lock("/a.txt").await.must_be(200);
    let token = lock_token(&locked);
    assert!(locked.text().contains(&token), "{locked:?}");
    assert!(
        locked.text().contains("infinity") || locked.text().contains(">0<"),
        "{locked:?}"
    );
    let found = alice.propfind_of("/a.txt", "0", "<D:lockdiscovery/>").await;
    assert!(found.text().contains(&token), "{found:?}");
}

#[tokio::test]
async fn an_infinite_depth_is_written_in_lower_case() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/folder").await.must_be(201);
    let locked = lock_with(&alice, "/folder", &[("Depth", "infinity")], EXCLUSIVE).await;
    assert!(locked.must_be(200).text().contains(">infinity<"));
}

#[tokio::test]
async fn a_lock_keeps_every_write_without_its_token_out() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    alice.put("/b.txt", "b").await.must_be(201);
    let token = lock_token(&alice.lock("/a.txt").await.must_be(200));
    for refused in [
        alice.put("/a.txt", "x").await,
        alice.delete("/a.txt").await,
        alice.rename("/a.txt", "/c.txt").await,
        alice.rename("/b.txt", "/a.txt").await,
        alice.copy("/b.txt", "/a.txt").await,
        alice
            .proppatch("/a.txt", "<x:n xmlns:x=\"urn:x\">1</x:n>")
            .await,
        alice.lock("/a.txt").await,
    ] {
        let refused = refused.must_be(423);
        // RFC 4918 §16 names these two conditions for 423.
        let named = refused.names_condition("lock-token-submitted")
            || refused.names_condition("no-conflicting-lock");
        assert!(named, "{refused:?}");
    }
    assert_eq!(alice.get("/a.txt").await, "a");
    assert_eq!(alice.get("/b.txt").await, "b");
    alice.copy("/a.txt", "/c.txt").await.must_be(201);
    put_with(&alice, "/a.txt", &format!("(<{token}>)"))
        .await
        .must_be(204);
    assert_eq!(alice.get("/a.txt").await, "written");
}

#[tokio::test]
async fn unlock_takes_the_token_with_and_without_angle_brackets() {
    let world = World::start().await;
    let alice = world.alice();
    for brackets in [true, false] {
        let token = lock_token(&alice.lock("/a.txt").await);
        let token = if brackets {
            format!("<{token}>")
        } else {
            token
        };
        let unlock = || {
            alice
                .request("UNLOCK", "/a.txt")
                .header("Lock-Token", &token)
                .send()
        };
        unlock().await.must_be(204);
        alice.put("/a.txt", "free").await.must_be(204);
        // RFC 4918 §9.11.1: 409 lock-token-matches-request-uri.
        unlock().await.must_be(409);
    }
    alice.request("UNLOCK", "/a.txt").send().await.must_be(400);
}

#[tokio::test]
async fn locking_a_missing_name_makes_an_empty_file() {
    let world = World::start().await;
    let alice = world.alice();
    let token = lock_token(&alice.lock("/new.txt").await.must_be(201));
    let made = alice.get("/new.txt").await.must_be(200);
    assert!(made.body.is_empty());
    alice.put("/new.txt", "x").await.must_be(423);
    alice.unlock("/new.txt", &token).await.must_be(204);
    alice.head("/new.txt").await.must_be(200);
    alice.lock("/missing/new.txt").await.must_be(409);
}

#[tokio::test]
async fn a_dead_token_is_refused_on_a_file_that_nobody_has_locked() {
    let world = World::start().await;
    let alice = world.alice();
    let token = lock_token(&alice.lock("/a.txt").await.must_be(201));
    alice.unlock("/a.txt", &token).await.must_be(204);
    put_with(&alice, "/a.txt", &format!("(<{token}>)"))
        .await
        .must_be(412);
    let never = "(<urn:uuid:12345678-1234-1234-1234-123456789012>)";
    put_with(&alice, "/a.txt", never).await.must_be(412);
    let header = alice
        .request("PUT", "/a.txt")
        .header("Lock-Token", &format!("<{token}>"));
    header.body("x").send().await.must_be_one_of(&[204, 412]);
    let deleted = alice
        .request("DELETE", "/a.txt")
        .header("If", never)
        .send()
        .await;
    deleted.must_be(412);
}

#[tokio::test]
async fn a_token_of_another_file_opens_nothing() {
    let world = World::start().await;
    let alice = world.alice();
    lock_token(&alice.lock("/a.txt").await.must_be(201));
    let other = lock_token(&alice.lock("/b.txt").await.must_be(201));
    put_with(&alice, "/a.txt", &format!("(<{other}>)"))
        .await
        .must_be_one_of(&[412, 423]);
    let tagged = format!("<{}> (<{other}>)", alice.url("/b.txt"));
    put_with(&alice, "/a.txt", &tagged).await.must_be(423);
    put_with(&alice, "/a.txt", "(Not <urn:uuid:no>)")
        .await
        .must_be(423);
    alice.unlock("/a.txt", &other).await.must_be(409);
}

#[tokio::test]
async fn a_tagged_list_names_its_resource_by_url_or_by_path() {
    let world = World::start().await;
    let alice = world.alice();
    let token = lock_token(&alice.lock("/a b.txt").await.must_be(201));
    for tag in [
        alice.url("/a b.txt"),
        "/dav/a%20b.txt".to_owned(),
        "https://drive.example.org/dav/a%20b.txt".to_owned(),
    ] {
        put_with(&alice, "/a b.txt", &format!("<{tag}> (<{token}>)"))
            .await
            .must_be(204);
    }
}

#[tokio::test]
async fn every_lock_ends_within_an_hour_and_lasts_a_minute() {
    let world = World::start().await;
    let alice = world.alice();
    for timeout in [
        None,
        Some("Infinite"),
        Some("Second-4100000000"),
        Some("Infinite, Second-4100000000"),
        Some("Second-86400"),
        Some("Second-3600"),
        Some("Second-180"),
        Some("nonsense"),
    ] {
        let headers: Vec<_> = timeout
            .map(|value| ("Timeout", value))
            .into_iter()
            .collect();
        let locked = lock_with(&alice, "/a.txt", &headers, EXCLUSIVE).await;
        let locked = locked.must_be_one_of(&[200, 201]);
        let seconds = granted_seconds(&locked);
        assert!((60..=3600).contains(&seconds), "{timeout:?}: {seconds}");
        if timeout == Some("Second-180") {
            assert_eq!(seconds, 180);
        }
        let token = lock_token(&locked);
        let refresh = alice
            .request("LOCK", "/a.txt")
            .header("If", &format!("(<{token}>)"));
        let refreshed = refresh.send().await.must_be(200);
        assert!(
            (60..=3600).contains(&granted_seconds(&refreshed)),
            "{refreshed:?}"
        );
        alice.unlock("/a.txt", &token).await.must_be(204);
    }
}

#[tokio::test]
async fn moving_a_locked_file_frees_its_name_and_the_file() {
    let world = World::start().await;
    let alice = world.alice();
    let token = lock_token(&alice.lock("/a.txt").await.must_be(201));
    let moved = alice
        .request("MOVE", "/a.txt")
        .header("Destination", "/dav/b.txt");
    moved
        .header("If", &format!("(<{token}>)"))
        .send()
        .await
        .must_be(201);
    // RFC 4918 §7.7: a lock does not move with its resource.
    alice.put("/a.txt", "free").await.must_be(201);
    alice.put("/b.txt", "free").await.must_be(204);
}

#[tokio::test]
async fn deleting_a_locked_file_ends_its_lock() {
    let world = World::start().await;
    let alice = world.alice();
    let token = lock_token(&alice.lock("/a.txt").await.must_be(201));
    let deleted = alice
        .request("DELETE", "/a.txt")
        .header("If", &format!("(<{token}>)"));
    deleted.send().await.must_be(204);
    alice.put("/a.txt", "free").await.must_be(201);
    put_with(&alice, "/a.txt", &format!("(<{token}>)"))
        .await
        .must_be(412);
}

#[tokio::test]
async fn shared_locks_stand_beside_each_other_and_keep_exclusive_ones_out() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    let first = lock_token(&lock_with(&alice, "/a.txt", &[], SHARED).await.must_be(200));
    let second = lock_token(&lock_with(&alice, "/a.txt", &[], SHARED).await.must_be(200));
    assert_ne!(first, second);
    alice.lock("/a.txt").await.must_be(423);
    alice.put("/a.txt", "x").await.must_be(423);
    put_with(&alice, "/a.txt", &format!("(<{first}>)"))
        .await
        .must_be(204);
    alice.unlock("/a.txt", &first).await.must_be(204);
    put_with(&alice, "/a.txt", &format!("(<{second}>)"))
        .await
        .must_be(204);
    alice.unlock("/a.txt", &second).await.must_be(204);
    alice.put("/a.txt", "free").await.must_be(204);
}

#[tokio::test]
async fn a_deep_lock_covers_all_that_is_below_and_that_comes_later() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/folder").await.must_be(201);
    alice.put("/folder/a.txt", "a").await.must_be(201);
    let locked = lock_with(&alice, "/folder", &[("Depth", "infinity")], EXCLUSIVE).await;
    let token = lock_token(&locked.must_be(200));
    alice.put("/folder/a.txt", "x").await.must_be(423);
    alice.put("/folder/new.txt", "x").await.must_be(423);
    alice.mkcol("/folder/new").await.must_be(423);
    alice.lock("/folder/a.txt").await.must_be(423);
    alice.delete("/folder/a.txt").await.must_be(423);
    let held = format!("<{}> (<{token}>)", alice.url("/folder"));
    put_with(&alice, "/folder/new.txt", &held)
        .await
        .must_be(201);
    let found = alice
        .propfind_of("/folder/new.txt", "0", "<D:lockdiscovery/>")
        .await;
    assert!(found.text().contains(&token), "{found:?}");
    alice
        .unlock("/folder/a.txt", &token)
        .await
        .must_be_one_of(&[204, 409]);
}

#[tokio::test]
async fn a_lock_on_a_folder_alone_guards_its_members_names() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/folder").await.must_be(201);
    alice.put("/folder/a.txt", "a").await.must_be(201);
    lock_token(&alice.lock("/folder").await.must_be(200));
    // RFC 4918 §7.4: adding, removing and renaming members needs the token; their content does not.
    alice.put("/folder/new.txt", "x").await.must_be(423);
    alice.mkcol("/folder/new").await.must_be(423);
    alice.delete("/folder/a.txt").await.must_be(423);
    alice.rename("/folder/a.txt", "/b.txt").await.must_be(423);
    alice.put("/folder/a.txt", "changed").await.must_be(204);
}

#[tokio::test]
async fn a_deep_lock_is_refused_over_a_locked_member() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/folder").await.must_be(201);
    lock_token(&alice.lock("/folder/a.txt").await.must_be(201));
    let refused = lock_with(&alice, "/folder", &[("Depth", "infinity")], EXCLUSIVE).await;
    refused.must_be_one_of(&[207, 423]);
    alice.put("/folder/b.txt", "free").await.must_be(201);
    alice.delete("/folder").await.must_be_one_of(&[207, 423]);
    alice.head("/folder/a.txt").await.must_be(200);
}

#[tokio::test]
async fn a_lock_outlives_a_restart() {
    let mut world = World::start().await;
    let token = lock_token(&world.alice().lock("/a.txt").await.must_be(201));
    world.restart().await;
    let alice = world.alice();
    alice.put("/a.txt", "x").await.must_be(423);
    put_with(&alice, "/a.txt", &format!("(<{token}>)"))
        .await
        .must_be(204);
    alice.unlock("/a.txt", &token).await.must_be(204);
}

#[tokio::test]
async fn elements_that_nobody_knows_in_a_lock_request_are_passed_over() {
    let world = World::start().await;
    let body = "<D:lockinfo xmlns:D=\"DAV:\" xmlns:x=\"urn:x\"><x:new/><D:lockscope><D:exclusive/>\
        </D:lockscope><D:locktype><D:write/></D:locktype></D:lockinfo>";
    lock_with(&world.alice(), "/a.txt", &[], body)
        .await
        .must_be(201);
}

#[tokio::test]
async fn lock_requests_that_say_nothing_sensible_are_refused() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    for body in [
        "<D:lockinfo xmlns:D=\"DAV:\"/>",
        "<D:propfind xmlns:D=\"DAV:\"/>",
        "<D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope></D:lockinfo>",
    ] {
        lock_with(&alice, "/a.txt", &[], body)
            .await
            .must_be_one_of(&[400, 422]);
    }
    lock_with(&alice, "/a.txt", &[("Depth", "1")], EXCLUSIVE)
        .await
        .must_be(400);
    alice.request("LOCK", "/a.txt").send().await.must_be(400);
    alice.put("/a.txt", "free").await.must_be(204);
}
