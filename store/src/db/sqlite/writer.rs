//! The one writer: whatever waits is applied inside one transaction and acknowledged after its
//! commit (group commit).
//!
//! Mutations check before they write, so nearly all that are refused have written nothing, and
//! none needs a savepoint, for which SQLite would copy every page it touches. The rare one that is
//! refused after it has written takes the batch back with it: all of it is applied again, now each
//! mutation in a savepoint of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::super::{Connection as TxConnection, OnCommit, Tx, panicked};
use crate::cache::Effect;
use crate::error::{DatabaseError, Error, Result};

/// Mutations that one commit makes durable together, at most.
const BATCH: usize = 256;

/// A mutation on its way to the writer.
pub(super) trait Mutation: Send {
    /// Applies it, perhaps not for the first time; whether it is to be kept.
    fn apply(&mut self, connection: &Connection) -> bool;
    /// What it changed that caches must forget.
    fn effects(&self) -> &[Effect];
    /// Why it was refused, should it have cost the whole transaction.
    fn cause(&self) -> Lost;
    /// Tells the caller what became of it.
    fn finish(self: Box<Self>, outcome: std::result::Result<(), &Lost>);
}

/// The mutation `work`, whose outcome somebody waits for.
pub(super) struct Pending<T, F> {
    work: F,
    outcome: Option<Result<T>>,
    statements: u64,
    effects: Vec<Effect>,
    reply: oneshot::Sender<(Result<T>, u64)>,
}

impl<T, F> Pending<T, F> {
    pub fn new(work: F, reply: oneshot::Sender<(Result<T>, u64)>) -> Self {
        Self {
            work,
            outcome: None,
            statements: 0,
            effects: Vec::new(),
            reply,
        }
    }
}

impl<T, F> Mutation for Pending<T, F>
where
    T: Send,
    F: Fn(&mut Tx<'_>) -> Result<T> + Send,
{
    fn apply(&mut self, connection: &Connection) -> bool {
        let mut tx = Tx::new(TxConnection::Sqlite(connection));
        let result = catch_unwind(AssertUnwindSafe(|| (self.work)(&mut tx)))
            .unwrap_or_else(|_| Err(panicked()));
        let is_kept = result.is_ok();
        self.statements = tx.statements;
        self.effects = tx.effects;
        self.outcome = Some(result);
        is_kept
    }

    fn effects(&self) -> &[Effect] {
        match self.outcome {
            Some(Ok(_)) => &self.effects,
            _ => &[],
        }
    }

    fn cause(&self) -> Lost {
        match &self.outcome {
            Some(Err(error)) => Lost::by(error),
            _ => Lost::Before("SQLite gave it up".to_owned()),
        }
    }

    fn finish(self: Box<Self>, outcome: std::result::Result<(), &Lost>) {
        let result = match (outcome, self.outcome) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(super::closed()),
            (Err(lost), _) => Err(lost.error()),
        };
        // A caller that went away does not need to know.
        let _ = self.reply.send((result, self.statements));
    }
}

/// Why a whole transaction was not kept.
#[derive(Debug, Clone)]
pub(super) enum Lost {
    /// There was no room for it: nothing was written.
    DiskFull,
    /// It failed before its commit: nothing was written.
    Before(String),
    /// Its commit failed, which leaves open what the disk holds.
    Commit(String),
    /// The commit of one before it failed.
    Poisoned,
}

impl Lost {
    fn by(error: &Error) -> Self {
        match error {
            Error::DiskFull => Self::DiskFull,
            Error::Database(inner) => Self::Before(inner.to_string()),
            error => Self::Before(error.to_string()),
        }
    }

    fn error(&self) -> Error {
        let text = match self {
            Self::DiskFull => return Error::DiskFull,
            Self::Before(cause) | Self::Commit(cause) => cause.as_str(),
            Self::Poisoned => "an earlier commit failed; restart the daemon",
        };
        Error::Database(DatabaseError(text.into()))
    }
}

const BEGIN: &str = "BEGIN IMMEDIATE";

type Batch = Vec<Box<dyn Mutation>>;

/// Applies, commits and answers until nobody can send mutations any more.
pub(super) fn run(
    connection: &Connection,
    mutations: &mpsc::Receiver<Box<dyn Mutation>>,
    on_commit: &OnCommit,
) {
    let mut poisoned = false;
    while let Ok(first) = mutations.recv() {
        let mut batch = Batch::new();
        let outcome = if poisoned {
            batch.push(first);
            Err(Lost::Poisoned)
        } else {
            write_batch(connection, first, mutations, &mut batch)
        };
        match &outcome {
            Ok(()) => batch.iter().for_each(|done| on_commit(done.effects())),
            Err(lost) => {
                if !connection.is_autocommit() {
                    let _ = connection.execute_batch("ROLLBACK");
                }
                // After a failed sync the pages in memory and on disk may differ in ways nobody
                // can know; only a restart, which replays the log from disk, is safe.
                match lost {
                    Lost::Commit(cause) => {
                        tracing::error!(cause, "a commit failed; no more writes until restart");
                        poisoned = true;
                    }
                    Lost::Before(cause) => {
                        tracing::error!(cause, "a transaction was lost before its commit");
                    }
                    Lost::DiskFull | Lost::Poisoned => {}
                }
            }
        }
        for done in batch {
            done.finish(outcome.as_ref().copied());
        }
    }
}

/// Applies `first` and all that wait behind it, and commits. Even when it fails, `batch` holds
/// every mutation that was taken.
fn write_batch(
    connection: &Connection,
    first: Box<dyn Mutation>,
    mutations: &mpsc::Receiver<Box<dyn Mutation>>,
    batch: &mut Batch,
) -> std::result::Result<(), Lost> {
    batch.push(first);
    execute(connection, BEGIN)?;
    let mut careful = false;
    loop {
        let mutation = batch.last_mut().expect("there is a first one");
        if careful {
            apply_apart(connection, mutation.as_mut())?;
        } else {
            let rows = connection.total_changes();
            let is_kept = mutation.apply(connection);
            if connection.is_autocommit() {
                return Err(mutation.cause());
            }
            if !is_kept && connection.total_changes() != rows {
                execute(connection, "ROLLBACK")?;
                execute(connection, BEGIN)?;
                careful = true;
                for mutation in batch.iter_mut() {
                    apply_apart(connection, mutation.as_mut())?;
                }
            }
        }
        if batch.len() == BATCH {
            break;
        }
        match mutations.try_recv() {
            Ok(next) => batch.push(next),
            Err(_) => break,
        }
    }
    execute(connection, "COMMIT").map_err(|lost| match lost {
        Lost::Before(cause) => Lost::Commit(cause),
        lost => lost,
    })
}

/// Applies a mutation in a savepoint, so that its failure is its own.
fn apply_apart(
    connection: &Connection,
    mutation: &mut dyn Mutation,
) -> std::result::Result<(), Lost> {
    execute(connection, "SAVEPOINT mutation")?;
    let is_kept = mutation.apply(connection);
    if connection.is_autocommit() {
        return Err(mutation.cause());
    }
    if !is_kept {
        execute(connection, "ROLLBACK TO mutation")?;
    }
    execute(connection, "RELEASE mutation")
}

fn execute(connection: &Connection, sql: &'static str) -> std::result::Result<(), Lost> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]))
        .map(drop)
        .map_err(|error| Lost::by(&error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE line (text TEXT NOT NULL PRIMARY KEY)")
            .unwrap();
        connection
    }

    fn lines(connection: &Connection) -> Vec<String> {
        let mut all = connection
            .prepare("SELECT text FROM line ORDER BY text")
            .unwrap();
        let rows = all.query_map([], |row| row.get(0)).unwrap();
        rows.map(|row| row.unwrap()).collect()
    }

    /// Sends mutations that all wait before the first is taken; their outcomes.
    fn write_together(connection: &Connection, works: &[(&'static str, bool)]) -> Vec<bool> {
        let (sender, mutations) = mpsc::channel::<Box<dyn Mutation>>();
        let mut answers = Vec::new();
        for &(text, is_kept) in works {
            let (reply, answer) = oneshot::channel();
            let work = move |tx: &mut Tx<'_>| {
                tx.execute(
                    "INSERT INTO line (text) VALUES ($1)",
                    crate::db::args![text],
                )?;
                if is_kept { Ok(()) } else { Err(Error::Busy) }
            };
            sender.send(Box::new(Pending::new(work, reply))).unwrap();
            answers.push(answer);
        }
        drop(sender);
        let nothing: OnCommit = std::sync::Arc::new(|_: &[Effect]| ());
        run(connection, &mutations, &nothing);
        let outcome = |answer: oneshot::Receiver<(Result<()>, u64)>| {
            answer.blocking_recv().unwrap().0.is_ok()
        };
        answers.into_iter().map(outcome).collect()
    }

    #[test]
    fn a_mutation_refused_after_it_has_written_leaves_nothing_and_harms_no_other() {
        let connection = database();
        let works = [("a", true), ("b", false), ("c", true), ("d", false)];
        let kept = write_together(&connection, &works);
        assert_eq!(kept, [true, false, true, false]);
        assert_eq!(lines(&connection), ["a", "c"]);
    }

    #[test]
    fn everybody_in_a_lost_transaction_learns_why_and_the_next_one_goes_on() {
        for (is_full, told) in [
            (true, "the server's disk is full"),
            (false, "database: disk I/O error"),
        ] {
            let connection = database();
            let (sender, mutations) = mpsc::channel::<Box<dyn Mutation>>();
            let mut answers = Vec::new();
            for sql in [
                "INSERT INTO line (text) VALUES ('a')",
                // What SQLite does by itself when the disk fails.
                "ROLLBACK",
                "INSERT INTO line (text) VALUES ('b')",
            ] {
                let (reply, answer) = oneshot::channel();
                let work = move |tx: &mut Tx<'_>| {
                    tx.execute(sql, crate::db::args![])?;
                    match sql {
                        "ROLLBACK" if is_full => Err(Error::DiskFull),
                        "ROLLBACK" => Err(Error::Database(DatabaseError("disk I/O error".into()))),
                        _ => Ok(()),
                    }
                };
                sender.send(Box::new(Pending::new(work, reply))).unwrap();
                answers.push(answer);
            }
            drop(sender);
            let nothing: OnCommit = std::sync::Arc::new(|_: &[Effect]| ());
            run(&connection, &mutations, &nothing);
            let outcomes: Vec<Option<String>> = answers
                .into_iter()
                .map(|answer| answer.blocking_recv().unwrap().0.err())
                .map(|error| error.map(|error| error.to_string()))
                .collect();
            let told = Some(told.to_owned());
            assert_eq!(outcomes, [told.clone(), told, None]);
            assert_eq!(lines(&connection), ["b"]);
        }
    }
}
