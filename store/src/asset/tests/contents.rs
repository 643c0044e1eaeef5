use super::{assert_sound, attach, author, new, posted};
use crate::asset::picture;
use crate::chunk::tests::noise;
use crate::path::Name;
use crate::testing::each_engine;
use crate::{AssetContent, AssetId, Error, Expected, Limited, Store};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

async fn read(store: &Store, content: &AssetContent) -> Vec<u8> {
    let mut download = store.download(&content.stored, 0..content.size_bytes);
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| download.poll_next(cx)).await {
        bytes.extend_from_slice(&frame.unwrap());
    }
    bytes
}

fn png(filler: usize) -> Vec<u8> {
    let mut image = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x03\0\0\0\x02".to_vec();
    image.resize(image.len() + filler, 7);
    image
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_back_and_are_charged_until_they_go() {
    each_engine(async |store, _| {
        let alice = author(store, "alice", 1 << 30).await;
        let id = posted(store, &alice, new("Chair"), b"").await.id;
        let mut charged = 0;
        for size in [0, 1, 16 << 10, (16 << 10) + 1, 9 << 20] {
            let (content, file) = (noise(90, size), format!("{size}.bin"));
            let asset = attach(store, &alice, id, &file, &content).await.unwrap();
            charged += size as u64;
            assert_eq!(asset.size_bytes, charged);
            let found = store.asset_file(None, id, &name(&file)).await.unwrap();
            assert_eq!(found.sha256, crate::Digest::of(&content));
            assert!(read(store, &found).await == content);
            let usage = store.usage(&alice).await.unwrap();
            assert_eq!((usage.used_bytes, usage.asset_bytes), (charged, charged));
        }
        assert_sound(store).await;
        // Replaced, under another spelling of its name.
        let asset = attach(store, &alice, id, "u\u{308}.bin", b"one")
            .await
            .unwrap();
        let asset_again = attach(store, &alice, id, "\u{fc}.bin", b"other")
            .await
            .unwrap();
        assert_eq!(asset_again.files.len(), asset.files.len());
        assert_eq!(asset_again.size_bytes, asset.size_bytes + 2);

        for file in asset_again.files.iter().skip(1) {
            let file = name(&file.name);
            store
                .asset_file_remove(&alice, id, &file, Expected::default())
                .await
                .unwrap();
        }
        let last = name(&asset_again.files[0].name);
        let kept = store
            .asset_file_remove(&alice, id, &last, Expected::default())
            .await;
        assert!(matches!(kept, Err(Error::Invalid { field: "files", .. })));
        store
            .asset_withdraw(&alice, id, Expected::default())
            .await
            .unwrap();
        let usage = store.usage(&alice).await.unwrap();
        assert_eq!(
            (usage.used_bytes, usage.asset_bytes, usage.reserved_bytes),
            (0, 0, 0)
        );
        assert_sound(store).await;
        store.sweep(false).await.unwrap();
        assert_eq!(store.sweep(true).await.unwrap().blobs, 0);
        let blobs = store
            .server_usage(crate::Actor::Console)
            .await
            .unwrap()
            .stored
            .blobs;
        assert_eq!(blobs, 0, "nothing is left behind");
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test]
async fn what_has_no_room_leaves_nothing() {
    each_engine(async |store, _| {
        let alice = author(store, "alice", 100_000).await;
        let id = posted(store, &alice, new("Chair"), &noise(91, 60_000))
            .await
            .id;
        let refused = attach(store, &alice, id, "b", &noise(92, 40_001)).await;
        assert!(matches!(refused, Err(Error::QuotaExceeded { .. })));
        let begun = store.asset_file_begin(&alice, id, name("b"), None, Expected::default());
        let mut unannounced = begun.await.unwrap();
        let too_much = unannounced.write(noise(92, 40_001).into()).await;
        assert!(matches!(too_much, Err(Error::QuotaExceeded { .. })));
        drop(unannounced);
        attach(store, &alice, id, "b", &noise(93, 40_000))
            .await
            .unwrap();
        assert_eq!(store.usage(&alice).await.unwrap().free_bytes(), 0);
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test]
async fn an_image_is_what_its_bytes_are() {
    each_engine(async |store, _| {
        let alice = author(store, "alice", 1 << 30).await;
        let id = store.asset_add(&alice, new("Chair")).await.unwrap().id;
        let image = png(picture::HEAD_BYTES);
        let attached = attach_image(store, &alice, id, &image).await.unwrap();
        let [found] = &attached.asset.images[..] else {
            panic!("{attached:?}")
        };
        assert_eq!(
            (found.media_type, found.width, found.height),
            ("image/png", 3, 2)
        );
        assert_eq!((found.id, attached.asset.size_bytes), (attached.content, 0));
        let shown = store.asset_image(Some(&alice), id, found.id).await.unwrap();
        assert!(read(store, &shown).await == image);
        let hidden = store.asset_image(None, id, found.id).await;
        assert!(matches!(hidden, Err(Error::NotFound)), "of a draft");

        let refused = attach_image(store, &alice, id, b"<svg/>").await;
        assert!(matches!(
            refused,
            Err(Error::Invalid { field: "image", .. })
        ));
        let size_bytes = Some((10 << 20) + 1);
        let refused = store
            .asset_image_begin(&alice, id, size_bytes, Expected::default())
            .await;
        let what = Limited::ImageBytes;
        assert!(
            matches!(refused.map(drop), Err(Error::Limit { what: found, .. }) if found == what)
        );
        for _ in 1..16 {
            attach_image(store, &alice, id, &png(1)).await.unwrap();
        }
        let refused = attach_image(store, &alice, id, &png(1)).await;
        assert!(matches!(
            refused,
            Err(Error::Limit {
                what: Limited::AssetImages,
                ..
            })
        ));
        let left = store.asset_image_remove(&alice, id, attached.content, Expected::default());
        assert_eq!(left.await.unwrap().images.len(), 15);
        assert_sound(store).await;
    })
    .await;
}

async fn attach_image(
    store: &Store,
    caller: &crate::Caller,
    id: AssetId,
    content: &[u8],
) -> Result<crate::Attached, Error> {
    let size_bytes = Some(content.len() as u64);
    let begun = store.asset_image_begin(caller, id, size_bytes, Expected::default());
    let mut attaching = begun.await?;
    attaching.write(content.to_vec().into()).await?;
    attaching.commit(None).await
}

#[tokio::test]
async fn downloads_are_added_up_and_none_is_lost() {
    each_engine(async |store, _| {
        let alice = author(store, "alice", 1 << 30).await;
        let (a, b) = (new("A"), new("B"));
        let (a, b) = (
            posted(store, &alice, a, b"a").await,
            posted(store, &alice, b, b"b").await,
        );
        for _ in 0..3 {
            store.count_download(a.id);
        }
        store.count_download(b.id);
        store.flush_downloads().await.unwrap();
        store.count_download(a.id);
        store.flush_downloads().await.unwrap();
        store.flush_downloads().await.unwrap();
        let a_now = store.asset(None, a.id).await.unwrap();
        assert_eq!(a_now.downloads, 4);
        assert_eq!(
            a_now.etag(),
            a.etag(),
            "a download is no change by an author"
        );
        assert_eq!(store.asset(None, b.id).await.unwrap().downloads, 1);
        // Of what was withdrawn meanwhile nothing is counted, and nothing fails.
        store.count_download(a.id);
        store
            .asset_withdraw(&alice, a.id, Expected::default())
            .await
            .unwrap();
        store.flush_downloads().await.unwrap();
    })
    .await;
}
