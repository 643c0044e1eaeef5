//! The verbs that are ours, straight on the store.

pub(crate) mod bind;
pub(crate) mod copy_move;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod patch;
pub(crate) mod propfind;
pub(crate) mod proppatch;
pub(crate) mod put;
pub(crate) mod report;

#[cfg(test)]
mod tests;
