//! A WebSocket to the server.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::{Answer, User, Wire};

/// How long a message may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// An open WebSocket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    closed: Option<u16>,
    pings: u32,
    /// The pongs that came.
    pub pongs: Vec<Vec<u8>>,
}

impl Socket {
    /// The head of a request that opens one, without credentials.
    pub fn head(target: &str) -> Vec<String> {
        [
            &format!("GET {target} HTTP/1.1"),
            "Host: localhost",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// Opens one at `target` of the server at `address`, by these more lines of the request's head.
    ///
    /// # Errors
    /// The answer when it is not opened.
    pub async fn open(address: &str, target: &str, more: &[String]) -> Result<Self, Answer> {
        Self::open_on(Wire::connect(address).await, target, more).await
    }

    /// As [`Self::open`], on this connection.
    ///
    /// # Errors
    /// The answer when it is not opened.
    pub async fn open_on(mut wire: Wire, target: &str, more: &[String]) -> Result<Self, Answer> {
        let mut lines = Self::head(target);
        lines.extend_from_slice(more);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        wire.send_head(&lines).await;
        let answer = wire.answer().await.expect("there is an answer");
        if answer.status() != 101 {
            return Err(answer);
        }
        assert_eq!(
            answer.header("sec-websocket-accept"),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        let (stream, read) = wire.into_parts();
        let stream = WebSocketStream::from_partially_read(stream, read, Role::Client, None).await;
        Ok(Self {
            stream,
            closed: None,
            pings: 0,
            pongs: Vec::new(),
        })
    }

    /// The line of a head by which a user says who they are.
    pub fn authorization(user: &User) -> String {
        format!("Authorization: {}", Wire::basic(&user.name, &user.password))
    }

    /// The next message; `None` when the server has closed.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let frame = timeout(PATIENCE, self.stream.next()).await;
            match frame.expect("a message or the end comes within a minute")? {
                Ok(Message::Text(text)) => {
                    let parsed = serde_json::from_str(&text);
                    return Some(parsed.expect("messages are JSON"));
                }
                Ok(Message::Ping(_)) => self.pings += 1,
                Ok(Message::Pong(bytes)) => self.pongs.push(bytes.to_vec()),
                Ok(Message::Close(frame)) => {
                    self.closed = frame.map(|frame| frame.code.into());
                }
                Ok(other) => panic!("the server says {other:?}"),
                Err(_) => return None,
            }
        }
    }

    /// The next message of this type; those of other types are passed over.
    pub async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            let message = message.unwrap_or_else(|| panic!("closed before a message {kind}"));
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Waits until the server has asked this often whether we are there.
    pub async fn pings(&mut self, count: u32) {
        let before = self.pings;
        while self.pings - before < count {
            let frame = timeout(PATIENCE, self.stream.next()).await;
            match frame.expect("a ping comes within a minute") {
                Some(Ok(Message::Ping(_))) => self.pings += 1,
                Some(Ok(Message::Text(_))) => {}
                other => panic!("instead of a ping: {other:?}"),
            }
        }
    }

    /// The code the server has closed with.
    pub fn closed(&self) -> Option<u16> {
        self.closed
    }

    /// Reads on to the end; the code the server has closed with.
    pub async fn end(&mut self) -> Option<u16> {
        while self.next().await.is_some() {}
        self.closed
    }

    /// Sends a text.
    pub async fn say(&mut self, text: &str) {
        let sent = self.stream.send(Message::text(text)).await;
        sent.expect("the server takes it");
    }

    /// Sends bytes as they are, which need not be frames.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        use tokio::io::AsyncWriteExt as _;
        // The server may have had enough already.
        let _ = self.stream.get_mut().write_all(bytes).await;
    }

    /// Closes it in good order.
    pub async fn close(mut self) {
        let _ = self.stream.close(None).await;
        self.end().await;
    }
}
