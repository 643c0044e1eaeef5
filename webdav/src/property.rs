//! The live properties, one row each, and how a question about properties is answered.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use http::StatusCode;
use store::{DriveLocks, Entry, Node, NodeId, Property, PropertyNames, Store, Usage};

use crate::dispatch::Dav;
use crate::grammar::date;
use crate::grammar::depth::Depth;
use crate::grammar::lockinfo::{ActiveLock, SUPPORTED_LOCK, Scope};
use crate::grammar::multistatus::{Prefixes, Writer};
use crate::grammar::namespace::{OWNCLOUD, POSIX};
use crate::grammar::path::encode_into;
use crate::grammar::propfind::Propfind;
use crate::grammar::xml::{Name, escape_text};
use crate::media;
use crate::request::{Call, modified_at_s};

/// What multistatus bodies declare besides `D`.
pub(crate) const PREFIXES: Prefixes = &[("o", OWNCLOUD), ("p", POSIX)];

/// The POSIX attributes, which clients set; see [`is_protected`].
pub(crate) const ATTRIBUTES: Name = Name::constant(POSIX, "attributes");

/// A property that is computed.
pub(crate) struct Live {
    /// Its expanded name.
    pub name: Name,
    /// Its name in our documents.
    tag: &'static str,
    /// Whether `allprop` asks for it. RFC 4918 would have `supportedlock` there too, but that is as
    /// long as all others together, and Explorer refuses listings of more than a megabyte.
    in_allprop: bool,
    /// What it wants to know besides the node.
    needs: Needs,
    /// Appends the value; `false` where the property is not defined.
    write: fn(&Subject<'_>, &mut Vec<u8>) -> bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    Usage,
    Cursor,
    Locks,
    Names,
}

const fn dav(
    local: &'static str,
    tag: &'static str,
    in_allprop: bool,
    needs: Needs,
    write: fn(&Subject<'_>, &mut Vec<u8>) -> bool,
) -> Live {
    Live {
        name: Name::dav(local),
        tag,
        in_allprop,
        needs,
        write,
    }
}

const fn owncloud(
    local: &'static str,
    tag: &'static str,
    write: fn(&Subject<'_>, &mut Vec<u8>) -> bool,
) -> Live {
    Live {
        name: Name::constant(OWNCLOUD, local),
        tag,
        in_allprop: false,
        needs: Needs::Nothing,
        write,
    }
}

/// Every live property.
#[rustfmt::skip]
static LIVE: [Live; 21] = [
    // RFC 4918 §15
    dav("resourcetype", "D:resourcetype", true, Needs::Nothing, resource_type),
    dav("displayname", "D:displayname", true, Needs::Nothing, |s, out| { escape_text(out, s.name); true }),
    dav("getcontentlength", "D:getcontentlength", true, Needs::Nothing, content_length),
    dav("getlastmodified", "D:getlastmodified", true, Needs::Nothing, |s, out| { date::write_imf(out, modified_at_s(s.node)); true }),
    dav("creationdate", "D:creationdate", true, Needs::Nothing, |s, out| { date::write_iso(out, s.node.created_ns.div_euclid(1_000_000_000)); true }),
    dav("getetag", "D:getetag", true, Needs::Nothing, |s, out| { write_etag(out, s.node); true }),
    dav("getcontenttype", "D:getcontenttype", true, Needs::Nothing, content_type),
    dav("lockdiscovery", "D:lockdiscovery", true, Needs::Locks, lock_discovery),
    dav("supportedlock", "D:supportedlock", false, Needs::Nothing, |_, out| put(out, SUPPORTED_LOCK)),
    // RFC 4331 §3
    dav("quota-available-bytes", "D:quota-available-bytes", false, Needs::Usage, |s, out| quota(s, out, Usage::free_bytes)),
    dav("quota-used-bytes", "D:quota-used-bytes", false, Needs::Usage, |s, out| quota(s, out, Usage::firm_bytes)),
    // RFC 3253 §3.1.5, RFC 6578 §4
    dav("supported-report-set", "D:supported-report-set", false, Needs::Nothing, report_set),
    dav("sync-token", "D:sync-token", false, Needs::Cursor, sync_token),
    // RFC 5842 §3.1
    dav("resource-id", "D:resource-id", false, Needs::Nothing, resource_id),
    // ownCloud's, which rclone and other sync clients ask for
    owncloud("id", "o:id", |s, out| { write_hex(out, s.node.id.as_bytes()); true }),
    owncloud("fileid", "o:fileid", |s, out| { write_hex(out, s.node.id.as_bytes()); true }),
    owncloud("checksums", "o:checksums", checksums),
    owncloud("size", "o:size", content_length),
    owncloud("permissions", "o:permissions", permissions),
    // What a mounted drive keeps, which is no part of allprop
    Live { name: ATTRIBUTES, tag: "p:attributes", in_allprop: false, needs: Needs::Nothing, write: attributes },
    Live { name: Name::constant(POSIX, "links"), tag: "p:links", in_allprop: false, needs: Needs::Names, write: links },
];

/// The live property of a name.
pub(crate) fn live(name: &Name) -> Option<&'static Live> {
    LIVE.iter().find(|live| live.name == *name)
}

/// Whether clients may not set it. `getlastmodified` sets the file's time, so it is not here, and
/// attributes are the client's own.
pub(crate) fn is_protected(name: &Name) -> bool {
    live(name).is_some() && !name.is_dav("getlastmodified") && *name != ATTRIBUTES
}

/// A node whose properties are asked for.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The node.
    pub node: &'a Node,
    /// Its last name.
    pub name: &'a str,
    /// Whether it is the caller's root, which cannot be moved or deleted.
    pub is_root: bool,
    /// The nodes above it, from the caller's root down.
    pub chain: &'a [NodeId],
    /// Its dead properties, as far as they are wanted.
    pub dead: &'a [Property],
    /// What it shares with others.
    pub facts: &'a Facts,
}

/// What the properties of all nodes in an answer have in common.
pub(crate) struct Facts {
    usage: Option<Usage>,
    cursor: Option<i64>,
    locks: DriveLocks,
    now_ms: i64,
    drive: store::DriveId,
    /// Whether the nodes lie in the drive, or above it.
    is_in_drive: bool,
    is_read_only: bool,
    /// Whether `locks` are those of the nodes' drive.
    knows_locks: bool,
    base: String,
    /// What a caller that is confined to a folder is told instead of a lock's root.
    own_href: Option<String>,
    names: Counted,
}

/// How many of a file's names are told.
enum Counted {
    /// All that it has.
    All,
    /// To a caller that is confined to a folder, those below it: of files that have several.
    Below(NodeId, HashMap<NodeId, u64>),
    /// The one by which it is told.
    One,
}

impl Facts {
    /// Asks the store for what the properties wanted need; nothing more.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn gather(call: &Call<'_>, wanted: &Wanted) -> store::Result<Self> {
        let store = call.store();
        let usage = if wanted.needs(Needs::Usage) && !hides_quota(call.dav, call) {
            Some(store.usage(call.caller).await?)
        } else {
            None
        };
        let cursor = if wanted.needs(Needs::Cursor) {
            Some(store.change_cursor(call.caller).await?)
        } else {
            None
        };
        let locks = if wanted.needs(Needs::Locks) {
            store.locks(call.caller).await?
        } else {
            DriveLocks::default()
        };
        let own_href =
            (!call.caller.whole_drive).then(|| call.target.href(call.target.trailing_slash));
        Ok(Self {
            usage,
            cursor,
            locks,
            now_ms: call.dav.options().world.now_ms(),
            drive: call.caller.drive,
            is_in_drive: true,
            is_read_only: call.caller.read_only,
            knows_locks: true,
            base: call.target.base.clone(),
            own_href,
            names: if call.caller.whole_drive || !wanted.needs(Needs::Names) {
                Counted::All
            } else {
                Counted::Below(call.caller.root, HashMap::new())
            },
        })
    }

    /// Asks the store for what must be known of this node, and of those that are `next` along with it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn see<'a>(
        &mut self,
        store: &Store,
        node: &Node,
        next: impl Iterator<Item = &'a Node> + Send,
    ) -> store::Result<()> {
        let Counted::Below(root, known) = &mut self.names else {
            return Ok(());
        };
        if node.links == 1 || known.contains_key(&node.id) {
            return Ok(());
        }
        // The same file comes again under its other names, but a listing may be of any length.
        if known.len() >= store::PAGE as usize {
            known.clear();
        }
        let next = next.filter(|node| node.links > 1).map(|node| node.id);
        let nodes = std::iter::once(node.id).chain(next.take(store::PAGE as usize));
        let nodes: BTreeSet<NodeId> = nodes.filter(|id| !known.contains_key(id)).collect();
        let nodes = nodes.into_iter().collect();
        known.extend(store.names_below(self.drive, *root, nodes).await?);
        Ok(())
    }
}

impl Facts {
    /// For collections that only lead to the drive: nothing can be done there but looking.
    pub fn above_the_drive(self) -> Self {
        Self {
            cursor: None,
            is_in_drive: false,
            is_read_only: true,
            ..self
        }
    }

    /// For things that lie in the drives of several others: of their locks nothing is known here.
    pub fn of_others(self) -> Self {
        Self {
            usage: None,
            knows_locks: false,
            names: Counted::One,
            ..self.above_the_drive()
        }
    }

    /// For one of them, which may be changed or only be read.
    pub fn may_write(&mut self, may_write: bool) {
        self.is_read_only = !may_write;
    }
}

fn hides_quota(dav: &Dav, call: &Call<'_>) -> bool {
    let agent = call.headers().get(http::header::USER_AGENT);
    let agent = agent.and_then(|agent| agent.to_str().ok());
    let hidden = &dav.options().hide_quota_from;
    agent.is_some_and(|agent| hidden.iter().any(|from| agent.starts_with(from.as_str())))
}

/// Which properties are wanted.
pub(crate) struct Wanted {
    items: Vec<Item>,
    all_dead: bool,
    names_only: bool,
}

struct Item {
    property: Which,
    /// Whether its absence is reported: only of what was asked for by name.
    by_name: bool,
}

enum Which {
    Live(&'static Live),
    Dead(Name),
}

impl Wanted {
    /// Looks the names up.
    pub fn new(question: Propfind) -> Self {
        let asked = |name: Name| Item {
            property: live(&name).map_or_else(|| Which::Dead(name), Which::Live),
            by_name: true,
        };
        let implied = |live| Item {
            property: Which::Live(live),
            by_name: false,
        };
        match question {
            Propfind::Prop(names) => Self {
                items: names.into_iter().map(asked).collect(),
                all_dead: false,
                names_only: false,
            },
            Propfind::AllProp { include } => {
                let all = LIVE.iter().filter(|live| live.in_allprop);
                let more = include
                    .into_iter()
                    .filter(|name| !live(name).is_some_and(|live| live.in_allprop));
                Self {
                    items: all.map(implied).chain(more.map(asked)).collect(),
                    all_dead: true,
                    names_only: false,
                }
            }
            Propfind::PropName => Self {
                items: LIVE.iter().map(implied).collect(),
                all_dead: true,
                names_only: true,
            },
        }
    }

    /// Adds quota and usage where they are defined, without reporting them missing elsewhere.
    pub fn with_quota(mut self) -> Self {
        let quota = LIVE.iter().filter(|live| live.needs == Needs::Usage);
        self.items.extend(quota.map(|live| Item {
            property: Which::Live(live),
            by_name: false,
        }));
        self
    }

    /// The dead properties that must be read.
    pub fn dead(&self) -> Option<PropertyNames> {
        if self.all_dead {
            return Some(PropertyNames::All);
        }
        let dead = self.items.iter().filter_map(|item| match &item.property {
            Which::Dead(name) => Some((name.namespace.to_string(), name.local.to_string())),
            Which::Live(_) => None,
        });
        let names: Arc<[_]> = dead.collect();
        (!names.is_empty()).then_some(PropertyNames::These(names))
    }

    fn needs(&self, what: Needs) -> bool {
        self.items
            .iter()
            .any(|item| matches!(item.property, Which::Live(live) if live.needs == what))
    }

    /// Writes the propstats of one node and ends its response, whose href stands already.
    pub fn answer(&self, writer: &mut Writer, subject: &Subject<'_>, missing: &mut Vec<usize>) {
        missing.clear();
        let before = writer.len();
        writer.propstat_open();
        let opened = writer.len();
        for (index, item) in self.items.iter().enumerate() {
            let found = match &item.property {
                Which::Live(live) if self.names_only => write_name(live, subject, writer),
                Which::Live(live) => write_value(live, subject, writer.buffer()),
                Which::Dead(name) => self.write_dead(name, subject, writer),
            };
            if !found && item.by_name {
                missing.push(index);
            }
        }
        if self.all_dead {
            for property in subject.dead {
                if self.names_only {
                    writer.empty_name(&Name::new(&property.namespace, &property.name));
                } else {
                    writer.raw_prop(property.value.as_bytes());
                }
            }
        }
        if writer.len() == opened && !missing.is_empty() {
            writer.buffer().truncate(before);
        } else {
            writer.propstat_close(StatusCode::OK);
        }
        if !missing.is_empty() {
            writer.propstat_open();
            for &index in &*missing {
                match &self.items[index].property {
                    Which::Live(live) => writer.empty_prop(live.tag),
                    Which::Dead(name) => writer.empty_name(name),
                }
            }
            writer.propstat_close(StatusCode::NOT_FOUND);
        }
        writer.response_close();
    }

    fn write_dead(&self, name: &Name, subject: &Subject<'_>, writer: &mut Writer) -> bool {
        let same = |property: &&Property| {
            property.name == name.local && property.namespace == name.namespace
        };
        let found = subject.dead.iter().find(same);
        if let Some(property) = found
            && !self.all_dead
        {
            writer.raw_prop(property.value.as_bytes());
        }
        found.is_some()
    }
}

fn write_value(live: &Live, subject: &Subject<'_>, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.push(b'<');
    out.extend_from_slice(live.tag.as_bytes());
    out.push(b'>');
    let opened = out.len();
    if !(live.write)(subject, out) {
        out.truncate(start);
        return false;
    }
    if out.len() == opened {
        out.truncate(opened - 1);
        out.extend_from_slice(b"/>");
    } else {
        out.extend_from_slice(b"</");
        out.extend_from_slice(live.tag.as_bytes());
        out.push(b'>');
    }
    true
}

fn write_name(live: &Live, subject: &Subject<'_>, writer: &mut Writer) -> bool {
    let out = writer.buffer();
    let start = out.len();
    let is_defined = (live.write)(subject, out);
    out.truncate(start);
    if is_defined {
        writer.empty_prop(live.tag);
    }
    is_defined
}

fn put(out: &mut Vec<u8>, text: &str) -> bool {
    out.extend_from_slice(text.as_bytes());
    true
}

fn resource_type(subject: &Subject<'_>, out: &mut Vec<u8>) -> bool {
    if subject.node.is_folder() {
        put(out, "<D:collection/>");
    }
    true
}

fn content_length(subject: &Subject<'_>, out: &mut Vec<u8>) -> bool {
    if subject.node.is_folder() {
        return false;
    }
    write_number(out, subject.node.size_bytes);
    true
}

fn content_type(subject: &Subject<'_>, out: &mut Vec<u8>) -> bool {
    !subject.node.is_folder() && put(out, media::of_name(subject.name).media_type)
}

fn lock_discovery(subject: &Subject<'_>, out: &mut Vec<u8>) -> bool {
    let facts = subject.facts;
    if !facts.knows_locks {
        return false;
    }
    if facts.locks.is_empty() {
        return true;
    }
    for lock in facts.locks.covering(subject.node, subject.chain) {
        let root_href = facts.own_href.clone().unwrap_or_else(|| {
            let mut href = facts.base.clone().into_bytes();
            encode_into(&mut href, &lock.path);
            // Only folders lie above the node.
            let is_folder = subject.node.is_folder() || !lock.is_on(subject.node);
            if is_folder && !href.ends_with(b"/") {
                href.push(b'/');
            }
            String::from_utf8(href).expect("the escaped form is ASCII")
        });
        let left_s = (lock.expires_at - facts.now_ms).div_euclid(1000);
        ActiveLock {
            scope: if lock.is_exclusive {
                Scope::Exclusive
            } else {
                Scope::Shared
            },
            depth: if lock.is_deep {
                Depth::Infinity
            } else {
                Depth::Zero
            },
            owner_xml: lock.owner_xml.as_deref(),
            timeout_s: u32::try_from(left_s.max(0)).unwrap_or(u32::MAX),
            // Knowing it is not enough: it must be sent by whoever holds the lock.
            token: Some(&lock.token),
            root_href: &root_href,
        }
        .write(out);
    }
    true
}

/// Whether it is a folder that has no place in the store.
fn is_fixed(node: &Node) -> bool {
    node.id.as_bytes() == [0; 16]
}

/// The same numbers for every collection: the drive has one quota.
fn quota(subject: &Subject<'_>, out: &mut Vec<u8>, number: fn(&Usage) -> u64) -> bool {
    match &subject.facts.usage {
        Some(usage) if subject.node.is_folder() => {
            write_number(out, number(usage));
            true
        }
        _ => false,
    }
}

fn report_set(subject: &Subject<'_>, out: &mut Vec<u8>) -> bool {
    subject.node.is_folder()
        && subject.facts.is_in_drive
        && !is_fixed(subject.node)
        && put(
            out,
            "<D:supported-report><D:report><D:sync-collection/></D:report></D:supported-report>",
        )
}

fn sync_token(subject: &Subject<'_>, out: &mut Vec<u8>) -> bool {
    match subject.facts.cursor {
        Some(cursor) if subject.node.is_folder() && !is_fixed(subject.node) => {
            put(out, &token_of(subject.facts.drive, cursor))
        }
        _ => false,
    }
}

/// The sync token of a state of a drive (RFC 6578 §4): a URI that only we can read.
pub(crate) fn token_of(drive: store::DriveId, cursor: i64) -> String {
    format!("urn:x-coffer:sync:{drive}:{cursor}")
}

/// The cursor in a token that [`token_of`] made for this drive.
pub(crate) fn cursor_of(drive: store::DriveId, token: &str) -> Option<i64> {
    let rest = token.strip_prefix("urn:x-coffer:sync:")?;
    let (of, cursor) = rest.rsplit_once(':')?;
    let cursor = cursor.parse().ok().filter(|cursor| *cursor >= 0)?;
    (of.parse() == Ok(drive)).then_some(cursor)
}

/// All that are known in one element, as ownCloud writes them; ours last, which it does not have.
fn checksums(subject: &Subject<'_>, out: &mut Vec<u8>) -> bool {
    let Some(content) = subject.node.content() else {
        return false;
    };
    let mut separator = "<o:checksum>";
    let mut put_one = |name: &str, digest: &[u8]| {
        put(out, separator);
        put(out, name);
        write_hex(out, digest);
        separator = " ";
    };
    if let Some(checksums) = content.checksums() {
        put_one("SHA1:", checksums.sha1());
        put_one("MD5:", checksums.md5());
        put_one("ADLER32:", checksums.adler32());
    }
    if let Some(digest) = content.sha256 {
        put_one("SHA256:", digest.as_bytes());
    }
    separator == " " && put(out, "</o:checksum>")
}

/// How many names a file has, where the caller may go.
fn links(subject: &Subject<'_>, out: &mut Vec<u8>) -> bool {
    if subject.node.is_folder() {
        return false;
    }
    let links = match &subject.facts.names {
        Counted::All => subject.node.links,
        Counted::Below(_, known) => known.get(&subject.node.id).copied().unwrap_or(1),
        Counted::One => 1,
    };
    write_number(out, links);
    true
}

/// The same under each name, and of no other resource.
fn resource_id(subject: &Subject<'_>, out: &mut Vec<u8>) -> bool {
    !is_fixed(subject.node)
        && put(
            out,
            &format!("<D:href>urn:uuid:{}</D:href>", subject.node.id),
        )
}

fn attributes(subject: &Subject<'_>, out: &mut Vec<u8>) -> bool {
    let Some(attributes) = &subject.node.attributes else {
        return false;
    };
    escape_text(out, attributes.as_str());
    true
}

/// `G` read, `D` delete, `N` rename, `V` move, `W` write a file, `C` make files, `K` make folders.
fn permissions(subject: &Subject<'_>, out: &mut Vec<u8>) -> bool {
    let letters = match (subject.facts.is_read_only, subject.node.is_folder()) {
        (true, _) => "G",
        _ if is_fixed(subject.node) => "G",
        (false, false) => "GDNVW",
        (false, true) if subject.is_root => "GCK",
        (false, true) => "GDNVCK",
    };
    put(out, letters)
}

/// Appends the entity tag with its quotes, as [`Node::etag`] has it.
pub(crate) fn write_etag(out: &mut Vec<u8>, node: &Node) {
    out.push(b'"');
    match &node.kind {
        store::Kind::File(content) => write_hex(out, content.tag.as_bytes()),
        store::Kind::Folder { child_number } => {
            write_hex(out, node.id.as_bytes());
            out.push(b'-');
            write_number(out, child_number.unsigned_abs());
        }
    }
    out.push(b'"');
}

/// Appends lower-case digits.
pub(crate) fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // Most are digests: one copy of 64 digits costs less than 32 of two.
    let mut text = [0; 64];
    for piece in bytes.chunks(text.len() / 2) {
        for (pair, byte) in text.chunks_exact_mut(2).zip(piece) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        out.extend_from_slice(&text[..2 * piece.len()]);
    }
}

fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// An entry of a listing as a subject.
pub(crate) fn of_entry<'a>(
    entry: &'a Entry,
    chain: &'a [NodeId],
    dead: &'a [Property],
    facts: &'a Facts,
) -> Subject<'a> {
    Subject {
        node: &entry.node,
        name: &entry.name,
        is_root: false,
        chain,
        dead,
        facts,
    }
}

/// The name that a path shows: the drive's root shows its owner's.
pub(crate) fn display_name(call: &Call<'_>) -> Arc<str> {
    match call.name() {
        Some(name) => Arc::from(name.as_str()),
        None => Arc::clone(&call.caller.username),
    }
}
