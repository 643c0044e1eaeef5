//! An open file as dav-server sees one: read by ranges, or written as an upload that nobody sees
//! before `flush`.

use std::fmt;
use std::future::{poll_fn, ready};
use std::io::SeekFrom;

use bytes::{Buf, Bytes};
use dav_server::fs::{DavFile, DavMetaData, FsError, FsFuture, FsResult};
use store::{Node, PatchStart, Path, Stored, Upload, UploadOptions};
use tokio::sync::Mutex;

use super::context::Credentials;
use super::meta_data::MetaData;

/// An open file.
pub(super) struct File {
    context: Credentials,
    path: Path,
    // Never contended: it only makes uploads and downloads `Sync`, which dav-server asks for.
    state: Mutex<State>,
}

/// How far the file has come.
pub(super) enum State {
    /// LOCK made it; there is nothing to do.
    Made,
    /// Being read from an offset.
    Read {
        node: Node,
        stored: Stored,
        offset: u64,
    },
    /// To be written into; begun with the first byte, since the place comes by `seek`.
    Patch {
        start: PatchStart,
        size_bytes: Option<u64>,
    },
    /// Being written. Dropped here, it leaves nothing.
    Write(Box<Upload>),
    /// Written.
    Done(Node),
}

impl File {
    pub fn open(context: &Credentials, path: Path, state: State) -> Box<dyn DavFile> {
        Box::new(Self {
            context: context.clone(),
            path,
            state: Mutex::new(state),
        })
    }

    /// The upload, begun if it was not.
    async fn upload(&mut self) -> FsResult<&mut Upload> {
        let Self {
            context,
            path,
            state,
        } = self;
        let state = state.get_mut();
        if let State::Patch { start, size_bytes } = state {
            let options = UploadOptions {
                size_bytes: *size_bytes,
                ..UploadOptions::default()
            };
            let condition = context.condition(path);
            let begun = context
                .store
                .begin_patch(&context.caller, path, *start, options, condition)
                .await;
            *state = State::Write(Box::new(begun.map_err(|error| context.refuse(error))?));
        }
        match state {
            State::Write(upload) => Ok(upload),
            _ => Err(FsError::Forbidden),
        }
    }

    async fn write(&mut self, bytes: Bytes) -> FsResult<()> {
        let context = self.context.clone();
        let upload = self.upload().await?;
        upload
            .write(bytes)
            .await
            .map_err(|error| context.refuse(error))
    }

    async fn finish(&mut self) -> FsResult<()> {
        self.upload().await?;
        // Whatever happens now, there is nothing left to write to.
        let state = std::mem::replace(self.state.get_mut(), State::Made);
        let State::Write(upload) = state else {
            return Err(FsError::GeneralFailure);
        };
        let committed = match upload.complete().await {
            Ok(complete) => complete.commit(None).await,
            Err(error) => Err(error),
        };
        let written = committed.map_err(|error| self.context.refuse(error))?;
        *self.state.get_mut() = State::Done(written.node);
        Ok(())
    }

    async fn read(&mut self, count: usize) -> FsResult<Bytes> {
        let Self { context, state, .. } = self;
        let State::Read {
            node,
            stored,
            offset,
        } = state.get_mut()
        else {
            return Err(FsError::Forbidden);
        };
        let store = &context.store;
        let end = node.size_bytes.min(offset.saturating_add(count as u64));
        if *offset >= end {
            return Ok(Bytes::new());
        }
        // dav-server asks for bounded pieces; frames of ours may be longer, so each piece is a
        // download of its own, as far as its first frame.
        let mut download = store.download(stored, *offset..end);
        match poll_fn(|cx| download.poll_next(cx)).await {
            Some(Ok(frame)) => {
                *offset += frame.len() as u64;
                Ok(frame)
            }
            Some(Err(error)) => Err(context.refuse(error)),
            // dav-server would fill the gap with zeros.
            None => Err(FsError::GeneralFailure),
        }
    }
}

impl DavFile for File {
    fn metadata(&'_ mut self) -> FsFuture<'_, Box<dyn DavMetaData>> {
        let node = match self.state.get_mut() {
            State::Read { node, .. } | State::Done(node) => Ok(node.clone()),
            State::Made | State::Patch { .. } | State::Write(_) => Err(FsError::NotImplemented),
        };
        Box::pin(ready(
            node.map(|node| Box::new(MetaData(node)) as Box<dyn DavMetaData>),
        ))
    }

    fn write_buf(&'_ mut self, mut buf: Box<dyn Buf + Send>) -> FsFuture<'_, ()> {
        let bytes = buf.copy_to_bytes(buf.remaining());
        Box::pin(self.write(bytes))
    }

    fn write_bytes(&'_ mut self, buf: Bytes) -> FsFuture<'_, ()> {
        Box::pin(self.write(buf))
    }

    fn read_bytes(&'_ mut self, count: usize) -> FsFuture<'_, Bytes> {
        Box::pin(self.read(count))
    }

    fn seek(&'_ mut self, pos: SeekFrom) -> FsFuture<'_, u64> {
        let at = match (self.state.get_mut(), pos) {
            (State::Read { offset, .. }, SeekFrom::Start(at)) => {
                *offset = at;
                Ok(at)
            }
            (State::Patch { start, .. }, SeekFrom::Start(at)) => {
                // An append stays one, although dav-server seeks to 0 for it too.
                if *start != PatchStart::Append {
                    *start = PatchStart::At(at);
                }
                Ok(at)
            }
            _ => Err(FsError::NotImplemented),
        };
        Box::pin(ready(at))
    }

    fn flush(&'_ mut self) -> FsFuture<'_, ()> {
        Box::pin(self.finish())
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
