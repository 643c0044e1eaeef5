//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::accept::Seat;
use super::body::{LEAST_PROGRESS_BYTES, Recorded, RequestBody};
use super::guard::Guard;
use super::head::Verdict;
use super::peer::Peer;
use super::problem::{Problem, code};
use super::trace::Record;
use super::wire::Wire;
use super::{Phase, State, route};
use crate::config::Config;

/// What is known of a connection before its first request.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub peer: Peer,
    /// Whether its `X-Forwarded-…` headers are believed.
    pub trusted: bool,
    /// What was agreed on in the TLS handshake; without one the first bytes tell.
    pub protocol: Protocol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Detect,
    Http1,
    Http2,
}

/// hyper's settings, made once.
pub struct Builders(Builder<TokioExecutor>);

impl Builders {
    pub fn new(config: &Config) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        let header_bytes = u32::try_from(config.limits.header_bytes.0).unwrap_or(u32::MAX);
        // Never `pipeline_flush`: it makes hyper copy every frame into a buffer of its own.
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(config.server.header_timeout.0);
        builder
            .http2()
            .timer(TokioTimer::new())
            // An upload over a long line fills no more than a window in each round trip.
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .max_frame_size(64 << 10)
            .max_send_buf_size(1 << 20)
            .max_concurrent_streams(128)
            .max_header_list_size(header_bytes)
            // Rapid reset, from either side (CVE-2023-44487, CVE-2025-8671).
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(128)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20));
        Self(builder)
    }
}

/// Serves a connection until either side ends it, or it goes on in another protocol.
pub async fn serve<S>(
    stream: S,
    seat: Option<Seat>,
    origin: Origin,
    state: Arc<State>,
    mut phase: watch::Receiver<Phase>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let wire = Arc::new(Wire::default());
    let head_limit = usize::try_from(state.config.limits.header_bytes.0).unwrap_or(usize::MAX);
    let guard = Guard::new(stream, Arc::clone(&wire), head_limit, origin.protocol, seat);
    let io = TokioIo::new(guard);
    let phase_of_upgraded = phase.clone();
    let service = service_fn(|mut request: Request<Incoming>| {
        if request.headers().contains_key(header::UPGRADE) {
            // What outlives HTTP on this connection has to hear of the end of the server too.
            request.extensions_mut().insert(phase_of_upgraded.clone());
        }
        // Now, not when the answer is first polled: the stream waits for the framing.
        let verdict = wire.admit(request.body());
        let record_wire = Arc::clone(&wire);
        answer(Arc::clone(&state), origin, record_wire, verdict, request).map(Ok::<_, Infallible>)
    });
    // With upgrades hyper tells the protocol by the first bytes, whatever was agreed on; the guard
    // lets no HTTP/2 through where it is not served.
    let mut connection = pin!(state.builders.0.serve_connection_with_upgrades(io, service));
    let mut watch = Watch::new(&state.config);
    let mut ticks = interval_at(Instant::now() + watch.period, watch.period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(peer = %origin.peer.address, ?error, "connection broke");
                }
                return;
            }
            changed = phase.changed() => {
                if changed.is_err() || *phase.borrow_and_update() == Phase::Closing {
                    return;
                }
                connection.as_mut().graceful_shutdown();
            }
            _ = ticks.tick() => match watch.look(&wire) {
                Finding::Well => {}
                Finding::Idle => connection.as_mut().graceful_shutdown(),
                Finding::Stalled => {
                    tracing::debug!(peer = %origin.peer.address, "stalled connection closed");
                    return;
                }
            }
        }
    }
}

/// Looks at a connection from time to time; what hyper's own timers do not cover is decided here.
struct Watch {
    period: Duration,
    header: Duration,
    stall: Duration,
    idle: Duration,
    opened: Instant,
    /// The last time when nothing was waiting for the client, or enough had moved.
    moved_at: Instant,
    written: u64,
    /// The last time when a request was under way or had come since.
    busy_at: Instant,
    requests: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Finding {
    Well,
    /// Nothing asked for a long time.
    Idle,
    /// The client takes nothing, or has never begun.
    Stalled,
}

impl Watch {
    fn new(config: &Config) -> Self {
        let server = &config.server;
        let (header, stall, idle) = (
            server.header_timeout.0,
            server.stall_timeout.0,
            server.idle_timeout.0,
        );
        let now = Instant::now();
        Self {
            period: header.min(stall).min(idle) / 2,
            header,
            stall,
            idle,
            opened: now,
            moved_at: now,
            written: 0,
            busy_at: now,
            requests: 0,
        }
    }

    fn look(&mut self, wire: &Wire) -> Finding {
        let now = Instant::now();
        let requests = wire.requests.load(Ordering::Relaxed);
        if requests == 0 {
            let begun = now - self.opened < self.header;
            return if begun {
                Finding::Well
            } else {
                Finding::Stalled
            };
        }
        let written = wire.written.load(Ordering::Relaxed);
        let owing =
            wire.blocked.load(Ordering::Relaxed) || wire.waiting.load(Ordering::Relaxed) > 0;
        if !owing || written - self.written >= LEAST_PROGRESS_BYTES {
            self.moved_at = now;
            self.written = written;
        } else if now - self.moved_at >= self.stall {
            return Finding::Stalled;
        }
        if wire.open.load(Ordering::Relaxed) > 0 || requests != self.requests {
            self.busy_at = now;
            self.requests = requests;
        } else if now - self.busy_at >= self.idle {
            return Finding::Idle;
        }
        Finding::Well
    }
}

/// Answers one request; whatever happens, there is an answer and a line in the log.
async fn answer(
    state: Arc<State>,
    origin: Origin,
    wire: Arc<Wire>,
    verdict: Verdict,
    request: Request<Incoming>,
) -> Response<Recorded> {
    let proxies = &state.config.listen.trusted_proxies;
    let peer = origin
        .peer
        .of_request(origin.trusted, request.headers(), proxies);
    let is_http1 = request.version() < Version::HTTP_2;
    let mut record = Record::begin(request.method(), peer, Arc::clone(&wire));
    let noted = Arc::clone(&record.stats);
    let response = if let Some(problem) = refusal(verdict, &request) {
        let mut response = problem.into_response();
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        response
    } else {
        let stall = state.config.server.stall_timeout.0;
        let body_stats = Arc::clone(&noted);
        let waits = request.headers().contains_key(header::EXPECT);
        let sends_on = !waits;
        let mut request = request.map(|body| RequestBody::new(body, sends_on, body_stats, stall));
        request.extensions_mut().insert(Arc::clone(&noted));
        let routed = AssertUnwindSafe(route(&state, request, peer)).catch_unwind();
        routed.await.unwrap_or_else(|_| {
            tracing::error!(request.id = %noted.id, "a request handler panicked");
            Problem::internal().into_response()
        })
    };
    let response = if noted.stalled.load(Ordering::Relaxed) && response.status() == 400 {
        // To a handler it is a body that broke off; the door knows why.
        Problem::stalled().into_response()
    } else {
        response
    };
    record.set_status(response.status());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        wire.upgraded.store(true, Ordering::Relaxed);
    }
    let (mut parts, body) = response.into_parts();
    if (parts.status.is_client_error() || parts.status.is_server_error())
        && let Ok(id) = HeaderValue::try_from(noted.id.to_string())
    {
        parts.headers.insert("x-request-id", id);
    }
    if is_http1 && noted.body_left.load(Ordering::Relaxed) {
        // RFC 9112 §9.6: said, so that the client does not send its next request here.
        let close = HeaderValue::from_static("close");
        parts.headers.insert(header::CONNECTION, close);
    }
    Response::from_parts(parts, Recorded::new(body, record))
}

/// What no handler should see.
fn refusal(verdict: Verdict, request: &Request<Incoming>) -> Option<Problem> {
    let bad = |detail| {
        Some(Problem::new(
            StatusCode::BAD_REQUEST,
            code::BAD_REQUEST,
            detail,
        ))
    };
    match verdict {
        Verdict::Fine => {}
        Verdict::Fragment => {
            return bad("The request target holds a raw `#`; write it as %23.");
        }
        Verdict::TwoLengths => {
            return bad("The request tells the length of its body twice.");
        }
        Verdict::TooLong => {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Some(Problem::new(
                status,
                code::HEADERS_TOO_LARGE,
                "The request line and headers are too long.",
            ));
        }
    }
    // RFC 9112 §3.2: exactly one Host in HTTP/1.1; more than one in no version.
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return bad("The request must have exactly one Host header.");
    }
    let coding = request.headers().get(header::TRANSFER_ENCODING);
    if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Some(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            code::NOT_IMPLEMENTED,
            "Of transfer codings only `chunked` is understood.",
        ));
    }
    None
}

#[cfg(test)]
mod tests;
