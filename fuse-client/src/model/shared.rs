//! Two hands on one drive: whatever either of them has written is kept somewhere, until somebody who
//! has seen it replaces or deletes it.
//!
//! Every content is made of words like `<17>` that are written once in a history. A word may be gone
//! at the end only when a change was made by one who had it before his eyes: the second client
//! replaces what the server has, a program here what it reads in the very step of its change.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use proptest::prelude::*;
use proptest::sample::select;
use rustix::io::Errno;

use super::action::SLOW;
use super::machine::Life;
use super::reference::Path;
use super::vfs::{Vfs, is_folder};
use super::{action, caches, config};
use crate::drive::memory::{Fault, MemoryDrive};
use crate::fs::{Options, RenameFlags};

#[derive(Debug, Clone)]
enum Step {
    Save(Path),
    Append(Path),
    Unlink(Path),
    Rename(Path, Path),
    MakeFolder(Path),
    RemoveFolder(Path),
    OtherWrites(Path),
    OtherRemoves(Path),
    OtherRenames(Path, Path),
    OtherMakesFolder(Path),
    Pause(u64),
    Online(bool),
    Faults(u64, u64),
    /// Most calls take a while.
    Slow(u64),
    ForgetTokens,
    Kill(usize),
}

/// Of two clients, and [`Fault::Overtaken`] is a third.
const FAULTS: [Fault; 8] = [
    Fault::UnreachableBefore,
    Fault::UnreachableAfter,
    Fault::Silent { done: true },
    Fault::Busy,
    Fault::Overtaken,
    Fault::Cut,
    Fault::SlowBefore,
    Fault::SlowAfter,
];

fn step() -> impl Strategy<Value = Step> {
    use action::path;

    let millis = select(&[1_u64, 300, 700, 6_000, 40_000][..]);
    prop_oneof![
        6 => path().prop_map(Step::Save),
        6 => path().prop_map(Step::Append),
        3 => path().prop_map(Step::Unlink),
        4 => (path(), path()).prop_map(|(from, to)| Step::Rename(from, to)),
        4 => path().prop_map(Step::MakeFolder),
        1 => path().prop_map(Step::RemoveFolder),
        6 => path().prop_map(Step::OtherWrites),
        2 => path().prop_map(Step::OtherRemoves),
        3 => (path(), path()).prop_map(|(from, to)| Step::OtherRenames(from, to)),
        2 => path().prop_map(Step::OtherMakesFolder),
        5 => millis.prop_map(Step::Pause),
        1 => any::<bool>().prop_map(Step::Online),
        1 => (any::<u64>(), select(&[0_u64, 100, 300][..]))
            .prop_map(|(seed, of_thousand)| Step::Faults(seed, of_thousand)),
        2 => any::<u64>().prop_map(Step::Slow),
        1 => Just(Step::ForgetTokens),
        1 => (0_usize..100).prop_map(Step::Kill),
    ]
}

/// The words in a content.
fn words(content: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(content);
    text.split_inclusive('>').map(str::to_owned).collect()
}

fn text(path: &[&str]) -> String {
    format!("/{}", path.join("/"))
}

struct Pair {
    drive: MemoryDrive,
    options: Options,
    life: Option<Life>,
    count: u64,
    /// Acknowledged here.
    written: BTreeSet<String>,
    /// Replaced here by somebody who saw them, or perhaps.
    seen: BTreeSet<String>,
}

impl Pair {
    fn life(&self) -> &Life {
        self.life.as_ref().unwrap()
    }

    fn word(&mut self) -> String {
        self.count += 1;
        format!("<{}>", self.count)
    }

    fn step(&mut self, step: &Step) {
        let other = self.drive.as_other();
        // What the second client is not able to do changes nothing.
        let _ = match step {
            Step::OtherRemoves(path) => other.remove(&text(path)),
            Step::OtherRenames(from, to) => other.rename(&text(from), &text(to)),
            Step::OtherMakesFolder(path) => other.make_folder(&text(path)),
            Step::OtherWrites(path) => {
                let word = self.word();
                self.drive.as_other().write(&text(path), word)
            }
            _ => Ok(()),
        };
        match step {
            Step::Save(path) => self.save(path),
            Step::Append(path) => self.append(path),
            Step::Unlink(path) => self.replacing(path, async |vfs: &Vfs| vfs.unlink(path).await),
            Step::Rename(from, to) => self.replacing(to, async |vfs: &Vfs| {
                vfs.rename(from, to, RenameFlags::default()).await
            }),
            Step::MakeFolder(path) => {
                self.ignoring(async |vfs: &Vfs| vfs.make_folder(path, 0o755).await);
            }
            Step::RemoveFolder(path) => {
                self.ignoring(async |vfs: &Vfs| vfs.remove_folder(path).await);
            }
            Step::Pause(millis) => self.life().pause(Duration::from_millis(*millis)),
            Step::Online(online) => self.drive.set_online(*online),
            Step::Faults(seed, of_thousand) => {
                self.drive.fail_by_chance(*seed, *of_thousand, &FAULTS);
            }
            Step::Slow(seed) => self.drive.fail_by_chance(*seed, 700, &SLOW),
            Step::ForgetTokens => self.drive.expire_tokens(),
            Step::Kill(turns) => {
                self.life().run_for(*turns, std::future::pending::<()>());
                let age = self.life.take().unwrap().kill();
                self.life = Some(Life::begin(self.options.clone(), &self.drive, age));
            }
            _ => {}
        }
    }

    fn ignoring(&self, call: impl AsyncFnOnce(&Vfs) -> Result<(), Errno>) {
        let _ = self.life().run(call(&self.life().vfs));
    }

    /// A change that makes an end of what is at `path`, if somebody can have seen it first.
    fn replacing(&mut self, path: &[&str], call: impl AsyncFnOnce(&Vfs) -> Result<(), Errno>) {
        let life = self.life();
        let vfs = &life.vfs;
        // So that the second reading needs no server.
        let first = life.run(vfs.read_path(path));
        if !matches!(
            first,
            Ok(_) | Err(Errno::NOENT | Errno::ISDIR | Errno::NOTDIR)
        ) {
            return;
        }
        let read_and_change = async {
            let content = vfs.read_path(path).await;
            (content, call(vfs).await)
        };
        let others = self.drive.as_other().written().len();
        let (at_once, (content, _)) = life.run(at_once(read_and_change));
        self.seen.extend(words(&content.unwrap_or_default()));
        if !at_once {
            let there = self.drive.as_other().read(&text(path));
            self.seen.extend(words(&there.unwrap_or_default()));
            let replaced = first.unwrap_or_default();
            self.seen.extend(words(&replaced));
            // What came between the look-up and the change may have come to what was looked up.
            let came = self.drive.as_other().written();
            self.seen
                .extend(came[others..].iter().flat_map(|it| words(it)));
        }
    }

    fn save(&mut self, path: &[&'static str]) {
        let word = self.word();
        let mut written = false;
        let content = word.clone().into_bytes();
        let done = &mut written;
        self.replacing(path, async |vfs: &Vfs| {
            let handle = match vfs.open(path, true).await {
                Err(Errno::NOENT) => vfs.create(path, 0o644, false).await?,
                opened => opened?,
            };
            let put = vfs.0.write(handle, 0, content).await;
            let closed = vfs.close(handle).await;
            *done = put.is_ok() && closed.is_ok();
            closed
        });
        if written {
            self.written.insert(word);
        }
    }

    fn append(&mut self, path: &[&'static str]) {
        let word = self.word();
        let life = self.life();
        let vfs = &life.vfs;
        let content = word.clone().into_bytes();
        let done = life.run(async {
            let handle = match vfs.open(path, false).await {
                Err(Errno::NOENT) => vfs.create(path, 0o644, true).await?,
                opened => opened?,
            };
            let put = async {
                let length = vfs.read_all(handle).await?.len();
                vfs.0.write(handle, length as u64, content).await
            }
            .await;
            vfs.close(handle).await?;
            put
        });
        if done.is_ok() {
            self.written.insert(word);
        }
    }

    fn end(&mut self, second: Options) {
        self.drive.heal();
        self.drive.set_online(true);
        // Changes made elsewhere may be noticed only when they are looked for.
        for _ in 0..2 {
            self.life().settle();
            let _ = self.life().run(self.life().vfs.everything());
            self.life().pause(Duration::from_mins(1));
        }
        let status = self.life().settle();
        assert!(
            status.pending_names + status.pending_files == 0 && status.blocked.is_empty(),
            "all is sent: {status:#?}"
        );
        self.nothing_is_lost();
        self.same_as_server("this mount");
        let age = self.life.take().unwrap().kill();
        self.life = Some(Life::begin(second, &self.drive, age));
        self.same_as_server("a fresh mount");
    }

    fn nothing_is_lost(&self) {
        let other = self.drive.as_other();
        let all = |contents: Vec<bytes::Bytes>| -> BTreeSet<String> {
            contents.iter().flat_map(|content| words(content)).collect()
        };
        let mut due: BTreeSet<String> = all(other.written());
        due.extend(self.written.iter().cloned());
        let mut excused = all(other.replaced());
        excused.extend(self.seen.iter().cloned());
        let there = other.everything();
        let there = all(there
            .values()
            .filter_map(|seen| seen.content.clone())
            .collect());
        let lost: Vec<&String> = due
            .iter()
            .filter(|word| !excused.contains(*word) && !there.contains(*word))
            .collect();
        assert!(
            lost.is_empty(),
            "nobody saw them and they are gone: {lost:?}"
        );
    }

    fn same_as_server(&self, who: &str) {
        let seen = self.life().run(self.life().vfs.everything());
        let seen = seen.unwrap_or_else(|errno| panic!("{who}: everything can be read: {errno}"));
        let here: Vec<_> = seen
            .into_iter()
            .map(|(path, seen)| (path, !is_folder(&seen.stat), seen.content))
            .collect();
        let server = self.drive.as_other().everything();
        let there: Vec<_> = server
            .into_iter()
            .map(|(path, seen)| (path, seen.content.is_some(), seen.content.map(Vec::from)))
            .collect();
        assert_eq!(here, there, "{who} shows what the server has");
    }
}

/// Whether the work was done without waiting for anything, and what it came to.
async fn at_once<T>(work: impl Future<Output = T>) -> (bool, T) {
    let mut work = pin!(work);
    match work.as_mut().now_or_never() {
        Some(done) => (true, done),
        None => (false, work.await),
    }
}

fn shared(drive: MemoryDrive, history: &[Step]) {
    let caches = caches();
    let options = |name: &str| Options {
        host: "here".to_owned(),
        ..Options::new(caches.path().join(name))
    };
    let life = Life::begin(options("first"), &drive, Duration::ZERO);
    let mut pair = Pair {
        drive,
        options: options("first"),
        life: Some(life),
        count: 0,
        written: BTreeSet::new(),
        seen: BTreeSet::new(),
    };
    for step in history {
        pair.step(step);
    }
    pair.end(options("second"));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn shared_with_another_on_a_drive_that_can_everything(
        history in prop::collection::vec(step(), 1..50)
    ) {
        shared(MemoryDrive::extended(), &history);
    }

    #[test]
    fn shared_with_another_on_a_plain_drive(history in prop::collection::vec(step(), 1..50)) {
        shared(MemoryDrive::plain(), &history);
    }
}
