//! Options as mount(8) knows them.

use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;

use crate::cli::{Access, FsyncChoice, Mount, size_bytes};

/// For mount(8) itself, or how we are without being asked.
const IGNORED: [&str; 24] = [
    "rw",
    "defaults",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "owner",
    "group",
    "nofail",
    "_netdev",
    "async",
    "exec",
    "nosuid",
    "nodev",
    "atime",
    "relatime",
    "norelatime",
    "strictatime",
    "lazytime",
    "diratime",
    "nodiratime",
    "default_permissions",
    "passthrough",
];

/// Flags of the kernel's mount that `coffer mount` has no flag of its own for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one word of mount(8), free of the others"
)]
pub struct KernelFlags {
    pub read_only: bool,
    pub devices: bool,
    pub set_user_id: bool,
    pub no_execute: bool,
    pub no_access_times: bool,
}

/// Applies what stands behind `-o` to the rest of the command line.
///
/// `sloppy`: what is not known is passed over.
pub fn apply(access: &mut Access, args: &mut Mount, sloppy: bool) -> anyhow::Result<KernelFlags> {
    let mut flags = KernelFlags::default();
    let words = std::mem::take(&mut args.options).join(",");
    for word in words.split(',').filter(|word| !word.is_empty()) {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let needed = || value.ok_or_else(|| anyhow!("the mount option {name} needs a value"));
        match name {
            "ro" => flags.read_only = true,
            "noexec" => flags.no_execute = true,
            "noatime" => flags.no_access_times = true,
            "dev" => flags.devices = true,
            "suid" => flags.set_user_id = true,
            "allow_other" => args.allow_other = true,
            "no_passthrough" => args.no_passthrough = true,
            "username" => access.user = Some(needed()?.to_owned()),
            "password_file" => access.password_file = Some(needed()?.into()),
            "ca_file" => access.ca_file = Some(needed()?.into()),
            "cache" => args.cache = Some(needed()?.into()),
            "cache_size" => {
                args.cache_size = size_bytes(needed()?)
                    .map_err(|error| anyhow!("{error}"))
                    .context("the mount option cache_size")?;
            }
            "fsync" => {
                args.fsync = FsyncChoice::from_str(needed()?, false)
                    .map_err(|_| anyhow!("the mount option fsync is wait, local or strict"))?;
            }
            _ if sloppy || IGNORED.contains(&name) || name.starts_with("x-") => {}
            "comment" => {}
            _ => bail!("the mount option {name} is not known; `coffer help mount` lists them"),
        }
    }
    if access.user.is_some() != access.password_file.is_some() {
        bail!("username and password_file go together");
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn applied(options: &str) -> anyhow::Result<(Access, Mount, KernelFlags)> {
        let line = ["coffer", "mount", "https://h/dav/", "/mnt", "-o", options];
        let Cli {
            command,
            mut access,
        } = Cli::try_parse_from(line)?;
        let Command::Mount(mut args) = command else {
            bail!("another command");
        };
        let flags = apply(&mut access, &mut args, false)?;
        Ok((access, *args, flags))
    }

    #[test]
    fn a_line_of_fstab_is_understood() {
        let options = "rw,ro,noauto,_netdev,x-systemd.automount,username=ann,password_file=/p,\
            cache=/c,cache_size=1G,fsync=strict";
        let (access, args, flags) = applied(options).unwrap();
        assert_eq!(access.user.as_deref(), Some("ann"));
        assert_eq!(args.cache.as_deref(), Some("/c".as_ref()));
        assert_eq!(args.cache_size, 1 << 30);
        assert_eq!(args.fsync, FsyncChoice::Strict);
        assert!(flags.read_only && !flags.devices);
    }

    #[test]
    fn what_is_not_known_is_told() {
        let told = |options| applied(options).err().unwrap().to_string();
        assert!(told("frobnicate").contains("frobnicate"));
        assert!(told("cache").contains("needs a value"));
        assert!(told("fsync=never").contains("wait, local or strict"));
        assert!(told("username=ann").contains("go together"));
    }
}
