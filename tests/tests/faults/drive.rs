//! Reading a whole drive, and filling one, over the wire.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use harness::{Dav, Multistatus, decode_path, sha256_hex};

use crate::tree::{Entry, Node};

/// The namespace of the one property these tests set.
pub const NOTE: &str = "{urn:coffer-tests}note";

const WANTED: &str = "<D:resourcetype/><D:getetag/><D:getcontentlength/>\
                      <n:note xmlns:n=\"urn:coffer-tests\"/>";

/// The ETag that content must have: its digest.
pub fn etag_of(content: &[u8]) -> String {
    format!("\"{}\"", sha256_hex(content))
}

/// Everything below `root` (empty, or `/a/b`), each file's bytes included.
///
/// # Errors
/// A sentence when an answer is not what a listing and a GET of it must be.
pub async fn read(dav: &Dav, root: &str) -> Result<BTreeMap<String, Entry>, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for (path, seen) in list(dav, &folder).await? {
            let node = if seen.is_folder {
                folders.push(path.clone());
                Node::Folder
            } else {
                let answer = dav.get(&path).await;
                if answer.status() != 200 {
                    return Err(format!("{path} is listed, but GET answers\n{answer:?}"));
                }
                if answer.body.len() as u64 != seen.size_bytes
                    || etag_of(&answer.body) != seen.etag
                    || answer.etag() != seen.etag
                {
                    return Err(format!(
                        "{path} is listed with {} bytes and ETag {}, GET answers {} bytes with \
                         digest {} and ETag {}",
                        seen.size_bytes,
                        seen.etag,
                        answer.body.len(),
                        sha256_hex(&answer.body),
                        answer.etag()
                    ));
                }
                Node::File(answer.body)
            };
            let name = path[folder.len() + 1..].to_owned();
            let entry = Entry {
                name,
                node,
                note: seen.note,
            };
            if found.insert(path.clone(), entry).is_some() {
                return Err(format!("{path} is listed twice"));
            }
        }
    }
    Ok(found)
}

/// One line of a listing.
pub struct Listed {
    pub is_folder: bool,
    pub size_bytes: u64,
    pub etag: String,
    pub note: Option<String>,
}

/// The members of `folder` by their paths.
///
/// # Errors
/// A sentence when the answer is not a listing of that folder.
pub async fn list(dav: &Dav, folder: &str) -> Result<BTreeMap<String, Listed>, String> {
    let target = format!("{folder}/");
    let answer = dav.propfind_of(&target, "1", WANTED).await;
    if answer.status() != 207 {
        return Err(format!("listing {target} answers\n{answer:?}"));
    }
    let listing = Multistatus::parse(&answer.body)
        .map_err(|error| format!("listing {target} is no multistatus: {error}"))?;
    let mut members = BTreeMap::new();
    for response in &listing.responses {
        let path = decode_path(&response.href);
        let path = path
            .strip_prefix("/dav")
            .ok_or_else(|| format!("{path} lies outside the drive"))?
            .trim_end_matches('/');
        if path == folder {
            continue;
        }
        let note = response
            .property(NOTE)
            .filter(|property| property.status == 200)
            .map(|property| property.text.clone());
        let listed = Listed {
            is_folder: response.is_collection(),
            size_bytes: response
                .dav("getcontentlength")
                .and_then(|length| length.parse().ok())
                .unwrap_or_default(),
            etag: response.dav("getetag").unwrap_or_default().to_owned(),
            note,
        };
        if members.insert(path.to_owned(), listed).is_some() {
            return Err(format!("{path} is listed twice"));
        }
    }
    Ok(members)
}

/// What the drive says of its quota (RFC 4331): used and available bytes.
pub async fn quota(dav: &Dav) -> (u64, u64) {
    let names = "<D:quota-used-bytes/><D:quota-available-bytes/>";
    let answer = dav.propfind_of("/", "0", names).await.multistatus();
    let number = |name: &str| {
        let text = answer.only().dav(name).expect("a drive tells its quota");
        text.parse().expect("the quota is a number")
    };
    (number("quota-used-bytes"), number("quota-available-bytes"))
}

/// How many names the file at a path has.
pub async fn links(dav: &Dav, path: &str) -> usize {
    let names = "<p:links xmlns:p=\"urn:coffer:posix\"/>";
    let answer = dav.propfind_of(path, "0", names).await.multistatus();
    let links = answer.only().property("{urn:coffer:posix}links");
    let text = &links.expect("a file tells how many names it has").text;
    text.parse().expect("that is a number")
}

/// Puts `count` small files into `folder`, which is there, many at a time; their names are
/// `prefix` and a number of six digits.
pub async fn fill(dav: &Dav, folder: &str, prefix: &str, count: u64) {
    let created = Arc::new(AtomicU64::new(0));
    stream::iter(0..count)
        .for_each_concurrent(32, |number| {
            let created = Arc::clone(&created);
            async move {
                let path = format!("{folder}/{prefix}{number:06}");
                let answer = dav.put(&path, small_content(number)).await;
                created.fetch_add(u64::from(answer.status() == 201), Ordering::Relaxed);
            }
        })
        .await;
    assert_eq!(created.load(Ordering::Relaxed), count, "all files are made");
}

/// The content of the file with that number in [`fill`].
pub fn small_content(number: u64) -> Bytes {
    Bytes::from(format!("content of file {:04}", number % 10_000))
}

/// Bytes of one file of [`fill`].
pub const SMALL_BYTES: u64 = 20;
