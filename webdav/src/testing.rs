//! What tests start from: alice's empty drive on SQLite, and requests to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use store::{
    Access, AccountOptions, Admission, Caller, Clock, Condition, Database, Limits, NewUser,
    Options, Password, Path, Store, SystemRandom, TrashOptions, UploadOptions, VerifyReads,
    VersionOptions, World,
};
use tempfile::TempDir;

use crate::{Dav, DavOptions};

/// A clock that stands still until it is told to go on.
pub(crate) struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now_ns(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl TestClock {
    pub fn advance_s(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000_000, Ordering::SeqCst);
    }
}

/// A store with one account, and the door to it.
pub(crate) struct Drive {
    pub store: Store,
    pub dav: Dav,
    pub caller: Caller,
    pub clock: Arc<TestClock>,
    pub data: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// A header field's text; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// What stands between two pieces of the body, the first time.
    pub fn between(&self, start: &str, end: &str) -> &str {
        let (_, rest) = self.body.split_once(start).unwrap();
        rest.split_once(end).unwrap().0
    }
}

impl Drive {
    pub async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// With options of the store changed by the test.
    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        Self::with_both(change, |_| ()).await
    }

    /// With options of both changed by the test.
    pub async fn with_both(
        change: impl FnOnce(&mut Options),
        change_dav: impl FnOnce(&mut DavOptions),
    ) -> Self {
        let data = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(1_700_000_000_000_000_000)));
        let world = World {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            random: Arc::new(SystemRandom::default()),
        };
        let mut options = Options {
            database: Database::Sqlite(data.path().join("coffer.db")),
            data: data.path().to_owned(),
            blobs: None,
            small_limit_bytes: 16 << 10,
            verify_reads: VerifyReads::Daily,
            limits: Limits::default(),
            accounts: AccountOptions::default(),
            versions: VersionOptions::default(),
            trash: TrashOptions::default(),
            capacity_bytes: None,
            overcommit: true,
            reserve_bytes: 0,
            sweep_grace: Duration::ZERO,
            world: world.clone(),
        };
        change(&mut options);
        let store = Store::open(options).await.unwrap();
        let password = "correct horse";
        let alice = NewUser {
            username: Some("alice".into()),
            email: None,
            password: Password::new(password),
            access: Access::User,
            quota_bytes: None,
        };
        store
            .register(alice, Admission::Own(None), None)
            .await
            .unwrap();
        let caller = store.authenticate_basic("alice", password, None).await;
        let mut options = DavOptions::new(world);
        change_dav(&mut options);
        Self {
            dav: Dav::new(store.clone(), options),
            store,
            caller: caller.unwrap(),
            clock,
            data,
        }
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let answer = self
            .dav
            .handle(&self.caller, request.body(body).unwrap())
            .await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// Stores a file past the door.
    pub async fn file(&self, path: &str, text: &str) {
        let path = Path::parse(path).unwrap();
        let options = UploadOptions {
            size_bytes: Some(text.len() as u64),
            ..UploadOptions::default()
        };
        let begun = self
            .store
            .begin_upload(&self.caller, &path, options, Condition::default())
            .await;
        let mut upload = begun.unwrap();
        upload
            .write(Bytes::copy_from_slice(text.as_bytes()))
            .await
            .unwrap();
        upload.complete().await.unwrap().commit(None).await.unwrap();
    }

    /// Makes a folder past the door.
    pub async fn folder(&self, path: &str) {
        let path = Path::parse(path).unwrap();
        self.store
            .make_folder(&self.caller, &path, Condition::default())
            .await
            .unwrap();
    }

    /// The node at a path.
    pub async fn node(&self, path: &str) -> Option<store::Node> {
        let path = Path::parse(path).unwrap();
        let found = self.store.find(&self.caller, &path).await.unwrap();
        found.map(|found| found.node.clone())
    }

    /// Everything in the drive: path and, for files, entity tag.
    pub async fn tree(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut open = vec![(String::new(), self.caller.root)];
        while let Some((path, folder)) = open.pop() {
            let page = self.store.list(folder, None).await.unwrap();
            assert!(page.next.is_none(), "tests are small");
            for entry in page.entries {
                let path = format!("{path}/{}", entry.name);
                if entry.node.is_folder() {
                    lines.push(format!("{path}/"));
                    open.push((path, entry.node.id));
                } else {
                    lines.push(format!("{path} {}", entry.node.etag()));
                }
            }
        }
        lines.sort();
        lines
    }
}
