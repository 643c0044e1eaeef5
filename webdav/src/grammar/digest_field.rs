//! Digests of content: RFC 9530 and ownCloud's `OC-Checksum`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderMap;

use super::{
    field::{BadHeader, lines, single},
    path::hex_digit,
};

/// Longest field we read, in bytes; a dozen digests fit.
const MAX_BYTES: usize = 2048;

/// `OC-Checksum`: of the whole content, as ownCloud's clients have it.
pub const OC_CHECKSUM: &str = "oc-checksum";

/// A SHA-256.
pub type Sha256 = [u8; 32];

/// `Repr-Digest`: of the whole representation.
pub const REPR_DIGEST: &str = "repr-digest";
/// `Content-Digest`: of the body as sent.
pub const CONTENT_DIGEST: &str = "content-digest";

/// Reads the SHA-256 from `Repr-Digest` or `Content-Digest`; none when there is none.
///
/// Other algorithms are ignored (RFC 9530 §2).
///
/// # Errors
/// [`BadHeader`] when the member `sha-256` is not a byte sequence of 32 bytes, or the field is
/// over 2 KiB.
pub fn sha256(headers: &HeaderMap, field: &'static str) -> Result<Option<Sha256>, BadHeader> {
    let mut found = None;
    for member in members(headers, field)? {
        let (key, value) = member.split_once('=').unwrap_or((member, ""));
        if key.trim() == "sha-256" {
            // The last of equal keys counts (RFC 8941 §3.2).
            found =
                Some(byte_sequence(value).ok_or(BadHeader::new(field, "sha-256 is not a digest"))?);
        }
    }
    Ok(found)
}

/// Whether `Want-Repr-Digest` or `Want-Content-Digest` asks for SHA-256 (RFC 9530 §4).
///
/// It is a wish: what cannot be understood is not granted, nothing more.
pub fn wants_sha256(headers: &HeaderMap, field: &'static str) -> bool {
    let Ok(members) = members(headers, field) else {
        return false;
    };
    let mut wanted = false;
    for member in members {
        let (key, value) = member.split_once('=').unwrap_or((member, ""));
        if key.trim() == "sha-256" {
            let weight = value.split(';').next().unwrap_or_default().trim();
            wanted = weight
                .parse::<u8>()
                .is_ok_and(|weight| (1..=10).contains(&weight));
        }
    }
    wanted
}

/// The value of `Repr-Digest` or `Content-Digest` for a SHA-256.
pub fn write_sha256(digest: &Sha256) -> String {
    let mut out = String::with_capacity(54);
    out.push_str("sha-256=:");
    STANDARD.encode_string(digest, &mut out);
    out.push(':');
    out
}

/// A checksum as ownCloud and Nextcloud clients send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// `SHA256:` and 64 hexadecimal digits.
    Sha256([u8; 32]),
    /// `SHA1:` and 40.
    Sha1([u8; 20]),
    /// `MD5:` and 32.
    Md5([u8; 16]),
    /// `ADLER32:` and 8.
    Adler32([u8; 4]),
}

/// Reads `OC-Checksum`; empty when it is absent or of algorithms we do not know.
///
/// # Errors
/// [`BadHeader`] when the value of a known algorithm is not one.
pub fn oc_checksums(headers: &HeaderMap) -> Result<Vec<Checksum>, BadHeader> {
    const FIELD: &str = OC_CHECKSUM;
    let value = single(headers, FIELD)?.unwrap_or_default();
    if value.len() > MAX_BYTES {
        return Err(BadHeader::new(FIELD, "too long"));
    }
    let mut found = Vec::new();
    for item in value.split_ascii_whitespace() {
        let (name, digits) = item.split_once(':').unwrap_or((item, ""));
        let checksum = match name.to_ascii_uppercase().as_str() {
            "SHA256" => hex(digits).map(Checksum::Sha256),
            "SHA1" => hex(digits).map(Checksum::Sha1),
            "MD5" => hex(digits).map(Checksum::Md5),
            "ADLER32" => hex(digits).map(Checksum::Adler32),
            _ => continue,
        };
        found.push(checksum.ok_or(BadHeader::new(FIELD, "not a checksum"))?);
    }
    Ok(found)
}

/// The members of a dictionary (RFC 8941 §3.2). No value we read can hold a comma.
fn members<'h>(headers: &'h HeaderMap, field: &'static str) -> Result<Vec<&'h str>, BadHeader> {
    let mut members = Vec::new();
    let mut bytes = 0;
    for line in lines(headers, field) {
        let line = line?;
        bytes += line.len();
        if bytes > MAX_BYTES {
            return Err(BadHeader::new(field, "too long"));
        }
        members.extend(line.split(',').map(str::trim));
    }
    Ok(members)
}

fn byte_sequence(value: &str) -> Option<Sha256> {
    let inner = value.trim().strip_prefix(':')?;
    let (encoded, parameters) = inner.split_once(':')?;
    if !parameters.is_empty() && !parameters.trim_start().starts_with(';') {
        return None;
    }
    let mut digest = [0; 32];
    // The decoder wants room for whole groups of three.
    let mut room = [0; 48];
    let length = STANDARD.decode_slice(encoded, &mut room).ok()?;
    if length != digest.len() {
        return None;
    }
    digest.copy_from_slice(&room[..length]);
    Some(digest)
}

fn hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grammar::field::headers_of;

    // RFC 9530 §B.1: the digest of {"hello": "world"} and a line feed.
    const HELLO: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";

    fn read(values: &[&str]) -> Result<Option<Sha256>, BadHeader> {
        sha256(&headers_of(REPR_DIGEST, values), REPR_DIGEST)
    }

    #[test]
    fn the_examples_of_rfc_9530() {
        let digest = read(&[HELLO]).unwrap().unwrap();
        assert_eq!(write_sha256(&digest), HELLO);
        assert_eq!(
            read(&[&format!(
                "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4=:, {HELLO}"
            )]),
            Ok(Some(digest))
        );
        assert_eq!(read(&["md5=:x:", HELLO]), Ok(Some(digest)));
        assert_eq!(read(&[&format!("{HELLO};note=1")]), Ok(Some(digest)));
        assert_eq!(read(&["unixsum=:AAA=:"]), Ok(None));
        assert_eq!(read(&[]), Ok(None));
    }

    #[test]
    fn a_digest_that_is_none_is_refused() {
        for value in [
            "sha-256",
            "sha-256=",
            "sha-256=:",
            "sha-256=::",
            "sha-256=:AAAA:",
            "sha-256=x",
            "sha-256=:!:",
        ] {
            assert!(read(&[value]).is_err(), "{value}");
        }
        assert!(read(&[&format!("{HELLO}x")]).is_err());
        assert!(read(&["a,".repeat(1025).as_str()]).is_err());
    }

    #[test]
    fn a_wish_has_a_weight() {
        let wants = |value| {
            wants_sha256(
                &headers_of("want-repr-digest", &[value]),
                "want-repr-digest",
            )
        };
        assert!(wants("sha-256=1"));
        assert!(wants("sha-512=3, sha-256=10, unixsum=0"));
        assert!(!wants("sha-256=0"));
        assert!(!wants("sha-256=11"));
        assert!(!wants("sha-256"));
        assert!(!wants("sha-512=5"));
        assert!(!wants(""));
        assert!(!wants_sha256(&HeaderMap::new(), "want-repr-digest"));
    }

    #[test]
    fn owncloud_checksums_are_typed() {
        let read = |value| oc_checksums(&headers_of("oc-checksum", &[value]));
        assert_eq!(
            read("ADLER32:12345678"),
            Ok(vec![Checksum::Adler32([0x12, 0x34, 0x56, 0x78])])
        );
        let both = read(
            "SHA1:da39a3ee5e6b4b0d3255bfef95601890afd80709 md5:d41d8cd98f00b204e9800998ecf8427e",
        );
        assert!(matches!(
            both.unwrap()[..],
            [Checksum::Sha1(_), Checksum::Md5(_)]
        ));
        assert_eq!(read("CRC32C:x"), Ok(Vec::new()));
        assert_eq!(oc_checksums(&HeaderMap::new()), Ok(Vec::new()));
        assert!(matches!(
            read("sha256:d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592")
                .unwrap()[..],
            [Checksum::Sha256([0xd7, ..])]
        ));
        for bad in ["MD5:", "MD5", "SHA256:zz", "SHA1:da39"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(digest: [u8; 32]) {
            prop_assert_eq!(read(&[&write_sha256(&digest)]), Ok(Some(digest)));
        }

        #[test]
        fn nothing_panics(value in "(sha-256|=|:|,|;|MD5|SHA1| |AAA=|\\PC){0,20}") {
            let _ = read(&[&value]);
            let _ = oc_checksums(&headers_of("oc-checksum", &[&value]));
            wants_sha256(&headers_of("want-repr-digest", &[&value]), "want-repr-digest");
        }
    }
}
