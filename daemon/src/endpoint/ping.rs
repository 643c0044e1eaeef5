//! `/ping`: how fast everything below answers.

use std::time::Duration;

use api::Ping;
use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::{AppState, Authenticated, Json};
use crate::server::problem::Problem;

pub fn routes() -> Router<AppState> {
    Router::new().route("/ping", get(ping))
}

/// For whoever is logged in only: it writes a blob, which is nothing for strangers to repeat.
async fn ping(State(state): State<AppState>, _: Authenticated) -> Result<Json<Ping>, Problem> {
    let ping = state.store().ping().await?;
    let millis = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
    Ok(Json(Ping {
        database_ms: millis(ping.database),
        blob_store_ms: millis(ping.blobs),
    }))
}
