//! Ids: UUIDv7 (RFC 9562 §5.7), kept as 16 bytes, one newtype per thing they name.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::clock::World;

/// The text is not a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected a UUID")]
pub struct InvalidId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// A fresh id; ids made later sort later (to the millisecond).
            pub fn new(world: &World) -> Self {
                let millis = u64::try_from(world.now_ms()).unwrap_or(0);
                let random = world.bytes::<10>();
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().into_bytes())
            }

            /// The 16 bytes, as they stand in the database.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Uuid::from_bytes(self.0).hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(|id| Self(id.into_bytes())).map_err(|_| InvalidId)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = InvalidId;

            fn try_from(bytes: &[u8]) -> Result<Self, InvalidId> {
                bytes.try_into().map(Self).map_err(|_| InvalidId)
            }
        }
    };
}

id! {
    /// Names an account.
    UserId
}
id! {
    /// Names a log-in (one device's session).
    LoginId
}
id! {
    /// Names an app password.
    AppPasswordId
}
id! {
    /// Names a drive.
    DriveId
}
id! {
    /// Names a file or folder for its whole life, whatever its path.
    NodeId
}
id! {
    /// Names an asset of the catalogue.
    AssetId
}
id! {
    /// Names a file or an image of an asset.
    AssetContentId
}
id! {
    /// Names a list of chunks.
    ManifestId
}
id! {
    /// Names bytes promised to a running upload.
    ReservationId
}
id! {
    /// Names an upload of several requests.
    UploadId
}
id! {
    /// Names a line of the audit trail.
    AuditId
}
id! {
    /// Names what a file held before it was overwritten.
    VersionId
}
id! {
    /// Names an invitation; says nothing about its code.
    InvitationId
}

id! {
    /// Names rights of one account on a node.
    GrantId
}
id! {
    /// Names a download under way from a link.
    DownloadId
}
id! {
    /// Names an offer of something to another account.
    TransferId
}
id! {
    /// Names a link; says nothing about its secret.
    LinkId
}

impl NodeId {
    /// 32 lower-case hex digits without hyphens.
    pub fn simple(&self) -> String {
        Uuid::from_bytes(self.0).simple().to_string()
    }
}
