//! Kills of the mount and of the server at any moment, with an oracle that was told what had been
//! acknowledged.
//!
//! The writers are processes of this program's own threads on the mount; what a call has answered is
//! noted in memory, out of reach of the kills. After each kill every file must hold its last
//! acknowledged content, or the next one when a call was under way.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use harness::{Mount, MountSetup, Proxy, World, noise, until};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::{blocking, scale, seed};

const WRITERS: usize = 4;
const NAMES: [&str; 6] = ["a", "b", "c", "d.txt", "e e", "f"];

/// Names and contents.
type State = BTreeMap<String, Vec<u8>>;

/// One who works in a folder of its own, until a call fails.
struct Writer {
    folder: PathBuf,
    name: String,
    rng: StdRng,
    /// As acknowledged.
    known: State,
    /// As it may be by a call that was under way.
    possible: Vec<State>,
    /// Written by acknowledged calls to a file that is open, or was at the kill.
    acknowledged: Arc<AtomicU64>,
}

impl Writer {
    fn work(mut self, stop: &AtomicBool) -> Self {
        self.possible.clear();
        while !stop.load(Ordering::Relaxed) {
            if self.step().is_err() {
                return self;
            }
            self.possible.clear();
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        self
    }

    fn step(&mut self) -> std::io::Result<()> {
        let name = NAMES[self.rng.random_range(0..NAMES.len())].to_owned();
        let path = self.folder.join(&name);
        match self.rng.random_range(0..10) {
            0..4 => self.write_new(&name, &path),
            4..6 => self.change(&name, &path),
            6..7 => self.replace(&name, &path),
            7..8 => self.rename(&name, &path),
            _ => self.remove(&name, &path),
        }
    }

    fn will_be(&mut self, state: State) {
        self.possible.push(state);
    }

    fn is_now(&mut self, state: State) {
        self.possible.clear();
        self.known = state;
    }

    fn bytes(&mut self) -> Vec<u8> {
        let longest = [10, 5_000, 400_000][self.rng.random_range(0..3)];
        let length = self.rng.random_range(1..=longest);
        noise(self.rng.random(), length)
    }

    fn write_new(&mut self, name: &str, path: &Path) -> std::io::Result<()> {
        let bytes = self.bytes();
        let mut state = self.known.clone();
        state.insert(name.to_owned(), Vec::new());
        self.will_be(state.clone());
        let file = File::create(path)?;
        self.is_now(state.clone());
        state.insert(name.to_owned(), bytes.clone());
        // A write is one call up to this length: there or not, but for a kill in its middle.
        self.will_be(state.clone());
        file.write_all_at(&bytes, 0)?;
        self.is_now(state);
        if self.rng.random_bool(0.2) {
            file.sync_all()?;
        }
        Ok(())
    }

    fn change(&mut self, name: &str, path: &Path) -> std::io::Result<()> {
        let Some(old) = self.known.get(name).cloned() else {
            return self.write_new(name, path);
        };
        let part = self.bytes();
        let place = self.rng.random_range(0..=old.len());
        let mut bytes = old;
        bytes.resize(bytes.len().max(place + part.len()), 0);
        bytes[place..place + part.len()].copy_from_slice(&part);
        let mut state = self.known.clone();
        state.insert(name.to_owned(), bytes);
        let file = File::options().write(true).open(path)?;
        self.will_be(state.clone());
        file.write_all_at(&part, place as u64)?;
        self.is_now(state);
        Ok(())
    }

    /// As editors save.
    fn replace(&mut self, name: &str, path: &Path) -> std::io::Result<()> {
        let bytes = self.bytes();
        let temporary = self.folder.join(".new");
        let mut state = self.known.clone();
        for content in [Vec::new(), bytes.clone()] {
            state.insert(".new".to_owned(), content);
            self.will_be(state.clone());
        }
        let mut file = File::create(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        drop(file);
        self.is_now(state.clone());
        state.remove(".new");
        state.insert(name.to_owned(), bytes);
        self.will_be(state.clone());
        std::fs::rename(&temporary, path)?;
        self.is_now(state);
        Ok(())
    }

    fn rename(&mut self, name: &str, path: &Path) -> std::io::Result<()> {
        let to = NAMES[self.rng.random_range(0..NAMES.len())].to_owned();
        let Some(bytes) = self.known.get(name).cloned() else {
            return self.write_new(name, path);
        };
        let mut state = self.known.clone();
        state.remove(name);
        state.insert(to.clone(), bytes);
        self.will_be(state.clone());
        std::fs::rename(path, self.folder.join(to))?;
        self.is_now(state);
        Ok(())
    }

    fn remove(&mut self, name: &str, path: &Path) -> std::io::Result<()> {
        if !self.known.contains_key(name) {
            return self.write_new(name, path);
        }
        let mut state = self.known.clone();
        state.remove(name);
        self.will_be(state.clone());
        std::fs::remove_file(path)?;
        self.is_now(state);
        Ok(())
    }

    /// Compares what is there with what was acknowledged, and goes on from it.
    fn verify(&mut self, there: State, when: &str) {
        let is_possible = there == self.known || self.possible.contains(&there);
        if !is_possible && !self.is_torn_write(&there) {
            let show = |state: &State| -> Vec<String> {
                state
                    .iter()
                    .map(|(name, bytes)| format!("{name}: {} bytes", bytes.len()))
                    .collect()
            };
            panic!(
                "{when}, {}: there is {:?}\nacknowledged was {:?}\npossible were {:?}",
                self.name,
                show(&there),
                show(&self.known),
                self.possible.iter().map(show).collect::<Vec<_>>()
            );
        }
        self.known = there;
        self.possible.clear();
    }

    /// The kernel cuts long writes into several requests: a kill between them leaves a part of the
    /// one write that was under way, and of nothing else.
    fn is_torn_write(&self, there: &State) -> bool {
        self.possible.iter().any(|after| {
            // A new file is longer than none.
            let stay = self.known.keys().all(|name| there.contains_key(name));
            let paths_are = stay && there.keys().eq(after.keys());
            let mut others = there
                .iter()
                .filter(|(name, bytes)| self.known.get(*name) != Some(*bytes));
            let (Some((name, bytes)), None, true) = (others.next(), others.next(), paths_are)
            else {
                return false;
            };
            let none = Vec::new();
            let (old, new) = (self.known.get(name).unwrap_or(&none), &after[name]);
            bytes.len() >= old.len().min(new.len())
                && bytes.len() <= old.len().max(new.len())
                && bytes.iter().enumerate().all(|(place, byte)| {
                    old.get(place) == Some(byte) || new.get(place) == Some(byte) || *byte == 0
                })
        })
    }
}

fn read(folder: &Path) -> State {
    let entries = std::fs::read_dir(folder);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let bytes = std::fs::read(entry.path());
            let bytes = bytes.unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, bytes)
        })
        .collect()
}

fn writers(mount: &Mount, rng: &mut StdRng) -> Vec<Writer> {
    (0..WRITERS)
        .map(|number| {
            let name = format!("writer{number}");
            let folder = mount.path(&name);
            std::fs::create_dir(&folder).unwrap();
            Writer {
                folder,
                name,
                rng: StdRng::seed_from_u64(rng.random()),
                known: State::new(),
                possible: Vec::new(),
                acknowledged: Arc::default(),
            }
        })
        .collect()
}

/// Sets the writers to work, waits until so many calls were acknowledged, and a moment.
async fn set_to_work(
    writers: Vec<Writer>,
    stop: &Arc<AtomicBool>,
    rng: &mut StdRng,
) -> Vec<tokio::task::JoinHandle<Writer>> {
    stop.store(false, Ordering::Relaxed);
    let counts: Vec<_> = writers
        .iter()
        .map(|one| Arc::clone(&one.acknowledged))
        .collect();
    let count = || -> u64 { counts.iter().map(|it| it.load(Ordering::Relaxed)).sum() };
    let before = count();
    let running: Vec<_> = writers
        .into_iter()
        .map(|writer| {
            let stop = Arc::clone(stop);
            tokio::task::spawn_blocking(move || writer.work(&stop))
        })
        .collect();
    let enough = rng.random_range(10..400);
    let ended = || running.iter().any(tokio::task::JoinHandle::is_finished);
    until("calls are acknowledged", Duration::from_mins(2), || async {
        count() - before >= enough || ended()
    })
    .await;
    // Not at the end of a call.
    tokio::time::sleep(Duration::from_micros(rng.random_range(0..50_000))).await;
    running
}

async fn back(running: Vec<tokio::task::JoinHandle<Writer>>) -> Vec<Writer> {
    let mut writers = Vec::new();
    for writer in running {
        writers.push(writer.await.expect("no writer panics"));
    }
    writers
}

async fn verify(writers: &mut [Writer], when: &str) {
    for writer in writers {
        let folder = writer.folder.clone();
        let there = blocking(move || read(&folder)).await;
        writer.verify(there, when);
    }
}

/// The server and a mount without any memory have it too.
async fn compare_elsewhere(world: &World, mut mount: Mount, mut writers: Vec<Writer>) {
    mount.unmount().await;
    let other = MountSetup::new(world, "elsewhere").start().await;
    let mut total = 0;
    for writer in &mut writers {
        writer.folder = other.path(&writer.name);
        total += writer.acknowledged.load(Ordering::Relaxed);
    }
    verify(&mut writers, "elsewhere").await;
    eprintln!("kills: {total} changes acknowledged, none lost");
}

async fn kills_of_the_mount(argument: Option<&str>) {
    let kills = scale("COFFER_KILLS", 10);
    let mut rng = StdRng::seed_from_u64(seed());
    let world = World::start().await;
    let mut setup = MountSetup::new(&world, "mount");
    if let Some(argument) = argument {
        setup = setup.argument(argument);
    }
    let mut mount = setup.start().await;
    let mut writers = writers(&mount, &mut rng);
    let stop = Arc::new(AtomicBool::new(false));
    for kill in 1..=kills {
        let running = set_to_work(writers, &stop, &mut rng).await;
        mount.kill_only().await;
        stop.store(true, Ordering::Relaxed);
        writers = back(running).await;
        mount.detach();
        mount.revive().await;
        verify(&mut writers, &format!("after kill {kill}")).await;
    }
    compare_elsewhere(&world, mount, writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_by_kills_of_the_mount() {
    kills_of_the_mount(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nor_without_passthrough() {
    kills_of_the_mount(Some("--no-passthrough")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_by_kills_of_the_server() {
    let kills = scale("COFFER_KILLS", 10);
    let mut rng = StdRng::seed_from_u64(seed());
    let mut world = World::start().await;
    let proxy = Proxy::to(world.address()).await;
    let setup = MountSetup::new(&world, "mount").url(proxy.drive_url());
    let mount = setup.argument("--fsync=local").start().await;
    let mut writers = writers(&mount, &mut rng);
    let stop = Arc::new(AtomicBool::new(false));
    for kill in 1..=kills {
        let running = set_to_work(writers, &stop, &mut rng).await;
        world.kill().await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..300))).await;
        stop.store(true, Ordering::Relaxed);
        writers = back(running).await;
        verify(&mut writers, &format!("during kill {kill}")).await;
        world.revive().await;
        proxy.lead_to(world.address());
    }
    mount.becomes_online(true).await;
    verify(&mut writers, "online").await;
    compare_elsewhere(&world, mount, writers).await;
}
