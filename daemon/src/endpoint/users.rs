//! `/users`: registering, and administering accounts.

use api::{NewUser, Page, Registered, Usage, User, UserChange, UserMade};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use store::{Access, Actor, Admission, Error, Password, UserId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::log_in;
use super::page::{Asked, Part, PartQuery};
use super::{AppState, Authenticated, Client, IfMatch, Json, MaybeAuthenticated, Path, Tagged};
use crate::moment::rfc3339;
use crate::server::problem::Problem;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list, register))
        .routes(routes!(show, change, remove))
}

/// Registers, and logs in.
///
/// With an administrator's credential it adds an account, without logging in to it.
#[utoipa::path(
    post,
    path = "/users",
    tag = "accounts",
    operation_id = "create_user",
    security((), ("bearer" = []), ("basic" = []), ("cookie" = [])),
    request_body = NewUser,
    responses(
        (status = 201, body = UserMade, headers(("Location" = String))),
        (status = 403, description = "forbidden, registration_closed, wrong_invitation"),
        (status = 409, description = "name_taken"),
        (status = 422, description = "limit_exceeded"),
        (status = 507, description = "storage_full")
    )
)]
async fn register(
    State(state): State<AppState>,
    MaybeAuthenticated(who): MaybeAuthenticated,
    Client(peer): Client,
    Json(request): Json<NewUser>,
) -> Result<Response, Problem> {
    let actor = who.and_then(|who| Actor::try_from(&who.caller).ok());
    let is_for_administrators = request.access.is_some() || request.quota_bytes.is_some();
    if is_for_administrators && actor.is_none() {
        return Err(Error::Forbidden.into());
    }
    let access = request.access.as_deref().map(Access::parse).transpose()?;
    let new = store::NewUser {
        username: request.username,
        email: request.email,
        password: Password::new(&request.password),
        access: access.unwrap_or(Access::User),
        quota_bytes: request.quota_bytes,
    };
    let admission = match actor {
        Some(actor) => Admission::By(actor),
        None => Admission::Own(request.invitation),
    };
    if let (None, Some(address)) = (actor, peer.known()) {
        state
            .registrations
            .take(address)
            .map_err(Problem::too_many)?;
    }
    let store = state.store();
    let made = store.register(new, admission, peer.known()).await?;
    if actor.is_some() {
        let location = format!("/api/v1/users/{}", made.id);
        let made = Json(UserMade::Added(user(&made)));
        return Ok((StatusCode::CREATED, [(header::LOCATION, location)], made).into_response());
    }
    let device = request.device.as_deref().unwrap_or_default();
    let grant = store.first_login(made.id, device, peer.known()).await?;
    let answer = |tokens| {
        let registered = Registered {
            id: made.id.to_string(),
            username: made.username,
            email: made.email,
            created_at: rfc3339(made.created_at),
            tokens,
        };
        let location = [(header::LOCATION, "/api/v1/me")];
        (
            StatusCode::CREATED,
            location,
            Json(UserMade::Registered(registered)),
        )
    };
    let wants_cookie = request.cookie.unwrap_or(true);
    Ok(log_in(&state, peer, &grant, wants_cookie, answer))
}

/// Lists all accounts, in the order of their making.
#[utoipa::path(
    get,
    path = "/users",
    tag = "administration",
    operation_id = "list_users",
    params(PartQuery),
    responses((status = 200, body = Page<User>), (status = 403, description = "forbidden"))
)]
async fn list(
    State(state): State<AppState>,
    who: Authenticated,
    Asked(query): Asked<PartQuery>,
) -> Result<Json<Page<User>>, Problem> {
    let actor = Actor::try_from(&who.caller)?;
    let part: Part<UserId> = query.part()?;
    let store = state.store();
    let users = store.user_list(actor, part.after, part.asked()).await?;
    Ok(part.page(users, |user| user.id.to_string(), user))
}

/// Shows an account.
#[utoipa::path(
    get,
    path = "/users/{id}",
    tag = "administration",
    operation_id = "show_user",
    responses((status = 200, body = User, headers(("ETag" = String))))
)]
async fn show(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
) -> Result<Tagged<User>, Problem> {
    let (actor, id) = administered(&who, &id)?;
    let found = state.store().user_find(actor, &id.to_string()).await?;
    Ok(Tagged(found.etag(), user(&found)))
}

/// Changes an account; what is absent stays.
///
/// `If-Match` is understood.
#[utoipa::path(
    patch,
    path = "/users/{id}",
    tag = "administration",
    operation_id = "change_user",
    params(("If-Match" = Option<String>, Header)),
    request_body = UserChange,
    responses(
        (status = 200, body = User, headers(("ETag" = String))),
        (status = 409, description = "name_taken, last_administrator"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "limit_exceeded"),
        (status = 507, description = "storage_full")
    )
)]
async fn change(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Path(id): Path<String>,
    IfMatch(when): IfMatch,
    Json(change): Json<UserChange>,
) -> Result<Tagged<User>, Problem> {
    let (actor, id) = administered(&who, &id)?;
    let change = store::UserChange {
        quota_bytes: change.quota_bytes,
        access: change.access.as_deref().map(Access::parse).transpose()?,
        disabled: change.disabled,
        password: change.password.as_deref().map(Password::new),
        username: change.username,
        email: change.email,
        revoke_app_passwords: change.revoke_app_passwords,
        when,
    };
    let changed = state
        .store()
        .user_set(actor, id, change, peer.known())
        .await?;
    Ok(Tagged(changed.etag(), user(&changed)))
}

/// Removes an account with all that is in it.
///
/// `If-Match` is understood.
#[utoipa::path(
    delete,
    path = "/users/{id}",
    tag = "administration",
    operation_id = "remove_user",
    params(("If-Match" = Option<String>, Header)),
    responses(
        (status = 204),
        (status = 409, description = "last_administrator"),
        (status = 412, description = "precondition_failed")
    )
)]
async fn remove(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Path(id): Path<String>,
    IfMatch(when): IfMatch,
) -> Result<StatusCode, Problem> {
    let (actor, id) = administered(&who, &id)?;
    let store = state.store();
    store.user_remove(actor, id, when, peer.known()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who administers which account; for everybody else there is nothing at such an address.
fn administered(who: &Authenticated, id: &str) -> Result<(Actor, UserId), Problem> {
    let actor = Actor::try_from(&who.caller).map_err(|_| Problem::not_found())?;
    let id = id.parse().map_err(|_| Problem::not_found())?;
    Ok((actor, id))
}

pub(super) fn user(user: &store::User) -> User {
    User {
        id: user.id.to_string(),
        username: user.username.clone(),
        email: user.email.clone(),
        access: user.access.as_str().to_owned(),
        created_at: rfc3339(user.created_at),
        disabled_at: user.disabled_at.map(rfc3339),
        usage: usage(&user.usage),
    }
}

pub(super) fn usage(usage: &store::Usage) -> Usage {
    Usage {
        used_bytes: usage.used_bytes,
        reserved_bytes: usage.reserved_bytes,
        limit_bytes: usage.limit_bytes,
        free_bytes: usage.free_bytes(),
        files: usage.files,
        live_bytes: usage.live_bytes(),
        publications: usage.publications,
        published_bytes: usage.published_bytes,
        asset_bytes: usage.asset_bytes,
        versions: usage.versions,
        versions_bytes: usage.versions_bytes,
        trashed: usage.trashed,
        trash_bytes: usage.trash_bytes,
    }
}
