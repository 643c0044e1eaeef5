use std::collections::BTreeMap;

use crate::testing::{Answer, Drive};

struct Sync {
    token: String,
    /// Path → whether something is there.
    told: BTreeMap<String, bool>,
    is_truncated: bool,
    results: usize,
}

async fn ask(drive: &Drive, path: &str, token: &str, level: &str, limit: usize) -> Answer {
    let limit = match limit {
        0 => String::new(),
        limit => format!("<limit><nresults>{limit}</nresults></limit>"),
    };
    let body = format!(
        "<sync-collection xmlns='DAV:'><sync-token>{token}</sync-token>\
         <sync-level>{level}</sync-level>{limit}<prop><getetag/><displayname/></prop>\
         </sync-collection>"
    );
    drive.send("REPORT", path, &[("depth", "0")], &body).await
}

async fn sync(drive: &Drive, path: &str, token: &str, level: &str, limit: usize) -> Sync {
    let answer = ask(drive, path, token, level, limit).await;
    assert_eq!(answer.status, 207, "{}", answer.body);
    let mut sync = Sync {
        token: answer
            .between("<D:sync-token>", "</D:sync-token>")
            .to_owned(),
        told: BTreeMap::new(),
        is_truncated: false,
        results: 0,
    };
    for response in answer.body.split("<D:response>").skip(1) {
        let (_, href) = response.split_once("<D:href>").unwrap();
        let (href, rest) = href.split_once("</D:href>").unwrap();
        if rest.contains("HTTP/1.1 507") {
            assert!(rest.contains("number-of-matches-within-limits"));
            sync.is_truncated = true;
            continue;
        }
        let is_there = rest.contains("HTTP/1.1 200");
        assert_ne!(is_there, rest.contains("HTTP/1.1 404"), "{response}");
        let earlier = sync.told.insert(href.to_owned(), is_there);
        assert_eq!(earlier, None, "{href} is told twice");
        sync.results += 1;
    }
    assert!(limit == 0 || sync.results <= limit);
    sync
}

/// Follows the tokens until an answer is complete.
async fn sync_all(drive: &Drive, token: &str, limit: usize) -> Sync {
    let mut all = sync(drive, "/dav/", token, "infinite", limit).await;
    while all.is_truncated {
        let next = sync(drive, "/dav/", &all.token, "infinite", limit).await;
        assert_ne!(next.token, all.token, "no progress");
        all.told.extend(next.told);
        all.token = next.token;
        all.is_truncated = next.is_truncated;
    }
    all
}

fn told(sync: &Sync) -> Vec<(&str, bool)> {
    let told = sync.told.iter();
    told.map(|(path, is_there)| (path.as_str(), *is_there))
        .collect()
}

async fn forest() -> Drive {
    let drive = Drive::new().await;
    for folder in ["/a", "/a/b", "/a/b/c", "/d", "/e"] {
        drive.folder(folder).await;
    }
    for file in ["/a/1", "/a/b/2", "/a/b/c/3", "/a/b/c/4", "/d/5 #", "/z"] {
        drive.file(file, file).await;
    }
    drive
}

#[tokio::test]
async fn a_client_without_a_token_is_told_everything() {
    let drive = forest().await;
    let all = sync(&drive, "/dav/", "", "infinite", 0).await;
    assert_eq!(all.results, 11);
    assert!(all.told["/dav/a/b/c/"] && all.told["/dav/d/5%20%23"]);
    for limit in 1..13 {
        let pieces = sync_all(&drive, "", limit).await;
        assert_eq!(pieces.told, all.told, "{limit} at a time");
    }
    let direct = sync(&drive, "/dav/a", "", "1", 0).await;
    assert_eq!(told(&direct), [("/dav/a/1", true), ("/dav/a/b/", true)]);
    let nothing = sync(&drive, "/dav/", &all.token, "infinite", 0).await;
    assert_eq!((nothing.results, nothing.token), (0, all.token));
}

#[tokio::test]
async fn what_came_and_went_is_told_once() {
    let drive = forest().await;
    let start = sync(&drive, "/dav/", "", "infinite", 0).await.token;
    drive.file("/z", "changed").await;
    drive.file("/new", "x").await;
    drive.file("/new", "y").await;
    drive.send("DELETE", "/dav/a/b", &[], "").await;
    drive.file("/passing", "x").await;
    drive.send("DELETE", "/dav/passing", &[], "").await;
    let changes = sync(&drive, "/dav/", &start, "infinite", 0).await;
    assert!(changes.told["/dav/new"] && changes.told["/dav/z"]);
    assert!(!changes.told["/dav/a/b"] && !changes.told["/dav/passing"]);
    assert!(!changes.told.contains_key("/dav/a/b/2"));
    for limit in 1..6 {
        let pieces = sync_all(&drive, &start, limit).await;
        for (path, is_there) in &changes.told {
            assert_eq!(pieces.told.get(path), Some(is_there), "{path}");
        }
    }
    let below = sync(&drive, "/dav/a", &start, "infinite", 0).await;
    assert_eq!(told(&below), [("/dav/a/b", false)]);
}

#[tokio::test]
async fn a_tree_that_arrives_is_told_with_its_members() {
    let drive = forest().await;
    let start = sync(&drive, "/dav/", "", "infinite", 0).await.token;
    drive
        .send("MOVE", "/dav/a", &[("destination", "/dav/e/a")], "")
        .await;
    drive.file("/e/a/b/later", "x").await;
    drive.send("DELETE", "/dav/e/a/1", &[], "").await;
    let changes = sync(&drive, "/dav/", &start, "infinite", 0).await;
    let present: Vec<_> = told(&changes).into_iter().filter(|(_, is)| *is).collect();
    let expected = [
        "/dav/e/a/",
        "/dav/e/a/b/",
        "/dav/e/a/b/2",
        "/dav/e/a/b/c/",
        "/dav/e/a/b/c/3",
        "/dav/e/a/b/c/4",
        "/dav/e/a/b/later",
    ];
    assert_eq!(present, expected.map(|path| (path, true)));
    assert!(!changes.told["/dav/a"] && !changes.told["/dav/e/a/1"]);
    for limit in 1..9 {
        let pieces = sync_all(&drive, &start, limit).await;
        for (path, is_there) in &changes.told {
            assert_eq!(
                pieces.told.get(path),
                Some(is_there),
                "{path}, {limit} at a time"
            );
        }
    }
    let direct = sync(&drive, "/dav/e", &start, "1", 0).await;
    assert_eq!(told(&direct), [("/dav/e/a/", true)]);
}

#[tokio::test]
async fn a_tree_that_replaces_another_tells_what_is_gone_and_what_is_new() {
    let drive = forest().await;
    drive.file("/e/1", "other").await;
    drive.file("/e/9", "gone soon").await;
    let start = sync(&drive, "/dav/", "", "infinite", 0).await.token;
    drive
        .send("COPY", "/dav/a", &[("destination", "/dav/e")], "")
        .await;
    // Otherwise a client would keep what the folder held before.
    let gone = sync(&drive, "/dav/", &start, "infinite", 0).await;
    assert_eq!(told(&gone), [("/dav/e", false)]);
    assert!(gone.is_truncated, "what took its place comes next");
    let new = sync(&drive, "/dav/", &gone.token, "infinite", 0).await;
    assert!(new.told["/dav/e/"] && new.told["/dav/e/1"] && new.told["/dav/e/b/2"]);
    assert!(!new.told.contains_key("/dav/e/9"));
}

#[tokio::test]
async fn a_listing_goes_on_although_its_place_is_gone() {
    let drive = forest().await;
    let first = sync(&drive, "/dav/", "", "infinite", 4).await;
    assert!(first.is_truncated && first.told.contains_key("/dav/a/b/2"));
    drive.send("DELETE", "/dav/a", &[], "").await;
    let mut told = first.told;
    let rest = sync_all(&drive, &first.token, 4).await;
    told.extend(rest.told);
    assert!(!told["/dav/a"], "the history has it");
    assert!(told["/dav/d/5%20%23"] && told["/dav/e/"] && told["/dav/z"]);
}

#[tokio::test]
async fn names_are_told_as_listings_show_them() {
    let drive = Drive::new().await;
    let start = sync(&drive, "/dav/", "", "infinite", 0).await.token;
    drive.folder("/u\u{308}").await;
    drive.file("/u\u{308}/o\u{308}", "x").await;
    for token in ["", &start] {
        let changes = sync(&drive, "/dav/", token, "infinite", 0).await;
        let decomposed = [("/dav/u%CC%88/", true), ("/dav/u%CC%88/o%CC%88", true)];
        assert_eq!(told(&changes), decomposed);
    }
}

#[tokio::test]
async fn tokens_that_are_not_ours_or_too_old_are_refused() {
    let drive = forest().await;
    let other = Drive::new().await;
    let token = sync(&drive, "/dav/", "", "infinite", 0).await.token;
    let foreign = sync(&other, "/dav/", "", "infinite", 0).await.token;
    let future = format!("{token}9");
    for token in [foreign.as_str(), "7", "urn:x", &future] {
        let refused = ask(&drive, "/dav/", token, "infinite", 0).await;
        assert_eq!(refused.status, 403, "{token}");
        assert!(refused.body.contains("valid-sync-token"));
    }
    drive.file("/new", "x").await;
    drive.clock.advance_s(31 * 86_400);
    drive.file("/newer", "x").await;
    drive.store.purge_changes().await.unwrap();
    let refused = ask(&drive, "/dav/", &token, "infinite", 0).await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("valid-sync-token"));
}

#[tokio::test]
async fn other_questions_are_refused() {
    let drive = forest().await;
    let send = async |path: &str, headers: &[(&str, &str)], body: &str| {
        drive.send("REPORT", path, headers, body).await
    };
    let good = "<sync-collection xmlns='DAV:'><sync-token/><sync-level>1</sync-level><prop/>\
        </sync-collection>";
    let unknown = send("/dav/", &[], "<expand-property xmlns='DAV:'/>").await;
    assert_eq!(unknown.status, 403);
    assert!(unknown.body.contains("supported-report"));
    let file = send("/dav/z", &[], good).await;
    assert_eq!(file.status, 403);
    assert!(file.body.contains("supported-report"));
    assert_eq!(send("/dav/none", &[], good).await.status, 404);
    assert_eq!(send("/dav/", &[("depth", "1")], good).await.status, 400);
    assert_eq!(send("/dav/", &[], "").await.status, 400);
    assert_eq!(send("/dav/", &[], good).await.status, 207);
}

#[tokio::test]
async fn a_long_listing_is_sent_while_it_is_made() {
    let drive = Drive::new().await;
    drive.folder("/many").await;
    for number in 0..300 {
        let name = format!("{number:03}-{}", "x".repeat(200));
        drive.folder(&format!("/many/{name}")).await;
    }
    let all = sync(&drive, "/dav/", "", "infinite", 0).await;
    assert_eq!(all.results, 301);
}
