//! Plans for what two trees may differ in, and which requests may be under way together.

use tempfile::TempDir;

use super::plan::{Step, aside_name, plan_name};
use super::{Flight, Key, Reach};
use crate::fs::{Ino, ROOT};
use crate::state::{Db, Name, Node};

fn at(parent: Ino, name: &str) -> Name {
    (parent, name.to_owned())
}

/// Two trees: files (or folders, by a `/` at the end) with the names they have here and there.
struct Trees {
    db: Db,
    _cache: TempDir,
}

impl Trees {
    fn new() -> Self {
        let cache = TempDir::new().unwrap();
        let db = Db::open(cache.path()).unwrap();
        let mut root = Node::new(0o040_755, 0, 0, 0);
        root.ino = ROOT;
        db.insert(&root).unwrap();
        Self { db, _cache: cache }
    }

    fn node(&self, folder: bool, here: Option<Name>, there: Option<Name>) -> Ino {
        let mode = if folder { 0o040_755 } else { 0o100_644 };
        let ino = self.db.insert(&Node::new(mode, 0, 0, 0)).unwrap();
        if let Some((parent, name)) = here {
            self.db.add_entry(parent, &name, ino).unwrap();
        }
        if let Some((parent, name)) = there {
            self.db.put_synced(parent, &name, ino).unwrap();
        }
        ino
    }

    fn plan(&self, parent: Ino, name: &str) -> Step {
        plan_name(&self.db, parent, name).unwrap()
    }
}

#[test]
fn what_is_new_is_made_after_the_folder_it_lies_in() {
    let trees = Trees::new();
    let d = trees.node(true, Some(at(ROOT, "d")), None);
    let f = trees.node(false, Some(at(d, "f")), None);
    let make = Step::MakeFolder {
        at: at(ROOT, "d"),
        ino: d,
    };
    assert_eq!(trees.plan(d, "f"), make);
    trees.db.put_synced(ROOT, "d", d).unwrap();
    let put = Step::Put {
        at: at(d, "f"),
        ino: f,
        replaces: None,
    };
    assert_eq!(trees.plan(d, "f"), put);
}

#[test]
fn a_chain_of_renames_begins_at_its_end() {
    let trees = Trees::new();
    // b was renamed to c, then a to b.
    let a = trees.node(false, Some(at(ROOT, "b")), Some(at(ROOT, "a")));
    let b = trees.node(false, Some(at(ROOT, "c")), Some(at(ROOT, "b")));
    let first = Step::Move {
        from: at(ROOT, "b"),
        to: at(ROOT, "c"),
        ino: b,
        replaces: None,
    };
    for name in ["a", "b", "c"] {
        assert_eq!(trees.plan(ROOT, name), first, "{name}");
    }
    trees.db.remove_synced(ROOT, "b").unwrap();
    trees.db.put_synced(ROOT, "c", b).unwrap();
    let second = Step::Move {
        from: at(ROOT, "a"),
        to: at(ROOT, "b"),
        ino: a,
        replaces: None,
    };
    assert_eq!(trees.plan(ROOT, "a"), second);
    assert_eq!(trees.plan(ROOT, "b"), second);
}

#[test]
fn a_circle_is_broken_by_a_step_aside() {
    let trees = Trees::new();
    let a = trees.node(false, Some(at(ROOT, "b")), Some(at(ROOT, "a")));
    let b = trees.node(false, Some(at(ROOT, "a")), Some(at(ROOT, "b")));
    let step = trees.plan(ROOT, "a");
    let Step::Move { from, to, ino, .. } = step else {
        panic!("{step:?}");
    };
    assert!([a, b].contains(&ino));
    assert_eq!(to, at(ROOT, &aside_name(ino)));
    trees.db.remove_synced(from.0, &from.1).unwrap();
    trees.db.put_synced(to.0, &to.1, ino).unwrap();
    // The rest is a chain.
    for _ in 0..2 {
        let names = ["a", "b"].map(|name| trees.plan(ROOT, name));
        let step = names.into_iter().find(|step| *step != Step::Nothing);
        let Some(Step::Move {
            from,
            to,
            ino,
            replaces: None,
        }) = step
        else {
            panic!("{step:?}");
        };
        trees.db.remove_synced(from.0, &from.1).unwrap();
        trees.db.put_synced(to.0, &to.1, ino).unwrap();
    }
    assert_eq!(trees.db.synced(ROOT, "a").unwrap(), Some(b));
    assert_eq!(trees.db.synced(ROOT, "b").unwrap(), Some(a));
}

#[test]
fn what_takes_the_place_of_the_folder_it_was_in_gets_out_first() {
    for is_folder in [false, true] {
        let trees = Trees::new();
        // d/x/f was renamed to f, d/x and d were removed, and f was renamed to d.
        let d = trees.node(true, None, Some(at(ROOT, "d")));
        let x = trees.node(true, None, Some(at(d, "x")));
        let f = trees.node(is_folder, Some(at(ROOT, "d")), Some(at(x, "f")));
        let aside = at(ROOT, &aside_name(f));
        let out = Step::Move {
            from: at(x, "f"),
            to: aside.clone(),
            ino: f,
            replaces: None,
        };
        assert_eq!(trees.plan(ROOT, "d"), out);
        trees.db.remove_synced(x, "f").unwrap();
        trees.db.put_synced(aside.0, &aside.1, f).unwrap();
        for (parent, name, ino) in [(d, "x", x), (ROOT, "d", d)] {
            let removal = Step::Remove {
                at: at(parent, name),
                ino,
                folder: true,
            };
            assert_eq!(trees.plan(ROOT, "d"), removal);
            trees.db.remove_synced(parent, name).unwrap();
        }
        let last = Step::Move {
            from: aside,
            to: at(ROOT, "d"),
            ino: f,
            replaces: None,
        };
        assert_eq!(trees.plan(ROOT, "d"), last);
    }
}

#[test]
fn a_new_file_over_an_old_one_is_one_write_of_it() {
    let trees = Trees::new();
    let old = trees.node(false, None, Some(at(ROOT, "a")));
    let new = trees.node(false, Some(at(ROOT, "a")), None);
    let put = Step::Put {
        at: at(ROOT, "a"),
        ino: new,
        replaces: Some(old),
    };
    assert_eq!(trees.plan(ROOT, "a"), put);
}

#[test]
fn what_has_another_name_is_not_written_over() {
    let trees = Trees::new();
    let old = trees.node(false, Some(at(ROOT, "b")), Some(at(ROOT, "a")));
    trees.db.put_synced(ROOT, "b", old).unwrap();
    trees.node(false, Some(at(ROOT, "a")), None);
    let remove = Step::Remove {
        at: at(ROOT, "a"),
        ino: old,
        folder: false,
    };
    assert_eq!(trees.plan(ROOT, "a"), remove);
}

#[test]
fn one_more_name_is_bound() {
    let trees = Trees::new();
    let ino = trees.node(false, Some(at(ROOT, "a")), Some(at(ROOT, "a")));
    trees.db.add_entry(ROOT, "b", ino).unwrap();
    let bind = Step::Bind {
        existing: at(ROOT, "a"),
        at: at(ROOT, "b"),
        ino,
    };
    assert_eq!(trees.plan(ROOT, "b"), bind);
}

#[test]
fn a_folder_is_emptied_before_it_is_removed() {
    let trees = Trees::new();
    let d = trees.node(true, None, Some(at(ROOT, "d")));
    let kept = trees.node(false, Some(at(ROOT, "x")), Some(at(d, "x")));
    let moved = Step::Move {
        from: at(d, "x"),
        to: at(ROOT, "x"),
        ino: kept,
        replaces: None,
    };
    assert_eq!(trees.plan(ROOT, "d"), moved);
    trees.db.remove_synced(d, "x").unwrap();
    trees.db.put_synced(ROOT, "x", kept).unwrap();
    let remove = Step::Remove {
        at: at(ROOT, "d"),
        ino: d,
        folder: true,
    };
    assert_eq!(trees.plan(ROOT, "d"), remove);
}

#[test]
fn a_folder_is_removed_beside_others_but_not_beside_what_is_in_it() {
    let mut flight = Flight::default();
    let name = |parent, name| Key::Name(at(parent, name));
    let (inside, elsewhere) = ([name(7, "a"), Key::Node(8)], [name(ROOT, "b")]);
    let folder = [name(ROOT, "f"), Key::Node(7)];
    assert!(flight.begin(&inside, Reach::Itself));
    assert!(flight.begin(&elsewhere, Reach::Itself));
    assert!(!flight.begin(&folder, Reach::Inside(7)));
    flight.end(&inside);
    assert!(flight.begin(&folder, Reach::Inside(7)));
    assert!(!flight.begin(&inside, Reach::Itself));
    flight.end(&folder);
    assert!(flight.begin(&inside, Reach::Itself));
}

#[test]
fn what_changes_the_paths_of_others_is_alone() {
    let mut flight = Flight::default();
    let (moved, other) = ([Key::Node(7)], [Key::Node(8)]);
    assert!(flight.begin(&other, Reach::Itself));
    assert!(!flight.begin(&moved, Reach::All));
    flight.end(&other);
    assert!(flight.begin(&moved, Reach::All));
    assert!(!flight.begin(&other, Reach::Itself));
    flight.end(&moved);
    assert!(flight.begin(&other, Reach::Itself));
}
