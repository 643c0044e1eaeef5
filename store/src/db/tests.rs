use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

use super::*;
use crate::testing::{each_engine, each_engine_with};

#[tokio::test]
async fn a_refusal_is_final() {
    each_engine(async |store, _| {
        let attempts = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&attempts);
        let refused = store.db().write(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(Error::Busy)
        });
        assert!(matches!(refused.await, Err(Error::Busy)));
        assert_eq!(attempts.load(Ordering::Relaxed), 1);
    })
    .await;
}

#[tokio::test]
async fn a_snapshot_stays_as_it_is_while_others_write() {
    each_engine(async |store, _| {
        let (writer, runtime) = (store.clone(), Handle::current());
        let seen = store.db().read_snapshot(move |tx| {
            let count = |tx: &mut Tx<'_>| {
                tx.first("SELECT COUNT(*) FROM setting", args![], |row| {
                    row.get::<i64>(0)
                })
            };
            let before = count(tx)?;
            runtime.block_on(writer.db().write(|tx| {
                tx.execute(
                    "INSERT INTO setting (name, value) VALUES ('new', $1)",
                    args![vec![1u8]],
                )
            }))?;
            Ok((before, count(tx)?))
        });
        let (before, after) = seen.await.unwrap();
        assert_eq!(before, after);
    })
    .await;
}

#[tokio::test]
async fn nobody_waits_for_a_connection_without_end() {
    let change = |options: &mut crate::Options| {
        if let Database::Postgres { pool, .. } = &mut options.database {
            pool.size = 1;
            pool.acquire_timeout = Duration::from_secs(3);
        }
    };
    each_engine_with(change, async |store, _| {
        if store.db().is_exclusive() {
            return; // A file: there is no pool.
        }
        let (begin, begun) = oneshot::channel();
        let (end, ended) = oneshot::channel::<()>();
        let holder = store.clone();
        let holding = tokio::spawn(async move {
            let work = move |_: &mut Tx<'_>| {
                let _ = begin.send(());
                let _ = ended.blocking_recv();
                Ok(())
            };
            holder.db().read(work).await
        });
        begun.await.unwrap();
        assert!(matches!(store.ready().await, Err(Error::Busy)));
        drop(end);
        holding.await.unwrap().unwrap();
    })
    .await;
}
