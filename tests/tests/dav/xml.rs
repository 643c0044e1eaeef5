//! XML bodies: every honest spelling is read, and nothing that could hurt.

use std::time::Duration;

use harness::{Answer, Dav, World};

use crate::phrase::authorization;

async fn propfind(alice: &Dav, body: impl Into<bytes::Bytes>) -> Answer {
    let asked = alice.request("PROPFIND", "/").header("Depth", "0");
    asked
        .header("Content-Type", "application/xml")
        .body(body)
        .send()
        .await
}

#[tokio::test]
async fn every_spelling_of_the_namespace_is_read() {
    let world = World::start().await;
    let alice = world.alice();
    for body in [
        "<propfind xmlns='DAV:'><prop><resourcetype/></prop></propfind>",
        "<D:propfind xmlns:D='DAV:'><D:prop><D:resourcetype/></D:prop></D:propfind>",
        "<ns0:propfind xmlns:ns0='DAV:'><x:prop xmlns:x='DAV:'><resourcetype xmlns='DAV:'/>\
         </x:prop></ns0:propfind>",
        "\u{feff}<?xml version='1.0' encoding='UTF-8'?>\n<!-- a comment -->\
         <propfind xmlns='DAV:'>\n\t<prop>\r\n<resourcetype></resourcetype> </prop></propfind>\n",
        "<?xml version='1.0'?><?target data?><a:propfind xmlns:a='DAV:' xmlns:b='urn:b'>\
         <b:unknown/><a:prop><a:resourcetype/></a:prop></a:propfind>",
    ] {
        let found = propfind(&alice, body).await.multistatus();
        assert!(found.only().is_collection(), "{body}");
    }
}

#[tokio::test]
async fn values_may_be_spelled_with_cdata_and_references() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    let value = "<x:n xmlns:x=\"urn:x\"><![CDATA[<b> & ]]>&#x1f980;&#33;&quot;&apos;</x:n>";
    alice.proppatch("/a.txt", value).await.must_be(207);
    let found = alice.propfind("/a.txt", "0").await.multistatus();
    assert_eq!(
        found.only().property("{urn:x}n").unwrap().text,
        "<b> & \u{1f980}!\"'"
    );
}

#[tokio::test]
async fn broken_bodies_are_refused() {
    let world = World::start().await;
    let alice = world.alice();
    for body in [
        "<",
        "nonsense",
        "<propfind xmlns='DAV:'>",
        "<propfind xmlns='DAV:'></prop>",
        "<D:propfind/>",
        "<propfind xmlns='DAV:'><D:prop/></propfind>",
        "<propfind xmlns='DAV:'/><propfind xmlns='DAV:'/>",
        "<propfind xmlns='DAV:'><prop>&undeclared;</prop></propfind>",
        "<propfind xmlns='DAV:' xmlns='DAV:'><prop/></propfind>",
        "<other xmlns='DAV:'/>",
        "<propfind xmlns='urn:other'><prop/></propfind>",
        "<propfind xmlns='DAV:'><propname/><allprop/></propfind>",
        "<propfind xmlns='DAV:'/>",
        "<propfind xmlns='DAV:'><prop>&#0;</prop></propfind>",
    ] {
        let refused = propfind(&alice, body).await.must_be(400);
        assert!(!refused.body.is_empty(), "says nothing about {body}");
    }
    propfind(
        &alice,
        b"<propfind xmlns='DAV:'>\xff\xfe</propfind>".to_vec(),
    )
    .await
    .must_be_one_of(&[400, 415]);
    propfind(&alice, "<propfind xmlns='DAV:'>\0</propfind>")
        .await
        .must_be(400);
    let utf16: Vec<u8> = "<propfind xmlns='DAV:'><allprop/></propfind>"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    propfind(&alice, utf16).await.must_be_one_of(&[400, 415]);
    let zipped = alice.request("PROPFIND", "/").header("Depth", "0");
    let zipped = zipped
        .header("Content-Encoding", "gzip")
        .body(&b"\x1f\x8b\x08\x00"[..]);
    zipped.send().await.must_be_one_of(&[400, 415]);
}

#[tokio::test]
async fn document_types_and_entities_are_refused_unread() {
    let world = World::start().await;
    let alice = world.alice();
    let laughs: Vec<String> = (1..10)
        .map(|n| {
            let before = format!("&l{};", n - 1).repeat(10);
            format!("<!ENTITY l{n} \"{before}\">")
        })
        .collect();
    let laughs = laughs.concat();
    for doctype in [
        "<!DOCTYPE propfind>".to_owned(),
        "<!DOCTYPE propfind SYSTEM 'http://127.0.0.1:1/x.dtd'>".to_owned(),
        "<!DOCTYPE p [<!ENTITY l9 SYSTEM 'file:///etc/passwd'>]>".to_owned(),
        format!("<!DOCTYPE p [<!ENTITY l0 'lol'>{laughs}]>"),
    ] {
        let entity = if doctype.contains("l9") { "&l9;" } else { "" };
        let document = |root: &str| {
            format!("<?xml version='1.0'?>{doctype}<{root} xmlns='DAV:'>{entity}</{root}>")
        };
        propfind(&alice, document("propfind")).await.must_be(400);
        for (method, root) in [("PROPPATCH", "propertyupdate"), ("LOCK", "lockinfo")] {
            let asked = alice
                .request(method, "/a")
                .header("Content-Type", "text/xml");
            let refused = asked.body(document(root)).send().await;
            refused.must_be_one_of(&[400, 404]);
        }
    }
    assert!(alice.names("/").await.is_empty());
}

#[tokio::test]
async fn deep_and_wide_bodies_are_refused_at_once_and_hurt_nobody() {
    let world = World::start().await;
    let alice = world.alice();
    for depth in [100, 500, 2_000, 10_000] {
        let body = format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        let wrapped = format!("<propfind xmlns='DAV:'><prop>{body}</prop></propfind>");
        for method in ["PROPFIND", "PROPPATCH", "LOCK", "REPORT"] {
            let asked = alice
                .request(method, "/")
                .header("Depth", "0")
                .body(wrapped.clone());
            asked.send().await.must_be_one_of(&[400, 413]);
        }
        propfind(&alice, "<a>".repeat(depth))
            .await
            .must_be_one_of(&[400, 413]);
    }
    let attributes: Vec<String> = (0..5_000).map(|n| format!(" a{n}=''")).collect();
    let attributes = attributes.concat();
    let wide = format!("<propfind xmlns='DAV:'{attributes}><prop/></propfind>");
    propfind(&alice, wide)
        .await
        .must_be_one_of(&[207, 400, 413]);
    let namespaces: Vec<String> = (0..2_000)
        .map(|n| format!(" xmlns:n{n}='urn:{n}'"))
        .collect();
    let namespaces = namespaces.concat();
    let wide = format!("<propfind xmlns='DAV:'{namespaces}><prop/></propfind>");
    propfind(&alice, wide)
        .await
        .must_be_one_of(&[207, 400, 413]);
    let mut long = b"<propfind xmlns='DAV:'><prop>".to_vec();
    long.resize(6_000_000, b' ');
    let asked = alice
        .request("PROPFIND", "/")
        .header("Depth", "0")
        .body(long);
    // The server may close on a body that it does not want; a refusal is not awaited by all.
    if let Ok(refused) = asked.try_send().await {
        refused.must_be_one_of(&[400, 413]);
    }
    let serves = async || alice.propfind("/", "0").await.status() == 207;
    harness::until("the daemon serves on", Duration::from_secs(10), serves).await;
}

#[tokio::test]
async fn a_connection_that_ends_after_a_refusal_says_so() {
    let world = World::start().await;
    let body = " ".repeat(70_000);
    let request = |body: &str| {
        format!(
            "PROPFIND /dav/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\nDepth: 0\r\n\
             Content-Length: {}\r\n\r\n{body}",
            authorization(),
            body.len()
        )
    };
    let mut wire = world.wire().await;
    wire.send(request(&body)).await;
    let refused = wire.answer().await.unwrap().must_be(413);
    // A client that is not told sends its next request into nothing (RFC 9112 §9.6).
    if refused.header("connection") != "close" {
        wire.send(request("")).await;
        wire.answer().await.unwrap().must_be(207);
    }
}

#[tokio::test]
async fn a_fragment_cannot_break_out_of_the_answer() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/]]>&<x y=\"z\">'.txt", "a").await.must_be(201);
    let value = "<x:n xmlns:x=\"urn:x\">&lt;/D:prop&gt;&lt;/D:propstat&gt;]]&gt;</x:n>";
    alice
        .proppatch("/]]>&<x y=\"z\">'.txt", value)
        .await
        .must_be(207);
    let found = alice.propfind("/", "1").await.multistatus();
    assert_eq!(found.responses.len(), 2);
    let kept = found.responses[1].property("{urn:x}n").unwrap();
    assert_eq!(kept.text, "</D:prop></D:propstat>]]>");
}
