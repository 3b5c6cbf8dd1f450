//! What tests do to a slot: let its process die or wait at a step, or plant one of the bugs that the guarantee depends
//! on not being there. In: a script; out: the step goes on, waits, or fails.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::error::{Error, ErrorKind, Result};

/// Where a script may interfere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Between fencing and reading the marker.
    Between,
    /// A transaction is begun and has no row.
    Begun,
    /// The marker is stored, the transaction not ended.
    Marked,
    /// The transaction is ended, and nobody was told.
    Ended,
}

/// A bug.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Plant {
    #[default]
    None,
    /// The marker is stored by a request of its own.
    MarkerOutside,
    /// The marker is read, and then its writer fenced.
    ReadBeforeFencing,
}

/// What happens at which step, the first time that it is reached.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    plant: Plant,
    act: Arc<Mutex<Option<(Step, Act)>>>,
}

#[derive(Debug)]
enum Act {
    Die,
    Wait(Arc<Gate>),
}

/// Where a step waits until the test lets it through.
#[derive(Debug, Default)]
pub(super) struct Gate {
    pub(super) reached: Notify,
    pub(super) open: Notify,
}

impl Script {
    pub(super) fn with(plant: Plant) -> Self {
        Self { plant, act: Arc::default() }
    }

    pub(super) fn has(&self, plant: Plant) -> bool {
        self.plant == plant
    }

    pub(super) fn die_at(&self, step: Step) {
        *self.act() = Some((step, Act::Die));
    }

    pub(super) fn wait_at(&self, step: Step) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        *self.act() = Some((step, Act::Wait(Arc::clone(&gate))));
        gate
    }

    pub(super) async fn reach(&self, step: Step) -> Result<()> {
        let act = self.act().take_if(|(at, _)| *at == step);
        match act {
            None => Ok(()),
            Some((_, Act::Die)) => Err(Error::new(ErrorKind::Internal, "the process died")),
            Some((_, Act::Wait(gate))) => {
                gate.reached.notify_one();
                gate.open.notified().await;
                Ok(())
            }
        }
    }

    fn act(&self) -> std::sync::MutexGuard<'_, Option<(Step, Act)>> {
        self.act.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
