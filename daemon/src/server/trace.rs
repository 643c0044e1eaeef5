//! One line for each finished request.
//!
//! "Finished" is when the last byte of the answer was handed to the connection or nobody wants it
//! any more, so the line is written when the answer's body is dropped.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Instant;

use http::{Method, StatusCode};

use super::peer::Peer;
use super::wire::Wire;

/// The target of the request line, for `log.filter`.
pub const TARGET: &str = "request";

/// Identifies a request in the log and in the answer of one that failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    process: u32,
    number: u64,
}

impl RequestId {
    fn next() -> Self {
        static PROCESS: LazyLock<u32> = LazyLock::new(|| {
            let [a, b, c, d, ..] = RandomState::new()
                .hash_one(std::process::id())
                .to_be_bytes();
            u32::from_be_bytes([a, b, c, d])
        });
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        Self {
            process: *PROCESS,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{:x}", self.process, self.number)
    }
}

/// What a request's handler notes for its line; found in the request's extensions as
/// `Arc<RequestStats>`.
pub struct RequestStats {
    pub id: RequestId,
    user: OnceLock<Box<str>>,
    route: OnceLock<Cow<'static, str>>,
    /// Bytes of the request's body that were read.
    pub bytes_in: AtomicU64,
    /// Whether the answer was given without all of the request's body, and there is much of it.
    pub body_left: AtomicBool,
    /// Whether the client has stopped sending the request's body.
    pub stalled: AtomicBool,
    /// Bytes of the answer's body that were handed out.
    pub bytes_out: AtomicU64,
    /// Statements run on the database.
    pub statements: Arc<AtomicU64>,
}

impl RequestStats {
    fn new() -> Self {
        Self {
            id: RequestId::next(),
            user: OnceLock::new(),
            route: OnceLock::new(),
            bytes_in: AtomicU64::new(0),
            body_left: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            bytes_out: AtomicU64::new(0),
            statements: Arc::default(),
        }
    }

    /// Notes the name of the user behind the request; the first note stays.
    pub fn set_user(&self, name: &str) {
        self.user.get_or_init(|| name.into());
    }

    /// Notes the route: a pattern, without anything of the user's. The first note stays.
    pub fn set_route(&self, route: impl Into<Cow<'static, str>>) {
        self.route.get_or_init(|| route.into());
    }
}

/// A request under way; writes its line when dropped.
pub struct Record {
    pub stats: Arc<RequestStats>,
    wire: Arc<Wire>,
    peer: Peer,
    method: Method,
    status: Option<StatusCode>,
    /// Absent when nobody wants the line.
    started: Option<Instant>,
}

impl Record {
    pub fn begin(method: &Method, peer: Peer, wire: Arc<Wire>) -> Self {
        let wanted = tracing::enabled!(target: TARGET, tracing::Level::INFO);
        wire.open.fetch_add(1, Ordering::Relaxed);
        Self {
            stats: Arc::new(RequestStats::new()),
            wire,
            peer,
            method: method.clone(),
            status: None,
            started: wanted.then(Instant::now),
        }
    }

    pub fn set_status(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    pub fn wire(&self) -> &Wire {
        &self.wire
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.wire.open.fetch_sub(1, Ordering::Relaxed);
        let Some(started) = self.started else { return };
        // 499, as nginx has it: the client went away before there was an answer.
        let status = self.status.map_or(499, |status| status.as_u16());
        let noted = &self.stats;
        let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
        tracing::info!(
            target: TARGET,
            method = self.method.as_str(),
            route = noted.route.get().map_or("", |route| route),
            status,
            user = noted.user.get().map_or("", |user| user),
            peer = %self.peer.address,
            bytes_in = noted.bytes_in.load(Ordering::Relaxed),
            bytes_out = noted.bytes_out.load(Ordering::Relaxed),
            duration_ms = (duration_ms * 1000.0).round() / 1000.0,
            statements = noted.statements.load(Ordering::Relaxed),
            request.id = %noted.id,
            "request finished"
        );
    }
}
