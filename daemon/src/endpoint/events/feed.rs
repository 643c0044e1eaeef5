//! One client's notices, from the first to the last.
//!
//! Nothing is kept for a client but where it stands: when its socket takes more, the journal is
//! read from there. So a slow client costs one message of memory, whatever happens meanwhile.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use api::{Change, ChangeKind, EndReason, Event};
use futures_util::{SinkExt, StreamExt};
use store::{Notice, NoticeKind, Notices, Usage, Watch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::super::users::usage;
use super::Cursor;
use super::inside::Gathering;
use crate::server::Phase;
use crate::server::websocket::Socket;

/// The least time between two looks into the journal, and between two notices of the quota.
const PACE: Duration = Duration::from_millis(20);
const QUOTA_PACE: Duration = Duration::from_secs(1);
/// How long the last words may take, and how long the client is waited for after them.
const FAREWELL: Duration = Duration::from_secs(1);

/// A client and where it stands.
pub struct Feed {
    socket: Socket,
    watch: Arc<Watch>,
    stall: Duration,
    /// What is told next comes after this.
    number: i64,
    /// The number of the cursor that the client was told last.
    told: i64,
    usage: Option<Usage>,
    told_usage: Option<Usage>,
    /// When the quota may be told again.
    quota_at: Instant,
    /// Where the client stands in what others share.
    inside: Gathering,
    /// Whether anything was heard of the client since it was last asked.
    heard: bool,
}

/// Why it is over.
#[derive(Debug)]
enum End {
    /// The credential does not hold any more.
    LoginEnded,
    /// The server stops.
    Stopping,
    /// Something went wrong here.
    Failed(store::Error),
    /// The client went away.
    Gone,
    /// The client takes nothing, or is not there any more.
    Stalled,
    /// The client did what it may not.
    Misused(CloseCode, &'static str),
}

impl Feed {
    /// `start` is where the client stands, `stall` how long it may take nothing or not be heard.
    pub fn new(socket: Socket, watch: Watch, start: i64, stall: Duration) -> Self {
        Self {
            socket,
            watch: Arc::new(watch),
            stall,
            number: start,
            told: start,
            usage: None,
            told_usage: None,
            quota_at: Instant::now(),
            inside: Gathering::new(),
            heard: true,
        }
    }

    /// Tells what happens until it is over.
    pub async fn serve(mut self, mut phase: watch::Receiver<Phase>) {
        let end = self.run(&mut phase).await;
        tracing::debug!(user = %self.watch.caller().username, ?end, "live notices ended");
        // At the end of the server nobody waits long, whatever the client does.
        let _ = timeout(2 * FAREWELL, self.part(end)).await;
    }

    async fn run(&mut self, phase: &mut watch::Receiver<Phase>) -> End {
        // Asked whatever the client does: also while it takes nothing.
        let watch = Arc::clone(&self.watch);
        let ended = async {
            match watch.ended().await {
                Ok(()) => End::LoginEnded,
                Err(error) => End::Failed(error),
            }
        };
        let stopped = async {
            // An error means that the server is gone.
            let _ = phase.wait_for(|phase| *phase != Phase::Serving).await;
            End::Stopping
        };
        tokio::select! {
            biased;
            end = ended => end,
            end = stopped => end,
            end = self.converse() => match end {
                Err(end) => end,
                Ok(never) => match never {},
            },
        }
    }

    async fn converse(&mut self) -> Result<Infallible, End> {
        // Before the client looks at what there is: nothing may come in between.
        self.look_inside().await?;
        let cursor = self.cursor();
        self.tell(&Event::Ready { cursor }).await?;
        let period = self.stall / 2;
        let mut pings = interval_at(Instant::now() + period, period);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Whether the journal is to be read without being woken, and when at the earliest.
        let (mut behind, mut read_at) = (true, Instant::now());
        let watch = Arc::clone(&self.watch);
        loop {
            tokio::select! {
                frame = self.socket.next() => self.hear(frame)?,
                _ = pings.tick() => self.ping().await?,
                () = watch.shares() => {
                    // What is new is told from here on: the client looks at it after this.
                    self.look_inside().await?;
                    // And what was found before comes before: it may be shared no more.
                    let items = self.inside.take();
                    self.tell_inside(items).await?;
                    self.tell(&Event::Shares).await?;
                }
                () = watch.inside(), if self.inside.due_at().is_none() => self.inside.wake(),
                () = sleep_until(self.inside.due_at().unwrap_or(read_at)),
                    if self.inside.due_at().is_some() => self.look_inside().await?,
                () = sleep_until(self.quota_at), if self.usage != self.told_usage => {
                    self.tell_quota().await?;
                }
                () = async {
                    sleep_until(read_at).await;
                    if !behind {
                        watch.news().await;
                    }
                } => {
                    behind = self.read().await?;
                    read_at = Instant::now() + PACE;
                }
            }
        }
    }

    /// Tells what happened since; whether there is more.
    async fn read(&mut self) -> Result<bool, End> {
        let notices = self.watch.read(self.number).await;
        let notices = notices.map_err(|error| match error {
            // The drive is gone with its account, or the folder that is the caller's world is.
            store::Error::NotFound => End::LoginEnded,
            error => End::Failed(error),
        })?;
        let Notices {
            items,
            cursor,
            more,
            has_gap,
            usage,
        } = notices;
        self.number = cursor;
        self.usage = Some(usage);
        if has_gap {
            self.told = cursor;
            let cursor = self.cursor();
            self.tell(&Event::Resync { cursor }).await?;
        } else if !items.is_empty() {
            self.tell_changes(items, more).await?;
        }
        Ok(more)
    }

    async fn tell_changes(&mut self, items: Vec<Notice>, more: bool) -> Result<(), End> {
        self.told = self.number;
        let changes = Event::Changes {
            cursor: self.cursor(),
            items: items.into_iter().map(change).collect(),
            more,
        };
        self.tell(&changes).await
    }

    /// Tells what happened inside of what others share, as far as one look finds it.
    async fn look_inside(&mut self) -> Result<(), End> {
        let items = self.inside.look(&self.watch).await.map_err(End::Failed)?;
        self.tell_inside(items).await
    }

    async fn tell_inside(&mut self, items: Vec<Change>) -> Result<(), End> {
        if items.is_empty() {
            return Ok(());
        }
        self.tell(&Event::SharedChanges { items }).await
    }

    async fn tell_quota(&mut self) -> Result<(), End> {
        self.quota_at = Instant::now() + QUOTA_PACE;
        self.told_usage = self.usage;
        match &self.usage {
            Some(now) => self.tell(&Event::Quota { usage: usage(now) }).await,
            None => Ok(()),
        }
    }

    /// Asks whether the client is still there, and keeps its cursor from growing old where all that
    /// happens happens elsewhere.
    async fn ping(&mut self) -> Result<(), End> {
        if !self.heard {
            return Err(End::Stalled);
        }
        self.heard = false;
        if self.told != self.number {
            self.tell_changes(Vec::new(), false).await?;
        }
        self.send(Message::Ping(Bytes::new())).await
    }

    fn hear(&mut self, frame: Option<Result<Message, Error>>) -> Result<(), End> {
        self.heard = true;
        match frame {
            None => Err(End::Gone),
            Some(Ok(Message::Text(_) | Message::Binary(_))) => {
                let reason = "nothing is to be said here";
                Err(End::Misused(CloseCode::Unsupported, reason))
            }
            // Answered by the library, a close with a close.
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(match error {
                Error::Capacity(_) => End::Misused(CloseCode::Size, "the message is too long"),
                Error::Utf8(_) => End::Misused(CloseCode::Invalid, "the text is not UTF-8"),
                Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Gone,
                Error::Protocol(_) => End::Misused(CloseCode::Protocol, "the frame is malformed"),
                _ => End::Gone,
            }),
        }
    }

    /// The last words.
    async fn part(&mut self, end: End) {
        let (reason, code, text) = match end {
            End::LoginEnded => {
                let reason = Some(EndReason::LoginEnded);
                (reason, CloseCode::Policy, "the log-in has ended")
            }
            End::Stopping => {
                let reason = Some(EndReason::ServerStopping);
                (reason, CloseCode::Away, "the server stops")
            }
            End::Failed(error) => {
                tracing::warn!(%error, "live notices broke off");
                (None, CloseCode::Error, "something went wrong here")
            }
            End::Misused(code, text) => (None, code, text),
            End::Gone | End::Stalled => return,
        };
        if let Some(reason) = reason
            && self.tell(&Event::Ended { reason }).await.is_err()
        {
            return;
        }
        let close = CloseFrame {
            code,
            reason: Utf8Bytes::from_static(text),
        };
        if self.send(Message::Close(Some(close))).await.is_err() {
            return;
        }
        // Closed with bytes unread, the connection would be reset, and the last words lost.
        let stream = self.socket.get_mut();
        if stream.shutdown().await.is_ok() {
            let mut rest = [0; 1024];
            while matches!(stream.read(&mut rest).await, Ok(count) if count > 0) {}
        }
    }

    async fn tell(&mut self, event: &Event) -> Result<(), End> {
        let text = serde_json::to_string(event).expect("plain texts and numbers have a JSON form");
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(self.stall, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Stalled),
        }
    }

    fn cursor(&self) -> String {
        let drive = self.watch.caller().drive;
        let number = self.told;
        Cursor { drive, number }.write()
    }
}

pub(super) fn change(notice: Notice) -> Change {
    Change {
        kind: match notice.kind {
            NoticeKind::Changed => ChangeKind::Changed,
            NoticeKind::Removed => ChangeKind::Removed,
            NoticeKind::Tree => ChangeKind::Tree,
        },
        id: notice.node.to_string(),
        path: if notice.path.is_empty() {
            "/".to_owned()
        } else {
            notice.path
        },
    }
}
