use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::{NewResumable, Resumable, UploadTarget};
use crate::blob::conformance::listed;
use crate::chunk::tests::noise;
use crate::grant::tests::{folder, reach, share, user as registered};
use crate::testing::{each_engine, each_engine_with};
use crate::tests::{get, put, user};
use crate::{
    Actor, AppendOptions, Caller, Condition, Digest, Error, Limited, Name, Path, Right, Store,
    Target, UploadId, UploadedFile,
};

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn new(at: &str, size_bytes: usize) -> NewResumable {
    NewResumable {
        target: UploadTarget::Path(path(at)),
        size_bytes: size_bytes as u64,
        promised: None,
        modified_ns: None,
        metadata: String::new(),
        if_match: None,
        if_none_match: None,
    }
}

async fn begin(store: &Store, caller: &Caller, at: &str, size: usize) -> Result<UploadId, Error> {
    let begun = store.begin_resumable(caller, new(at, size), Condition::default());
    Ok(begun.await?.id)
}

/// One request that brings these bytes as it should.
async fn append(
    store: &Store,
    caller: &Caller,
    id: UploadId,
    offset: usize,
    data: &[u8],
) -> Result<Resumable, Error> {
    let options = AppendOptions::default();
    let mut appending = store.append(caller, id, offset as u64, options).await?;
    for frame in data.chunks(300_000) {
        appending.write(Bytes::copy_from_slice(frame)).await?;
    }
    appending.finish().await
}

async fn commit(store: &Store, caller: &Caller, id: UploadId) -> Result<UploadedFile, Error> {
    store
        .commit_resumable(caller, id, Condition::default(), None)
        .await
}

async fn offset(store: &Store, caller: &Caller, id: UploadId) -> Option<u64> {
    let found = store.resumable(caller, id).await.unwrap();
    found.map(|upload| upload.offset_bytes)
}

/// Used and reserved bytes.
async fn charged(store: &Store, caller: &Caller) -> (u64, u64) {
    let usage = store.usage(caller).await.unwrap();
    (usage.used_bytes, usage.reserved_bytes)
}

async fn assert_sound(store: &Store) {
    let checked = store.check(true, |_| ()).await.unwrap();
    assert_eq!(checked.faults, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_parts_is_stored_as_one_that_came_whole() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        for size in [
            0,
            1,
            16 << 10,
            (16 << 10) + 1,
            3 << 20,
            4 << 20,
            (4 << 20) + 1,
            23 << 20,
        ] {
            let mut data = noise(90, size);
            // Long enough to be several chunks that are alike.
            data.extend(vec![7; size / 2]);
            put(store, &alice, "/whole", &data).await.unwrap();
            let blobs = listed(store.blobs());
            let id = begin(store, &alice, "/parts", data.len()).await.unwrap();
            let mut at = 0;
            while at < data.len() {
                let end = (at + data.len() / 3 + 1).min(data.len());
                let upload = append(store, &alice, id, at, &data[at..end]).await.unwrap();
                assert_eq!(upload.offset_bytes, end as u64);
                assert_eq!(offset(store, &alice, id).await, Some(end as u64));
                at = end;
            }
            let file = commit(store, &alice, id).await.unwrap();
            assert!(file.created || size > 0);
            let whole = store.find(&alice, &path("/whole")).await.unwrap().unwrap();
            let parts = store.find(&alice, &path("/parts")).await.unwrap().unwrap();
            assert_eq!(parts.node.etag(), whole.node.etag());
            assert_eq!(parts.node.etag(), file.etag);
            assert_eq!(parts.node.size_bytes, data.len() as u64);
            // The very same chunks.
            assert_eq!(listed(store.blobs()), blobs);
            assert!(get(store, &alice, "/parts").await.unwrap() == data);
            assert_eq!(charged(store, &alice).await, (2 * data.len() as u64, 0));
            assert_sound(store).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_bytes_are_reserved_when_an_upload_begins() {
    each_engine(async |store, clock| {
        let alice = user(store, "alice", 10_000_000).await;
        put(store, &alice, "/old", &noise(91, 2_000_000))
            .await
            .unwrap();
        let id = begin(store, &alice, "/old", 9_000_000).await.unwrap();
        // What is replaced is paid for.
        assert_eq!(charged(store, &alice).await, (2_000_000, 7_000_000));
        let refused = begin(store, &alice, "/other", 1_000_001).await;
        let Err(Error::QuotaExceeded {
            needed_bytes,
            free_bytes,
        }) = refused
        else {
            panic!("{refused:?}");
        };
        assert_eq!((needed_bytes, free_bytes), (1_000_001, 1_000_000));
        let exact = begin(store, &alice, "/other", 1_000_000).await.unwrap();
        assert_eq!(charged(store, &alice).await, (2_000_000, 8_000_000));
        // No lease runs out, however long nothing comes.
        clock.advance_ms(3_600_000);
        assert_eq!(store.expire_reservations().await.unwrap(), 0);
        store.drop_left_reservations().await.unwrap();
        assert_eq!(charged(store, &alice).await, (2_000_000, 8_000_000));
        store.end_resumable(&alice, exact).await.unwrap();
        assert_eq!(charged(store, &alice).await, (2_000_000, 7_000_000));
        let data = noise(92, 9_000_000);
        append(store, &alice, id, 0, &data).await.unwrap();
        assert_eq!(charged(store, &alice).await, (2_000_000, 7_000_000));
        commit(store, &alice, id).await.unwrap();
        assert_eq!(charged(store, &alice).await, (9_000_000, 0));
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_on_only_where_the_upload_is() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let data = noise(93, 5 << 20);
        let id = begin(store, &alice, "/a", data.len()).await.unwrap();
        append(store, &alice, id, 0, &data[..1000]).await.unwrap();
        for wrong in [0, 999, 1001, data.len()] {
            let refused = append(store, &alice, id, wrong, b"x").await;
            let Err(Error::OffsetMismatch { offset_bytes }) = refused else {
                panic!("{refused:?}");
            };
            assert_eq!(offset_bytes, 1000);
        }
        // More than there is to come.
        let too_long = [&data[1000..], b"x"].concat();
        let refused = append(store, &alice, id, 1000, &too_long).await;
        assert!(
            matches!(refused, Err(Error::ContentMismatch(_))),
            "{refused:?}"
        );
        let early = commit(store, &alice, id).await;
        assert!(
            matches!(early, Err(Error::OffsetMismatch { .. })),
            "{early:?}"
        );
        store.end_append(id).await;
        let at = usize::try_from(offset(store, &alice, id).await.unwrap()).unwrap();
        append(store, &alice, id, at, &data[at..]).await.unwrap();
        let refused = append(store, &alice, id, data.len(), b"x").await;
        assert!(refused.is_err(), "{refused:?}");
        let first = commit(store, &alice, id).await.unwrap();
        // Asked again, by whoever did not see the answer.
        assert_eq!(commit(store, &alice, id).await.unwrap(), first);
        assert_eq!(get(store, &alice, "/a").await.unwrap(), data);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broken_request_has_brought_is_kept() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let data = noise(94, 30 << 20);
        let id = begin(store, &alice, "/a", data.len()).await.unwrap();
        let mut at = 0;
        // Dropped, broken off, and ended by whoever asks how far it is.
        for ending in 0..3 {
            let options = AppendOptions::default();
            let mut appending = store.append(&alice, id, at as u64, options).await.unwrap();
            let end = at + 9_000_001;
            for frame in data[at..end].chunks(100_000) {
                appending
                    .write(Bytes::copy_from_slice(frame))
                    .await
                    .unwrap();
            }
            match ending {
                0 => drop(appending),
                1 => drop(appending.break_off().await.unwrap()),
                _ => {
                    store.end_append(id).await;
                    let late = appending.write(Bytes::from_static(b"more")).await;
                    assert!(matches!(late, Err(Error::UploadBusy)), "{late:?}");
                }
            }
            store.end_append(id).await;
            let kept = offset(store, &alice, id).await.unwrap();
            if ending < 2 {
                assert_eq!(kept, end as u64);
            }
            assert!(kept <= end as u64);
            at = usize::try_from(kept).unwrap();
        }
        append(store, &alice, id, at, &data[at..]).await.unwrap();
        let file = commit(store, &alice, id).await.unwrap();
        assert_eq!(file.etag, format!("\"{}\"", Digest::of(&data)));
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_at_a_time_brings_bytes() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let data = noise(95, 40 << 20);
        let id = begin(store, &alice, "/a", data.len()).await.unwrap();
        let options = AppendOptions::default();
        let mut first = store.append(&alice, id, 0, options).await.unwrap();
        first
            .write(Bytes::copy_from_slice(&data[..100]))
            .await
            .unwrap();
        let second = append(store, &alice, id, 0, &data[..100]).await;
        assert!(matches!(second, Err(Error::UploadBusy)), "{second:?}");
        // Another daemon does not see the first one; whoever comes last has the turn.
        let (user, now_ms) = (alice.user, store.world().now_ms());
        let taken = store.db().write(move |tx| {
            super::rows::begin(tx, user, id, 0, now_ms, now_ms + 1_000_000).map(|it| it.is_some())
        });
        assert!(taken.await.unwrap());
        let late = first.finish().await;
        assert!(matches!(late, Err(Error::UploadBusy)), "{late:?}");
        assert_eq!(offset(store, &alice, id).await, Some(0));
        append(store, &alice, id, 0, &data).await.unwrap();
        commit(store, &alice, id).await.unwrap();
        assert!(get(store, &alice, "/a").await.unwrap() == data);
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_those_promised_are_not_kept() {
    let day = |options: &mut crate::Options| options.sweep_grace = Duration::from_hours(24);
    each_engine_with(day, async |store, clock| {
        let alice = user(store, "alice", 1 << 30).await;
        let data = noise(96, 40 << 20);
        let id = begin(store, &alice, "/a", data.len()).await.unwrap();
        let checked = |holds: bool| AppendOptions {
            extra: None,
            check: Some(Box::new(move || holds)),
        };
        for (holds, ends) in [(false, true), (true, false)] {
            let mut appending = store.append(&alice, id, 0, checked(holds)).await.unwrap();
            for frame in data.chunks(1 << 20) {
                appending
                    .write(Bytes::copy_from_slice(frame))
                    .await
                    .unwrap();
            }
            let ended = if ends {
                appending.finish().await
            } else {
                appending.break_off().await
            };
            assert_eq!(ended.is_err(), ends, "{ended:?}");
            assert_eq!(offset(store, &alice, id).await, Some(0));
        }
        clock.advance_ms(1000);
        store.remove_abandoned().await.unwrap();
        assert_eq!(listed(store.blobs()), []);
        let mut appending = store.append(&alice, id, 0, checked(true)).await.unwrap();
        appending.write(data.clone().into()).await.unwrap();
        appending.finish().await.unwrap();
        commit(store, &alice, id).await.unwrap();

        let mut promise = new("/b", 3);
        promise.promised = Some(Digest::of(b"abc"));
        let begun = store.begin_resumable(&alice, promise, Condition::default());
        let id = begun.await.unwrap().id;
        append(store, &alice, id, 0, b"abd").await.unwrap();
        let refused = commit(store, &alice, id).await;
        assert!(
            matches!(refused, Err(Error::ContentMismatch("digest"))),
            "{refused:?}"
        );
        assert!(get(store, &alice, "/b").await.is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_is_told_and_the_bytes_wait() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let at = path("/f");
        let folder = store.make_folder(&alice, &at, Condition::default());
        let folder = folder.await.unwrap().id;
        let data = noise(97, 100_000);
        let mut into = new("/", data.len());
        into.target = UploadTarget::Entry {
            folder,
            name: Name::new("a").unwrap(),
        };
        let begun = store.begin_resumable(&alice, into, Condition::default());
        let id = begun.await.unwrap().id;
        append(store, &alice, id, 0, &data).await.unwrap();
        store
            .delete(&alice, &path("/f"), Condition::default())
            .await
            .unwrap();
        let refused = commit(store, &alice, id).await;
        assert!(matches!(refused, Err(Error::ParentMissing)), "{refused:?}");
        store
            .note_failure(id, "parent_missing", "gone")
            .await
            .unwrap();
        let upload = store.resumable(&alice, id).await.unwrap().unwrap();
        assert!(upload.is_complete() && upload.stored.is_none());
        assert_eq!(
            upload.failure,
            Some(("parent_missing".into(), "gone".into()))
        );
        assert_eq!(charged(store, &alice).await, (0, 100_000));

        store
            .make_folder(&alice, &path("/b"), Condition::default())
            .await
            .unwrap();
        let none = Condition::default;
        let onto_folder = store
            .commit_resumable(&alice, id, none(), Some((alice.clone(), path("/b"))))
            .await;
        assert!(
            matches!(onto_folder, Err(Error::IsFolder)),
            "{onto_folder:?}"
        );
        let elsewhere = store
            .commit_resumable(&alice, id, none(), Some((alice.clone(), path("/b/x/a"))))
            .await;
        let file = elsewhere.unwrap();
        assert!(file.created);
        let upload = store.resumable(&alice, id).await.unwrap().unwrap();
        assert_eq!((upload.stored, upload.failure), (Some(file), None));
        assert_eq!(get(store, &alice, "/b/x/a").await.unwrap(), data);
        assert_eq!(charged(store, &alice).await, (100_000, 0));
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_expires_and_leaves_nothing() {
    let day = |options: &mut crate::Options| options.sweep_grace = Duration::from_hours(24);
    each_engine_with(day, async |store, clock| {
        let alice = user(store, "alice", 1 << 30).await;
        let data = noise(98, 20 << 20);
        put(store, &alice, "/half", &data[..10 << 20])
            .await
            .unwrap();
        let before: BTreeSet<_> = listed(store.blobs()).into_iter().collect();
        let id = begin(store, &alice, "/a", data.len() + 1).await.unwrap();
        append(store, &alice, id, 0, &data[..1]).await.unwrap();
        // Each request begins the time anew.
        clock.advance_ms(23 * 3_600_000);
        append(store, &alice, id, 1, &data[1..]).await.unwrap();
        clock.advance_ms(23 * 3_600_000);
        store.purge_resumables().await.unwrap();
        assert_eq!(offset(store, &alice, id).await, Some(data.len() as u64));
        // Its blobs are not swept meanwhile, though no file refers to them.
        store.sweep(false).await.unwrap();
        assert!(listed(store.blobs()).len() > before.len());
        clock.advance_ms(3_600_000);
        assert_eq!(offset(store, &alice, id).await, None);
        let late = append(store, &alice, id, data.len(), b"x").await;
        assert!(matches!(late, Err(Error::NotFound)), "{late:?}");
        store.purge_resumables().await.unwrap();
        assert_eq!(charged(store, &alice).await, (10 << 20, 0));
        clock.advance_ms(1000);
        store.remove_abandoned().await.unwrap();
        if store.db().is_exclusive() {
            let after: BTreeSet<_> = listed(store.blobs()).into_iter().collect();
            assert_eq!(after, before, "what it brought is gone, and nothing else");
        }
        clock.advance_ms(25 * 3_600_000);
        store.sweep(false).await.unwrap();
        assert_eq!(
            listed(store.blobs()).into_iter().collect::<BTreeSet<_>>(),
            before
        );
        assert!(get(store, &alice, "/half").await.unwrap() == data[..10 << 20]);
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_its_users_and_of_its_place() {
    each_engine(async |store, clock| {
        let alice = user(store, "alice", 1 << 30).await;
        let bob = user(store, "bob", 1 << 30).await;
        let at = path("/f");
        let folder = store.make_folder(&alice, &at, Condition::default());
        let scanner = Caller {
            root: folder.await.unwrap().id,
            whole_drive: false,
            ..alice.clone()
        };
        let reader = Caller {
            read_only: true,
            ..alice.clone()
        };
        let hers = begin(store, &alice, "/a", 10).await.unwrap();
        clock.advance_ms(1);
        let scan = begin(store, &scanner, "/scan", 4).await.unwrap();
        let ids = async |caller: &Caller| {
            let all = store.resumables(caller, None, 10).await.unwrap();
            all.iter().map(|upload| upload.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&alice).await, [hers, scan]);
        assert_eq!(ids(&scanner).await, [scan]);
        assert_eq!(ids(&bob).await, []);
        assert_eq!(
            store.resumables(&alice, Some(hers), 1).await.unwrap()[0].id,
            scan
        );
        for (caller, id) in [(&bob, hers), (&bob, scan), (&scanner, hers)] {
            assert_eq!(offset(store, caller, id).await, None);
            let refused = append(store, caller, id, 0, b"x").await;
            assert!(matches!(refused, Err(Error::NotFound)), "{refused:?}");
            let refused = store.end_resumable(caller, id).await;
            assert!(matches!(refused, Err(Error::NotFound)), "{refused:?}");
            let refused = commit(store, caller, id).await;
            assert!(matches!(refused, Err(Error::NotFound)), "{refused:?}");
        }
        let refused = append(store, &reader, hers, 0, b"x").await;
        assert!(matches!(refused, Err(Error::Forbidden)), "{refused:?}");
        assert!(matches!(
            begin(store, &reader, "/b", 1).await,
            Err(Error::Forbidden)
        ));
        // The owner goes on where the scanner has begun: it ends in the scanner's folder.
        append(store, &alice, scan, 0, b"scan").await.unwrap();
        commit(store, &alice, scan).await.unwrap();
        assert_eq!(get(store, &alice, "/f/scan").await.unwrap(), b"scan");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_so_many_uploads_and_no_more() {
    let few = |options: &mut crate::Options| options.limits.uploads_per_user = 3;
    each_engine_with(few, async |store, clock| {
        let alice = user(store, "alice", 1 << 30).await;
        let mut ids = Vec::new();
        for n in 0..3 {
            ids.push(begin(store, &alice, &format!("/{n}"), 1).await.unwrap());
        }
        let refused = begin(store, &alice, "/more", 1).await;
        let Err(Error::Limit { what, limit }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((what, limit), (Limited::Uploads, 3));
        assert_eq!(charged(store, &alice).await, (0, 3));
        // One that is a file does not count, nor does one that has expired.
        append(store, &alice, ids[0], 0, b"x").await.unwrap();
        commit(store, &alice, ids[0]).await.unwrap();
        begin(store, &alice, "/more", 1).await.unwrap();
        clock.advance_ms(24 * 3_600_000);
        begin(store, &alice, "/later", 1).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_account_takes_its_uploads_along() {
    each_engine(async |store, clock| {
        let alice = user(store, "alice", 1 << 30).await;
        let data = noise(99, 6 << 20);
        let id = begin(store, &alice, "/a", data.len() + 1).await.unwrap();
        append(store, &alice, id, 0, &data).await.unwrap();
        let removed = store.user_remove(
            Actor::Console,
            alice.user,
            crate::TagCondition::default(),
            None,
        );
        removed.await.unwrap();
        assert_eq!(offset(store, &alice, id).await, None);
        store.purge_resumables().await.unwrap();
        while store.purge_trash().await.unwrap() {}
        assert_sound(store).await;
        clock.advance_ms(1000);
        store.sweep(false).await.unwrap();
        store.remove_abandoned().await.unwrap();
        assert_eq!(listed(store.blobs()), []);
        let left = store.db().read(|tx| {
            let count = "SELECT COUNT(*) FROM upload";
            tx.first(count, &[], |row| row.get::<i64>(0))
        });
        assert_eq!(left.await.unwrap(), Some(0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_into_a_share_is_its_owners() {
    each_engine(async |store, _| {
        let alice = registered(store, "alice").await;
        let bob = registered(store, "bob").await;
        folder(store, &alice, "/team").await;
        share(store, &alice, "/team", "bob", Right::Write).await;
        let team = reach(store, &bob, "/Shared with me/team").await.unwrap();
        let data = noise(100, 6 << 20);
        let id = begin(store, &team.caller, "/new/a", data.len()).await;
        let id = id.unwrap();
        assert_eq!(charged(store, &alice).await, (0, 6 << 20));
        assert_eq!(charged(store, &bob).await, (0, 0));
        append(store, &bob, id, 0, &data[..5 << 20]).await.unwrap();
        let rest = append(store, &bob, id, 5 << 20, &data[5 << 20..]).await;
        assert!(rest.unwrap().is_complete());
        // It is a file of that drive, wherever else it is to be.
        let elsewhere = Some((bob.clone(), path("/mine")));
        let refused = store.commit_resumable(&bob, id, Condition::default(), elsewhere);
        assert!(matches!(refused.await, Err(Error::NotFound)));
        commit(store, &bob, id).await.unwrap();
        assert!(get(store, &alice, "/team/new/a").await.unwrap() == data);
        assert_eq!(charged(store, &alice).await, (6 << 20, 0));
        assert_eq!(charged(store, &bob).await, (0, 0));
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_into_a_share_goes_with_its_grant() {
    each_engine(async |store, _| {
        let alice = registered(store, "alice").await;
        let bob = registered(store, "bob").await;
        let carol = registered(store, "carol").await;
        let kept = {
            folder(store, &alice, "/kept").await;
            share(store, &alice, "/kept", "bob", Right::Write).await;
            let kept = reach(store, &bob, "/Shared with me/kept").await.unwrap();
            begin(store, &kept.caller, "/a", 7).await.unwrap()
        };
        for way in ["revoke", "read", "leave", "delete", "transfer"] {
            let at = format!("/{way}");
            folder(store, &alice, &at).await;
            share(store, &alice, &at, "bob", Right::Write).await;
            let there = reach(store, &bob, &format!("/Shared with me{at}")).await;
            let id = begin(store, &there.unwrap().caller, "/a", 100_000).await;
            let id = id.unwrap();
            append(store, &bob, id, 0, &noise(101, 50_000))
                .await
                .unwrap();
            let options = AppendOptions::default();
            let mut running = store.append(&bob, id, 50_000, options).await.unwrap();
            running.write(Bytes::from_static(b"more")).await.unwrap();
            let target = Target::Path(path(&at));
            match way {
                "revoke" => {
                    store.revoke(&alice, &target, None, None).await.unwrap();
                }
                "read" => share(store, &alice, &at, "bob", Right::Read).await,
                "leave" => {
                    let shares = store.shares(&bob, None, 100).await.unwrap();
                    let share = shares.iter().find(|share| share.name.as_str() == way);
                    let left = store.leave_share(&bob, share.unwrap().id, None);
                    left.await.unwrap();
                }
                "delete" => {
                    let gone = store.delete(&alice, target, Condition::default());
                    gone.await.unwrap();
                }
                _ => {
                    let offer = store.offer(&alice, &target, "carol", true, None).await;
                    let taken = store.accept_offer(&carol, offer.unwrap().id, true, None);
                    taken.await.unwrap();
                }
            }
            let ended = running.finish().await;
            assert!(matches!(ended, Err(Error::UploadBusy)), "{way}: {ended:?}");
            let refused = append(store, &bob, id, 50_000, b"x").await;
            assert!(
                matches!(refused, Err(Error::NotFound)),
                "{way}: {refused:?}"
            );
            assert_eq!(offset(store, &bob, id).await, None, "{way}");
            assert_eq!(charged(store, &alice).await, (0, 100_007), "{way}");
            store.purge_resumables().await.unwrap();
            assert_eq!(charged(store, &alice).await, (0, 7), "{way}");
            assert_eq!(charged(store, &carol).await, (0, 0), "{way}");
        }
        // Others go on.
        append(store, &bob, kept, 0, b"content").await.unwrap();
        commit(store, &bob, kept).await.unwrap();
        assert_eq!(get(store, &alice, "/kept/a").await.unwrap(), b"content");
        assert_sound(store).await;
    })
    .await;
}
