//! Every member of a folder, each before its own members, in the order of their names.
//!
//! Without recursion, holding a few pages at most, and able to go on behind any path: a listing
//! can be cut off anywhere and continued by another request.

use store::{Caller, Entry, Name, NodeId, Path, Property, PropertyNames, Store};

use crate::dead::DeadProperties;

/// Entries kept while their siblings' members are listed; beyond, a page is read again.
const MOST_HELD: usize = 4 * store::PAGE as usize;
/// Bytes of their dead properties kept meanwhile.
const MOST_HELD_BYTES: usize = 4 * store::PROPERTY_BATCH_BYTES;

/// A listing under way.
pub(super) struct Walk {
    store: Store,
    /// The folder listed, from the target of the request, without slashes at its ends.
    pub root: String,
    /// The last member told, from `root`; empty before the first.
    pub last: String,
    is_deep: bool,
    dead: Option<PropertyNames>,
    /// Ids above the members of the innermost folder, from the caller's root down.
    chain: Vec<NodeId>,
    frames: Vec<Frame>,
}

/// A folder that is being listed.
struct Frame {
    folder: NodeId,
    /// From the root of the walk.
    path: String,
    entries: std::vec::IntoIter<Entry>,
    /// The name behind which the page after `entries` begins; none when there is none.
    next: Option<String>,
    dead: DeadProperties,
}

/// One member.
pub(super) struct Member {
    /// From the root of the walk, names joined by `/`.
    pub path: String,
    /// The member.
    pub entry: Entry,
    /// The nodes above it, from the caller's root down.
    pub chain: Vec<NodeId>,
    /// Its dead properties.
    pub dead: Vec<Property>,
}

impl Walk {
    /// Lists the folder `found` at `root`.
    pub fn new(
        store: &Store,
        root: String,
        found: &store::Found,
        is_deep: bool,
        dead: Option<PropertyNames>,
    ) -> Self {
        let mut walk = Self {
            store: store.clone(),
            root,
            last: String::new(),
            is_deep,
            dead,
            chain: found.above.clone(),
            frames: Vec::new(),
        };
        walk.enter(found.node.id, String::new());
        walk
    }

    /// Goes on behind `after`, a path from the root of the walk, which lies at `at`. Whatever of
    /// it is gone by now is passed over: its siblings follow.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn go_behind(
        &mut self,
        caller: &Caller,
        at: &Path,
        after: &str,
    ) -> store::Result<()> {
        let mut path = at.clone();
        let mut walked = String::new();
        for name in after.split('/').filter(|name| !name.is_empty()) {
            let name = Name::new(name)?;
            if let Some(frame) = self.frames.last_mut() {
                frame.next = Some(name.nfc().to_owned());
            }
            push(&mut walked, name.as_str());
            path.push(name)?;
            let found = self.store.find(caller, &path).await?;
            match found {
                Some(found) if self.is_deep && found.node.is_folder() => {
                    self.enter(found.node.id, walked.clone());
                }
                _ => break,
            }
        }
        after.clone_into(&mut self.last);
        Ok(())
    }

    /// The next member.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn next(&mut self) -> store::Result<Option<Member>> {
        loop {
            let Some(frame) = self.frames.last_mut() else {
                return Ok(None);
            };
            if let Some(entry) = frame.entries.next() {
                let mut path = frame.path.clone();
                push(&mut path, &entry.name);
                let next = frame.entries.as_slice().iter().map(|entry| &entry.node);
                let dead = frame.dead.of(&self.store, &entry.node, next).await?;
                let chain = self.chain.clone();
                if self.is_deep && entry.node.is_folder() {
                    self.let_go(&entry.name)?;
                    self.enter(entry.node.id, path.clone());
                }
                return Ok(Some(Member {
                    path,
                    entry,
                    chain,
                    dead,
                }));
            }
            if let Some(after) = frame.next.take() {
                self.read(after).await?;
            } else {
                self.frames.pop();
                self.chain.pop();
            }
        }
    }

    fn enter(&mut self, folder: NodeId, path: String) {
        self.chain.push(folder);
        self.frames.push(Frame {
            folder,
            path,
            entries: Vec::new().into_iter(),
            // Every name comes after this one.
            next: Some(String::new()),
            dead: DeadProperties::new(self.dead.clone()),
        });
    }

    /// Forgets what is left of the current page, if too much is held altogether.
    fn let_go(&mut self, at: &str) -> store::Result<()> {
        let held: usize = self.frames.iter().map(|frame| frame.entries.len()).sum();
        if held > MOST_HELD
            && let Some(frame) = self.frames.last_mut()
        {
            frame.entries = Vec::new().into_iter();
            frame.next = Some(Name::new(at)?.nfc().to_owned());
        }
        let held_bytes: usize = self
            .frames
            .iter()
            .map(|frame| frame.dead.held_bytes())
            .sum();
        if held_bytes > MOST_HELD_BYTES {
            for frame in &mut self.frames {
                frame.dead.let_go();
            }
        }
        Ok(())
    }

    async fn read(&mut self, after: String) -> store::Result<()> {
        let Some(frame) = self.frames.last_mut() else {
            return Ok(());
        };
        let page = self.store.list(frame.folder, Some(after)).await?;
        frame.entries = page.entries.into_iter();
        frame.next = page.next;
        Ok(())
    }
}

/// Adds a name to a path.
fn push(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('/');
    }
    path.push_str(name);
}
