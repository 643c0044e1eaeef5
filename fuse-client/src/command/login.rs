//! `coffer login` and `coffer logout`.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, bail};
use coffer::drive::dav::Login;
use coffer::login::{self, Ended};
use coffer::profile;
use reqwest::Url;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::{block_on, target};
use crate::cli::Access;

/// Asks for what is not on the command line, logs in and stores the log-in.
pub fn run(access: &Access, url: &str, name: Option<String>) -> anyhow::Result<()> {
    let with_scheme = if url.contains("://") {
        url.to_owned()
    } else {
        format!("https://{url}")
    };
    let url = Url::parse(&with_scheme)
        .ok()
        .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
        .with_context(|| format!("{url} is no URL of a server, as https://drive.example is one"))?;
    let user = match &access.user {
        Some(user) => user.clone(),
        None => ask("User: ")?,
    };
    let password = match &access.password_file {
        Some(file) => target::password(file)?,
        None => ask_secretly("Password: ")?,
    };
    let ca_pem = target::ca_pem(access)?.map(String::from_utf8).transpose();
    let ca_pem = ca_pem.context("the certificates are not in PEM form")?;
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    block_on(async {
        let made = login::make(&url, Login { user, password }, ca_pem, name, &host).await?;
        if let Err(error) = profile::store(&made) {
            // An app password that nobody knows is of no use to anybody.
            let _ = login::end(&made).await;
            return Err(error.into());
        }
        let mut out = io::stdout().lock();
        writeln!(out, "Logged in to {} as {}.", made.url, made.user)?;
        writeln!(out, "`coffer mount {} DIR` mounts it.", made.name)?;
        Ok(())
    })
}

/// Revokes what was made for a log-in, and forgets it.
pub fn end(source: &str) -> anyhow::Result<()> {
    let Some(stored) = profile::find(source)? else {
        bail!("there is no stored log-in for {source}");
    };
    block_on(async {
        let ended = login::end(&stored).await;
        profile::remove(&stored.name)?;
        match ended {
            Ok(Ended::Revoked | Ended::Kept) => Ok(()),
            Err(error) => bail!(
                "forgotten here, but its app password may still be good ({error}): revoke it on \
                 the server"
            ),
        }
    })
}

fn ask(question: &str) -> anyhow::Result<String> {
    let mut line = String::new();
    eprint!("{question}");
    io::stderr().flush()?;
    let read = io::stdin().lock().read_line(&mut line)?;
    let line = line.trim_end_matches(['\n', '\r']);
    if read == 0 || line.is_empty() {
        bail!("nothing was typed; --user and --password-file say it without questions");
    }
    Ok(line.to_owned())
}

/// What is typed is not shown.
fn ask_secretly(question: &str) -> anyhow::Result<String> {
    let input = io::stdin();
    if !input.is_terminal() {
        return ask(question);
    }
    let before = tcgetattr(&input)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ECHONL);
    tcsetattr(&input, OptionalActions::Flush, &silent)?;
    let answer = ask(question);
    tcsetattr(&input, OptionalActions::Flush, &before)?;
    answer
}
