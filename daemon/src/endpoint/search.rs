//! `/search`: files and folders by name.

use api::{File, Page};
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use store::NodeId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::files::file_at;
use super::page::{Asked, Part};
use super::{AppState, Authenticated, Json};
use crate::server::problem::Problem;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(search))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SearchQuery {
    /// What the name holds, without regard to case and composition.
    #[param(min_length = 1, max_length = 255, example = "report")]
    q: String,
    /// Items in one part; 100 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The part before's `next_cursor`.
    cursor: Option<String>,
}

/// Finds files and folders of one's own, and of what others share, by a part of their name.
///
/// In the order of names.
#[utoipa::path(
    get,
    path = "/search",
    tag = "files",
    operation_id = "search_files",
    params(SearchQuery),
    responses(
        (status = 200, body = Page<File>),
        (status = 422, description = "invalid_fields")
    )
)]
async fn search(
    State(state): State<AppState>,
    who: Authenticated,
    Asked(query): Asked<SearchQuery>,
) -> Result<Json<Page<File>>, Problem> {
    let part = Part::new(query.limit, query.cursor.as_deref(), read_cursor)?;
    let limit = part.limit();
    let store = state.store();
    let found = store
        .search(&who.caller, &query.q, part.after, limit)
        .await?;
    let items = found.items.into_iter();
    let items = items.map(|hit| file_at(hit.path, &hit.node));
    Ok(Json(Page {
        items: items.collect(),
        next_cursor: found.next.map(|(name, id)| write_cursor(&name, id)),
    }))
}

/// Id and name of the last hit of a part.
fn write_cursor(name: &str, id: NodeId) -> String {
    URL_SAFE_NO_PAD.encode([id.as_bytes(), name.as_bytes()].concat())
}

fn read_cursor(text: &str) -> Option<(String, NodeId)> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (id, name) = bytes.split_at_checked(16)?;
    // No name holds a control character, and PostgreSQL no text with a zero.
    let name = std::str::from_utf8(name).ok()?;
    let name = Some(name).filter(|name| !name.chars().any(char::is_control))?;
    Some((name.to_owned(), NodeId::try_from(id).ok()?))
}

/// A name as a cursor.
pub(super) fn write_text(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

pub(super) fn read_text(cursor: &str) -> Option<String> {
    let name = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    Some(name).filter(|name| store::Name::new(name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_written_and_others_refused() {
        let id = "01890000-0000-7000-8000-000000000000".parse().unwrap();
        let cursor = write_cursor("übung", id);
        assert_eq!(read_cursor(&cursor), Some(("übung".to_owned(), id)));
        for other in [
            "",
            "x",
            "01890000-0000-7000-8000-000000000000",
            &write_cursor("a\0", id),
            &URL_SAFE_NO_PAD.encode([0xff; 20]),
        ] {
            assert_eq!(read_cursor(other), None, "{other}");
        }
    }
}
