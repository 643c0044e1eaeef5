//! Where a synchronising client stands (RFC 6578 §3.4, §4).
//!
//! A token is the cursor of the drive's history; one that continues a truncated answer may also
//! say how far the listing of a folder had come. So nothing is kept for a client between two
//! requests, and any daemon can go on where another one stopped.

use store::DriveId;

use crate::grammar::path::{ResourcePath, encode_into};
use crate::property::{cursor_of, token_of};

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// Everything up to here is known to the client …
    pub cursor: i64,
    /// … but for the rest of this listing.
    pub listing: Option<Listing>,
}

/// A listing that was not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    /// The folder listed, from the target of the request: names joined by `/`, none for the
    /// target itself.
    pub root: String,
    /// The last member told, from `root`; empty before the first.
    pub after: String,
}

impl Standing {
    /// The token.
    pub fn to_token(&self, drive: DriveId) -> String {
        let mut token = token_of(drive, self.cursor).into_bytes();
        if let Some(listing) = &self.listing {
            for path in [&listing.root, &listing.after] {
                // Escaped, a path holds no colon.
                token.push(b':');
                encode_into(&mut token, path);
            }
        }
        String::from_utf8(token).expect("the escaped form is ASCII")
    }

    /// Reads a token of this drive; none for anything that [`Self::to_token`] did not write.
    pub fn read(drive: DriveId, token: &str) -> Option<Self> {
        let standing = Self::read_leniently(drive, token)?;
        (standing.to_token(drive) == token).then_some(standing)
    }

    fn read_leniently(drive: DriveId, token: &str) -> Option<Self> {
        if let Some(cursor) = cursor_of(drive, token) {
            let listing = None;
            return Some(Self { cursor, listing });
        }
        let (rest, after) = token.rsplit_once(':')?;
        let (plain, root) = rest.rsplit_once(':')?;
        let decoded = |escaped: &str| {
            let path = ResourcePath::decode(&format!("/{escaped}")).ok()?;
            Some(path.as_str().to_owned())
        };
        Some(Self {
            cursor: cursor_of(drive, plain)?,
            listing: Some(Listing {
                root: decoded(root)?,
                after: decoded(after)?,
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use store::World;

    use super::*;

    #[test]
    fn a_token_is_read_back_as_what_it_was() {
        let drive = DriveId::new(&World::default());
        let listing = |root: &str, after: &str| {
            Some(Listing {
                root: root.to_owned(),
                after: after.to_owned(),
            })
        };
        for listing in [
            None,
            listing("", ""),
            listing("a: b/ü", ""),
            listing("", "x/y:1"),
        ] {
            let standing = Standing { cursor: 7, listing };
            let token = standing.to_token(drive);
            assert!(token.is_ascii(), "{token}");
            assert_eq!(Standing::read(drive, &token), Some(standing));
        }
    }

    #[test]
    fn nothing_else_is_a_token() {
        let drive = DriveId::new(&World::default());
        let other = DriveId::new(&World::default());
        let good = token_of(drive, 7);
        for bad in [
            String::new(),
            "7".to_owned(),
            "http://example.com/ns/sync/7".to_owned(),
            token_of(other, 7),
            format!("{good} "),
            format!("{good}:"),
            format!("{good}:a"),
            format!("{good}::/a"),
            format!("{good}::a%2fb"),
            format!("{good}::a:b:c"),
            format!("{good}:..:a"),
            good.replace(":7", ":+7"),
            good.replace(":7", ":-7"),
            good.replace(":7", ":07"),
            good.to_uppercase(),
        ] {
            assert_eq!(Standing::read(drive, &bad), None, "{bad}");
        }
    }
}
