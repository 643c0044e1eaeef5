//! The part of the kernel between a system call and the file system: it looks names up and refuses
//! what no file system is asked for.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;

use crate::drive::memory::MemoryDrive;
use crate::fs::{Caller, Change, Fs, Handle, Ino, Opened, ROOT, RenameFlags, Stat};

const CALLER: Caller = Caller { uid: 0, gid: 0 };
const FORMAT: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
const RDWR: i32 = 2;
const CREAT: i32 = 0o100;
const EXCL: i32 = 0o200;
const TRUNC: i32 = 0o1000;

/// What is seen of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub stat: Stat,
    /// Of a file, or the target of a symbolic link; `None` for a folder.
    pub content: Option<Vec<u8>>,
}

/// System calls on a mount.
#[derive(Clone)]
pub struct Vfs(pub Fs<MemoryDrive>);

pub fn is_folder(stat: &Stat) -> bool {
    stat.mode & FORMAT == FOLDER
}

pub fn is_link(stat: &Stat) -> bool {
    stat.mode & FORMAT == LINK
}

impl Vfs {
    pub async fn walk(&self, path: &[&str]) -> Result<Stat, Errno> {
        let mut stat = self.0.stat(ROOT).await?;
        for name in path {
            if !is_folder(&stat) {
                return Err(Errno::NOTDIR);
            }
            stat = self.0.lookup(stat.ino, OsStr::new(name)).await?;
        }
        Ok(stat)
    }

    /// The folder that `path` lies in, its name there, and what has it.
    async fn place<'a>(&self, path: &[&'a str]) -> Result<(Ino, &'a OsStr, Option<Stat>), Errno> {
        let (name, folder) = path.split_last().ok_or(Errno::BUSY)?;
        let folder = self.walk(folder).await?;
        if !is_folder(&folder) {
            return Err(Errno::NOTDIR);
        }
        let name = OsStr::new(*name);
        match self.0.lookup(folder.ino, name).await {
            Ok(stat) => Ok((folder.ino, name, Some(stat))),
            Err(Errno::NOENT) => Ok((folder.ino, name, None)),
            Err(errno) => Err(errno),
        }
    }

    async fn free_place<'a>(&self, path: &[&'a str]) -> Result<(Ino, &'a OsStr), Errno> {
        let (folder, name, there) = self.place(path).await?;
        match there {
            Some(_) => Err(Errno::EXIST),
            None => Ok((folder, name)),
        }
    }

    pub async fn create(&self, path: &[&str], mode: u32, exclusive: bool) -> Result<Handle, Errno> {
        let (folder, name, there) = self.place(path).await?;
        match there {
            Some(_) if exclusive => Err(Errno::EXIST),
            Some(stat) => self.open_node(&stat, false).await,
            None => {
                let flags = RDWR | CREAT | if exclusive { EXCL } else { 0 };
                let made = self.0.create(CALLER, folder, name, mode, 0, flags).await;
                made.map(|(_, Opened { handle, .. })| handle)
            }
        }
    }

    /// As the kernel does it, which looks once more when it is told that what it has seen is stale.
    pub async fn open(&self, path: &[&str], truncate: bool) -> Result<Handle, Errno> {
        let stat = self.walk(path).await?;
        match self.open_node(&stat, truncate).await {
            Err(Errno::STALE) => {
                let stat = self.walk(path).await?;
                self.open_node(&stat, truncate).await
            }
            opened => opened,
        }
    }

    async fn open_node(&self, stat: &Stat, truncate: bool) -> Result<Handle, Errno> {
        if is_folder(stat) {
            return Err(Errno::ISDIR);
        }
        if is_link(stat) {
            return Err(Errno::LOOP);
        }
        let flags = RDWR | if truncate { TRUNC } else { 0 };
        let opened = self.0.open_file(CALLER, stat.ino, flags).await?;
        if truncate {
            // Without FUSE_ATOMIC_O_TRUNC the kernel does it by itself, and harm it cannot.
            let change = Change {
                size: Some(0),
                ..Change::default()
            };
            let node = (stat.ino, Some(opened.handle));
            if let Err(errno) = self.0.set_attributes(CALLER, node.0, change, node.1).await {
                let _ = self.0.release(opened.handle).await;
                return Err(errno);
            }
        }
        Ok(opened.handle)
    }

    pub async fn read_all(&self, handle: Handle) -> Result<Vec<u8>, Errno> {
        let mut bytes = Vec::new();
        loop {
            let part = self.0.read(handle, bytes.len() as u64, 1 << 17).await?;
            if part.is_empty() {
                return Ok(bytes);
            }
            bytes.extend_from_slice(&part);
        }
    }

    pub async fn close(&self, handle: Handle) -> Result<(), Errno> {
        self.0.release(handle).await
    }

    pub async fn read_path(&self, path: &[&str]) -> Result<Vec<u8>, Errno> {
        let handle = self.open(path, false).await?;
        let bytes = self.read_all(handle).await;
        self.close(handle).await?;
        bytes
    }

    pub async fn truncate(&self, path: &[&str], size: u64) -> Result<(), Errno> {
        let change = Change {
            size: Some(size),
            ..Change::default()
        };
        let stat = self.walk(path).await?;
        self.0
            .set_attributes(CALLER, stat.ino, change, None)
            .await
            .map(drop)
    }

    pub async fn chmod(&self, path: &[&str], mode: u32) -> Result<(), Errno> {
        let change = Change {
            mode: Some(mode),
            ..Change::default()
        };
        let stat = self.walk(path).await?;
        if is_link(&stat) {
            return Err(Errno::OPNOTSUPP);
        }
        self.0
            .set_attributes(CALLER, stat.ino, change, None)
            .await
            .map(drop)
    }

    pub async fn set_xattr(&self, path: &[&str], name: &str, value: &[u8]) -> Result<(), Errno> {
        let stat = self.walk(path).await?;
        if is_link(&stat) {
            return Err(Errno::PERM);
        }
        self.0.xattr_set(stat.ino, OsStr::new(name), value, 0).await
    }

    pub async fn make_folder(&self, path: &[&str], mode: u32) -> Result<(), Errno> {
        let (folder, name) = self.free_place(path).await?;
        self.0
            .make_folder(CALLER, folder, name, mode, 0)
            .await
            .map(drop)
    }

    pub async fn symlink(&self, path: &[&str], target: &[u8]) -> Result<(), Errno> {
        let (folder, name) = self.free_place(path).await?;
        self.0.symlink(CALLER, folder, name, target).await.map(drop)
    }

    pub async fn link(&self, existing: &[&str], new: &[&str]) -> Result<(), Errno> {
        let stat = self.walk(existing).await?;
        let (folder, name) = self.free_place(new).await?;
        if is_folder(&stat) {
            return Err(Errno::PERM);
        }
        self.0.link(stat.ino, folder, name).await.map(drop)
    }

    pub async fn unlink(&self, path: &[&str]) -> Result<(), Errno> {
        let (folder, name, there) = self.place(path).await?;
        if is_folder(&there.ok_or(Errno::NOENT)?) {
            return Err(Errno::ISDIR);
        }
        self.0.unlink(folder, name).await
    }

    pub async fn remove_folder(&self, path: &[&str]) -> Result<(), Errno> {
        let (folder, name, there) = self.place(path).await?;
        if !is_folder(&there.ok_or(Errno::NOENT)?) {
            return Err(Errno::NOTDIR);
        }
        self.0.remove_folder(folder, name).await
    }

    pub async fn rename(
        &self,
        from: &[&str],
        to: &[&str],
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        let (folder, name, moved) = self.place(from).await?;
        let (new_folder, new_name, replaced) = self.place(to).await?;
        let moved = moved.ok_or(Errno::NOENT)?;
        if flags.no_replace && replaced.is_some() {
            return Err(Errno::EXIST);
        }
        if flags.exchange && replaced.is_none() {
            return Err(Errno::NOENT);
        }
        if to.len() > from.len() && to.starts_with(from) {
            return Err(Errno::INVAL);
        }
        if from.len() > to.len() && from.starts_with(to) {
            return Err(if flags.exchange {
                Errno::INVAL
            } else {
                Errno::NOTEMPTY
            });
        }
        if let Some(replaced) = replaced {
            if replaced.ino == moved.ino {
                return Ok(());
            }
            match (is_folder(&moved), is_folder(&replaced)) {
                (false, true) if !flags.exchange => return Err(Errno::ISDIR),
                (true, false) if !flags.exchange => return Err(Errno::NOTDIR),
                _ => {}
            }
        }
        self.0
            .rename(folder, name, new_folder, new_name, flags)
            .await
    }

    pub async fn names(&self, ino: Ino) -> Result<Vec<String>, Errno> {
        let handle = self.0.open_folder(ino).await?.handle;
        let mut names = Vec::new();
        let read = self
            .0
            .read_folder(handle, 0, |_, name, _| {
                names.push(String::from_utf8(name.to_vec()).unwrap());
                false
            })
            .await;
        self.0.release_folder(handle);
        read?;
        names.retain(|name| name != "." && name != "..");
        names.sort();
        Ok(names)
    }

    /// Everything in the mount, by path.
    pub async fn everything(&self) -> Result<BTreeMap<String, Seen>, Errno> {
        let mut found = BTreeMap::new();
        let mut open = vec![(String::new(), ROOT)];
        while let Some((path, ino)) = open.pop() {
            for name in self.names(ino).await? {
                let mut stat = self
                    .0
                    .lookup(ino, OsStr::from_bytes(name.as_bytes()))
                    .await?;
                let parts: Vec<&str> = path.split('/').skip(1).chain([name.as_str()]).collect();
                let path = format!("{path}/{name}");
                let content = if is_folder(&stat) {
                    open.push((path.clone(), stat.ino));
                    None
                } else if is_link(&stat) {
                    Some(self.0.read_link(stat.ino).await?)
                } else {
                    let handle = self.open(&parts, false).await?;
                    let bytes = self.read_all(handle).await;
                    self.close(handle).await?;
                    stat = self.walk(&parts).await?;
                    Some(bytes?)
                };
                found.insert(path, Seen { stat, content });
            }
        }
        Ok(found)
    }
}
