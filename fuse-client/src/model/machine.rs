//! A mount and the reference side by side.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use rustix::io::Errno;
use tokio::runtime::Runtime;
use tokio::time::{Instant, advance, sleep, timeout};

use super::action::{Action, HARMLESS, SLOW};
use super::reference::{Kind, Tree};
use super::vfs::{Seen, Vfs, is_folder, is_link};
use crate::drive::Capabilities;
use crate::drive::Drive as _;
use crate::drive::memory::{Dice, MemoryDrive};
use crate::fs::{Fs, Handle, Options, RenameFlags, Status};

/// Files that are open at a time.
pub const SLOTS: usize = 3;
/// Time costs nothing here: it is the tests' clock that moves.
const PATIENCE: Duration = Duration::from_mins(20);

/// What one life of the mount's process is made of.
pub struct Life {
    pub runtime: Runtime,
    pub vfs: Vfs,
    began: Instant,
}

impl Life {
    /// A life that begins when the world has the given age.
    pub fn begin(options: Options, drive: &MemoryDrive, age: Duration) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let (began, opened) = runtime.block_on(async {
            let began = Instant::now();
            advance(age).await;
            (began, Fs::open(options, drive.clone()).await)
        });
        let vfs = Vfs(opened.unwrap_or_else(|error| panic!("the mount begins: {error}")));
        Self {
            runtime,
            vfs,
            began,
        }
    }

    /// Ends it without warning; the age of the world then.
    pub fn kill(self) -> Duration {
        self.runtime.block_on(async { self.began.elapsed() })
    }

    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let in_time = async {
            let done = timeout(PATIENCE, work).await;
            done.expect("every call ends")
        };
        self.runtime.block_on(in_time)
    }

    /// Lets time pass.
    pub fn pause(&self, time: Duration) {
        self.run(async { sleep(time).await });
    }

    /// Whether `work` ended before its tasks had so many turns; it is dropped if not.
    pub fn run_for<T>(&self, turns: usize, work: impl Future<Output = T>) -> Option<T> {
        self.runtime.block_on(async {
            let mut work = pin!(work);
            for _ in 0..=turns {
                let turn = poll_fn(|context| Poll::Ready(work.as_mut().poll(context)));
                if let Poll::Ready(done) = turn.await {
                    return Some(done);
                }
                tokio::task::yield_now().await;
            }
            None
        })
    }

    /// Waits until all is sent, the blocked things too.
    pub fn settle(&self) -> Status {
        let mut status = Status::default();
        for _ in 0..20 {
            status = self.run(async {
                self.vfs.0.settle().await;
                self.vfs.0.status()
            });
            let is_sent = status.pending_names + status.pending_files == 0;
            if status.online && is_sent && status.blocked.is_empty() {
                break;
            }
            self.pause(Duration::from_mins(6));
        }
        status
    }
}

/// An open file.
#[derive(Clone, Copy)]
struct Slot {
    handle: Handle,
    node: usize,
}

/// The mount under test with what must be true of it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are true or not independently of each other"
)]
pub struct Machine {
    drive: MemoryDrive,
    can: Capabilities,
    options: Options,
    life: Option<Life>,
    tree: Tree,
    slots: [Option<Slot>; SLOTS],
    written: u64,
    online: bool,
    faulty: bool,
    /// The mount took the server for out of reach when the last call began. It looks every 30 s
    /// whether that is still so, and until then refuses at once what only the server knows.
    away: bool,
    /// The cache is so small that files must be evicted.
    small: bool,
}

impl Machine {
    pub fn begin(drive: MemoryDrive, mut options: Options, small: bool) -> Self {
        if small {
            options.max_bytes = 4 << 20;
        }
        let life = Life::begin(options.clone(), &drive, Duration::ZERO);
        Self {
            can: drive.capabilities(),
            drive,
            options,
            life: Some(life),
            tree: Tree::default(),
            slots: [None; SLOTS],
            written: 0,
            online: true,
            faulty: false,
            away: false,
            small,
        }
    }

    fn life(&self) -> &Life {
        self.life.as_ref().unwrap()
    }

    pub fn step(&mut self, action: &Action) {
        match action {
            Action::Pause { millis } => self.life().pause(Duration::from_millis(*millis)),
            Action::Settle => {
                if self.online && !self.faulty {
                    self.life().settle();
                }
            }
            Action::Online(online) => {
                self.online = *online;
                self.drive.set_online(*online);
            }
            Action::Faults { seed, of_thousand } => {
                self.faulty = *of_thousand > 0;
                self.drive.fail_by_chance(*seed, *of_thousand, &HARMLESS);
            }
            Action::Slow { seed } => self.drive.fail_by_chance(*seed, 700, &SLOW),
            Action::Kill { turns } => {
                self.life().run_for(*turns, std::future::pending::<()>());
                self.restart();
            }
            Action::KillDuring { action, turns } => self.kill_during(action, *turns),
            action => {
                let call = self.call(action);
                let vfs = self.life().vfs.clone();
                let done = self.life().run(call.on(vfs));
                self.take(action, done);
            }
        }
    }

    fn restart(&mut self) {
        let age = self.life.take().unwrap().kill();
        self.slots = [None; SLOTS];
        self.life = Some(Life::begin(self.options.clone(), &self.drive, age));
    }

    /// Either all of the action was done, or nothing.
    fn kill_during(&mut self, action: &Action, turns: usize) {
        let call = self.call(action);
        let vfs = self.life().vfs.clone();
        if let Some(done) = self.life().run_for(turns, call.on(vfs)) {
            self.take(action, done);
            self.restart();
            return;
        }
        let before = self.tree.clone();
        let mut after = before.clone();
        let _ = self.expect(&mut after, action);
        let mut between = vec![before, after];
        if let Action::Replace { path, length } = action {
            // Several calls, each done or not.
            between.extend(self.halves(&between[0], path, *length));
        }
        self.heal();
        self.restart();
        let seen = self.life().run(self.life().vfs.everything());
        let seen = seen.unwrap_or_else(|errno| panic!("everything can be read: {errno}"));
        let mut faults = Vec::new();
        for tree in between {
            let found = differences(&tree, &seen, self.can.properties);
            if found.is_empty() {
                self.tree = tree;
                return;
            }
            faults.push(found);
        }
        panic!("killed during {action:?}: neither before nor after: {faults:#?}");
    }

    fn halves(&self, before: &Tree, path: &[&'static str], length: usize) -> Vec<Tree> {
        let temporary = temporary(path);
        let mut made = before.clone();
        let Ok(node) = made.create(&temporary, 0o644, false) else {
            return Vec::new();
        };
        let mut emptied = made.clone();
        emptied.truncate(node, 0);
        let mut written = emptied.clone();
        written.write(node, 0, &payload(self.written + 1, length));
        vec![made, emptied, written]
    }

    fn heal(&mut self) {
        (self.online, self.faulty) = (true, false);
        self.drive.heal();
        self.drive.set_online(true);
        let life = self.life();
        for _ in 0..60 {
            if life.vfs.0.status().online {
                return;
            }
            life.pause(Duration::from_secs(10));
        }
        panic!("the mount does not find out that the network is back");
    }

    /// What to ask of the mount.
    fn call(&mut self, action: &Action) -> Call {
        self.away = !self.life().vfs.0.status().online;
        let slot = |slot: &usize| self.slots[*slot].map(|slot| slot.handle);
        let (handle, size) = match action {
            Action::Write { slot: it, .. }
            | Action::Read { slot: it }
            | Action::Close { slot: it }
            | Action::Fsync { slot: it } => (slot(it), 0),
            Action::Append { slot: it, .. } => {
                let size = self.slots[*it].map_or(0, |slot| self.tree.bytes(slot.node).len());
                (slot(it), size)
            }
            _ => (None, 0),
        };
        Call {
            action: action.clone(),
            handle,
            size: size as u64,
            number: self.written + 1,
        }
    }

    /// Does the action on the reference; what is opened, or read.
    fn expect(&self, tree: &mut Tree, action: &Action) -> Result<Option<usize>, Errno> {
        let number = self.written + 1;
        let node = |slot: &usize| self.slots[*slot].map(|slot| slot.node);
        match action {
            Action::Create {
                path,
                mode,
                exclusive,
                ..
            } => tree.create(path, *mode, *exclusive).map(Some),
            Action::Open { path, truncate, .. } => tree.open(path, *truncate).map(Some),
            Action::Write {
                slot,
                offset,
                length,
            } => {
                if let Some(node) = node(slot) {
                    tree.write(node, *offset, &payload(number, *length));
                }
                Ok(None)
            }
            Action::Append { slot, length } => {
                if let Some(node) = node(slot) {
                    let end = tree.bytes(node).len();
                    tree.write(node, end, &payload(number, *length));
                }
                Ok(None)
            }
            Action::Read { slot } => Ok(node(slot)),
            Action::Truncate { path, size } => {
                let node = tree.open(path, false).map_err(|errno| match errno {
                    Errno::LOOP => Errno::INVAL,
                    errno => errno,
                })?;
                tree.truncate(node, *size);
                Ok(None)
            }
            Action::Chmod { path, mode } => tree.chmod(path, *mode).map(|()| None),
            Action::SetXattr { path, value } => {
                tree.set_xattr(path, XATTR, &[*value]).map(|()| None)
            }
            Action::MakeFolder { path, mode } => tree.make_folder(path, *mode).map(|()| None),
            Action::RemoveFolder { path } => tree.remove_folder(path).map(|()| None),
            Action::Unlink { path } => tree.unlink(path).map(|()| None),
            Action::Symlink { path } => tree.symlink(path, TARGET).map(|()| None),
            Action::Link { existing, new } => tree.link(existing, new).map(|()| None),
            Action::Rename {
                from,
                to,
                no_replace,
                exchange,
            } => {
                let flags = RenameFlags {
                    no_replace: *no_replace,
                    exchange: *exchange,
                };
                tree.rename(from, to, flags).map(|()| None)
            }
            Action::Replace { path, length } => {
                let temporary = temporary(path);
                let node = tree.create(&temporary, 0o644, false)?;
                tree.truncate(node, 0);
                tree.write(node, 0, &payload(number, *length));
                tree.rename(&temporary, path, RenameFlags::default())
                    .map(|()| None)
            }
            _ => Ok(None),
        }
    }

    /// Compares what the mount has answered with the reference, and takes it up there.
    fn take(&mut self, action: &Action, done: Result<Done, Errno>) {
        if let Ok(Done::Skipped) = done {
            return;
        }
        if let Err(errno) = &done
            && self.is_excused(action, *errno)
        {
            if let Action::Replace { path, length } = action {
                self.adopt_half(path, *length);
            }
            if let Action::Close { slot } = action {
                self.slots[*slot] = None;
            }
            return;
        }
        let mut tree = self.tree.clone();
        let expected = self.expect(&mut tree, action);
        self.written += 1;
        match (&done, &expected) {
            (Ok(_), Ok(_)) => {}
            (Err(is), Err(should)) if is == should => {}
            _ => panic!("{action:?}: answered {done:?}, expected {expected:?}"),
        }
        if let (Ok(Done::Read(bytes)), Ok(Some(node))) = (&done, &expected) {
            same_bytes(&format!("{action:?}"), bytes, tree.bytes(*node));
        }
        if expected.is_ok() || matches!(action, Action::Replace { .. }) {
            self.tree = tree;
        }
        match (action, done, expected) {
            (
                Action::Create { slot, .. } | Action::Open { slot, .. },
                Ok(Done::Opened(handle)),
                Ok(Some(node)),
            ) => {
                if let Some(old) = self.slots[*slot].replace(Slot { handle, node }) {
                    let vfs = self.life().vfs.clone();
                    let closed = self.life().run(async move { vfs.close(old.handle).await });
                    assert!(closed.is_ok() || self.is_troubled(), "close: {closed:?}");
                }
            }
            (Action::Close { slot }, ..) => self.slots[*slot] = None,
            _ => {}
        }
    }

    /// A replacement that went wrong half-way has left its temporary name.
    fn adopt_half(&mut self, path: &[&'static str], length: usize) {
        self.heal();
        let seen = self.life().run(self.life().vfs.everything()).unwrap();
        let before = self.tree.clone();
        let mut all = self.halves(&before, path, length);
        all.push(before);
        self.written += 1;
        let fits = |tree: &Tree| differences(tree, &seen, self.can.properties).is_empty();
        let found = all.into_iter().find(fits);
        self.tree = found.unwrap_or_else(|| panic!("{path:?} is half replaced"));
    }

    fn is_troubled(&self) -> bool {
        // Requests that began in bad times may end after them.
        self.faulty || !self.online || self.away || !self.life().vfs.0.status().online
    }

    /// Whether the world, and not the mount, is to blame.
    fn is_excused(&self, action: &Action, errno: Errno) -> bool {
        let network = [
            Errno::IO,
            Errno::TIMEDOUT,
            Errno::NETUNREACH,
            Errno::HOSTUNREACH,
            Errno::NETDOWN,
            Errno::AGAIN,
            Errno::BUSY,
            Errno::DQUOT,
            Errno::NOSPC,
            Errno::ACCESS,
        ];
        let can = match action {
            Action::Link { .. } => self.can.bind,
            Action::Symlink { .. } | Action::SetXattr { .. } => self.can.properties,
            _ => true,
        };
        self.is_troubled() && network.contains(&errno)
            || self.small && errno == Errno::NOSPC
            || !can && [Errno::PERM, Errno::OPNOTSUPP].contains(&errno)
    }

    /// Everything is in order at the end: here, on the server, and on a second mount.
    pub fn end(mut self, second: Options) {
        self.heal();
        let status = self.life().settle();
        assert!(
            status.pending_names + status.pending_files == 0 && status.blocked.is_empty(),
            "all is sent: {status:#?}"
        );
        assert_eq!(status.conflicts, Vec::<String>::new());
        self.compare("this mount");
        self.compare_server();
        self.slots = [None; SLOTS];
        self.options = second;
        self.restart();
        self.compare("a fresh mount");
    }

    fn compare(&self, who: &str) {
        let seen = self.life().run(self.life().vfs.everything());
        let seen = seen.unwrap_or_else(|errno| panic!("{who}: everything can be read: {errno}"));
        let found = differences(&self.tree, &seen, self.can.properties);
        assert!(found.is_empty(), "{who}: {found:#?}");
    }

    fn compare_server(&self) {
        let on_server = self.drive.as_other().everything();
        let mut expected = self.tree.everything();
        if !self.can.properties {
            expected.retain(|_, node| !matches!(self.tree.node(*node).kind, Kind::Link(_)));
        }
        let paths: Vec<&String> = on_server.keys().collect();
        assert_eq!(paths, expected.keys().collect::<Vec<_>>(), "the server");
        for (path, seen) in &on_server {
            let node = self.tree.node(expected[path]);
            let content = seen.content.as_deref();
            match &node.kind {
                Kind::File(bytes) => same_bytes(path, content.unwrap_or(b"(a folder)"), bytes),
                Kind::Link(target) => {
                    assert_eq!(seen.attributes.target.as_ref(), Some(target), "{path}");
                }
                Kind::Folder(_) => assert_eq!(content, None, "{path}"),
            }
            if let (Some(mode), true) = (node.mode, self.can.properties) {
                let there = seen.attributes.mode.map(|mode| mode & 0o7777);
                assert_eq!(there, Some(mode), "mode of {path} on the server");
                assert_eq!(seen.xattrs, node.xattrs, "xattrs of {path} on the server");
            }
        }
    }
}

const XATTR: &str = "user.model";
const TARGET: &[u8] = b"somewhere/else";

/// A name beside `path` that nothing else has.
fn temporary(path: &[&'static str]) -> Vec<&'static str> {
    let mut temporary = path.to_vec();
    if let Some(name) = temporary.last_mut() {
        *name = "new.tmp";
    }
    temporary
}

fn payload(number: u64, length: usize) -> Vec<u8> {
    let mut dice = Dice(number);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&dice.roll().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn same_bytes(what: &str, is: &[u8], should: &[u8]) {
    if is != should {
        let first = is.iter().zip(should).position(|(is, should)| is != should);
        panic!(
            "{what}: {} bytes, expected {}; the first other one at {first:?}",
            is.len(),
            should.len()
        );
    }
}

/// What differs between the reference and a mount.
fn differences(tree: &Tree, seen: &BTreeMap<String, Seen>, modes: bool) -> Vec<String> {
    let expected = tree.everything();
    let mut found = Vec::new();
    for path in expected.keys().filter(|path| !seen.contains_key(*path)) {
        found.push(format!("{path} is missing"));
    }
    let mut numbers = BTreeMap::new();
    for (path, seen) in seen {
        let Some(number) = expected.get(path) else {
            found.push(format!("{path} should not be there"));
            continue;
        };
        let node = tree.node(*number);
        let fits = match &node.kind {
            Kind::Folder(_) => is_folder(&seen.stat),
            Kind::Link(target) => is_link(&seen.stat) && seen.content.as_ref() == Some(target),
            Kind::File(bytes) => {
                seen.content.as_ref() == Some(bytes) && seen.stat.size == bytes.len() as u64
            }
        };
        if !fits {
            let length = seen.content.as_ref().map(Vec::len);
            found.push(format!(
                "{path} is another: {:?}, {length:?} bytes",
                seen.stat
            ));
        }
        if let (Some(mode), true) = (node.mode, modes)
            && seen.stat.mode & 0o7777 != mode
        {
            found.push(format!(
                "{path} has mode {:o}, not {mode:o}",
                seen.stat.mode
            ));
        }
        if numbers
            .insert(seen.stat.ino, *number)
            .is_some_and(|other| other != *number)
        {
            found.push(format!("{path} is one node with something else"));
        }
    }
    found
}

/// One action, ready to be done.
struct Call {
    action: Action,
    handle: Option<Handle>,
    size: u64,
    number: u64,
}

#[derive(Debug)]
enum Done {
    Opened(Handle),
    Read(Vec<u8>),
    Changed,
    /// There was nothing to do it to.
    Skipped,
}

impl Call {
    async fn on(self, vfs: Vfs) -> Result<Done, Errno> {
        let number = self.number;
        let done = match &self.action {
            Action::Create {
                path,
                mode,
                exclusive,
                ..
            } => {
                return vfs.create(path, *mode, *exclusive).await.map(Done::Opened);
            }
            Action::Open { path, truncate, .. } => {
                return vfs.open(path, *truncate).await.map(Done::Opened);
            }
            Action::Truncate { path, size } => match vfs.walk(path).await {
                Ok(stat) if is_folder(&stat) => Err(Errno::ISDIR),
                Ok(stat) if is_link(&stat) => Err(Errno::INVAL),
                Ok(_) => vfs.truncate(path, *size as u64).await,
                Err(errno) => Err(errno),
            },
            Action::Chmod { path, mode } => vfs.chmod(path, *mode).await,
            Action::SetXattr { path, value } => vfs.set_xattr(path, XATTR, &[*value]).await,
            Action::MakeFolder { path, mode } => vfs.make_folder(path, *mode).await,
            Action::RemoveFolder { path } => vfs.remove_folder(path).await,
            Action::Unlink { path } => vfs.unlink(path).await,
            Action::Symlink { path } => vfs.symlink(path, TARGET).await,
            Action::Link { existing, new } => vfs.link(existing, new).await,
            Action::Rename {
                from,
                to,
                no_replace,
                exchange,
            } => {
                let flags = RenameFlags {
                    no_replace: *no_replace,
                    exchange: *exchange,
                };
                vfs.rename(from, to, flags).await
            }
            Action::Replace { path, length } => replace(&vfs, path, payload(number, *length)).await,
            action => {
                let Some(handle) = self.handle else {
                    return Ok(Done::Skipped);
                };
                match action {
                    Action::Write { offset, length, .. } => {
                        let data = payload(number, *length);
                        vfs.0.write(handle, *offset as u64, data).await.map(drop)
                    }
                    Action::Append { length, .. } => {
                        let data = payload(number, *length);
                        vfs.0.write(handle, self.size, data).await.map(drop)
                    }
                    Action::Read { .. } => return vfs.read_all(handle).await.map(Done::Read),
                    Action::Fsync { .. } => vfs.0.fsync(handle).await,
                    _ => vfs.close(handle).await,
                }
            }
        };
        done.map(|()| Done::Changed)
    }
}

async fn replace(vfs: &Vfs, path: &[&'static str], data: Vec<u8>) -> Result<(), Errno> {
    let temporary = temporary(path);
    let handle = vfs.create(&temporary, 0o644, false).await?;
    let written = async {
        vfs.truncate(&temporary, 0).await?;
        vfs.0.write(handle, 0, data).await?;
        vfs.0.fsync(handle).await
    }
    .await;
    vfs.close(handle).await?;
    written?;
    vfs.rename(&temporary, path, RenameFlags::default()).await
}
