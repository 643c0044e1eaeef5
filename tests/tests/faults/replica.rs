//! A client that keeps a copy of a drive by asking what changed.

use std::collections::BTreeMap;

use harness::{Dav, decode_path};

use crate::drive::etag_of;
use crate::tree::{Tree, composed, is_below};

/// What a client that synchronises believes (RFC 6578): the entity tags by path, none for a folder.
#[derive(Default)]
pub struct Replica {
    token: String,
    known: BTreeMap<String, Option<String>>,
    /// The last reports, for the message of a failure.
    told: Vec<String>,
}

impl Replica {
    /// Asks for what changed, until there is no more.
    pub async fn synchronise(&mut self, dav: &Dav, limit: Option<u32>) {
        let limit = limit.map_or(String::new(), |count| {
            format!("<D:limit><D:nresults>{count}</D:nresults></D:limit>")
        });
        self.told.clear();
        for _ in 0..10_000 {
            let report = dav
                .request("REPORT", "/")
                .header("Depth", "0")
                .xml(&format!(
                    "<D:sync-collection xmlns:D=\"DAV:\"><D:sync-token>{}</D:sync-token>\
                     <D:sync-level>infinite</D:sync-level>{limit}<D:prop><D:getetag/>\
                     <D:resourcetype/></D:prop></D:sync-collection>",
                    self.token
                ))
                .send()
                .await
                .multistatus();
            assert_ne!(report.sync_token, "", "a report ends in a token");
            let mut is_truncated = false;
            for response in &report.responses {
                let path = decode_path(&response.href);
                let path = path.strip_prefix("/dav").expect("inside of the drive");
                let path = composed(path.trim_end_matches('/'));
                self.told.push(format!("{path} {:?}", response.status));
                match response.status {
                    Some(507) => is_truncated = true,
                    Some(404) => self
                        .known
                        .retain(|known, _| *known != path && !is_below(known, &path)),
                    Some(other) => panic!("{path} has status {other}"),
                    None if path.is_empty() => {}
                    None => {
                        let etag = response.dav("getetag").map(str::to_owned);
                        let etag = etag.filter(|_| !response.is_collection());
                        self.known.insert(path, etag);
                    }
                }
            }
            assert!(
                !is_truncated || report.sync_token != self.token,
                "a truncated report gets somewhere"
            );
            self.told.push(format!("token {}", report.sync_token));
            self.token = report.sync_token;
            if !is_truncated {
                return;
            }
        }
        panic!("a report that is always truncated");
    }

    /// Panics unless it knows exactly what is there.
    pub fn compare(&self, tree: &Tree, history: &[String]) {
        let expected: BTreeMap<String, Option<String>> = tree
            .paths()
            .map(|path| {
                (
                    path.to_owned(),
                    tree.content(path).map(|bytes| etag_of(bytes)),
                )
            })
            .collect();
        let wrong: Vec<String> = expected
            .keys()
            .chain(self.known.keys())
            .filter(|path| expected.get(*path) != self.known.get(*path))
            .map(|path| {
                let (is, should) = (self.known.get(path), expected.get(path));
                format!("{path} is {is:?}, should be {should:?}")
            })
            .collect();
        assert!(
            wrong.is_empty(),
            "the replica is wrong: {wrong:#?}\nafter {history:#?}\ntold {:#?}",
            self.told
        );
    }
}
