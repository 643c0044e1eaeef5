//! davfs2: the drive as a mounted file system. Mounting needs root.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Group;

use harness::{Output, Program, Setup, Steps, World, noise};

use crate::local::{Local, Scale, certificate, read, same, same_locally};

#[tokio::test]
async fn a_session_over_http() {
    session(&World::start().await, Scale::FULL).await;
}

#[tokio::test]
async fn a_session_over_tls() {
    session(&Setup::default().tls().start().await, Scale::SMALL).await;
}

/// A mounted drive, unmounted on drop.
struct Mount {
    point: PathBuf,
    mounted: bool,
}

impl Mount {
    async fn new(world: &World, local: &Local) -> Self {
        let alice = World::alice_user();
        let url = world.drive_url();
        let (point, cache) = (local.path("mount"), local.path("cache"));
        for folder in [&point, &cache] {
            std::fs::create_dir_all(folder).expect("our own folder can be written");
        }
        let secrets = local.file(
            "secrets",
            format!("{url} {} {}\n", alice.name, alice.password).as_bytes(),
        );
        mode(&secrets, 0o600);
        // The daemon behind the mount runs as its own user and must reach its cache.
        let group = Group::from_name("davfs2").expect("the group database can be read");
        let group = group
            .expect("the package davfs2 makes this group")
            .gid
            .as_raw();
        std::os::unix::fs::chown(&cache, None, Some(group)).expect("root may give a folder away");
        for folder in cache
            .ancestors()
            .take_while(|folder| *folder != std::env::temp_dir())
        {
            mode(folder, 0o755);
        }
        mode(&cache, 0o770);
        let mut conf = format!(
            "ask_auth 0\nuse_locks 1\ndelay_upload 0\n\
             buf_size 256\ndir_refresh 1\nfile_refresh 0\nsecrets {}\ncache_dir {}\n\
             servercert {}\n",
            secrets.display(),
            cache.display(),
            local.path("certificate.pem").display(),
        );
        if url.starts_with("https://") {
            certificate(world, &local.path("certificate.pem")).await;
        } else {
            conf = conf.replace("servercert", "# servercert");
        }
        let conf = local.file("davfs2.conf", conf.as_bytes());
        Program::new("mount.davfs")
            .arg("-o")
            .arg(format!("conf={}", conf.display()))
            .args([&url, point.to_str().expect("our own paths are UTF-8")])
            .run()
            .await
            .success();
        Self {
            point,
            mounted: true,
        }
    }

    /// Unmounting waits until all that was written has been uploaded.
    async fn end(mut self) -> Output {
        let deadline = Duration::from_mins(4);
        let output = Program::new("umount")
            .arg(&self.point)
            .deadline(deadline)
            .run()
            .await;
        self.mounted = !output.succeeded();
        output
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.mounted {
            let _ = std::process::Command::new("umount")
                .arg("-l")
                .arg(&self.point)
                .status();
        }
    }
}

async fn session(world: &World, scale: Scale) {
    let local = Local::new(world, scale);
    let dav = world.alice();
    let mut steps = Steps::new("davfs2");

    let mount = Mount::new(world, &local).await;
    shell(
        &mut steps,
        &mount.point,
        &format!("cp -r {} .", local.tree().display()),
    )
    .await;
    let unmounted = mount.end().await;
    steps.check("unmount", unmounted.succeeded(), &unmounted);
    same(
        &mut steps,
        "all is as uploaded",
        &dav,
        &local.tree(),
        "/tree",
    )
    .await;

    let mount = Mount::new(world, &local).await;
    same_locally(
        &mut steps,
        "all is as downloaded",
        &local.tree(),
        &mount.point.join("tree"),
    );
    let free = Program::new("df")
        .arg("--output=avail")
        .arg(&mount.point)
        .run()
        .await;
    let blocks = free
        .stdout
        .lines()
        .nth(1)
        .and_then(|line| line.trim().parse::<u64>().ok());
    steps.check("free space", blocks.is_some_and(|blocks| blocks > 0), &free);
    let before = read(&mount.point.join("tree/big.bin")).len();
    steps.equal("size", before, scale.big_bytes);
    change(&mut steps, &mount.point).await;
    let unmounted = mount.end().await;
    steps.check("unmount", unmounted.succeeded(), &unmounted);

    let changed = noise(3, 70_000);
    steps.check(
        "rewritten",
        dav.get("/tree/a+b.txt").await == changed,
        "other content",
    );
    let edited = dav.get("/tree/two words.txt").await;
    steps.check("appended", edited == "two words.txt and more", &edited);
    let names = dav.names("/tree").await;
    let has = |name: &str| names.iter().any(|other| other == name);
    steps.check(
        "renamed in case only",
        has("MOVED.txt") && !has("moved.txt"),
        &names,
    );
    steps.check("copied", has("copied.txt"), &names);
    steps.check("deleted", !has("100%.txt") && !has("many"), &names);
    let locked = dav
        .propfind_of("/tree/a+b.txt", "0", "<D:lockdiscovery/>")
        .await;
    steps.check(
        "no lock is left",
        !locked.text().contains("locktoken"),
        &locked,
    );
    steps.finish();
}

async fn change(steps: &mut Steps, point: &Path) {
    std::fs::write(point.join("tree/a+b.txt"), noise(3, 70_000)).expect("the mount is writable");
    shell(steps, point, "printf ' and more' >> 'tree/two words.txt'").await;
    shell(steps, point, "mv tree/it\\'s.txt tree/moved.txt").await;
    shell(steps, point, "mv tree/moved.txt tree/MOVED.txt").await;
    shell(steps, point, "cp tree/MOVED.txt tree/copied.txt").await;
    shell(steps, point, "rm tree/100%.txt && rm -r tree/many").await;
    shell(
        steps,
        point,
        "mkdir -p new/folder && rmdir new/folder && mv new newer",
    )
    .await;
    // Saving as editors do: a new file beside it, then renamed over it.
    shell(
        steps,
        point,
        "echo first > doc && echo second > doc.tmp && mv doc.tmp doc",
    )
    .await;
    shell(steps, point, "test \"$(cat doc)\" = second").await;
}

async fn shell(steps: &mut Steps, folder: &Path, script: &str) {
    let output = Program::new("bash")
        .args(["-c", script])
        .dir(folder)
        .deadline(Duration::from_mins(4))
        .run()
        .await;
    steps.check(script, output.succeeded(), &output);
}

fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;

    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .expect("our own folder's mode can be set");
}
