//! Random calls on one file, and the same on a copy in memory; after each the two must agree.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::fs::{FallocateFlags, copy_file_range, fallocate};
use rustix::io::Errno;

use crate::noise;

/// The file grows up to here.
const LONGEST: usize = 300_000;
/// Calls that a failure shows.
const SHOWN: usize = 40;

/// A file under test.
pub struct Fsx {
    path: PathBuf,
    file: File,
    copy: Vec<u8>,
    rng: StdRng,
    last: VecDeque<String>,
    done: u64,
    /// Calls that the file system does not have.
    refused: u64,
}

impl Fsx {
    /// Makes the file.
    pub fn new(path: &Path, seed: u64) -> Self {
        Self {
            path: path.to_owned(),
            file: open(path),
            copy: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
            last: VecDeque::new(),
            done: 0,
            refused: 0,
        }
    }

    /// Does so many random calls; panics with the last of them when something differs.
    pub fn run(&mut self, calls: u64) {
        for _ in 0..calls {
            self.step();
            self.done += 1;
        }
        self.compare();
    }

    /// What the file must contain.
    pub fn expected(&self) -> &[u8] {
        &self.copy
    }

    /// How many calls the file system has answered with `EOPNOTSUPP`.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn step(&mut self) {
        match self.rng.random_range(0..1000) {
            0..350 => self.read(),
            350..700 => self.write(),
            700..780 => self.truncate(),
            780..830 => self.extend(),
            830..880 => self.punch(),
            880..940 => self.copy_range(),
            940..975 => self.reopen(),
            975..985 => self.fsync(),
            985..995 => self.look_at_size(),
            _ => self.compare(),
        }
    }

    fn note(&mut self, call: String) {
        if self.last.len() == SHOWN {
            self.last.pop_front();
        }
        self.last.push_back(call);
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        let last: Vec<&str> = self.last.iter().map(String::as_str).collect();
        panic!(
            "call {}: {what}; the last calls:\n{}",
            self.done,
            last.join("\n")
        );
    }

    /// A place, mostly in the file, and a length.
    fn place(&mut self, end: usize) -> (usize, usize) {
        let offset = self.rng.random_range(0..end.max(1));
        let longest = [100, 5_000, 70_000][self.rng.random_range(0..3)];
        let length = self.rng.random_range(1..=longest);
        (offset, length)
    }

    fn read(&mut self) {
        let (offset, length) = self.place(self.copy.len() + 10);
        self.note(format!("read {offset} +{length}"));
        let mut bytes = vec![0; length];
        let mut got = 0;
        while got < length {
            match self.file.read_at(&mut bytes[got..], (offset + got) as u64) {
                Ok(0) => break,
                Ok(more) => got += more,
                Err(error) => self.fail(&format!("read: {error}")),
            }
        }
        let start = offset.min(self.copy.len());
        let end = (offset + length).min(self.copy.len()).max(start);
        self.same(offset, &bytes[..got], &self.copy[start..end]);
    }

    #[track_caller]
    fn same(&self, offset: usize, is: &[u8], should: &[u8]) {
        if is != should {
            let first = is.iter().zip(should).position(|(is, should)| is != should);
            self.fail(&format!(
                "{} bytes at {offset}, expected {}; the first other one at {:?}",
                is.len(),
                should.len(),
                first.map(|first| first + offset)
            ));
        }
    }

    fn write(&mut self) {
        let (offset, length) = self.place((self.copy.len() + 20_000).min(LONGEST));
        self.note(format!("write {offset} +{length}"));
        let bytes = noise(self.rng.random(), length);
        if let Err(error) = self.file.write_all_at(&bytes, offset as u64) {
            self.fail(&format!("write: {error}"));
        }
        let end = offset + length;
        self.copy.resize(self.copy.len().max(end), 0);
        self.copy[offset..end].copy_from_slice(&bytes);
    }

    fn truncate(&mut self) {
        let size = self.rng.random_range(0..LONGEST);
        self.note(format!("truncate {size}"));
        if let Err(error) = self.file.set_len(size as u64) {
            self.fail(&format!("truncate: {error}"));
        }
        self.copy.resize(size, 0);
    }

    fn extend(&mut self) {
        let (offset, length) = self.place(LONGEST);
        self.note(format!("fallocate {offset} +{length}"));
        if self.allocate(FallocateFlags::empty(), offset, length) {
            self.copy.resize(self.copy.len().max(offset + length), 0);
        }
    }

    fn punch(&mut self) {
        let (offset, length) = self.place(self.copy.len());
        self.note(format!("punch {offset} +{length}"));
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if self.allocate(flags, offset, length) {
            let end = (offset + length).min(self.copy.len());
            self.copy[offset.min(end)..end].fill(0);
        }
    }

    fn allocate(&mut self, flags: FallocateFlags, offset: usize, length: usize) -> bool {
        match fallocate(&self.file, flags, offset as u64, length as u64) {
            Ok(()) => true,
            Err(Errno::OPNOTSUPP) => {
                self.refused += 1;
                false
            }
            Err(errno) => self.fail(&format!("fallocate: {errno}")),
        }
    }

    fn copy_range(&mut self) {
        let length = self.copy.len();
        if length < 4 {
            return;
        }
        let half = length / 2;
        let (from, count) = self.place(half);
        let count = count.min(half - from);
        let to = self
            .rng
            .random_range(half..length.min(LONGEST).max(half + 1));
        self.note(format!("copy {from} +{count} to {to}"));
        let (mut source, mut target) = (from as u64, to as u64);
        let mut left = count;
        while left > 0 {
            let file = &self.file;
            match copy_file_range(file, Some(&mut source), file, Some(&mut target), left) {
                Ok(0) => self.fail("copy_file_range: 0 bytes"),
                Ok(more) => left -= more,
                Err(errno) => self.fail(&format!("copy_file_range: {errno}")),
            }
        }
        self.copy.resize(length.max(to + count), 0);
        self.copy.copy_within(from..from + count, to);
    }

    fn reopen(&mut self) {
        self.note("close, open".to_owned());
        self.file = open(&self.path);
    }

    fn fsync(&mut self) {
        self.note("fsync".to_owned());
        if let Err(error) = self.file.sync_all() {
            self.fail(&format!("fsync: {error}"));
        }
    }

    fn look_at_size(&mut self) {
        let by_path = std::fs::metadata(&self.path);
        let sizes = [self.file.metadata(), by_path].map(|it| it.map(|it| it.len()));
        for size in sizes {
            match size {
                Ok(size) if size == self.copy.len() as u64 => {}
                other => self.fail(&format!("stat: {other:?}, expected {}", self.copy.len())),
            }
        }
    }

    fn compare(&mut self) {
        self.look_at_size();
        match std::fs::read(&self.path) {
            Ok(bytes) => self.same(0, &bytes, &self.copy),
            Err(error) => self.fail(&format!("read: {error}")),
        }
    }
}

fn open(path: &Path) -> File {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_file_does_what_the_copy_does() {
        let folder = tempfile::tempdir().unwrap();
        let mut fsx = Fsx::new(&folder.path().join("file"), 1);
        fsx.run(5_000);
        let bytes = std::fs::read(folder.path().join("file")).unwrap();
        assert!(bytes == fsx.expected());
    }

    #[test]
    #[should_panic(expected = "the last calls")]
    fn a_byte_that_differs_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let mut fsx = Fsx::new(&folder.path().join("file"), 1);
        fsx.run(50);
        fsx.copy.push(1);
        fsx.run(500);
    }
}
