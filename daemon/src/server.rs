//! Listeners, connections and requests, up to the doors of WebDAV and the API.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::header::AUTHORIZATION;
use http::{Method, Request, Response};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use store::{Store, World};
use tokio::sync::watch;
use tokio::task::JoinSet;
use webdav::{Dav, DavOptions};

use crate::config::Config;
use crate::open::size;

pub mod accept;
pub mod auth;
pub mod body;
mod chunked;
pub mod connection;
mod guard;
mod head;
pub mod multipart;
pub mod peer;
pub mod problem;
pub mod rate_limit;
pub mod tls;
pub mod token;
pub mod trace;
pub mod websocket;
mod wire;

use self::accept::{Listener, Seats};
use self::auth::Auth;
use self::body::{RequestBody, ResponseBody};
use self::connection::Builders;
use self::peer::Peer;
use self::problem::Problem;
use self::tls::Certificate;
use self::trace::RequestStats;

/// What every request needs.
pub struct State {
    pub config: Config,
    builders: Builders,
    seats: Arc<Seats>,
    api: TowerToHyperService<Router>,
    drive: Option<Drive>,
}

/// The door of WebDAV, and who lets callers in.
struct Drive {
    dav: Dav,
    auth: Arc<Auth>,
}

impl State {
    /// `auth` is absent only where connections alone are of interest.
    pub fn new(config: Config, api: Router, auth: Option<Arc<Auth>>) -> Arc<Self> {
        let server = &config.server;
        let drive = auth.map(|auth| Drive {
            dav: dav(&config, auth.store.clone()),
            auth,
        });
        Arc::new(Self {
            drive,
            builders: Builders::new(&config),
            seats: Seats::new(server.connections, server.connections_per_address),
            api: TowerToHyperService::new(api),
            config,
        })
    }
}

/// WebDAV as it is configured.
pub fn dav(config: &Config, store: Store) -> Dav {
    let mut options = DavOptions::new(World::default());
    options
        .hide_quota_from
        .clone_from(&config.webdav.hide_quota_from);
    let limits = &config.limits;
    options.xml.bytes = size(limits.xml_body_bytes.0);
    options.xml.depth = size(limits.xml_depth.into());
    options.xml.elements = size(limits.xml_elements.into());
    options.ranges = size(limits.ranges.into());
    Dav::new(store, options)
}

/// Paths that belong to WebDAV: our own, and the aliases some clients expect.
const DAV_PREFIXES: [&str; 3] = ["/dav", "/remote.php/dav", "/remote.php/webdav"];

fn is_dav(path: &str) -> bool {
    path == "/"
        || path == "*"
        || DAV_PREFIXES.iter().any(|prefix| {
            path.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
}

/// Sends a request to its door.
async fn route(
    state: &Arc<State>,
    mut request: Request<RequestBody>,
    peer: Peer,
) -> Response<ResponseBody> {
    if let Some(drive) = &state.drive
        && is_dav(request.uri().path())
    {
        return drive.serve(request, peer).await;
    }
    let counter = request.extensions().get::<Arc<RequestStats>>();
    let counter = counter.map_or_else(Arc::default, |stats| Arc::clone(&stats.statements));
    request.extensions_mut().insert(peer);
    let answer = state.api.call(request.map(axum::body::Body::new));
    match Box::pin(store::count_statements(counter, answer)).await {
        Ok(response) => response.map(ResponseBody::Api),
        Err(never) => match never {},
    }
}

impl Drive {
    /// Serves the drive of whoever the credential belongs to.
    async fn serve(&self, request: Request<RequestBody>, peer: Peer) -> Response<ResponseBody> {
        let Some(stats) = request.extensions().get::<Arc<RequestStats>>().cloned() else {
            unreachable!("every request has its record");
        };
        stats.set_route("/dav");
        let counter = Arc::clone(&stats.statements);
        let answer = async {
            // Clients ask what the server can do before they have a password to send.
            if request.method() == Method::OPTIONS && !request.headers().contains_key(AUTHORIZATION)
            {
                return Dav::options_for_anyone().map(ResponseBody::Dav);
            }
            let (method, uri, headers) = (request.method(), request.uri(), request.headers());
            let caller = match self.auth.admit(method, uri, headers, peer).await {
                Ok(admitted) => admitted.caller,
                Err(denied) => return Problem::of_dav(denied).into_response(),
            };
            stats.set_user(&caller.username);
            let answer = self.dav.handle(&caller, request).await;
            answer.map(ResponseBody::Dav)
        };
        store::count_statements(counter, answer).await
    }
}

/// Where the server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Serving,
    /// Takes no new connections; requests under way are finished.
    Draining,
    /// Breaks what is left.
    Closing,
}

/// A server that has been started.
pub struct Server {
    phase: watch::Sender<Phase>,
    accepting: JoinSet<()>,
    drain: Duration,
}

impl Server {
    /// Serves on `listeners`.
    pub fn start(
        state: &Arc<State>,
        listeners: Vec<Listener>,
        certificate: Option<&Arc<Certificate>>,
    ) -> Result<Self, tls::Error> {
        let acceptor = match certificate {
            Some(certificate) => Some(certificate.acceptor(state.config.listen.http1_only)?),
            None => None,
        };
        let (phase, watcher) = watch::channel(Phase::Serving);
        let mut accepting = JoinSet::new();
        for listener in listeners {
            let (acceptor, state) = (acceptor.clone(), Arc::clone(state));
            accepting.spawn(accept::accept(listener, acceptor, state, watcher.clone()));
        }
        let drain = state.config.server.shutdown_timeout.0;
        Ok(Self {
            phase,
            accepting,
            drain,
        })
    }

    /// Takes no more connections, lets requests under way finish within the shutdown time or until
    /// `hurry`, and breaks the rest.
    pub async fn stop(mut self, hurry: impl Future<Output = ()>) {
        self.phase.send_replace(Phase::Draining);
        while self.accepting.join_next().await.is_some() {}
        // Every connection and every WebSocket holds a receiver, so this ends with the last of them.
        let drained = tokio::select! {
            () = self.phase.closed() => true,
            () = tokio::time::sleep(self.drain) => false,
            () = hurry => false,
        };
        if !drained {
            tracing::warn!("requests under way are broken off");
            self.phase.send_replace(Phase::Closing);
            self.phase.closed().await;
        }
    }
}

/// The addresses `listeners` have, for people and for whoever asked for port 0.
pub fn addresses(listeners: &[Listener]) -> Vec<(SocketAddr, bool)> {
    let tcp = listeners.iter().filter_map(|listener| match listener {
        Listener::Tcp { listener, tls } => listener.local_addr().ok().map(|at| (at, *tls)),
        Listener::Unix(_) => None,
    });
    tcp.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_first_names_make_a_dav_path() {
        for path in [
            "/",
            "/dav",
            "/dav/",
            "/dav/a",
            "/remote.php/dav/files/eve/",
            "*",
        ] {
            assert!(is_dav(path), "{path}");
        }
        for path in ["/davos", "/api/v1/ping", "/healthz", "/remote.php"] {
            assert!(!is_dav(path), "{path}");
        }
    }
}
