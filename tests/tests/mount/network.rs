//! A network that is slow, breaks, swallows everything or lies: calls end, nothing wrong is shown,
//! and everything arrives once it is mended.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::{Mount, MountSetup, Proxy, Weather, World, noise, until};

use crate::blocking;

/// The longest deadline of a call is 30 s without progress; what lies beyond it hangs.
const ENDS: Duration = Duration::from_secs(45);
const PATIENCE: Duration = Duration::from_mins(2);

struct Scene {
    world: World,
    proxy: Proxy,
    mount: Mount,
}

impl Scene {
    async fn new(argument: Option<&str>) -> Self {
        let world = World::start().await;
        world
            .alice()
            .put("/far", noise(1, 12 << 20))
            .await
            .must_be(201);
        let proxy = Proxy::to(world.address()).await;
        let mut setup = MountSetup::new(&world, "mount").url(proxy.drive_url());
        if let Some(argument) = argument {
            setup = setup.argument(argument);
        }
        let mount = setup.start().await;
        // Known, and its content not here.
        assert_eq!(
            std::fs::metadata(mount.path("far")).unwrap().len(),
            12 << 20
        );
        Self {
            world,
            proxy,
            mount,
        }
    }

    async fn mended(&self) {
        self.proxy.set(Weather::Fair);
        self.proxy.forget_forged();
        self.mount.becomes_online(true).await;
        self.mount.sync().await;
    }

    async fn on_server(&self, path: &str) -> Vec<u8> {
        self.world.alice().get(path).await.body.to_vec()
    }
}

/// Every kind of call, in a folder of its own; those that must succeed without a network do.
fn all_calls(root: &Path, name: &str) -> Vec<(String, Duration)> {
    let folder = root.join(name);
    let far = root.join("far");
    let mut times = Vec::new();
    let mut call = |what: &str, must: bool, work: &dyn Fn() -> std::io::Result<()>| {
        let began = Instant::now();
        let done = work();
        times.push((what.to_owned(), began.elapsed()));
        assert!(done.is_ok() || !must, "{what}: {done:?}");
    };
    call("mkdir", true, &|| std::fs::create_dir(&folder));
    call("write", true, &|| {
        std::fs::write(folder.join("file"), noise(2, 300_000))
    });
    call("read", true, &|| {
        std::fs::read(folder.join("file")).map(drop)
    });
    call("rename", true, &|| {
        std::fs::rename(folder.join("file"), folder.join("moved"))
    });
    call("readdir", true, &|| std::fs::read_dir(&folder).map(drop));
    call("stat", true, &|| std::fs::metadata(&far).map(drop));
    call("statfs", true, &|| {
        rustix::fs::statvfs(root).map(drop).map_err(Into::into)
    });
    call("read what is far", false, &|| std::fs::read(&far).map(drop));
    call("list the root", false, &|| {
        std::fs::read_dir(root).map(drop)
    });
    call("look up a new name", false, &|| {
        std::fs::metadata(root.join("nobody")).map(drop)
    });
    call("fsync", false, &|| {
        let file = std::fs::File::options()
            .write(true)
            .open(folder.join("moved"))?;
        file.sync_all()
    });
    call("write again", true, &|| {
        std::fs::write(folder.join("other"), name)
    });
    call("unlink", true, &|| {
        std::fs::write(folder.join("gone"), "gone")?;
        std::fs::remove_file(folder.join("gone"))
    });
    times
}

async fn weather(argument: Option<&str>) {
    let scene = Scene::new(argument).await;
    let weathers = [
        ("down", Weather::Down),
        ("black-hole", Weather::BlackHole),
        ("cut", Weather::CutAfter(20_000)),
        ("cut-sending", Weather::CutSendingAfter(20_000)),
        ("slow", Weather::Slow(Duration::from_millis(100))),
    ];
    for (name, weather) in weathers {
        scene.proxy.set(weather);
        let root = scene.mount.point().to_owned();
        let times = tokio::time::timeout(PATIENCE, blocking(move || all_calls(&root, name)))
            .await
            .unwrap_or_else(|_| panic!("{name}: a call hangs"));
        let slowest = times.iter().max_by_key(|(_, time)| *time).unwrap();
        eprintln!("{name}: the slowest call was {slowest:?}");
        let late: Vec<_> = times.iter().filter(|(_, time)| *time > ENDS).collect();
        assert!(late.is_empty(), "{name}: beyond every deadline: {late:?}");
        scene.mended().await;
        assert!(
            scene.on_server(&format!("/{name}/moved")).await == noise(2, 300_000),
            "{name}"
        );
        assert_eq!(
            scene.on_server(&format!("/{name}/other")).await,
            name.as_bytes()
        );
        assert_eq!(
            scene
                .world
                .alice()
                .get(&format!("/{name}/gone"))
                .await
                .status(),
            404
        );
        no_one_is_stuck(&scene.mount).await;
    }
    let far = scene.mount.path("far");
    assert!(blocking(move || std::fs::read(far)).await.unwrap() == noise(1, 12 << 20));
}

/// No thread of the mount or of ours waits in a way that cannot be interrupted.
async fn no_one_is_stuck(mount: &Mount) {
    until("nobody is in state D", PATIENCE, || async {
        let processes = [std::process::id().to_string(), mount.pid().to_string()];
        !processes.iter().any(|process| is_stuck(process))
    })
    .await;
}

fn is_stuck(process: &str) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task"));
    tasks.into_iter().flatten().flatten().any(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('D'))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_end_in_any_weather_and_all_arrives_afterwards() {
    weather(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn so_they_do_without_passthrough() {
    weather(Some("--no-passthrough")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn refusals_that_the_server_never_meant_cost_nothing_but_time() {
    let scene = Scene::new(None).await;
    for status in [500, 502, 503, 507, 412, 423, 429, 409, 404] {
        for method in ["PUT", "PATCH", "MOVE", "MKCOL", "DELETE", "PROPPATCH"] {
            scene.proxy.forge(method, status);
        }
        let folder = scene.mount.path(&format!("f{status}"));
        let text = format!("content {status}");
        let content = text.clone();
        blocking(move || {
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("first"), "").unwrap();
            std::fs::rename(folder.join("first"), folder.join("second")).unwrap();
            std::fs::write(folder.join("second"), content).unwrap();
        })
        .await;
        // What is blocked is tried again by being asked for.
        until("all is sent", PATIENCE, || async {
            scene.mount.ask(&["sync"]).await.succeeded()
        })
        .await;
        scene.proxy.forget_forged();
        let names = scene.world.alice().names(&format!("/f{status}")).await;
        let mut found = Vec::new();
        for name in &names {
            let path = format!("/f{status}/{name}");
            found.push(String::from_utf8(scene.on_server(&path).await).unwrap());
        }
        assert!(found.contains(&text), "{status}: {names:?} hold {found:?}");
        assert_eq!(names, ["second"], "{status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_lies_is_never_believed() {
    let scene = Scene::new(None).await;
    let right = noise(1, 12 << 20);
    let head =
        |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{more}Connection: close\r\n\r\n");
    let lies: [(&str, Vec<u8>); 5] = [
        ("a body that ends early", {
            let mut answer = head(
                "206 Partial Content",
                "Content-Length: 1048576\r\nContent-Range: bytes 0-1048575/12582912\r\n",
            );
            answer.push_str("short");
            answer.into_bytes()
        }),
        ("a whole other file", {
            let mut answer = head("200 OK", "ETag: \"another\"\r\nContent-Length: 9\r\n");
            answer.push_str("something");
            answer.into_bytes()
        }),
        ("another range", {
            let mut answer = head(
                "206 Partial Content",
                "Content-Length: 4\r\nContent-Range: bytes 5-8/12582912\r\n",
            );
            answer.push_str("lies");
            answer.into_bytes()
        }),
        ("elsewhere", {
            head(
                "302 Found",
                "Location: http://127.0.0.1:9/\r\nContent-Length: 0\r\n",
            )
            .into_bytes()
        }),
        ("no answer at all", b"HTTP/1.1 whatever\r\n\r\n".to_vec()),
    ];
    for (what, answer) in lies {
        for _ in 0..3 {
            scene.proxy.forge_raw("GET", answer.clone());
        }
        let path: PathBuf = scene.mount.path("far");
        let seen = blocking(move || std::fs::read(path)).await;
        if let Ok(seen) = seen {
            assert!(seen == right, "{what}: wrong bytes are shown");
        }
        scene.proxy.forget_forged();
    }
    until("the file can be read", PATIENCE, || async {
        let path: PathBuf = scene.mount.path("far");
        let seen = blocking(move || std::fs::read(path)).await;
        seen.is_ok_and(|seen| {
            assert!(seen == right, "wrong bytes are kept");
            true
        })
    })
    .await;
}
