//! A drive's tree as it should be: the oracle's and the model's.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

/// What is at a path.
#[derive(Clone, PartialEq, Eq)]
pub enum Node {
    Folder,
    File(Bytes),
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder => write!(f, "folder"),
            Self::File(content) => write!(
                f,
                "file of {} bytes {}",
                content.len(),
                &harness::sha256_hex(content)[..8]
            ),
        }
    }
}

/// A node with the name it was given and its one dead property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub node: Node,
    pub note: Option<String>,
}

/// All entries by their path in composed form (`/a/b`); the root itself is not among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
    /// Which names are of one file: a number for each file that was ever given more than one.
    files: BTreeMap<String, u64>,
    numbers: u64,
}

/// The composed form (NFC) of the names that these tests use.
pub fn composed(path: &str) -> String {
    path.replace("a\u{308}", "\u{e4}")
        .replace("e\u{301}", "\u{e9}")
}

/// The path of the folder that holds `path`; empty for the root.
pub fn parent(path: &str) -> &str {
    path.rfind('/').map_or("", |at| &path[..at])
}

/// Whether `path` lies below `folder`.
pub fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/'))
}

fn name(path: &str) -> String {
    path[parent(path).len() + 1..].to_owned()
}

impl Tree {
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(&composed(path))
    }

    pub fn exists(&self, path: &str) -> bool {
        path.is_empty() || self.get(path).is_some()
    }

    pub fn is_folder(&self, path: &str) -> bool {
        path.is_empty()
            || self
                .get(path)
                .is_some_and(|entry| entry.node == Node::Folder)
    }

    pub fn content(&self, path: &str) -> Option<&Bytes> {
        match &self.get(path)?.node {
            Node::File(content) => Some(content),
            Node::Folder => None,
        }
    }

    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Of each file once, however many names it has.
    pub fn used_bytes(&self) -> u64 {
        let mut counted = BTreeSet::new();
        let files = self.entries.iter();
        let once = files.filter(|(path, _)| {
            let file = self.files.get(*path);
            file.is_none_or(|file| counted.insert(*file))
        });
        once.map(|(_, entry)| match &entry.node {
            Node::File(content) => content.len() as u64,
            Node::Folder => 0,
        })
        .sum()
    }

    /// Sets a file's content; its names and property stay when it is there already.
    pub fn put(&mut self, path: &str, content: Bytes) {
        let file = Node::File(content);
        for path in self.names_of(path) {
            let entry = self
                .entries
                .entry(composed(&path))
                .or_insert_with(|| Entry {
                    name: name(&path),
                    node: Node::Folder,
                    note: None,
                });
            entry.node = file.clone();
        }
    }

    /// All names of the file at a path, or the path alone.
    pub fn names_of(&self, path: &str) -> Vec<String> {
        match self.files.get(&composed(path)) {
            None => vec![path.to_owned()],
            Some(file) => {
                let names = self.files.iter().filter(|(_, other)| *other == file);
                names.map(|(name, _)| name.clone()).collect()
            }
        }
    }

    /// A name of a file that has more.
    pub fn one_of_several(&self) -> Option<String> {
        let mut names = self.files.keys();
        names.find(|name| self.names_of(name).len() > 1).cloned()
    }

    /// Gives the file at a path one more name.
    pub fn bind(&mut self, file: &str, to: &str) {
        let is_same = self.names_of(file).contains(&composed(to));
        let Some(entry) = self.get(file).cloned() else {
            return;
        };
        if is_same || composed(file) == composed(to) {
            return;
        }
        self.remove(to);
        self.numbers += 1;
        let number = self.numbers;
        let number = *self.files.entry(composed(file)).or_insert(number);
        self.files.insert(composed(to), number);
        let entry = Entry {
            name: name(to),
            ..entry
        };
        self.entries.insert(composed(to), entry);
    }

    pub fn make_folder(&mut self, path: &str) {
        let entry = Entry {
            name: name(path),
            node: Node::Folder,
            note: None,
        };
        self.entries.insert(composed(path), entry);
    }

    pub fn set_note(&mut self, path: &str, note: Option<&str>) {
        for path in self.names_of(path) {
            if let Some(entry) = self.entries.get_mut(&composed(&path)) {
                entry.note = note.map(str::to_owned);
            }
        }
    }

    pub fn remove(&mut self, path: &str) {
        let path = composed(path);
        let stays = |known: &str| known != path && !is_below(known, &path);
        self.entries.retain(|known, _| stays(known));
        self.files.retain(|known, _| stays(known));
    }

    /// Copies over whatever is there; without its members when `shallow`.
    pub fn copy(&mut self, from: &str, to: &str, shallow: bool) {
        let source = composed(from);
        let is_copied = |path: &str| path == source || (!shallow && is_below(path, &source));
        let copied: Vec<(String, Entry)> = self
            .entries
            .iter()
            .filter(|(path, _)| is_copied(path))
            .map(|(path, entry)| (path[source.len()..].to_owned(), entry.clone()))
            .collect();
        // The copies are other files, with as many names among themselves.
        let mut numbers = BTreeMap::new();
        let mut files = Vec::new();
        for (path, file) in self.files.iter().filter(|(path, _)| is_copied(path)) {
            let number = *numbers.entry(*file).or_insert_with(|| {
                self.numbers += 1;
                self.numbers
            });
            files.push((path[source.len()..].to_owned(), number));
        }
        self.remove(to);
        self.arrive(to, copied, files);
    }

    /// Moves over whatever is there.
    pub fn rename(&mut self, from: &str, to: &str) {
        let source = composed(from);
        let moved: Vec<(String, Entry)> = self
            .entries
            .extract_if(.., |path, _| *path == source || is_below(path, &source))
            .map(|(path, entry)| (path[source.len()..].to_owned(), entry))
            .collect();
        let files: Vec<(String, u64)> = self
            .files
            .extract_if(.., |path, _| *path == source || is_below(path, &source))
            .map(|(path, file)| (path[source.len()..].to_owned(), file))
            .collect();
        self.remove(to);
        self.arrive(to, moved, files);
    }

    fn arrive(&mut self, to: &str, nodes: Vec<(String, Entry)>, files: Vec<(String, u64)>) {
        for (below, file) in files {
            self.files.insert(format!("{}{below}", composed(to)), file);
        }
        for (below, mut entry) in nodes {
            if below.is_empty() {
                entry.name = name(to);
            }
            self.entries
                .insert(format!("{}{below}", composed(to)), entry);
        }
    }

    /// The entries, each under the path as a listing shows it.
    pub fn shown(&self) -> BTreeMap<String, Entry> {
        let mut spelled: BTreeMap<&str, String> = BTreeMap::from([("", String::new())]);
        let mut shown = BTreeMap::new();
        for (path, entry) in &self.entries {
            let above = spelled.get(parent(path)).cloned().unwrap_or_default();
            let as_given = format!("{above}/{}", entry.name);
            spelled.insert(path, as_given.clone());
            shown.insert(as_given, entry.clone());
        }
        shown
    }
}
