use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::grant::tests::{folder, path, share, user};
use crate::names::tests::bind;
use crate::testing::{each_engine, plan};
use crate::tests::put;
use crate::{Condition, Right};

/// All parts of a list, each of so many, and the most statements that one took.
async fn in_parts(
    limit: u32,
    ask: impl AsyncFn(Option<Path>) -> Result<Members>,
) -> (Vec<String>, u64) {
    let (mut told, mut after, mut most) = (Vec::new(), None, 0);
    loop {
        let counter = Arc::new(AtomicU64::new(0));
        let part = crate::count_statements(Arc::clone(&counter), ask(after.take()));
        let part = Box::pin(part).await.unwrap();
        most = most.max(counter.load(Ordering::Relaxed));
        assert!(part.items.len() <= limit as usize);
        told.extend(part.items.iter().map(|item| item.path.to_string()));
        match part.next {
            Some(next) => after = Some(next),
            None => return (told, most),
        }
    }
}

async fn all(store: &Store, caller: &Caller, at: &str, limit: u32) -> (Vec<String>, u64) {
    let folder = Target::Path(path(at));
    let ask = async |after| {
        let walk = Walk {
            is_deep: true,
            after,
            limit,
        };
        store.members(caller, &folder, walk).await
    };
    in_parts(limit, ask).await
}

async fn all_shared(store: &Store, caller: &Caller, limit: u32) -> (Vec<String>, u64) {
    let ask = async |after: Option<Path>| {
        let shared = store.shared_members(caller, after.as_ref(), true, limit);
        shared.await
    };
    in_parts(limit, ask).await
}

/// As lists go: by names, level by level.
fn in_order(mut paths: Vec<String>) -> Vec<String> {
    paths.sort_by_key(|path| path.split('/').map(str::to_owned).collect::<Vec<_>>());
    paths
}

/// Folders in folders, with files before and behind them; empty ones too.
async fn forest(store: &Store, caller: &Caller, root: &str) -> Vec<String> {
    let mut made = Vec::new();
    for at in [
        "/a", "/a/b", "/a/b/c", "/a/b/c/d", "/a-b", "/e", "/e/f", "/g",
    ] {
        folder(store, caller, &format!("{root}{at}")).await;
        made.push(format!("{root}{at}"));
    }
    for at in [
        "/1",
        "/a/0",
        "/a/z",
        "/a/b/c/d/x",
        "/a/b/c/d/y",
        "/a/b/z",
        "/a.txt",
        "/e/g",
        "/z",
    ] {
        put(store, caller, &format!("{root}{at}"), b"x")
            .await
            .unwrap();
        made.push(format!("{root}{at}"));
    }
    in_order(made)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_takes_the_same_statements_whatever_it_meets() {
    each_engine(async |store, _| {
        let alice = user(store, "alice").await;
        folder(store, &alice, "/in").await;
        folder(store, &alice, "/later").await;
        let expected = forest(store, &alice, "/in").await;
        for limit in [1, 2, 3, 5, 16, 17, 18, 100] {
            let (told, statements) = all(store, &alice, "/in", limit).await;
            assert_eq!(told, expected, "{limit} at a time");
            assert!(statements <= 4, "{statements} for {limit}");
        }
        for number in 0..100 {
            folder(store, &alice, &format!("/in/g/{number}/{number}")).await;
        }
        let (told, statements) = all(store, &alice, "/in", 1000).await;
        assert_eq!(told.len(), expected.len() + 200);
        assert!(statements <= 4, "{statements}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_share_takes_no_more() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        let carol = user(store, "carol").await;
        assert_eq!(all_shared(store, &bob, 3).await.0, [""; 0]);
        let mut expected = Vec::new();
        for owner in [&alice, &carol] {
            folder(store, owner, "/empty").await;
            for root in ["/m", "/p"] {
                folder(store, owner, root).await;
                forest(store, owner, root).await;
                share(store, owner, root, "bob", Right::Read).await;
            }
            put(store, owner, "/n.txt", b"x").await.unwrap();
            share(store, owner, "/n.txt", "bob", Right::Write).await;
            share(store, owner, "/empty", "bob", Right::Write).await;
        }
        // By two names of the same account, and inside of what is shared.
        share(store, &alice, "/m", "bob@example.org", Right::Write).await;
        share(store, &alice, "/p/a/b", "bob", Right::Write).await;
        let below = forest(store, &bob, "").await;
        for name in ["m", "m (2)", "p", "p (2)"] {
            let base = format!("/Shared with me/{name}");
            expected.extend(below.iter().map(|path| format!("{base}{path}")));
            expected.push(base);
        }
        for rest in ["b", "b/z", "b/c", "b/c/d", "b/c/d/x", "b/c/d/y"] {
            expected.push(format!("/Shared with me/{rest}"));
        }
        for name in ["n.txt", "n (2).txt", "empty", "empty (2)"] {
            expected.push(format!("/Shared with me/{name}"));
        }
        let expected = in_order(expected);
        for limit in [1, 2, 3, 7, 40, 1000] {
            let (told, statements) = all_shared(store, &bob, limit).await;
            assert_eq!(told, expected, "{limit} at a time");
            assert!(statements <= 3, "{statements} for {limit}");
        }
        // Where what the last part ended with is shared no more, the next one follows.
        let after = path("/Shared with me/m/a/b/c");
        let target = Target::Path(path("/m"));
        store.revoke(&alice, &target, None, None).await.unwrap();
        let rest = store.shared_members(&bob, Some(&after), true, 1).await;
        let rest = rest.unwrap().items.remove(0).path.to_string();
        assert_eq!(rest, "/Shared with me/m (2)");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_and_goes_between_parts_hides_nothing_else() {
    each_engine(async |store, _| {
        let alice = user(store, "alice").await;
        forest(store, &alice, "").await;
        let after = |after: &str| Walk {
            is_deep: true,
            after: Some(path(after)),
            limit: 2,
        };
        let rest = async |from: &str| {
            let root = Target::Path(Path::root());
            let part = store.members(&alice, &root, after(from)).await.unwrap();
            let paths = part.items.iter().map(|item| item.path.to_string());
            paths.collect::<Vec<_>>()
        };
        assert_eq!(rest("/a/b/c/d/x").await, ["/a/b/c/d/y", "/a/b/z"]);
        let gone = path("/a/b/c");
        let removed = store.delete(&alice, &gone, Condition::default());
        removed.await.unwrap();
        assert_eq!(rest("/a/b/c/d/x").await, ["/a/b/z", "/a/z"]);
        // A file is where a folder was.
        put(store, &alice, "/a/b/c", b"x").await.unwrap();
        assert_eq!(rest("/a/b/c/d/x").await, ["/a/b/z", "/a/z"]);
        assert_eq!(rest("/zz").await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn no_step_looks_at_more_than_it_finds() {
    each_engine(async |store, _| {
        for sql in [rows::FROM_FOLDER, rows::FROM_SHARES] {
            let plan = plan(store, sql, 5).await;
            for line in plan.lines().filter(|line| line.contains("SCAN")) {
                let is_own = ["SCAN w", "SCAN CONSTANT ROW"].contains(&line.trim());
                assert!(is_own, "{line}: {plan}");
            }
        }
    })
    .await;
}

/// A file that has several names in one folder and others elsewhere is met under each of them, once.
#[tokio::test(flavor = "multi_thread")]
async fn every_name_of_a_file_is_met() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        for at in ["/in/a", "/in/b/c", "/out"] {
            folder(store, &alice, at).await;
        }
        put(store, &alice, "/in/b/f", b"1").await.unwrap();
        let names = ["/in/0", "/in/9", "/in/a/f", "/in/b/a", "/in/b/z", "/out/f"];
        for name in names {
            bind(store, &alice, "/in/b/f", name).await;
        }
        let mut expected: Vec<String> = names[..5].iter().map(|name| (*name).into()).collect();
        expected.extend(["/in/a", "/in/b", "/in/b/c", "/in/b/f"].map(String::from));
        let expected = in_order(expected);
        for limit in [1, 2, 3, 100] {
            assert_eq!(
                all(store, &alice, "/in", limit).await.0,
                expected,
                "{limit}"
            );
        }
        // A file that is shared, between folders that are.
        share(store, &alice, "/in/a", "bob", Right::Read).await;
        share(store, &alice, "/in/b/f", "bob", Right::Read).await;
        share(store, &alice, "/out", "bob", Right::Read).await;
        let base = "/Shared with me";
        let expected: Vec<String> = ["/a", "/a/f", "/f", "/out", "/out/f"]
            .map(|name| format!("{base}{name}"))
            .into();
        for limit in [1, 2, 100] {
            assert_eq!(all_shared(store, &bob, limit).await.0, expected, "{limit}");
        }
    })
    .await;
}
