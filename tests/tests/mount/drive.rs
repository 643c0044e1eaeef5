//! The drive that a mount asks, against real servers: ours, and two that know nothing of it.
//!
//! Whatever a server does, the drive must answer alike, or the mount's rules (never overwrite what
//! nobody has seen, never delete a folder with something in it) would hold on ours only.

use std::io::Write;
use std::sync::{Arc, Once};
use std::time::Duration;

use coffer::drive::dav::{ConnectError, DavDrive, Login};
use coffer::drive::{
    Attributes, Condition, Drive, DrivePath, ETag, Error, ExtendedAttributes, Notice, Result,
    Source, SyncToken,
};
use coffer::login::{self, Ended};
use futures_util::StreamExt;
use harness::{Setup, World};
use reqwest::Url;

use crate::elsewhere::Elsewhere;

const PATIENCE: Duration = Duration::from_secs(30);

fn alice() -> Login {
    let user = World::alice_user();
    Login {
        user: user.name,
        password: user.password,
    }
}

fn url(text: &str) -> Url {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Another test of the same process may have done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    Url::parse(text).expect("our own URLs are sound")
}

async fn of(world: &World) -> DavDrive {
    let connected = DavDrive::connect(&url(world.address()), Some(alice()), None).await;
    connected.unwrap_or_else(|error| panic!("{error}"))
}

fn path(text: &str) -> DrivePath {
    let names = text.split('/').filter(|name| !name.is_empty());
    DrivePath::new(names.map(str::to_owned).collect()).expect("our own paths are sound")
}

fn source(bytes: &[u8]) -> Source {
    let mut file = tempfile::tempfile().expect("a temporary file can be made");
    file.write_all(bytes).expect("it can be written");
    Source::new(Arc::new(file), 0..bytes.len() as u64)
}

async fn put(drive: &DavDrive, at: &str, bytes: &[u8], condition: Condition) -> Result<()> {
    let attributes = Attributes::default();
    let at = path(at);
    let put = drive.write(&at, source(bytes), &condition, &attributes);
    put.await.map(drop)
}

async fn tag(drive: &DavDrive, at: &str) -> ETag {
    let found = drive.stat(&path(at)).await.expect("it is there");
    found.etag.expect("every file has a tag")
}

async fn get(
    drive: &DavDrive,
    at: &str,
    etag: Option<&ETag>,
    range: std::ops::Range<u64>,
) -> Result<String> {
    let mut pieces = drive.read(&path(at), etag, range).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(String::from_utf8(bytes).expect("our own text"))
}

macro_rules! fails {
    ($asked:expr, $error:ident) => {{
        let answer = $asked.await;
        assert!(matches!(answer, Err(Error::$error { .. })), "{answer:?}");
    }};
}

/// What every drive does.
async fn keeps_its_promises(drive: &DavDrive) {
    let stale = ETag("\"stale\"".to_owned());
    let none = &Attributes::default();

    // Files.
    let odd = "a b#?%ü&.txt";
    put(drive, odd, b"hello world", Condition::Absent)
        .await
        .unwrap();
    fails!(put(drive, odd, b"x", Condition::Absent), Conflict);
    fails!(
        put(drive, odd, b"x", Condition::Unchanged(stale.clone())),
        Conflict
    );
    fails!(put(drive, "no/x", b"x", Condition::Absent), NoParent);
    let first = tag(drive, odd).await;
    assert_eq!(get(drive, odd, Some(&first), 2..5).await.unwrap(), "llo");
    assert_eq!(get(drive, odd, None, 0..11).await.unwrap(), "hello world");
    fails!(get(drive, odd, Some(&stale), 2..5), Conflict);
    fails!(get(drive, odd, Some(&first), 8..50), Conflict);
    put(drive, odd, b"hello again", Condition::Unchanged(first))
        .await
        .unwrap();
    put(drive, "empty", b"", Condition::Absent).await.unwrap();
    assert_eq!(drive.stat(&path("empty")).await.unwrap().size_bytes, 0);
    fails!(drive.stat(&path("missing")), NotFound);

    // Folders.
    drive.make_folder(&path("f"), none).await.unwrap();
    fails!(drive.make_folder(&path("f"), none), Conflict);
    fails!(drive.make_folder(&path("no/f"), none), NoParent);
    assert!(drive.stat(&path("f")).await.unwrap().is_folder);

    // Moves never replace what was not seen, and never a folder with something in it.
    drive
        .rename(&path(odd), &path("f/x"), None, &Condition::Absent)
        .await
        .unwrap();
    put(drive, "y", b"other", Condition::Absent).await.unwrap();
    let over = |condition: Condition| async move {
        drive
            .rename(&path("y"), &path("f/x"), None, &condition)
            .await
    };
    fails!(over(Condition::Absent), Conflict);
    fails!(over(Condition::Unchanged(stale.clone())), Conflict);
    fails!(
        drive.rename(&path("y"), &path("f"), None, &Condition::Any),
        NotEmpty
    );
    let (source_tag, there) = (tag(drive, "y").await, tag(drive, "f/x").await);
    let condition = Condition::Unchanged(there);
    drive
        .rename(&path("y"), &path("f/x"), Some(&source_tag), &condition)
        .await
        .unwrap();
    assert_eq!(get(drive, "f/x", None, 0..5).await.unwrap(), "other");
    let listing = drive.list(&path("f")).await.unwrap();
    assert_eq!(listing.members.len(), 1);
    assert_eq!(
        (
            listing.itself.name.as_str(),
            listing.members[0].name.as_str()
        ),
        ("f", "x")
    );
    drive
        .rename(&path("f"), &path("g"), None, &Condition::Absent)
        .await
        .unwrap();
    fails!(drive.stat(&path("f")), NotFound);

    // Ends.
    fails!(drive.remove_folder(&path("g")), NotEmpty);
    fails!(drive.remove_file(&path("g/x"), Some(&stale)), Conflict);
    let last = tag(drive, "g/x").await;
    drive.remove_file(&path("g/x"), Some(&last)).await.unwrap();
    drive.remove_folder(&path("g")).await.unwrap();
    fails!(drive.remove_folder(&path("g")), NotFound);
    drive.remove_file(&path("empty"), None).await.unwrap();
    // Nothing is left, neither of this nor of what the drive tried out.
    assert!(
        drive
            .list(&DrivePath::ROOT)
            .await
            .unwrap()
            .members
            .is_empty()
    );
    drive.space().await.unwrap();
}

#[tokio::test]
async fn coffer_keeps_what_a_drive_promises() {
    let world = World::start().await;
    let drive = of(&world).await;
    let can = drive.capabilities();
    assert!(can.strong_etags && can.ranges && can.properties && can.changes && can.notices);
    keeps_its_promises(&drive).await;
}

#[tokio::test]
async fn a_server_that_obeys_no_conditions_keeps_what_a_drive_promises() {
    let server = Elsewhere::rclone().await;
    let drive = DavDrive::connect(&url(server.url()), None, None)
        .await
        .unwrap();
    let can = drive.capabilities();
    assert!(
        !can.strong_etags && !can.properties && can.ranges,
        "{can:?}"
    );
    keeps_its_promises(&drive).await;
    let attributes = mode(0o40_755);
    fails!(
        drive.set_attributes(&DrivePath::ROOT, &attributes, None),
        Unsupported
    );
}

#[tokio::test]
async fn apache_keeps_what_a_drive_promises() {
    let server = Elsewhere::apache().await;
    let drive = DavDrive::connect(&url(server.url()), None, None)
        .await
        .unwrap();
    let can = drive.capabilities();
    assert!(can.strong_etags && can.properties && can.ranges, "{can:?}");
    keeps_its_promises(&drive).await;
    attributes_are_kept(&drive).await;
}

fn mode(mode: u32) -> Attributes {
    Attributes {
        mode: Some(mode),
        ..Attributes::default()
    }
}

async fn attributes_are_kept(drive: &DavDrive) {
    put(drive, "a", b"a", Condition::Absent).await.unwrap();
    let attributes = Attributes {
        target: Some(b"../<&> \xff".to_vec()),
        mtime_ns: Some(1_500_000_000_123_456_789),
        ..mode(0o120_777)
    };
    let xattrs = ExtendedAttributes::from([(b"user.k".to_vec(), b"\0\xff".to_vec())]);
    drive
        .set_attributes(&path("a"), &attributes, Some(&xattrs))
        .await
        .unwrap();
    let found = drive.stat(&path("a")).await.unwrap();
    assert_eq!((&found.attributes, &found.xattrs), (&attributes, &xattrs));
    let none = ExtendedAttributes::new();
    drive
        .set_attributes(&path("a"), &attributes, Some(&none))
        .await
        .unwrap();
    let found = drive.stat(&path("a")).await.unwrap();
    assert_eq!((&found.attributes, &found.xattrs), (&attributes, &none));
}

#[tokio::test]
async fn attributes_are_kept_and_times_are_those_of_the_files() {
    let world = World::start().await;
    let drive = of(&world).await;
    attributes_are_kept(&drive).await;
    let modified_ns = drive.stat(&path("a")).await.unwrap().modified_ns;
    assert_eq!(modified_ns, 1_500_000_000_000_000_000);
    let dated = Attributes {
        mtime_ns: Some(1_400_000_000_000_000_001),
        ..mode(0o100_600)
    };
    let content = source(b"b");
    drive
        .write(&path("b"), content, &Condition::Absent, &dated)
        .await
        .unwrap();
    let found = drive.stat(&path("b")).await.unwrap();
    assert_eq!(found.modified_ns, 1_400_000_000_000_000_000);
    assert_eq!(found.attributes, dated);
    assert!(drive.capabilities().attributes_with_content);
}

#[tokio::test]
async fn parts_of_a_file_are_replaced_and_its_length_is_set() {
    let world = World::start().await;
    let drive = of(&world).await;
    assert!(drive.capabilities().patch);
    put(&drive, "a", b"0123456789", Condition::Absent)
        .await
        .unwrap();
    let whole = source(b"abcdefghijkl");
    let part = |range| Source::new(Arc::clone(&whole.file), range);
    let none = Attributes::default();
    let first = tag(&drive, "a").await;
    let parts = [part(10..12), part(1..3)];
    let stored = drive
        .patch(&path("a"), &parts, 12, &first, &none)
        .await
        .unwrap();
    assert_eq!(get(&drive, "a", None, 0..12).await.unwrap(), "0bc3456789kl");
    assert_eq!(stored.etag, Some(tag(&drive, "a").await));
    fails!(drive.patch(&path("a"), &parts, 12, &first, &none), Conflict);
    let now = tag(&drive, "a").await;
    drive.patch(&path("a"), &[], 2, &now, &none).await.unwrap();
    assert_eq!(get(&drive, "a", None, 0..2).await.unwrap(), "0b");
    assert_eq!(drive.stat(&path("a")).await.unwrap().size_bytes, 2);
}

#[tokio::test]
async fn changes_are_told_in_parts_and_from_where_one_was() {
    let world = World::start().await;
    let drive = of(&world).await;
    put(&drive, "a", b"a", Condition::Absent).await.unwrap();
    drive
        .make_folder(&path("f"), &Attributes::default())
        .await
        .unwrap();
    put(&drive, "f/b", b"b", Condition::Absent).await.unwrap();
    let all = drive.changes(None).await.unwrap();
    assert!(!all.more && all.removed.is_empty());
    let mut paths: Vec<_> = all
        .changed
        .iter()
        .map(|(path, _)| path.to_string())
        .collect();
    paths.sort();
    assert_eq!(paths, ["/a", "/f", "/f/b"]);
    assert!(all.changed.iter().all(|(_, listed)| listed.id.is_some()));
    drive
        .rename(&path("f"), &path("g"), None, &Condition::Absent)
        .await
        .unwrap();
    let since = drive.changes(Some(&all.token)).await.unwrap();
    assert_eq!(since.removed, [path("f")]);
    let mut paths: Vec<_> = since
        .changed
        .iter()
        .map(|(path, _)| path.to_string())
        .collect();
    paths.sort();
    assert_eq!(paths, ["/g", "/g/b"]);
    let unknown = SyncToken("urn:unknown".to_owned());
    fails!(drive.changes(Some(&unknown)), TokenExpired);
}

#[tokio::test]
async fn a_watcher_hears_and_finds_the_server_again() {
    let mut world = World::start().await;
    let drive = of(&world).await;
    let mut notices = drive.watch();
    let mut hears = async |wanted: Notice| {
        let heard = async {
            while let Some(notice) = notices.next().await {
                if notice == wanted {
                    return;
                }
            }
            panic!("no more notices, but not {wanted:?}");
        };
        tokio::time::timeout(PATIENCE, heard)
            .await
            .expect("a notice comes");
    };
    hears(Notice::Connected).await;
    hears(Notice::Space).await;
    put(&drive, "a", b"a", Condition::Absent).await.unwrap();
    hears(Notice::Changed).await;
    world.restart().await;
    hears(Notice::Lost).await;
}

#[tokio::test]
async fn a_log_in_is_an_app_password_that_ends_with_it() {
    let world = World::start().await;
    let base = url(world.address());
    let made = login::make(&base, alice(), None, None, "desk").await;
    let profile = made.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(profile.url.as_str(), world.drive_url());
    assert_ne!(profile.password, alice().password);
    assert!(profile.app_password_id.is_some());
    let connect = || DavDrive::connect(&profile.url, Some(profile.login()), None);
    put(&connect().await.unwrap(), "a", b"a", Condition::Absent)
        .await
        .unwrap();
    // What is one already is kept as it is.
    let again = login::make(&base, profile.login(), None, None, "desk").await;
    let again = again.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        (&again.password, &again.app_password_id),
        (&profile.password, &None)
    );
    assert_eq!(login::end(&profile).await.unwrap(), Ended::Revoked);
    assert!(matches!(
        connect().await,
        Err(ConnectError::LoginRefused { .. })
    ));
    assert_eq!(login::end(&profile).await.unwrap(), Ended::Revoked);
}

#[tokio::test]
async fn what_is_wrong_with_an_address_is_told() {
    let world = Setup::default().tls().start().await;
    let secure = url(world.address());
    let told = async |url: &Url, login| match DavDrive::connect(url, login, None).await {
        Ok(_) => panic!("{url} is a drive"),
        Err(error) => error.to_string(),
    };
    let text = told(&secure, Some(alice())).await;
    assert!(text.contains("--ca-file"), "{text}");
    let plain = World::start().await;
    let mut address = url(plain.address());
    let wrong = Login {
        password: "wrong".to_owned(),
        ..alice()
    };
    let text = told(&address, Some(wrong)).await;
    assert!(text.contains("does not accept"), "{text}");
    let missing = url(&format!("{}missing/", plain.drive_url()));
    let text = told(&missing, Some(alice())).await;
    assert!(text.contains("no WebDAV folder"), "{text}");
    address
        .set_scheme("https")
        .expect("both are of the same kind");
    let text = told(&address, Some(alice())).await;
    assert!(text.contains("try http://"), "{text}");
}

#[tokio::test]
async fn what_has_another_name_is_not_written_over_nor_named_in_place_of_another() {
    let world = World::start().await;
    let drive = of(&world).await;
    put(&drive, "a b", b"one", Condition::Absent).await.unwrap();
    let first = tag(&drive, "a b").await;
    let bind = |to: &'static str, etag: ETag| {
        let drive = &drive;
        async move { drive.bind(&path("a b"), &path(to), Some(&etag)).await }
    };
    fails!(bind("c", ETag("\"stale\"".to_owned())), Conflict);
    fails!(drive.stat(&path("c")), NotFound);
    let alone = Condition::Alone(first.clone());
    put(&drive, "a b", b"two", alone.clone()).await.unwrap();
    fails!(put(&drive, "a b", b"three", alone), Conflict);
    let second = tag(&drive, "a b").await;
    bind("c", second.clone()).await.unwrap();
    let alone = Condition::Alone(second.clone());
    fails!(put(&drive, "a b", b"three", alone), Conflict);
    put(&drive, "a b", b"three", Condition::Unchanged(second))
        .await
        .unwrap();
    assert_eq!(get(&drive, "c", None, 0..5).await.unwrap(), "three");
}
