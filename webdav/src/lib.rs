//! WebDAV for Coffer.
//!
//! - [`grammar`]: the words of the protocol. Pure: bytes in, types out, and back; every parser is
//!   bounded and none panics.
//! - [`precondition`]: request conditions against the state of a resource, also pure, so that the
//!   store can ask again inside the transaction that commits.

pub mod grammar;
pub mod precondition;
