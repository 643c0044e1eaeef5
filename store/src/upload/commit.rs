//! The transaction that makes a content the content of a file.

use super::{Ticket, Written};
use crate::attributes::Attributes;
use crate::change::ChangeKind;
use crate::checksums::Checksums;
use crate::condition::Condition;
use crate::content::{Content, ContentBody};
use crate::db::Tx;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::folder;
use crate::free_name;
use crate::id::{NodeId, ReservationId};
use crate::mutation::{Place, Scene};
use crate::node::rows::FileRow;
use crate::node::{self, Kind, Node};
use crate::path::Path;
use crate::quota::Lease;
use crate::reference;
use crate::store::{Limits, VersionOptions};
use crate::version;

/// An upload whose content is stored, but not yet anybody's.
pub struct Complete {
    ticket: Ticket,
    content: Content,
    checksums: Option<Checksums>,
    attributes: Option<Attributes>,
}

impl Complete {
    pub(super) fn new(ticket: Ticket, content: Content) -> Self {
        Self {
            ticket,
            content,
            checksums: None,
            attributes: None,
        }
    }

    /// Digest of the whole content; `None` for a large ranged write.
    pub fn sha256(&self) -> Option<Digest> {
        self.content.sha256
    }

    /// Has these digests of the whole content kept with the file.
    pub fn keep(&mut self, checksums: Checksums) {
        self.checksums = Some(checksums);
    }

    /// Has the file have these attributes; an `mtime` among them is its time.
    pub fn describe(&mut self, attributes: Attributes) {
        self.attributes = Some(attributes);
    }

    /// Makes the content that of the path, all checks being made again in the
    /// same transaction.
    ///
    /// # Errors
    /// As for [`crate::Store::begin_upload`]; [`Error::Busy`] when a ranged write's
    /// file was changed meanwhile.
    pub async fn commit(self, modified_ns: Option<i64>) -> Result<Written> {
        let Self {
            ticket,
            content,
            checksums,
            attributes,
        } = self;
        let Ticket {
            store,
            caller,
            path,
            condition,
            mut lease,
            make_parents,
            base,
            pinned,
            _place,
        } = ticket;
        let reservation = lease.as_ref().map(Lease::id);
        let asked = store.clone();
        let written = asked
            .write_with_room(move |tx| {
                let mut scene = Scene::enter_to_add(tx, &caller, store.world())?;
                let options = store.options();
                let order = Order {
                    path: &path,
                    condition: &condition,
                    make_parents,
                    base,
                };
                let new = New {
                    content: &content,
                    is_held: false,
                    limits: &options.limits,
                    versions: Some(&options.versions),
                    checksums,
                    attributes: attributes.as_ref(),
                    reservation,
                    modified_ns,
                };
                write(tx, &mut scene, &order, &new)
            })
            .await?;
        if let Some(lease) = &mut lease {
            lease.settled();
        }
        pinned.referred_to();
        Ok(written)
    }
}

/// Where a content goes, and what must be so.
pub(crate) struct Order<'a> {
    pub path: &'a Path,
    pub condition: &'a Condition,
    pub make_parents: bool,
    /// A ranged write builds on this content of this file, and no other.
    pub base: Option<(NodeId, Digest)>,
}

/// Makes a content that of a path, all checks being made in this transaction.
///
/// # Errors
/// As for [`Complete::commit`].
pub(crate) fn write(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    order: &Order<'_>,
    new: &New<'_>,
) -> Result<Written> {
    let mut place = place_for(tx, scene, order.path)?;
    let old = admit(tx, scene, &place, order.condition, order.make_parents)?.cloned();
    if let Some(base) = order.base
        && old.as_ref().and_then(|n| Some((n.id, n.content()?.tag))) != Some(base)
    {
        return Err(Error::Busy);
    }
    if order.make_parents && old.is_none() {
        place = folder::make_parents(tx, scene, place, new.limits)?;
    }
    let node = match &old {
        Some(old) => {
            // Of what is written piece by piece not every piece is a version.
            let versions = new.versions.filter(|_| order.base.is_none());
            replace(tx, scene, versions, order.path, old, new)?
        }
        None => insert_new(tx, scene, &place, new)?,
    };
    scene.settle(tx)?;
    Ok(Written {
        node,
        created: old.is_none(),
    })
}

/// Where an upload to a path goes: who comes by a link replaces nothing, so it goes beside what is
/// there.
pub(super) fn place_for(tx: &mut Tx<'_>, scene: &Scene<'_>, path: &Path) -> Result<Place> {
    let place = Place::find(tx, scene, path)?;
    if scene.caller.link().is_some() && place.node().is_some() {
        return free_name::place_beside(tx, scene, path);
    }
    Ok(place)
}

/// Whether a file may be written here; the file that it would replace.
pub(super) fn admit<'p>(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    place: &'p Place,
    condition: &Condition,
    make_parents: bool,
) -> Result<Option<&'p Node>> {
    scene.check(tx, condition, place)?;
    if let Some(node) = place.node() {
        if node.is_folder() {
            return Err(Error::IsFolder);
        }
        scene.require(condition, node.id, place.ancestors())?;
        return Ok(Some(node));
    }
    let folder = if make_parents {
        place.nearest_folder()?
    } else {
        place.parent()?
    };
    scene.require(condition, folder.id, place.ancestors_of_parent())?;
    scene.require_reachable(place.path(), 0, 0)?;
    Ok(None)
}

/// New content and how it is paid for.
pub(crate) struct New<'a> {
    pub content: &'a Content,
    /// Whether its blobs have the reference already that the file is to have.
    pub is_held: bool,
    pub limits: &'a Limits,
    /// Whether the content that it replaces is kept.
    pub versions: Option<&'a VersionOptions>,
    pub checksums: Option<Checksums>,
    /// Attributes besides; those that the file has stay where there are none.
    pub attributes: Option<&'a Attributes>,
    pub reservation: Option<ReservationId>,
    pub modified_ns: Option<i64>,
}

/// Makes a new file at a place whose parent exists; for content without reservation.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    place: &Place,
    content: &Content,
    limits: &Limits,
) -> Result<Node> {
    insert_new(
        tx,
        scene,
        place,
        &New {
            content,
            is_held: false,
            limits,
            versions: None,
            checksums: None,
            attributes: None,
            reservation: None,
            modified_ns: None,
        },
    )
}

fn insert_new(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    place: &Place,
    new: &New<'_>,
) -> Result<Node> {
    let (parent, now_ns) = (place.parent()?.id, scene.now_ns());
    let file = file_row(tx, scene, new)?;
    let id = NodeId::new(scene.world);
    node::rows::insert_file(tx, id, scene.drive.id, &file, now_ns)?;
    node::rows::insert_entry(tx, parent, place.name()?, id)?;
    node::rows::membership_changed(tx, parent, now_ns)?;
    scene.drive.usage.files += 1;
    scene.drive.add_nodes(1, new.limits)?;
    count_attributes(scene, 0, new)?;
    scene.fit_trash(tx, new.limits)?;
    scene.charge(tx, 0, file.size_bytes, new.reservation)?;
    scene.record(tx, ChangeKind::Changed, id, place.path())?;
    scene.touch(tx, place.path());
    Ok(Node {
        id,
        drive: scene.drive.id,
        kind: Kind::File(file.content),
        size_bytes: file.size_bytes,
        links: 1,
        property_count: 0,
        created_ns: now_ns,
        modified_ns: file.modified_ns,
        attributes: file.attributes,
    })
}

/// Gives a file another content; the one it had becomes a version, if `versions` says so.
fn replace(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    versions: Option<&VersionOptions>,
    path: &Path,
    old: &Node,
    new: &New<'_>,
) -> Result<Node> {
    let mut file = file_row(tx, scene, new)?;
    // The same bytes again, sent without: what is known of them stays true.
    if let Some(before) = old.content().filter(|c| c.sha256 == file.content.sha256)
        && before.sha256.is_some()
    {
        file.content.kept = file.content.kept.or(before.kept);
    }
    node::rows::replace_content(tx, old.id, &file)?;
    if new.attributes.is_some() {
        count_attributes(scene, old.attributes_bytes(), new)?;
        scene.fit_trash(tx, new.limits)?;
    }
    // A drive over its limit may still make a file smaller, and keeps nothing for that.
    let usage = scene.drive.usage;
    let has_room = usage.firm_bytes() + usage.reserved_bytes <= usage.limit_bytes;
    let is_kept = match versions.filter(|_| has_room) {
        Some(options) => version::keep(tx, scene, options, old, &file.content)?,
        None => false,
    };
    let released_bytes = if is_kept { 0 } else { old.size_bytes };
    if !is_kept {
        let body = old.content().map(|content| content.body);
        reference::release(tx, body, scene.now_ms())?;
    }
    scene.charge(tx, released_bytes, file.size_bytes, new.reservation)?;
    scene.changed(tx, old, path)?;
    Ok(Node {
        kind: Kind::File(file.content),
        size_bytes: file.size_bytes,
        modified_ns: file.modified_ns,
        attributes: file.attributes.or_else(|| old.attributes.clone()),
        ..old.clone()
    })
}

/// Counts new attributes, in place of so many bytes of old ones.
fn count_attributes(scene: &mut Scene<'_>, old_bytes: u64, new: &New<'_>) -> Result<()> {
    let Some(attributes) = new.attributes else {
        return Ok(());
    };
    let drive = &mut scene.drive;
    drive.change_properties(old_bytes, attributes.size_bytes(), new.limits)
}

fn file_row(tx: &mut Tx<'_>, scene: &Scene<'_>, new: &New<'_>) -> Result<FileRow> {
    let mut content = if new.is_held {
        reference::adopt(tx, scene.world, new.content)?
    } else {
        reference::add(tx, scene.world, new.content)?
    };
    content.kept = new.checksums;
    Ok(FileRow {
        size_bytes: new.content.size_bytes,
        content,
        modified_ns: new
            .attributes
            .and_then(Attributes::modified_ns)
            .or(new.modified_ns)
            .unwrap_or(scene.now_ns()),
        attributes: new.attributes.cloned(),
    })
}

/// No bytes at all: what LOCK makes where nothing is.
pub(crate) fn empty() -> Content {
    Content {
        sha256: Some(Digest::EMPTY),
        size_bytes: 0,
        body: ContentBody::Empty,
    }
}
