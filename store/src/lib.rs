//! Everything of Coffer that survives a restart, and every rule about it.
//!
//! Bytes before rows: content is durable under its digest before a transaction
//! refers to it, so a crash leaves unreferenced blobs, never a row without its
//! bytes. Every rule (who may, how much, under which lock and precondition) is
//! asked inside the transaction that changes the data.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod access;
mod app_password;
mod asset;
mod attempt;
mod attributes;
mod audit;
mod author;
mod blob;
mod border;
mod cache;
mod caller;
mod change;
mod check;
mod checksums;
mod chunk;
mod clock;
mod condition;
mod content;
mod credential;
mod db;
mod digest;
mod download;
mod drive;
mod error;
mod everything;
mod folder;
mod free_name;
mod give_way;
mod grant;
mod hashing;
mod health;
mod id;
mod inside;
mod invitation;
mod last_use;
mod link;
mod lock;
mod login;
mod manifest;
mod mutation;
mod names;
mod node;
mod notice;
mod password;
mod path;
mod pin;
mod property;
mod publication;
mod quota;
mod reach;
mod reference;
mod relay;
mod relocate;
mod resumable;
mod search;
mod secret;
mod setting;
mod standing;
mod store;
mod sweep;
mod target;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod transfer;
mod trash;
mod tree;
mod upload;
mod usage;
mod user;
mod version;
mod wake;
mod walk;
mod watch;

pub use self::app_password::{AppPassword, NewAppPassword};
pub use self::asset::{
    Asset, AssetChange, AssetContent, AssetCursor, AssetFile, AssetHit, AssetHits, AssetImage,
    AssetKey, AssetKind, AssetOffer, AssetQuery, AssetSort, Attached, Attaching, Expected,
    NewAsset,
};
pub use self::attempt::network;
pub use self::attributes::Attributes;
pub use self::audit::{AuditAction, AuditFilter, AuditLine, Party};
pub use self::caller::{Access, Actor, Caller, Via};
pub use self::change::{Change, Changes, Now};
pub use self::check::Checked;
pub use self::checksums::Checksums;
pub use self::clock::{Clock, Random, SystemClock, SystemRandom, World};
pub use self::condition::{Check, Condition, State, TagCondition};
pub use self::content::VerifyReads;
pub use self::db::{Database, PoolOptions, count_statements, count_statements_in};
pub use self::digest::Digest;
pub use self::download::{Download, Found, PAGE, Stored};
pub use self::drive::Usage;
pub use self::error::{DatabaseError, Error, Limited, Result};
pub use self::grant::{Grant, Grants, Owned, Right, Share};
pub use self::health::{Capacity, Ping};
pub use self::id::{
    AppPasswordId, AssetContentId, AssetId, AuditId, DriveId, GrantId, InvalidId, InvitationId,
    LinkId, LoginId, ManifestId, NodeId, ReservationId, TransferId, UploadId, UserId, VersionId,
};
pub use self::inside::{Inside, InsideNotices};
pub use self::invitation::Invitation;
pub use self::link::{
    FoundLink, Link, LinkChange, LinkDownload, LinkKind, LinkProof, NewLink, OpenLink,
};
pub use self::lock::{DriveLocks, Lock, NewLock};
pub use self::login::{Login, LoginGrant};
pub use self::node::{Entry, FileContent, Kind, Node, Page};
pub use self::notice::{Notice, NoticeKind, Notices};
pub use self::password::Password;
pub use self::path::{Name, Path};
pub use self::property::{PROPERTY_BATCH_BYTES, Property, PropertyChange, PropertyNames};
pub use self::publication::{Publication, Published, Publishing};
pub use self::reach::{Reach, Reached, SHARED, is_shared};
pub use self::relocate::NodeChange;
pub use self::resumable::{
    AppendOptions, Appending, NewResumable, Resumable, UploadTarget, UploadedFile,
};
pub use self::search::{Hit, Hits};
pub use self::setting::{Registration, Settings, SettingsChange, SigningKey};
pub use self::store::{AccountOptions, Limits, Options, Store, TrashOptions, VersionOptions};
pub use self::sweep::Swept;
pub use self::target::{Destination, Located, Target};
pub use self::transfer::Offer;
pub use self::trash::{Emptied, Trashed};
pub use self::tree::{TransferOptions, Transferred};
pub use self::upload::{Complete, ExtraHash, PatchStart, Upload, UploadOptions, Written};
pub use self::usage::{Parts, ServerUsage, StoredBytes};
pub use self::user::{
    Admission, FirstAdministrator, NewUser, OwnChange, User, UserChange, UserName,
};
pub use self::version::Version;
pub use self::walk::{Extent, Members, Walk};
pub use self::watch::Watch;
