//! That something changed, told by the server as it happens (`GET /api/v1/events`, a WebSocket).

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use api::{EndReason, Event};
use futures_util::stream::{self, Stream};
use futures_util::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, StatusCode};
use reqwest::{Upgraded, Url};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::connection::{ANSWER_WITHIN, Connection};
use crate::drive::{DrivePath, Notice};

/// How long the server may be silent before it is asked whether it is there, and then be silent on.
const SILENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A message names at most 256 paths.
const MOST_MESSAGE_BYTES: usize = 8 << 20;
/// Where a drive shows what others share.
const SHARED: &str = "/Shared with me";

type Socket = WebSocketStream<Upgraded>;

struct Watch {
    connection: Connection,
    url: Url,
    socket: Option<Socket>,
    /// Before the next connection is tried.
    pause: Duration,
    /// Whether the reader has been told that nothing is told.
    is_lost: bool,
    is_first: bool,
    /// What is told next, whatever is heard.
    next: Option<Notice>,
}

/// Notices for as long as they are read.
pub(super) fn notices(connection: Connection, url: Url) -> impl Stream<Item = Notice> {
    let watch = Watch {
        connection,
        url,
        socket: None,
        pause: FIRST_PAUSE,
        is_lost: false,
        is_first: true,
        next: None,
    };
    stream::unfold(watch, |mut watch| async move {
        let notice = watch.next().await;
        Some((notice, watch))
    })
}

impl Watch {
    async fn next(&mut self) -> Notice {
        if let Some(notice) = self.next.take() {
            return notice;
        }
        loop {
            let Some(socket) = &mut self.socket else {
                if let Some(notice) = self.connect().await {
                    return notice;
                }
                continue;
            };
            match heard(socket).await {
                Some(Heard::Notice(notice)) => {
                    if notice == Notice::Connected {
                        (self.pause, self.is_lost) = (FIRST_PAUSE, false);
                        self.next = Some(shares());
                    }
                    return notice;
                }
                Some(Heard::Nothing) => {}
                None => return self.lose(),
            }
        }
    }

    fn lose(&mut self) -> Notice {
        self.socket = None;
        self.is_lost = true;
        Notice::Lost
    }

    /// Tries once, after a pause unless it is the first time; tells the first time it fails.
    async fn connect(&mut self) -> Option<Notice> {
        if !std::mem::take(&mut self.is_first) {
            sleep(jittered(self.pause)).await;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        self.socket = open(&self.connection, &self.url).await;
        (self.socket.is_none() && !std::mem::replace(&mut self.is_lost, true))
            .then_some(Notice::Lost)
    }
}

/// Between half of it and all of it, so that a restarted server is not asked by all at once.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) % 1000;
    pause / 2 + pause / 2 * u32::try_from(random).unwrap_or_default() / 1000
}

/// Anything may have changed of what others share: what happened there before the connection is not
/// told.
fn shares() -> Notice {
    Notice::ChangedAt(place(SHARED).into_iter().collect())
}

/// A path as the server tells it.
fn place(path: &str) -> Option<DrivePath> {
    let names = path.strip_prefix('/')?.split('/').map(str::to_owned);
    DrivePath::new(names.collect())
}

/// What came, if it concerns the drive.
enum Heard {
    Notice(Notice),
    Nothing,
}

/// What comes next; `None` when there is nobody any more.
async fn heard(socket: &mut Socket) -> Option<Heard> {
    let frame = if let Ok(frame) = timeout(SILENCE, socket.next()).await {
        frame
    } else {
        let ping = socket.send(Message::Ping(bytes::Bytes::new()));
        timeout(SILENCE, ping).await.ok()?.ok()?;
        timeout(SILENCE, socket.next()).await.ok()?
    };
    let message = match frame?.ok()? {
        Message::Text(text) => text,
        Message::Close(_) => return None,
        _ => return Some(Heard::Nothing),
    };
    // Kinds that a later server tells are of no concern here.
    let Ok(event) = serde_json::from_str(&message) else {
        return Some(Heard::Nothing);
    };
    Some(match event {
        Event::Ready { .. } => Heard::Notice(Notice::Connected),
        Event::Changes { items, .. } if items.is_empty() => Heard::Nothing,
        Event::SharedChanges { items } => {
            let places = items.iter().filter_map(|item| place(&item.path));
            Heard::Notice(Notice::ChangedAt(places.collect()))
        }
        Event::Changes { .. } | Event::Resync { .. } => Heard::Notice(Notice::Changed),
        Event::Shares => Heard::Notice(shares()),
        Event::Quota { .. } => Heard::Notice(Notice::Space),
        Event::Ended {
            reason: EndReason::ServerStopping | EndReason::LoginEnded,
        } => return None,
    })
}

/// Opens one; `None` when it cannot be, whyever.
async fn open(connection: &Connection, url: &Url) -> Option<Socket> {
    let key = generate_key();
    let request = connection
        .request(Method::GET, url)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key);
    let answer = connection.ask(request).await.ok()?;
    let accept = answer.headers().get(SEC_WEBSOCKET_ACCEPT)?;
    let is_open = answer.status() == StatusCode::SWITCHING_PROTOCOLS
        && accept.as_bytes() == derive_accept_key(key.as_bytes()).as_bytes();
    if !is_open {
        return None;
    }
    let upgraded = timeout(ANSWER_WITHIN, answer.upgrade()).await.ok()?.ok()?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MOST_MESSAGE_BYTES))
        .max_frame_size(Some(MOST_MESSAGE_BYTES));
    Some(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_shares_is_a_place_in_the_drive() {
        let told = place("/Shared with me/Plans/b.txt").unwrap();
        assert_eq!(told.names(), ["Shared with me", "Plans", "b.txt"]);
        for wrong in ["", "/", "a/b", "/a//b", "/a/../b"] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn pauses_are_spread_but_never_longer_than_asked() {
        for _ in 0..100 {
            let pause = jittered(LONGEST_PAUSE);
            assert!(
                (LONGEST_PAUSE / 2..=LONGEST_PAUSE).contains(&pause),
                "{pause:?}"
            );
        }
    }
}
