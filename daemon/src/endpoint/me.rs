//! `/me`: one's own account.

use api::{
    AppPassword, AppPasswordMade, Login, NewAppPassword, OwnChange, OwnRemoval, Page, Usage,
};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use store::{Actor, AppPasswordId, Error, LoginId, Password};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::page::whole;
use super::users::{usage, user};
use super::{AppState, Authenticated, Client, IfMatch, Json, Path, Tagged};
use crate::moment::{self, rfc3339};
use crate::server::auth::clear_cookie;
use crate::server::problem::{Problem, code};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(show, change, remove))
        .routes(routes!(show_usage))
        .routes(routes!(logins))
        .routes(routes!(end_login))
        .routes(routes!(app_passwords, add_app_password))
        .routes(routes!(revoke_app_password))
}

/// Shows one's own account.
#[utoipa::path(
    get,
    path = "/me",
    tag = "accounts",
    operation_id = "show_me",
    responses((status = 200, body = api::User, headers(("ETag" = String))))
)]
async fn show(
    State(state): State<AppState>,
    who: Authenticated,
) -> Result<Tagged<api::User>, Problem> {
    let found = state.store().user(who.caller.user).await?;
    Ok(Tagged(found.etag(), user(&found)))
}

/// Changes one's own password or e-mail address.
///
/// A new password ends all other log-ins; app passwords only when asked. `If-Match` is understood.
#[utoipa::path(
    patch,
    path = "/me",
    tag = "accounts",
    operation_id = "change_me",
    params(("If-Match" = Option<String>, Header)),
    request_body = OwnChange,
    responses(
        (status = 200, body = api::User, headers(("ETag" = String))),
        (status = 403, description = "forbidden, wrong_credentials"),
        (status = 409, description = "name_taken"),
        (status = 412, description = "precondition_failed")
    )
)]
async fn change(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    IfMatch(when): IfMatch,
    Json(change): Json<OwnChange>,
) -> Result<Tagged<api::User>, Problem> {
    let current = Password::new(&change.current_password);
    let change = store::OwnChange {
        password: change.password.as_deref().map(Password::new),
        email: change.email,
        revoke_app_passwords: change.revoke_app_passwords,
        when,
    };
    let changed = state
        .store()
        .change_own(&who.caller, &current, change, peer.known())
        .await
        .map_err(wrong_confirmation)?;
    Ok(Tagged(changed.etag(), user(&changed)))
}

/// Removes one's own account with all that is in it.
///
/// `If-Match` is understood.
#[utoipa::path(
    delete,
    path = "/me",
    tag = "accounts",
    operation_id = "remove_me",
    params(("If-Match" = Option<String>, Header)),
    request_body = OwnRemoval,
    responses(
        (status = 204, description = "The account is gone; the cookie is cleared."),
        (status = 403, description = "forbidden, wrong_credentials"),
        (status = 409, description = "last_administrator"),
        (status = 412, description = "precondition_failed")
    )
)]
async fn remove(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    IfMatch(when): IfMatch,
    Json(removal): Json<OwnRemoval>,
) -> Result<Response, Problem> {
    let password = Password::new(&removal.password);
    state
        .store()
        .remove_own(&who.caller, &password, when, peer.known())
        .await
        .map_err(wrong_confirmation)?;
    let forget = [(header::SET_COOKIE, clear_cookie(peer))];
    Ok((StatusCode::NO_CONTENT, forget).into_response())
}

/// The request was let in, only the password that should confirm it is wrong: that is no 401,
/// which would make clients drop their credential.
fn wrong_confirmation(error: Error) -> Problem {
    match error {
        Error::WrongCredentials => Problem::new(
            StatusCode::FORBIDDEN,
            code::WRONG_CREDENTIALS,
            "The current password is wrong.",
        ),
        error => error.into(),
    }
}

/// Says how full one's own drive is.
#[utoipa::path(
    get,
    path = "/me/usage",
    tag = "accounts",
    operation_id = "show_usage",
    responses((status = 200, body = Usage))
)]
async fn show_usage(
    State(state): State<AppState>,
    who: Authenticated,
) -> Result<Json<Usage>, Problem> {
    Ok(Json(usage(&state.store().usage(&who.caller).await?)))
}

/// Lists one's own log-ins, the newest first.
#[utoipa::path(
    get,
    path = "/me/logins",
    tag = "log-ins",
    operation_id = "list_logins",
    responses((status = 200, body = Page<Login>), (status = 403, description = "forbidden"))
)]
async fn logins(
    State(state): State<AppState>,
    who: Authenticated,
) -> Result<Json<Page<Login>>, Problem> {
    let logins = state.store().logins(&who.caller).await?;
    let items = logins.into_iter().map(|login| Login {
        id: login.id.to_string(),
        device: login.device,
        created_at: rfc3339(login.created_at),
        last_used_at: rfc3339(login.last_used_at),
        current: login.is_current,
    });
    Ok(whole(items))
}

/// Ends one of one's own log-ins.
#[utoipa::path(
    delete,
    path = "/me/logins/{id}",
    tag = "log-ins",
    operation_id = "end_login",
    responses((status = 204), (status = 403, description = "forbidden"))
)]
async fn end_login(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id: LoginId = id.parse().map_err(|_| Problem::not_found())?;
    state
        .store()
        .revoke_login(&who.caller, id, peer.known())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists one's own app passwords, the oldest first.
#[utoipa::path(
    get,
    path = "/me/app-passwords",
    tag = "log-ins",
    operation_id = "list_app_passwords",
    responses((status = 200, body = Page<AppPassword>), (status = 403, description = "forbidden"))
)]
async fn app_passwords(
    State(state): State<AppState>,
    who: Authenticated,
) -> Result<Json<Page<AppPassword>>, Problem> {
    who.caller.require_person()?;
    let owner = who.caller.user;
    let found = state
        .store()
        .app_password_list(Actor::User(owner), owner)
        .await?;
    Ok(whole(found.iter().map(app_password)))
}

/// Makes an app password, for a device.
///
/// The password itself is shown this once.
#[utoipa::path(
    post,
    path = "/me/app-passwords",
    tag = "log-ins",
    operation_id = "add_app_password",
    request_body = NewAppPassword,
    responses(
        (status = 201, body = AppPasswordMade, headers(("Location" = String))),
        (status = 403, description = "forbidden, wrong_credentials"),
        (status = 404, description = "not_found"),
        (status = 409, description = "not_folder"),
        (status = 422, description = "invalid_name, limit_exceeded")
    )
)]
async fn add_app_password(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Json(new): Json<NewAppPassword>,
) -> Result<Response, Problem> {
    let current = Password::new(&new.current_password);
    let expires_at = match &new.expires_at {
        None => None,
        Some(text) => Some(moment::parse(text).ok_or_else(|| Error::Invalid {
            field: "expires_at",
            reason: "is no instant in the form of RFC 3339".to_owned(),
        })?),
    };
    let path = new.path.as_deref().map(store::Path::parse).transpose()?;
    let new = store::NewAppPassword {
        name: new.name,
        path,
        read_only: new.read_only,
        expires_at,
    };
    let (made, password) = state
        .store()
        .app_password_add_own(&who.caller, &current, new, peer.known())
        .await
        .map_err(wrong_confirmation)?;
    let location = format!("/api/v1/me/app-passwords/{}", made.id);
    let made = AppPasswordMade {
        app_password: app_password(&made),
        password,
    };
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(made),
    )
        .into_response())
}

/// Ends an app password. One of them can end itself, but no other.
#[utoipa::path(
    delete,
    path = "/me/app-passwords/{id}",
    tag = "log-ins",
    operation_id = "revoke_app_password",
    responses((status = 204), (status = 403, description = "forbidden"))
)]
async fn revoke_app_password(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id: AppPasswordId = id.parse().map_err(|_| Problem::not_found())?;
    if who.caller.app_password != Some(id) {
        who.caller.require_person()?;
    }
    let owner = who.caller.user;
    state
        .store()
        .app_password_revoke(Actor::User(owner), owner, id, peer.known())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn app_password(found: &store::AppPassword) -> AppPassword {
    AppPassword {
        id: found.id.to_string(),
        name: found.name.clone(),
        path: found
            .path
            .as_ref()
            .map_or_else(|| "/".to_owned(), ToString::to_string),
        read_only: found.read_only,
        created_at: rfc3339(found.created_at),
        expires_at: found.expires_at.map(rfc3339),
        last_used_at: found.last_used_at.map(rfc3339),
    }
}
