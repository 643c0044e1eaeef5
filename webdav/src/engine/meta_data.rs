//! A node as dav-server sees one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dav_server::fs::{DavDirEntry, DavMetaData, FsFuture, FsResult};
use store::{Entry, Node};

/// A node's numbers.
#[derive(Debug, Clone)]
pub(super) struct MetaData(pub Node);

impl DavMetaData for MetaData {
    fn len(&self) -> u64 {
        self.0.size_bytes
    }

    fn modified(&self) -> FsResult<SystemTime> {
        Ok(instant(self.0.modified_ns))
    }

    fn created(&self) -> FsResult<SystemTime> {
        Ok(instant(self.0.created_ns))
    }

    fn is_dir(&self) -> bool {
        self.0.is_folder()
    }

    /// Without quotes: dav-server adds them to its header (and forgets them in `getetag`).
    fn etag(&self) -> Option<String> {
        Some(self.0.etag().trim_matches('"').to_owned())
    }
}

/// A line of a listing.
#[derive(Debug)]
pub(super) struct DirEntry(pub Entry);

impl DavDirEntry for DirEntry {
    fn name(&self) -> Vec<u8> {
        self.0.name.as_bytes().to_vec()
    }

    fn metadata(&'_ self) -> FsFuture<'_, Box<dyn DavMetaData>> {
        let data: Box<dyn DavMetaData> = Box::new(MetaData(self.0.node.clone()));
        Box::pin(std::future::ready(Ok(data)))
    }
}

/// Times before 1970 exist: Windows sets them.
pub(super) fn instant(ns: i64) -> SystemTime {
    let distance = Duration::from_nanos(ns.unsigned_abs());
    if ns < 0 {
        UNIX_EPOCH - distance
    } else {
        UNIX_EPOCH + distance
    }
}
