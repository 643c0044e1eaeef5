//! From paths of the drive to URLs, and from the hrefs of answers back to names.

use reqwest::Url;
use serde::{Deserialize, Serialize};
use webdav::grammar::destination::path_of;
use webdav::grammar::path::encode_into;

use crate::attributes::unescape;
use crate::drive::{DrivePath, is_name};

/// Longest name that Linux takes, in bytes (`NAME_MAX`).
const MOST_NAME_BYTES: usize = 255;

/// The URL of a folder with its slash at the end.
pub(crate) fn folder(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    url
}

/// The URL of a file, or of a folder without its slash.
pub(crate) fn below(root: &Url, path: &DrivePath) -> Url {
    let mut escaped = root.path().trim_end_matches('/').as_bytes().to_vec();
    for name in path.names() {
        escaped.push(b'/');
        encode_into(&mut escaped, name);
    }
    let mut url = root.clone();
    if path.names().is_empty() {
        return folder(url);
    }
    let escaped = String::from_utf8(escaped).expect("the escaped form is ASCII");
    url.set_path(&escaped);
    url
}

/// The names of a path in an answer, from the server's root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Href(Vec<Vec<u8>>);

impl Href {
    /// Reads one; `None` when it is neither a path nor a URL.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let path = path_of(text).ok()?;
        let names = path.split('/').filter(|name| !name.is_empty());
        names.map(unescape).collect::<Option<_>>().map(Self)
    }

    /// What comes behind `base`; `None` when it does not lie below.
    pub(crate) fn behind<'h>(&'h self, base: &Self) -> Option<&'h [Vec<u8>]> {
        self.0.strip_prefix(base.0.as_slice())
    }

    /// How many names there are.
    pub(crate) fn depth(&self) -> usize {
        self.0.len()
    }

    /// Whether `member` lies directly in this folder.
    pub(crate) fn holds(&self, member: &Self) -> bool {
        member.behind(self).is_some_and(|rest| rest.len() == 1)
    }

    /// The last name, if it can be one here.
    pub(crate) fn name(&self) -> Option<String> {
        name_of(self.0.last()?)
    }
}

/// A name as this machine can have it.
pub(crate) fn name_of(bytes: &[u8]) -> Option<String> {
    let name = str::from_utf8(bytes).ok()?;
    (is_name(name) && name.len() <= MOST_NAME_BYTES).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(names: &[&str]) -> DrivePath {
        DrivePath::new(names.iter().map(ToString::to_string).collect()).unwrap()
    }

    #[test]
    fn paths_are_escaped_below_the_root() {
        let root = Url::parse("http://localhost/dav/a%20b/").unwrap();
        assert_eq!(below(&root, &DrivePath::ROOT).path(), "/dav/a%20b/");
        let odd = below(&root, &path(&["ü", "%2e%2e", "a b#c?d"]));
        assert_eq!(odd.path(), "/dav/a%20b/%C3%BC/%252e%252e/a%20b%23c%3Fd");
        assert_eq!(folder(odd.clone()).path(), format!("{}/", odd.path()));
        // An escaped dot segment would be one to whoever reads URLs as browsers do.
        assert_eq!(
            below(&root, &path(&["...", "x"])).path(),
            "/dav/a%20b/.../x"
        );
        let top = Url::parse("http://localhost").unwrap();
        assert_eq!(below(&top, &path(&["a"])).path(), "/a");
    }

    #[test]
    fn hrefs_are_names_or_nothing() {
        let base = Href::parse("http://elsewhere:81/dav/").unwrap();
        let member = Href::parse("/dav//a%2Fb").unwrap();
        assert!(base.holds(&member));
        assert_eq!(member.name(), None);
        let deep = Href::parse("/dav/a/%C3%BC").unwrap();
        assert!(!base.holds(&deep));
        assert_eq!(deep.name().as_deref(), Some("ü"));
        assert_eq!(deep.behind(&base).map(<[_]>::len), Some(2));
        assert!(Href::parse("/other").unwrap().behind(&base).is_none());
        for odd in ["/dav/%2E%2E", "/dav/%FF", "/dav/%00", "/dav/."] {
            let href = Href::parse(odd).unwrap();
            assert!(base.holds(&href), "{odd}");
            assert_eq!(href.name(), None, "{odd}");
        }
        assert_eq!(Href::parse("a/b"), None);
        assert_eq!(Href::parse("/a%4"), None);
    }
}
