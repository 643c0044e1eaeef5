//! The second client: it changes the drive at once, and nothing ever goes wrong for it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::MemoryDrive;
use super::tree::Kind;
use crate::drive::{Attributes, DrivePath, Error, ExtendedAttributes, Listed, Result};

/// Somebody else's hands on the drive. Paths are texts like `/a/b`.
pub struct Other<'a>(pub(super) &'a MemoryDrive);

/// What somebody looking at the drive sees at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The bytes of a file; `None` for a folder.
    pub content: Option<Bytes>,
    /// As kept.
    pub attributes: Attributes,
    /// Likewise.
    pub xattrs: ExtendedAttributes,
    /// The same for all names of one file.
    pub node: u64,
}

impl Other<'_> {
    /// Writes a file, made if it is not there; its attributes stay.
    pub fn write(&self, path: &str, content: impl Into<Bytes>) -> Result<()> {
        let content = content.into();
        self.0
            .mutate(|tree| tree.put(&at(path), content.clone()).map(drop))?;
        self.0.state().others.push(content);
        Ok(())
    }

    /// Makes a folder.
    pub fn make_folder(&self, path: &str) -> Result<()> {
        self.0.mutate(|tree| tree.make_folder(&at(path)).map(drop))
    }

    /// Moves; what is at `to` goes.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.0.mutate(|tree| tree.rename(&at(from), &at(to)))
    }

    /// Gives a file another name.
    pub fn bind(&self, existing: &str, new: &str) -> Result<()> {
        self.0.mutate(|tree| tree.bind(&at(existing), &at(new)))
    }

    /// Deletes, a folder with all that is in it.
    pub fn remove(&self, path: &str) -> Result<()> {
        self.0.mutate(|tree| tree.remove(&at(path)))
    }

    /// Sets what is kept about a file or folder.
    pub fn set_attributes(
        &self,
        path: &str,
        attributes: Attributes,
        xattrs: ExtendedAttributes,
    ) -> Result<()> {
        self.0.mutate(|tree| {
            let number = tree.must_find(&at(path))?;
            let node = tree.nodes.get_mut(&number).unwrap();
            node.modified_ns = attributes.mtime_ns.unwrap_or(node.modified_ns);
            (node.attributes, node.xattrs) = (attributes, xattrs);
            tree.touch(number);
            Ok(())
        })
    }

    /// All contents this client has written, also when it slipped in ([`super::Fault::Overtaken`]).
    pub fn written(&self) -> Vec<Bytes> {
        self.0.state().others.clone()
    }

    /// All contents that were there when this client wrote over them or deleted them.
    pub fn replaced(&self) -> Vec<Bytes> {
        self.0.state().replaced.clone()
    }

    /// The bytes of a file.
    pub fn read(&self, path: &str) -> Result<Bytes> {
        self.0.state().tree.file(&at(path)).cloned()
    }

    /// What the server says of it.
    pub fn listed(&self, path: &str) -> Result<Listed> {
        let state = self.0.state();
        state.tree.listed(&at(path), &state.can)
    }

    /// The names in a folder, sorted.
    pub fn names(&self, path: &str) -> Result<Vec<String>> {
        self.0.state().tree.members(&at(path))
    }

    /// Everything that there is, by path.
    pub fn everything(&self) -> BTreeMap<String, Seen> {
        let state = self.0.state();
        let see = |path: DrivePath| {
            let node = state.tree.find(&path).unwrap();
            let kept = &state.tree.nodes[&node];
            let seen = Seen {
                content: match &kept.kind {
                    Kind::File(bytes) => Some(bytes.clone()),
                    Kind::Folder(_) => None,
                },
                attributes: kept.attributes.clone(),
                xattrs: kept.xattrs.clone(),
                node,
            };
            (path.to_string(), seen)
        };
        state.tree.paths().into_iter().map(see).collect()
    }
}

/// The place a text like `/a/b` names.
pub(super) fn at(path: &str) -> DrivePath {
    let names = path.split('/').filter(|name| !name.is_empty());
    let path = DrivePath::new(names.map(str::to_owned).collect());
    path.ok_or(Error::Unsupported).unwrap()
}
