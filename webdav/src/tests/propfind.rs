use futures_util::future::join_all;
use http::StatusCode;
use http_body_util::BodyExt as _;
use store::{Condition, NewLock, Path, Property, PropertyChange};

use super::{Answer, Drive};
use crate::grammar::multistatus_read::{Multistatus, read};
use crate::grammar::namespace::OWNCLOUD;
use crate::grammar::xml::{Limits, Name};

fn multistatus(answer: &Answer) -> Multistatus {
    assert_eq!(answer.status, StatusCode::MULTI_STATUS, "{answer:?}");
    read(&answer.body, Limits::ANSWER).unwrap()
}

fn hrefs(answer: &Answer) -> Vec<String> {
    let responses = multistatus(answer).responses;
    responses
        .iter()
        .map(|response| response.href().to_owned())
        .collect()
}

fn prop(names: &str) -> Vec<u8> {
    format!("<D:propfind xmlns:D='DAV:' xmlns:o='{OWNCLOUD}'><D:prop>{names}</D:prop></D:propfind>")
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_says_what_the_file_is() {
    let drive = Drive::new().await;
    drive.folder("/a & b").await;
    let put = drive.ask(
        "PUT",
        "/dav/a%20%26%20b/%C3%BC.txt",
        &[("x-oc-mtime", "784111777")],
        b"hello",
    );
    let put = put.await;
    let answer = drive
        .ask("PROPFIND", "/dav/a%20%26%20b", &[("depth", "1")], b"")
        .await;
    assert_eq!(
        hrefs(&answer),
        ["/dav/a%20%26%20b/", "/dav/a%20%26%20b/%C3%BC.txt"]
    );
    let responses = multistatus(&answer).responses;
    let text = |at: usize, name| {
        Some(
            responses[at]
                .property(&Name::dav(name))?
                .text()
                .into_owned(),
        )
    };
    assert_eq!(text(1, "getetag").unwrap(), put.field("etag"));
    assert_eq!(text(1, "getcontentlength").unwrap(), "5");
    assert_eq!(
        text(1, "getlastmodified").unwrap(),
        "Sun, 06 Nov 1994 08:49:37 GMT"
    );
    assert_eq!(
        text(1, "getcontenttype").unwrap(),
        "text/plain; charset=utf-8"
    );
    assert_eq!(text(1, "displayname").unwrap(), "ü.txt");
    assert_eq!(text(1, "resourcetype").unwrap(), "");
    assert_eq!(text(0, "displayname").unwrap(), "a & b");
    assert_eq!(text(0, "getcontentlength"), None);
    let kind = responses[0].property(&Name::dav("resourcetype")).unwrap();
    assert!(kind.dav_child("collection").is_some());
    // Explorer gives up on listings of a megabyte.
    let bytes = answer.body.len() - answer.text().rfind("<D:response>").unwrap();
    assert!(bytes < 620, "{bytes}: {}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_and_not_there_is_reported_missing() {
    let drive = Drive::new().await;
    drive.put("/dav/a", b"hello").await;
    let names = "<D:getetag/><D:quota-used-bytes/><x xmlns='urn:x'/><o:checksums/><o:permissions/>";
    let answer = drive
        .ask("PROPFIND", "/dav/a", &[("depth", "0")], &prop(names))
        .await;
    let responses = multistatus(&answer).responses;
    let checksums = responses[0]
        .property(&Name::new(OWNCLOUD, "checksums"))
        .unwrap();
    let sha256 = "SHA256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(checksums.elements().next().unwrap().text(), sha256);
    let missing = &responses[0].propstats[1];
    assert_eq!(missing.status, 404);
    let missing: Vec<_> = missing
        .properties
        .iter()
        .map(|p| p.name.to_string())
        .collect();
    assert_eq!(missing, ["{DAV:}quota-used-bytes", "{urn:x}x"]);

    let only_missing = drive
        .ask("PROPFIND", "/dav/a", &[], &prop("<x xmlns='urn:x'/>"))
        .await;
    let propstats = &multistatus(&only_missing).responses[0].propstats;
    assert_eq!((propstats.len(), propstats[0].status), (1, 404));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn depth_means_what_clients_mean_by_it() {
    let drive = Drive::new().await;
    drive.folder("/f").await;
    drive.put("/dav/f/a", b"").await;
    let ask = async |path, depth: &[(&str, &str)]| drive.ask("PROPFIND", path, depth, b"").await;
    assert_eq!(hrefs(&ask("/dav/f", &[("depth", "0")]).await), ["/dav/f/"]);
    assert_eq!(hrefs(&ask("/dav/f/", &[]).await), ["/dav/f/", "/dav/f/a"]);
    assert_eq!(hrefs(&ask("/dav/f/a", &[]).await), ["/dav/f/a"]);
    assert_eq!(
        hrefs(&ask("/dav/f/a", &[("depth", "1")]).await),
        ["/dav/f/a"]
    );
    let aliased = ask("/remote.php/dav/files/alice/f", &[("depth", "1")]).await;
    assert_eq!(hrefs(&aliased)[1], "/remote.php/dav/files/alice/f/a");
    let infinite = ask("/dav/f", &[("depth", "infinity")]).await;
    assert_eq!(infinite.status, StatusCode::FORBIDDEN);
    assert!(infinite.text().contains("<D:propfind-finite-depth/>"));
    assert_eq!(
        ask("/dav/f", &[("depth", "2")]).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(ask("/dav/x", &[]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_bounded_and_checked() {
    let drive = Drive::new().await;
    let ask = async |body: &[u8]| drive.ask("PROPFIND", "/dav/", &[], body).await.status;
    assert_eq!(ask(b"<a").await, StatusCode::BAD_REQUEST);
    assert_eq!(ask(b"<a/>").await, StatusCode::BAD_REQUEST);
    assert_eq!(
        ask(&vec![b' '; 65_537]).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let bomb = b"<!DOCTYPE a [<!ENTITY x 'y'>]><propfind xmlns='DAV:'><allprop/></propfind>";
    assert_eq!(ask(bomb).await, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_of_several_pages_is_whole_and_costs_a_statement_each() {
    const MEMBERS: usize = 5000;
    let drive = Drive::new().await;
    drive.folder("/f").await;
    join_all((0..MEMBERS).map(async |n| drive.folder(&format!("/f/{n:05}")).await)).await;
    let answer = drive
        .ask("PROPFIND", "/dav/f", &[("depth", "1")], b"")
        .await;
    let warm = drive
        .ask("PROPFIND", "/dav/f", &[("depth", "1")], b"")
        .await;
    assert_eq!(warm.statements, 1, "the first page is remembered");
    assert_eq!(warm.body, answer.body);
    let found = hrefs(&answer);
    assert_eq!(found.len(), MEMBERS + 1);
    assert_eq!(found[MEMBERS], "/dav/f/04999/");

    let request = http::Request::builder().method("PROPFIND").uri("/dav/f");
    let request = request
        .body(http_body_util::Full::new(bytes::Bytes::new()))
        .unwrap();
    let mut body = drive.dav.handle(&drive.caller, request).await.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.len() < 100_000, "{}", first.len());
    // Whoever loses the database in the middle must not see an end.
    let database = rusqlite::Connection::open(drive.data.path().join("coffer.db")).unwrap();
    let rename = "ALTER TABLE entry RENAME TO gone";
    database.execute(rename, []).unwrap();
    let mut end = None;
    while let Some(frame) = body.frame().await {
        end = Some(frame.is_ok());
    }
    assert_eq!(end, Some(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_that_is_made_long_by_the_question_is_never_whole_in_memory() {
    const MEMBERS: usize = 20;
    let drive = Drive::new().await;
    drive.folder("/f").await;
    for n in 0..MEMBERS {
        drive.folder(&format!("/f/{n}")).await;
    }
    let names: Vec<_> = (0..250).map(|n| format!("<x:a{n}/>")).collect();
    let names = names.concat();
    let namespace = "u".repeat(1024);
    let ask = async |body: &[u8]| drive.ask("PROPFIND", "/dav/f", &[], body).await;
    let question = |namespace: &str| {
        format!(
            "<D:propfind xmlns:D='DAV:'><D:prop xmlns:x='{namespace}'>{names}</D:prop></D:propfind>"
        )
    };
    let too_long = question(&"u".repeat(1025));
    assert_eq!(
        ask(too_long.as_bytes()).await.status,
        StatusCode::BAD_REQUEST
    );

    let request = http::Request::builder().method("PROPFIND").uri("/dav/f");
    let body = bytes::Bytes::from(question(&namespace));
    let request = request.body(http_body_util::Full::new(body)).unwrap();
    let mut body = drive.dav.handle(&drive.caller, request).await.into_body();
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.unwrap().into_data().unwrap();
        assert!(frame.len() < 3 << 19, "{}", frame.len());
        whole.extend_from_slice(&frame);
    }
    assert!(whole.len() > MEMBERS * 250 * 1024, "{}", whole.len());
    assert_eq!(
        read(&whole, Limits::ANSWER).unwrap().responses.len(),
        MEMBERS + 1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_properties_cost_a_statement_only_where_there_are_any() {
    let drive = Drive::new().await;
    for name in ["a", "b"] {
        drive.put(&format!("/dav/{name}"), b"").await;
    }
    let ask = async |body: &[u8]| {
        drive
            .ask("PROPFIND", "/dav/", &[("depth", "1")], body)
            .await
    };
    ask(b"").await;
    assert_eq!(ask(b"").await.statements, 0);
    let set = PropertyChange::Set(Property {
        namespace: "urn:x".to_owned(),
        name: "colour".to_owned(),
        value: "<colour xmlns=\"urn:x\">blue</colour>".to_owned(),
    });
    let path = Path::parse("a").unwrap();
    let changed =
        drive
            .store
            .change_properties(&drive.caller, &path, vec![set], Condition::default());
    changed.await.unwrap();
    let colour = Name::new("urn:x", "colour");
    ask(b"").await;
    let answer = ask(b"").await;
    assert_eq!(answer.statements, 1);
    let responses = multistatus(&answer).responses;
    assert_eq!(responses[1].property(&colour).unwrap().text(), "blue");
    assert!(responses[2].property(&colour).is_none());
    let answer = ask(&prop("<colour xmlns='urn:x'/>")).await;
    let responses = multistatus(&answer).responses;
    assert_eq!(responses[1].property(&colour).unwrap().text(), "blue");
    assert_eq!(responses[2].propstats[0].status, 404);
    assert_eq!(ask(&prop("<D:getetag/>")).await.statements, 0);
    let names = ask(b"<propfind xmlns='DAV:'><propname/></propfind>").await;
    let responses = multistatus(&names).responses;
    assert_eq!(responses[1].property(&colour).unwrap().text(), "");
    assert!(responses[1].property(&Name::dav("getetag")).is_some());
    assert!(
        responses[1]
            .property(&Name::dav("quota-used-bytes"))
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_dead_properties_are_read_as_they_are_sent() {
    let drive = Drive::new().await;
    drive.folder("/f").await;
    for number in 0..5 {
        let path = format!("/f/{number}");
        drive.put(&format!("/dav{path}"), b"").await;
        let set = |name: String, bytes| {
            let text = "v".repeat(bytes);
            PropertyChange::Set(Property {
                namespace: "urn:x".to_owned(),
                value: format!("<{name} xmlns=\"urn:x\">{text}</{name}>"),
                name,
            })
        };
        let large = (0..20).map(|n| set(format!("large{n}"), 30_000));
        let changes = large.chain([set("small".to_owned(), 1)]).collect();
        let (path, condition) = (Path::parse(&path).unwrap(), Condition::default());
        let changed = drive
            .store
            .change_properties(&drive.caller, &path, changes, condition);
        changed.await.unwrap();
    }
    let small = prop("<small xmlns='urn:x'/>");
    let sync = |prop: &str| {
        format!(
            "<D:sync-collection xmlns:D='DAV:'><D:sync-token/><D:sync-level>infinite\
             </D:sync-level><D:prop>{prop}</D:prop></D:sync-collection>"
        )
        .into_bytes()
    };
    let large = "<large0 xmlns='urn:x'/><large19 xmlns='urn:x'/>";
    for (method, body, name, statements) in [
        ("PROPFIND", Vec::new(), "large19", 4),
        ("PROPFIND", small, "small", 2),
        ("REPORT", sync("<small xmlns='urn:x'/>"), "small", 2),
        ("REPORT", sync(large), "large19", 2),
    ] {
        drive.ask(method, "/dav/f", &[], &body).await;
        let answer = drive.ask(method, "/dav/f", &[], &body).await;
        assert!(
            answer.statements <= statements + 1,
            "{method} {name} {}",
            answer.statements
        );
        let responses = multistatus(&answer).responses;
        let files = responses
            .iter()
            .filter(|response| !response.href().ends_with('/'));
        let name = Name::new("urn:x", name);
        let shown: Vec<_> = files.map(|file| file.property(&name).is_some()).collect();
        assert_eq!(shown, [true; 5]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_folder_shows_the_quota_of_the_drive_except_to_those_who_stall_over_it() {
    let hide = |options: &mut crate::DavOptions| options.hide_quota_from.push("WebDAVFS".into());
    let drive = Drive::with(hide).await;
    drive.folder("/f").await;
    drive.put("/dav/a", &[0; 1000]).await;
    let body = prop("<D:quota-used-bytes/><D:quota-available-bytes/>");
    for path in ["/dav/", "/dav/f", "/"] {
        let answer = drive.ask("PROPFIND", path, &[("depth", "0")], &body).await;
        let found = multistatus(&answer).responses;
        let text = |name| {
            found[0]
                .property(&Name::dav(name))
                .unwrap()
                .text()
                .into_owned()
        };
        assert_eq!(text("quota-used-bytes"), "1000");
        assert_eq!(text("quota-available-bytes"), "99999000");
    }
    let agent = [("depth", "0"), ("user-agent", "WebDAVFS/3.0.0 (03008000)")];
    let answer = drive.ask("PROPFIND", "/dav/", &agent, &body).await;
    assert_eq!(multistatus(&answer).responses[0].propstats[0].status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_are_shown_where_they_cover() {
    let drive = Drive::new().await;
    drive.folder("/f g").await;
    drive.put("/dav/f%20g/a", b"").await;
    drive.put("/dav/b", b"").await;
    let new = NewLock {
        token: "urn:uuid:1".to_owned(),
        is_exclusive: true,
        is_deep: true,
        owner_xml: Some("<owner xmlns=\"DAV:\">me</owner>".to_owned()),
        timeout_s: 600,
    };
    let path = Path::parse("/f g").unwrap();
    let locked = drive
        .store
        .lock(&drive.caller, &path, new, Condition::default());
    locked.await.unwrap();
    let question = prop("<D:lockdiscovery/>");
    let discovery = async |path: &str| {
        let answer = drive
            .ask("PROPFIND", path, &[("depth", "0")], &question)
            .await;
        let found = multistatus(&answer).responses;
        found[0]
            .property(&Name::dav("lockdiscovery"))
            .unwrap()
            .clone()
    };
    for path in ["/dav/f%20g/a", "/dav/f%20g/"] {
        let found = discovery(path).await;
        let lock = found.dav_child("activelock").unwrap();
        let root = lock
            .dav_child("lockroot")
            .unwrap()
            .dav_child("href")
            .unwrap();
        assert_eq!(root.text(), "/dav/f%20g/");
        assert_eq!(lock.dav_child("depth").unwrap().text(), "infinity");
        assert_eq!(lock.dav_child("owner").unwrap().text(), "me");
        let token = lock.dav_child("locktoken").unwrap();
        assert_eq!(token.dav_child("href").unwrap().text(), "urn:uuid:1");
    }
    assert!(discovery("/dav/b").await.dav_child("activelock").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_parents_of_a_share_are_collections_that_lead_to_it() {
    let drive = Drive::new().await;
    let ask = async |path: &str| drive.ask("PROPFIND", path, &[("depth", "1")], b"").await;
    assert_eq!(hrefs(&ask("/").await), ["/", "/dav/"]);
    let aliases = ["/remote.php/", "/remote.php/dav/", "/remote.php/webdav/"];
    assert_eq!(hrefs(&ask("/remote.php").await), aliases);
    assert_eq!(
        hrefs(&ask("/remote.php/dav/files/").await),
        ["/remote.php/dav/files/", "/remote.php/dav/files/alice/"]
    );
    let page = drive.ask("GET", "/", &[], b"").await;
    assert!(page.text().contains("<a href=\"/dav/\">dav/</a>"));
    let options = drive.ask("OPTIONS", "/", &[], b"").await;
    assert_eq!(
        options.field("dav"),
        "1, 2, 3, bind, sync-collection, sabredav-partialupdate, coffer-attributes"
    );
    assert_eq!(options.field("ms-author-via"), "DAV");
    for method in ["DELETE", "PUT", "MKCOL", "LOCK", "MOVE"] {
        let answer = drive.ask(method, "/", &[], b"").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.field("allow"), "OPTIONS, GET, HEAD, PROPFIND");
    }
}

/// Names are counted for each file once, not for each of its names.
#[tokio::test]
async fn many_names_of_few_files_are_counted_in_few_statements() {
    let mut drive = Drive::new().await;
    drive.ask("MKCOL", "/dav/s", &[], b"").await;
    for file in ["/dav/s/f", "/dav/s/g"] {
        drive.put(file, b"one").await;
    }
    for number in 0..30 {
        let file = ["f", "g"][number % 2];
        let body = format!(
            "<D:bind xmlns:D='DAV:'><D:segment>{number:02}</D:segment>\
             <D:href>/dav/s/{file}</D:href></D:bind>"
        );
        let bound = drive.ask("BIND", "/dav/s", &[], body.as_bytes()).await;
        assert_eq!(bound.status, StatusCode::CREATED, "{bound:?}");
    }
    drive.caller.root = drive.node("/s").await.unwrap().id;
    drive.caller.whole_drive = false;
    let prop = "<D:prop><p:links xmlns:p='urn:coffer:posix'/></D:prop>";
    let listing = format!("<D:propfind xmlns:D='DAV:'>{prop}</D:propfind>");
    let report = format!(
        "<D:sync-collection xmlns:D='DAV:'><D:sync-token/><D:sync-level>1</D:sync-level>\
         {prop}</D:sync-collection>"
    );
    for (method, depth, body) in [("PROPFIND", "1", listing), ("REPORT", "0", report)] {
        let fields = [("depth", depth)];
        let answer = drive.ask(method, "/dav/", &fields, body.as_bytes()).await;
        let told = answer.text().matches("<p:links>16</p:links>").count();
        assert_eq!(told, 32, "{answer:?}");
        assert!(answer.statements < 10, "{method}: {}", answer.statements);
    }
}
