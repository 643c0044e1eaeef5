//! The harness itself: a world starts, keeps what it was given, and is gone afterwards.

use harness::{Engine, Setup, World};

#[tokio::test]
async fn a_world_keeps_its_files_over_a_restart_and_leaves_nothing_behind() {
    let mut world = World::start().await;
    world.alice().put("/kept.txt", "kept").await.must_be(201);
    world.restart().await;
    assert_eq!(world.alice().get("/kept.txt").await, "kept");
    world.kill().await;
    world.revive().await;
    assert_eq!(world.alice().get("/kept.txt").await, "kept");
    let data = world.data_dir();
    assert!(data.exists());
    drop(world);
    assert!(!data.exists());
}

#[tokio::test]
async fn a_world_on_postgresql_uses_a_database_of_its_own() {
    let world = Setup::default().engine(Engine::Postgres).start().await;
    let database = world.postgres().expect("this world is on PostgreSQL");
    let tables = "SELECT count(*) > 5 FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(database.query(tables), "t");
}
