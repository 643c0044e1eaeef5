//! Changes to a drive, each both a request and its effect on a [`Tree`].

use bytes::Bytes;
use harness::{Answer, Dav, Request, encode_path};

use crate::tree::{Tree, composed, parent};

/// One change.
#[derive(Clone)]
pub enum Operation {
    Put {
        path: String,
        content: Bytes,
        chunked: bool,
    },
    Patch {
        path: String,
        start: Start,
        content: Bytes,
    },
    MakeFolder {
        path: String,
    },
    Delete {
        path: String,
    },
    Copy {
        from: String,
        to: String,
        overwrite: bool,
        shallow: bool,
    },
    Rename {
        from: String,
        to: String,
        overwrite: bool,
    },
    Note {
        path: String,
        note: Option<String>,
    },
    Bind {
        file: String,
        to: String,
        overwrite: bool,
    },
}

/// Where a PATCH begins to write.
#[derive(Debug, Clone, Copy)]
pub enum Start {
    At(usize),
    Append,
    Last(usize),
}

impl Operation {
    /// The request.
    pub fn request(&self, dav: &Dav) -> Request {
        match self {
            Self::Put {
                path,
                content,
                chunked,
            } => {
                let request = dav.request("PUT", path);
                if *chunked {
                    request.chunked(content.clone())
                } else {
                    request.body(content.clone())
                }
            }
            Self::Patch {
                path,
                start,
                content,
            } => {
                let range = match start {
                    Start::At(offset) => format!("bytes={offset}-"),
                    Start::Append => "append".to_owned(),
                    Start::Last(bytes) => format!("bytes=-{bytes}"),
                };
                dav.request("PATCH", path)
                    .header("Content-Type", "application/x-sabredav-partialupdate")
                    .header("X-Update-Range", &range)
                    .body(content.clone())
            }
            Self::MakeFolder { path } => dav.request("MKCOL", &format!("{path}/")),
            Self::Delete { path } => dav.request("DELETE", path),
            Self::Copy {
                from,
                to,
                overwrite,
                shallow,
            } => dav
                .request("COPY", from)
                .header("Destination", &dav.url(to))
                .header("Overwrite", if *overwrite { "T" } else { "F" })
                .header("Depth", if *shallow { "0" } else { "infinity" }),
            Self::Rename {
                from,
                to,
                overwrite,
            } => dav
                .request("MOVE", from)
                .header("Destination", &dav.url(to))
                .header("Overwrite", if *overwrite { "T" } else { "F" }),
            Self::Bind {
                file,
                to,
                overwrite,
            } => {
                let folder = parent(to);
                let segment = encode_path(&to[folder.len() + 1..]);
                dav.request("BIND", &format!("{folder}/"))
                    .header("Overwrite", if *overwrite { "T" } else { "F" })
                    .xml(&format!(
                        "<D:bind xmlns:D=\"DAV:\"><D:segment>{segment}</D:segment>\
                         <D:href>{}</D:href></D:bind>",
                        dav.url(file)
                    ))
            }
            Self::Note { path, note } => {
                let property = |text: &str| {
                    let text = text.replace('&', "&amp;").replace('<', "&lt;");
                    format!("<D:prop><n:note xmlns:n=\"urn:coffer-tests\">{text}</n:note></D:prop>")
                };
                let change = match note {
                    Some(text) => format!("<D:set>{}</D:set>", property(text)),
                    None => format!("<D:remove>{}</D:remove>", property("")),
                };
                dav.request("PROPPATCH", path).xml(&format!(
                    "<D:propertyupdate xmlns:D=\"DAV:\">{change}</D:propertyupdate>"
                ))
            }
        }
    }

    /// Whether the answer says that all of it was done.
    pub fn was_done(&self, answer: &Answer) -> bool {
        match self {
            Self::Note { .. } => {
                answer.status() == 207 && {
                    let properties = &answer.clone().multistatus().only().properties.clone();
                    properties.iter().all(|property| property.status == 200)
                }
            }
            // 207 names members that stand in the way (RFC 4918 §9.6.1).
            _ => answer.succeeded() && answer.status() != 207,
        }
    }

    /// Does to a tree what the request does to the drive, given that it is accepted.
    pub fn apply(&self, tree: &mut Tree) {
        match self {
            Self::Put { path, content, .. } => tree.put(path, content.clone()),
            Self::Patch {
                path,
                start,
                content,
            } => {
                let mut bytes = tree.content(path).expect("there is a file").to_vec();
                let offset = match start {
                    Start::At(offset) => *offset,
                    Start::Append => bytes.len(),
                    Start::Last(count) => bytes.len() - count,
                };
                let end = offset + content.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[offset..end].copy_from_slice(content);
                tree.put(path, Bytes::from(bytes));
            }
            Self::MakeFolder { path } => tree.make_folder(path),
            Self::Delete { path } => tree.remove(path),
            Self::Copy {
                from, to, shallow, ..
            } => tree.copy(from, to, *shallow),
            Self::Rename { from, to, .. } => tree.rename(from, to),
            Self::Note { path, note } => tree.set_note(path, note.as_deref()),
            Self::Bind { file, to, .. } => tree.bind(file, to),
        }
    }

    /// The path it is about, and the one it leads to.
    pub fn paths(&self) -> (&str, Option<&str>) {
        match self {
            Self::Put { path, .. }
            | Self::Patch { path, .. }
            | Self::MakeFolder { path }
            | Self::Delete { path }
            | Self::Note { path, .. } => (path, None),
            Self::Copy { from, to, .. } | Self::Rename { from, to, .. } => (from, Some(to)),
            Self::Bind { file, to, .. } => (file, Some(to)),
        }
    }

    /// Whether source and destination are one name in two spellings.
    pub fn is_respelling(&self) -> bool {
        match self {
            Self::Rename { from, to, .. } => from != to && composed(from) == composed(to),
            _ => false,
        }
    }
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Put {
                path,
                content,
                chunked,
            } => write!(f, "PUT {path} {} bytes, chunked: {chunked}", content.len()),
            Self::Patch {
                path,
                start,
                content,
            } => write!(f, "PATCH {path} {start:?} {} bytes", content.len()),
            Self::MakeFolder { path } => write!(f, "MKCOL {path}"),
            Self::Delete { path } => write!(f, "DELETE {path}"),
            Self::Copy {
                from,
                to,
                overwrite,
                shallow,
            } => write!(
                f,
                "COPY {from} {to} overwrite: {overwrite} shallow: {shallow}"
            ),
            Self::Rename {
                from,
                to,
                overwrite,
            } => write!(f, "MOVE {from} {to} overwrite: {overwrite}"),
            Self::Note { path, note } => write!(f, "PROPPATCH {path} {note:?}"),
            Self::Bind {
                file,
                to,
                overwrite,
            } => write!(f, "BIND {file} {to} overwrite: {overwrite}"),
        }
    }
}
