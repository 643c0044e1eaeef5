//! Everything of Coffer that survives a restart, and every rule about it.
//!
//! Bytes before rows: content is durable under its digest before a transaction
//! refers to it, so a crash leaves unreferenced blobs, never a row without its
//! bytes. Every rule (who may, how much, under which lock and precondition) is
//! asked inside the transaction that changes the data.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[allow(
    dead_code,
    unused_imports,
    reason = "uploads and downloads land in steps"
)]
mod blob;
mod cache;
mod caller;
#[allow(
    dead_code,
    unused_imports,
    reason = "uploads and downloads land in steps"
)]
mod chunk;
mod clock;
#[allow(
    dead_code,
    unused_imports,
    reason = "uploads and downloads land in steps"
)]
mod content;
mod db;
mod digest;
mod drive;
mod error;
mod id;
#[allow(
    dead_code,
    unused_imports,
    reason = "uploads and downloads land in steps"
)]
mod manifest;
mod node;
mod path;
mod store;

pub use self::caller::{Access, Caller};
pub use self::clock::{Clock, Random, SystemClock, SystemRandom, World};
pub use self::content::VerifyReads;
pub use self::db::{Database, PoolOptions, count_statements};
pub use self::digest::Digest;
pub use self::drive::Usage;
pub use self::error::{DatabaseError, Error, Result};
pub use self::id::{
    AppPasswordId, DriveId, InstanceId, InvalidId, LoginId, ManifestId, NodeId, ReservationId,
    UserId,
};
pub use self::node::{Entry, FileContent, Kind, Node};
pub use self::path::{Name, Path};
pub use self::store::{AccountOptions, Limits, Options, Store};
