//! `coffer mount`, and what mount(8) calls.

mod options;
pub mod place;
mod serve;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use coffer::fs;
use coffer::kernel::{self, point};

use super::fail;
use super::target::Target;
use crate::background::{self, Ready, Side};
use crate::cli::{Access, FsyncChoice, Helper, Mount};

/// Everything that was found out before there is a second process.
struct Plan {
    target: Target,
    mount: kernel::Options,
    fs: fs::Options,
}

/// Mounts, and serves until the end if in the foreground.
pub fn run(access: &Access, args: Mount) -> ExitCode {
    let foreground = args.foreground;
    match plan(access.clone(), args, false) {
        Ok(plan) => start(plan, foreground),
        Err(error) => fail(&error),
    }
}

/// `mount.fuse.coffer SOURCE DIR -o OPTIONS`.
pub fn as_helper(args: Helper) -> ExitCode {
    let mount = Mount {
        source: args.source,
        directory: args.directory,
        foreground: false,
        cache: None,
        cache_size: fs::Options::new("").max_bytes,
        fsync: FsyncChoice::Wait,
        allow_other: false,
        no_passthrough: false,
        options: args.options,
    };
    let access = Access {
        user: None,
        password_file: None,
        ca_file: None,
    };
    match plan(access, mount, args.sloppy) {
        Ok(_) if args.fake => ExitCode::SUCCESS,
        Ok(plan) => start(plan, false),
        Err(error) => fail(&error),
    }
}

fn plan(mut access: Access, mut args: Mount, sloppy: bool) -> anyhow::Result<Plan> {
    let flags = options::apply(&mut access, &mut args, sloppy)?;
    let target = Target::find(&access, &args.source)?;
    let directory = point::prepare(&args.directory)?;
    let identity = target.identity();
    let cache = args.cache.unwrap_or_else(|| place::usual(&identity));
    let cache = place::make(&cache, &identity)?;
    anyhow::ensure!(
        !cache.starts_with(&directory),
        "the cache {} would lie below the mount itself; --cache names another folder",
        cache.display()
    );
    let root = rustix::process::geteuid().is_root();
    Ok(Plan {
        fs: fs::Options {
            max_bytes: args.cache_size,
            fsync: args.fsync.into(),
            passthrough: !args.no_passthrough,
            ..fs::Options::new(&cache)
        },
        mount: kernel::Options {
            source: OsString::from(&args.source),
            directory,
            cache,
            allow_other: args.allow_other || root,
            read_only: flags.read_only,
            devices: flags.devices,
            set_user_id: flags.set_user_id,
            no_execute: flags.no_execute,
            no_access_times: flags.no_access_times,
            passthrough: !args.no_passthrough,
        },
        target,
    })
}

fn start(plan: Plan, foreground: bool) -> ExitCode {
    let mut ready = Ready::nobody();
    if !foreground {
        match place::log(&plan.mount.cache).and_then(background::fork) {
            Ok(Side::Background(told)) => ready = told,
            Ok(Side::Terminal(code)) => return code,
            Err(error) => return fail(&error),
        }
    }
    match enter().and_then(|()| serve::run(plan, &mut ready)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if ready.failed(&format!("{error:#}")) {
                return ExitCode::FAILURE;
            }
            fail(&error)
        }
    }
}

/// How the process is for the rest of its life.
fn enter() -> anyhow::Result<()> {
    // The folder we were started in may be the one to mount at, or go away.
    std::env::set_current_dir(PathBuf::from("/")).context("/")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    // Every open file and every connection is a descriptor.
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    // If not, there are fewer.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // fuser complains of every answer to somebody who was killed meanwhile.
        .with_env_filter("warn,fuser=off")
        .init();
    Ok(())
}
