//! WebDAV for Coffer.
//!
//! - [`grammar`]: the words of the protocol. Pure: bytes in, types out, and back; every parser is
//!   bounded and none panics.
//! - [`precondition`]: request conditions against the state of a resource, also pure, so that the
//!   store can ask again inside the transaction that commits.
//! - [`Dav`] (feature `server`): the verbs over a [`store::Store`]. The dispatcher passes a request
//!   through the guard to its method; whatever a method refuses gets its status in one table.

pub mod grammar;
pub mod precondition;

#[cfg(feature = "server")]
mod above;
#[cfg(feature = "server")]
mod body;
#[cfg(feature = "server")]
mod checksum;
#[cfg(feature = "server")]
mod content;
#[cfg(feature = "server")]
mod dead;
#[cfg(feature = "server")]
mod dispatch;
#[cfg(feature = "server")]
mod engine;
#[cfg(feature = "server")]
mod guard;
#[cfg(feature = "server")]
mod listing;
#[cfg(feature = "server")]
mod media;
#[cfg(feature = "server")]
mod method;
#[cfg(feature = "server")]
mod property;
#[cfg(feature = "server")]
mod request;
#[cfg(feature = "server")]
mod shares;
#[cfg(feature = "server")]
mod status;
#[cfg(feature = "server")]
#[cfg(test)]
mod testing;

#[cfg(feature = "server")]
pub use self::body::Body;
#[cfg(feature = "server")]
pub use self::content::announced_digest;
#[cfg(feature = "server")]
pub use self::dispatch::{Dav, DavOptions};
#[cfg(feature = "server")]
pub use self::method::get::{Guise, Immutable, attachment};
#[cfg(feature = "server")]
pub use self::status::Refusal;

#[cfg(all(test, feature = "server"))]
mod tests;
