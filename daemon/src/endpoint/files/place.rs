//! From what a request names to a place in a drive, which may be another's, and back to how that is
//! told to whoever asks.

use api::File;
use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;
use serde::Deserialize;
use store::{Caller, Error, Located, Node, NodeId, Reach, Reached, Target};

use super::super::AppState;
use crate::moment::rfc3339;
use crate::server::problem::Problem;

/// What the address names: `/files/{id}…` by id, `/files…?path=` by path.
pub(in crate::endpoint) struct Named(pub(in crate::endpoint) Target);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ByPath {
    pub path: String,
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

/// A place in a drive, which may be another's, and how it is told to whoever asks.
pub(in crate::endpoint) struct Place(pub(super) Reached);

/// Where a target of the caller lies.
pub(in crate::endpoint) async fn reach(
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
pub(in crate::endpoint) async fn reach_new(
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
    pub(in crate::endpoint) fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// The place, as that caller's paths go.
    pub(in crate::endpoint) fn target(&self) -> &Target {
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
    pub(super) fn file(&self, located: &Located) -> File {
        file_at(self.path(&located.path), &located.node)
    }
}

/// What is at a path of whoever asks.
pub(in crate::endpoint) fn own_file(located: &Located) -> File {
    file_at(located.path.to_string(), &located.node)
}

/// A node as the API has it.
pub(in crate::endpoint) fn file_at(path: String, node: &Node) -> File {
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

pub(in crate::endpoint) fn kind(node: &Node) -> &'static str {
    if node.is_folder() { "folder" } else { "file" }
}

/// The id of a node. One that cannot be an id names nothing.
pub(super) fn node(id: &str) -> Result<NodeId, Problem> {
    id.parse().map_err(|_| Problem::not_found())
}
