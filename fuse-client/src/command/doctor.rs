//! `coffer doctor`: what keeps drives from being mounted, and the way out.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use coffer::control::registry;
use coffer::control::{self, AskError, Request};
use coffer::examine::{self, Examination};
use coffer::kernel::point;
use indicatif::HumanBytes;

use super::mount::place;
use super::printable;
use super::target::Target;
use crate::cli::Access;

/// Less space than this is told.
const LITTLE_BYTES: u64 = 1 << 30;

/// Counts what is wrong, and prints what it sees.
struct Findings {
    out: io::Stdout,
    wrong: u32,
}

impl Findings {
    fn good(&mut self, what: &str) {
        self.print(&format!("ok    {}", printable(what)));
    }

    fn note(&mut self, what: &str) {
        self.print(&format!("note  {}", printable(what)));
    }

    fn bad(&mut self, what: &str, way_out: &str) {
        self.wrong += 1;
        self.print(&format!("BAD   {}", printable(what)));
        self.print(&format!("      {}", printable(way_out)));
    }

    fn print(&mut self, line: &str) {
        // Who reads no further has seen enough.
        let _ = writeln!(self.out, "{line}");
    }
}

/// Looks at this machine, and at one drive if asked to, or at all whose caches are found.
pub fn run(access: &Access, source: Option<&str>, cache: Option<&Path>) -> ExitCode {
    let mut found = Findings {
        out: io::stdout(),
        wrong: 0,
    };
    device(&mut found);
    helper(&mut found);
    mounts(&mut found);
    let target = source.map(|source| Target::find(access, source));
    let caches = match (&target, cache) {
        (_, Some(cache)) => vec![cache.to_owned()],
        (Some(Ok(target)), None) => vec![place::usual(&target.identity())],
        (Some(Err(_)), None) => Vec::new(),
        (None, None) => usual_caches(),
    };
    for cache in caches {
        look_at_cache(&mut found, &cache);
    }
    match target {
        Some(Ok(target)) => connection(&mut found, &target),
        Some(Err(error)) => found.bad(&format!("{error:#}"), "`coffer login` stores a log-in"),
        None => {}
    }
    match found.wrong {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn device(found: &mut Findings) {
    match fs::File::options().read(true).write(true).open("/dev/fuse") {
        Ok(_) => found.good("/dev/fuse can be opened"),
        Err(error) => found.bad(
            &format!("/dev/fuse: {error}"),
            "load the kernel module (`modprobe fuse`), or let the container have the device",
        ),
    }
}

fn helper(found: &mut Findings) {
    if rustix::process::geteuid().is_root() {
        return found.good("mounting as root: no helper is needed, other users are let in");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path);
    let helper = places
        .map(|place| place.join("fusermount3"))
        .find(|file| file.exists());
    match helper.map(|file| (fs::metadata(&file), file)) {
        Some((Ok(data), _)) if data.permissions().mode() & 0o4000 != 0 => {
            found.good("fusermount3 is there");
        }
        Some((_, file)) => found.bad(
            &format!("{} is not set-user-ID root", file.display()),
            "install the package fuse3 anew",
        ),
        None => found.bad(
            "fusermount3 is missing, without which only root can mount",
            "install the package fuse3 (Debian, Ubuntu, Fedora)",
        ),
    }
    let settings = fs::read_to_string("/etc/fuse.conf").unwrap_or_default();
    if settings
        .lines()
        .any(|line| line.trim() == "user_allow_other")
    {
        found.good("user_allow_other is set: --allow-other works");
    } else {
        found.note("--allow-other needs the line user_allow_other in /etc/fuse.conf");
    }
}

fn mounts(found: &mut Findings) {
    let points = match point::all() {
        Ok(points) => points,
        Err(error) => return found.bad(&format!("/proc/self/mountinfo: {error}"), "mount /proc"),
    };
    let ours = points.iter().filter(|point| point.kind == point::KIND);
    for point in ours {
        let place = point.directory.display();
        if point::is_dead(&point.directory) {
            found.bad(
                &format!("{place} is what is left of a mount whose program has ended"),
                &format!("`coffer unmount {place}` takes it away; mounting there again does, too"),
            );
        } else {
            found.good(&format!("{place} is mounted and answers"));
        }
    }
    for record in registry::all() {
        let asked = control::ask(&record.cache, &Request::Status, |_| {});
        let place = record.directory.display();
        match asked {
            Ok(report) => {
                let blocked = report.status.blocked.len();
                if blocked > 0 {
                    found.bad(
                        &format!("{place}: {blocked} changes cannot be sent"),
                        "`coffer status` says which and why; `coffer sync` tries again at once",
                    );
                }
            }
            Err(AskError::NotRunning) => registry::forget(&record),
            Err(error) => found.bad(
                &format!("{place}: {error}"),
                &format!("`kill {}` ends it; nothing is lost", record.pid),
            ),
        }
    }
}

fn usual_caches() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(place::base()) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

fn look_at_cache(found: &mut Findings, cache: &Path) {
    let name = cache.display();
    let aside = format!(
        "`mv {name} {name}.old`, then mount again: that begins with an empty cache. Content that \
         was not sent yet stays in {name}.old/content"
    );
    match place::whose(cache) {
        Ok(Some(identity)) => {
            let user = identity.user.unwrap_or_else(|| "nobody".to_owned());
            found.good(&format!(
                "{name} is the cache of {} as {user}",
                identity.url
            ));
        }
        Ok(None) if !cache.exists() => {
            return found.note(&format!("{name} is not there yet; mounting makes it"));
        }
        Ok(None) => return found.note(&format!("{name} is no cache of coffer")),
        Err(error) => found.bad(&format!("{error:#}"), &aside),
    }
    match examine::examine(cache) {
        Ok(None) => found.note(&format!("{name} is empty")),
        Ok(Some(examination)) => state(found, cache, &examination, &aside),
        Err(error) => found.bad(
            &format!("{name}: the local state is damaged: {error}"),
            &aside,
        ),
    }
    if let Ok(space) = rustix::fs::statvfs(cache) {
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let free_text = HumanBytes(free);
        if free < LITTLE_BYTES {
            found.bad(
                &format!("{name}: only {free_text} are free on its disk"),
                "make room, or mount with --cache on another disk",
            );
        } else {
            found.good(&format!("{free_text} are free on its disk"));
        }
    }
}

fn state(found: &mut Findings, cache: &Path, examination: &Examination, aside: &str) {
    let name = cache.display();
    let expected = examine::FORMAT;
    if examination.format != expected {
        return found.bad(
            &format!(
                "{name}: made by another version of coffer (format {}, this one has {expected})",
                examination.format
            ),
            &format!("mount once with that version to send what is in it; or {aside}"),
        );
    }
    if examination.check == "ok" {
        found.good("its state is sound");
    } else {
        found.bad(
            &format!("{name}: the local state is damaged: {}", examination.check),
            aside,
        );
    }
    match examination.waiting {
        Some(0) => found.good("everything in it is on the server"),
        Some(count) => found.note(&format!(
            "{count} changes in it are not on the server yet: {}{}",
            examination.names.join(", "),
            if examination.names.len() as u64 == count {
                ""
            } else {
                ", …"
            }
        )),
        None => found.note("what in it is not on the server yet cannot be told"),
    }
}

fn connection(found: &mut Findings, target: &Target) {
    let probe = async { target.probe().await };
    match super::block_on(probe) {
        Ok(()) => found.good(&format!("{} answers, and takes the log-in", target.url)),
        Err(error) => found.bad(
            &format!("{error:#}"),
            "mounting works all the same once the drive has been mounted before: offline",
        ),
    }
}
