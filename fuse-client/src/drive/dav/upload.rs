//! Bodies that are sent: parts of local files, and words between them.

use std::collections::VecDeque;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_LENGTH;
use reqwest::{Body, RequestBuilder, Response};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::connection::{Fault, PROGRESS_WITHIN, accepted};
use crate::drive::Source;

/// Bytes read from a local file at once.
const PIECE_BYTES: u64 = 256 * 1024;

/// A body to be sent once.
pub(crate) struct Upload {
    parts: VecDeque<Part>,
    length_bytes: u64,
}

enum Part {
    Words(Bytes),
    /// The rest of a source, and the digest of what of it was sent.
    File(Source, Sha256),
}

/// What the body tells the request it belongs to.
struct Course {
    /// When bytes were last taken.
    moved_at: Instant,
    /// Why a file could not be read; the network only says that the body broke off.
    failed: Option<std::io::Error>,
}

type Shared = Arc<Mutex<Course>>;

impl Upload {
    /// A part of one file.
    pub(crate) fn of_file(content: Source) -> Self {
        let mut upload = Self {
            parts: VecDeque::new(),
            length_bytes: 0,
        };
        upload.push_file(content);
        upload
    }

    /// Ranges of a file that becomes `size_bytes` long, as `multipart/byteranges` (RFC 9110 §14.6).
    /// Without any the one part says the length alone.
    pub(crate) fn of_ranges(parts: &[Source], size_bytes: u64, boundary: &str) -> Self {
        let mut upload = Self {
            parts: VecDeque::new(),
            length_bytes: 0,
        };
        for part in parts.iter().filter(|part| !part.range.is_empty()) {
            let (first, last) = (part.range.start, part.range.end - 1);
            upload.push_words(format!(
                "--{boundary}\r\nContent-Range: bytes {first}-{last}/{size_bytes}\r\n\r\n"
            ));
            upload.push_file(part.clone());
            upload.push_words("\r\n".to_owned());
        }
        if upload.parts.is_empty() {
            upload.push_words(format!(
                "--{boundary}\r\nContent-Range: bytes */{size_bytes}\r\n\r\n\r\n"
            ));
        }
        upload.push_words(format!("--{boundary}--\r\n"));
        upload
    }

    fn push_words(&mut self, words: String) {
        self.length_bytes += words.len() as u64;
        self.parts.push_back(Part::Words(words.into()));
    }

    fn push_file(&mut self, content: Source) {
        self.length_bytes += content.range.end.saturating_sub(content.range.start);
        self.parts.push_back(Part::File(content, Sha256::new()));
    }

    /// Sends it. It may take as long as bytes move; the answer, once all are sent, as long as they
    /// may rest.
    pub(crate) async fn send(self, request: RequestBuilder) -> Result<Response, Fault> {
        let course = Arc::new(Mutex::new(Course {
            moved_at: Instant::now(),
            failed: None,
        }));
        let request = request
            .header(CONTENT_LENGTH, self.length_bytes)
            .body(self.body(&course));
        let sending = request.send();
        let mut sending = std::pin::pin!(sending);
        let answer = loop {
            let until = lock(&course).moved_at + PROGRESS_WITHIN;
            tokio::select! {
                answer = &mut sending => break answer,
                () = tokio::time::sleep_until(until) => {
                    if lock(&course).moved_at + PROGRESS_WITHIN <= Instant::now() {
                        return Err(Fault::TooSlow);
                    }
                }
            }
        };
        match answer {
            Ok(answer) => accepted(answer).await,
            Err(error) => Err(match lock(&course).failed.take() {
                Some(local) => Fault::Local(local),
                None => error.into(),
            }),
        }
    }

    fn body(self, course: &Shared) -> Body {
        if self.length_bytes == 0 {
            return Body::from("");
        }
        let course = Arc::clone(course);
        Body::wrap_stream(stream::try_unfold(self.parts, move |parts| {
            let course = Arc::clone(&course);
            async move {
                let piece = next(parts).await;
                let mut course = lock(&course);
                course.moved_at = Instant::now();
                piece.map_err(|error| {
                    let kind = error.kind();
                    course.failed = Some(error);
                    std::io::Error::from(kind)
                })
            }
        }))
    }
}

type Piece = Option<(Bytes, VecDeque<Part>)>;

async fn next(mut parts: VecDeque<Part>) -> std::io::Result<Piece> {
    loop {
        match parts.pop_front() {
            None => return Ok(None),
            Some(Part::Words(words)) => return Ok(Some((words, parts))),
            Some(Part::File(content, _)) if content.range.is_empty() => {}
            Some(Part::File(content, digest)) => {
                let end = content.range.end.min(content.range.start + PIECE_BYTES);
                let rest = Source {
                    range: end..content.range.end,
                    ..content.clone()
                };
                let length = end - content.range.start;
                let read = move || read_piece(&content, end, digest);
                let (piece, digest) = tokio::task::spawn_blocking(read).await??;
                if !rest.progress.hand_over(length) {
                    // Without its end the server takes none of it.
                    return Err(std::io::ErrorKind::ConnectionAborted.into());
                }
                parts.push_front(Part::File(rest, digest));
                return Ok(Some((piece, parts)));
            }
        }
    }
}

/// Reads up to `end`; the last piece only if all of them are what they were.
fn read_piece(content: &Source, end: u64, mut digest: Sha256) -> std::io::Result<(Bytes, Sha256)> {
    let start = content.range.start;
    let length = usize::try_from(end - start).expect("a piece fits in memory");
    let mut piece = vec![0; length];
    content.file.read_exact_at(&mut piece, start)?;
    if let Some(looked) = content.sha256 {
        digest.update(&piece);
        if end == content.range.end && digest.clone().finalize()[..] != looked {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "changed while it was sent",
            ));
        }
    }
    Ok((piece.into(), digest))
}

fn lock(course: &Shared) -> std::sync::MutexGuard<'_, Course> {
    course.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn source(range: std::ops::Range<u64>) -> Source {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..=255_u8).cycle().take(600_000).collect();
        file.write_all(&bytes).unwrap();
        Source::new(Arc::new(file), range)
    }

    async fn all(upload: Upload) -> std::io::Result<Vec<u8>> {
        let (mut out, mut parts) = (Vec::new(), upload.parts);
        while let Some((piece, rest)) = next(parts).await? {
            out.extend_from_slice(&piece);
            parts = rest;
        }
        Ok(out)
    }

    #[tokio::test]
    async fn a_file_is_sent_as_it_is() {
        let content = source(1..599_999);
        let counted = Arc::clone(&content.progress);
        let upload = Upload::of_file(content);
        assert_eq!(upload.length_bytes, 599_998);
        let sent = all(upload).await.unwrap();
        assert_eq!(counted.sent_bytes(), 599_998);
        assert_eq!(sent.len(), 599_998);
        let right = |(at, byte): (usize, &u8)| (at + 1) % 256 == usize::from(*byte);
        assert!(sent.iter().enumerate().all(right));
        let short = all(Upload::of_file(source(0..600_001))).await.unwrap_err();
        assert_eq!(short.kind(), std::io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn what_has_changed_is_never_sent_to_its_end() {
        let mut content = source(0..600_000);
        let mut bytes = vec![0; 600_000];
        content.file.read_exact_at(&mut bytes, 0).unwrap();
        content.sha256 = Some(Sha256::digest(&bytes).into());
        assert_eq!(all(Upload::of_file(content.clone())).await.unwrap(), bytes);

        let progress = Arc::clone(&content.progress);
        let (_, rest) = next(Upload::of_file(content.clone()).parts)
            .await
            .unwrap()
            .unwrap();
        content.file.write_all_at(b"x", 599_999).unwrap();
        let (_, rest) = next(rest).await.unwrap().unwrap();
        let end = next(rest).await.map(drop).unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::InvalidData);
        assert!(progress.sent_bytes() < 2 * 600_000);
    }

    #[tokio::test]
    async fn what_is_given_up_is_never_sent_to_its_end() {
        let content = source(0..600_000);
        let progress = Arc::clone(&content.progress);
        let (_, rest) = next(Upload::of_file(content).parts).await.unwrap().unwrap();
        assert!(progress.give_up(600_000));
        assert!(next(rest).await.is_err());

        let content = source(0..600_000);
        let progress = Arc::clone(&content.progress);
        all(Upload::of_file(content)).await.unwrap();
        assert!(!progress.give_up(600_000));
    }

    #[tokio::test]
    async fn ranges_are_parts_that_say_where_they_belong() {
        let parts = [source(65..67), source(9..9), source(97..98)];
        let upload = Upload::of_ranges(&parts, 500, "x");
        let length_bytes = upload.length_bytes;
        let sent = String::from_utf8(all(upload).await.unwrap()).unwrap();
        assert_eq!(
            sent,
            "--x\r\nContent-Range: bytes 65-66/500\r\n\r\nAB\r\n\
             --x\r\nContent-Range: bytes 97-97/500\r\n\r\na\r\n--x--\r\n"
        );
        assert_eq!(length_bytes, sent.len() as u64);
        let none = all(Upload::of_ranges(&[], 7, "x")).await.unwrap();
        let none = String::from_utf8(none).unwrap();
        assert_eq!(none, "--x\r\nContent-Range: bytes */7\r\n\r\n\r\n--x--\r\n");
    }
}
