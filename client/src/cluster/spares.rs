//! Connections that were somebody's own, kept for the next who wants one: it saves opening, and with
//! it the greeting. In: connections that nobody uses any more; out: open ones. Brokers and
//! `connections.max.idle.ms` end those that nobody takes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::config::Address;
use crate::net::handle::Handle;

/// The idle connections of one client, the one used last at the end.
#[derive(Debug, Default)]
pub(super) struct Spares(Mutex<Vec<Spare>>);

#[derive(Debug)]
struct Spare {
    node: i32,
    address: Address,
    handle: Handle,
}

impl Spares {
    /// An open connection to this broker at this address. The one used last is the least likely to
    /// end.
    pub(super) fn take(&self, node: i32, address: &Address) -> Option<Handle> {
        let mut spares = self.lock();
        spares.retain(|spare| spare.handle.is_open());
        let at = spares.iter().rposition(|one| one.node == node && one.address == *address)?;
        Some(spares.remove(at).handle)
    }

    /// The connection, which comes here when nobody uses it any more.
    pub(super) fn lend(self: &Arc<Self>, handle: Handle, node: i32, address: Address) -> Handle {
        let home: Weak<Self> = Arc::downgrade(self);
        handle.lent(Box::new(move |handle| {
            if let Some(spares) = home.upgrade() {
                spares.keep(Spare { node, address: address.clone(), handle });
            }
        }))
    }

    /// Ends all of them.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// Addresses are counted, not ids: a cluster that makes up brokers makes up no connections.
    fn keep(&self, spare: Spare) {
        let mut spares = self.lock();
        spares.retain(|spare| spare.handle.is_open());
        let alike = |one: &Spare| one.address == spare.address;
        if spares.iter().filter(|one| alike(one)).count() >= MOST_ALIKE
            && let Some(oldest) = spares.iter().position(alike)
        {
            spares.remove(oldest);
        } else if spares.len() >= MOST_SPARES {
            spares.remove(0);
        }
        spares.push(spare);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Spare>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As many readers of one client as usually begin and end together at one broker.
const MOST_ALIKE: usize = 4;

/// More would cost a large cluster more sockets than it saves greetings.
const MOST_SPARES: usize = 64;
