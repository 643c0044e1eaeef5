//! The verbs over a real store, without a socket between.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, of which each runs once"
)]

mod conditions;
mod get;
mod propfind;
mod put;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use store::{
    Access, AccountOptions, Admission, Caller, Database, Limits, NewUser, Options, Password, Store,
    VerifyReads, World,
};
use tempfile::TempDir;

use crate::{Dav, DavOptions};

/// A drive of one user behind the door.
struct Drive {
    dav: Dav,
    store: Store,
    caller: Caller,
    data: TempDir,
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
        let data = TempDir::new().unwrap();
        let world = World::default();
        let store = Store::open(Options {
            database: Database::Sqlite(data.path().join("coffer.db")),
            data: data.path().to_owned(),
            blobs: None,
            small_limit_bytes: 16 << 10,
            verify_reads: VerifyReads::Daily,
            limits: Limits::default(),
            accounts: AccountOptions {
                default_quota_bytes: 100_000_000,
                ..AccountOptions::default()
            },
            capacity_bytes: None,
            overcommit: true,
            reserve_bytes: 0,
            sweep_grace: Duration::ZERO,
            world: world.clone(),
        })
        .await
        .unwrap();
        let caller = alice(&store).await;
        let mut options = DavOptions::new(world);
        change(&mut options);
        Self {
            dav: Dav::new(store.clone(), options),
            store,
            caller,
            data,
        }
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

    async fn folder(&self, path: &str) {
        let path = store::Path::parse(path).unwrap();
        let condition = store::Condition::default();
        let made = self.store.make_folder(&self.caller, &path, condition);
        made.await.unwrap();
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

/// Makes an account and logs in.
async fn alice(store: &Store) -> Caller {
    let password = "correct horse battery";
    let new = NewUser {
        username: Some("alice".to_owned()),
        email: None,
        password: Password::new(password),
        access: Access::User,
        quota_bytes: None,
    };
    store
        .register(new, Admission::Own(None), None)
        .await
        .unwrap();
    let authenticated = store.authenticate_basic("alice", password, None);
    authenticated.await.unwrap()
}
