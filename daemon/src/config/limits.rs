//! `[limits]`: how much a request may ask for. One place for all of them.

use serde::{Deserialize, Serialize};

use super::Invalid;
use super::age::Age;
use super::byte_size::ByteSize;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Request line and headers together.
    pub header_bytes: ByteSize,
    /// XML body of a WebDAV request.
    pub xml_body_bytes: ByteSize,
    /// Nesting of its elements.
    pub xml_depth: u32,
    /// Number of its elements.
    pub xml_elements: u32,
    /// JSON body of an API request.
    pub json_body_bytes: ByteSize,
    /// One dead property.
    pub property_bytes: ByteSize,
    /// All dead properties of one file or folder.
    pub properties_per_node_bytes: ByteSize,
    /// Files and folders of one drive.
    pub drive_nodes: u64,
    /// All dead properties of one drive.
    pub drive_properties_bytes: ByteSize,
    /// Ranges in one GET.
    pub ranges: u32,
    /// Locks that one user may hold.
    pub locks_per_user: u32,
    /// Longest life of a lock without refresh.
    pub lock_max_age: Age,
    /// Uploads that one user may have under way.
    pub uploads_per_user: u32,
    /// WebSockets that all users together may have open.
    pub sockets: u32,
    /// WebSockets that one user may have open.
    pub sockets_per_user: u32,
    /// How long a resumable upload waits for its next bytes.
    pub upload_max_age: Age,
    /// How far back a client may ask what has changed.
    pub change_retention: Age,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: ByteSize(32 << 10),
            xml_body_bytes: ByteSize(64 << 10),
            xml_depth: 32,
            xml_elements: 256,
            json_body_bytes: ByteSize(256 << 10),
            property_bytes: ByteSize(32 << 10),
            properties_per_node_bytes: ByteSize(1 << 20),
            drive_nodes: 10_000_000,
            drive_properties_bytes: ByteSize(1 << 30),
            ranges: 16,
            locks_per_user: 1000,
            lock_max_age: Age::hours(1),
            uploads_per_user: 64,
            sockets: 8192,
            sockets_per_user: 64,
            upload_max_age: Age::hours(24),
            change_retention: Age::hours(30 * 24),
        }
    }
}

impl Limits {
    pub fn validate(&self) -> Result<(), Invalid> {
        // The upper bounds are what the parsers are built for, and what a line of a listing may cost.
        let within = [
            ("header_bytes", self.header_bytes.0, 4096, 256 << 10),
            ("xml_body_bytes", self.xml_body_bytes.0, 1024, 16 << 20),
            ("xml_depth", self.xml_depth.into(), 8, 256),
            ("xml_elements", self.xml_elements.into(), 16, 4096),
            ("json_body_bytes", self.json_body_bytes.0, 1024, 16 << 20),
            ("property_bytes", self.property_bytes.0, 256, 1 << 20),
            (
                "properties_per_node_bytes",
                self.properties_per_node_bytes.0,
                256,
                16 << 20,
            ),
            ("drive_nodes", self.drive_nodes, 1, 1 << 40),
            (
                "drive_properties_bytes",
                self.drive_properties_bytes.0,
                256,
                1 << 50,
            ),
            ("ranges", self.ranges.into(), 1, 1024),
            ("locks_per_user", self.locks_per_user.into(), 1, 1_000_000),
            ("uploads_per_user", self.uploads_per_user.into(), 1, 65_536),
            ("sockets", self.sockets.into(), 1, 1_000_000),
            ("sockets_per_user", self.sockets_per_user.into(), 1, 65_536),
        ];
        for (key, value, least, most) in within {
            if !(least..=most).contains(&value) {
                let reason = format!("{value} is not between {least} and {most}");
                return Err(Invalid::new(&format!("limits.{key}"), reason));
            }
        }
        if self.lock_max_age.0.is_zero() || self.lock_max_age > Age::hours(24) {
            return Err(Invalid::new(
                "limits.lock_max_age",
                "must be between 1s and 24h",
            ));
        }
        if self.upload_max_age < Age::seconds(1) {
            return Err(Invalid::new("limits.upload_max_age", "must be at least 1s"));
        }
        if self.change_retention < Age::hours(1) {
            return Err(Invalid::new(
                "limits.change_retention",
                "must be at least 1h",
            ));
        }
        Ok(())
    }
}
