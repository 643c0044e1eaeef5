//! GNOME Files' way to a drive: gvfs, spoken to through `gio`.

use std::time::Duration;

use harness::{Program, SPECIAL_NAMES, Setup, Steps, World, encode_path, noise};

use crate::local::{Local, Scale, reported, same};

#[tokio::test]
async fn a_session_over_http() {
    session(&World::start().await, "dav", Scale::FULL).await;
}

#[tokio::test]
async fn a_session_over_tls() {
    session(&Setup::default().tls().start().await, "davs", Scale::SMALL).await;
}

/// `$1` is the drive, `$2` the answers to what `gio mount` asks, `$3` how many files `many` has.
const SCRIPT: &str = r#"
step() {
    local name=$1; shift
    if "$@" >"out" 2>"err"; then echo "ok $name"; else echo "FAILED $name: $(tr '\n' ' ' <err)"; fi
}
is() {
    if [ "$2" = "$3" ]; then echo "ok $1"; else echo "FAILED $1: got '$2', expected '$3'"; fi
}
drive=$1
printf "$2" >answers
mount_it() { gio mount "$drive" <answers; }
step mount mount_it
step mkdir gio mkdir "$drive/tree"
step "upload files" gio copy tree/*.txt tree/*.bin "$drive/tree/"
path=$drive/tree/deep; step "mkdir deep" gio mkdir "$path"
(cd tree && find deep -mindepth 1 -type d | sort) >deep
while read -r folder; do step "mkdir $folder" gio mkdir "$drive/tree/$folder"; done <deep
bottom=$(cd tree && find deep -type f)
step "upload deep" gio copy "tree/$bottom" "$drive/tree/$bottom"
step "mkdir many" gio mkdir "$drive/tree/many"
step "upload many" gio copy tree/many/*.txt "$drive/tree/many/"
is "list many" "$(gio list "$drive/tree/many" | wc -l)" "$3"
is "list" "$(gio list "$drive/tree" | sort)" "$(ls -A tree | sort)"
mkdir got
while IFS=$'\t' read -r name url; do
    step "download $name" gio copy "$drive/tree/$url" "got/$name"
    step "compare $name" cmp "tree/$name" "got/$name"
done <urls
save_it() { gio save "$drive/tree/a+b.txt" <new.bin; }
step overwrite save_it
step rename gio rename "$drive/tree/a+b.txt" moved.txt
step "rename in case only" gio rename "$drive/tree/moved.txt" MOVED.txt
step copy gio copy "$drive/tree/MOVED.txt" "$drive/tree/copied.txt"
clash() { ! gio rename "$drive/tree/MOVED.txt" copied.txt; }
step "a rename does not overwrite" clash
step "mkdir folder" gio mkdir "$drive/folder"
step move gio move "$drive/tree/copied.txt" "$drive/folder/copied.txt"
step remove gio remove "$drive/tree/MOVED.txt"
free=$(gio info -f "$drive" | grep -c 'filesystem::free')
is "free space" "$free" 1
time=$(gio info -a time::modified "$drive/folder/copied.txt" | grep -c time::modified)
is "times" "$time" 1
step unmount gio mount -u "$drive"
"#;

async fn session(world: &World, scheme: &str, scale: Scale) {
    let local = Local::new(world, scale);
    let content = noise(5, 80_000);
    local.file("new.bin", &content);
    let dav = world.alice();
    let alice = World::alice_user();
    let mut steps = Steps::new("gio");
    let drive = world.drive_url();
    let (_, rest) = drive.split_once("://").expect("a URL has a scheme");
    let drive = format!("{scheme}://{}@{}", alice.name, rest.trim_end_matches('/'));
    // Over TLS it first asks about the certificate, which nobody has signed.
    let certificate = if scheme == "davs" { "1\\n" } else { "" };
    let answers = format!("{certificate}{}\\n", alice.password);
    // A name is bytes to the shell and a URL to gio.
    let urls: Vec<String> = SPECIAL_NAMES
        .into_iter()
        .chain(["empty.bin", "big.bin"])
        .map(|name| format!("{name}\t{}\n", encode_path(name)))
        .collect();
    local.file("urls", urls.concat().as_bytes());
    let runtime = local.path("runtime");
    std::fs::create_dir_all(&runtime).expect("our own folder can be written");

    let output = Program::new("dbus-run-session")
        .args(["--", "bash", "-c", SCRIPT, "gio", &drive, &answers])
        .arg(local.scale.many.to_string())
        .dir(local.path(""))
        .env("HOME", local.path(""))
        .env("XDG_RUNTIME_DIR", &runtime)
        .deadline(Duration::from_mins(4))
        .run()
        .await;
    reported(&mut steps, &output);
    for name in SPECIAL_NAMES {
        if name != "a+b.txt" {
            steps.check(
                name,
                dav.get(&format!("/tree/{name}")).await == name,
                "other content",
            );
        }
    }
    let copied = dav.get("/folder/copied.txt").await;
    steps.check("content after all", copied == content, copied);
    std::fs::remove_file(local.tree().join("a+b.txt")).expect("our own folder can be written");
    same(
        &mut steps,
        "the rest is as uploaded",
        &dav,
        &local.tree(),
        "/tree",
    )
    .await;
    steps.finish();
}
