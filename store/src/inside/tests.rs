use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::grant::tests::{folder, path, share, user};
use crate::testing::each_engine;
use crate::tests::put;
use crate::{Caller, Condition, Right, Store, Target, TransferOptions, Watch};

/// One who listens.
struct Listener {
    watch: Watch,
    inside: Inside,
}

impl Listener {
    /// Begins with this moment.
    async fn begin(store: &Store, caller: &Caller) -> Self {
        let mut listener = Self {
            watch: store.watch(caller),
            inside: Inside::default(),
        };
        assert_eq!(listener.hear().await, Vec::<String>::new());
        listener
    }

    /// What happened since, as `+path` (changed), `-path` (removed) and `*path` (tree), without the
    /// folder of what is shared.
    async fn hear(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            let inside = std::mem::take(&mut self.inside);
            let (inside, notices) = self.watch.read_inside(inside).await.unwrap();
            self.inside = inside;
            told.extend(notices.items.iter().map(|item| {
                let sign = match item.kind {
                    NoticeKind::Changed => '+',
                    NoticeKind::Removed => '-',
                    NoticeKind::Tree => '*',
                };
                let path = item.path.strip_prefix("/Shared with me").unwrap();
                format!("{sign}{path}")
            }));
            if !notices.more {
                return told;
            }
        }
    }
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

async fn write(store: &Store, caller: &Caller, at: &str) {
    put(store, caller, at, at.as_bytes()).await.unwrap();
}

async fn remove(store: &Store, caller: &Caller, at: &str) {
    let at = path(at);
    let removed = store.delete(caller, &at, Condition::default());
    removed.await.unwrap();
}

async fn revoke(store: &Store, caller: &Caller, at: &str) {
    let target = Target::Path(path(at));
    store.revoke(caller, &target, None, None).await.unwrap();
}

/// The name for nothing at all.
const NOTHING: [&str; 0] = [];

async fn bind(store: &Store, caller: &Caller, file: &str, to: &str) {
    let to = path(to);
    let (into, name) = (to.parent().unwrap(), to.name().unwrap().clone());
    let condition = Condition::default();
    let file = path(file);
    let bound = store.bind(caller, &into, name, &file, true, condition);
    bound.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_followed_from_name_to_name() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        for at in ["/d/sub", "/e"] {
            folder(store, &alice, at).await;
        }
        write(store, &alice, "/f").await;
        bind(store, &alice, "/f", "/d/sub/f").await;
        bind(store, &alice, "/f", "/e/f").await;
        share(store, &alice, "/f", "bob", Right::Read).await;
        let mut his = Listener::begin(store, &bob).await;
        put(store, &alice, "/e/f", b"1").await.unwrap();
        assert_eq!(his.hear().await, ["+/f"], "once");
        // Whichever name it was followed by, all of these go but one.
        bind(store, &alice, "/f", "/last").await;
        remove(store, &alice, "/f").await;
        remove(store, &alice, "/d").await;
        write(store, &alice, "/other").await;
        bind(store, &alice, "/other", "/e/f").await;
        his.hear().await;
        for other in ["/f", "/other", "/e/f"] {
            write(store, &alice, other).await;
        }
        assert_eq!(his.hear().await, NOTHING, "another has its name now");
        put(store, &alice, "/last", b"2").await.unwrap();
        assert_eq!(his.hear().await, ["+/f"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_inside_is_told_and_nothing_beside() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        folder(store, &alice, "/s/in").await;
        write(store, &alice, "/f").await;
        share(store, &alice, "/s", "bob", Right::Read).await;
        share(store, &alice, "/f", "bob", Right::Write).await;
        let mut his = Listener::begin(store, &bob).await;
        let mut hers = Listener::begin(store, &alice).await;
        write(store, &alice, "/s/in/a").await;
        write(store, &alice, "/sa").await;
        put(store, &alice, "/f", b"other").await.unwrap();
        folder(store, &alice, "/out").await;
        shift(store, &alice, "/s/in", "/out/in").await;
        write(store, &alice, "/out/in/b").await;
        shift(store, &alice, "/out/in", "/s/back").await;
        remove(store, &alice, "/s/back/a").await;
        let told = ["+/s/in/a", "+/f", "-/s/in", "*/s/back", "-/s/back/a"];
        assert_eq!(his.hear().await, told);
        assert_eq!(his.hear().await, NOTHING);
        assert_eq!(hers.hear().await, NOTHING);
        // Another who begins hears of what comes then.
        let mut late = Listener::begin(store, &bob).await;
        for number in 0..2 * LINES {
            write(store, &alice, &format!("/out/{number}")).await;
        }
        write(store, &alice, "/s/last").await;
        assert_eq!(late.hear().await, ["+/s/last"]);
        assert_eq!(his.hear().await, ["+/s/last"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_its_owner_keeps_it_is_nothing_to_be_told() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        folder(store, &alice, "/a/b/s").await;
        share(store, &alice, "/a/b/s", "bob", Right::Read).await;
        let mut his = Listener::begin(store, &bob).await;
        shift(store, &alice, "/a/b/s", "/a/t").await;
        write(store, &alice, "/a/t/1").await;
        shift(store, &alice, "/a", "/c").await;
        write(store, &alice, "/c/t/2").await;
        // Others in the places where it was.
        folder(store, &alice, "/a/b/s").await;
        write(store, &alice, "/a/b/s/no").await;
        folder(store, &alice, "/a/t").await;
        write(store, &alice, "/a/t/no").await;
        assert_eq!(his.hear().await, ["+/s/1", "+/s/2"]);
        // However the lines are read.
        for _ in 0..LINES - 1 {
            write(store, &alice, "/x").await;
        }
        shift(store, &alice, "/c/t", "/d").await;
        write(store, &alice, "/d/3").await;
        folder(store, &alice, "/c/t").await;
        assert_eq!(his.hear().await, ["+/s/3"]);
        write(store, &alice, "/c/t/no").await;
        shift(store, &alice, "/d", "/a/t").await;
        write(store, &alice, "/a/t/4").await;
        assert_eq!(his.hear().await, ["+/s/4"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_of_a_time_in_which_it_was_not_granted() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        folder(store, &alice, "/s/in").await;
        share(store, &alice, "/s", "bob", Right::Read).await;
        let mut his = Listener::begin(store, &bob).await;
        write(store, &alice, "/s/1").await;
        revoke(store, &alice, "/s").await;
        assert_eq!(his.hear().await, NOTHING);
        write(store, &alice, "/s/2").await;
        share(store, &alice, "/s", "bob@example.org", Right::Write).await;
        assert_eq!(his.hear().await, NOTHING);
        write(store, &alice, "/s/3").await;
        assert_eq!(his.hear().await, ["+/s/3"]);
        // Taken back and given again while nobody asked.
        revoke(store, &alice, "/s").await;
        write(store, &alice, "/s/4").await;
        share(store, &alice, "/s", "bob", Right::Read).await;
        assert_eq!(his.hear().await, NOTHING);
        write(store, &alice, "/s/5").await;
        assert_eq!(his.hear().await, ["+/s/5"]);
        // Less of it than before.
        share(store, &alice, "/s/in", "bob", Right::Read).await;
        assert_eq!(his.hear().await, NOTHING);
        write(store, &alice, "/s/in/6").await;
        assert_eq!(his.hear().await, ["+/in/6", "+/s/in/6"]);
        revoke(store, &alice, "/s").await;
        write(store, &alice, "/s/7").await;
        write(store, &alice, "/s/in/8").await;
        assert_eq!(his.hear().await, ["+/in/8"]);
        remove(store, &alice, "/s").await;
        assert_eq!(his.hear().await, NOTHING);
        assert!(his.inside.positions().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_away_is_followed_into_the_other_drive() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        let carol = user(store, "carol").await;
        folder(store, &alice, "/s").await;
        share(store, &alice, "/s", "bob", Right::Read).await;
        let mut his = Listener::begin(store, &bob).await;
        let target = Target::Path(path("/s"));
        let offered = store.offer(&alice, &target, "carol", true, None);
        let id = offered.await.unwrap().id;
        let accepted = store.accept_offer(&carol, id, true, None);
        accepted.await.unwrap();
        assert_eq!(his.hear().await, NOTHING);
        write(store, &carol, "/s/1").await;
        write(store, &carol, "/2").await;
        folder(store, &alice, "/s").await;
        write(store, &alice, "/s/3").await;
        assert_eq!(his.hear().await, ["+/s/1"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_was_forgotten_means_to_look_at_all_of_it() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        folder(store, &alice, "/s").await;
        write(store, &alice, "/f").await;
        share(store, &alice, "/s", "bob", Right::Read).await;
        share(store, &alice, "/f", "bob", Right::Read).await;
        let mut his = Listener::begin(store, &bob).await;
        write(store, &alice, "/s/1").await;
        let floor = store.change_cursor(&alice).await.unwrap();
        store.forget_changes(alice.drive, floor).await.unwrap();
        let mut told = his.hear().await;
        told.sort_unstable();
        assert_eq!(told, ["*/s", "+/f"]);
        write(store, &alice, "/s/2").await;
        assert_eq!(his.hear().await, ["+/s/2"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_for_one_who_listens_is_bounded() {
    each_engine(async |store, clock| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        let long = "x".repeat(250);
        let mut at = String::new();
        for _ in 0..10 {
            at = format!("{at}/{long}");
        }
        for number in 0..60 {
            let deep = format!("{at}/{number}");
            folder(store, &alice, &deep).await;
            // So that it is known which are the oldest.
            clock.advance_ms(1);
            share(store, &alice, &deep, "bob", Right::Read).await;
        }
        let mut his = Listener::begin(store, &bob).await;
        let bytes: usize = his.inside.roots.values().map(Root::bytes).sum();
        assert!(bytes <= MOST_BYTES, "{bytes}");
        let (followed, left_out) = (his.inside.roots.len(), his.inside.left_out.len());
        assert_eq!(followed + left_out, 60);
        assert!(left_out > 0);
        // What is granted no more is not remembered among what there was no room for.
        for _ in 0..3 {
            revoke(store, &alice, &format!("{at}/58")).await;
            his.hear().await;
            remove(store, &alice, &format!("{at}/58")).await;
            folder(store, &alice, &format!("{at}/58")).await;
            share(store, &alice, &format!("{at}/58"), "bob", Right::Read).await;
            his.hear().await;
        }
        assert_eq!(his.inside.left_out.len(), left_out);
        // The oldest are followed; others when there is room again.
        write(store, &alice, &format!("{at}/0/a")).await;
        write(store, &alice, &format!("{at}/59/a")).await;
        assert_eq!(his.hear().await, ["+/0/a"]);
        for number in 0..30 {
            revoke(store, &alice, &format!("{at}/{number}")).await;
        }
        assert_eq!(his.hear().await, NOTHING);
        write(store, &alice, &format!("{at}/59/b")).await;
        assert_eq!(his.hear().await, ["+/59/b"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn much_that_happens_is_told_in_parts() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        let mut at = String::new();
        for number in 0..20 {
            at = format!("{at}/{number}");
            folder(store, &alice, &at).await;
            share(store, &alice, &at, "bob", Right::Read).await;
        }
        let mut his = Listener::begin(store, &bob).await;
        for number in 0..30 {
            write(store, &alice, &format!("{at}/f{number}")).await;
        }
        let inside = std::mem::take(&mut his.inside);
        let (inside, notices) = his.watch.read_inside(inside).await.unwrap();
        his.inside = inside;
        assert_eq!((notices.items.len(), notices.more), (260, true));
        let rest = his.hear().await;
        assert_eq!(rest.len(), 340);
        assert_eq!(rest[339], "+/9/10/11/12/13/14/15/16/17/18/19/f29");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listening_asks_little() {
    each_engine(async |store, _| {
        let (alice, bob) = (user(store, "alice").await, user(store, "bob").await);
        let statements = async |listener: &mut Listener| {
            let counter = Arc::new(AtomicU64::new(0));
            crate::count_statements(Arc::clone(&counter), listener.hear()).await;
            counter.load(Ordering::Relaxed)
        };
        let mut his = Listener::begin(store, &bob).await;
        let is_shared = u64::from(!store.db().is_exclusive());
        assert_eq!(statements(&mut his).await, is_shared);
        for number in 0..50 {
            let at = format!("/{number}");
            folder(store, &alice, &at).await;
            share(store, &alice, &at, "bob", Right::Read).await;
        }
        // Whether there is anything, what, and where.
        assert!(statements(&mut his).await <= 3);
        for number in 0..50 {
            write(store, &alice, &format!("/{number}/a")).await;
        }
        assert_eq!(statements(&mut his).await, 2);
    })
    .await;
}
