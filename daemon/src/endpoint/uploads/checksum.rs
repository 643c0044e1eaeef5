//! `Upload-Checksum`: what the bytes of one request must hash to.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use md5::Digest as _;
use store::AppendOptions;

use super::tus::bad_request;
use crate::server::problem::{Problem, code};

/// As `Tus-Checksum-Algorithm` names them.
pub const ALGORITHMS: HeaderValue = HeaderValue::from_static("sha1,sha256,md5");

const UPLOAD_CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");

/// A digest that was promised.
#[derive(Debug)]
pub struct Checksum {
    algorithm: Algorithm,
    promised: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Sha1,
    Sha256,
    Md5,
}

enum Running {
    Ring(ring::digest::Context),
    Md5(md5::Md5),
}

impl Checksum {
    /// Reads the header.
    ///
    /// # Errors
    /// 400 for another algorithm, and for what is none of its digests.
    pub fn read(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let Some(value) = headers.get(UPLOAD_CHECKSUM) else {
            return Ok(None);
        };
        let text = value.to_str().unwrap_or("");
        let (name, digest) = text.split_once(' ').unwrap_or((text, ""));
        let algorithm = match name {
            "sha1" => Algorithm::Sha1,
            "sha256" => Algorithm::Sha256,
            "md5" => Algorithm::Md5,
            _ => return Err(bad_request("Upload-Checksum: sha1, sha256 or md5.")),
        };
        match STANDARD.decode(digest.trim()) {
            Ok(promised) if promised.len() == algorithm.bytes() => Ok(Some(Self {
                algorithm,
                promised,
            })),
            _ => Err(bad_request(
                "Upload-Checksum: the digest is not one in Base64.",
            )),
        }
    }

    /// What computes the digest, and compares it at the end.
    pub fn start(self) -> AppendOptions {
        let running = Arc::new(Mutex::new(self.algorithm.start()));
        let fed = Arc::clone(&running);
        AppendOptions {
            extra: Some(Box::new(move |bytes| {
                let mut running = fed.lock().unwrap_or_else(PoisonError::into_inner);
                running.update(bytes);
            })),
            check: Some(Box::new(move || {
                let running = running.lock().unwrap_or_else(PoisonError::into_inner);
                running.finish() == self.promised
            })),
        }
    }
}

impl Algorithm {
    fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Md5 => 16,
        }
    }

    fn start(self) -> Running {
        let algorithm = match self {
            Self::Sha1 => &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &ring::digest::SHA256,
            Self::Md5 => return Running::Md5(md5::Md5::new()),
        };
        Running::Ring(ring::digest::Context::new(algorithm))
    }
}

impl Running {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Ring(context) => context.update(bytes),
            Self::Md5(hasher) => hasher.update(bytes),
        }
    }

    fn finish(&self) -> Vec<u8> {
        match self {
            Self::Ring(context) => context.clone().finish().as_ref().to_vec(),
            Self::Md5(hasher) => hasher.clone().finalize().to_vec(),
        }
    }
}

/// The bytes are not those that were promised; none of them is kept.
pub fn mismatch() -> Problem {
    let status = StatusCode::from_u16(460).expect("a status has three digits");
    let detail = "The bytes do not have the Upload-Checksum; none of them is kept.";
    Problem::new(status, code::CHECKSUM_MISMATCH, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &'static str) -> Result<Option<Checksum>, Problem> {
        let value = HeaderValue::from_static(value);
        Checksum::read(&HeaderMap::from_iter([(UPLOAD_CHECKSUM, value)]))
    }

    #[test]
    fn every_algorithm_is_computed() {
        for value in [
            "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=",
            "sha256 LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
            "md5 XUFAKrxLKna5cZ2REBfFkg==",
        ] {
            for (content, is_right) in [("hello", true), ("hullo", false)] {
                let options = read(value).unwrap().unwrap().start();
                let mut extra = options.extra.unwrap();
                extra(&content.as_bytes()[..2]);
                extra(&content.as_bytes()[2..]);
                assert_eq!(options.check.unwrap()(), is_right, "{value} {content}");
            }
        }
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        for value in [
            "",
            "sha1",
            "sha1 ",
            "sha1 XUFAKrxLKna5cZ2REBfFkg==",
            "sha1 !",
            "crc32 AAAAAA==",
            "SHA1 qvTGHdzF6KLavt4PO0gs2a6pQ00=",
        ] {
            assert!(read(value).is_err(), "{value}");
        }
        assert!(Checksum::read(&HeaderMap::new()).unwrap().is_none());
    }
}
