//! A long session of many steps that reports every failed step, not only the first.

use std::fmt::Debug;

/// What went wrong so far in one session.
pub struct Steps {
    session: String,
    done: usize,
    failed: Vec<String>,
}

impl Steps {
    /// Opens the session called `session`.
    pub fn new(session: &str) -> Self {
        Self {
            session: session.to_owned(),
            done: 0,
            failed: Vec::new(),
        }
    }

    /// Records whether `holds`; `detail` is printed when it does not.
    pub fn check(&mut self, step: &str, holds: bool, detail: impl Debug) -> bool {
        self.done += 1;
        if !holds {
            self.failed.push(format!("{step}: {detail:?}"));
        }
        holds
    }

    /// Records whether `got` equals `expected`.
    pub fn equal<L: Debug + PartialEq<R>, R: Debug>(&mut self, step: &str, got: L, expected: R) {
        self.done += 1;
        if got != expected {
            self.failed
                .push(format!("{step}: got {got:?}, expected {expected:?}"));
        }
    }

    /// Ends the session; panics with every failed step, if there is one.
    #[track_caller]
    pub fn finish(self) {
        assert!(
            self.failed.is_empty(),
            "{}: {} of {} steps failed\n  {}",
            self.session,
            self.failed.len(),
            self.done,
            self.failed.join("\n  ")
        );
    }
}
