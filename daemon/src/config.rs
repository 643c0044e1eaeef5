//! The configuration: defaults, beneath one TOML file, beneath `.env`, beneath the environment,
//! beneath flags.
//!
//! Every key `section.key` has the variable `COFFER_SECTION_KEY`. Unknown keys are errors, so that
//! a slip of the pen cannot silently leave a default in force.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::cli::{CommonFlags, ServeFlags};

pub mod accounts;
pub mod age;
pub mod blobs;
pub mod byte_size;
pub mod capacity;
pub mod database;
pub mod limits;
pub mod listen;
pub mod log;
pub mod secret;
pub mod server;
pub mod trash;
pub mod versions;
pub mod webdav;

/// All settings, checked.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder that holds everything.
    pub data: PathBuf,
    pub listen: listen::Listen,
    pub database: database::Database,
    pub blobs: blobs::Blobs,
    pub limits: limits::Limits,
    pub accounts: accounts::Accounts,
    pub admin: accounts::Admin,
    pub jwt: accounts::Jwt,
    pub capacity: capacity::Capacity,
    pub log: log::Log,
    pub server: server::Server,
    pub trash: trash::Trash,
    pub versions: versions::Versions,
    pub webdav: webdav::Webdav,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("coffer-data"),
            listen: listen::Listen::default(),
            database: database::Database::default(),
            blobs: blobs::Blobs::default(),
            limits: limits::Limits::default(),
            accounts: accounts::Accounts::default(),
            admin: accounts::Admin::default(),
            jwt: accounts::Jwt::default(),
            capacity: capacity::Capacity::default(),
            log: log::Log::default(),
            server: server::Server::default(),
            trash: trash::Trash::default(),
            versions: versions::Versions::default(),
            webdav: webdav::Webdav::default(),
        }
    }
}

/// A key whose value cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct Invalid {
    pub key: String,
    pub reason: String,
}

impl Invalid {
    pub fn new(key: &str, reason: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            reason: reason.into(),
        }
    }
}

/// Why there is no configuration. The process ends with status 2.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the configuration file {path} cannot be read: {error}; give another with --config")]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("the configuration file {path} is wrong: {reason}")]
    File { path: PathBuf, reason: String },
    #[error("the variable {name} is wrong: {reason}")]
    Variable { name: String, reason: String },
    #[error("the configuration is wrong: {0}; correct it and try `cofferd config check`")]
    Invalid(#[from] Invalid),
}

/// What lies beneath the flags: variables of the environment, and those of `.env`.
pub struct Variables(Vec<(String, String)>);

const PREFIX: &str = "COFFER_";
/// Names the configuration file; every other variable names a key.
const CONFIG_VARIABLE: &str = "COFFER_CONFIG";

impl Variables {
    /// Reads `.env` of the working folder and the environment above it.
    pub fn read() -> Result<Self, Error> {
        let mut found = Vec::new();
        let path = Path::new(".env");
        match std::fs::read_to_string(path) {
            Ok(text) => found = assignments(path, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Error::File {
                    path: path.to_owned(),
                    reason: error.to_string(),
                });
            }
        }
        for (name, value) in std::env::vars_os() {
            if let (Some(name), Some(value)) = (name.to_str(), value.to_str()) {
                found.push((name.to_owned(), value.to_owned()));
            } else if name.to_string_lossy().starts_with(PREFIX) {
                let name = name.to_string_lossy().into_owned();
                return Err(Error::Variable {
                    name,
                    reason: "is not UTF-8".to_owned(),
                });
            }
        }
        Ok(Self::from_pairs(found))
    }

    /// Later pairs win over earlier ones; an empty value counts as absent.
    fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut kept: Vec<(String, String)> = Vec::new();
        for (name, value) in pairs {
            if name.starts_with(PREFIX) {
                kept.retain(|(known, _)| *known != name);
                if !value.is_empty() {
                    kept.push((name, value));
                }
            }
        }
        Self(kept)
    }

    fn get(&self, wanted: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
    }
}

impl Config {
    /// Reads every source, in order, and checks the result. Paths come out absolute, so that going
    /// to the background does not change what they name.
    pub fn load(
        variables: &Variables,
        common: &CommonFlags,
        serve: &ServeFlags,
    ) -> Result<Self, Error> {
        let path = common
            .config
            .clone()
            .or_else(|| variables.get(CONFIG_VARIABLE).map(Into::into));
        let mut table = match path {
            Some(path) => read_file(&path)?,
            None => Table::new(),
        };
        apply_variables(&mut table, variables)?;
        let mut config: Self = table
            .try_into()
            .map_err(|error: toml::de::Error| Invalid::new("file", reason(&error)))?;
        config.apply_flags(common, serve);
        config.validate()?;
        config.make_paths_absolute()?;
        Ok(config)
    }

    fn apply_flags(&mut self, common: &CommonFlags, serve: &ServeFlags) {
        if let Some(data) = &common.data {
            self.data.clone_from(data);
        }
        if let Some(url) = &common.database {
            self.database.url = Some(secret::Secret::new(url.clone()));
            self.database.url_file = None;
        }
        if !serve.listen.is_empty() {
            self.listen.address.clone_from(&serve.listen);
        }
        if serve.capacity.is_some() {
            self.capacity.limit_bytes = serve.capacity;
        }
        self.listen.self_signed |= serve.self_signed;
        self.listen.http1_only |= serve.http1_only;
    }

    fn validate(&mut self) -> Result<(), Invalid> {
        if self.data.as_os_str().is_empty() {
            return Err(Invalid::new("data", "is empty"));
        }
        self.listen.validate()?;
        self.database.validate()?;
        self.blobs.validate()?;
        self.limits.validate()?;
        self.accounts.validate()?;
        self.admin.validate()?;
        self.jwt.validate()?;
        self.capacity.validate()?;
        self.log.validate()?;
        self.server.validate()?;
        self.trash.validate()?;
        self.versions.validate()?;
        self.webdav.validate()
    }

    fn make_paths_absolute(&mut self) -> Result<(), Invalid> {
        let optional = [
            ("blobs.path", &mut self.blobs.path),
            ("listen.unix_path", &mut self.listen.unix_path),
            ("listen.tls_certificate", &mut self.listen.tls_certificate),
            ("listen.tls_key", &mut self.listen.tls_key),
            ("log.file", &mut self.log.file),
            ("server.pid_file", &mut self.server.pid_file),
        ];
        let paths = optional
            .into_iter()
            .filter_map(|(key, path)| path.as_mut().map(|path| (key, path)))
            .chain([("data", &mut self.data)]);
        for (key, path) in paths {
            *path = absolute(key, path)?;
        }
        if let Some(path) = self.database.sqlite_path() {
            let path = absolute("database.url", &path)?;
            self.database.url = Some(secret::Secret::new(format!("sqlite:{}", path.display())));
        }
        Ok(())
    }

    /// The settings in force as TOML, secrets masked.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}

fn absolute(key: &str, path: &Path) -> Result<PathBuf, Invalid> {
    std::path::absolute(path)
        .map_err(|error| Invalid::new(key, format!("has no absolute form: {error}")))
}

fn read_file(path: &Path) -> Result<Table, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    let wrong = |reason| Error::File {
        path: path.to_owned(),
        reason,
    };
    let table: Table = toml::from_str(&text).map_err(|error| {
        let line = line_of(&text, error.span());
        wrong(format!("{line}{}", reason(&error)))
    })?;
    // Read with its types once, for a message that names the line and the key.
    toml::from_str::<Config>(&text).map_err(|error| {
        let (line, key) = (line_of(&text, error.span()), key_of(&text, error.span()));
        wrong(format!("{line}{key}{}", reason(&error)))
    })?;
    Ok(table)
}

/// What lines of a `.env` assign.
fn assignments(path: &Path, text: &str) -> Result<Vec<(String, String)>, Error> {
    let found: Result<_, _> = dotenvy::Iter::new(text.as_bytes()).collect();
    // The library's own words repeat the line, which may hold a secret.
    found.map_err(|_| Error::File {
        path: path.to_owned(),
        reason: "a line cannot be read; values with spaces, quotes or # need quotes".to_owned(),
    })
}

/// What a library says is wrong, without the value: it may be a secret, or a secret's line.
fn reason(error: &toml::de::Error) -> String {
    let message = error.message();
    let repeats_value = ["invalid ", "unknown variant "]
        .iter()
        .any(|words| message.starts_with(words));
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if repeats_value => format!("expected {expected}"),
        _ => message.to_owned(),
    }
}

fn line_of(text: &str, span: Option<Range<usize>>) -> String {
    let before = span.and_then(|span| text.get(..span.start));
    before.map_or_else(String::new, |before| {
        format!("line {}: ", before.matches('\n').count() + 1)
    })
}

/// The key of the value that begins where `span` does.
fn key_of(text: &str, span: Option<Range<usize>>) -> String {
    let line = span.and_then(|span| text.get(..span.start)?.rsplit('\n').next());
    line.and_then(|line| line.split_once('='))
        .map_or_else(String::new, |(key, _)| format!("{}: ", key.trim()))
}

/// Lays the variables over the table, one by one, so that a wrong one can be named.
fn apply_variables(table: &mut Table, variables: &Variables) -> Result<(), Error> {
    let shape = Table::try_from(Config::default())
        .map_err(|error| Invalid::new("defaults", error.to_string()))?;
    for (name, text) in &variables.0 {
        if name == CONFIG_VARIABLE || is_service_link(name, text) {
            continue;
        }
        let Some((section, key)) = target(&shape, name) else {
            return Err(Error::Variable {
                name: name.clone(),
                reason: format!("{PREFIX} is followed by no section of the configuration"),
            });
        };
        let kind = match &section {
            Some(section) => shape.get(section).and_then(|inner| inner.get(&key)),
            None => shape.get(&key),
        };
        let value = typed(kind, text);
        match section {
            Some(section) => {
                let inner = table
                    .entry(section)
                    .or_insert_with(|| Value::Table(Table::new()));
                if let Value::Table(inner) = inner {
                    inner.insert(key.clone(), value);
                    forget_twin(inner, &key);
                }
            }
            None => drop(table.insert(key, value)),
        }
        if let Err(error) = table.clone().try_into::<Config>() {
            return Err(Error::Variable {
                name: name.clone(),
                reason: reason(&error),
            });
        }
    }
    Ok(())
}

/// Kubernetes tells every container of a service that is called `coffer`, in this form.
fn is_service_link(name: &str, value: &str) -> bool {
    name.starts_with("COFFER_SERVICE_HOST")
        || name.starts_with("COFFER_SERVICE_PORT")
        || name.starts_with("COFFER_PORT_")
        || (name == "COFFER_PORT" && value.contains("://"))
}

/// The section and key a variable names; `None` when its section is not one of ours.
fn target(shape: &Table, name: &str) -> Option<(Option<String>, String)> {
    let rest = name.strip_prefix(PREFIX)?.to_lowercase();
    if rest == "data" {
        return Some((None, rest));
    }
    // A bare section name stands for the key people mean by it.
    if rest == "listen" {
        return Some((Some(rest), "address".to_owned()));
    }
    let (section, key) = rest.split_once('_')?;
    shape
        .get(section)
        .is_some_and(Value::is_table)
        .then(|| (Some(section.to_owned()), key.to_owned()))
}

/// A secret given by the environment replaces its twin from the file, instead of clashing with it.
fn forget_twin(section: &mut Table, key: &str) {
    match key.strip_suffix("_file") {
        Some(plain) => section.remove(plain),
        None => section.remove(&format!("{key}_file")),
    };
}

/// Reads a text as the type its key has by default; what does not fit stays a text, for the error.
fn typed(kind: Option<&Value>, text: &str) -> Value {
    let plain = || Value::String(text.to_owned());
    match kind {
        Some(Value::Integer(_)) => text.parse().map_or_else(|_| plain(), Value::Integer),
        Some(Value::Boolean(_)) => text.parse().map_or_else(|_| plain(), Value::Boolean),
        Some(Value::Array(_)) => Value::Array(
            text.split(',')
                .map(|item| Value::String(item.trim().to_owned()))
                .collect(),
        ),
        _ => plain(),
    }
}

#[cfg(test)]
mod tests;
