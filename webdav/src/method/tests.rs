//! The verbs that change a drive, and its history, through the whole door.

mod changes;
mod names;
mod properties;
mod trees;
