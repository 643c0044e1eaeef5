//! What happens to bytes that more than one upload, or no finished one, has brought.

use super::{get, path, put, user};
use crate::manifest::ChunkRef;
use crate::testing::each_engine;
use crate::{Condition, Digest, Store};

/// Announces a blob as an upload does that is never finished.
async fn announce(store: &Store, data: &[u8]) {
    let blob = ChunkRef {
        digest: Digest::of(data),
        len_bytes: data.len() as u64,
    };
    let now_ms = store.world().now_ms();
    store
        .db()
        .write(move |tx| crate::reference::announce(tx, &[blob], now_ms))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn small_content_is_kept_although_an_upload_announced_it_and_died() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        announce(store, b"shared").await;
        put(store, &alice, "/small", b"shared").await.unwrap();
        assert_eq!(get(store, &alice, "/small").await.unwrap(), b"shared");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_in_a_row_and_in_a_file_are_swept_from_both() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        // Zeros are cut at the greatest length, and what is left is short enough for a row.
        let (long, tail) = (vec![0; (8 << 20) + 100], vec![0; 100]);
        put(store, &alice, "/small", &tail).await.unwrap();
        put(store, &alice, "/long", &long).await.unwrap();
        let file = Digest::of(&tail);
        let is_listed = || {
            let mut listed = store.blobs().list().unwrap();
            listed.any(|blob| blob.unwrap().0 == file)
        };
        assert!(is_listed(), "the chunk has a file");
        for at in ["/small", "/long"] {
            store
                .delete(&alice, &path(at), Condition::default())
                .await
                .unwrap();
        }
        store.sweep(false).await.unwrap();
        assert!(!is_listed());
    })
    .await;
}
