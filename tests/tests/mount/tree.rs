//! What can be seen of a tree of files, all of it.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::sha256_hex;

/// Everything below a folder by its path, each described by one line.
pub fn described(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    describe(folder, Path::new(""), &mut found);
    found
}

fn describe(root: &Path, below: &Path, found: &mut BTreeMap<PathBuf, String>) {
    let folder = root.join(below);
    let entries = std::fs::read_dir(&folder);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let below = below.join(entry.file_name());
        let path = root.join(&below);
        let metadata = std::fs::symlink_metadata(&path);
        let metadata = metadata.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        found.insert(below.clone(), one(&path, &metadata));
        if metadata.is_dir() {
            describe(root, &below, found);
        }
    }
}

fn one(path: &Path, metadata: &Metadata) -> String {
    let kind = metadata.file_type();
    let what = if kind.is_file() {
        let bytes = std::fs::read(path);
        let bytes = bytes.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        format!("{} bytes {}", bytes.len(), sha256_hex(&bytes))
    } else if kind.is_symlink() {
        let target = std::fs::read_link(path);
        let target = target.unwrap_or_else(|error| panic!("{error}"));
        format!("to {}", target.display())
    } else if kind.is_fifo() {
        "fifo".to_owned()
    } else if kind.is_dir() {
        "folder".to_owned()
    } else {
        "special".to_owned()
    };
    let names = if kind.is_dir() { 0 } else { metadata.nlink() };
    // The time of a symbolic link is nobody's business.
    let modified = if kind.is_symlink() {
        String::new()
    } else {
        format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec())
    };
    format!(
        "{what} mode {:o} owner {}:{} names {names} modified {modified} {}",
        metadata.mode(),
        metadata.uid(),
        metadata.gid(),
        xattrs(path)
    )
}

/// By the usual program: there is no way without `unsafe` in the libraries that the tests have.
fn xattrs(path: &Path) -> String {
    let output = Command::new("getfattr")
        .args([
            "--no-dereference",
            "--dump",
            "--absolute-names",
            "--match=^user\\.",
        ])
        .arg(path)
        .output()
        .expect("getfattr can be run");
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.collect::<Vec<_>>().join(" ")
}

/// What differs between two trees, by lines.
pub fn differences(
    expected: &BTreeMap<PathBuf, String>,
    got: &BTreeMap<PathBuf, String>,
) -> Vec<String> {
    let mut paths: Vec<&PathBuf> = expected.keys().chain(got.keys()).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| expected.get(*path) != got.get(*path))
        .map(|path| {
            let line =
                |side: Option<&String>| side.map_or("(not there)", String::as_str).to_owned();
            let (one, other) = (line(expected.get(path)), line(got.get(path)));
            format!("{}:\n    {one}\n    {other}", path.display())
        })
        .take(20)
        .collect()
}
