//! A mount from its beginning to its end.

use std::time::Duration;

use anyhow::{Context, anyhow};
use coffer::control::registry::{self, Record};
use coffer::control::{About, Control};
use coffer::drive::Drive;
use coffer::fs::{Fs, StartError};
use coffer::kernel::{self, Mounted};
use sd_notify::NotifyState;
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use super::Plan;
use crate::background::Ready;

/// For programs to close what they have open, once the mount is detached.
const DETACHED_DEADLINE: Duration = Duration::from_secs(2);
/// For an unmount that must write what programs have mapped.
const UNMOUNT_DEADLINE: Duration = Duration::from_secs(15);
/// To commit what is known; nothing is sent meanwhile.
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// Mounts, says so, and serves until it is unmounted or told to end.
pub fn run(plan: Plan, ready: &mut Ready) -> anyhow::Result<()> {
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let done = runtime.block_on(connect_and_serve(plan, ready));
    // What still waits for the network waits for nobody.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

async fn connect_and_serve(mut plan: Plan, ready: &mut Ready) -> anyhow::Result<()> {
    let (drive, online) = plan.target.connect_or_resume(&plan.mount.cache).await?;
    plan.fs.offline = !online;
    serve(plan, drive, ready).await
}

async fn serve<D: Drive>(plan: Plan, drive: D, ready: &mut Ready) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let fs = Fs::open(plan.fs.clone(), drive).await.map_err(explain)?;
    let mounted = match kernel::mount(&fs, &Handle::current(), &plan.mount) {
        Ok(mounted) => mounted,
        Err(error) => {
            fs.close().await;
            return Err(error).context("not mounted");
        }
    };
    let served = announce(&plan, &fs, &mounted);
    let outcome = match served {
        Ok(_announced) => {
            ready.ready();
            tell_systemd(&[NotifyState::Ready]);
            tokio::select! {
                () = mounted.ended() => {}
                () = signals.received() => end(mounted).await,
            }
            tell_systemd(&[NotifyState::Stopping]);
            Ok(())
        }
        Err(error) => {
            end(mounted).await;
            Err(error)
        }
    };
    if timeout(CLOSE_DEADLINE, fs.close()).await.is_err() {
        tracing::warn!("some tasks did not end in time; what they were to send is sent next time");
    }
    outcome
}

/// The socket and the line in the registry, by which the mount is found.
fn announce<D: Drive>(
    plan: &Plan,
    fs: &Fs<D>,
    mounted: &Mounted,
) -> anyhow::Result<Option<registry::Registration>> {
    let about = About {
        url: plan.target.url.to_string(),
        directory: plan.mount.directory.clone(),
        cache: plan.mount.cache.clone(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        passthrough: mounted.passthrough,
    };
    let record = Record {
        url: about.url.clone(),
        directory: about.directory.clone(),
        cache: about.cache.clone(),
        pid: about.pid,
    };
    let control = Control::bind(&about.cache).context("the control socket in the cache")?;
    tokio::spawn(control.serve(fs.clone(), about));
    let registered = registry::register(&record);
    if let Err(error) = &registered {
        // The mount works without; only `coffer status` does not find it.
        tracing::warn!(%error, "the mount could not be entered in the registry");
    }
    Ok(registered.ok())
}

/// Unmounts; with programs still in it, it is taken from under them.
async fn end(mounted: Mounted) {
    let (mounted, unmounted) = {
        let mounted = std::sync::Arc::new(mounted);
        let theirs = std::sync::Arc::clone(&mounted);
        let work = tokio::task::spawn_blocking(move || theirs.unmount(false));
        (mounted, timeout(UNMOUNT_DEADLINE, work).await)
    };
    if matches!(unmounted, Ok(Ok(Ok(())))) {
        mounted.ended().await;
        return;
    }
    let theirs = std::sync::Arc::clone(&mounted);
    let work = tokio::task::spawn_blocking(move || theirs.unmount(true));
    match timeout(UNMOUNT_DEADLINE, work).await {
        Ok(Ok(Ok(()))) => {}
        failed => tracing::warn!(?failed, "the mount could not be detached"),
    }
    // Their descriptors fail from now on; what they have written is kept.
    let _ = timeout(DETACHED_DEADLINE, mounted.ended()).await;
}

fn explain(error: StartError) -> anyhow::Error {
    match error {
        StartError::InUse { .. } => anyhow!(
            "{error}; `coffer status` lists what is mounted, and --cache gives a second mount of the \
             same drive a folder of its own"
        ),
        _ => error.into(),
    }
}

fn tell_systemd(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(false, state) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}

/// Those that end a mount.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
