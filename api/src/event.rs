//! Live notices.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::user::Usage;

/// A message of `GET /api/v1/events`. More kinds may come: those a client does not know it ignores.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The first one: what happens after this cursor will be told.
    Ready {
        /// Where the notices begin; to be treated as opaque.
        cursor: String,
    },
    /// What happened.
    Changes {
        /// Where to go on after these, as `since` of another connection.
        cursor: String,
        /// In the order in which it happened; may be empty.
        items: Vec<Change>,
        /// Whether more of what has already happened follows.
        more: bool,
    },
    /// It cannot be told what happened: what the client knows has to be listed anew, after which
    /// this connection goes on.
    Resync {
        /// Where the notices go on.
        cursor: String,
    },
    /// How full the drive is, at the beginning and when that has changed.
    Quota {
        /// The numbers of `GET /api/v1/me/usage`.
        usage: Usage,
    },
    /// Something came or went that others share with the caller, or another right was given:
    /// `GET /api/v1/shared` tells what there is.
    Shares,
    /// What happened inside of what others share with the caller.
    SharedChanges {
        /// In each owner's drive in the order in which it happened. Paths begin with
        /// `/Shared with me/`; what can be found under several is told under each.
        items: Vec<Change>,
    },
    /// The last one.
    Ended {
        /// Why.
        reason: EndReason,
    },
}

/// One thing that happened.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The file or folder it happened to.
    pub id: String,
    /// Where it was then, in Unicode normalisation form C: `/a/b`; `/` is the drive itself.
    pub path: String,
}

/// What happened to a path.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// A file or folder was made there, or changed.
    Changed,
    /// What was there went away, with everything below it.
    Removed,
    /// A folder came there with everything in it, of which nothing else is said.
    Tree,
}

/// Why there are no more notices.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The log-in, the app password or the account has ended, or the password was changed.
    LoginEnded,
    /// The server is stopping; another one, or the same in a moment, goes on from the cursor.
    ServerStopping,
}
