//! The files of a drive in memory and what a server remembers of them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::drive::{
    Attributes, Capabilities, Condition, DrivePath, ETag, Error, ExtendedAttributes, Listed,
    ResourceId, Result,
};

const ROOT: u64 = 1;

/// All nodes by number, and every path that ever changed, in order.
pub(super) struct Tree {
    pub nodes: BTreeMap<u64, Node>,
    pub history: Vec<DrivePath>,
    pub quota_bytes: Option<u64>,
    /// Contents that a change has replaced or removed, since they were taken.
    pub gone: Vec<Bytes>,
    next: u64,
}

pub(super) struct Node {
    pub kind: Kind,
    pub attributes: Attributes,
    pub xattrs: ExtendedAttributes,
    pub modified_ns: i64,
    /// Of the content or of the membership; never used twice in a drive.
    pub version: u64,
}

pub(super) enum Kind {
    File(Bytes),
    Folder(BTreeMap<String, u64>),
}

impl Default for Tree {
    fn default() -> Self {
        let mut tree = Self {
            nodes: BTreeMap::new(),
            history: Vec::new(),
            quota_bytes: None,
            gone: Vec::new(),
            next: ROOT,
        };
        tree.add(Kind::Folder(BTreeMap::new()));
        tree
    }
}

impl Tree {
    fn tick(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Seconds of a clock that only changes move.
    fn now_ns(&self) -> i64 {
        1_700_000_000_000_000_000 + i64::try_from(self.next).unwrap() * 1_000_000_000
    }

    fn add(&mut self, kind: Kind) -> u64 {
        let number = self.next;
        self.tick();
        let node = Node {
            kind,
            attributes: Attributes::default(),
            xattrs: BTreeMap::new(),
            modified_ns: self.now_ns(),
            version: self.next,
        };
        self.nodes.insert(number, node);
        number
    }

    pub fn find(&self, path: &DrivePath) -> Option<u64> {
        path.names().iter().try_fold(ROOT, |number, name| {
            let Kind::Folder(members) = &self.nodes[&number].kind else {
                return None;
            };
            members.get(name).copied()
        })
    }

    pub fn must_find(&self, path: &DrivePath) -> Result<u64> {
        let path_of = || Error::NotFound { path: path.clone() };
        self.find(path).ok_or_else(path_of)
    }

    pub fn file(&self, path: &DrivePath) -> Result<&Bytes> {
        match &self.nodes[&self.must_find(path)?].kind {
            Kind::File(bytes) => Ok(bytes),
            Kind::Folder(_) => Err(Error::Unsupported),
        }
    }

    pub fn members(&self, path: &DrivePath) -> Result<Vec<String>> {
        match &self.nodes[&self.must_find(path)?].kind {
            Kind::Folder(members) => Ok(members.keys().cloned().collect()),
            Kind::File(_) => Ok(Vec::new()),
        }
    }

    /// Every path but the root, in order.
    pub fn paths(&self) -> Vec<DrivePath> {
        let mut found = Vec::new();
        self.below(&DrivePath::ROOT, &mut found);
        found
    }

    /// All paths below `path`, in order.
    pub fn below(&self, path: &DrivePath, found: &mut Vec<DrivePath>) {
        for name in self.members(path).unwrap_or_default() {
            let path = path.join(&name).unwrap();
            found.push(path.clone());
            self.below(&path, found);
        }
    }

    fn names_of(&self, number: u64) -> Vec<DrivePath> {
        let all = self.paths().into_iter();
        all.filter(|path| self.find(path) == Some(number)).collect()
    }

    pub fn used_bytes(&self) -> u64 {
        self.nodes.values().map(Node::size_bytes).sum()
    }

    fn must_fit(&self, path: &DrivePath, before: u64, after: u64) -> Result<()> {
        match self.quota_bytes {
            Some(quota) if after > before && self.used_bytes() - before + after > quota => {
                Err(Error::NoSpace { path: path.clone() })
            }
            _ => Ok(()),
        }
    }

    pub fn etag(&self, number: u64, can: &Capabilities) -> Option<ETag> {
        let node = &self.nodes[&number];
        can.strong_etags.then(|| match &node.kind {
            // A server that names versions by their content may have one tag twice.
            Kind::File(bytes) if can.patch => ETag(format!("\"{}\"", hex(&sha256(bytes)))),
            _ => ETag(format!("\"v{}\"", node.version)),
        })
    }

    pub fn listed(&self, path: &DrivePath, can: &Capabilities) -> Result<Listed> {
        let number = self.must_find(path)?;
        let node = &self.nodes[&number];
        let links = self.names_of(number).len();
        Ok(Listed {
            name: path.split().map_or("", |(_, name)| name).to_owned(),
            is_folder: node.is_folder(),
            id: can.ids.then(|| id(number)),
            etag: self.etag(number, can),
            size_bytes: node.size_bytes(),
            modified_ns: node.modified_ns,
            sha256: match &node.kind {
                Kind::File(bytes) if can.patch => Some(sha256(bytes)),
                _ => None,
            },
            attributes: node.attributes.clone(),
            xattrs: node.xattrs.clone(),
            links: can
                .bind
                .then(|| u32::try_from(links).unwrap())
                .filter(|_| !node.is_folder()),
        })
    }

    /// Whether `condition` holds for what is at `path`, or is not.
    pub fn check(&self, path: &DrivePath, condition: &Condition, can: &Capabilities) -> Result<()> {
        let there = self.find(path);
        let holds = match condition {
            Condition::Absent => there.is_none(),
            Condition::Unchanged(etag) => {
                there.is_some_and(|number| self.etag(number, can).as_ref() == Some(etag))
            }
            Condition::Alone(etag) => there.is_some_and(|number| {
                self.etag(number, can).as_ref() == Some(etag) && self.names_of(number).len() == 1
            }),
            Condition::Any => true,
        };
        holds
            .then_some(())
            .ok_or_else(|| Error::Conflict { path: path.clone() })
    }

    /// Whether the source of a change still has the tag that is known of it.
    pub fn check_tag(
        &self,
        path: &DrivePath,
        etag: Option<&ETag>,
        can: &Capabilities,
    ) -> Result<u64> {
        let number = self.must_find(path)?;
        match etag {
            Some(etag) if self.etag(number, can).as_ref() != Some(etag) => {
                Err(Error::Conflict { path: path.clone() })
            }
            _ => Ok(number),
        }
    }

    pub fn put(&mut self, path: &DrivePath, bytes: Bytes) -> Result<u64> {
        let length = bytes.len() as u64;
        if let Some(number) = self.find(path) {
            let node = &self.nodes[&number];
            if node.is_folder() {
                return Err(Error::Conflict { path: path.clone() });
            }
            self.must_fit(path, node.size_bytes(), length)?;
            let version = self.tick();
            let now = self.now_ns();
            let node = self.nodes.get_mut(&number).unwrap();
            self.gone.extend(node.content().cloned());
            (node.kind, node.version, node.modified_ns) = (Kind::File(bytes), version, now);
            self.history.extend(self.names_of(number));
            return Ok(number);
        }
        self.parent(path)?;
        self.must_fit(path, 0, length)?;
        let number = self.add(Kind::File(bytes));
        self.enter(path, number);
        Ok(number)
    }

    pub fn make_folder(&mut self, path: &DrivePath) -> Result<u64> {
        if self.find(path).is_some() {
            return Err(Error::Conflict { path: path.clone() });
        }
        self.parent(path)?;
        let number = self.add(Kind::Folder(BTreeMap::new()));
        self.enter(path, number);
        Ok(number)
    }

    /// As MOVE does it: whatever is at `to` goes, a folder with all that is in it.
    pub fn rename(&mut self, from: &DrivePath, to: &DrivePath) -> Result<()> {
        let number = self.must_find(from)?;
        self.parent(to)?;
        let related = |one: &DrivePath, other: &DrivePath| other.names().starts_with(one.names());
        if related(from, to) || related(to, from) {
            return Err(Error::Forbidden { path: to.clone() });
        }
        if self.find(to).is_some() {
            self.remove(to)?;
        }
        self.enter(to, number);
        self.leave(from);
        Ok(())
    }

    pub fn bind(&mut self, existing: &DrivePath, new: &DrivePath) -> Result<()> {
        let number = self.must_find(existing)?;
        if self.nodes[&number].is_folder() {
            return Err(Error::Forbidden { path: new.clone() });
        }
        self.check(new, &Condition::Absent, &Capabilities::default())?;
        self.parent(new)?;
        self.enter(new, number);
        self.history.extend(self.names_of(number));
        Ok(())
    }

    /// As DELETE does it: a folder goes with all that is in it.
    pub fn remove(&mut self, path: &DrivePath) -> Result<()> {
        self.must_find(path)?;
        if path.names().is_empty() {
            return Err(Error::Forbidden { path: path.clone() });
        }
        self.leave(path);
        let mut kept: BTreeSet<u64> = BTreeSet::from([ROOT]);
        kept.extend(self.paths().iter().filter_map(|path| self.find(path)));
        let gone = self
            .nodes
            .extract_if(.., |number, _| !kept.contains(number));
        self.gone
            .extend(gone.filter_map(|(_, node)| node.content().cloned()));
        Ok(())
    }

    pub fn touch(&mut self, number: u64) {
        self.tick();
        self.history.extend(self.names_of(number));
    }

    fn parent(&self, path: &DrivePath) -> Result<u64> {
        let no_parent = || Error::NoParent { path: path.clone() };
        let (folder, _) = path
            .split()
            .ok_or_else(|| Error::Forbidden { path: path.clone() })?;
        let number = self.find(&folder).ok_or_else(no_parent)?;
        let is_folder = self.nodes[&number].is_folder();
        is_folder.then_some(number).ok_or_else(no_parent)
    }

    fn enter(&mut self, path: &DrivePath, number: u64) {
        let (_, name) = path.split().unwrap();
        self.change_members(path, |members| {
            members.insert(name.to_owned(), number);
        });
        self.history.push(path.clone());
    }

    fn leave(&mut self, path: &DrivePath) {
        let (_, name) = path.split().unwrap();
        self.change_members(path, |members| {
            members.remove(name);
        });
        self.history.push(path.clone());
    }

    fn change_members(
        &mut self,
        path: &DrivePath,
        change: impl FnOnce(&mut BTreeMap<String, u64>),
    ) {
        let folder = self.parent(path).unwrap();
        let version = self.tick();
        let now = self.now_ns();
        let node = self.nodes.get_mut(&folder).unwrap();
        (node.version, node.modified_ns) = (version, now);
        if let Kind::Folder(members) = &mut node.kind {
            change(members);
        }
    }
}

impl Node {
    pub fn is_folder(&self) -> bool {
        matches!(self.kind, Kind::Folder(_))
    }

    pub fn content(&self) -> Option<&Bytes> {
        match &self.kind {
            Kind::File(bytes) => Some(bytes),
            Kind::Folder(_) => None,
        }
    }

    pub fn size_bytes(&self) -> u64 {
        self.content().map_or(0, |bytes| bytes.len() as u64)
    }
}

pub(super) fn id(number: u64) -> ResourceId {
    ResourceId(format!("id-{number}"))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn hex(digest: &[u8]) -> String {
    use std::fmt::Write as _;

    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
