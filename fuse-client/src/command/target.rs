//! Which server, and by which log-in.

use std::path::Path;

use anyhow::{Context, bail};
use coffer::drive::dav::{ConnectError, DavDrive, Login};
use coffer::drive::{Drive, DrivePath};
use coffer::profile;
use coffer::remote::Remote;
use reqwest::Url;

use super::mount::place::Identity;
use crate::cli::Access;

/// What was found out about the server, in the folder of the cache.
const MEMORY: &str = "server.json";

/// A drive and how to reach it.
pub struct Target {
    /// Of the drive.
    pub url: Url,
    /// Who asks.
    pub login: Option<Login>,
    /// Certificates to trust beside the system's.
    pub ca_pem: Option<Vec<u8>>,
}

impl Target {
    /// From the command line: a URL with a log-in beside it, or one that was stored.
    pub fn find(access: &Access, source: &str) -> anyhow::Result<Self> {
        let (given, ca_pem) = (login(access)?, ca_pem(access)?);
        let mut url = Url::parse(source).ok().filter(Url::has_host);
        if let Some(url) = &mut url
            && !url.path().ends_with('/')
        {
            // One drive is to have one cache, however its URL was written.
            url.set_path(&format!("{}/", url.path()));
        }
        let stored = match profile::find(source) {
            // At boot there is no home, and nothing stored either.
            Err(profile::Error::NoHome) => None,
            stored => stored?,
        };
        match (url, given, stored) {
            (Some(url), Some(login), _) => Ok(Self {
                url,
                login: Some(login),
                ca_pem,
            }),
            (url, None, Some(stored)) => Ok(Self {
                login: Some(stored.login()),
                ca_pem: ca_pem.or_else(|| stored.ca_pem.map(String::into_bytes)),
                url: url.unwrap_or(stored.url),
            }),
            // Some servers let anybody in.
            (Some(url), None, None) => Ok(Self {
                url,
                login: None,
                ca_pem,
            }),
            (None, _, _) => bail!(
                "{source} is neither the URL of a drive nor the name of a stored log-in; \
                 `coffer login URL` stores one"
            ),
        }
    }

    /// Finds out what the server is and can do.
    pub async fn connect(&self) -> anyhow::Result<DavDrive> {
        let connected = DavDrive::connect(&self.url, self.login.clone(), self.ca_pem.as_deref());
        Ok(connected.await?)
    }

    /// The same; while the server is out of reach, as it was when it was found out the last time
    /// (and `false`).
    pub async fn connect_or_resume(&self, cache: &Path) -> anyhow::Result<(DavDrive, bool)> {
        let memory = cache.join(MEMORY);
        let asked = DavDrive::connect(&self.url, self.login.clone(), self.ca_pem.as_deref()).await;
        match asked {
            Ok(drive) => {
                // Without it the drive cannot be mounted offline; nothing else is lost.
                let _ = serde_json::to_vec(&drive.remember())
                    .map_err(std::io::Error::from)
                    .and_then(|text| std::fs::write(&memory, text));
                Ok((drive, true))
            }
            Err(error @ (ConnectError::Unreachable { .. } | ConnectError::Busy { .. })) => {
                let known = std::fs::read(&memory).ok();
                let known = known.and_then(|text| serde_json::from_slice(&text).ok());
                let Some(known) = known else {
                    return Err(error.into());
                };
                let (login, pem) = (self.login.clone(), self.ca_pem.as_deref());
                Ok((DavDrive::resume(&self.url, known, login, pem)?, false))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the server answers and takes the log-in.
    pub async fn probe(&self) -> anyhow::Result<()> {
        let drive = self.connect().await?;
        drive.stat(&DrivePath::ROOT).await?;
        Ok(())
    }

    /// Whose cache it has.
    pub fn identity(&self) -> Identity {
        Identity {
            url: self.url.to_string(),
            user: self.login.as_ref().map(|login| login.user.clone()),
        }
    }
}

/// For the commands on single files.
pub fn remote(access: &Access) -> anyhow::Result<Remote> {
    Ok(Remote::new(login(access)?, ca_pem(access)?.as_deref())?)
}

fn login(access: &Access) -> anyhow::Result<Option<Login>> {
    match (&access.user, &access.password_file) {
        (Some(user), Some(file)) => Ok(Some(Login {
            user: user.clone(),
            password: password(file)?,
        })),
        (None, None) => Ok(None),
        _ => bail!("--user and --password-file go together; or `coffer login` stores a log-in"),
    }
}

/// The first line of a file.
pub fn password(file: &Path) -> anyhow::Result<String> {
    let text = String::from_utf8(read(file)?)
        .with_context(|| format!("{}: the password is not UTF-8", file.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Certificates to trust beside the system's.
pub fn ca_pem(access: &Access) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(file) = access.ca_file.as_deref() else {
        return Ok(None);
    };
    let pem = read(file)?;
    let mark = b"-----BEGIN CERTIFICATE-----";
    if !pem.windows(mark.len()).any(|part| part == mark) {
        bail!(
            "{}: there is no certificate in PEM form in it",
            file.display()
        );
    }
    Ok(Some(pem))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| file.display().to_string())
}
