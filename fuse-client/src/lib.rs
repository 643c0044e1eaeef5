//! The client side of a drive: WebDAV spoken to any server.
//!
//! - [`remote`]: one server's folder, and the verbs on it.
//! - [`drive`]: what the mount asks of a server, and the ways to ask.
//! - [`login`]: making and ending log-ins; [`profile`]: keeping them between runs.
//! - [`attributes`]: how it writes there what only mounts know.
//! - [`fs`]: a drive as a POSIX file system, without a kernel: names, handles, reads and writes.
//! - [`kernel`]: the same under a folder: the kernel's requests, mounting and unmounting.
//! - [`examine`]: a look at the local state from outside.
//! - [`control`]: the socket of a running mount, and where running mounts are found.
//!
//! It leans on the grammar half of `webdav` only and knows nothing of Coffer's store or daemon.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod attributes;
mod cache;
pub mod clock;
mod connection;
pub mod control;
pub mod drive;
mod errno;
pub mod examine;
pub mod fs;
pub mod kernel;
pub mod login;
#[cfg(test)]
mod model;
pub mod profile;
pub mod remote;
mod state;
mod sync;
