//! A folder as one archive, opened by the programs of others.

use std::collections::BTreeMap;

use harness::{Program, World, noise, sha256_hex};

use crate::phrase::{ask, by_path, send, store};

/// Prints each entry's name with the SHA-256 of its content, all checksums being compared.
const LIST: &str = "
import hashlib, json, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
assert archive.testzip() is None
print(json.dumps({entry.filename: hashlib.sha256(archive.read(entry)).hexdigest()
                  for entry in archive.infolist()}))
";

/// "Folder as zip stream (names safe)."
#[tokio::test]
async fn b5_a_folder_comes_as_an_archive_that_others_can_open() {
    let world = World::start().await;
    let alice = world.alice();
    let files: [(&str, Vec<u8>); 6] = [
        ("a.txt", b"one".to_vec()),
        ("empty", Vec::new()),
        ("large.bin", noise(7, 9_000_000)),
        ("middle.bin", noise(8, 100_000)),
        ("sub/deep/\u{1f980} gr\u{fc}\u{df}e.txt", b"two".to_vec()),
        ("up\\..\\.txt", b"three".to_vec()),
    ];
    let mut expected = BTreeMap::new();
    for (path, content) in &files {
        let path = path.replace('\\', "\u{ff3c}");
        expected.insert(path, sha256_hex(content));
    }
    for folder in ["none/", "sub/", "sub/deep/"] {
        expected.insert(folder.to_owned(), sha256_hex(b""));
    }
    for (path, content) in &files {
        let path = format!("/my files/{path}");
        store(&alice, &path, content.clone()).await.must_be(201);
    }
    let none = serde_json::json!({ "path": "/my files/none" });
    send(&alice, "POST", "/dirs", none).await.must_be(201);

    let list = ask(&alice, "GET", &by_path("", "/my files")).await;
    let list = list.must_be(200).json();
    let id = list["folder"]["id"].as_str().unwrap();
    for address in [by_path("/zip", "/my files"), format!("/files/{id}/zip")] {
        let answer = ask(&alice, "GET", &address).await.must_be(200);
        assert_eq!(answer.header("content-type"), "application/zip");
        let disposition = answer.header("content-disposition");
        assert!(
            disposition.contains("filename=\"my files.zip\""),
            "{disposition}"
        );
        let path = world.scratch().join("archive.zip");
        std::fs::write(&path, &answer.body).unwrap();
        let listed = Program::new("python3").args(["-c", LIST]).arg(&path);
        let listed = listed.run().await.success().stdout;
        let found: BTreeMap<String, String> = serde_json::from_str(&listed).unwrap();
        assert_eq!(found, expected);
        let tested = Program::new("unzip").arg("-t").arg(&path).run().await;
        tested.success();
    }
    ask(&alice, "HEAD", &by_path("/zip", "/my files"))
        .await
        .must_be(200);
    let file = ask(&alice, "GET", &by_path("/zip", "/my files/a.txt")).await;
    assert_eq!(file.must_be(409).json()["code"], "not_folder");
    ask(&world.bob(), "GET", &format!("/files/{id}/zip"))
        .await
        .must_be(404);
}

#[tokio::test]
async fn an_archive_of_many_files_holds_each_once() {
    let world = World::start().await;
    let alice = world.alice();
    for number in 0..30 {
        let path = format!("/f/{}/{number}.txt", number % 3);
        store(&alice, &path, format!("{number}")).await.must_be(201);
    }
    // More than what is read at a time.
    for doubling in 0..6 {
        let from = by_path("/copy", "/f");
        let to = serde_json::json!({ "path": format!("/copy{doubling}") });
        send(&alice, "POST", &from, to).await.must_be(201);
        let into = serde_json::json!({ "path": format!("/f/copy{doubling}") });
        let from = by_path("", &format!("/copy{doubling}"));
        send(&alice, "PATCH", &from, into).await.must_be(200);
    }
    let answer = ask(&alice, "GET", &by_path("/zip", "/")).await.must_be(200);
    let path = world.scratch().join("archive.zip");
    std::fs::write(&path, &answer.body).unwrap();
    let listed = Program::new("python3").args(["-c", LIST]).arg(&path);
    let listed = listed.run().await.success().stdout;
    let found: BTreeMap<String, String> = serde_json::from_str(&listed).unwrap();
    let files = found.keys().filter(|name| !name.ends_with('/')).count();
    assert_eq!(files, 30 * 64);
}
