//! WebDAV for Coffer.
//!
//! - [`grammar`]: the words of the protocol. Pure: bytes in, types out, and back; every parser is
//!   bounded and none panics.

pub mod grammar;
