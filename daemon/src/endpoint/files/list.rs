//! Lists of files: of a folder, of what others share, and of all there is.

use api::{File, FileList};
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use store::{Error, Members, SHARED, Target, Walk, is_shared};
use utoipa::ToSchema;

use super::super::page::{Asked, Part};
use super::super::{AppState, Authenticated, Json};
use super::bad_query;
use super::place::{node, own_file, reach};
use crate::moment::rfc3339;
use crate::server::problem::Problem;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
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
pub(super) enum Scope {
    /// One's own drive and what others share, with everything in it.
    All,
}

/// What is there: a folder with a part of what it holds, or a file.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Listed {
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
pub(super) async fn list(
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

pub(in crate::endpoint) fn write_cursor(path: &store::Path) -> String {
    URL_SAFE_NO_PAD.encode(path.to_string())
}

pub(in crate::endpoint) fn read_cursor(cursor: &str) -> Option<store::Path> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let path = store::Path::parse(&String::from_utf8(bytes).ok()?).ok()?;
    (!path.is_root()).then_some(path)
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
