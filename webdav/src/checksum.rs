//! What a client says that its bytes hash to (RFC 9530, and ownCloud's `OC-Checksum`).

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use md5::Digest as _;
use store::{Checksums, Digest, ExtraHash};

use crate::grammar::BadHeader;
use crate::grammar::digest_field::{self, CONTENT_DIGEST, Checksum, REPR_DIGEST};
use crate::status::Failure;

/// What the content of a PUT must hash to.
#[derive(Debug, Default)]
pub(crate) struct Promised {
    sha256: Vec<[u8; 32]>,
    owncloud: Vec<Checksum>,
}

/// The hashes that the store does not compute anyway.
struct Others {
    md5: md5::Md5,
    sha1: ring::digest::Context,
    adler32: Adler32,
}

/// Hashes that are being computed beside the upload.
pub(crate) struct Running(Option<Arc<Mutex<Others>>>);

impl Promised {
    /// Reads the fields of a PUT of whole content, whose body is the representation.
    ///
    /// # Errors
    /// [`BadHeader`] when a value of a known algorithm is not one.
    pub fn of_whole(headers: &HeaderMap) -> Result<Self, BadHeader> {
        let mut promised = Self::default();
        for field in [REPR_DIGEST, CONTENT_DIGEST] {
            promised
                .sha256
                .extend(digest_field::sha256(headers, field)?);
        }
        promised.owncloud = digest_field::oc_checksums(headers)?;
        Ok(promised)
    }

    /// The one SHA-256 among them.
    ///
    /// # Errors
    /// 400 when two differ.
    pub fn sha256(&self) -> Result<Option<Digest>, Failure> {
        match self.sha256.as_slice() {
            [] => Ok(None),
            [first, more @ ..] if more.iter().all(|other| other == first) => {
                Ok(Some(Digest::from(*first)))
            }
            _ => Err(mismatch()),
        }
    }

    /// Reads the field that speaks of a part of a file, alone.
    ///
    /// # Errors
    /// As for [`Self::of_whole`].
    pub fn of_part(headers: &HeaderMap) -> Result<Option<[u8; 32]>, BadHeader> {
        digest_field::sha256(headers, CONTENT_DIGEST)
    }

    /// Starts what must be computed besides, as the store will feed it.
    ///
    /// A client that sends one of ownCloud's checksums gets all of them kept: rclone sends SHA-1
    /// and compares MD5.
    pub fn start(&self) -> (Running, Option<ExtraHash>) {
        if self.owncloud.is_empty() {
            return (Running(None), None);
        }
        let shared = Arc::new(Mutex::new(Others {
            md5: md5::Md5::new(),
            sha1: ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY),
            adler32: Adler32::default(),
        }));
        let others = Arc::clone(&shared);
        let feed = move |bytes: &[u8]| {
            others
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .update(bytes);
        };
        (Running(Some(shared)), Some(Box::new(feed)))
    }

    /// Compares, once all bytes have come; returns what was computed besides.
    ///
    /// # Errors
    /// 400 for bytes that are not those promised.
    pub fn verify(
        &self,
        sha256: Option<Digest>,
        running: &Running,
    ) -> Result<Option<Checksums>, Failure> {
        let is_right = |promised: &[u8; 32]| sha256.is_some_and(|real| real.as_bytes() == promised);
        let computed = running.computed();
        let holds = |promised: &Checksum| {
            let Some(computed) = computed else {
                return false;
            };
            match promised {
                Checksum::Sha256(digest) => is_right(digest),
                Checksum::Sha1(digest) => computed.sha1() == digest,
                Checksum::Md5(digest) => computed.md5() == digest,
                Checksum::Adler32(digest) => computed.adler32() == digest,
            }
        };
        if self.sha256.iter().all(is_right) && self.owncloud.iter().all(holds) {
            Ok(computed)
        } else {
            Err(mismatch())
        }
    }
}

/// The refusal of bytes that are not those promised.
pub(crate) fn mismatch() -> Failure {
    store::Error::ContentMismatch("digest").into()
}

impl Running {
    fn computed(&self) -> Option<Checksums> {
        let others = self.0.as_ref()?;
        let others = others.lock().unwrap_or_else(PoisonError::into_inner);
        let sha1 = others.sha1.clone().finish();
        Some(Checksums::new(
            sha1.as_ref().try_into().expect("a SHA-1 has 20 bytes"),
            others.md5.clone().finalize().into(),
            others.adler32.finish(),
        ))
    }
}

impl Others {
    fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.sha1.update(bytes);
        self.adler32.update(bytes);
    }
}

/// RFC 1950 §8.2.
#[derive(Debug, Clone, Copy)]
struct Adler32 {
    a: u32,
    b: u32,
}

impl Default for Adler32 {
    fn default() -> Self {
        Self { a: 1, b: 0 }
    }
}

impl Adler32 {
    const MODULUS: u32 = 65_521;
    /// So many bytes can be added before a sum of 32 bits overflows.
    const BLOCK_BYTES: usize = 5552;

    fn update(&mut self, bytes: &[u8]) {
        for block in bytes.chunks(Self::BLOCK_BYTES) {
            for &byte in block {
                self.a += u32::from(byte);
                self.b += self.a;
            }
            self.a %= Self::MODULUS;
            self.b %= Self::MODULUS;
        }
    }

    fn finish(self) -> [u8; 4] {
        (self.b << 16 | self.a).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn verify(field: &'static str, value: &str, content: &[u8]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(field, HeaderValue::from_str(value).unwrap());
        let promised = Promised::of_whole(&headers).unwrap();
        let (running, extra) = promised.start();
        if let Some(mut extra) = extra {
            let (first, second) = content.split_at(content.len() / 2);
            extra(first);
            extra(second);
        }
        promised.verify(Some(Digest::of(content)), &running).is_ok()
    }

    #[test]
    fn every_algorithm_is_verified() {
        for value in [
            "SHA1:2fd4e1c67a2d28fced849ee1bb76e7391b93eb12",
            "MD5:9e107d9d372bb6826bd81d3542a419d6",
            "ADLER32:5bdc0fda",
            "SHA256:d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592",
            "MD5:9e107d9d372bb6826bd81d3542a419d6 ADLER32:5bdc0fda",
        ] {
            let content = b"The quick brown fox jumps over the lazy dog";
            assert!(verify("oc-checksum", value, content), "{value}");
            assert!(!verify("oc-checksum", value, b"something else"), "{value}");
        }
        let both = "MD5:9e107d9d372bb6826bd81d3542a419d6 ADLER32:5bdc0fdb";
        assert!(!verify(
            "oc-checksum",
            both,
            b"The quick brown fox jumps over the lazy dog"
        ));
    }

    #[test]
    fn sha_256_of_rfc_9530_is_verified() {
        let empty = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
        for field in [REPR_DIGEST, CONTENT_DIGEST] {
            assert!(verify(field, empty, b""));
            assert!(!verify(field, empty, b"x"));
        }
    }

    #[test]
    fn one_checksum_brings_all() {
        let mut headers = HeaderMap::new();
        let computed = |headers: &HeaderMap| {
            let promised = Promised::of_whole(headers).unwrap();
            let (running, _) = promised.start();
            promised.verify(Some(Digest::EMPTY), &running).unwrap()
        };
        assert_eq!(computed(&headers), None);
        headers.insert("oc-checksum", HeaderValue::from_static("ADLER32:00000001"));
        assert_eq!(computed(&headers), Some(Checksums::EMPTY));
    }

    #[test]
    fn long_content_does_not_overflow_adler_32() {
        let mut adler = Adler32::default();
        adler.update(&vec![0xff; 1 << 20]);
        // 2^20 times 255 added to one; the second sum is of the running totals.
        let (mut a, mut b) = (1u64, 0u64);
        for _ in 0..1 << 20 {
            a = (a + 255) % 65_521;
            b = (b + a) % 65_521;
        }
        let expected = u32::try_from(b << 16 | a).unwrap();
        assert_eq!(adler.finish(), expected.to_be_bytes());
    }
}
