//! A fixed number of connections, lent out one caller at a time.

use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::closed;
use crate::error::Result;

pub(super) struct Parking<C> {
    free: Mutex<Vec<C>>,
    places: Arc<Semaphore>,
}

pub(super) struct Place<C> {
    lot: Arc<Parking<C>>,
    connection: Option<C>,
    _permit: OwnedSemaphorePermit,
}

impl<C> Parking<C> {
    pub fn new(connections: Vec<C>) -> Self {
        let places = Arc::new(Semaphore::new(connections.len()));
        Self {
            free: Mutex::new(connections),
            places,
        }
    }

    pub async fn take(self: &Arc<Self>) -> Result<Place<C>> {
        let permit = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let connection = self.free.lock().expect("no panic while held").pop();
        Ok(Place {
            lot: Arc::clone(self),
            connection,
            _permit: permit,
        })
    }
}

impl<C> Place<C> {
    pub fn get(&self) -> &C {
        self.connection
            .as_ref()
            .expect("a permit stands for a connection")
    }
}

impl<C> Drop for Place<C> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.lot
                .free
                .lock()
                .expect("no panic while held")
                .push(connection);
        }
    }
}
