//! The store as dav-server's file system.
//!
//! It is whole, although in service only OPTIONS, MKCOL and LOCK come through here: a test runs
//! dav-server's own handlers for all methods over it, beside ours, and compares.

use std::future::{Future, ready};
use std::pin::Pin;

use dav_server::davpath::DavPath;
use dav_server::fs::{
    DavDirEntry, DavFile, DavMetaData, DavProp, FsError, FsFuture, FsResult, FsStream,
    GuardedFileSystem, OpenOptions, ReadDirMeta,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::StatusCode;
use store::{
    NodeId, PatchStart, Property, PropertyChange, PropertyNames, TransferOptions, UploadOptions,
};

use super::context::{Context, Credentials};
use super::file::{File, State};
use super::meta_data::{DirEntry, MetaData};

/// The file system; everything it works on is in the [`Context`] of the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileSystem;

/// Replaces what is there: dav-server has asked about `Overwrite` itself.
const REPLACE: TransferOptions = TransferOptions {
    overwrite: true,
    shallow: false,
    modified_ns: None,
};

impl GuardedFileSystem<Credentials> for FileSystem {
    fn open<'a>(
        &'a self,
        path: &'a DavPath,
        options: OpenOptions,
        context: &'a Credentials,
    ) -> FsFuture<'a, Box<dyn DavFile>> {
        Box::pin(open(context, path, options))
    }

    fn read_dir<'a>(
        &'a self,
        path: &'a DavPath,
        _meta: ReadDirMeta,
        context: &'a Credentials,
    ) -> FsFuture<'a, FsStream<Box<dyn DavDirEntry>>> {
        Box::pin(async move {
            let folder = context.find(path).await?;
            Ok(entries(context.clone(), folder.id))
        })
    }

    fn metadata<'a>(
        &'a self,
        path: &'a DavPath,
        context: &'a Credentials,
    ) -> FsFuture<'a, Box<dyn DavMetaData>> {
        Box::pin(async move {
            let node = context.find(path).await?;
            Ok(Box::new(MetaData(node)) as Box<dyn DavMetaData>)
        })
    }

    fn create_dir<'a>(&'a self, path: &'a DavPath, context: &'a Credentials) -> FsFuture<'a, ()> {
        Box::pin(async move {
            let path = context.path(path)?;
            let condition = context.condition(&path);
            let made = context
                .store
                .make_folder_with(
                    &context.caller,
                    &path,
                    context.attributes.clone(),
                    condition,
                )
                .await;
            done(context, made)
        })
    }

    fn remove_dir<'a>(&'a self, path: &'a DavPath, context: &'a Credentials) -> FsFuture<'a, ()> {
        Box::pin(async move {
            // dav-server empties a folder before, and reports members that would not go.
            let folder = context.find(path).await?;
            let page = context.store.list(folder.id, None).await;
            let page = page.map_err(|error| context.refuse(error))?;
            if page.entries.is_empty() {
                remove(context, path).await
            } else {
                Err(FsError::Exists)
            }
        })
    }

    fn remove_file<'a>(&'a self, path: &'a DavPath, context: &'a Credentials) -> FsFuture<'a, ()> {
        Box::pin(remove(context, path))
    }

    fn rename<'a>(
        &'a self,
        from: &'a DavPath,
        to: &'a DavPath,
        context: &'a Credentials,
    ) -> FsFuture<'a, ()> {
        Box::pin(async move {
            let (from, to) = (context.path(from)?, context.path(to)?);
            let condition = context.condition(&from);
            let moved = context
                .store
                .move_tree(&context.caller, &from, &to, REPLACE, condition)
                .await;
            done(context, moved)
        })
    }

    fn copy<'a>(
        &'a self,
        from: &'a DavPath,
        to: &'a DavPath,
        context: &'a Credentials,
    ) -> FsFuture<'a, ()> {
        Box::pin(async move {
            let (from, to) = (context.path(from)?, context.path(to)?);
            let condition = context.condition(&from);
            let copied = context
                .store
                .copy_tree(&context.caller, &from, &to, REPLACE, condition)
                .await;
            done(context, copied)
        })
    }

    fn have_props<'a>(
        &'a self,
        _path: &'a DavPath,
        _context: &'a Credentials,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(ready(true))
    }

    fn patch_props<'a>(
        &'a self,
        path: &'a DavPath,
        wishes: Vec<(bool, DavProp)>,
        context: &'a Credentials,
    ) -> FsFuture<'a, Vec<(StatusCode, DavProp)>> {
        Box::pin(async move {
            let path = context.path(path)?;
            let condition = context.condition(&path);
            let changes = wishes.iter().map(change).collect();
            let outcome = context
                .store
                .change_properties(&context.caller, &path, changes, condition)
                .await;
            done(context, outcome)?;
            let name_only = |prop| DavProp { xml: None, ..prop };
            Ok(wishes
                .into_iter()
                .map(|(_, prop)| (StatusCode::OK, name_only(prop)))
                .collect())
        })
    }

    fn get_props<'a>(
        &'a self,
        path: &'a DavPath,
        _do_content: bool,
        context: &'a Credentials,
    ) -> FsFuture<'a, Vec<DavProp>> {
        Box::pin(async move {
            let kept = properties(context, path).await?;
            Ok(kept
                .into_iter()
                .map(|property| DavProp {
                    name: property.name,
                    prefix: None,
                    namespace: Some(property.namespace),
                    xml: Some(property.value.into_bytes()),
                })
                .collect())
        })
    }

    fn get_prop<'a>(
        &'a self,
        path: &'a DavPath,
        prop: DavProp,
        context: &'a Credentials,
    ) -> FsFuture<'a, Vec<u8>> {
        Box::pin(async move {
            let namespace = prop.namespace.unwrap_or_default();
            let kept = properties(context, path).await?;
            kept.into_iter()
                .find(|kept| kept.name == prop.name && kept.namespace == namespace)
                .map(|kept| kept.value.into_bytes())
                .ok_or(FsError::NotFound)
        })
    }

    fn get_quota<'a>(&'a self, context: &'a Credentials) -> FsFuture<'a, (u64, Option<u64>)> {
        Box::pin(async move {
            let usage = context.store.usage(&context.caller).await;
            let usage = usage.map_err(|error| context.refuse(error))?;
            Ok((usage.firm_bytes(), Some(usage.limit_bytes)))
        })
    }
}

async fn open(
    context: &Credentials,
    path: &DavPath,
    options: OpenOptions,
) -> FsResult<Box<dyn DavFile>> {
    let path = context.path(path)?;
    if !options.write {
        let opened = context.store.open_file(&context.caller, &path).await;
        let (found, stored) = opened
            .map_err(|error| context.refuse(error))?
            .ok_or(FsError::NotFound)?;
        let state = State::Read {
            node: found.node.clone(),
            stored,
            offset: 0,
        };
        return Ok(File::open(context, path, state));
    }
    // LOCK on a free name opens a file to make it, after the lock is granted: the store has made
    // both in one transaction.
    if context.outcome().lock.is_some() {
        return Ok(File::open(context, path, State::Made));
    }
    let size_bytes = options.size;
    if options.truncate {
        // Refused now, before dav-server reads the body.
        let options = UploadOptions {
            size_bytes,
            check_first: true,
            ..UploadOptions::default()
        };
        let condition = context.condition(&path);
        let begun = context
            .store
            .begin_upload(&context.caller, &path, options, condition)
            .await;
        let upload = begun.map_err(|error| context.refuse(error))?;
        return Ok(File::open(context, path, State::Write(Box::new(upload))));
    }
    let start = if options.append {
        PatchStart::Append
    } else {
        PatchStart::At(0)
    };
    let state = State::Patch { start, size_bytes };
    Ok(File::open(context, path, state))
}

/// Pages of a folder, one after the other. A page that cannot be read is an error, never an end.
fn entries(context: Credentials, folder: NodeId) -> FsStream<Box<dyn DavDirEntry>> {
    let pages = stream::try_unfold(Some(String::new()), move |after| {
        let context = context.clone();
        async move {
            let Some(after) = after else {
                return Ok(None);
            };
            let page = context.store.list(folder, Some(after)).await;
            let page = page.map_err(|error| context.refuse(error))?;
            let entries = page.entries.into_iter().map(|entry| {
                let entry: Box<dyn DavDirEntry> = Box::new(DirEntry(entry));
                Ok::<_, FsError>(entry)
            });
            Ok(Some((stream::iter(entries), page.next)))
        }
    });
    pages.try_flatten().boxed()
}

async fn remove(context: &Credentials, path: &DavPath) -> FsResult<()> {
    let path = context.path(path)?;
    let condition = context.condition(&path);
    let removed = context
        .store
        .delete(&context.caller, &path, condition)
        .await;
    done(context, removed)
}

async fn properties(context: &Credentials, path: &DavPath) -> FsResult<Vec<Property>> {
    let node = context.find(path).await?;
    let asked = context.store.properties(vec![node.id], PropertyNames::All);
    let kept = asked.await;
    let mut kept = kept.map_err(|error| context.refuse(error))?;
    Ok(kept.remove(&node.id).unwrap_or_default())
}

fn change((set, prop): &(bool, DavProp)) -> PropertyChange {
    let namespace = prop.namespace.clone().unwrap_or_default();
    let name = prop.name.clone();
    match &prop.xml {
        Some(xml) if *set => PropertyChange::Set(Property {
            namespace,
            name,
            value: String::from_utf8_lossy(xml).into_owned(),
        }),
        _ => PropertyChange::Remove { namespace, name },
    }
}

fn done<T>(context: &Context, result: store::Result<T>) -> FsResult<()> {
    result.map(drop).map_err(|error| context.refuse(error))
}
