//! The verbs that are ours, straight on the store.

pub(crate) mod get;
pub(crate) mod patch;
pub(crate) mod propfind;
pub(crate) mod put;
