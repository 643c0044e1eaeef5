//! What POSIX says: a tree in memory, as plain as can be.

use std::collections::BTreeMap;

use rustix::io::Errno;

use crate::fs::RenameFlags;

/// A path by its names.
pub type Path = Vec<&'static str>;

/// A tree of files, folders and symbolic links. Nodes stay when their last name goes, for those who
/// have them open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    nodes: Vec<Node>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub kind: Kind,
    /// Permissions; `None` while nobody here has set them.
    pub mode: Option<u32>,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    File(Vec<u8>),
    Folder(BTreeMap<String, usize>),
    Link(Vec<u8>),
}

impl Default for Tree {
    fn default() -> Self {
        let mut tree = Self { nodes: Vec::new() };
        tree.add(Kind::Folder(BTreeMap::new()), None);
        tree
    }
}

impl Tree {
    fn add(&mut self, kind: Kind, mode: Option<u32>) -> usize {
        self.nodes.push(Node {
            kind,
            mode,
            xattrs: BTreeMap::new(),
        });
        self.nodes.len() - 1
    }

    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// What is at `path`.
    pub fn find(&self, path: &[&str]) -> Result<usize, Errno> {
        path.iter().try_fold(0, |number, name| {
            let members = self.members(number).ok_or(Errno::NOTDIR)?;
            members.get(*name).copied().ok_or(Errno::NOENT)
        })
    }

    fn members(&self, number: usize) -> Option<&BTreeMap<String, usize>> {
        match &self.nodes[number].kind {
            Kind::Folder(members) => Some(members),
            _ => None,
        }
    }

    fn is_folder(&self, number: usize) -> bool {
        self.members(number).is_some()
    }

    /// The folder that `path` lies in, and what has its name there.
    fn place(&self, path: &[&str]) -> Result<(usize, Option<usize>), Errno> {
        let (name, folder) = path.split_last().ok_or(Errno::BUSY)?;
        let folder = self.find(folder)?;
        let members = self.members(folder).ok_or(Errno::NOTDIR)?;
        Ok((folder, members.get(*name).copied()))
    }

    fn enter(&mut self, path: &[&str], number: Option<usize>) {
        let (name, folder) = path.split_last().unwrap();
        let folder = self.find(folder).unwrap();
        let Kind::Folder(members) = &mut self.nodes[folder].kind else {
            unreachable!()
        };
        match number {
            Some(number) => members.insert((*name).to_owned(), number),
            None => members.remove(*name),
        };
    }

    fn enter_new(&mut self, path: &[&str], kind: Kind, mode: Option<u32>) -> Result<usize, Errno> {
        if self.place(path)?.1.is_some() {
            return Err(Errno::EXIST);
        }
        let number = self.add(kind, mode);
        self.enter(path, Some(number));
        Ok(number)
    }

    /// open(2) with `O_CREAT | O_NOFOLLOW`.
    pub fn create(&mut self, path: &[&str], mode: u32, exclusive: bool) -> Result<usize, Errno> {
        match self.place(path)?.1 {
            Some(_) if exclusive => Err(Errno::EXIST),
            Some(_) => self.open(path, false),
            None => self.enter_new(path, Kind::File(Vec::new()), Some(mode)),
        }
    }

    /// open(2) with `O_RDWR | O_NOFOLLOW`.
    pub fn open(&mut self, path: &[&str], truncate: bool) -> Result<usize, Errno> {
        let number = self.find(path)?;
        match &mut self.nodes[number].kind {
            Kind::File(bytes) => {
                if truncate {
                    bytes.clear();
                }
                Ok(number)
            }
            Kind::Folder(_) => Err(Errno::ISDIR),
            Kind::Link(_) => Err(Errno::LOOP),
        }
    }

    pub fn bytes(&self, number: usize) -> &[u8] {
        match &self.nodes[number].kind {
            Kind::File(bytes) => bytes,
            _ => &[],
        }
    }

    pub fn write(&mut self, number: usize, offset: usize, data: &[u8]) {
        if let Kind::File(bytes) = &mut self.nodes[number].kind {
            let end = offset + data.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[offset..end].copy_from_slice(data);
        }
    }

    pub fn truncate(&mut self, number: usize, size: usize) {
        if let Kind::File(bytes) = &mut self.nodes[number].kind {
            bytes.resize(size, 0);
        }
    }

    pub fn chmod(&mut self, path: &[&str], mode: u32) -> Result<(), Errno> {
        let number = self.find(path)?;
        if matches!(self.nodes[number].kind, Kind::Link(_)) {
            return Err(Errno::OPNOTSUPP);
        }
        self.nodes[number].mode = Some(mode);
        Ok(())
    }

    pub fn set_xattr(&mut self, path: &[&str], name: &str, value: &[u8]) -> Result<(), Errno> {
        let number = self.find(path)?;
        if matches!(self.nodes[number].kind, Kind::Link(_)) {
            return Err(Errno::PERM);
        }
        let xattrs = &mut self.nodes[number].xattrs;
        xattrs.insert(name.as_bytes().to_vec(), value.to_vec());
        Ok(())
    }

    pub fn make_folder(&mut self, path: &[&str], mode: u32) -> Result<(), Errno> {
        let folder = Kind::Folder(BTreeMap::new());
        self.enter_new(path, folder, Some(mode)).map(drop)
    }

    pub fn symlink(&mut self, path: &[&str], target: &[u8]) -> Result<(), Errno> {
        self.enter_new(path, Kind::Link(target.to_vec()), None)
            .map(drop)
    }

    pub fn link(&mut self, existing: &[&str], new: &[&str]) -> Result<(), Errno> {
        let number = self.find(existing)?;
        if self.place(new)?.1.is_some() {
            return Err(Errno::EXIST);
        }
        if self.is_folder(number) {
            return Err(Errno::PERM);
        }
        self.enter(new, Some(number));
        Ok(())
    }

    pub fn unlink(&mut self, path: &[&str]) -> Result<(), Errno> {
        let number = self.place(path)?.1.ok_or(Errno::NOENT)?;
        if self.is_folder(number) {
            return Err(Errno::ISDIR);
        }
        self.enter(path, None);
        Ok(())
    }

    pub fn remove_folder(&mut self, path: &[&str]) -> Result<(), Errno> {
        let number = self.place(path)?.1.ok_or(Errno::NOENT)?;
        let members = self.members(number).ok_or(Errno::NOTDIR)?;
        if !members.is_empty() {
            return Err(Errno::NOTEMPTY);
        }
        self.enter(path, None);
        Ok(())
    }

    pub fn rename(&mut self, from: &[&str], to: &[&str], flags: RenameFlags) -> Result<(), Errno> {
        let moved = self.place(from)?.1;
        let replaced = self.place(to)?.1;
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
        if replaced == Some(moved) {
            return Ok(());
        }
        if flags.exchange {
            self.enter(from, replaced);
            self.enter(to, Some(moved));
            return Ok(());
        }
        if let Some(replaced) = replaced {
            match (self.members(moved), self.members(replaced)) {
                (None, Some(_)) => return Err(Errno::ISDIR),
                (Some(_), None) => return Err(Errno::NOTDIR),
                (Some(_), Some(members)) if !members.is_empty() => return Err(Errno::NOTEMPTY),
                _ => {}
            }
        }
        self.enter(from, None);
        self.enter(to, Some(moved));
        Ok(())
    }

    /// Every path but the root with its node.
    pub fn everything(&self) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        self.below(0, "", &mut found);
        found
    }

    fn below(&self, number: usize, path: &str, found: &mut BTreeMap<String, usize>) {
        for (name, member) in self.members(number).into_iter().flatten() {
            let path = format!("{path}/{name}");
            self.below(*member, &path, found);
            found.insert(path, *member);
        }
    }
}
