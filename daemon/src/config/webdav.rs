//! `[webdav]`: what single clients need.

use serde::{Deserialize, Serialize};

use super::Invalid;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webdav {
    /// Clients whose `User-Agent` begins with one of these are not told the quota
    /// (`WebDAVFS`: Finder then shows no free space instead of a wrong one).
    pub hide_quota_from: Vec<String>,
}

impl Webdav {
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.hide_quota_from.iter().any(String::is_empty) {
            return Err(Invalid::new(
                "webdav.hide_quota_from",
                "holds an empty text",
            ));
        }
        Ok(())
    }
}
