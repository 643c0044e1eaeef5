//! Random calls on a file of the mount against a copy in memory.

use harness::{Fsx, Mount, MountSetup, World};

use crate::{blocking, scale, seed};

async fn random_calls(world: &World, mut mount: Mount) {
    let (calls, seed) = (scale("COFFER_FSX_CALLS", 50_000), seed());
    let path = mount.path("file");
    let (expected, refused) = blocking(move || {
        let mut fsx = Fsx::new(&path, seed);
        fsx.run(calls);
        (fsx.expected().to_vec(), fsx.refused())
    })
    .await;
    eprintln!("fsx: {calls} calls, {refused} of them not supported");
    mount.unmount().await;
    let on_server = world.alice().get("/file").await;
    assert!(on_server.body == expected, "the server has other bytes");
    mount.revive().await;
    let again = std::fs::read(mount.path("file")).unwrap();
    assert!(again == expected, "the next mount shows other bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_difference_where_the_kernel_reads_and_writes_by_itself() {
    let world = World::start().await;
    let mount = Mount::new(&world).await;
    random_calls(&world, mount).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_difference_where_all_goes_through_us() {
    let world = World::start().await;
    let setup = MountSetup::new(&world, "mount").argument("--no-passthrough");
    random_calls(&world, setup.start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_difference_on_a_file_that_is_not_here_yet() {
    let world = World::start().await;
    let bytes = harness::noise(7, 3 << 20);
    world.alice().put("/file", bytes.clone()).await.must_be(201);
    let mount = Mount::new(&world).await;
    let path = mount.path("file");
    let calls = scale("COFFER_FSX_CALLS", 50_000) / 25;
    blocking(move || {
        assert!(std::fs::read(&path).unwrap() == bytes);
        let mut fsx = Fsx::new(&path.with_file_name("other"), seed());
        fsx.run(calls);
    })
    .await;
}
