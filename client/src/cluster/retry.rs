//! The one policy of trying again. In: an error; out: a pause and another turn, or the error that
//! the caller gets.

use klamm_protocol::code::ErrorCode;
use klamm_protocol::session::backoff::Backoff;
use tokio::time::{Instant, sleep_until};

use crate::error::{Error, ErrorKind, Result};

use super::Cluster;

/// Whether a request may be sent again when nobody knows what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It changes nothing, or nothing more the second time.
    Harmless,
    /// It might be carried out twice.
    Harmful,
}

impl Repeat {
    /// Whether a request that failed so may be sent again.
    pub(crate) fn allows(self, error: &Error) -> bool {
        let unknown = error.kind() == ErrorKind::OutcomeUnknown;
        error.is_retriable() || unknown && self == Self::Harmless
    }
}

/// The turns of one operation.
///
/// ```
/// use klamm_client::Result;
/// use klamm_client::cluster::{Cluster, Repeat, Retry};
/// use tokio::time::Instant;
///
/// async fn until<T>(
///     cluster: &Cluster,
///     deadline: Instant,
///     attempt: impl AsyncFn() -> Result<T>,
/// ) -> Result<T> {
///     let mut retry = Retry::new(cluster, deadline, Repeat::Harmless);
///     loop {
///         match attempt().await {
///             Err(error) => retry.after(error).await?,
///             done => return done,
///         }
///     }
/// }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Retry<'a> {
    cluster: &'a Cluster,
    backoff: Backoff,
    deadline: Instant,
    repeat: Repeat,
    failures: u32,
}

impl<'a> Retry<'a> {
    /// Turns until `deadline`, with the pauses of `retry.backoff.ms` and `retry.backoff.max.ms`.
    pub fn new(cluster: &'a Cluster, deadline: Instant, repeat: Repeat) -> Self {
        let config = cluster.config();
        let backoff = Backoff::new(*config.retry_backoff(), *config.retry_backoff_max());
        Self { cluster, backoff, deadline, repeat, failures: 0 }
    }

    /// When the whole operation ends.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Turns so far that have failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Pauses before the next turn, after having the metadata refreshed where the error says that
    /// it is stale or a broker is gone.
    ///
    /// # Errors
    ///
    /// `error` itself if another turn cannot help or might do harm; [`ErrorKind::TimedOut`] with it
    /// as source if the deadline comes before the next turn.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn after(&mut self, error: Error) -> Result<()> {
        if !self.repeat.allows(&error) {
            return Err(error);
        }
        self.failures = self.failures.saturating_add(1);
        let turn = Instant::now() + self.backoff.pause(self.failures, fastrand::f64());
        if turn >= self.deadline {
            return Err(self.too_late(error));
        }
        tracing::debug!(%error, failures = self.failures, "trying again");
        // Without a code it was the way to the broker that failed, and it may be the wrong broker.
        if error.is_stale_metadata()
            || error.code().is_none_or(|code| code == ErrorCode::NOT_CONTROLLER)
        {
            self.cluster.mark_stale();
        }
        sleep_until(turn).await;
        Ok(())
    }

    /// The last failure says more than that time has passed, so its words stay.
    pub(crate) fn too_late(&self, error: Error) -> Error {
        let what = format!("gave up after {} attempts: {}", self.failures, error.what());
        error.retold(ErrorKind::TimedOut, what)
    }
}
