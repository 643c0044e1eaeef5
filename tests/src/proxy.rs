//! A network that fails on demand: a proxy of TCP connections between a client and the server.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weather {
    /// Everything passes.
    #[default]
    Fair,
    /// Everything passes, each piece so much later.
    Slow(Duration),
    /// Nobody is there: connections are refused, and those that are open break.
    Down,
    /// Connections are taken and nothing ever passes, either way.
    BlackHole,
    /// Each connection breaks once so many bytes came from the server.
    CutAfter(u64),
    /// Each connection breaks once so many bytes came from the client.
    CutSendingAfter(u64),
}

/// An answer that the server never gave.
#[derive(Debug, Clone)]
struct Forged {
    method: String,
    answer: Vec<u8>,
}

/// A listening proxy; ends when dropped.
pub struct Proxy {
    address: String,
    target: Arc<Mutex<String>>,
    weather: Arc<watch::Sender<Weather>>,
    counts: Arc<Counts>,
    forged: Arc<Mutex<VecDeque<Forged>>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Proxy {
    /// A way to the server at `http://127.0.0.1:PORT`.
    pub async fn to(server: &str) -> Self {
        let target = Arc::new(Mutex::new(bare(server)));
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let weather = Arc::new(watch::Sender::new(Weather::Fair));
        let counts = Arc::new(Counts::default());
        let forged = Arc::default();
        let path = Way {
            target: Arc::clone(&target),
            weather: Arc::clone(&weather),
            counts: Arc::clone(&counts),
            forged: Arc::clone(&forged),
        };
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let Ok((client, _)) = listener.accept().await else {
                    return;
                };
                let path = path.clone();
                connections.spawn(async move { path.carry(client).await });
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            address: format!("http://{address}"),
            target,
            weather,
            counts,
            forged,
            task,
        }
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The URL of the drive, by this way.
    pub fn drive_url(&self) -> String {
        format!("{}/dav/", self.address)
    }

    /// Leads new connections to another server, as when a daemon has got another port.
    pub fn lead_to(&self, server: &str) {
        *self.target.lock().expect("no panic holds it") = bare(server);
    }

    /// From now on, for the connections that are open too.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// The next request of `method` is answered by `status` and does not reach the server.
    pub fn forge(&self, method: &str, status: u16) {
        let answer =
            format!("HTTP/1.1 {status} Forged\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        self.forge_raw(method, answer.into_bytes());
    }

    /// The next request of `method` is answered by these bytes and the end of the connection.
    pub fn forge_raw(&self, method: &str, answer: Vec<u8>) {
        let method = method.to_owned();
        let mut forged = self.forged.lock().expect("no panic holds it");
        forged.push_back(Forged { method, answer });
    }

    /// How many answers wait to be given.
    pub fn left_to_forge(&self) -> usize {
        self.forged.lock().expect("no panic holds it").len()
    }

    /// No answer is forged any more.
    pub fn forget_forged(&self) {
        self.forged.lock().expect("no panic holds it").clear();
    }

    /// Bytes that clients have sent so far, heads and all.
    pub fn sent_bytes(&self) -> u64 {
        self.counts.sent.load(Ordering::Relaxed)
    }

    /// Bytes that clients were given so far.
    pub fn received_bytes(&self) -> u64 {
        self.counts.received.load(Ordering::Relaxed)
    }
}

fn bare(server: &str) -> String {
    server.trim_start_matches("http://").to_owned()
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Way {
    target: Arc<Mutex<String>>,
    weather: Arc<watch::Sender<Weather>>,
    counts: Arc<Counts>,
    forged: Arc<Mutex<VecDeque<Forged>>>,
}

impl Way {
    async fn carry(self, client: TcpStream) {
        let mut weather = self.weather.subscribe();
        let now = *weather.borrow_and_update();
        if now == Weather::Down {
            // As near to a refusal as a listener comes.
            let _ = client.set_zero_linger();
            return;
        }
        let target = self.target.lock().expect("no panic holds it").clone();
        let Ok(server) = TcpStream::connect(target).await else {
            return;
        };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let to_client = Arc::new(tokio::sync::Mutex::new(to_client));
        let up = self
            .clone()
            .up(from_client, to_server, Arc::clone(&to_client));
        let down = self.clone().down(from_server, to_client);
        let broken = async {
            loop {
                if weather.changed().await.is_err() || *weather.borrow() == Weather::Down {
                    return;
                }
            }
        };
        // Either end ends both, and so do the network and the proxy.
        tokio::select! {
            () = up => {}
            () = down => {}
            () = broken => {}
        }
    }

    async fn up(
        self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        client: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
    ) {
        let mut bytes = vec![0; 64 << 10];
        let mut passed = 0;
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            if let Some(answer) = self.forged_answer(&bytes[..count]) {
                let mut client = client.lock().await;
                let _ = client.write_all(&answer).await;
                let _ = client.shutdown().await;
                // A connection with unread bytes would be reset, and the answer lost.
                while let Ok(1..) = from.read(&mut bytes).await {}
                return;
            }
            let count_of = count as u64;
            self.counts.sent.fetch_add(count_of, Ordering::Relaxed);
            passed += count_of;
            let kept = match self.passes().await {
                Weather::CutSendingAfter(most) if passed > most => return,
                _ => &bytes[..count],
            };
            if to.write_all(kept).await.is_err() {
                return;
            }
        }
    }

    async fn down(self, mut from: OwnedReadHalf, to: Arc<tokio::sync::Mutex<OwnedWriteHalf>>) {
        let mut bytes = vec![0; 64 << 10];
        let mut passed = 0;
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            let count_of = count as u64;
            self.counts.received.fetch_add(count_of, Ordering::Relaxed);
            let before = passed;
            passed += count_of;
            let weather = self.passes().await;
            let mut kept = &bytes[..count];
            if let Weather::CutAfter(most) = weather
                && passed > most
            {
                let rest = usize::try_from(most.saturating_sub(before)).unwrap_or(count);
                kept = &bytes[..rest.min(count)];
            }
            let written = to.lock().await.write_all(kept).await;
            if written.is_err() || kept.len() < count {
                return;
            }
        }
    }

    /// Waits for as long as the network holds a piece back; how it is then.
    async fn passes(&self) -> Weather {
        let mut weather = self.weather.subscribe();
        loop {
            let now = *weather.borrow_and_update();
            match now {
                Weather::Slow(delay) => {
                    tokio::time::sleep(delay).await;
                    return now;
                }
                Weather::BlackHole => {
                    if weather.changed().await.is_err() {
                        return now;
                    }
                }
                _ => return now,
            }
        }
    }

    /// The answer to a request that begins here, if it is to be forged.
    fn forged_answer(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut forged = self.forged.lock().expect("no panic holds it");
        let begins = |forged: &Forged| {
            let head = format!("{} /", forged.method);
            bytes.starts_with(head.as_bytes())
        };
        let position = forged.iter().position(begins)?;
        forged.remove(position).map(|forged| forged.answer)
    }
}
