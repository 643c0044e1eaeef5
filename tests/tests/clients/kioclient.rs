//! KDE Dolphin's way to a drive: kio, spoken to through `kioclient`.
//!
//! kio asks for a password in a dialog, and nobody is there to answer one; so a proxy between the
//! two adds the credential, which also puts a host that is not the server's into `Destination`.

use std::path::Path;
use std::time::Duration;

use harness::{Program, Steps, Wire, World, encode_path, noise};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::local::{Local, Scale, reported, same};

/// `$1` is the drive, `$2` how many files `many` has.
const SCRIPT: &str = r#"
step() {
    local name=$1; shift
    if "$@" >"out" 2>"err"; then echo "ok $name"; else echo "FAILED $name: $(tail -n 3 err | tr '\n' ' ')"; fi
}
is() {
    if [ "$2" = "$3" ]; then echo "ok $1"; else echo "FAILED $1: got '$2', expected '$3'"; fi
}
kio() { kioclient5 --noninteractive "$@"; }
drive=$1
step "upload the folder" kio copy "file://$PWD/tree" "$drive/tree"
is "list many" "$(kio ls "$drive/tree/many" | grep -c txt)" "$2"
is "list" "$(kio ls "$drive/tree" | grep -v -x -F . | sed '/^$/d' | sort)" "$(ls -A tree | sort)"
step "download the folder" kio copy "$drive/tree" "file://$PWD/got"
step compare diff -r tree got
step overwrite kio --overwrite copy "file://$PWD/new.bin" "$drive/tree/a+b.txt"
step rename kio move "$drive/tree/a+b.txt" "$drive/tree/moved.txt"
step "rename in case only" kio move "$drive/tree/moved.txt" "$drive/tree/MOVED.txt"
step copy kio copy "$drive/tree/MOVED.txt" "$drive/tree/copied.txt"
kio cat "$drive/tree/copied.txt" >copied
step "read the copy" cmp copied new.bin
clash() { ! kio move "$drive/tree/MOVED.txt" "$drive/tree/copied.txt"; }
step "a rename does not overwrite" clash
step "rename a folder" kio move "$drive/tree/deep" "$drive/tree/deeper"
step "rename it back" kio move "$drive/tree/deeper" "$drive/tree/deep"
step stat kio stat "$drive/tree/copied.txt"
step remove kio remove "$drive/tree/copied.txt"
"#;

#[tokio::test]
async fn a_session_over_http() {
    let world = World::start().await;
    let local = Local::new(&world, Scale::FULL);
    let content = noise(6, 80_000);
    local.file("new.bin", &content);
    let dav = world.alice();
    let mut steps = Steps::new("kioclient");
    let runtime = local.path("runtime");
    std::fs::create_dir_all(&runtime).expect("our own folder can be written");
    let drive = proxy(&world).await;

    let output = Program::new("dbus-run-session")
        .args(["--", "bash", "-c", SCRIPT, "kio", &drive])
        .arg(local.scale.many.to_string())
        .dir(local.path(""))
        .env("HOME", local.path(""))
        .env("XDG_RUNTIME_DIR", &runtime)
        .env("QT_QPA_PLATFORM", "offscreen")
        .deadline(Duration::from_mins(5))
        .run()
        .await;
    reported(&mut steps, &output);
    let moved = dav.get("/tree/MOVED.txt").await;
    steps.check("content after all", moved == content, moved);
    dav.delete("/tree/MOVED.txt").await.must_be(204);
    std::fs::remove_file(local.tree().join("a+b.txt")).expect("our own folder can be written");
    same(
        &mut steps,
        "the rest is as uploaded",
        &dav,
        &local.tree(),
        "/tree",
    )
    .await;
    upload_by_url(&mut steps, &world, &local.path("new.bin")).await;
    steps.finish();
}

/// Special names once more, spelled as the URLs that Dolphin makes of them.
async fn upload_by_url(steps: &mut Steps, world: &World, file: &Path) {
    let drive = proxy(world).await;
    for name in ["hash#tag.bin", "100%.bin", "question?.bin"] {
        let output = Program::new("dbus-run-session")
            .args(["--", "kioclient5", "--noninteractive", "copy"])
            .arg(format!("file://{}", file.display()))
            .arg(format!("{drive}/{}", encode_path(name)))
            .env("QT_QPA_PLATFORM", "offscreen")
            .run()
            .await;
        steps.check(name, output.succeeded(), &output);
        steps.equal(
            name,
            world.alice().head(&format!("/{name}")).await.status(),
            200,
        );
    }
}

/// Serves the drive on another port, with alice's credential added to each request.
///
/// One connection carries one request, so only its head has to be understood.
async fn proxy(world: &World) -> String {
    let alice = World::alice_user();
    let added = format!(
        "Connection: close\r\nAuthorization: {}\r\n\r\n",
        Wire::basic(&alice.name, &alice.password)
    );
    let server = world.address().trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("there is a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(forward(client, server.clone(), added.clone()));
        }
    });
    format!("webdav://127.0.0.1:{port}/dav")
}

async fn forward(mut client: TcpStream, server: String, added: String) -> Option<()> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if client.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let mut head = String::new();
    for line in String::from_utf8_lossy(&read[..end]).split("\r\n") {
        if !line.to_ascii_lowercase().starts_with("connection:") {
            head.push_str(line);
            head.push_str("\r\n");
        }
    }
    head.push_str(&added);
    let mut server = TcpStream::connect(server).await.ok()?;
    server.write_all(head.as_bytes()).await.ok()?;
    server.write_all(&read[end + 4..]).await.ok()?;
    copy_bidirectional(&mut client, &mut server).await.ok()?;
    Some(())
}
