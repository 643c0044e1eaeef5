//! `/events`: live notices over a WebSocket (docs/decisions/0005).

mod feed;
mod inside;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde::Deserialize;
use store::{DriveId, UserId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::feed::Feed;
use super::page::Asked;
use super::{AppState, SocketCaller};
use crate::config::Config;
use crate::open::size;
use crate::server::problem::{Problem, code};
use crate::server::websocket::{Opening, socket};

/// What is spoken on the socket.
const PROTOCOL: &str = "coffer.v1";
/// When to come again to a server that is full of sockets, in seconds.
const RETRY_AFTER_S: u64 = 30;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Messages::openapi()).routes(routes!(open))
}

/// What comes over the socket, of which no answer of HTTP speaks.
#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(api::Event)))]
struct Messages;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// The `cursor` of an earlier message: what happened after it is told first.
    since: Option<String>,
}

/// Opens a WebSocket that tells what happens in one's own drive.
///
/// Each message is an `Event` as JSON text; the client sends none. Besides `Authorization`, the
/// access token may be offered as a protocol (`Sec-WebSocket-Protocol: coffer.v1,
/// bearer.<token>`). `Origin`, where it is said, must be this server's; with the cookie it must be
/// said.
#[utoipa::path(
    get,
    path = "/events",
    tag = "events",
    operation_id = "open_events",
    params(EventsQuery),
    responses(
        (status = 101, description = "It is open."),
        (status = 403, description = "cross_site"),
        (status = 426, description = "upgrade_required"),
        (status = 429, description = "limit_exceeded")
    )
)]
async fn open(
    State(state): State<AppState>,
    SocketCaller(caller): SocketCaller,
    Asked(query): Asked<EventsQuery>,
    opening: Opening,
) -> Result<Response, Problem> {
    let since = query.since.as_deref().map(Cursor::read).transpose()?;
    let place = state.sockets.place(caller.user)?;
    let store = state.store();
    // Before the cursor is read: nothing may come in between.
    let watch = store.watch(&caller);
    let start = match since {
        Some(cursor) if cursor.drive == caller.drive => cursor.number,
        // The drive has no such number: the client is told to begin anew.
        Some(_) => -1,
        None => store.change_cursor(&caller).await?,
    };
    let (phase, stall) = (opening.phase.clone(), state.sockets.stall);
    let (response, upgrade) = opening.accept(PROTOCOL);
    // The server waits for it at its end, by way of `phase`.
    tokio::spawn(async move {
        let _place = place;
        match upgrade.await {
            Ok(upgraded) => {
                let feed = Feed::new(socket(upgraded).await, watch, start, stall);
                feed.serve(phase).await;
            }
            Err(error) => tracing::debug!(%error, "a WebSocket did not open"),
        }
    });
    Ok(response)
}

/// Where a client stands in its drive's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    drive: DriveId,
    number: i64,
}

impl Cursor {
    /// What cursors begin with; others would be of another kind.
    const FORM: u8 = 1;

    fn write(self) -> String {
        let mut bytes = vec![Self::FORM];
        bytes.extend_from_slice(self.drive.as_bytes());
        bytes.extend_from_slice(&self.number.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read(text: &str) -> Result<Self, Problem> {
        Self::parse(text).ok_or_else(|| {
            let detail = "since is not a cursor that these notices gave.";
            Problem::new(StatusCode::BAD_REQUEST, code::INVALID_QUERY, detail)
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (form, rest) = bytes.split_first()?;
        let (drive, number) = rest.split_at_checked(16)?;
        if *form != Self::FORM {
            return None;
        }
        Some(Self {
            drive: DriveId::try_from(drive).ok()?,
            number: i64::from_be_bytes(number.try_into().ok()?),
        })
    }
}

/// Who has how many sockets open.
pub struct Sockets {
    all: Arc<Semaphore>,
    per_user: usize,
    users: Mutex<HashMap<UserId, Arc<Semaphore>>>,
    /// How long a client may take nothing, or not be heard.
    stall: Duration,
}

/// A socket's place; given back when dropped.
struct Place {
    _of_all: OwnedSemaphorePermit,
    _of_user: OwnedSemaphorePermit,
}

impl Sockets {
    pub fn new(config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            all: Arc::new(Semaphore::new(size(limits.sockets.into()))),
            per_user: size(limits.sockets_per_user.into()),
            users: Mutex::default(),
            stall: config.server.stall_timeout.0,
        }
    }

    /// A place for one more.
    fn place(&self, user: UserId) -> Result<Place, Problem> {
        let of_user = self
            .of(user)
            .try_acquire_owned()
            .map_err(|_| Problem::over_limit_now("a user's open sockets", self.per_user as u64))?;
        let of_all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let detail = "There are too many open sockets; try again later.";
            Problem::new(status, code::UNAVAILABLE, detail).retry_after(RETRY_AFTER_S)
        })?;
        Ok(Place {
            _of_all: of_all,
            _of_user: of_user,
        })
    }

    fn of(&self, user: UserId) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        // Users without sockets are forgotten before the table grows.
        if users.len() > 1000 {
            users.retain(|_, places| places.available_permits() < self.per_user);
        }
        let places = users
            .entry(user)
            .or_insert_with(|| Arc::new(Semaphore::new(self.per_user)));
        Arc::clone(places)
    }
}

#[cfg(test)]
mod tests {
    use store::World;

    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_one() {
        let drive = DriveId::new(&World::default());
        for number in [0, 7, i64::MAX] {
            let cursor = Cursor { drive, number };
            assert_eq!(Cursor::parse(&cursor.write()), Some(cursor));
        }
        let good = Cursor { drive, number: 7 }.write();
        for bad in [
            String::new(),
            "7".to_owned(),
            format!("{good}A"),
            format!("{good}="),
            good[1..].to_owned(),
            format!("B{}", &good[1..]),
            good.replace('A', "+"),
        ] {
            assert_eq!(Cursor::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn places_are_counted_and_given_back() {
        let mut config = Config::default();
        config.limits.sockets = 3;
        config.limits.sockets_per_user = 2;
        let sockets = Sockets::new(&config);
        let world = World::default();
        let (alice, bob) = (UserId::new(&world), UserId::new(&world));
        let first = sockets.place(alice).ok().unwrap();
        let _second = sockets.place(alice).ok().unwrap();
        assert!(sockets.place(alice).is_err());
        let _third = sockets.place(bob).ok().unwrap();
        assert!(sockets.place(bob).is_err());
        drop(first);
        assert!(sockets.place(bob).is_ok());
        assert!(sockets.place(alice).is_ok());
    }
}
