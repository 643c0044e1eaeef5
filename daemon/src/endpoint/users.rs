//! `/users` and `/invitations`: registering, and administering accounts.

use std::time::Duration;

use api::{Invitation, NewInvitation, NewUser, Page, Registered, Usage, User, UserChange};
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{StatusCode, header};
use serde::Deserialize;
use store::{Access, Actor, Admission, Error, Password, UserId};

use super::auth::log_in;
use super::{AppState, Authenticated, Client, Json, MaybeAuthenticated, OptionalJson, Path};
use crate::config::accounts::Registration;
use crate::moment::rfc3339;
use crate::server::problem::{Problem, code};

/// How long an invitation can be used unless it says.
const INVITATION_S: u64 = 7 * 86_400;
const LONGEST_INVITATION_S: u64 = 365 * 86_400;
/// Users in one part of the list: unless it says, and at most.
const PAGE: u32 = 100;
const LONGEST_PAGE: u32 = 1000;

pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/users", get(list).post(register))
        .route("/users/{id}", get(show).patch(change).delete(remove))
        .route("/invitations", post(invite))
}

/// Registers; with an administrator's credential adds an account, without logging in to it.
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
    let admission = match (actor, state.registration) {
        (Some(actor), _) => Admission::By(actor),
        (None, Registration::Open) => Admission::Open,
        (None, Registration::Invitation) => Admission::Invitation(request.invitation),
        (None, Registration::Closed) => Admission::Closed,
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
        let made = Json(user(&made));
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
        (StatusCode::CREATED, location, Json(registered))
    };
    let wants_cookie = request.cookie.unwrap_or(true);
    Ok(log_in(&state, peer, &grant, wants_cookie, answer))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

async fn list(
    State(state): State<AppState>,
    who: Authenticated,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page<User>>, Problem> {
    let actor = Actor::try_from(&who.caller)?;
    let Query(query) = query?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let after = query
        .cursor
        .map(|cursor| cursor.parse::<UserId>())
        .transpose();
    let after = after.map_err(|_| {
        let detail = "The cursor is not one that this list gave.";
        Problem::new(StatusCode::BAD_REQUEST, code::INVALID_QUERY, detail)
    })?;
    // One more tells whether there is a next part.
    let mut users = state.store().user_list(actor, after, limit + 1).await?;
    let is_last = users.len() <= limit as usize;
    users.truncate(limit as usize);
    let next = users.last().filter(|_| !is_last);
    Ok(Json(Page {
        next_cursor: next.map(|user| user.id.to_string()),
        items: users.iter().map(user).collect(),
    }))
}

async fn show(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<User>, Problem> {
    let (actor, id) = administered(&who, &id)?;
    let found = state.store().user_find(actor, &id.to_string()).await?;
    Ok(Json(user(&found)))
}

async fn change(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
    Json(change): Json<UserChange>,
) -> Result<Json<User>, Problem> {
    let (actor, id) = administered(&who, &id)?;
    let change = store::UserChange {
        quota_bytes: change.quota_bytes,
        access: change.access.as_deref().map(Access::parse).transpose()?,
        disabled: change.disabled,
        password: change.password.as_deref().map(Password::new),
        username: change.username,
        email: change.email,
        revoke_app_passwords: change.revoke_app_passwords,
    };
    let changed = state.store().user_set(actor, id, change).await?;
    Ok(Json(user(&changed)))
}

async fn remove(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let (actor, id) = administered(&who, &id)?;
    state.store().user_remove(actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn invite(
    State(state): State<AppState>,
    who: Authenticated,
    OptionalJson(request): OptionalJson<NewInvitation>,
) -> Result<Response, Problem> {
    let actor = Actor::try_from(&who.caller)?;
    let valid_for_s = request
        .valid_for_s
        .unwrap_or(INVITATION_S)
        .clamp(1, LONGEST_INVITATION_S);
    let valid_for = Duration::from_secs(valid_for_s);
    let (code, expires_at) = state.store().invite(actor, valid_for).await?;
    let invitation = Json(Invitation {
        code,
        expires_at: rfc3339(expires_at),
    });
    Ok((StatusCode::CREATED, invitation).into_response())
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
    }
}
