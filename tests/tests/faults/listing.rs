//! A long listing costs few statements and little memory, and a client that stops reading it holds
//! nothing that others need.

use std::time::{Duration, Instant};

use harness::{Dav, Engine, Multistatus, Wire, World, until};

use crate::drive;
use crate::scale;

const FOLDER: &str = "/big";
/// Long, so that a listing is much longer than the buffers of a connection.
const PREFIX: &str = "a-name-of-some-length-as-cameras-and-office-programs-like-to-give-them-\
                      with-date-and-time-and-place-2026-11-20-";
const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_long_listing_is_read_by_pages_and_holds_nothing_in_between() {
    let files = scale("COFFER_LISTING_FILES", 10_000);
    let world = World::start().await;
    let dav = world.alice();
    dav.mkcol(FOLDER).await.must_be(201);
    drive::fill(&dav, FOLDER, PREFIX, files).await;
    costs_few_statements_and_little_memory(&world, files).await;
    begins_before_the_last_row_is_read(&world, files).await;
    stalled_readers_are_in_nobodys_way(&world).await;
}

async fn costs_few_statements_and_little_memory(world: &World, files: u64) {
    let dav = world.alice();
    // The first listing warms what is cached between requests.
    let mut statements = 0;
    let mut took = Duration::ZERO;
    let before = world.daemon().resident_bytes();
    world.daemon().forget_peak();
    for round in 1..=2 {
        let began = Instant::now();
        let names = dav.names(FOLDER).await;
        took = began.elapsed();
        assert_eq!(names.len() as u64, files);
        until("the request is logged", Duration::from_secs(10), || async {
            propfinds(world).len() == round
        })
        .await;
        statements = propfinds(world)[round - 1];
        let pages = files.div_ceil(PAGE);
        let expected = match (Engine::from_environment(), round) {
            (Engine::Sqlite, 1) => pages,
            // The first page is remembered.
            (Engine::Sqlite, _) => pages - 1,
            // The credential is looked at with each request (P6).
            (Engine::Postgres, _) => pages + 1,
        };
        assert_eq!(statements, expected, "statements for {pages} pages");
    }
    let grown = world.daemon().peak_bytes().saturating_sub(before);
    eprintln!(
        "listing of {files}: {took:?}, {statements} statements, memory grew by {} MiB",
        grown / MIB
    );
    assert!(grown < 64 * MIB, "memory grew by {} MiB", grown / MIB);
}

/// Statements of each finished PROPFIND so far.
fn propfinds(world: &World) -> Vec<u64> {
    let requests = world.requests();
    requests
        .iter()
        .filter(|request| request.method == "PROPFIND")
        .map(|request| request.statements)
        .collect()
}

/// A file that comes, and one that goes, after the first byte was received shows that the rows
/// were not read then.
async fn begins_before_the_last_row_is_read(world: &World, files: u64) {
    let dav = world.alice();
    let mut wire = stalled(world).await;
    let last = format!("{FOLDER}/{PREFIX}{:06}", files - 1);
    put_and_delete(&dav, "zzz", &last).await;
    let answer = wire.answer().await.expect("the listing goes on");
    let listing = Multistatus::parse(&answer.body).expect("a whole listing");
    let hrefs = listing.hrefs();
    assert_eq!(
        hrefs.len() as u64,
        files + 1,
        "the folder, and as many as before"
    );
    assert!(hrefs.iter().any(|href| href.ends_with("/zzz")));
    assert!(!hrefs.iter().any(|href| href.ends_with(&last)));
}

async fn put_and_delete(dav: &Dav, new: &str, old: &str) {
    dav.put(&format!("{FOLDER}/{new}"), "new")
        .await
        .must_be(201);
    dav.delete(old).await.must_be(204);
}

/// A client that has asked for the listing and stopped reading after its first byte.
async fn stalled(world: &World) -> Wire {
    let mut wire = Wire::connect_narrow(world.address()).await;
    let alice = World::alice_user();
    let authorization = Wire::basic(&alice.name, &alice.password);
    let sent = wire
        .send_head(&[
            &format!("PROPFIND /dav{FOLDER}/ HTTP/1.1"),
            "Host: localhost",
            &format!("Authorization: {authorization}"),
            "Depth: 1",
            "Content-Length: 0",
        ])
        .await;
    assert!(sent);
    wire.first_bytes().await;
    wire
}

/// More of them than there are connections to the database.
async fn stalled_readers_are_in_nobodys_way(world: &World) {
    let mut readers = Vec::new();
    for _ in 0..40 {
        readers.push(stalled(world).await);
    }
    let dav = world.bob();
    dav.put("/mine", "text").await.must_be(201);
    assert_eq!(dav.get("/mine").await, "text");
    world
        .alice()
        .put(&format!("{FOLDER}/yyy"), "new")
        .await
        .must_be(201);
    match Engine::from_environment() {
        Engine::Postgres => {
            let database = world.postgres().expect("this world is on PostgreSQL");
            let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                        AND pid <> pg_backend_pid() AND state <> 'idle'";
            until("every session is idle", Duration::from_secs(30), || async {
                database.query(busy) == "0"
            })
            .await;
        }
        Engine::Sqlite => {
            let path = world.data_dir().join("coffer.db");
            until(
                "the whole log can be checkpointed",
                Duration::from_secs(30),
                || async { checkpointed_wholly(&path) },
            )
            .await;
        }
    }
    drop(readers);
}

/// A reader that holds a snapshot keeps the log from being carried over to the database.
fn checkpointed_wholly(path: &std::path::Path) -> bool {
    let database = rusqlite::Connection::open(path).expect("the database can be opened");
    let sql = "PRAGMA wal_checkpoint(PASSIVE)";
    let (busy, in_log, carried): (i64, i64, i64) = database
        .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .expect("a checkpoint can be asked for");
    busy == 0 && in_log == carried
}
