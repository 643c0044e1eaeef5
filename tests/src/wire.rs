//! A bare connection, for requests that no honest client sends.

use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::Answer;

/// How long one read may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A TCP connection to the server, with what was read too far.
pub struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    /// Connects to `address`, an `http://` address.
    pub async fn connect(address: &str) -> Self {
        let address = address
            .strip_prefix("http://")
            .expect("only plain HTTP is spoken by hand");
        let stream = TcpStream::connect(address)
            .await
            .expect("the server accepts connections");
        stream.set_nodelay(true).expect("a socket has this option");
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// Connects to `address` with hardly any room for what is not read yet, so that the server
    /// feels at once when we stop reading.
    pub async fn connect_narrow(address: &str) -> Self {
        let address = address
            .strip_prefix("http://")
            .and_then(|address| address.parse().ok())
            .expect("only plain HTTP at an IPv4 address is spoken by hand");
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        socket
            .set_recv_buffer_size(4096)
            .expect("a socket has this option");
        let stream = socket.connect(address).await;
        Self {
            stream: stream.expect("the server accepts connections"),
            read: Vec::new(),
        }
    }

    /// Waits for the first bytes of an answer and reads no further.
    pub async fn first_bytes(&mut self) {
        let mut byte = [0];
        let read = self.stream.read_exact(&mut byte);
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("an answer begins within a minute")
            .expect("the connection stays open");
        self.read.extend(byte);
    }

    /// The value of an `Authorization` header.
    pub fn basic(user: &str, password: &str) -> String {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        format!("Basic {pair}")
    }

    /// Sends bytes; whether the server still took them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let sent = self.stream.write_all(bytes.as_ref()).await;
        sent.is_ok() && self.stream.flush().await.is_ok()
    }

    /// Sends a head of `lines` and the empty line after it.
    pub async fn send_head(&mut self, lines: &[&str]) -> bool {
        let mut head = lines.join("\r\n");
        head.push_str("\r\n\r\n");
        self.send(head).await
    }

    /// The stream, to go on in another protocol, and what was read of it too far.
    pub(crate) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.read)
    }

    /// Ends our direction of the connection.
    pub async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Reads one answer; `None` when the connection ends before a whole one has come.
    pub async fn answer(&mut self) -> Option<Answer> {
        tokio::time::timeout(PATIENCE, self.read_answer(false))
            .await
            .expect("an answer or the end of the connection comes within a minute")
    }

    /// Reads one answer to a HEAD request.
    pub async fn answer_to_head(&mut self) -> Option<Answer> {
        tokio::time::timeout(PATIENCE, self.read_answer(true))
            .await
            .expect("an answer or the end of the connection comes within a minute")
    }

    /// Waits for the server to close the connection; whether it did within `deadline`.
    pub async fn closed_within(&mut self, deadline: Duration) -> bool {
        let end = async { while self.more().await {} };
        tokio::time::timeout(deadline, end).await.is_ok()
    }

    async fn read_answer(&mut self, to_head: bool) -> Option<Answer> {
        let end = loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                break end;
            }
            if !self.more().await {
                return None;
            }
        };
        let head: Vec<u8> = self.read.drain(..end + 4).collect();
        let (status, headers) = parse_head(&head)?;
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let body = if to_head || status < 200 || status == 204 || status == 304 {
            Vec::new()
        } else if text("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            self.chunked().await?
        } else if let Some(length) = text("content-length") {
            self.exactly(length.parse().ok()?).await?
        } else {
            while self.more().await {}
            std::mem::take(&mut self.read)
        };
        Some(Answer {
            request: "(by hand)".to_owned(),
            status,
            headers,
            body: Bytes::from(body),
        })
    }

    async fn chunked(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Some(body);
            }
            body.extend(self.exactly(size).await?);
            self.line().await?;
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.read, b"\r\n") {
                let line: Vec<u8> = self.read.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).ok();
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.read.len() < length {
            if !self.more().await {
                return None;
            }
        }
        Some(self.read.drain(..length).collect())
    }

    async fn more(&mut self) -> bool {
        self.read.reserve(64 * 1024);
        matches!(self.stream.read_buf(&mut self.read).await, Ok(count) if count > 0)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

fn parse_head(head: &[u8]) -> Option<(u16, HeaderMap)> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.trim_end().split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).ok()?,
            HeaderValue::from_str(value.trim()).ok()?,
        );
    }
    Some((status, headers))
}
