//! Windows Explorer, that is the WebClient service: the requests it is known to send.

use harness::{Dav, World};

use crate::phrase::{EXCLUSIVE, lock_token};

const AGENT: (&str, &str) = ("User-Agent", "Microsoft-WebDAV-MiniRedir/10.0.22631");
const TRANSLATE: (&str, &str) = ("translate", "f");

async fn drop_file(alice: &Dav, path: &str, content: &str) {
    let send = |method: &str| alice.request(method, path).headers(&[AGENT, TRANSLATE]);
    send("PROPFIND")
        .header("Depth", "0")
        .body("")
        .send()
        .await
        .must_be(404);
    send("PUT").body("").send().await.must_be(201);
    let lock = send("LOCK").header("Timeout", "Second-3600").xml(EXCLUSIVE);
    let lock = lock.send().await.must_be(200);
    let token = lock_token(&lock);
    let held = format!("(<{token}>)");
    let times = "<Z:Win32CreationTime>Sun, 04 Feb 2001 04:05:06 GMT</Z:Win32CreationTime>\
        <Z:Win32LastAccessTime>Sun, 04 Feb 2001 04:05:06 GMT</Z:Win32LastAccessTime>\
        <Z:Win32LastModifiedTime>Sun, 04 Feb 2001 04:05:06 GMT</Z:Win32LastModifiedTime>\
        <Z:Win32FileAttributes>00000020</Z:Win32FileAttributes>";
    let update = format!(
        "<D:propertyupdate xmlns:D=\"DAV:\" xmlns:Z=\"urn:schemas-microsoft-com:\"><D:set><D:prop>\
         {times}</D:prop></D:set></D:propertyupdate>"
    );
    let set_times = || send("PROPPATCH").header("If", &held).xml(&update);
    let names = [
        "CreationTime",
        "LastAccessTime",
        "LastModifiedTime",
        "FileAttributes",
    ];
    let patched = set_times().send().await.multistatus();
    for name in names {
        let name = format!("{{urn:schemas-microsoft-com:}}Win32{name}");
        assert_eq!(patched.only().status_of(&name), 200, "{name}: {patched:?}");
    }
    send("HEAD").send().await.must_be(200);
    let put = send("PUT").header("If", &held).body(content.to_owned());
    put.send().await.must_be(204);
    set_times().send().await.must_be(207);
    let unlock = send("UNLOCK").header("Lock-Token", &format!("<{token}>"));
    unlock.send().await.must_be(204);
}

#[tokio::test]
async fn connecting_finds_a_drive_at_every_parent() {
    let world = World::start().await;
    let (alice, nobody) = (world.alice(), world.anonymous());
    for target in ["/", "/dav", "/dav/"] {
        let asked = nobody
            .request_at("OPTIONS", target)
            .header("User-Agent", "DavClnt");
        asked
            .headers(&[TRANSLATE])
            .send()
            .await
            .must_be_one_of(&[200, 401]);
        let found = alice
            .request_at("OPTIONS", target)
            .headers(&[AGENT, TRANSLATE]);
        let found = found.send().await.must_be(200);
        assert!(found.header("dav").contains("1, 2"), "{found:?}");
        assert_eq!(found.header("ms-author-via"), "DAV");
        // Nothing can be locked above the drive.
        let words: &[&str] = if target == "/" {
            &["PROPFIND"]
        } else {
            &["PROPFIND", "LOCK"]
        };
        for word in words {
            assert!(found.header("allow").contains(word), "{found:?}");
        }
        let asked = nobody.request_at("PROPFIND", target).header("Depth", "0");
        asked.send().await.must_be(401);
        // The body is empty and there is no trailing slash: no redirect may follow.
        for depth in ["0", "1"] {
            let asked = alice.request_at("PROPFIND", target).header("Depth", depth);
            let listing = asked
                .headers(&[AGENT, TRANSLATE])
                .body("")
                .send()
                .await
                .multistatus();
            assert!(
                listing.responses[0].is_collection(),
                "{target}: {listing:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_dropped_file_arrives_with_its_content_and_its_times() {
    let world = World::start().await;
    let alice = world.alice();
    drop_file(&alice, "/Neues Dokument.txt", "content").await;
    assert_eq!(alice.get("/Neues Dokument.txt").await, "content");
    let found = alice
        .propfind("/Neues Dokument.txt", "0")
        .await
        .multistatus();
    let found = found.only();
    assert_eq!(
        found.dav("getlastmodified"),
        Some("Sun, 04 Feb 2001 04:05:06 GMT")
    );
    assert_eq!(found.dav("getcontentlength"), Some("7"));
    let created = found.dav("creationdate").unwrap_or_default();
    assert!(
        created.starts_with("20") && created.ends_with('Z'),
        "{created}"
    );
}

#[tokio::test]
async fn a_dropped_file_is_not_left_locked() {
    let world = World::start().await;
    let alice = world.alice();
    drop_file(&alice, "/a.txt", "one").await;
    alice.put("/a.txt", "two").await.must_be(204);
    alice.delete("/a.txt").await.must_be(204);
}

#[tokio::test]
async fn renaming_in_case_only_works() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/report.txt", "report").await.must_be(201);
    let rename = alice
        .request("MOVE", "/report.txt")
        .headers(&[AGENT, TRANSLATE]);
    let rename = rename
        .header("Destination", &alice.url("/Report.txt"))
        .header("Overwrite", "F");
    rename.send().await.must_be(201);
    assert_eq!(alice.names("/").await, ["Report.txt"]);
}

#[tokio::test]
async fn names_that_windows_cannot_make_do_not_spoil_a_listing() {
    let world = World::start().await;
    let alice = world.alice();
    let names = [
        "CON",
        "NUL.txt",
        "a:b",
        "star*",
        "pipe|",
        "back\\slash",
        "dot.",
        "space ",
    ];
    for name in names {
        alice.put(&format!("/{name}"), name).await.must_be(201);
    }
    let listed = alice.names("/").await;
    for name in names {
        assert!(
            listed.iter().any(|other| other == name),
            "{name}: {listed:?}"
        );
    }
}

#[tokio::test]
async fn probes_for_files_of_the_shell_are_answered_404() {
    let world = World::start().await;
    for name in ["desktop.ini", "Thumbs.db", "AutoRun.inf", "folder.jpg"] {
        let probe = world.alice().request("PROPFIND", &format!("/{name}"));
        probe
            .headers(&[AGENT, TRANSLATE, ("Depth", "0")])
            .send()
            .await
            .must_be(404);
    }
}

#[tokio::test]
async fn fifteen_hundred_entries_fit_into_the_megabyte_that_explorer_reads() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/many").await.must_be(201);
    for number in 0..1500 {
        let path = format!("/many/Report of {number:04}.pdf");
        alice.put(&path, "x").await.must_be(201);
    }
    let listing = alice
        .request("PROPFIND", "/many")
        .headers(&[AGENT, TRANSLATE, ("Depth", "1")]);
    let listing = listing.body("").send().await.must_be(207);
    assert!(
        listing.body.len() < 1_000_000,
        "{} bytes",
        listing.body.len()
    );
    assert_eq!(listing.multistatus().responses.len(), 1501);
}

#[tokio::test]
async fn free_space_is_told_for_the_drive_and_for_folders() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/folder").await.must_be(201);
    alice.put("/folder/a.txt", "12345").await.must_be(201);
    let names = "<D:quota-available-bytes/><D:quota-used-bytes/>";
    let mut told = Vec::new();
    for path in ["/", "/folder"] {
        let found = alice.propfind_of(path, "0", names).await.multistatus();
        let found = found.only();
        assert_eq!(found.dav("quota-used-bytes"), Some("5"), "{path}");
        told.push(found.dav("quota-available-bytes").map(str::to_owned));
    }
    assert!(told[0].is_some() && told[0] == told[1], "{told:?}");
}
