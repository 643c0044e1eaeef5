//! P1: after `kill -9` every path is its old content or its new content, and whatever was
//! acknowledged is there.
//!
//! Eight writers, each in a folder of its own, so that the oracle knows for each of them the one
//! change whose outcome is open. The folder as a whole must be the state before or after it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use harness::{Dav, Setup, User, World, noise, until};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::drive;
use crate::operation::{Operation, Start};
use crate::tree::{Entry, Tree, is_below};
use crate::{scale, seed};

const WRITERS: usize = 8;
/// More entries than this, and a writer deletes before it adds.
const MOST_ENTRIES: usize = 40;
const QUOTA_BYTES: u64 = 50_000_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_and_nothing_is_torn_by_kills() {
    let cycles = scale("COFFER_CRASH_CYCLES", 5);
    let mut rng = StdRng::seed_from_u64(seed());
    let mut world = Setup::default().durable_database().start().await;
    for name in ["carol", "dave"] {
        world.add_user(name, Some(QUOTA_BYTES)).await;
    }
    let mut writers: Vec<Writer> = (0..WRITERS).map(|n| Writer::new(n, rng.random())).collect();
    for writer in &mut writers {
        writer.settle_in(&world).await;
    }
    let mut totals = Totals::default();
    for cycle in 0..cycles {
        let stop = Arc::new(Stop {
            acknowledged: AtomicU64::new(0),
            killed: AtomicBool::new(false),
        });
        let running: Vec<_> = writers
            .drain(..)
            .map(|writer| {
                let (dav, stop) = (writer.dav(&world), Arc::clone(&stop));
                tokio::spawn(writer.run(dav, stop))
            })
            .collect();
        // The moment is counted in acknowledged changes, and then some: it must not be tied to
        // the end of one.
        let enough = rng.random_range(20..600);
        until(
            "changes are acknowledged",
            Duration::from_mins(2),
            || async {
                stop.acknowledged.load(Ordering::Relaxed) >= enough
                    || running.iter().any(tokio::task::JoinHandle::is_finished)
            },
        )
        .await;
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..50_000))).await;
        stop.killed.store(true, Ordering::SeqCst);
        world.kill().await;
        for writer in join_all(running).await {
            writers.push(writer.expect("no writer panics"));
        }
        world.revive().await;
        if rng.random_bool(0.25) {
            // A second kill, into whatever the start has set going.
            world.kill().await;
            world.revive().await;
            totals.kills += 1;
        }
        totals.kills += 1;
        assert_eq!(incoming(&world), 0, "incoming/ is empty after a start");
        let verified = writers.iter_mut().map(|writer| writer.verify(&world));
        for bad in join_all(verified).await {
            totals.add(&bad);
        }
        let changes: u64 = writers.iter().map(|writer| writer.acknowledged).sum();
        let open: u64 = writers.iter().map(|writer| writer.open).sum();
        (totals.acknowledged, totals.open) = (changes, open);
        for (name, charged) in charged(&writers) {
            let dav = world.as_user(&User::named(name));
            let (used, _) = drive::quota(&dav).await;
            if used != charged {
                totals.faults.push(format!(
                    "cycle {cycle}: {name} is charged {used} bytes and has {charged}"
                ));
            }
        }
        check(&world, &[]).await;
        assert!(totals.is_clean(), "cycle {cycle}: {totals}");
    }
    check(&world, &["--contents"]).await;
    for (name, charged) in charged(&writers) {
        let dav = world.as_user(&User::named(name));
        until(
            "reservations are given back",
            Duration::from_mins(1),
            || async { drive::quota(&dav).await == (charged, QUOTA_BYTES - charged) },
        )
        .await;
    }
    eprintln!("crash: {cycles} cycles, {totals}");
}

/// `cofferd check` finds nothing. On PostgreSQL it may look while a purge is between two
/// statements, so it is asked again; a wrong number stays wrong.
async fn check(world: &World, flags: &[&str]) {
    let arguments = [&["check"], flags].concat();
    until("check finds nothing", Duration::from_secs(30), || async {
        let output = world.cli(&arguments, "").await;
        if !output.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&output.stdout));
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        }
        output.status.success()
    })
    .await;
}

fn incoming(world: &World) -> usize {
    std::fs::read_dir(world.data_dir().join("incoming")).map_or(0, Iterator::count)
}

/// What each user must be charged for.
fn charged(writers: &[Writer]) -> BTreeMap<&'static str, u64> {
    let mut charged = BTreeMap::new();
    for writer in writers {
        *charged.entry(writer.user).or_default() += writer.tree.used_bytes();
    }
    charged
}

/// Tells the writers when an error is to be expected.
struct Stop {
    acknowledged: AtomicU64,
    killed: AtomicBool,
}

/// One client with a folder of its own, and what it knows of it.
struct Writer {
    user: &'static str,
    folder: String,
    rng: StdRng,
    /// As last acknowledged.
    tree: Tree,
    /// As it is if the change under way was made.
    open_tree: Option<(Operation, Tree)>,
    acknowledged: u64,
    open: u64,
    refused: Vec<String>,
}

impl Writer {
    fn new(number: usize, seed: u64) -> Self {
        Self {
            user: if number.is_multiple_of(2) {
                "carol"
            } else {
                "dave"
            },
            folder: format!("/writer{number}"),
            rng: StdRng::seed_from_u64(seed),
            tree: Tree::default(),
            open_tree: None,
            acknowledged: 0,
            open: 0,
            refused: Vec::new(),
        }
    }

    fn dav(&self, world: &World) -> Dav {
        world.as_user(&User::named(self.user))
    }

    async fn settle_in(&mut self, world: &World) {
        let dav = self.dav(world);
        for path in ["", "/a", "/b"].map(|below| format!("{}{below}", self.folder)) {
            dav.mkcol(&path).await.must_be(201);
            self.tree.make_folder(&path);
        }
    }

    async fn run(mut self, dav: Dav, stop: Arc<Stop>) -> Self {
        while !stop.killed.load(Ordering::SeqCst) {
            let operation = self.choose();
            let mut after = self.tree.clone();
            operation.apply(&mut after);
            let request = operation.request(&dav);
            self.open_tree = Some((operation, after));
            match request.try_send().await {
                Ok(answer) => {
                    let Some((operation, after)) = self.open_tree.take() else {
                        continue;
                    };
                    if !operation.was_done(&answer) {
                        self.refused.push(format!("{operation:?}: {answer:?}"));
                        return self;
                    }
                    self.tree = after;
                    self.acknowledged += 1;
                    stop.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    if !stop.killed.load(Ordering::SeqCst) {
                        self.refused
                            .push(format!("no answer while it lives: {error:?}"));
                    }
                    self.open += 1;
                    return self;
                }
            }
        }
        self
    }

    /// A change that must succeed.
    fn choose(&mut self) -> Operation {
        let files = self.paths(|tree, path| !tree.is_folder(path));
        let folders = self.paths(Tree::is_folder);
        let rng = &mut self.rng;
        let new_path = format!(
            "{}/{}",
            pick(rng, &folders),
            pick(rng, &["x", "y.txt", "z z", "q", "r", "s"])
        );
        let is_free = !self.tree.is_folder(&new_path);
        if self.tree.len() > MOST_ENTRIES || files.is_empty() {
            let below: Vec<&String> = files.iter().chain(folders.iter().skip(1)).collect();
            if let Some(path) = below.get(rng.random_range(0..below.len().max(1)))
                && !files.is_empty()
            {
                return Operation::Delete {
                    path: (*path).clone(),
                };
            }
        }
        match rng.random_range(0..100) {
            0..45 if is_free => Operation::Put {
                path: new_path,
                content: content(rng),
                chunked: rng.random_bool(0.2),
            },
            45..55 if !files.is_empty() => Operation::Put {
                path: pick(rng, &files),
                content: content(rng),
                chunked: false,
            },
            55..65 if !files.is_empty() => {
                let path = pick(rng, &files);
                let length = self.tree.content(&path).map_or(0, Bytes::len);
                Operation::Patch {
                    path,
                    start: if rng.random_bool(0.3) {
                        Start::Append
                    } else {
                        Start::At(rng.random_range(0..=length))
                    },
                    content: sized(rng, 1..20_000),
                }
            }
            65..73 if !files.is_empty() => Operation::Note {
                path: pick(rng, &files),
                note: rng
                    .random_bool(0.8)
                    .then(|| format!("note {}", rng.random_range(0..1000))),
            },
            73..76 if !self.tree.exists(&new_path) => Operation::MakeFolder { path: new_path },
            76..82 if !files.is_empty() => Operation::Delete {
                path: pick(rng, &files),
            },
            82..100 if !files.is_empty() => {
                // Mostly files, now and then a whole folder, over whatever is there.
                let from = if rng.random_bool(0.2) && folders.len() > 1 {
                    folders[rng.random_range(1..folders.len())].clone()
                } else {
                    pick(rng, &files)
                };
                let to = new_path;
                if from == to || is_below(&to, &from) || is_below(&from, &to) {
                    return Operation::Note {
                        path: from,
                        note: None,
                    };
                }
                if rng.random_bool(0.5) {
                    Operation::Rename {
                        from,
                        to,
                        overwrite: true,
                    }
                } else {
                    Operation::Copy {
                        from,
                        to,
                        overwrite: true,
                        shallow: false,
                    }
                }
            }
            _ => Operation::Put {
                path: format!("{}/plain", self.folder),
                content: content(rng),
                chunked: false,
            },
        }
    }

    /// Paths of the own tree, the own folder first.
    fn paths(&self, wanted: impl Fn(&Tree, &str) -> bool) -> Vec<String> {
        let paths = self.tree.paths().filter(|path| wanted(&self.tree, path));
        paths.map(str::to_owned).collect()
    }

    /// Compares the drive with what is known of it, and takes up what it is.
    async fn verify(&mut self, world: &World) -> Totals {
        let mut totals = Totals {
            faults: std::mem::take(&mut self.refused),
            ..Totals::default()
        };
        let before = within(&self.tree, &self.folder);
        let open = self.open_tree.take();
        let seen = match drive::read(&self.dav(world), &self.folder).await {
            Ok(seen) => seen,
            Err(sentence) => {
                totals.torn += 1;
                totals.faults.push(sentence);
                return totals;
            }
        };
        if seen == before {
            return totals;
        }
        let Some((operation, after)) = open else {
            totals.compare(&seen, &before, &before, &self.folder);
            return totals;
        };
        if seen == within(&after, &self.folder) {
            self.tree = after;
        } else {
            let what = format!("{}: {operation:?}", self.folder);
            totals.compare(&seen, &before, &within(&after, &self.folder), &what);
        }
        totals
    }
}

/// What lies below a folder, as [`drive::read`] shows it.
fn within(tree: &Tree, folder: &str) -> BTreeMap<String, Entry> {
    let mut shown = tree.shown();
    shown.retain(|path, _| is_below(path, folder));
    shown
}

fn pick<T: ToString>(rng: &mut StdRng, choices: &[T]) -> String {
    choices[rng.random_range(0..choices.len())].to_string()
}

fn content(rng: &mut StdRng) -> Bytes {
    match rng.random_range(0..100) {
        0..8 => Bytes::new(),
        8..16 => sized(rng, 1..2),
        16..70 => sized(rng, 2..16_385),
        70..96 => sized(rng, 16_385..120_000),
        // Longer than one blob: cut into chunks.
        _ => sized(rng, 5 << 20..9 << 20),
    }
}

fn sized(rng: &mut StdRng, range: std::ops::Range<usize>) -> Bytes {
    let length = rng.random_range(range);
    Bytes::from(noise(rng.random(), length))
}

/// What the whole run comes to.
#[derive(Debug, Default)]
struct Totals {
    kills: u64,
    acknowledged: u64,
    open: u64,
    lost: u64,
    torn: u64,
    garbage: u64,
    faults: Vec<String>,
}

impl Totals {
    fn is_clean(&self) -> bool {
        self.faults.is_empty() && self.lost + self.torn + self.garbage == 0
    }

    fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.torn += other.torn;
        self.garbage += other.garbage;
        self.faults.extend_from_slice(&other.faults);
    }

    /// Names every path that is in neither state, or says that only the whole is in neither.
    fn compare(
        &mut self,
        seen: &BTreeMap<String, Entry>,
        before: &BTreeMap<String, Entry>,
        after: &BTreeMap<String, Entry>,
        what: &str,
    ) {
        let clean = (self.lost, self.torn, self.garbage);
        let mut paths: Vec<&String> = seen.keys().chain(before.keys()).collect();
        paths.extend(after.keys());
        paths.sort();
        paths.dedup();
        for path in paths {
            let (is, old, new) = (seen.get(path), before.get(path), after.get(path));
            if is == old || is == new {
                continue;
            }
            let kind = match (is, old, new) {
                (None, _, _) => &mut self.lost,
                (Some(_), None, None) => &mut self.garbage,
                (Some(_), _, _) => &mut self.torn,
            };
            *kind += 1;
            self.faults.push(format!(
                "{what}: {path} is {is:?}, was {old:?}, may have become {new:?}"
            ));
        }
        if clean == (self.lost, self.torn, self.garbage) {
            self.torn += 1;
            self.faults
                .push(format!("{what}: half of the change was made"));
        }
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} kills, {} acknowledged operations, {} of unknown outcome: {} lost, {} torn, {} \
             garbage",
            self.kills, self.acknowledged, self.open, self.lost, self.torn, self.garbage
        )?;
        for fault in &self.faults {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}
