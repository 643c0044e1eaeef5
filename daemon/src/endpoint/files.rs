//! `/files` and `/dirs`: files and folders, by path or by id.
//!
//! Contents are read and written by WebDAV's own GET and PUT, so both doors know the same ranges,
//! conditions and digests; everything is decided in the store.

pub mod archive;
pub(super) mod content;
mod versions;

use api::{File, FileChange, FileCopy, FileList, NewFolder};
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use store::{
    Caller, Destination, Error, Located, Members, Name, Node, NodeChange, NodeId, Reach, Reached,
    SHARED, Target, TransferOptions, Walk, is_shared,
};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) use self::content::answer_of;
use super::openapi::by_path;
use super::page::{Asked, Part};
use super::{AppState, Authenticated, Json};
use crate::moment::{self, rfc3339};
use crate::server::problem::{Problem, code};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list, content::upload))
        .routes(routes!(show, change, remove))
        .routes(by_path(routes!(change, remove)))
        .routes(routes!(content::put))
        .routes(routes!(content::show, content::replace))
        .routes(by_path(routes!(content::show)))
        .routes(routes!(copy))
        .routes(by_path(routes!(copy)))
        .routes(routes!(archive::show))
        .routes(by_path(routes!(archive::show)))
        .routes(routes!(versions::list))
        .routes(by_path(routes!(versions::list)))
        .routes(routes!(versions::remove))
        .routes(by_path(routes!(versions::remove)))
        .routes(routes!(versions::show))
        .routes(by_path(routes!(versions::show)))
        .routes(routes!(versions::restore))
        .routes(by_path(routes!(versions::restore)))
        .routes(routes!(make_folder))
}

/// What the address names: `/files/{id}…` by id, `/files…?path=` by path.
pub(super) struct Named(pub(super) Target);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByPath {
    path: String,
}

impl FromRequestParts<AppState> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        if let Ok(Path(id)) = Path::<String>::from_request_parts(parts, state).await {
            return Ok(Self(node(&id)?.into()));
        }
        let Query(query) = Query::<ByPath>::from_request_parts(parts, state).await?;
        Ok(Self(store::Path::parse(&query.path)?.into()))
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Where it is; `/` unless given.
    #[param(example = "/")]
    path: Option<String>,
    /// Its id, instead of the path.
    id: Option<String>,
    /// `all`: everything one has access to, one's own and what others share; instead of both.
    #[param(inline)]
    scope: Option<Scope>,
    /// Whether the members of each folder follow it.
    #[serde(default)]
    recursive: bool,
    /// Items in one part; 100 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The part before's `next_cursor`.
    cursor: Option<String>,
}

/// How far a list goes.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Scope {
    /// One's own drive and what others share, with everything in it.
    All,
}

/// What is there: a folder with a part of what it holds, or a file.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Listed {
    Folder(FileList),
    File(File),
}

/// Lists what a folder holds, in the order of names; of a file it says what it is.
#[utoipa::path(
    get,
    path = "/files",
    tag = "files",
    operation_id = "list_files",
    params(ListQuery),
    responses(
        (status = 200, body = Listed),
        (status = 404, description = "not_found"),
        (status = 422, description = "invalid_name")
    )
)]
async fn list(
    State(state): State<AppState>,
    who: Authenticated,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<Listed>, Problem> {
    if let Some(Scope::All) = query.scope {
        if query.path.is_some() || query.id.is_some() {
            return Err(bad_query("All there is has neither path nor id."));
        }
        let part = Part::new(query.limit, query.cursor.as_deref(), read_cursor)?;
        return everything(&state, &who, part).await;
    }
    let target: Target = match (&query.path, &query.id) {
        (Some(_), Some(_)) => return Err(bad_query("Either path or id, not both.")),
        (None, Some(id)) => node(id)?.into(),
        (path, None) => store::Path::parse(path.as_deref().unwrap_or("/"))?.into(),
    };
    let part = Part::new(query.limit, query.cursor.as_deref(), read_cursor)?;
    let store = state.store();
    if let Target::Path(path) = &target
        && is_shared(&who.caller, path)
        && path.depth() == 1
    {
        return shares(&state, &who, query.recursive, part).await;
    }
    let place = reach(&state, &who.caller, target).await?;
    let (caller, target) = (place.caller(), place.target());
    let found = store.look_up(caller, target).await?;
    let found = found.ok_or(Error::NotFound)?;
    if !found.node.is_folder() {
        return Ok(Json(Listed::File(place.file(&found))));
    }
    let walk = Walk {
        is_deep: query.recursive,
        limit: part.limit(),
        after: part.after,
    };
    let members = store.members(caller, target, walk).await?;
    Ok(Json(Listed::Folder(FileList {
        folder: place.file(&found),
        items: members.items.iter().map(|one| place.file(one)).collect(),
        next_cursor: members.next.map(|path| write_cursor(&path)),
    })))
}

/// Says what a file or folder is.
#[utoipa::path(
    get,
    path = "/files/{id}",
    tag = "files",
    operation_id = "show_file",
    responses((status = 200, body = File))
)]
async fn show(
    State(state): State<AppState>,
    who: Authenticated,
    Named(target): Named,
) -> Result<Json<File>, Problem> {
    let place = reach(&state, &who.caller, target).await?;
    let found = state
        .store()
        .look_up(place.caller(), place.target())
        .await?;
    Ok(Json(place.file(&found.ok_or(Error::NotFound)?)))
}

/// Renames, moves or dates a file or folder, in one step.
///
/// `If-Match` and `If: (<token>)` are asked of it in the transaction that changes it.
#[utoipa::path(
    patch,
    path = "/files/{id}",
    tag = "files",
    operation_id = "change_file",
    request_body = FileChange,
    responses(
        (status = 200, body = File),
        (status = 403, description = "forbidden, protected, reserved, overlap"),
        (status = 404, description = "not_found"),
        (status = 409, description = "already_exists, parent_missing, not_folder, over_border"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "invalid_name, limit_exceeded"),
        (status = 423, description = "locked"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
async fn change(
    State(state): State<AppState>,
    who: Authenticated,
    Named(target): Named,
    head: Parts,
    Json(change): Json<FileChange>,
) -> Result<Json<File>, Problem> {
    let place = reach(&state, &who.caller, target).await?;
    let condition = state.dav.condition(place.caller(), &head)?;
    let store = state.store();
    let to = match destination(change.path, change.parent_id, change.name)? {
        None => None,
        Some(to) => {
            let (there, to) = store.reach_destination(&who.caller, &place.0, to).await?;
            if !there.is_with(&place.0) {
                return Err(Problem::over_border());
            }
            Some(to)
        }
    };
    let change = NodeChange {
        to,
        overwrite: change.replace,
        modified_ns: instant("modified_at", change.modified_at.as_deref())?,
    };
    let target = place.target().clone();
    let changed = store.change_node(place.caller(), target, change, condition);
    Ok(Json(place.file(&changed.await?)))
}

/// Copies a file, or a folder with all it holds.
///
/// No content is sent or stored again.
#[utoipa::path(
    post,
    path = "/files/{id}/copy",
    tag = "files",
    operation_id = "copy_file",
    request_body = FileCopy,
    responses(
        (status = 201, body = File, headers(("Location" = String))),
        (status = 200, body = File, description = "Something was replaced."),
        (status = 403, description = "forbidden, protected, reserved, overlap"),
        (status = 404, description = "not_found"),
        (status = 409, description = "already_exists, parent_missing, not_folder"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "invalid_name, limit_exceeded"),
        (status = 423, description = "locked"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
async fn copy(
    State(state): State<AppState>,
    who: Authenticated,
    Named(target): Named,
    head: Parts,
    Json(copy): Json<FileCopy>,
) -> Result<Response, Problem> {
    let place = reach(&state, &who.caller, target).await?;
    let condition = state.dav.condition(place.caller(), &head)?;
    let to = destination(copy.path, copy.parent_id, copy.name)?.ok_or_else(|| Error::Invalid {
        field: "path",
        reason: "or parent_id or name must say where the copy goes".to_owned(),
    })?;
    let options = TransferOptions {
        overwrite: copy.replace,
        shallow: false,
        modified_ns: None,
    };
    let store = state.store();
    let (there, to) = store.reach_destination(&who.caller, &place.0, to).await?;
    let (from, target) = (place.caller(), place.target().clone());
    let copied = if there.is_with(&place.0) {
        store.copy_tree(from, target, to, options, condition).await
    } else {
        let caller = &there.caller;
        let copied = store.copy_across(from, target, caller, to, options, condition);
        copied.await
    }?;
    let located = Located {
        path: copied.path,
        node: copied.node,
    };
    Ok(stored(Place(there).file(&located), copied.created))
}

/// Deletes a file, or a folder with all it holds, into the trash.
///
/// The answer says what it was.
#[utoipa::path(
    delete,
    path = "/files/{id}",
    tag = "files",
    operation_id = "delete_file",
    responses(
        (status = 200, body = File),
        (status = 403, description = "forbidden, protected"),
        (status = 404, description = "not_found"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "invalid_name"),
        (status = 423, description = "locked")
    )
)]
async fn remove(
    State(state): State<AppState>,
    who: Authenticated,
    Named(target): Named,
    head: Parts,
) -> Result<Json<File>, Problem> {
    let place = reach(&state, &who.caller, target).await?;
    let condition = state.dav.condition(place.caller(), &head)?;
    let target = place.target().clone();
    let removed = state.store().delete(place.caller(), target, condition);
    Ok(Json(place.file(&removed.await?)))
}

/// Makes a folder, with `parents` those missing above it too.
#[utoipa::path(
    post,
    path = "/dirs",
    tag = "files",
    operation_id = "make_folder",
    request_body = NewFolder,
    responses(
        (status = 201, body = File, headers(("Location" = String))),
        (status = 200, body = File, description = "It was there already."),
        (status = 403, description = "forbidden, protected, reserved"),
        (status = 404, description = "not_found"),
        (status = 409, description = "already_exists, parent_missing, not_folder"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "invalid_name, limit_exceeded"),
        (status = 423, description = "locked"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
async fn make_folder(
    State(state): State<AppState>,
    who: Authenticated,
    head: Parts,
    Json(new): Json<NewFolder>,
) -> Result<Response, Problem> {
    let path = store::Path::parse(&new.path)?;
    let (place, path) = reach_new(&state, &who.caller, path).await?;
    let condition = state.dav.condition(place.caller(), &head)?;
    let store = state.store();
    let (made, is_new) = if new.parents {
        store.make_folders(place.caller(), &path, condition).await?
    } else {
        let node = store.make_folder(place.caller(), &path, condition).await?;
        (Located { path, node }, true)
    };
    Ok(stored(place.file(&made), is_new))
}

/// The answer to what has stored something: 201, or 200 where there was something before.
fn stored(file: File, is_new: bool) -> Response {
    let location = format!("/api/v1/files/{}", file.id);
    let body = Json(file);
    if !is_new {
        return body.into_response();
    }
    (StatusCode::CREATED, [(header::LOCATION, location)], body).into_response()
}

/// A place in a drive, which may be another's, and how it is told to whoever asks.
pub(super) struct Place(Reached);

/// Where a target of the caller lies.
pub(super) async fn reach(
    state: &AppState,
    caller: &Caller,
    target: Target,
) -> Result<Place, Problem> {
    match state.store().reach(caller, &target).await? {
        Some(Reach::Drive(reached)) => Ok(Place(*reached)),
        Some(Reach::Shares) => Err(Error::Protected.into()),
        None => Err(Problem::not_found()),
    }
}

/// Likewise, of a path where something is to be made: not among what others share.
pub(super) async fn reach_new(
    state: &AppState,
    caller: &Caller,
    path: store::Path,
) -> Result<(Place, store::Path), Problem> {
    let target = Target::Path(path);
    let Some(Reach::Drive(reached)) = state.store().reach(caller, &target).await? else {
        return Err(Error::Protected.into());
    };
    let path = reached.path().cloned().unwrap_or_default();
    Ok((Place(*reached), path))
}

impl Place {
    /// Who may do what there.
    pub(super) fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// The place, as that caller's paths go.
    pub(super) fn target(&self) -> &Target {
        &self.0.target
    }

    /// A path of that caller as one of whoever asks.
    fn path(&self, path: &store::Path) -> String {
        let base = &self.0.base;
        match (base.is_root(), path.is_root()) {
            (true, _) => path.to_string(),
            (false, true) => base.to_string(),
            (false, false) => format!("{base}{path}"),
        }
    }

    /// What is there, as the API has it.
    fn file(&self, located: &Located) -> File {
        file_at(self.path(&located.path), &located.node)
    }
}

/// The folder of what others share, which is nowhere stored.
async fn shares(
    state: &AppState,
    who: &Authenticated,
    recursive: bool,
    part: Part<store::Path>,
) -> Result<Json<Listed>, Problem> {
    let (store, caller) = (state.store(), &who.caller);
    if !store.has_shares(caller).await? {
        return Err(Problem::not_found());
    }
    let after = part.after.as_ref();
    let found = store.shared_members(caller, after, recursive, part.limit());
    let found = found.await?;
    Ok(Json(Listed::Folder(FileList {
        folder: shares_folder(),
        items: found.items.iter().map(own_file).collect(),
        next_cursor: found.next.as_ref().map(write_cursor),
    })))
}

/// All that one has access to: one's own, then what others share, with everything in it.
async fn everything(
    state: &AppState,
    who: &Authenticated,
    part: Part<store::Path>,
) -> Result<Json<Listed>, Problem> {
    let (store, caller) = (state.store(), &who.caller);
    let root = Target::Path(store::Path::root());
    let folder = store.look_up(caller, &root).await?.ok_or(Error::NotFound)?;
    let is_past_own = |path: &store::Path| is_shared(caller, path);
    let mut found = if part.after.as_ref().is_some_and(is_past_own) {
        Members::default()
    } else {
        let walk = Walk {
            is_deep: true,
            after: part.after.clone(),
            limit: part.limit(),
        };
        store.members(caller, &root, walk).await?
    };
    if found.next.is_none() && store.has_shares(caller).await? {
        let told = u32::try_from(found.items.len()).unwrap_or(u32::MAX);
        let left = part.limit().saturating_sub(told);
        if left == 0 {
            found.next = Some(store::Path::parse(SHARED)?);
        } else {
            let after = part.after.as_ref().filter(|path| is_past_own(path));
            let more = store.shared_members(caller, after, true, left).await?;
            found.items.extend(more.items);
            found.next = more.next;
        }
    }
    Ok(Json(Listed::Folder(FileList {
        folder: own_file(&folder),
        items: found.items.iter().map(own_file).collect(),
        next_cursor: found.next.as_ref().map(write_cursor),
    })))
}

/// [`store::SHARED`] as a folder.
fn shares_folder() -> File {
    let never = rfc3339(0);
    File {
        id: uuid_of_nothing(),
        name: SHARED.to_owned(),
        path: format!("/{SHARED}"),
        kind: "folder".to_owned(),
        size_bytes: 0,
        sha256: None,
        etag: "\"shared\"".to_owned(),
        created_at: never.clone(),
        modified_at: never,
    }
}

/// The id of what has no node.
fn uuid_of_nothing() -> String {
    "00000000-0000-0000-0000-000000000000".to_owned()
}

/// What is at a path of whoever asks.
pub(super) fn own_file(located: &Located) -> File {
    file_at(located.path.to_string(), &located.node)
}

/// A node as the API has it.
pub(super) fn file_at(path: String, node: &Node) -> File {
    let content = node.content();
    File {
        id: node.id.to_string(),
        name: path.rsplit('/').next().unwrap_or_default().to_owned(),
        path,
        kind: kind(node).to_owned(),
        size_bytes: node.size_bytes,
        sha256: content.and_then(|content| Some(content.sha256?.to_string())),
        etag: node.etag(),
        created_at: rfc3339(node.created_ns.div_euclid(1_000_000)),
        modified_at: rfc3339(node.modified_ns.div_euclid(1_000_000)),
    }
}

pub(super) fn kind(node: &Node) -> &'static str {
    if node.is_folder() { "folder" } else { "file" }
}

/// Where something goes; `None` where the request says nothing of it.
fn destination(
    path: Option<String>,
    parent_id: Option<String>,
    name: Option<String>,
) -> Result<Option<Destination>, Problem> {
    match (path, parent_id, name) {
        (None, None, None) => Ok(None),
        (Some(path), None, None) => Ok(Some(Destination::Path(store::Path::parse(&path)?))),
        (Some(_), _, _) => Err(Error::Invalid {
            field: "path",
            reason: "cannot stand beside parent_id or name".to_owned(),
        }
        .into()),
        (None, folder, name) => Ok(Some(Destination::Entry {
            // An id that cannot be one names nothing, like one that does not exist.
            folder: match folder {
                Some(id) => Some(id.parse().map_err(|_| Error::ParentMissing)?),
                None => None,
            },
            name: name.as_deref().map(Name::new).transpose()?,
        })),
    }
}

/// An instant in nanoseconds.
fn instant(field: &'static str, text: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let ns = moment::parse(text).and_then(|ms| ms.checked_mul(1_000_000));
    let invalid = || Error::Invalid {
        field,
        reason: "is no instant in the form of RFC 3339".to_owned(),
    };
    Ok(Some(ns.ok_or_else(invalid)?))
}

/// The id of a node. One that cannot be an id names nothing.
fn node(id: &str) -> Result<NodeId, Problem> {
    id.parse().map_err(|_| Problem::not_found())
}

pub(super) fn write_cursor(path: &store::Path) -> String {
    URL_SAFE_NO_PAD.encode(path.to_string())
}

pub(super) fn read_cursor(cursor: &str) -> Option<store::Path> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let path = store::Path::parse(&String::from_utf8(bytes).ok()?).ok()?;
    (!path.is_root()).then_some(path)
}

pub(super) fn bad_query(detail: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code::INVALID_QUERY, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        let path = store::Path::parse("/a b/\u{fc}").unwrap();
        assert_eq!(read_cursor(&write_cursor(&path)).unwrap(), path);
        for other in ["", "Lw", "/a", "Li4", "%"] {
            assert!(read_cursor(other).is_none(), "{other}");
        }
    }
}
