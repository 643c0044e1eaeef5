//! The verbs over a real store, without a socket between.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, of which each runs once"
)]

mod conditions;
mod get;
mod propfind;
mod put;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};

use crate::{DavOptions, testing};

/// A drive of one user behind the door, which is asked in bytes and counts statements.
struct Drive(testing::Drive);

impl Deref for Drive {
    type Target = testing::Drive;

    fn deref(&self) -> &testing::Drive {
        &self.0
    }
}

impl DerefMut for Drive {
    fn deref_mut(&mut self) -> &mut testing::Drive {
        &mut self.0
    }
}

/// An answer, its body read.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    statements: u64,
}

impl Drive {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut DavOptions)) -> Self {
        let quota = |options: &mut store::Options| {
            options.accounts.default_quota_bytes = 100_000_000;
        };
        Self(testing::Drive::with_both(quota, change).await)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let statements = Arc::new(AtomicU64::new(0));
        let answered = async {
            let answer = self.dav.handle(&self.caller, request).await;
            let (head, body) = answer.into_parts();
            (head, body.collect().await.unwrap().to_bytes())
        };
        let (head, body) = store::count_statements(Arc::clone(&statements), answered).await;
        Answer {
            status: head.status,
            headers: head.headers,
            body,
            statements: statements.load(Ordering::Relaxed),
        }
    }

    async fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::copy_from_slice(body));
        self.send(request.body(body).unwrap()).await
    }

    async fn put(&self, path: &str, content: &[u8]) -> Answer {
        let answer = self.ask("PUT", path, &[], content).await;
        assert!(answer.status.is_success(), "{answer:?}");
        answer
    }

    async fn get(&self, path: &str) -> Bytes {
        let answer = self.ask("GET", path, &[], b"").await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.body
    }
}

impl Answer {
    fn field(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}
