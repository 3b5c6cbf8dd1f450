//! The keys and certificates of a client over time. In: files that somebody may replace at any
//! moment; out: for each new connection those of now, or, where the new ones are broken, those of
//! before and a warning.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};

use super::material::{Material, Stamp, load};

/// What a handshake needs.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) tls: Arc<ClientConfig>,
    /// Whether this side has a certificate to show.
    pub(crate) shown: bool,
}

/// The newest keys that could be read.
#[derive(Debug)]
pub(crate) struct Keyring {
    config: Arc<Config>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    material: Material,
    looked: Instant,
    /// The files that could not be used, and what was said about them.
    broken: Option<(Vec<Stamp>, String)>,
}

impl Keyring {
    /// Reads everything for the first time.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] with option, file and what is wrong with it.
    pub(crate) async fn open(config: Arc<Config>) -> Result<Self> {
        let material = apart({
            let config = Arc::clone(&config);
            move || load(&config)
        });
        let material = material.await?;
        warn_of_readers(&material);
        let state = State { material, looked: Instant::now(), broken: None };
        Ok(Self { config, state: Mutex::new(state) })
    }

    /// The keys for a new connection. The files are looked at once a second at most, and read only
    /// if they have changed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a change that was noticed is then noticed again.
    pub(crate) async fn keys(&self) -> Keys {
        if let Some(known) = self.is_due() {
            let config = Arc::clone(&self.config);
            let look = apart(move || {
                let now: Vec<Stamp> = known.iter().map(Stamp::now).collect();
                Ok((now != known).then(|| (now, load(&config))))
            });
            match look.await {
                Ok(Some((stamps, loaded))) => self.take(stamps, loaded),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "certificates could not be looked at"),
            }
        }
        let state = self.state();
        Keys { tls: Arc::clone(&state.material.tls), shown: state.material.shown }
    }

    /// The stamps to compare with, if it is time to look.
    fn is_due(&self) -> Option<Vec<Stamp>> {
        let mut state = self.state();
        if state.material.stamps.is_empty() || state.looked.elapsed() < LOOK_EVERY {
            return None;
        }
        state.looked = Instant::now();
        Some(state.material.stamps.clone())
    }

    fn take(&self, stamps: Vec<Stamp>, loaded: Result<Material>) {
        let mut state = self.state();
        match loaded {
            Ok(material) => {
                tracing::info!("certificates were replaced");
                warn_of_readers(&material);
                state.material = material;
                state.broken = None;
            }
            Err(error) => {
                // They may be half written, so they are tried again; but said once.
                let now = Some((stamps, error.to_string()));
                if state.broken != now {
                    tracing::warn!(%error, "new certificates cannot be used; the old ones stay");
                    state.broken = now;
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn_of_readers(material: &Material) {
    if let Some(file) = &material.loose {
        tracing::warn!(file, "others may read this client's private key; chmod 600 would end that");
    }
}

/// Runs what blocks on a thread for that.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let lost = |error| {
        Error::new(ErrorKind::Internal, "reading certificates broke off").with_source(error)
    };
    spawn_blocking(work).await.map_err(lost)?
}

/// How often files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
