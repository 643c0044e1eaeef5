//! A drive's tree as it should be: the oracle's and the model's.

use std::collections::BTreeMap;

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

    pub fn used_bytes(&self) -> u64 {
        let files = self.entries.values();
        files
            .map(|entry| match &entry.node {
                Node::File(content) => content.len() as u64,
                Node::Folder => 0,
            })
            .sum()
    }

    /// Sets a file's content; its name and property stay when it is there already.
    pub fn put(&mut self, path: &str, content: Bytes) {
        let entry = self.entries.entry(composed(path)).or_insert_with(|| Entry {
            name: name(path),
            node: Node::Folder,
            note: None,
        });
        entry.node = Node::File(content);
    }

    pub fn make_folder(&mut self, path: &str) {
        let entry = Entry {
            name: name(path),
            node: Node::Folder,
            note: None,
        };
        self.entries.insert(composed(path), entry);
    }

    pub fn set_note(&mut self, path: &str, note: Option<String>) {
        if let Some(entry) = self.entries.get_mut(&composed(path)) {
            entry.note = note;
        }
    }

    pub fn remove(&mut self, path: &str) {
        let path = composed(path);
        self.entries
            .retain(|known, _| *known != path && !is_below(known, &path));
    }

    /// Copies over whatever is there; without its members when `shallow`.
    pub fn copy(&mut self, from: &str, to: &str, shallow: bool) {
        let source = composed(from);
        let copied: Vec<(String, Entry)> = self
            .entries
            .iter()
            .filter(|(path, _)| **path == source || (!shallow && is_below(path, &source)))
            .map(|(path, entry)| (path[source.len()..].to_owned(), entry.clone()))
            .collect();
        self.remove(to);
        self.arrive(to, copied);
    }

    /// Moves over whatever is there.
    pub fn rename(&mut self, from: &str, to: &str) {
        let source = composed(from);
        let moved: Vec<(String, Entry)> = self
            .entries
            .extract_if(.., |path, _| *path == source || is_below(path, &source))
            .map(|(path, entry)| (path[source.len()..].to_owned(), entry))
            .collect();
        self.remove(to);
        self.arrive(to, moved);
    }

    fn arrive(&mut self, to: &str, nodes: Vec<(String, Entry)>) {
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
