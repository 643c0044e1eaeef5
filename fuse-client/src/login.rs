//! From a URL, a user and a password to a log-in worth keeping, and its end.
//!
//! On a Coffer the password is traded for an app password named after this machine: it does not end
//! when unused, and it can be revoked alone. Other servers get what was given.

use http::{Method, StatusCode};
use reqwest::Url;

use crate::connection::{Connection, Fault, Refusal, bounded, chain};
use crate::drive::dav::{ConnectError, Login, api_of, discover};
use crate::profile::{self, Profile};

/// Longest answer of the API that is read.
const MOST_ANSWER_BYTES: usize = 64 * 1024;

/// Why there is no log-in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no drive, or none for this user.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server makes no more app passwords for this user.
    #[error("{user} has as many app passwords as the server allows: revoke some there")]
    TooMany {
        /// Who.
        user: String,
    },
    /// The server answers, but not as it should.
    #[error("the server does not do that: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
}

/// What became of an app password at the end of a log-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It is worth nothing any more.
    Revoked,
    /// None was made for this log-in, so that there is none to revoke.
    Kept,
}

/// Finds the drive, logs in and says what to store; `host` is what this machine is called.
///
/// # Errors
/// [`Error`]
pub async fn make(
    url: &Url,
    login: Login,
    ca_pem: Option<String>,
    name: Option<String>,
    host: &str,
) -> Result<Profile, Error> {
    let pem = ca_pem.as_deref().map(str::as_bytes);
    let found = discover(url, &login, pem).await?;
    let mut profile = Profile {
        name: name.unwrap_or_else(|| name_of(&found.root, is_taken)),
        url: found.root,
        user: login.user.clone(),
        password: login.password.clone(),
        app_password_id: None,
        ca_pem: ca_pem.clone(),
    };
    if let Some(api) = found.api
        && let Some(made) = app_password(&api, &login, pem, host).await?
    {
        profile.password = made.password;
        profile.app_password_id = Some(made.app_password.id);
    }
    Ok(profile)
}

/// Revokes the app password that was made for a log-in.
///
/// # Errors
/// [`Error`]; then it may still be good.
pub async fn end(profile: &Profile) -> Result<Ended, Error> {
    let Some(id) = &profile.app_password_id else {
        return Ok(Ended::Kept);
    };
    let pem = profile.ca_pem.as_deref().map(str::as_bytes);
    let connection = connection(&profile.login(), pem)?;
    let url = at(&api_of(&profile.url), &format!("me/app-passwords/{id}"))?;
    match connection
        .send(connection.request(Method::DELETE, &url))
        .await
    {
        // What is not known any more is gone already.
        Ok(_)
        | Err(Fault::Refused(Refusal {
            status: StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED,
            ..
        })) => Ok(Ended::Revoked),
        Err(fault) => Err(refused(fault)),
    }
}

/// Makes one; `None` when what was given is one already, which cannot make others.
async fn app_password(
    api: &Url,
    login: &Login,
    ca_pem: Option<&[u8]>,
    host: &str,
) -> Result<Option<api::AppPasswordMade>, Error> {
    let connection = connection(login, ca_pem)?;
    let wanted = api::NewAppPassword {
        current_password: login.password.clone(),
        name: format!("coffer on {host}"),
        path: None,
        read_only: false,
        expires_at: None,
    };
    let url = at(api, "me/app-passwords")?;
    let request = connection.request(Method::POST, &url).json(&wanted);
    let answer = match connection.send(request).await {
        Err(Fault::Refused(refusal)) if refusal.status == StatusCode::FORBIDDEN => return Ok(None),
        Err(Fault::Refused(refusal)) if refusal.status == StatusCode::UNPROCESSABLE_ENTITY => {
            let user = login.user.clone();
            return Err(Error::TooMany { user });
        }
        answer => answer.map_err(refused)?,
    };
    let body = bounded(answer, MOST_ANSWER_BYTES).await.map_err(refused)?;
    let made = serde_json::from_slice(&body);
    made.map(Some).map_err(|error| Error::Refused {
        reason: error.to_string(),
    })
}

/// A name for a drive that nobody has named: where it is. The port tells two on one host apart.
fn name_of(root: &Url, is_taken: impl Fn(&str, &Url) -> bool) -> String {
    let host = root.host_str().unwrap_or("drive");
    match root.port_or_known_default() {
        Some(port) if is_taken(host, root) => format!("{host}:{port}"),
        _ => host.to_owned(),
    }
}

/// Whether a name is that of another drive's log-in.
fn is_taken(name: &str, root: &Url) -> bool {
    match profile::find(name) {
        Ok(there) => there.is_some_and(|there| there.url != *root),
        // One that cannot be read is not to be replaced either.
        Err(_) => true,
    }
}

fn connection(login: &Login, ca_pem: Option<&[u8]>) -> Result<Connection, Error> {
    let made = Connection::new(Some(login.clone()), ca_pem);
    made.map_err(|error| Error::Refused {
        reason: chain(&error),
    })
}

fn at(api: &Url, path: &str) -> Result<Url, Error> {
    api.join(path).map_err(|error| Error::Refused {
        reason: error.to_string(),
    })
}

fn refused(fault: Fault) -> Error {
    let reason = match fault {
        Fault::Transport(error) => chain(&error),
        Fault::TooSlow => "it took too long".to_owned(),
        Fault::Refused(refusal) => format!("it answers {}", refusal.status),
        Fault::Nonsense(reason) => reason,
        Fault::Local(error) => error.to_string(),
    };
    Error::Refused { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_is_called_after_its_host_and_by_its_port_only_beside_another() {
        let name = |url: &str, is_taken: bool| name_of(&Url::parse(url).unwrap(), |_, _| is_taken);
        assert_eq!(name("http://nas:8080/dav/", false), "nas");
        assert_eq!(name("http://nas:8080/dav/", true), "nas:8080");
        assert_eq!(name("https://nas/dav/", true), "nas:443");
        assert_eq!(name("http://[::1]:8080/dav/", true), "[::1]:8080");
    }
}
