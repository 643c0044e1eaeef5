//! How a visitor shows that they know a link's password: by Basic with each request, or once in a
//! form and by a cookie from then on.

use axum::extract::{Form, FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use store::{Error, LinkProof, OpenLink, Password, Path};

use super::{Refused, Visit, page};
use crate::endpoint::AppState;
use crate::server::auth::basic_password;
use crate::server::peer::Peer;
use crate::server::problem::{Problem, code};

/// Holds the pass in browsers, for the link's own addresses alone.
const COOKIE: &str = "coffer_link";
/// The same over TLS: nobody who can answer plain HTTP in our place can set it.
const COOKIE_OVER_TLS: &str = "__Secure-coffer_link";
/// Cookies of that name that are looked at.
const MOST_PASSES: usize = 4;

fn cookie_name(peer: Peer) -> &'static str {
    if peer.tls { COOKIE_OVER_TLS } else { COOKIE }
}

#[derive(Deserialize)]
struct PasswordForm {
    password: String,
    /// Where the form was shown, below what the link leads to.
    #[serde(default)]
    path: String,
}

impl Visit {
    /// What the token leads to, once the password is proved.
    pub(super) async fn open(
        &self,
        state: &AppState,
        headers: &HeaderMap,
    ) -> Result<OpenLink, Refused> {
        let found = self.find(state).await?;
        let (store, address) = (state.store(), self.peer.known());
        if found.has_password() {
            for pass in passes(headers, self.peer).take(MOST_PASSES) {
                let proof = LinkProof::Pass(pass);
                match store.open_link(found.clone(), proof, address).await {
                    Err(Error::WrongCredentials) => {}
                    opened => return Ok(opened?),
                }
            }
        }
        let password = basic_password(headers).map(|text| Password::new(&text));
        let proof = password
            .as_ref()
            .map_or(LinkProof::None, LinkProof::Password);
        match store.open_link(found, proof, address).await {
            Err(Error::WrongCredentials) => Err(Refused::Closed),
            opened => Ok(opened?),
        }
    }

    /// Takes the password from the form that asks for it.
    pub(super) async fn unlock(
        &self,
        state: &AppState,
        request: Request,
    ) -> Result<Response, Refused> {
        let form = Form::<PasswordForm>::from_request(request, state).await;
        let Form(form) = form.map_err(|rejection| {
            let detail = "The form holds the password.";
            let code = match rejection.status() {
                StatusCode::UNSUPPORTED_MEDIA_TYPE => code::UNSUPPORTED_MEDIA_TYPE,
                StatusCode::UNPROCESSABLE_ENTITY => code::INVALID_FIELDS,
                _ => code::BAD_REQUEST,
            };
            Problem::new(rejection.status(), code, detail)
        })?;
        let found = self.find(state).await?;
        let (store, address) = (state.store(), self.peer.known());
        let path = Path::parse(&form.path).unwrap_or_default();
        let password = Password::new(&form.password);
        let proof = LinkProof::Password(&password);
        let link = match store.open_link(found, proof, address).await {
            Err(Error::WrongCredentials) if self.is_browser => {
                return Ok(page::password(&self.token, &path, true));
            }
            Err(Error::WrongCredentials) => return Err(Refused::Closed),
            opened => opened?,
        };
        let mut answer = StatusCode::SEE_OTHER.into_response();
        let headers = answer.headers_mut();
        let location = HeaderValue::try_from(page::address(&self.token, &path));
        headers.insert(header::LOCATION, location.expect("escaped paths are ASCII"));
        if let Some(pass) = link.pass(store) {
            headers.insert(
                header::SET_COOKIE,
                set_cookie(&self.token, &pass, self.peer),
            );
        }
        Ok(answer)
    }
}

/// The passes that came in cookies.
fn passes(headers: &HeaderMap, peer: Peer) -> impl Iterator<Item = &str> {
    let name = cookie_name(peer);
    let values = headers.get_all(header::COOKIE).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(move |pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

fn set_cookie(token: &str, pass: &str, peer: Peer) -> HeaderValue {
    let secure = if peer.tls { "; Secure" } else { "" };
    let (name, lifetime_s) = (cookie_name(peer), OpenLink::PASS_S);
    let cookie = format!(
        "{name}={pass}; Path=/s/{token}; Max-Age={lifetime_s}; HttpOnly; SameSite=Strict{secure}"
    );
    HeaderValue::try_from(cookie).expect("tokens that lead somewhere and passes are ASCII")
}
