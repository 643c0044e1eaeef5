use super::*;
use crate::path::Path;
use crate::testing::each_engine;
use crate::tests::{put, user};
use crate::{Condition, TransferOptions};

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

async fn make(store: &Store, caller: &Caller, at: &str) {
    let at = path(at);
    let made = store.make_folder(caller, &at, Condition::default());
    made.await.unwrap();
}

async fn shift(store: &Store, caller: &Caller, from: &str, to: &str) {
    let options = TransferOptions {
        overwrite: true,
        shallow: false,
        modified_ns: None,
    };
    let (from, to) = (path(from), path(to));
    let moved = store.move_tree(caller, &from, &to, options, Condition::default());
    moved.await.unwrap();
}

async fn remove(store: &Store, caller: &Caller, at: &str) {
    let at = path(at);
    let removed = store.delete(caller, &at, Condition::default());
    removed.await.unwrap();
}

/// All notices since `cursor`, as `+path` (changed), `-path` (removed) and `*path` (tree).
async fn all(store: &Store, caller: &Caller, mut cursor: i64) -> (Vec<String>, i64) {
    let mut told = Vec::new();
    loop {
        let notices = store.notices(caller, cursor).await.unwrap();
        assert!(!notices.has_gap);
        cursor = notices.cursor;
        told.extend(notices.items.iter().map(|item| {
            let sign = match item.kind {
                NoticeKind::Changed => '+',
                NoticeKind::Removed => '-',
                NoticeKind::Tree => '*',
            };
            format!("{sign}{}", item.path)
        }));
        if !notices.more {
            return (told, cursor);
        }
    }
}

/// The same drive as seen by an app password for the folder.
async fn confined(store: &Store, caller: &Caller, at: &str) -> Caller {
    let found = store.find(caller, &path(at)).await.unwrap().unwrap();
    Caller {
        root: found.node.id,
        whole_drive: false,
        ..caller.clone()
    }
}

#[tokio::test]
async fn what_happened_is_told_in_its_order() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let start = store.change_cursor(&alice).await.unwrap();
        make(store, &alice, "/a").await;
        put(store, &alice, "/a/x", b"1").await.unwrap();
        put(store, &alice, "/a/x", b"2").await.unwrap();
        shift(store, &alice, "/a/x", "/y").await;
        shift(store, &alice, "/a", "/b").await;
        remove(store, &alice, "/y").await;
        let (told, cursor) = all(store, &alice, start).await;
        let expected = ["+/a", "+/a/x", "+/a/x", "-/a/x", "+/y", "-/a", "*/b", "-/y"];
        assert_eq!(told, expected);
        assert_eq!(all(store, &alice, cursor).await.0, Vec::<String>::new());
        // From anywhere in between it is the rest of the same.
        for skipped in 1..8 {
            let from = start + i64::try_from(skipped).unwrap();
            assert_eq!(all(store, &alice, from).await.0, expected[skipped..]);
        }
    })
    .await;
}

#[tokio::test]
async fn much_is_told_in_parts() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        for number in 0..LINES + 10 {
            make(store, &alice, &format!("/{number}")).await;
        }
        let part = store.notices(&alice, 0).await.unwrap();
        assert_eq!((part.items.len(), part.more), (LINES as usize, true));
        let rest = store.notices(&alice, part.cursor).await.unwrap();
        assert_eq!((rest.items.len(), rest.more), (10, false));
    })
    .await;
}

#[tokio::test]
async fn a_history_that_was_forgotten_is_a_gap() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        for name in ["/a", "/b", "/c"] {
            make(store, &alice, name).await;
        }
        store.forget_changes(alice.drive, 2).await.unwrap();
        for cursor in [0, 1, 4, i64::MAX, -1] {
            let notices = store.notices(&alice, cursor).await.unwrap();
            assert!(notices.has_gap && notices.items.is_empty(), "{cursor}");
            assert_eq!(notices.cursor, 3);
        }
        assert_eq!(all(store, &alice, 2).await.0, ["+/c"]);
    })
    .await;
}

#[tokio::test]
async fn who_is_confined_to_a_folder_hears_of_it_alone() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        make(store, &alice, "/a").await;
        make(store, &alice, "/a/in").await;
        let inside = confined(store, &alice, "/a/in").await;
        let start = store.change_cursor(&alice).await.unwrap();
        put(store, &alice, "/a/in/x", b"1").await.unwrap();
        put(store, &alice, "/a/out", b"1").await.unwrap();
        put(store, &alice, "/a/inner", b"1").await.unwrap();
        let (told, cursor) = all(store, &inside, start).await;
        assert_eq!(told, ["+/x"]);
        assert_eq!(cursor, store.change_cursor(&alice).await.unwrap());
        remove(store, &alice, "/a").await;
        let gone = store.notices(&inside, cursor).await;
        assert!(matches!(gone, Err(Error::NotFound)));
    })
    .await;
}

#[tokio::test]
async fn a_root_that_is_moved_begins_anew() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        make(store, &alice, "/a").await;
        make(store, &alice, "/a/in").await;
        make(store, &alice, "/b").await;
        let inside = confined(store, &alice, "/a/in").await;
        let start = store.change_cursor(&alice).await.unwrap();
        // What another folder held under the path that the root has later is nobody's business.
        make(store, &alice, "/b/in").await;
        for number in 0..LINES + 10 {
            make(store, &alice, &format!("/b/in/{number}")).await;
        }
        remove(store, &alice, "/b").await;
        shift(store, &alice, "/a", "/b").await;
        let notices = store.notices(&inside, start).await.unwrap();
        assert!(notices.has_gap && notices.items.is_empty());
        put(store, &alice, "/b/in/x", b"1").await.unwrap();
        assert_eq!(all(store, &inside, notices.cursor).await.0, ["+/x"]);
    })
    .await;
}

#[tokio::test]
async fn nothing_new_asks_nothing_of_a_database_that_is_ours_alone() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        make(store, &alice, "/a").await;
        let cursor = store.change_cursor(&alice).await.unwrap();
        let counter = std::sync::Arc::default();
        let asked = crate::count_statements(std::sync::Arc::clone(&counter), async {
            store.notices(&alice, cursor).await.unwrap()
        });
        assert!(asked.await.items.is_empty());
        let statements = counter.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(statements, u64::from(!store.db().is_exclusive()));
    })
    .await;
}
