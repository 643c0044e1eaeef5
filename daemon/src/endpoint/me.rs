//! `/me`: one's own account.

use api::{
    AppPassword, AppPasswordMade, Login, NewAppPassword, OwnChange, OwnRemoval, Page, Usage,
};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use http::{StatusCode, header};
use store::{Actor, AppPasswordId, Error, LoginId, Password};

use super::page::whole;
use super::users::{usage, user};
use super::{AppState, Authenticated, Client, Json, Path};
use crate::moment::{self, rfc3339};
use crate::server::auth::clear_cookie;
use crate::server::problem::{Problem, code};

pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/me", get(show).patch(change).delete(remove))
        .route("/me/usage", get(show_usage))
        .route("/me/logins", get(logins))
        .route("/me/logins/{id}", delete(end_login))
        .route(
            "/me/app-passwords",
            get(app_passwords).post(add_app_password),
        )
        .route("/me/app-passwords/{id}", delete(revoke_app_password))
}

async fn show(
    State(state): State<AppState>,
    who: Authenticated,
) -> Result<Json<api::User>, Problem> {
    Ok(Json(user(&state.store().user(who.caller.user).await?)))
}

async fn change(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Json(change): Json<OwnChange>,
) -> Result<Json<api::User>, Problem> {
    let current = Password::new(&change.current_password);
    let change = store::OwnChange {
        password: change.password.as_deref().map(Password::new),
        email: change.email,
        revoke_app_passwords: change.revoke_app_passwords,
    };
    let changed = state
        .store()
        .change_own(&who.caller, &current, change, peer.known())
        .await
        .map_err(wrong_confirmation)?;
    Ok(Json(user(&changed)))
}

async fn remove(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Json(removal): Json<OwnRemoval>,
) -> Result<Response, Problem> {
    let password = Password::new(&removal.password);
    state
        .store()
        .remove_own(&who.caller, &password, peer.known())
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

async fn show_usage(
    State(state): State<AppState>,
    who: Authenticated,
) -> Result<Json<Usage>, Problem> {
    Ok(Json(usage(&state.store().usage(&who.caller).await?)))
}

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

async fn revoke_app_password(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    who.caller.require_person()?;
    let id: AppPasswordId = id.parse().map_err(|_| Problem::not_found())?;
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
