//! Microsoft Office and LibreOffice, opening and saving straight on the drive.

use harness::World;

use crate::phrase::{EXCLUSIVE, lock_token};

#[tokio::test]
async fn microsoft_office_opens_edits_and_saves() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/report.docx", "first").await.must_be(201);
    let send = |method: &str, path: &str| {
        let agent = "Microsoft Office Word 2014";
        alice.request(method, path).header("User-Agent", agent)
    };
    let agent = "Microsoft Office Protocol Discovery";
    let found = alice
        .request("OPTIONS", "/")
        .header("User-Agent", agent)
        .send()
        .await;
    let found = found.must_be(200);
    assert_eq!(found.header("ms-author-via"), "DAV");
    assert!(found.header("dav").contains('2'), "{found:?}");
    let agent = "Microsoft Office Existence Discovery";
    let exists = alice
        .request("HEAD", "/report.docx")
        .header("User-Agent", agent)
        .send()
        .await;
    let exists = exists.must_be(200);
    assert_eq!(exists.header("content-length"), "5");
    assert!(!exists.header("last-modified").is_empty());

    let lock = send("LOCK", "/report.docx")
        .header("Timeout", "Second-3600")
        .xml(EXCLUSIVE);
    let lock = lock.send().await.must_be(200);
    let token = lock_token(&lock);
    let held = format!("(<{token}>)");
    // A 304 opens the document read-only: the answer must be whole and say so.
    let opened = send("GET", "/report.docx").send().await.must_be(200);
    assert!(
        opened.header("cache-control").contains("no-cache"),
        "{opened:?}"
    );
    let refresh = send("LOCK", "/report.docx").header("If", &held);
    refresh
        .header("Timeout", "Second-3600")
        .send()
        .await
        .must_be(200);
    send("PUT", "/~$report.docx")
        .body("owner")
        .send()
        .await
        .must_be(201);
    let save = send("PUT", "/report.docx")
        .header("If", &held)
        .body("second");
    save.send().await.must_be(204);
    // Some builds of Office 2016 submit the token in this header only.
    let save = send("PUT", "/report.docx").header("Lock-Token", &format!("<{token}>"));
    save.body("third").send().await.must_be(204);
    send("PUT", "/report.docx")
        .body("no token")
        .send()
        .await
        .must_be(423);
    send("DELETE", "/~$report.docx").send().await.must_be(204);
    let unlock = send("UNLOCK", "/report.docx").header("Lock-Token", &format!("<{token}>"));
    unlock.send().await.must_be(204);
    assert_eq!(alice.get("/report.docx").await, "third");
}

#[tokio::test]
async fn a_refresh_without_a_lock_is_refused_and_leaves_none() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.docx", "one").await.must_be(201);
    // Office sends this as its first LOCK when it believes in a lock from before.
    let token = "(<urn:uuid:00000000-0000-0000-0000-000000000000>)";
    let refresh = alice.request("LOCK", "/a.docx").header("If", token);
    refresh
        .header("Timeout", "Second-3600")
        .send()
        .await
        .must_be(412);
    alice.put("/a.docx", "two").await.must_be(204);
}

#[tokio::test]
async fn libreoffice_opens_refreshes_and_saves() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/letter.odt", "first").await.must_be(201);
    let asked = "<D:supportedlock/><D:resourcetype/><D:lockdiscovery/>";
    let found = alice
        .propfind_of("/letter.odt", "0", asked)
        .await
        .multistatus();
    let supported = found.only().property("{DAV:}supportedlock").unwrap();
    assert!(
        supported
            .elements
            .iter()
            .any(|name| name == "{DAV:}exclusive"),
        "{found:?}"
    );
    // LibreOffice writes DAV: as the default namespace and its user as plain text.
    let body = "<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope>\
        <locktype><write/></locktype><owner>Alice Example</owner></lockinfo>";
    let lock = alice
        .request("LOCK", "/letter.odt")
        .header("Timeout", "Second-180")
        .xml(body);
    let lock = lock.send().await.must_be(200);
    let token = lock_token(&lock);
    let held = format!("(<{token}>)");
    assert!(lock.text().contains("Alice Example"), "{lock:?}");
    let refresh = alice.request("LOCK", "/letter.odt").header("If", &held);
    refresh
        .header("Timeout", "Second-180")
        .send()
        .await
        .must_be(200);
    let save = alice
        .request("PUT", "/letter.odt")
        .header("If", &held)
        .body("second");
    save.send().await.must_be(204);
    alice.unlock("/letter.odt", &token).await.must_be(204);
    assert_eq!(alice.get("/letter.odt").await, "second");
}

#[tokio::test]
async fn libreoffice_saves_a_new_document_by_locking_its_name_first() {
    let world = World::start().await;
    let alice = world.alice();
    let lock = alice.lock("/new.odt").await.must_be(201);
    let token = lock_token(&lock);
    let save = alice
        .request("PUT", "/new.odt")
        .header("If", &format!("(<{token}>)"));
    save.body("content")
        .send()
        .await
        .must_be_one_of(&[201, 204]);
    alice.unlock("/new.odt", &token).await.must_be(204);
    assert_eq!(alice.get("/new.odt").await, "content");
}
