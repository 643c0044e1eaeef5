//! Finding assets.

use api::{AssetHit, Page};
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use store::{AssetCursor, AssetId, AssetKey, AssetKind, AssetQuery, AssetSort};

use super::hit;
use crate::endpoint::page::{Asked, Part, PartQuery};
use crate::endpoint::{AppState, Authenticated, Json};
use crate::moment;
use crate::server::problem::{Problem, code};

/// What a search asks for.
#[derive(Default, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchQuery {
    /// Words that name or description hold, without regard to case and accents; of the last, its
    /// beginning. At most 8.
    #[param(min_length = 1, max_length = 512, example = "wooden chair")]
    q: Option<String>,
    /// `2d` or `3d`.
    #[param(pattern = "^[23]d$")]
    kind: Option<String>,
    /// A version of the engine that it runs on.
    #[param(pattern = r"^[0-9]{1,6}(\.[0-9]{1,6}){0,2}$", example = "5.3")]
    engine_version: Option<String>,
    /// A tag it has; up to 8, all of which it has.
    #[param(required = false, max_items = 8)]
    tag: Vec<String>,
    /// The public name of one of its authors.
    author: Option<String>,
    /// Fewest bytes of its files.
    #[param(value_type = Option<u64>)]
    min_bytes: Option<String>,
    /// Most bytes of its files.
    #[param(value_type = Option<u64>)]
    max_bytes: Option<String>,
    /// Posted then or later (RFC 3339).
    #[param(format = DateTime)]
    posted_after: Option<String>,
    /// Posted before (RFC 3339).
    #[param(format = DateTime)]
    posted_before: Option<String>,
    /// `downloads`, `date` (when it was posted) or `name`; `date` unless given.
    #[param(pattern = "^(downloads|date|name)$")]
    sort: Option<String>,
    /// `asc` or `desc`; unless given `asc` by name, otherwise `desc`.
    #[param(pattern = "^(asc|desc)$")]
    order: Option<String>,
    /// Items in one part; 100 unless given.
    #[param(minimum = 1, maximum = 1000, value_type = Option<u32>)]
    limit: Option<String>,
    /// The part before's `next_cursor`.
    cursor: Option<String>,
}

/// Finds posted assets, without an account.
///
/// All that is asked for must hold. Assets that are equal in the order come in that of their ids.
#[utoipa::path(
    get,
    path = "/assets",
    tag = "assets",
    operation_id = "search_assets",
    security(()),
    params(SearchQuery),
    responses(
        (status = 200, body = Page<AssetHit>),
        (status = 422, description = "invalid_fields")
    )
)]
pub(super) async fn search(
    State(state): State<AppState>,
    Asked(pairs): Asked<Vec<(String, String)>>,
) -> Result<Json<Page<AssetHit>>, Problem> {
    let query = SearchQuery::read(pairs)?;
    let (sort, descending) = query.order()?;
    let limit = query
        .limit
        .as_deref()
        .map(|text| number("limit", text))
        .transpose()?;
    let part = Part::new(limit, query.cursor.as_deref(), |text| {
        read_cursor(text, sort, descending)
    })?;
    let asked = AssetQuery {
        kind: query.kind.as_deref().map(AssetKind::parse).transpose()?,
        min_bytes: query
            .min_bytes
            .as_deref()
            .map(|text| bytes("min_bytes", text))
            .transpose()?,
        max_bytes: query
            .max_bytes
            .as_deref()
            .map(|text| bytes("max_bytes", text))
            .transpose()?,
        posted_after: instant("posted_after", query.posted_after.as_deref())?,
        posted_before: instant("posted_before", query.posted_before.as_deref())?,
        text: query.q,
        engine_version: query.engine_version,
        tags: query.tag,
        author: query.author,
        sort,
        descending,
        limit: part.limit(),
        after: part.after,
    };
    let found = state.store().asset_search(asked).await?;
    Ok(Json(Page {
        items: found.items.into_iter().map(hit).collect(),
        next_cursor: found.next.map(|next| write_cursor(&next, sort, descending)),
    }))
}

/// Lists one's own assets, drafts as well, the newest first.
#[utoipa::path(
    get,
    path = "/me/assets",
    tag = "assets",
    operation_id = "list_own_assets",
    params(PartQuery),
    responses((status = 200, body = Page<AssetHit>))
)]
pub(super) async fn own(
    State(state): State<AppState>,
    who: Authenticated,
    Asked(query): Asked<PartQuery>,
) -> Result<Json<Page<AssetHit>>, Problem> {
    let part: Part<AssetId> = query.part()?;
    let found = state
        .store()
        .own_assets(&who.caller, part.after, part.asked())
        .await?;
    Ok(part.page(
        found,
        |last| last.id.to_string(),
        |found| hit(found.clone()),
    ))
}

impl SearchQuery {
    /// Reads the pairs of a query; only `tag` may come more than once.
    fn read(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut query = Self::default();
        for (name, value) in pairs {
            let field = match &*name {
                "q" => &mut query.q,
                "kind" => &mut query.kind,
                "engine_version" => &mut query.engine_version,
                "tag" => {
                    query.tag.push(value);
                    continue;
                }
                "author" => &mut query.author,
                "min_bytes" => &mut query.min_bytes,
                "max_bytes" => &mut query.max_bytes,
                "posted_after" => &mut query.posted_after,
                "posted_before" => &mut query.posted_before,
                "sort" => &mut query.sort,
                "order" => &mut query.order,
                "limit" => &mut query.limit,
                "cursor" => &mut query.cursor,
                _ => return Err(invalid(format!("unknown field `{name}`"))),
            };
            if field.replace(value).is_some() {
                return Err(invalid(format!("duplicate field `{name}`")));
            }
        }
        Ok(query)
    }

    /// The order, and whether the greatest come first.
    fn order(&self) -> Result<(AssetSort, bool), Problem> {
        let sort = match self.sort.as_deref() {
            Some("downloads") => AssetSort::Downloads,
            None | Some("date") => AssetSort::Date,
            Some("name") => AssetSort::Name,
            Some(_) => return Err(invalid("sort must be downloads, date or name".to_owned())),
        };
        let descending = match self.order.as_deref() {
            None => sort != AssetSort::Name,
            Some("asc") => false,
            Some("desc") => true,
            Some(_) => return Err(invalid("order must be asc or desc".to_owned())),
        };
        Ok((sort, descending))
    }
}

fn invalid(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code::INVALID_QUERY, detail)
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|_| invalid(format!("{name} is no number that it can be")))
}

/// A number of bytes, as far as JSON numbers are exact.
fn bytes(name: &str, text: &str) -> Result<u64, Problem> {
    let bytes = number(name, text)?;
    if bytes > 1 << 53 {
        return Err(invalid(format!("{name} is more than 2^53")));
    }
    Ok(bytes)
}

fn instant(name: &str, text: Option<&str>) -> Result<Option<i64>, Problem> {
    let read = |text| {
        let instant = moment::parse(text);
        instant.ok_or_else(|| invalid(format!("{name} is no instant in the form of RFC 3339")))
    };
    text.map(read).transpose()
}

/// Order, id and key of the last of a part.
fn write_cursor(cursor: &AssetCursor, sort: AssetSort, descending: bool) -> String {
    let mut bytes = vec![order_byte(sort, descending)];
    bytes.extend_from_slice(cursor.id.as_bytes());
    match &cursor.key {
        AssetKey::Number(number) => bytes.extend_from_slice(&number.to_be_bytes()),
        AssetKey::Text(text) => bytes.extend_from_slice(text.as_bytes()),
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

/// None for a cursor of another order.
fn read_cursor(text: &str, sort: AssetSort, descending: bool) -> Option<AssetCursor> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (order, rest) = bytes.split_first()?;
    let (id, key) = rest.split_at_checked(16)?;
    let key = if sort == AssetSort::Name {
        let text = std::str::from_utf8(key).ok()?;
        // PostgreSQL has no text with a zero.
        AssetKey::Text(Some(text).filter(|text| !text.contains('\0'))?.to_owned())
    } else {
        AssetKey::Number(i64::from_be_bytes(key.try_into().ok()?))
    };
    let id = AssetId::try_from(id).ok()?;
    (*order == order_byte(sort, descending)).then_some(AssetCursor { key, id })
}

fn order_byte(sort: AssetSort, descending: bool) -> u8 {
    let sort = match sort {
        AssetSort::Downloads => 0,
        AssetSort::Date => 2,
        AssetSort::Name => 4,
    };
    sort + u8::from(descending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_of_one_order_alone() {
        let id = "01890000-0000-7000-8000-000000000000".parse().unwrap();
        for (sort, key) in [
            (AssetSort::Name, AssetKey::Text("übung".to_owned())),
            (AssetSort::Date, AssetKey::Number(1_700_000_000_123)),
            (AssetSort::Downloads, AssetKey::Number(0)),
        ] {
            let cursor = AssetCursor { key, id };
            let text = write_cursor(&cursor, sort, true);
            assert_eq!(read_cursor(&text, sort, true), Some(cursor));
            assert_eq!(read_cursor(&text, sort, false), None);
            for other in [AssetSort::Name, AssetSort::Date, AssetSort::Downloads] {
                assert_eq!(read_cursor(&text, other, true).is_some(), other == sort);
            }
        }
        for text in ["", "x", "AAAA"] {
            assert_eq!(read_cursor(text, AssetSort::Date, true), None);
        }
    }

    #[test]
    fn a_query_has_each_field_once_but_tags() {
        let pairs = |names: &[&str]| {
            let pair = |name: &&str| ((*name).to_owned(), "1".to_owned());
            SearchQuery::read(names.iter().map(pair).collect())
        };
        assert_eq!(pairs(&["tag", "q", "tag"]).unwrap().tag.len(), 2);
        assert!(pairs(&["q", "q"]).is_err());
        assert!(pairs(&["query"]).is_err());
    }
}
