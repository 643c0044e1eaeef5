//! Searches of a catalogue of 100,000 assets: `cargo bench -p coffer-store --bench catalogue --
//! [--assets N] [--postgres URL | --sqlite FILE] [--filled]`, the last over a database that a run
//! before has filled; see `docs/BENCHMARKS.md`. It uses what the daemon uses.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for people, which ends when anything fails"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use store::{
    Access, AccountOptions, Actor, Admission, AssetId, AssetKind, AssetQuery, AssetSort, Caller,
    Database, Expected, Limits, Name, NewAsset, NewUser, Options, Password, PoolOptions, Store,
    TrashOptions, VerifyReads, VersionOptions, World, count_statements,
};

/// Assets that one author publishes, and authors at a time.
const OF_ONE: usize = 5000;
const AT_A_TIME: usize = 16;
const ROUNDS: usize = 400;
/// Searches of each kind before those that are timed: caches hold what they would on a drive in use.
const WARM_UP: usize = 400;

/// A sequence of numbers that look random, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % sides
    }

    /// Small numbers far more often than great ones.
    fn skewed(&mut self, sides: usize) -> usize {
        let most = 1 + self.roll(sides);
        self.roll(most)
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1).cloned()
    };
    let assets = after("--assets").map_or(100_000, |text| text.parse().unwrap());
    let is_filled = arguments.iter().any(|argument| argument == "--filled");
    let folder = tempfile::tempdir().unwrap();
    let database = match after("--postgres") {
        None => Database::Sqlite(
            after("--sqlite").map_or_else(|| folder.path().join("coffer.db"), Into::into),
        ),
        Some(url) => Database::Postgres {
            url,
            pool: PoolOptions::default(),
        },
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(folder.path(), database).await;
        if !is_filled {
            fill_all(&store, assets).await;
        }
        measure(&store).await;
        store.close().await;
    });
}

async fn fill_all(store: &Store, assets: usize) {
    let began = Instant::now();
    let authors = assets.div_ceil(OF_ONE);
    for first in (0..authors).step_by(AT_A_TIME) {
        let of_some = (first..authors.min(first + AT_A_TIME)).map(|author| {
            let (store, count) = (store.clone(), OF_ONE.min(assets - author * OF_ONE));
            tokio::spawn(async move { fill(&store, author, count).await })
        });
        for filling in of_some.collect::<Vec<_>>() {
            filling.await.unwrap();
        }
        store.flush_downloads().await.unwrap();
    }
    println!(
        "{assets} assets of {authors} authors in {:.0?}",
        began.elapsed()
    );
}

async fn open(folder: &std::path::Path, database: Database) -> Store {
    let options = Options {
        database,
        data: folder.to_owned(),
        blobs: None,
        small_limit_bytes: 16 << 10,
        verify_reads: VerifyReads::Off,
        limits: Limits::default(),
        accounts: AccountOptions::default(),
        capacity_bytes: None,
        overcommit: true,
        reserve_bytes: 0,
        sweep_grace: Duration::from_hours(24),
        versions: VersionOptions::default(),
        trash: TrashOptions::default(),
        world: World::default(),
    };
    Store::open(options).await.unwrap()
}

async fn author(store: &Store, number: usize) -> Caller {
    let (username, password) = (format!("user{number}"), "correct horse".to_owned());
    let new = NewUser {
        username: Some(username.clone()),
        email: None,
        password: Password::new(&password),
        access: Access::User,
        quota_bytes: None,
    };
    let by = Admission::By(Actor::Console);
    store.register(new, by, None).await.unwrap();
    let caller = store
        .authenticate_basic(&username, &password, None)
        .await
        .unwrap();
    store
        .set_public_name(&caller, &format!("Studio {number}"))
        .await
        .unwrap();
    caller
}

/// Publishes some assets of one author. Of the words of a description the first are frequent
/// (`w0` is in about half of all), the last rare.
async fn fill(store: &Store, number: usize, count: usize) {
    let caller = author(store, number).await;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1));
    for _ in 0..count {
        let mut words = |count: usize| {
            let words: Vec<String> = (0..count)
                .map(|_| format!("w{}", dice.skewed(5000)))
                .collect();
            words.join(" ")
        };
        let (name, mut description) = (words(3), words(40));
        if dice.roll(2) == 0 {
            description.push_str(" half");
        }
        if dice.roll(10) == 0 {
            description.push_str(" tenth");
        }
        if dice.roll(25) == 0 {
            description.push_str(" twentyfifth");
        }
        let low = dice.roll(20);
        let new = NewAsset {
            name,
            description,
            kind: [AssetKind::TwoD, AssetKind::ThreeD][dice.roll(2)],
            engine_versions: vec![format!(">={low}.0, <{}", low + 1 + dice.roll(4))],
            tags: vec![
                format!("tag{}", dice.skewed(200)),
                format!("tag{}", dice.skewed(200)),
            ],
        };
        let id = store.asset_add(&caller, new).await.unwrap().id;
        put(store, &caller, id, dice.roll(2000)).await;
        store
            .asset_post(&caller, id, Expected::default())
            .await
            .unwrap();
        (0..dice.skewed(500)).for_each(|_| store.count_download(id));
    }
}

async fn put(store: &Store, caller: &Caller, id: AssetId, size: usize) {
    let (name, size_bytes) = (Name::new("a.bin").unwrap(), Some(size as u64));
    let begun = store.asset_file_begin(caller, id, name, size_bytes, Expected::default());
    let mut attaching = begun.await.unwrap();
    attaching.write(vec![b'x'; size].into()).await.unwrap();
    attaching.commit(None).await.unwrap();
}

/// Times each kind of search and prints percentiles.
async fn measure(store: &Store) {
    let mut dice = Dice(7);
    println!(
        "{:<44}{:>8}{:>8}{:>8}{:>8}  statements",
        "search (ms)", "p50", "p99", "most", "found"
    );
    for (title, text) in [
        ("no words", None),
        ("one word, as they come", Some("w")),
        ("two words, as they come", Some("w w")),
        ("a word that 1 in 2 has", Some("half")),
        ("a word that 1 in 10 has", Some("tenth")),
        ("a word that 1 in 25 has", Some("twentyfifth")),
        ("the beginning of every word", Some("w")),
        ("two frequent words", Some("half tenth")),
    ] {
        for (sort, by) in [
            (AssetSort::Downloads, "downloads"),
            (AssetSort::Name, "name"),
        ] {
            let as_come = title.ends_with("as they come");
            let mut took = Vec::new();
            let (mut found, statements) = (0, Arc::new(AtomicU64::new(0)));
            for round in 0..WARM_UP + ROUNDS {
                if round == WARM_UP {
                    found = 0;
                    statements.store(0, Ordering::Relaxed);
                }
                let text = text.map(|text| {
                    if !as_come {
                        return text.to_owned();
                    }
                    let words = text.split(' ').map(|_| format!("w{}", dice.skewed(5000)));
                    words.collect::<Vec<_>>().join(" ")
                });
                let query = AssetQuery {
                    text,
                    kind: Some(AssetKind::ThreeD),
                    engine_version: Some(format!("{}.5", dice.roll(20))),
                    tags: Vec::new(),
                    author: None,
                    min_bytes: None,
                    max_bytes: None,
                    posted_after: None,
                    posted_before: None,
                    sort,
                    descending: sort == AssetSort::Downloads,
                    after: None,
                    limit: 100,
                };
                let began = Instant::now();
                let search = store.asset_search(query);
                found += count_statements(Arc::clone(&statements), search)
                    .await
                    .unwrap()
                    .items
                    .len();
                if round >= WARM_UP {
                    took.push(began.elapsed());
                }
            }
            took.sort_unstable();
            let ms = |at: usize| took[at].as_secs_f64() * 1e3;
            println!(
                "{:<44}{:>8.2}{:>8.2}{:>8.2}{:>8}  {}",
                format!("{title}, by {by}"),
                ms(ROUNDS / 2),
                ms(ROUNDS * 99 / 100),
                ms(ROUNDS - 1),
                found / ROUNDS,
                statements.load(Ordering::Relaxed) / ROUNDS as u64,
            );
        }
    }
}
