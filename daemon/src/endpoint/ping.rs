//! `/ping`: how fast everything below answers.

use std::time::Duration;

use api::Ping;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{AppState, Authenticated, Json};
use crate::server::problem::Problem;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(ping))
}

/// Measures how fast the database and the blob store answer.
///
/// For whoever is logged in only: it writes a blob, which is nothing for strangers to repeat.
#[utoipa::path(
    get,
    path = "/ping",
    tag = "health",
    responses((status = 200, body = Ping))
)]
async fn ping(State(state): State<AppState>, _: Authenticated) -> Result<Json<Ping>, Problem> {
    let ping = state.store().ping().await?;
    let millis = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
    Ok(Json(Ping {
        database_ms: millis(ping.database),
        blob_store_ms: millis(ping.blobs),
    }))
}
