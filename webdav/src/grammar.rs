//! The words of WebDAV: header fields and XML bodies (RFC 4918, 4331, 6578, 9110, 9530).
//!
//! Nothing here does I/O or knows of a store. Header parsers take the whole [`http::HeaderMap`],
//! so that a field sent twice is noticed in one place.

#![allow(
    clippy::missing_panics_doc,
    reason = "each `expect` here states an invariant that no caller can break"
)]

pub mod attributes;
pub mod bind;
pub mod byteranges;
pub mod content_range;
pub mod date;
pub mod depth;
pub mod destination;
pub mod digest_field;
pub mod error_body;
pub mod etag;
mod field;
pub mod if_header;
pub mod lock_token;
pub mod lockinfo;
pub mod multistatus;
pub mod multistatus_read;
pub mod namespace;
pub mod overwrite;
pub mod path;
pub mod propfind;
pub mod proppatch;
pub mod range;
pub mod sync_collection;
pub mod timeout;
pub mod update_range;
pub mod xml;

pub use field::BadHeader;
