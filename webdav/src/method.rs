//! The verbs that are ours, straight on the store.
