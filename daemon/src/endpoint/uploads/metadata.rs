//! `Upload-Metadata`: what a client says of the file that is to be.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName};
use store::{Digest, Error, Name, UploadTarget};

use super::tus::bad_request;
use crate::moment;
use crate::server::problem::Problem;

const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
/// Of the whole header: a path in Base64, and some more.
const MOST_BYTES: usize = 16 << 10;
const MOST_KEYS: usize = 64;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What is understood of it.
#[derive(Debug)]
pub struct Metadata {
    /// Where the file is to be.
    pub target: UploadTarget,
    pub modified_ns: Option<i64>,
    /// What the content must hash to.
    pub sha256: Option<Digest>,
    /// The header as it came.
    pub text: String,
}

impl Metadata {
    /// Reads the header; keys that mean nothing here are the client's own.
    ///
    /// # Errors
    /// 400 for a malformed header, 422 where it does not say where the file goes.
    pub fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut values = headers.get_all(UPLOAD_METADATA).iter();
        let text = values.next().map(|value| value.to_str().unwrap_or("\0"));
        let text = text.unwrap_or("");
        if values.next().is_some() {
            return Err(malformed("comes twice"));
        }
        Self::of(text)
    }

    fn of(text: &str) -> Result<Self, Problem> {
        let pairs = pairs(text)?;
        let find = |key: &str| -> Result<Option<&str>, Problem> {
            let Some((_, value)) = pairs.iter().find(|(known, _)| *known == key) else {
                return Ok(None);
            };
            let value = str::from_utf8(value);
            Ok(Some(value.map_err(|_| malformed("a value is not UTF-8"))?))
        };
        let modified_ns = match find("modified_at")? {
            None => None,
            Some(text) => Some(
                moment::parse(text)
                    .and_then(|ms| ms.checked_mul(1_000_000))
                    .ok_or_else(|| {
                        invalid("modified_at", "is no instant in the form of RFC 3339")
                    })?,
            ),
        };
        let sha256 = match find("sha256")? {
            None => None,
            Some(text) => Some(
                text.parse()
                    .map_err(|_| invalid("sha256", "is not 64 hex digits"))?,
            ),
        };
        Ok(Self {
            target: target(find("path")?, find("dir")?, find("filename")?)?,
            modified_ns,
            sha256,
            text: text.to_owned(),
        })
    }
}

/// `path`; or `filename` in `dir`, which is a path, an id, or the root.
fn target(
    path: Option<&str>,
    dir: Option<&str>,
    filename: Option<&str>,
) -> Result<UploadTarget, Problem> {
    if let Some(path) = path {
        if dir.is_some() {
            return Err(invalid("path", "cannot stand beside dir"));
        }
        return Ok(UploadTarget::Path(file_path(path)?));
    }
    let filename = filename.ok_or_else(|| invalid("Upload-Metadata", "lacks path or filename"))?;
    let name = Name::new(filename)?;
    let dir = dir.unwrap_or("/");
    if dir.starts_with('/') {
        let folder = store::Path::parse(dir)?;
        return Ok(UploadTarget::Path(folder.join(name)?));
    }
    let folder = dir
        .parse()
        .map_err(|_| invalid("dir", "is neither a path nor an id"))?;
    Ok(UploadTarget::Entry { folder, name })
}

/// The name of the file that metadata are of, which were read before.
pub fn file_name(text: &str) -> Option<String> {
    match Metadata::of(text).ok()?.target {
        UploadTarget::Path(path) => Some(path.name()?.as_str().to_owned()),
        UploadTarget::Entry { name, .. } => Some(name.as_str().to_owned()),
    }
}

/// The path of a file.
pub fn file_path(path: &str) -> Result<store::Path, Problem> {
    if path.ends_with('/') {
        // A folder's path; the name of the file is not in it.
        return Err(Error::IsFolder.into());
    }
    Ok(store::Path::parse(path)?)
}

/// The keys with their values, which are in Base64.
fn pairs(text: &str) -> Result<Vec<(&str, Vec<u8>)>, Problem> {
    if text.len() > MOST_BYTES {
        return Err(malformed("is longer than 16 KiB"));
    }
    let mut pairs: Vec<(&str, Vec<u8>)> = Vec::new();
    if text.trim().is_empty() {
        return Ok(pairs);
    }
    for pair in text.split(',') {
        let (key, value) = pair.trim().split_once(' ').unwrap_or((pair.trim(), ""));
        let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_key || pairs.iter().any(|(known, _)| *known == key) {
            return Err(malformed("has an empty key, a strange one, or one twice"));
        }
        let value = BASE64.decode(value.trim());
        pairs.push((key, value.map_err(|_| malformed("a value is not Base64"))?));
        if pairs.len() > MOST_KEYS {
            return Err(malformed("has more than 64 keys"));
        }
    }
    Ok(pairs)
}

fn malformed(what: &str) -> Problem {
    bad_request(format!("Upload-Metadata {what}."))
}

fn invalid(field: &'static str, reason: &str) -> Problem {
    let reason = reason.to_owned();
    Error::Invalid { field, reason }.into()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose;
    use http::HeaderValue;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Metadata, Problem> {
        let pair = |(key, value): &(&str, &str)| {
            format!("{key} {}", general_purpose::STANDARD.encode(value))
        };
        read_text(&pairs.iter().map(pair).collect::<Vec<_>>().join(","))
    }

    fn read_text(text: &str) -> Result<Metadata, Problem> {
        let value = HeaderValue::from_str(text).unwrap();
        Metadata::read(&HeaderMap::from_iter([(UPLOAD_METADATA, value)]))
    }

    fn path(text: &str) -> UploadTarget {
        UploadTarget::Path(store::Path::parse(text).unwrap())
    }

    #[test]
    fn a_file_is_named_by_its_path_or_by_its_name_in_a_folder() {
        let target = |pairs: &[(&str, &str)]| read(pairs).unwrap().target;
        assert_eq!(target(&[("path", "/a/\u{fc}.txt")]), path("/a/\u{fc}.txt"));
        let both = [("path", "/a/b"), ("filename", "local name")];
        assert_eq!(target(&both), path("/a/b"));
        assert_eq!(target(&[("filename", "a b")]), path("/a b"));
        assert_eq!(
            target(&[("filename", "a"), ("dir", "/x/y")]),
            path("/x/y/a")
        );
        let id = "0198c0de-0000-7000-8000-000000000001";
        let entry = UploadTarget::Entry {
            folder: id.parse().unwrap(),
            name: Name::new("a").unwrap(),
        };
        assert_eq!(target(&[("filename", "a"), ("dir", id)]), entry);
    }

    #[test]
    fn unknown_keys_are_the_clients_own() {
        let found = read_text("filename YQ,filetype dGV4dC9wbGFpbg==,is_confidential").unwrap();
        assert_eq!(found.target, path("/a"));
        assert_eq!(
            found.text,
            "filename YQ,filetype dGV4dC9wbGFpbg==,is_confidential"
        );
    }

    #[test]
    fn what_is_promised_is_read() {
        let digest = Digest::of(b"x").to_string();
        let found = read(&[
            ("path", "/a"),
            ("sha256", &digest),
            ("modified_at", "1970-01-01T00:00:01Z"),
        ]);
        let found = found.unwrap();
        assert_eq!(found.sha256, Some(Digest::of(b"x")));
        assert_eq!(found.modified_ns, Some(1_000_000_000));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for pairs in [
            &[][..],
            &[("path", "/a/")],
            &[("path", "/a"), ("dir", "/b")],
            &[("filename", "a/b")],
            &[("filename", "a"), ("dir", "b")],
            &[("path", "/a"), ("sha256", "12")],
            &[("path", "/a"), ("modified_at", "yesterday")],
        ] {
            assert!(read(pairs).is_err(), "{pairs:?}");
        }
        let many = (0..65).map(|n| format!("k{n}")).collect::<Vec<_>>();
        for text in [
            "filename !",
            ",",
            "a YQ,a YQ",
            " ,filename YQ",
            "filename /w==",
            &many.join(","),
        ] {
            assert!(read_text(text).is_err(), "{text}");
        }
    }
}
