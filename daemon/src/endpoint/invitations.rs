//! `/invitations`: codes to register with.

use std::time::Duration;

use api::{Invitation, InvitationMade, NewInvitation, Page};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use store::{Actor, InvitationId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::admin::party;
use super::page::{Asked, Part, PartQuery};
use super::{AppState, Authenticated, Client, Json, OptionalJson, Path};
use crate::moment::rfc3339;
use crate::server::problem::Problem;

/// How long an invitation can be used unless it says.
const USUAL_S: u64 = 7 * 86_400;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list, add))
        .routes(routes!(revoke))
}

/// Lists the invitations that can be used, the oldest first.
#[utoipa::path(
    get,
    path = "/invitations",
    tag = "administration",
    operation_id = "list_invitations",
    params(PartQuery),
    responses((status = 200, body = Page<Invitation>), (status = 403, description = "forbidden"))
)]
async fn list(
    State(state): State<AppState>,
    who: Authenticated,
    Asked(query): Asked<PartQuery>,
) -> Result<Json<Page<Invitation>>, Problem> {
    let actor = Actor::try_from(&who.caller)?;
    let part: Part<InvitationId> = query.part()?;
    let store = state.store();
    let found = store
        .invitation_list(actor, part.after, part.asked())
        .await?;
    Ok(part.page(found, |one| one.id.to_string(), invitation))
}

/// Makes an invitation, for one registration.
///
/// Its code is shown this once.
#[utoipa::path(
    post,
    path = "/invitations",
    tag = "administration",
    operation_id = "add_invitation",
    request_body = Option<NewInvitation>,
    responses(
        (status = 201, body = InvitationMade, headers(("Location" = String))),
        (status = 403, description = "forbidden")
    )
)]
async fn add(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    OptionalJson(request): OptionalJson<NewInvitation>,
) -> Result<Response, Problem> {
    let actor = Actor::try_from(&who.caller)?;
    let valid_for = Duration::from_secs(request.valid_for_s.unwrap_or(USUAL_S));
    let store = state.store();
    let (made, code) = store.invite(actor, valid_for, peer.known()).await?;
    let location = format!("/api/v1/invitations/{}", made.id);
    let made = Json(InvitationMade {
        invitation: invitation(&made),
        code,
    });
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], made).into_response())
}

/// Withdraws an invitation.
#[utoipa::path(
    delete,
    path = "/invitations/{id}",
    tag = "administration",
    operation_id = "withdraw_invitation",
    responses((status = 204), (status = 403, description = "forbidden"))
)]
async fn revoke(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let actor = Actor::try_from(&who.caller)?;
    let id = id.parse().map_err(|_| Problem::not_found())?;
    let store = state.store();
    store.invitation_revoke(actor, id, peer.known()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn invitation(one: &store::Invitation) -> Invitation {
    Invitation {
        id: one.id.to_string(),
        created_by: one.created_by.as_ref().map(party),
        created_at: rfc3339(one.created_at),
        expires_at: rfc3339(one.expires_at),
    }
}
