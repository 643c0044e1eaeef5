//! What happens inside of what others share, gathered for one client.
//!
//! Its owner may be busy beside what is shared, and all of that is read through here. So each look
//! reads on once: between two of them the client is heard, and told what else happens.

use std::mem;
use std::time::Duration;

use api::Change;
use store::{Inside, Watch};
use tokio::time::Instant;

use super::feed::change;

/// It is looked at by the clock of the connection, in this period, when something happened: so
/// nothing can be told by when a notice comes from what else happens in the drives of others.
const PERIOD: Duration = Duration::from_millis(100);
/// What is gathered for one message, or somewhat more.
const MOST_ITEMS: usize = 256;

/// Where a client stands in what others share.
pub(super) struct Gathering {
    inside: Inside,
    /// What was found and not told yet.
    items: Vec<Change>,
    /// When the next look is due, if something may have happened.
    due_at: Option<Instant>,
    /// From when on the periods are counted.
    began_at: Instant,
}

impl Gathering {
    pub fn new() -> Self {
        Self {
            inside: Inside::default(),
            items: Vec::new(),
            due_at: None,
            began_at: Instant::now(),
        }
    }

    pub fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// Something may have happened: looks at the end of the period in which we are.
    pub fn wake(&mut self) {
        let now = Instant::now();
        let into = now.duration_since(self.began_at).as_nanos() % PERIOD.as_nanos();
        let into = Duration::from_nanos(u64::try_from(into).unwrap_or_default());
        self.due_at = Some(now + PERIOD - into);
    }

    /// Reads on once; what there is to tell now. Where there may be more, the next look is due at
    /// once.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn look(&mut self, watch: &Watch) -> store::Result<Vec<Change>> {
        let read = watch.read_inside(mem::take(&mut self.inside)).await;
        let (inside, notices) = read?;
        self.inside = inside;
        self.items.extend(notices.items.into_iter().map(change));
        self.due_at = notices.more.then(Instant::now);
        if notices.more && self.items.len() < MOST_ITEMS {
            return Ok(Vec::new());
        }
        Ok(self.take())
    }

    /// What was found and is not told yet.
    pub fn take(&mut self) -> Vec<Change> {
        mem::take(&mut self.items)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use store::{
        Access, Actor, Admission, Caller, Condition, NewUser, Password, Path, Right, Store, Target,
    };
    use tempfile::TempDir;

    use super::*;
    use crate::config::Config;
    use crate::open::open_store;

    /// More lines than one look reads, many times over.
    const BESIDE: usize = 1100;

    async fn user(store: &Store, name: &str) -> Caller {
        let new = NewUser {
            username: Some(name.to_owned()),
            email: None,
            password: Password::new("correct horse"),
            access: Access::User,
            quota_bytes: None,
        };
        let made = store.register(new, Admission::By(Actor::Console), None);
        made.await.unwrap();
        let caller = store.authenticate_basic(name, "correct horse", None);
        caller.await.unwrap()
    }

    async fn folder(store: &Store, caller: &Caller, at: &str) {
        let path = Path::parse(at).unwrap();
        let made = store.make_folder(caller, &path, Condition::default());
        made.await.unwrap();
    }

    #[tokio::test]
    async fn however_much_happens_beside_a_share_one_look_reads_little_of_it() {
        let data = TempDir::new().unwrap();
        let config = Config {
            data: data.path().to_owned(),
            ..Config::default()
        };
        let store = open_store(&config).await.unwrap();
        let (alice, bob) = (user(&store, "alice").await, user(&store, "bob").await);
        folder(&store, &alice, "/s").await;
        let shared = Target::Path(Path::parse("/s").unwrap());
        let granted = store.grant(&alice, &shared, "bob", Right::Read, None);
        granted.await.unwrap();

        let (watch, mut gathering) = (store.watch(&bob), Gathering::new());
        assert!(gathering.look(&watch).await.unwrap().is_empty());
        let mut hasty = Gathering::new();
        assert!(hasty.look(&watch).await.unwrap().is_empty());
        folder(&store, &alice, "/s/first").await;
        for number in 0..BESIDE {
            folder(&store, &alice, &format!("/{number}")).await;
        }
        folder(&store, &alice, "/s/last").await;
        let (mut looks, mut told) = (0, Vec::new());
        while told.is_empty() {
            let counter = Arc::new(AtomicU64::new(0));
            let look = gathering.look(&watch);
            let look = Box::pin(store::count_statements(Arc::clone(&counter), look));
            told = look.await.unwrap();
            let asked = counter.load(Ordering::Relaxed);
            assert!(asked <= 3, "{asked} statements");
            looks += 1;
            assert_eq!(gathering.due_at().is_some(), told.is_empty());
        }
        assert!(looks > 3, "{looks}");
        // Nothing tells that other things happened in between.
        let paths = |told: &[Change]| -> Vec<String> {
            told.iter().map(|item| item.path.clone()).collect()
        };
        let (first, last) = ("/Shared with me/s/first", "/Shared with me/s/last");
        assert_eq!(paths(&told), [first, last]);
        // Before something else is said, what was found is told.
        assert!(hasty.look(&watch).await.unwrap().is_empty());
        assert_eq!(paths(&hasty.take()), [first]);
        let mut rest = Vec::new();
        while hasty.due_at().is_some() {
            rest = hasty.look(&watch).await.unwrap();
        }
        assert_eq!(paths(&rest), [last]);
    }
}
