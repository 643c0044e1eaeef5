//! Random requests against a tree in memory: every status foreseen, and now and then the whole
//! drive, its quota and a replica kept by `sync-collection` compared with it, over restarts.

use bytes::Bytes;
use harness::{Answer, Dav, User, World, encode_path, noise};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::drive::{self, etag_of};
use crate::foreseen::{Foreseen, Lock, foresee};
use crate::operation::{Operation, Start};
use crate::replica::Replica;
use crate::tree::{Node, Tree, composed, parent};
use crate::{scale, seed};

/// Requests between two comparisons of everything.
const STRETCH: u64 = 150;
const QUOTA_BYTES: u64 = 1 << 30;
/// Both spellings of two names are among them, so that they meet.
const NAMES: [&str; 10] = [
    "a",
    "b.txt",
    "two words",
    "\u{e4}",
    "a\u{308}",
    "caf\u{e9}",
    "cafe\u{301}",
    "100%25 & <more>",
    "\u{1f980}",
    "B.TXT",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_sequence_of_requests_does_what_the_model_does() {
    let operations = scale("COFFER_MODEL_OPERATIONS", 1500);
    let mut rng = StdRng::seed_from_u64(seed());
    let mut world = World::start().await;
    let user = world.add_user("carol", Some(QUOTA_BYTES)).await;
    let mut model = Model::default();
    let mut replica = Replica::default();
    let mut done = 0;
    while done < operations {
        let dav = world.as_user(&user);
        for _ in 0..STRETCH {
            model.step(&dav, &mut rng).await;
        }
        done += STRETCH;
        model.compare(&dav).await;
        let limit = [None, Some(3), Some(50)][rng.random_range(0..3)];
        replica.synchronise(&dav, limit).await;
        replica.compare(&model.tree, &model.history);
        match rng.random_range(0..4) {
            0 => world.restart().await,
            1 => {
                world.kill().await;
                world.revive().await;
            }
            _ => {}
        }
        model.compare(&world.as_user(&User::named("carol"))).await;
        model.history.clear();
    }
    eprintln!(
        "model: {done} requests, {} of them done, {} entries at the end",
        model.done,
        model.tree.len()
    );
}

#[derive(Default)]
struct Model {
    tree: Tree,
    locks: Vec<Lock>,
    done: u64,
    /// What was asked since the last comparison, for the message of a failure.
    history: Vec<String>,
}

impl Model {
    async fn step(&mut self, dav: &Dav, rng: &mut StdRng) {
        match rng.random_range(0..100) {
            0..74 => self.change(dav, rng).await,
            74..86 => self.look(dav, rng).await,
            86..92 => self.lock(dav, rng).await,
            92..97 => self.unlock(dav, rng).await,
            _ => self.conditional_put(dav, rng).await,
        }
    }

    async fn change(&mut self, dav: &Dav, rng: &mut StdRng) {
        let operation = self.choose(rng);
        let submits = !self.locks.is_empty() && rng.random_bool(0.6);
        let mut request = operation.request(dav);
        if submits {
            request = request.header("If", &self.if_header());
        }
        let foreseen = foresee(&self.tree, &self.locks, &operation, submits);
        let answer = request.send().await;
        let what = format!("{operation:?} with tokens: {submits}");
        if self.judge(&what, &foreseen, &answer, operation.was_done(&answer)) {
            operation.apply(&mut self.tree);
            self.end_locks(&operation);
            if let Operation::Put { content, .. } = &operation {
                assert_eq!(answer.etag(), etag_of(content), "{what}");
            }
        }
    }

    /// Panics unless the answer was foreseen; whether it was a success.
    fn judge(&mut self, what: &str, foreseen: &Foreseen, answer: &Answer, done: bool) -> bool {
        self.history.push(format!("{what} -> {}", answer.status()));
        let is_right = if done {
            answer.status() == foreseen.success
                && (foreseen.may_succeed || foreseen.refusals.is_empty())
        } else {
            foreseen.refusals.contains(&answer.status())
        };
        assert!(
            is_right,
            "foreseen: {} or {:?}\nlocks: {:?}\n{:#?}\n{answer:?}",
            if foreseen.may_succeed || foreseen.refusals.is_empty() {
                foreseen.success
            } else {
                0
            },
            foreseen.refusals,
            self.locks
                .iter()
                .map(|lock| (&lock.root, lock.is_deep))
                .collect::<Vec<_>>(),
            self.history
        );
        self.done += u64::from(done);
        done
    }

    /// Names every held lock's root with its token (RFC 4918 §10.4.3).
    fn if_header(&self) -> String {
        let lists = self
            .locks
            .iter()
            .map(|lock| format!("</dav{}> (<{}>)", encode_path(&lock.root), lock.token));
        lists.collect::<Vec<_>>().join(" ")
    }

    fn choose(&self, rng: &mut StdRng) -> Operation {
        // What is foreseen of locks knows nothing of several names: there are these or those.
        if self.locks.is_empty() && rng.random_bool(0.1) {
            return Operation::Bind {
                file: self.path(rng, 0.9),
                to: self.path(rng, 0.3),
                overwrite: rng.random_bool(0.7),
            };
        }
        match rng.random_range(0..100) {
            0..30 => Operation::Put {
                path: self.path(rng, 0.3),
                content: content(rng),
                chunked: rng.random_bool(0.2),
            },
            30..40 => {
                let path = self.path(rng, 0.9);
                let length = self.tree.content(&path).map_or(0, Bytes::len);
                Operation::Patch {
                    path,
                    start: match rng.random_range(0..3) {
                        0 => Start::Append,
                        1 => Start::At(rng.random_range(0..length + 100)),
                        _ => Start::Last(rng.random_range(1..length + 2)),
                    },
                    content: Bytes::from(noise(rng.random(), rng.random_range(1..300))),
                }
            }
            40..55 => Operation::MakeFolder {
                path: self.path(rng, 0.1),
            },
            55..63 => Operation::Delete {
                path: self.path(rng, 0.8),
            },
            63..76 => Operation::Copy {
                from: self.path(rng, 0.9),
                to: self.path(rng, 0.3),
                overwrite: rng.random_bool(0.7),
                shallow: rng.random_bool(0.2),
            },
            76..90 => Operation::Rename {
                from: self.path(rng, 0.9),
                to: self.path(rng, 0.3),
                overwrite: rng.random_bool(0.7),
            },
            _ => Operation::Note {
                path: self.path(rng, 0.9),
                note: rng
                    .random_bool(0.7)
                    .then(|| format!("note & <{}>", rng.random_range(0..50))),
            },
        }
    }

    /// One that is there, with this probability; else any.
    fn path(&self, rng: &mut StdRng, known: f64) -> String {
        if self.tree.len() > 0 && rng.random_bool(known) {
            let nth = rng.random_range(0..self.tree.len());
            return self.tree.paths().nth(nth).unwrap_or_default().to_owned();
        }
        let folders: Vec<&str> = self
            .tree
            .paths()
            .filter(|path| self.tree.is_folder(path) && path.matches('/').count() < 4)
            .collect();
        let folder = if folders.is_empty() || rng.random_bool(0.3) {
            ""
        } else {
            folders[rng.random_range(0..folders.len())]
        };
        let name = || NAMES[rng.random_range(0..NAMES.len())];
        let names: Vec<&str> = std::iter::repeat_with(name).take(2).collect();
        // Now and then below something that is not there, or below a file.
        if names[1] == NAMES[0] {
            format!("{folder}/{}/{}", names[0], names[1])
        } else {
            format!("{folder}/{}", names[0])
        }
    }

    /// Locks end with what they are on, and do not travel (RFC 4918 §7.5, §9.9.3).
    fn end_locks(&mut self, operation: &Operation) {
        let (path, to) = operation.paths();
        if operation.is_respelling() {
            return;
        }
        self.locks.retain(|lock| match operation {
            Operation::Delete { .. } => !lock.is_within(path),
            Operation::Copy { .. } => !lock.is_within(to.unwrap_or_default()),
            Operation::Rename { .. } => {
                !lock.is_within(path) && !lock.is_within(to.unwrap_or_default())
            }
            _ => true,
        });
    }

    async fn look(&mut self, dav: &Dav, rng: &mut StdRng) {
        let path = self.path(rng, 0.7);
        let answer = dav.get(&path).await;
        self.history
            .push(format!("GET {path} -> {}", answer.status()));
        match self.tree.get(&path).map(|entry| &entry.node) {
            None => assert_eq!(answer.status(), 404, "{:#?}\n{answer:?}", self.history),
            Some(Node::Folder) => assert_eq!(answer.status(), 200, "{answer:?}"),
            Some(Node::File(content)) => {
                assert!(
                    answer == content.to_vec(),
                    "{:#?}\n{answer:?}",
                    self.history
                );
                assert_eq!(answer.etag(), etag_of(content));
            }
        }
        let expected = if self.tree.exists(&path) { 207 } else { 404 };
        let answer = dav.propfind(&path, "0").await;
        assert_eq!(answer.status(), expected, "PROPFIND {path}\n{answer:?}");
    }

    async fn lock(&mut self, dav: &Dav, rng: &mut StdRng) {
        if self.locks.len() >= 3 {
            return;
        }
        if rng.random_bool(0.5) {
            self.part_names(dav).await;
        }
        if self.tree.one_of_several().is_some() {
            return;
        }
        let path = self.path(rng, 0.7);
        let is_deep = rng.random_bool(0.5);
        let answer = dav
            .request("LOCK", &path)
            .header("Depth", if is_deep { "infinity" } else { "0" })
            .header("Timeout", "Second-3600")
            .xml(
                "<D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope>\
                 <D:locktype><D:write/></D:locktype></D:lockinfo>",
            )
            .send()
            .await;
        let exists = self.tree.exists(&path);
        let mut refusals = Vec::new();
        if !self.tree.is_folder(parent(&path)) {
            refusals.push(409);
        }
        let meets = |lock: &Lock| lock.covers(&path) || (is_deep && lock.is_within(&path));
        let parent_covered = !exists && self.locks.iter().any(|lock| lock.covers(parent(&path)));
        if parent_covered || self.locks.iter().any(meets) {
            refusals.push(423);
        }
        let foreseen = Foreseen {
            refusals,
            may_succeed: false,
            success: if exists { 200 } else { 201 },
        };
        let what = format!("LOCK {path} deep: {is_deep}");
        if self.judge(&what, &foreseen, &answer, answer.succeeded()) {
            if !exists {
                self.tree.put(&path, Bytes::new());
            }
            let token = answer.header("lock-token");
            let token = token.trim_matches(['<', '>']).to_owned();
            assert!(!token.is_empty(), "{answer:?}");
            self.locks.push(Lock {
                root: composed(&path),
                is_deep,
                token,
            });
        }
    }

    /// Leaves every file one name.
    async fn part_names(&mut self, dav: &Dav) {
        while let Some(path) = self.tree.one_of_several() {
            let answer = dav.delete(&path).await;
            self.history
                .push(format!("DELETE {path} -> {}", answer.status()));
            assert_eq!(answer.status(), 204, "{:#?}\n{answer:?}", self.history);
            self.tree.remove(&path);
        }
    }

    async fn unlock(&mut self, dav: &Dav, rng: &mut StdRng) {
        if self.locks.is_empty() || rng.random_bool(0.2) {
            let path = self.path(rng, 0.7);
            let token = "urn:uuid:01234567-89ab-7def-8123-456789abcdef";
            let answer = dav.unlock(&path, token).await;
            self.history
                .push(format!("UNLOCK {path} bogus -> {}", answer.status()));
            answer.must_be_one_of(&[404, 409]);
            return;
        }
        let lock = self.locks.remove(rng.random_range(0..self.locks.len()));
        self.history.push(format!("UNLOCK {}", lock.root));
        dav.unlock(&lock.root, &lock.token).await.must_be(204);
    }

    async fn conditional_put(&mut self, dav: &Dav, rng: &mut StdRng) {
        let path = self.path(rng, 0.7);
        let content = content(rng);
        let current = self.tree.content(&path).map(|content| etag_of(content));
        let (field, tag, holds) = match rng.random_range(0..4) {
            0 => ("If-None-Match", "*".to_owned(), !self.tree.exists(&path)),
            1 => ("If-Match", etag_of(b"some other content"), false),
            2 => ("If-Match", "*".to_owned(), self.tree.exists(&path)),
            _ => {
                let tag = current.clone().unwrap_or_else(|| "\"none\"".to_owned());
                ("If-Match", tag, current.is_some())
            }
        };
        let operation = Operation::Put {
            path,
            content: content.clone(),
            chunked: false,
        };
        let mut foreseen = foresee(&self.tree, &self.locks, &operation, false);
        if !holds {
            foreseen.refusals.push(412);
        }
        let answer = operation.request(dav).header(field, &tag).send().await;
        let what = format!("{operation:?} {field}: {tag}");
        if self.judge(&what, &foreseen, &answer, answer.succeeded()) {
            operation.apply(&mut self.tree);
        }
    }

    async fn compare(&self, dav: &Dav) {
        let seen = drive::read(dav, "").await.unwrap_or_else(|sentence| {
            panic!("{sentence}\n{:#?}", self.history);
        });
        let expected = self.tree.shown();
        if seen != expected {
            let mut paths: Vec<&String> = seen.keys().chain(expected.keys()).collect();
            paths.sort();
            paths.dedup();
            let different: Vec<String> = paths
                .into_iter()
                .filter(|path| seen.get(*path) != expected.get(*path))
                .map(|path| {
                    let (is, should) = (seen.get(path), expected.get(path));
                    format!("{path} is {is:?}, should be {should:?}")
                })
                .collect();
            panic!("{different:#?}\nafter {:#?}", self.history);
        }
        for path in self.tree.paths().filter(|path| !self.tree.is_folder(path)) {
            let links = self.tree.names_of(path).len();
            if links > 1 {
                assert_eq!(drive::links(dav, path).await, links, "{:#?}", self.history);
            }
        }
        let used = self.tree.used_bytes();
        assert_eq!(
            drive::quota(dav).await,
            (used, QUOTA_BYTES - used),
            "used and available bytes after {:#?}",
            self.history
        );
    }
}

fn content(rng: &mut StdRng) -> Bytes {
    let length = match rng.random_range(0..20) {
        0..2 => 0,
        2..16 => rng.random_range(1..2_000),
        16..19 => rng.random_range(16_000..40_000),
        _ => rng.random_range(4 << 20..5 << 20),
    };
    Bytes::from(noise(rng.random(), length))
}
