//! What travels: only what has changed.

use std::os::unix::fs::FileExt;

use harness::{Mount, MountSetup, Proxy, World, noise};

use crate::{blocking, scale, shell};

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_change_in_a_large_file_sends_little() {
    let world = World::start().await;
    let mib = scale("COFFER_CHANGED_FILE_MIB", 64);
    let proxy = Proxy::to(world.address()).await;
    let setup = MountSetup::new(&world, "mount").url(proxy.drive_url());
    for passthrough in [true, false] {
        let setup = setup.clone();
        let setup = if passthrough {
            setup
        } else {
            setup.argument("--no-passthrough")
        };
        let name = format!("large-{passthrough}");
        let mut mount = setup.start().await;
        let path = mount.path(&name);
        blocking(move || {
            let file = std::fs::File::create(&path).unwrap();
            for part in 0..mib {
                let bytes = noise(part, usize::try_from(MIB).unwrap());
                file.write_all_at(&bytes, part * MIB).unwrap();
            }
        })
        .await;
        mount.sync().await;
        for round in 0..2 {
            let before = proxy.sent_bytes();
            let path = mount.path(&name);
            blocking(move || {
                let file = std::fs::File::options().write(true).open(&path).unwrap();
                let place = mib / 2 * MIB + 12_345;
                file.write_all_at(&noise(77 + round, 4096), place).unwrap();
                file.sync_all().unwrap();
            })
            .await;
            let sent = proxy.sent_bytes() - before;
            eprintln!("4 KiB in {mib} MiB, passthrough {passthrough}: {sent} bytes sent");
            assert!(sent <= 2 * MIB, "{sent} bytes sent");
        }
        mount.unmount().await;
        let mut expected = Vec::new();
        for part in 0..mib {
            expected.extend(noise(part, usize::try_from(MIB).unwrap()));
        }
        let place = usize::try_from(mib / 2 * MIB + 12_345).unwrap();
        expected[place..place + 4096].copy_from_slice(&noise(78, 4096));
        let on_server = world.alice().get(&format!("/{name}")).await;
        assert!(on_server.body == expected, "the server has other bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_a_large_file_is_read_without_the_rest() {
    let world = World::start().await;
    let bytes = noise(5, 64 << 20);
    world
        .alice()
        .put("/large", bytes.clone())
        .await
        .must_be(201);
    let proxy = Proxy::to(world.address()).await;
    let setup = MountSetup::new(&world, "mount").url(proxy.drive_url());
    let mount = setup.start().await;
    let before = proxy.received_bytes();
    let path = mount.path("large");
    let part = blocking(move || {
        let file = std::fs::File::open(path).unwrap();
        let mut part = vec![0; 4096];
        file.read_exact_at(&mut part, 40 << 20).unwrap();
        part
    })
    .await;
    let received = proxy.received_bytes() - before;
    assert!(part == bytes[40 << 20..][..4096]);
    assert!(
        received < 40 * MIB,
        "{received} bytes came for a page of 64 MiB"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_saves_of_an_editor_are_one_request_each() {
    let world = World::start().await;
    let mut mount = Mount::new(&world).await;
    std::fs::write(mount.path("letter.txt"), "first").unwrap();
    mount.sync().await;
    let before = world.requests().len();
    shell(
        mount.point(),
        "echo second > .letter.tmp && sync .letter.tmp && mv .letter.tmp letter.txt",
    )
    .await;
    mount.unmount().await;
    assert_eq!(world.alice().get("/letter.txt").await, b"second\n".to_vec());
    let changing = ["PUT", "PATCH", "MOVE", "DELETE", "MKCOL"];
    let requests: Vec<String> = world.requests()[before..]
        .iter()
        .map(|request| request.method.clone())
        .filter(|method| changing.contains(&method.as_str()))
        .collect();
    assert!(requests.len() <= 3, "{requests:?}");
    assert_eq!(world.alice().names("/").await, ["letter.txt"]);
}
