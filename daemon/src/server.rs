//! Listeners, connections and requests, up to the doors of WebDAV and the API.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::{Request, Response, StatusCode};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;

pub mod accept;
pub mod body;
mod chunked;
pub mod connection;
mod guard;
mod head;
pub mod peer;
pub mod problem;
pub mod tls;
pub mod trace;
mod wire;

use self::accept::{Listener, Seats};
use self::body::{RequestBody, ResponseBody};
use self::connection::Builders;
use self::peer::Peer;
use self::problem::{Problem, code};
use self::tls::Certificate;
use self::trace::RequestStats;

/// What every request needs.
pub struct State {
    pub config: Config,
    builders: Builders,
    seats: Arc<Seats>,
    api: TowerToHyperService<Router>,
}

impl State {
    pub fn new(config: Config, api: Router) -> Arc<Self> {
        let server = &config.server;
        Arc::new(Self {
            builders: Builders::new(&config),
            seats: Seats::new(server.connections, server.connections_per_address),
            api: TowerToHyperService::new(api),
            config,
        })
    }
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

/// SEAM: sends a request to its door. The DAV arm answers 503 until the store is wired in here.
async fn route(
    state: &Arc<State>,
    request: Request<RequestBody>,
    _peer: Peer,
) -> Response<ResponseBody> {
    if is_dav(request.uri().path()) {
        if let Some(stats) = request.extensions().get::<Arc<RequestStats>>() {
            stats.set_route("/dav");
        }
        let detail = "The drive is not served yet.";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE, detail)
            .into_response();
    }
    match state.api.call(request.map(axum::body::Body::new)).await {
        Ok(response) => response.map(ResponseBody::Api),
        Err(never) => match never {},
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
        // Every connection holds a receiver, so this ends with the last of them.
        let drained = tokio::select! {
            () = self.phase.closed() => true,
            () = tokio::time::sleep(self.drain) => false,
            () = hurry => false,
        };
        if !drained {
            let left = self.phase.receiver_count();
            tracing::warn!(connections = left, "requests under way are broken off");
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
