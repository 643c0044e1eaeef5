//! All files of an asset as one archive, made while it is sent. What cannot be read breaks the
//! connection: an archive with files missing must not look whole.

use std::collections::VecDeque;
use std::future::poll_fn;

use anyhow::ensure;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::try_unfold;
use http::{HeaderValue, header};
use store::{Asset, AssetId, Caller, Download, Name, Store};

use crate::zip::Zip;

/// The archive of an asset that has files.
pub(super) fn answer(store: &Store, viewer: Option<Caller>, asset: &Asset) -> Response {
    let archive = Archive {
        store: store.clone(),
        viewer,
        asset: asset.id,
        modified_s: asset.posted_at.unwrap_or(asset.created_at).div_euclid(1000),
        files: asset.files.iter().map(|file| file.name.clone()).collect(),
        zip: Zip::default(),
        download: None,
        has_ended: false,
    };
    let name = format!("{}.zip", asset.name);
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/zip"),
        ),
        (header::CONTENT_DISPOSITION, webdav::attachment(&name)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let body = Body::from_stream(try_unfold(Box::new(archive), Archive::piece));
    (headers, body).into_response()
}

struct Archive {
    store: Store,
    viewer: Option<Caller>,
    asset: AssetId,
    modified_s: i64,
    /// Names of the files that are still to come.
    files: VecDeque<String>,
    zip: Zip,
    /// The content that is being sent.
    download: Option<Download>,
    has_ended: bool,
}

impl Archive {
    /// The next bytes; when the last were taken, the download is counted.
    async fn piece(mut self: Box<Self>) -> anyhow::Result<Option<(Bytes, Box<Self>)>> {
        let mut out = Vec::new();
        while out.is_empty() && !self.has_ended {
            if let Some(download) = &mut self.download {
                if let Some(frame) = poll_fn(|context| download.poll_next(context)).await {
                    let frame = frame?;
                    self.zip.content(&frame);
                    return Ok(Some((frame, self)));
                }
                self.download = None;
                ensure!(
                    self.zip.end(&mut out),
                    "a content is not as long as its file"
                );
            } else if let Some(file) = self.files.pop_front() {
                let name = Name::new(&file)?;
                // Whatever was done to the asset meanwhile shows: a file that is gone breaks it off.
                let found = self
                    .store
                    .asset_file(self.viewer.as_ref(), self.asset, &name)
                    .await?;
                let safe = safe_name(&file);
                self.zip
                    .begin(&mut out, safe, found.size_bytes, self.modified_s);
                self.download = Some(self.store.download(&found.stored, 0..found.size_bytes));
            } else {
                self.zip.finish(&mut out);
                self.has_ended = true;
            }
        }
        if out.is_empty() {
            self.store.count_download(self.asset);
            return Ok(None);
        }
        Ok(Some((Bytes::from(out), self)))
    }
}

/// A name that leads nowhere else when it is unpacked on Windows, where a backslash parts names and
/// a letter and a colon name a drive.
fn safe_name(name: &str) -> String {
    name.replace('\\', "\u{ff3c}").replace(':', "\u{ff1a}")
}
