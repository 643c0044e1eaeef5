//! What a connection's byte stream ([`super::guard`]) and its requests tell each other.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use hyper::body::{Body, Incoming};

use super::head::Verdict;

/// How many bytes of the stream belong to the body of the request just read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// hyper has not taken the head yet.
    Unknown,
    Length(u64),
    Chunked,
}

const UNKNOWN: u64 = u64::MAX;
const CHUNKED: u64 = u64::MAX - 1;

/// The state of one connection. All of it is advice between tasks that hold no other data in
/// common, hence relaxed atomics.
#[derive(Debug)]
pub struct Wire {
    framing: AtomicU64,
    verdict: AtomicU8,
    /// Requests begun since the connection opened.
    pub requests: AtomicU64,
    /// Requests whose answer is not finished.
    pub open: AtomicU32,
    /// Answers that wait for the client to take what it was sent.
    pub waiting: AtomicU32,
    /// Bytes the socket has taken.
    pub written: AtomicU64,
    /// Whether the socket took no more at the last try.
    pub blocked: AtomicBool,
    /// Whether the connection goes on in another protocol than HTTP.
    pub upgraded: AtomicBool,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            framing: AtomicU64::new(UNKNOWN),
            verdict: AtomicU8::new(Verdict::Fine as u8),
            requests: AtomicU64::new(0),
            open: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            written: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
        }
    }
}

impl Wire {
    /// The stream has passed on a whole head; its verdict waits for the request.
    pub fn head_passed(&self, verdict: Verdict) {
        self.verdict.store(verdict as u8, Ordering::Relaxed);
    }

    /// hyper has made a request of the head: says what the stream found in it, and tells the
    /// stream how the body is framed. hyper's own decision is used, so the two cannot disagree.
    pub fn admit(&self, body: &Incoming) -> Verdict {
        let framing = match body.size_hint().exact() {
            Some(length) => length,
            None => CHUNKED,
        };
        self.framing.store(framing, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.take_verdict()
    }

    /// The verdict on the head last passed on; asking forgets it.
    pub fn take_verdict(&self) -> Verdict {
        Verdict::from(self.verdict.swap(Verdict::Fine as u8, Ordering::Relaxed))
    }

    /// The framing of the body that follows; asking forgets it.
    pub fn take_framing(&self) -> Framing {
        match self.framing.swap(UNKNOWN, Ordering::Relaxed) {
            UNKNOWN => Framing::Unknown,
            CHUNKED => Framing::Chunked,
            length => Framing::Length(length),
        }
    }

    #[cfg(test)]
    pub fn set_framing(&self, framing: Framing) {
        let number = match framing {
            Framing::Unknown => UNKNOWN,
            Framing::Chunked => CHUNKED,
            Framing::Length(length) => length,
        };
        self.framing.store(number, Ordering::Relaxed);
    }
}
