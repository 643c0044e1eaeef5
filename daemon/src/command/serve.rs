//! `cofferd serve`: the order of a start (DESIGN §10), and of an end.

use std::fs;
use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use store::{FirstAdministrator, Store, World};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::banner::{Banner, Password, origin};
use crate::config::Config;
use crate::control::Control;
use crate::daemonize::{Ready, Side, to_background};
use crate::data::{self, Announcement, DataLock};
use crate::endpoint::AppState;
use crate::jobs::{Board, Jobs};
use crate::open::open_store;
use crate::process::{self, Identity, PidFile};
use crate::server::auth::Auth;
use crate::server::tls::{self, Certificate};
use crate::server::{Server, State, accept, addresses};
use crate::telemetry::{Reopener, Telemetry};
use crate::{command, endpoint};

/// Serves until told to end.
pub fn run(config: Config, background: bool) -> ExitCode {
    process::keep_files_private();
    let mut ready = if background {
        if config.log.file.is_none() {
            eprintln!("cofferd: log.file: needed with --daemon, since there is no terminal");
            return ExitCode::from(super::USAGE);
        }
        match to_background() {
            Ok(Side::Background(ready)) => ready,
            Ok(Side::Terminal(code)) => return code,
            Err(error) => {
                eprintln!("cofferd: {error:#}");
                return ExitCode::FAILURE;
            }
        }
    } else {
        Ready::nobody()
    };
    match serve(config, &mut ready) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let sentence = format!("{error:#}");
            if !ready.failed(&sentence) {
                eprintln!("cofferd: {sentence}");
            }
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config, ready: &mut Ready) -> anyhow::Result<()> {
    // A second provider installed by a library would make rustls panic when it has to choose.
    let _ = rustls::crypto::CryptoProvider::install_default((*tls::provider()).clone());
    process::raise_descriptor_limit();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all();
    if config.server.workers > 0 {
        builder.worker_threads(usize::try_from(config.server.workers)?);
    }
    let runtime = builder.build().context("the runtime cannot be started")?;
    let done = runtime.block_on(serve_in_runtime(config, ready));
    // Whatever is still blocking (a file being read for nobody) is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(5));
    done
}

async fn serve_in_runtime(config: Config, ready: &mut Ready) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let identity = Identity::of(&config.server)?;
    let listeners = accept::bind(&config.listen)?;
    let _pid_file = config
        .server
        .pid_file
        .as_deref()
        .map(PidFile::write)
        .transpose()?;
    if let Some(identity) = &identity {
        if let Some(socket) = &config.listen.unix_path {
            identity.give(socket)?;
        }
        identity.assume()?;
    }
    data::create(&config.data)?;
    let _lock = DataLock::take(&config.data)?;
    let telemetry = Telemetry::start(&config.log)?;
    let certificate = Certificate::open(&config.listen, &config.data)?;
    let store = open_store(&config).await?;

    let (administrator, password) = first_administrator(&store, &config).await?;

    let bound = addresses(&listeners);
    let banner = bound.first().map(|(address, tls)| Banner {
        origin: origin(&config, *address, *tls),
        user: administrator,
        password,
        self_signed: config.listen.self_signed,
    });
    let auth = Auth::open(&config, store.clone()).await;
    let auth = Arc::new(auth.context("tokens cannot be signed")?);
    let board = Board::new(World::default());
    let app = AppState::new(&config, Arc::clone(&auth), Arc::clone(&board));
    let api = endpoint::router(&config, app);
    let state = State::new(config, api, Some(auth));
    let config = &state.config;
    let control = Control::bind(&config.data)?;
    let commands = {
        let store = store.clone();
        tokio::spawn(control.serve(move |command| {
            let store = store.clone();
            async move { command::execute(&store, command).await }
        }))
    };
    let jobs = Jobs::start(&store, &board);
    let relay = {
        let store = store.clone();
        tokio::spawn(async move { store.relay_wakes().await })
    };
    let server = Server::start(&state, listeners, certificate.as_ref())?;
    let first = bound
        .first()
        .map(|(address, _)| format!("{address}\n"))
        .unwrap_or_default();
    let _address = Announcement::write(&config.data, "address", &first)?;

    for (address, tls) in &bound {
        tracing::info!(%address, tls, "listening");
        if !tls && !address.ip().is_loopback() {
            tracing::warn!(
                %address,
                "plain HTTP on an address others can reach: passwords travel in the clear; \
                 configure listen.tls_certificate or put a TLS proxy in front"
            );
        }
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), data = ?config.data, "serving");
    if let Some(banner) = banner {
        // With nobody reading there is nothing lost.
        let _ = print(&banner.text());
    }
    ready.ready();
    process::notify_ready();

    signals
        .until_end(certificate.as_ref(), &telemetry.reopener())
        .await;
    tracing::info!("ending: requests under way are finished first");
    process::notify_stopping();
    commands.abort();
    server.stop(signals.until_hurried()).await;
    relay.abort();
    // Cancelled, or it had nothing to do.
    let _ = relay.await;
    jobs.stop().await;
    store.close().await;
    tracing::info!("ended");
    Ok(())
}

/// Makes the first administrator while there is none (E5); the name of an administrator, and what
/// may be shown of the password.
async fn first_administrator(store: &Store, config: &Config) -> anyhow::Result<(String, Password)> {
    let admin = &config.admin;
    let name = admin.login_name();
    let asking = "the administrators cannot be asked for";
    if let Some(name) = store.administrator_name().await.context(asking)? {
        return Ok((name, Password::Known));
    }
    let path = config.data.join("admin-password");
    let (given, generated) = if let Some(password) = &admin.password {
        (store::Password::new(password.reveal()), None)
    } else {
        let generated = random_password(&World::default());
        // Before the account: if anything fails from here on, the password is not lost with it.
        data::write_private(&path, &format!("{generated}\n"))
            .context("the administrator's password cannot be written down")?;
        (store::Password::new(&generated), Some(generated))
    };
    let made = store
        .ensure_administrator(Some(name), admin.email.as_deref(), &given)
        .await
        .context("the first administrator cannot be made")?;
    let password = match (made, generated) {
        (FirstAdministrator::AlreadyThere, generated) => {
            // Another daemon was faster.
            if generated.is_some() {
                fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
            }
            let theirs = store.administrator_name().await.context(asking)?;
            return Ok((theirs.unwrap_or_else(|| name.to_owned()), Password::Known));
        }
        (FirstAdministrator::Created(_), None) => Password::Known,
        (FirstAdministrator::Created(_), Some(generated)) => announce(name, generated, path),
    };
    Ok((name.to_owned(), password))
}

/// Tells the first administrator's password to whoever sits at the terminal, else where it is.
fn announce(name: &str, generated: String, path: PathBuf) -> Password {
    if io::stdout().is_terminal() {
        let shown = Password::Shown(generated);
        if print(&shown.announcement(name)).is_ok() {
            // Left over it is read once more, by nobody else.
            let _ = fs::remove_file(&path);
            return shown;
        }
    }
    let kept = Password::File(path);
    let _ = print(&kept.announcement(name));
    kept
}

/// 100 random bits in letters that cannot be mistaken for each other.
fn random_password(world: &World) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let letters = world
        .bytes::<20>()
        .map(|byte| char::from(LETTERS[usize::from(byte & 31)]));
    let groups: Vec<String> = letters
        .chunks(5)
        .map(|group| group.iter().collect())
        .collect();
    groups.join("-")
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be received");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the signal to end; meanwhile follows changes of the certificate and, on SIGHUP,
    /// takes up a new log file and certificate.
    async fn until_end(&mut self, certificate: Option<&Arc<Certificate>>, log: &Reopener) {
        let mut period = tokio::time::interval(tls::RELOAD_PERIOD);
        loop {
            let forced = tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {
                    log.reopen();
                    tracing::info!("log file reopened");
                    true
                }
                _ = period.tick() => false,
            };
            if let Some(certificate) = certificate {
                let certificate = Arc::clone(certificate);
                // It reads files; a panic there has been reported by itself.
                let _ = tokio::task::spawn_blocking(move || certificate.reload(forced)).await;
            }
        }
    }

    /// Waits for a second request to end.
    async fn until_hurried(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
