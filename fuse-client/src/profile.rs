//! Log-ins that are kept between runs: one file for each in `$XDG_CONFIG_HOME/coffer/logins`,
//! readable by its owner alone.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::connection::Login;

/// Longest file of a log-in that is read: certificates are in it.
const MOST_BYTES: u64 = 1 << 20;
const ENDING: &str = "json";

/// A stored log-in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// What the user calls it; the host's name unless they said otherwise.
    pub name: String,
    /// The drive's root, its slash at the end.
    #[serde(with = "url_text")]
    pub url: Url,
    /// User name or e-mail address.
    pub user: String,
    /// Password or app password.
    pub password: String,
    /// The app password's id, where one was made for this log-in.
    pub app_password_id: Option<String>,
    /// Certificates in PEM form to trust beside the system's.
    pub ca_pem: Option<String>,
}

/// Why stored log-ins cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither `XDG_CONFIG_HOME` nor `HOME` is set.
    #[error("there is no place for log-ins: set HOME or XDG_CONFIG_HOME")]
    NoHome,
    /// Others could read the file or put another in its place.
    #[error(
        "{file}: others may read or change it; say `chmod 600` and, for the folder, `chmod 700`"
    )]
    Exposed {
        /// The file or its folder.
        file: PathBuf,
    },
    /// The file is not what [`store`] has written.
    #[error("{file}: no log-in of this program ({reason}); remove it and log in again")]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A name that cannot be one of a file.
    #[error("`{name}` cannot be the name of a log-in: letters, digits and .-_:[]@ can")]
    BadName {
        /// As it was given.
        name: String,
    },
    /// The file cannot be read or written.
    #[error("{file}")]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Profile {
    /// The credentials.
    pub fn login(&self) -> Login {
        Login {
            user: self.user.clone(),
            password: self.password.clone(),
        }
    }

    /// Whether `url` is this drive, or something in it.
    fn covers(&self, url: &Url) -> bool {
        let root = self.url.path().trim_end_matches('/');
        let below = url.path().strip_prefix(root);
        self.url.origin() == url.origin()
            && below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }
}

/// The stored log-in of that name, or the one whose drive `name_or_url` lies in.
///
/// # Errors
/// [`Error`]; none is `None`.
pub fn find(name_or_url: &str) -> Result<Option<Profile>, Error> {
    find_in(&folder()?, name_or_url)
}

/// All stored log-ins by name.
///
/// # Errors
/// [`Error`]
pub fn all() -> Result<Vec<Profile>, Error> {
    all_in(&folder()?)
}

/// Stores a log-in, replacing one of its name; it is whole on the disk afterwards.
///
/// # Errors
/// [`Error`]
pub fn store(profile: &Profile) -> Result<(), Error> {
    store_in(&folder()?, profile)
}

/// Removes the log-in of that name, if there is one.
///
/// # Errors
/// [`Error`]
pub fn remove(name: &str) -> Result<(), Error> {
    let file = file_of(&folder()?, name)?;
    match fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io(&file)(error)),
        _ => Ok(()),
    }
}

/// Where they are.
fn folder() -> Result<PathBuf, Error> {
    let set = |name| std::env::var_os(name).map(PathBuf::from);
    set("XDG_CONFIG_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| {
            set("HOME")
                .filter(|path| path.is_absolute())
                .map(|home| home.join(".config"))
        })
        .map(|config| config.join("coffer").join("logins"))
        .ok_or(Error::NoHome)
}

fn find_in(folder: &Path, name_or_url: &str) -> Result<Option<Profile>, Error> {
    if let Ok(url) = Url::parse(name_or_url)
        && url.has_host()
    {
        // A log-in that cannot be read is no reason to refuse another.
        let mut all = all_in(folder)?;
        all.retain(|profile| profile.covers(&url));
        all.sort_by_key(|profile| profile.url.path().len());
        return Ok(all.pop());
    }
    let file = match file_of(folder, name_or_url) {
        Err(Error::BadName { .. }) => return Ok(None),
        file => file?,
    };
    match read(&file) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

fn all_in(folder: &Path) -> Result<Vec<Profile>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io(folder))?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let file = entry.map_err(io(folder))?.path();
        if file.extension().is_some_and(|ending| ending == ENDING) {
            all.push(read(&file)?);
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

fn read(file: &Path) -> Result<Profile, Error> {
    let found = fs::metadata(file).map_err(io(file))?;
    if found.permissions().mode() & 0o077 != 0 {
        return Err(exposed(file));
    }
    let damaged = |reason: String| Error::Damaged {
        file: file.to_owned(),
        reason,
    };
    if found.len() > MOST_BYTES {
        return Err(damaged("it is too long".to_owned()));
    }
    let text = fs::read(file).map_err(io(file))?;
    serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))
}

fn store_in(folder: &Path, profile: &Profile) -> Result<(), Error> {
    let file = file_of(folder, &profile.name)?;
    let mut make = fs::DirBuilder::new();
    make.recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(io(folder))?;
    let mode = fs::metadata(folder)
        .map_err(io(folder))?
        .permissions()
        .mode();
    if mode & 0o022 != 0 {
        return Err(exposed(folder));
    }
    let part = folder.join(format!(".{}.{}", profile.name, std::process::id()));
    let text = serde_json::to_vec_pretty(profile).expect("a log-in has no maps with odd keys");
    let written = write(&part, &text).and_then(|()| fs::rename(&part, &file));
    if let Err(error) = written {
        let _ = fs::remove_file(&part);
        return Err(io(&file)(error));
    }
    let folder_file = fs::File::open(folder).map_err(io(folder))?;
    folder_file.sync_all().map_err(io(folder))
}

/// Never takes a file that is there already: it might be somebody else's.
fn write(part: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut open = fs::OpenOptions::new();
    let mut file = open.write(true).create_new(true).mode(0o600).open(part)?;
    file.write_all(text)?;
    file.sync_all()
}

fn file_of(folder: &Path, name: &str) -> Result<PathBuf, Error> {
    let fits =
        |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']' | '@');
    let good = !name.is_empty() && name.len() <= 200 && !name.starts_with('.');
    if good && name.chars().all(fits) {
        Ok(folder.join(format!("{name}.{ENDING}")))
    } else {
        Err(Error::BadName {
            name: name.to_owned(),
        })
    }
}

mod url_text {
    use reqwest::Url;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(url: &Url, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(url.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Url, D::Error> {
        Url::parse(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}

fn exposed(file: &Path) -> Error {
    Error::Exposed {
        file: file.to_owned(),
    }
}

fn io(file: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let file = file.to_owned();
    move |source| Error::Io { file, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str, url: &str) -> Profile {
        Profile {
            name: name.to_owned(),
            url: Url::parse(url).unwrap(),
            user: "alice".to_owned(),
            password: "secret".to_owned(),
            app_password_id: Some("7".to_owned()),
            ca_pem: None,
        }
    }

    fn name(found: Option<Profile>) -> Option<String> {
        found.map(|profile| profile.name)
    }

    #[test]
    fn a_log_in_is_found_by_its_name_and_by_what_lies_in_its_drive() {
        let base = tempfile::tempdir().unwrap();
        let folder = &base.path().join("coffer/logins");
        assert!(all_in(folder).unwrap().is_empty());
        assert_eq!(name(find_in(folder, "home").unwrap()), None);
        let home = profile("home", "https://example.org/dav/");
        store_in(folder, &home).unwrap();
        store_in(folder, &profile("deep", "https://example.org/dav/a/")).unwrap();
        assert!(find_in(folder, "home").unwrap() == Some(home));
        for (url, found) in [
            ("https://example.org/dav/", Some("home")),
            ("https://example.org/dav", Some("home")),
            ("https://example.org/dav/b", Some("home")),
            ("https://example.org/dav/a/b", Some("deep")),
            ("https://example.org/davish/", None),
            ("https://example.org:444/dav/", None),
            ("http://example.org/dav/", None),
            ("../home", None),
        ] {
            let got = name(find_in(folder, url).unwrap());
            assert_eq!(got.as_deref(), found, "{url}");
        }
        assert_eq!(all_in(folder).unwrap().len(), 2);
    }

    #[test]
    fn a_log_in_is_its_owners_alone() {
        let base = tempfile::tempdir().unwrap();
        let folder = &base.path().join("logins");
        store_in(folder, &profile("home", "https://example.org/dav/")).unwrap();
        let file = folder.join("home.json");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(folder)), (0o600, 0o700));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            find_in(folder, "home"),
            Err(Error::Exposed { .. })
        ));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, "{}").unwrap();
        assert!(matches!(
            find_in(folder, "home"),
            Err(Error::Damaged { .. })
        ));
        let odd = profile("../x", "https://example.org/");
        assert!(matches!(store_in(folder, &odd), Err(Error::BadName { .. })));
    }
}
