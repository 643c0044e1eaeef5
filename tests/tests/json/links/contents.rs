//! What a link for reading gives: a file, a folder, an archive.

use harness::{Program, World, noise};
use serde_json::{Value, json};

use super::{BROWSER, assert_keeps_secret, browse, done, get, make, post_form};
use crate::phrase::{send, store};

/// "Public links": a file for anyone who has the link, and for nobody else.
#[tokio::test]
async fn d8_a_link_gives_a_file_to_people_and_to_programs() {
    let world = World::start().await;
    let (alice, anyone) = (world.alice(), world.anonymous());
    let content = noise(1, 300_000);
    let name = "gr\u{fc}\u{df}e <b>.html";
    store(&alice, &format!("/docs/{name}"), content.clone())
        .await
        .must_be(201);
    let new = json!({ "path": format!("/docs/{name}"), "label": "for Eve" });
    let (link, url) = make(&alice, new).await;
    assert!(
        link["token"].as_str().unwrap().len() >= 26,
        "128 bits at least"
    );
    assert_eq!(link["kind"], "read");
    assert_eq!(link["has_password"], false);
    assert_eq!(link["path"], format!("/docs/{name}"));

    let whole = get(&anyone, &url).await.must_be(200);
    assert!(whole == content);
    assert_keeps_secret(&whole);
    assert!(
        whole
            .header("content-disposition")
            .starts_with("attachment; "),
        "{whole:?}"
    );
    assert!(
        whole
            .header("content-security-policy")
            .starts_with("sandbox"),
        "{whole:?}"
    );
    assert_eq!(whole.header("content-type"), "text/html; charset=utf-8");
    let etag = whole.etag();
    let part = anyone
        .request_at("GET", &url)
        .header("Range", "bytes=10-19");
    assert!(part.send().await.must_be(206) == content[10..20].to_vec());
    let beyond = anyone
        .request_at("GET", &url)
        .header("Range", "bytes=300000-");
    beyond.send().await.must_be(416);
    let known = anyone
        .request_at("GET", &url)
        .header("If-None-Match", &etag);
    known.send().await.must_be(304);
    let head = anyone.request_at("HEAD", &url).send().await.must_be(200);
    assert_eq!(head.header("content-length"), "300000");
    assert_eq!(head.etag(), etag);
    assert_eq!(done(&alice, &link).await, 1, "one whole download so far");
    let rest = anyone.request_at("GET", &url).header("Range", "bytes=20-");
    rest.send().await.must_be(206);
    assert_eq!(done(&alice, &link).await, 2, "the last byte is what counts");

    let page = browse(&anyone, &url).await.must_be(200).text();
    assert!(page.contains("gr\u{fc}\u{df}e &lt;b&gt;.html"), "{page}");
    assert!(!page.contains("<b>") && !page.contains("docs"), "{page}");
    assert!(page.contains("300.0 kB"), "{page}");
    let button = format!("href=\"{url}?download=file\"");
    assert!(page.contains(&button), "{page}");
    let downloaded = anyone.request_at("GET", &format!("{url}?download=file"));
    let downloaded = downloaded.header("Accept", BROWSER).send().await;
    assert!(downloaded.must_be(200) == content);

    // It leads to the file and not beyond it, and gives nothing but reading.
    for below in ["/x", "/../docs", "/%2e%2e/docs", "/..%2f..", "//x"] {
        get(&anyone, &format!("{url}{below}")).await.must_be(404);
    }
    let put = anyone
        .request_at("PUT", &format!("{url}/new.txt"))
        .body("x");
    put.send().await.must_be(403);
    post_form(&anyone, &url, "*/*", &[("a", b"x")])
        .await
        .must_be(403);
    for method in ["DELETE", "PROPFIND", "MKCOL"] {
        let refused = anyone.request_at(method, &url).send().await;
        refused.must_be_one_of(&[404, 405]);
    }
    // Moved and rewritten, it is still the same file.
    let to = json!({ "path": "/moved.txt" });
    let from = format!("/files/{}", link["file_id"].as_str().unwrap());
    send(&alice, "PATCH", &from, to).await.must_be(200);
    store(&alice, "/moved.txt", "new").await.must_be(200);
    let moved = get(&anyone, &url).await.must_be(200);
    assert_eq!(moved.header("content-type"), "text/plain; charset=utf-8");
    assert!(moved == "new");
}

/// "Folders list and download as zip."
#[tokio::test]
async fn d8_people_walk_through_a_folder() {
    let world = World::start().await;
    let (alice, anyone) = (world.alice(), world.anonymous());
    for (path, content) in [
        ("/top/a b.txt", "one"),
        ("/top/sub/deep/c.txt", "two"),
        ("/secret.txt", "no"),
    ] {
        store(&alice, path, content).await.must_be(201);
    }
    let (_, url) = make(&alice, json!({ "path": "/top" })).await;
    let page = browse(&anyone, &url).await.must_be(200).text();
    for href in [
        format!("{url}?download=zip"),
        format!("{url}/a%20b.txt"),
        format!("{url}/sub/"),
    ] {
        assert!(
            page.contains(&format!("href=\"{href}\"")),
            "{href} in {page}"
        );
    }
    let sub = browse(&anyone, &format!("{url}/sub/"))
        .await
        .must_be(200)
        .text();
    assert!(sub.contains(&format!("href=\"{url}\"")), "{sub}");
    assert!(sub.contains(&format!("href=\"{url}/sub/deep/\"")), "{sub}");
    // A file in it is sent to browsers too.
    let file = anyone.request_at("GET", &format!("{url}/sub/deep/c.txt"));
    let file = file.header("Accept", BROWSER).send().await.must_be(200);
    assert!(file == "two");
    assert!(
        file.header("content-disposition")
            .starts_with("attachment; filename=\"c.txt\"")
    );
    for outside in [
        "/secret.txt",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/sub/../../secret.txt",
        "/none/",
    ] {
        // The client resolves dots itself, and then it is no link any more.
        get(&anyone, &format!("{url}{outside}")).await.must_be(404);
    }
}

#[tokio::test]
async fn d8_programs_list_a_folder_in_parts() {
    let world = World::start().await;
    let (alice, anyone) = (world.alice(), world.anonymous());
    for path in ["/top/a b.txt", "/top/sub/deep/c.txt"] {
        store(&alice, path, "content").await.must_be(201);
    }
    let (_, url) = make(&alice, json!({ "path": "/top" })).await;
    let json_of = async |target: &str| {
        let request = anyone
            .request_at("GET", target)
            .header("Accept", "application/json");
        request.send().await.must_be(200).json()
    };
    let listed = json_of(&url).await;
    assert_eq!(listed["name"], "top");
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|item| {
                format!(
                    "{} {}",
                    item["kind"].as_str().unwrap(),
                    item["name"].as_str().unwrap()
                )
            })
            .collect()
    };
    assert_eq!(names(&listed), ["file a b.txt", "folder sub"]);
    let first = json_of(&format!("{url}?limit=1")).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = json_of(&format!("{url}?limit=1&cursor={cursor}")).await;
    assert_eq!(
        (names(&first), names(&second)),
        (
            vec!["file a b.txt".to_owned()],
            vec!["folder sub".to_owned()]
        )
    );
    assert!(second["next_cursor"].is_null());
    let short = browse(&anyone, &format!("{url}?limit=1"))
        .await
        .must_be(200)
        .text();
    assert!(short.contains(&format!("{url}?cursor={cursor}")), "{short}");
}

#[tokio::test]
async fn d8_a_folder_comes_as_an_archive() {
    let world = World::start().await;
    let (alice, anyone) = (world.alice(), world.anonymous());
    for path in ["/top/a b.txt", "/top/sub/deep/c.txt"] {
        store(&alice, path, "content").await.must_be(201);
    }
    let (link, url) = make(&alice, json!({ "path": "/top" })).await;
    let before = done(&alice, &link).await;
    let zip = get(&anyone, &format!("{url}?download=zip"))
        .await
        .must_be(200);
    assert_eq!(zip.header("content-type"), "application/zip");
    assert!(
        zip.header("content-disposition")
            .contains("filename=\"top.zip\"")
    );
    assert_keeps_secret(&zip);
    let path = world.scratch().join("top.zip");
    std::fs::write(&path, &zip.body).unwrap();
    let listed = Program::new("unzip")
        .arg("-Z1")
        .arg(&path)
        .run()
        .await
        .success()
        .stdout;
    let mut listed: Vec<&str> = listed.lines().collect();
    listed.sort_unstable();
    assert_eq!(listed, ["a b.txt", "sub/", "sub/deep/", "sub/deep/c.txt"]);
    assert_eq!(
        done(&alice, &link).await,
        before + 1,
        "an archive counts as one"
    );
    let sub = get(&anyone, &format!("{url}/sub/?download=zip"))
        .await
        .must_be(200);
    assert!(
        sub.header("content-disposition")
            .contains("filename=\"sub.zip\"")
    );
}
