//! What every place for blobs must do. Each backend's tests run [`suite`].

use bytes::Bytes;

use super::Blobs;
use crate::content::Error;
use crate::digest::Digest;
use crate::manifest::ChunkRef;

/// Runs every check on a fresh place. `make` gives a place, a way to overwrite the bytes of a blob
/// behind its back, and whatever must live as long.
pub(crate) fn suite<D: Fn(&Digest, &[u8]), G>(make: impl Fn() -> (Blobs, D, G)) {
    type Check<D> = fn(&Blobs, &D);
    let checks: [Check<D>; 9] = [
        a_published_blob_can_be_read,
        nothing_is_visible_before_it_is_published,
        a_blob_may_be_published_twice,
        what_was_taken_back_is_not_published,
        a_missing_blob_is_an_error,
        a_wrong_length_is_an_error_and_is_repaired,
        wrong_bytes_are_quarantined,
        an_upload_repairs_what_nobody_has_read,
        removal_and_listing_agree,
    ];
    for check in checks {
        let (blobs, damage, _guard) = make();
        check(&blobs, &damage);
        blobs.ping().unwrap();
        assert!(blobs.free_bytes().unwrap() > 0);
    }
}

/// The reference to a blob with these bytes.
pub(crate) fn chunk(data: &[u8]) -> ChunkRef {
    ChunkRef {
        digest: Digest::of(data),
        len_bytes: data.len() as u64,
    }
}

/// Stores one blob.
pub(crate) fn store(blobs: &Blobs, data: &[u8]) -> ChunkRef {
    store_all(blobs, &[data.to_vec()])[0]
}

/// All blobs there are, sorted.
pub(crate) fn listed(blobs: &Blobs) -> Vec<(Digest, u64)> {
    let mut all: Vec<_> = blobs.list().unwrap().map(Result::unwrap).collect();
    all.sort_unstable();
    all
}

fn store_all(blobs: &Blobs, contents: &[Vec<u8>]) -> Vec<ChunkRef> {
    let mut batch = blobs.stage().unwrap();
    let mut stored = Vec::new();
    for data in contents {
        let (head, tail) = data.split_at(data.len() / 2);
        batch
            .append(&[Bytes::copy_from_slice(head), Bytes::copy_from_slice(tail)])
            .unwrap();
        stored.push(chunk(data));
        batch.seal(chunk(data)).unwrap();
    }
    batch.sync().unwrap();
    batch.publish().unwrap();
    stored
}

fn a_published_blob_can_be_read<D>(blobs: &Blobs, _: &D) {
    for count in [1u32, 7, 8, 40] {
        let contents: Vec<_> = (0..count)
            .map(|n| format!("{count}: {n}").into_bytes())
            .collect();
        for (blob, data) in store_all(blobs, &contents).iter().zip(&contents) {
            assert_eq!(blobs.read_all(blob).unwrap(), data);
            let file = blobs.open(blob).unwrap();
            file.will_be_read();
            let mut buffer = [0; 2];
            file.read_exact_at(&mut buffer, 1, blob).unwrap();
            assert_eq!(buffer, data[1..3]);
            assert_eq!(file.read_at(&mut buffer, data.len() as u64).unwrap(), 0);
            if let Some(file) = blobs.open_cached(blob)
                && let Some(read) = file.read_cached(&mut buffer, 0).unwrap()
            {
                assert_eq!(buffer[..read], data[..read]);
            }
        }
    }
}

fn nothing_is_visible_before_it_is_published<D>(blobs: &Blobs, _: &D) {
    let mut batch = blobs.stage().unwrap();
    for data in ["one", "two"] {
        batch
            .append(&[Bytes::from_static(data.as_bytes())])
            .unwrap();
        batch.seal(chunk(data.as_bytes())).unwrap();
    }
    batch
        .append(&[Bytes::from_static(b"never sealed")])
        .unwrap();
    batch.sync().unwrap();
    assert!(listed(blobs).is_empty());
    drop(batch);
    assert!(listed(blobs).is_empty());
}

fn a_blob_may_be_published_twice<D>(blobs: &Blobs, _: &D) {
    let blob = store(blobs, b"twice");
    let before = blobs.open(&blob).unwrap();
    assert_eq!(store(blobs, b"twice"), blob);
    assert_eq!(listed(blobs), [(blob.digest, 5)]);
    let mut buffer = [0; 5];
    before.read_exact_at(&mut buffer, 0, &blob).unwrap();
    assert_eq!(&buffer, b"twice");
}

fn what_was_taken_back_is_not_published<D>(blobs: &Blobs, _: &D) {
    let mut batch = blobs.stage().unwrap();
    batch.append(&[Bytes::from_static(b"head")]).unwrap();
    let taken = batch.take_back().unwrap();
    batch.append(&[Bytes::from_static(b"other")]).unwrap();
    batch.seal(chunk(b"other")).unwrap();
    let mut buffer = [0; 4];
    taken
        .read_exact_at(&mut buffer, 0, &chunk(b"head"))
        .unwrap();
    assert_eq!(&buffer, b"head");
    batch.publish().unwrap();
    assert_eq!(listed(blobs), [(Digest::of(b"other"), 5)]);
}

fn a_missing_blob_is_an_error<D>(blobs: &Blobs, _: &D) {
    let blob = chunk(b"nowhere");
    assert!(matches!(blobs.open(&blob), Err(Error::Corrupt { digest }) if digest == blob.digest));
    assert!(blobs.open_cached(&blob).is_none());
    assert!(!blobs.remove(&blob.digest).unwrap());
}

fn a_wrong_length_is_an_error_and_is_repaired<D: Fn(&Digest, &[u8])>(blobs: &Blobs, damage: &D) {
    let blob = store(blobs, b"whole");
    for wrong in [&b""[..], b"whol", b"whole."] {
        damage(&blob.digest, wrong);
        assert!(matches!(blobs.open(&blob), Err(Error::Corrupt { .. })));
        assert!(blobs.open_cached(&blob).is_none());
        store(blobs, b"whole");
        assert_eq!(&blobs.read_all(&blob).unwrap()[..], b"whole");
    }
}

fn wrong_bytes_are_quarantined<D: Fn(&Digest, &[u8])>(blobs: &Blobs, damage: &D) {
    let blob = store(blobs, b"right");
    damage(&blob.digest, b"wrong");
    let file = blobs.open(&blob).unwrap();
    assert!(matches!(blobs.read_all(&blob), Err(Error::Corrupt { .. })));
    assert!(listed(blobs).is_empty());
    blobs.quarantine(&blob.digest, &*file).unwrap();
    store(blobs, b"right");
    assert_eq!(&blobs.read_all(&blob).unwrap()[..], b"right");
}

fn an_upload_repairs_what_nobody_has_read<D: Fn(&Digest, &[u8])>(blobs: &Blobs, damage: &D) {
    let blob = store(blobs, b"right");
    damage(&blob.digest, b"wrong");
    store(blobs, b"right");
    assert_eq!(&blobs.read_all(&blob).unwrap()[..], b"right");
}

fn removal_and_listing_agree<D>(blobs: &Blobs, _: &D) {
    let contents: Vec<_> = (1..40).map(|n| vec![7; n]).collect();
    let mut stored = store_all(blobs, &contents);
    stored.sort_unstable_by_key(|blob| blob.digest);
    let expected: Vec<_> = stored
        .iter()
        .map(|blob| (blob.digest, blob.len_bytes))
        .collect();
    assert_eq!(listed(blobs), expected);
    let open = blobs.open(&stored[0]).unwrap();
    assert!(blobs.remove(&stored[0].digest).unwrap());
    assert!(!blobs.remove(&stored[0].digest).unwrap());
    assert_eq!(listed(blobs), expected[1..]);
    assert_eq!(
        open.read_at(&mut [0; 64], 0).unwrap() as u64,
        stored[0].len_bytes
    );
}
