//! `/auth`: logging in and out.

use api::{LoginRequest, LogoutRequest, RefreshRequest, Session, Tokens};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use store::{LoginGrant, Password};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{AppState, Authenticated, Client, Json, OptionalJson};
use crate::moment::rfc3339;
use crate::server::auth::{clear_cookie, set_cookie};
use crate::server::peer::Peer;
use crate::server::problem::{Problem, code};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(session))
}

/// Logs in with user name or e-mail address and password.
///
/// App passwords are not taken. The answer is the same, in the same time, whichever part was wrong.
#[utoipa::path(
    post,
    path = "/auth/login",
    tag = "log-ins",
    operation_id = "log_in",
    security(()),
    request_body = LoginRequest,
    responses(
        (status = 200, body = Tokens),
        (status = 401, description = "wrong_credentials"),
        (status = 429, description = "too_many_attempts")
    )
)]
async fn login(
    State(state): State<AppState>,
    Client(peer): Client,
    Json(request): Json<LoginRequest>,
) -> Result<Response, Problem> {
    let password = Password::new(&request.password);
    let device = request.device.as_deref().unwrap_or_default();
    let grant = state
        .store()
        .login(&request.login, &password, device, peer.known())
        .await?;
    Ok(log_in(&state, peer, &grant, request.cookie, Json))
}

/// Exchanges a refresh token for the next tokens.
///
/// One that comes a second time must have been copied, and ends the log-in.
#[utoipa::path(
    post,
    path = "/auth/refresh",
    tag = "log-ins",
    operation_id = "refresh_tokens",
    security(()),
    request_body = RefreshRequest,
    responses(
        (status = 200, body = Tokens),
        (status = 401, description = "wrong_credentials")
    )
)]
async fn refresh(
    State(state): State<AppState>,
    Client(peer): Client,
    Json(request): Json<RefreshRequest>,
) -> Result<Response, Problem> {
    let grant = state
        .store()
        .refresh(&request.refresh_token, peer.known())
        .await?;
    Ok(log_in(&state, peer, &grant, request.cookie, Json))
}

/// Ends the log-in of the refresh token in the body, else that of the access token.
///
/// One that has ended may come along with the body: clients and browsers send what they have.
#[utoipa::path(
    post,
    path = "/auth/logout",
    tag = "log-ins",
    operation_id = "log_out",
    security((), ("bearer" = []), ("cookie" = [])),
    request_body = Option<LogoutRequest>,
    responses((status = 204, description = "The log-in has ended; the cookie is cleared."))
)]
async fn logout(
    State(state): State<AppState>,
    Client(peer): Client,
    who: Result<Authenticated, Problem>,
    OptionalJson(request): OptionalJson<LogoutRequest>,
) -> Result<Response, Problem> {
    if let Some(token) = request.refresh_token {
        state.store().logout_by_token(&token, peer.known()).await?;
    } else {
        let Authenticated { caller, .. } = who?;
        if caller.login.is_none() {
            let detail = "There is no log-in to end: send its access or refresh token.";
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                code::BAD_REQUEST,
                detail,
            ));
        }
        state.store().logout(&caller, peer.known()).await?;
    }
    let forget = [(header::SET_COOKIE, clear_cookie(peer))];
    Ok((StatusCode::NO_CONTENT, forget).into_response())
}

/// Says who the credential stands for, and until when.
#[utoipa::path(
    get,
    path = "/auth/session",
    tag = "log-ins",
    operation_id = "show_session",
    responses((status = 200, body = Session))
)]
async fn session(who: Authenticated) -> Json<Session> {
    let instant = |seconds: u64| rfc3339(i64::try_from(seconds).unwrap_or(0).saturating_mul(1000));
    let Authenticated { caller, token } = who;
    Json(Session {
        user_id: caller.user.to_string(),
        username: caller.username.to_string(),
        access: caller.access.as_str().to_owned(),
        login_id: caller.login.map(|id| id.to_string()),
        app_password_id: caller.app_password.map(|id| id.to_string()),
        issued_at: token.map(|token| instant(token.issued_at)),
        expires_at: token.map(|token| instant(token.expires_at)),
    })
}

/// The answer that gives the tokens of a log-in, the access token as a cookie too where it is wanted.
pub(super) fn log_in<A: IntoResponse>(
    state: &AppState,
    peer: Peer,
    grant: &LoginGrant,
    wants_cookie: bool,
    answer: impl FnOnce(Tokens) -> A,
) -> Response {
    let signer = &state.auth.tokens;
    let access_token = signer.sign(grant.user.id, grant.login);
    let cookie = wants_cookie.then(|| set_cookie(&access_token, signer.lifetime_s(), peer));
    let tokens = Tokens {
        access_token,
        refresh_token: grant.refresh_token.clone(),
        token_type: "Bearer".to_owned(),
        expires_in: signer.lifetime_s(),
    };
    let mut response = answer(tokens).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
