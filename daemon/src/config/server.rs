//! `[server]`: the process and its patience.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Invalid;
use super::age::Age;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Worker threads; 0 is one for each processor.
    pub workers: u32,
    /// Connections open at once; further ones wait.
    pub connections: u32,
    /// Connections open at once from one address (IPv6: one /64); further ones are closed.
    pub connections_per_address: u32,
    /// Longest wait for the TLS handshake.
    pub handshake_timeout: Age,
    /// Longest wait for the headers of a request, an idle connection's life included.
    pub header_timeout: Age,
    /// A body that moves less than 4 KiB in this time, in either direction, is given up.
    pub stall_timeout: Age,
    /// Life of an HTTP/2 connection without requests.
    pub idle_timeout: Age,
    /// How long running requests may take to finish after SIGTERM.
    pub shutdown_timeout: Age,
    /// User to become after binding, when started as root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Group to become; the user's own if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// File that holds the process id while the daemon runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid_file: Option<PathBuf>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            workers: 0,
            connections: 16_384,
            connections_per_address: 1024,
            handshake_timeout: Age::seconds(10),
            header_timeout: Age::seconds(30),
            stall_timeout: Age::seconds(60),
            idle_timeout: Age::seconds(180),
            shutdown_timeout: Age::seconds(30),
            user: None,
            group: None,
            pid_file: None,
        }
    }
}

impl Server {
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.workers > 1024 {
            return Err(Invalid::new("server.workers", "must be at most 1024"));
        }
        for (key, value) in [
            ("server.connections", self.connections),
            (
                "server.connections_per_address",
                self.connections_per_address,
            ),
        ] {
            if !(1..=1_000_000).contains(&value) {
                return Err(Invalid::new(key, "must be between 1 and 1000000"));
            }
        }
        for (key, age) in [
            ("server.handshake_timeout", self.handshake_timeout),
            ("server.header_timeout", self.header_timeout),
            ("server.stall_timeout", self.stall_timeout),
            ("server.idle_timeout", self.idle_timeout),
        ] {
            if age < Age::seconds(1) || age > Age::hours(24) {
                return Err(Invalid::new(key, "must be between 1s and 24h"));
            }
        }
        if self.group.is_some() && self.user.is_none() {
            return Err(Invalid::new("server.group", "needs server.user"));
        }
        Ok(())
    }
}
