//! A folder with very many files is moved, copied and deleted at once or not at all.

use std::time::{Duration, Instant};

use harness::{Dav, User, World, until};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::drive::{self, SMALL_BYTES, etag_of, small_content};
use crate::{scale, seed};

/// Files in each sub-folder.
const PER_FOLDER: u64 = 1000;
/// Kills for each of the three methods.
const KILLS: u32 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_big_folder_is_moved_copied_and_deleted_whole_or_not_at_all() {
    let files = scale("COFFER_TREE_FILES", 10_000);
    let folders = files.div_ceil(PER_FOLDER);
    let mut rng = StdRng::seed_from_u64(seed());
    let mut world = World::start().await;
    world.add_user("carol", Some(1 << 40)).await;
    let dav = carol(&world);
    build(&dav, folders).await;
    let expect = Expected { folders };

    let copy_time = expect.timed(&dav, "COPY", "/t", "/u").await;
    let move_time = expect.timed(&dav, "MOVE", "/u", "/v").await;
    expect.assert_state(&dav, "/t", true).await;
    expect.assert_state(&dav, "/u", false).await;
    expect.assert_state(&dav, "/v", true).await;
    expect.assert_usage(&dav, 2).await;
    let delete_time = expect.timed(&dav, "DELETE", "/v", "").await;
    expect.assert_state(&dav, "/v", false).await;
    expect.assert_usage(&dav, 1).await;

    for (method, time) in [
        ("COPY", copy_time),
        ("MOVE", move_time),
        ("DELETE", delete_time),
    ] {
        let mut done = 0;
        for _ in 0..KILLS {
            let moment = time.mul_f64(rng.random_range(0.1..1.1));
            done += u32::from(expect.killed(&mut world, method, moment).await);
        }
        eprintln!("{method}: {KILLS} kills, {done} times the change was there afterwards");
    }
    until("check finds nothing", Duration::from_mins(1), || async {
        world.cli(&["check"], "").await.status.success()
    })
    .await;
    eprintln!(
        "big tree of {files} files: COPY {copy_time:?}, MOVE {move_time:?}, DELETE {delete_time:?}"
    );
}

fn carol(world: &World) -> Dav {
    world.as_user(&User::named("carol"))
}

/// `/t/000` … each with [`PER_FOLDER`] files, all but the first copied.
async fn build(dav: &Dav, folders: u64) {
    dav.mkcol("/t").await.must_be(201);
    dav.mkcol("/t/000").await.must_be(201);
    drive::fill(dav, "/t/000", "f", PER_FOLDER).await;
    for folder in 1..folders {
        let to = format!("/t/{folder:03}");
        dav.copy("/t/000", &to).await.must_be(201);
    }
}

struct Expected {
    folders: u64,
}

impl Expected {
    /// Sends the request and measures until it is answered.
    async fn timed(&self, dav: &Dav, method: &str, from: &str, to: &str) -> Duration {
        let began = Instant::now();
        let answer = request(dav, method, from, to).send().await;
        answer.must_be_one_of(&[201, 204]);
        began.elapsed()
    }

    /// Kills the daemon `moment` after the request; whether the change was there afterwards.
    async fn killed(&self, world: &mut World, method: &str, moment: Duration) -> bool {
        let dav = carol(world);
        // DELETE needs something that may go.
        if method == "DELETE" && dav.head("/u").await.status() == 404 {
            dav.copy("/t", "/u").await.must_be(201);
        }
        let (from, to) = match method {
            "DELETE" => ("/u", ""),
            _ => ("/t", "/u"),
        };
        let sent = request(&dav, method, from, to);
        let answered = tokio::spawn(sent.try_send());
        tokio::time::sleep(moment).await;
        world.kill().await;
        let answered = answered.await.expect("the client does not panic");
        world.revive().await;
        let dav = carol(world);
        let target = if method == "DELETE" { from } else { to };
        let there = dav.propfind(target, "0").await;
        let there = there.must_be_one_of(&[207, 404]).status() == 207;
        let done = there == (method != "DELETE");
        if let Ok(answer) = answered {
            assert!(answer.succeeded(), "{answer:?}");
            assert!(done, "an acknowledged {method} is lost");
        }
        self.assert_state(&dav, target, there).await;
        let rest = method != "MOVE" || !done;
        self.assert_state(&dav, "/t", rest).await;
        self.assert_usage(&dav, u64::from(there) + u64::from(rest))
            .await;
        match (method, done) {
            ("COPY", true) => drop(dav.delete("/u").await.must_be(204)),
            ("MOVE", true) => drop(dav.rename("/u", "/t").await.must_be(201)),
            _ => {}
        }
        done
    }

    /// The tree is there with every file, or not at all.
    async fn assert_state(&self, dav: &Dav, root: &str, there: bool) {
        if !there {
            dav.propfind(root, "0").await.must_be(404);
            return;
        }
        let folders = drive::list(dav, root).await.expect("a listing");
        assert_eq!(folders.len() as u64, self.folders, "folders in {root}");
        for folder in folders.keys() {
            let files = drive::list(dav, folder).await.expect("a listing");
            assert_eq!(files.len() as u64, PER_FOLDER, "files in {folder}");
            for (number, (path, listed)) in (0..).zip(&files) {
                assert_eq!(*path, format!("{folder}/f{number:06}"));
                assert_eq!(listed.etag, etag_of(&small_content(number)));
            }
        }
    }

    async fn assert_usage(&self, dav: &Dav, trees: u64) {
        let (used, _) = drive::quota(dav).await;
        assert_eq!(used, trees * self.folders * PER_FOLDER * SMALL_BYTES);
    }
}

fn request(dav: &Dav, method: &str, from: &str, to: &str) -> harness::Request {
    let request = dav.request(method, from);
    if to.is_empty() {
        request
    } else {
        request.header("Destination", &dav.url(to))
    }
}
