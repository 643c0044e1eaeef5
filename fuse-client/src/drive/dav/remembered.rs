//! What was found out about a server, so that its drive can be used while it is out of reach.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::address::{Href, folder};
use super::probe::{ConnectError, drive_of, events_of, made};
use super::{DavDrive, Found, Inner, Login};
use crate::connection::Connection;

/// Of the last time that it was connected. Holds no credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    base: Href,
    found: Found,
    events: bool,
}

impl DavDrive {
    /// For [`Self::resume`].
    pub fn remember(&self) -> Remembered {
        let inner = &self.inner;
        Remembered {
            base: inner.base.clone(),
            found: inner.found,
            events: inner.events.is_some(),
        }
    }

    /// The drive at `url` as it was, without asking the server.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn resume(
        url: &Url,
        remembered: Remembered,
        login: Option<Login>,
        ca_pem: Option<&[u8]>,
    ) -> Result<Self, ConnectError> {
        let mut root = folder(url.clone());
        // As connecting does, to which the base of a Coffer is enough.
        if remembered.found.exact_tags {
            root = drive_of(root);
        }
        let events = events_of(&root).filter(|_| remembered.events);
        let events = match events {
            Some(url) => Some((made(Connection::of_version_1(login.clone(), ca_pem))?, url)),
            None => None,
        };
        let inner = Inner {
            connection: made(Connection::new(login, ca_pem))?,
            root,
            base: remembered.base,
            found: remembered.found,
            refuses_times: AtomicBool::new(false),
            events,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}
