//! The client side of a drive: WebDAV spoken to any server.
//!
//! - [`remote`]: one server's folder, and the verbs on it.
//!
//! It leans on the grammar half of `webdav` only and knows nothing of Coffer's store or daemon.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod remote;
