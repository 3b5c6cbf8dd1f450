//! Tickets of Kerberos. In: a key or a ticket cache in a file, and where KDCs are; out: for each broker
//! a ticket that is fresh enough. Each serves all connections to its broker until four fifths of its
//! life are over; while no KDC answers, the old one serves to its end.

mod files;
mod words;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use crate::config::KerberosPlan;
use crate::credentials::{CredentialSource, Credentials, Obtaining, random};
use crate::error::{Error, ErrorKind, Result};
use crate::kerberos::keytab::Entry;
use crate::kerberos::messages::{Chance, Question, Ticket, is_unavailable};
use crate::kerberos::{Etype, KerberosError, Key, Principal};
use crate::net::dial::Dial;

use super::kdc;
use files::{Files, Proof};

/// Asks for tickets, and keeps them.
pub(super) struct Tickets {
    plan: KerberosPlan,
    dial: Arc<dyn Dial>,
    patience: Duration,
    /// Held while one asks, so that all who wait get the same ticket.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// With which one asks for the others.
    first: Option<Fresh>,
    /// By the broker's host.
    services: HashMap<String, Fresh>,
}

/// A ticket, and from when on another is asked for.
#[derive(Clone)]
struct Fresh {
    ticket: Arc<Ticket>,
    stale: SystemTime,
}

impl Fresh {
    fn new(ticket: Ticket, now: SystemTime) -> Self {
        let life = ticket.end.duration_since(now).unwrap_or_default();
        Self { stale: now + life.mul_f64(FRESH), ticket: Arc::new(ticket) }
    }
}

impl Tickets {
    /// Nobody is asked yet. A ticket may take as long as `patience`.
    pub(super) fn new(plan: KerberosPlan, dial: Arc<dyn Dial>, patience: Duration) -> Self {
        Self { plan, dial, patience, kept: Mutex::default() }
    }

    async fn ticket(&self, host: &str) -> Result<Arc<Ticket>> {
        // MIT's and Java's clients write hosts so, too.
        let host = host.to_ascii_lowercase();
        let deadline = Instant::now() + self.patience;
        let mut kept = self.kept.lock().await;
        let now = SystemTime::now();
        let old = kept.services.get(&host).cloned();
        if let Some(fresh) = old.as_ref().filter(|fresh| now < fresh.stale) {
            return Ok(Arc::clone(&fresh.ticket));
        }
        let obtained = timeout_at(deadline, self.obtain(&mut kept, &host, deadline)).await;
        let error = match obtained {
            Ok(Ok(ticket)) => {
                if kept.services.len() >= MOST_SERVICES {
                    kept.services.clear();
                }
                let fresh = Fresh::new(ticket, now);
                let ticket = Arc::clone(&fresh.ticket);
                kept.services.insert(host, fresh);
                return Ok(ticket);
            }
            Ok(Err(error)) => error,
            Err(late) => Error::new(ErrorKind::TimedOut, "getting a ticket took too long")
                .with_hint("check that the KDCs in krb5.conf can be reached over TCP")
                .with_source(late),
        };
        // Asking took its time.
        match old.filter(|fresh| SystemTime::now() + LEAST < fresh.ticket.end) {
            Some(fresh) => {
                tracing::warn!(%error, "there is no new ticket; the old one still serves");
                Ok(fresh.ticket)
            }
            None => Err(error),
        }
    }

    /// A ticket for the broker on this host, from the KDC.
    async fn obtain(&self, kept: &mut Kept, host: &str, deadline: Instant) -> Result<Ticket> {
        let plan = self.plan.clone();
        let read = spawn_blocking(move || Files::read(&plan)).await;
        let files = read.map_err(|lost| {
            Error::new(ErrorKind::Internal, "reading files of Kerberos broke off").with_source(lost)
        })??;
        let realm = files.conf.realm_of(host).unwrap_or(&files.client.realm);
        if realm != files.client.realm {
            return Err(words::other_realm(&files.client, realm));
        }
        let components = vec![self.plan.service.clone(), host.to_owned()];
        let service = Principal { components, realm: realm.to_owned() };
        let first = self.first(kept, &files, deadline).await?;
        let question = Question::for_service(&first, &service, SystemTime::now(), chance()?);
        let same = |etype: Etype| (etype == first.key.etype()).then_some(&first.key);
        let asked = self.ask(&files, &question, same, deadline).await?;
        asked.map_err(|error| {
            // It may be the first ticket's fault: the next attempt begins with another.
            kept.first = None;
            words::no_service_ticket(&error, &service)
        })
    }

    /// A ticket with which one asks for others.
    async fn first(
        &self,
        kept: &mut Kept,
        files: &Files,
        deadline: Instant,
    ) -> Result<Arc<Ticket>> {
        let now = SystemTime::now();
        let ticket = match &files.proof {
            Proof::Ticket(ticket) => return Ok(Arc::clone(ticket)),
            Proof::Keys(keys) => {
                let old = kept.first.as_ref().filter(|fresh| now < fresh.stale);
                if let Some(fresh) = old.filter(|fresh| fresh.ticket.client == files.client) {
                    return Ok(Arc::clone(&fresh.ticket));
                }
                self.log_in(files, keys, deadline).await?
            }
        };
        let fresh = kept.first.insert(Fresh::new(ticket, now));
        Ok(Arc::clone(&fresh.ticket))
    }

    /// Asks with a key: without a proof at first, since the KDC then says which one it wants.
    async fn log_in(&self, files: &Files, keys: &[Entry], deadline: Instant) -> Result<Ticket> {
        let mut etypes: Vec<_> =
            keys.iter().filter_map(|one| one.key.as_ref()).map(Key::etype).collect();
        etypes.sort_by_key(|etype| Etype::ALL.iter().position(|one| one == etype));
        etypes.dedup();
        let ask = async |proof: Option<(&Key, u32)>| {
            let now = SystemTime::now();
            let question = Question::for_first(&files.client, &etypes, proof, now, chance()?);
            let newest = |etype| newest(keys, etype).map(|(key, _)| key);
            self.ask(files, &question, newest, deadline).await
        };
        let mut answer = ask(None).await?;
        if let Err(KerberosError::Refused { code: PROOF_WANTED, etypes: wanted, .. }) = &answer {
            let known = wanted.iter().filter_map(|number| Etype::of_number(*number).ok());
            let wanted = known.chain(etypes.iter().copied().filter(|_| wanted.is_empty()));
            let Some(proof) = wanted.into_iter().find_map(|etype| newest(keys, etype)) else {
                return Err(words::no_key_in_common(&files.client, &files.place));
            };
            answer = ask(Some(proof)).await?;
        }
        answer.map_err(|error| words::no_first_ticket(&error, &files.client, &files.place))
    }

    async fn ask<'k>(
        &self,
        files: &Files,
        question: &Question,
        key: impl Fn(Etype) -> Option<&'k Key>,
        deadline: Instant,
    ) -> Result<Result<Ticket, KerberosError>> {
        let kdcs = files.conf.kdcs_of(&files.client.realm);
        if kdcs.is_empty() {
            return Err(words::no_kdc(&files.client.realm, &files.conf_place));
        }
        // Before the whole is broken off, so that the error can say what each KDC did.
        let deadline = deadline - self.patience.mul_f64(LAST_WORDS);
        let unfit = |answer: &[u8]| is_unavailable(answer).then_some("it is not available");
        let answer = kdc::ask(&self.dial, kdcs, question.bytes(), unfit, deadline).await;
        let answer = answer.map_err(|error| error.with("realm", &files.client.realm))?;
        Ok(question.answer(&answer, key))
    }
}

impl CredentialSource for Tickets {
    fn credentials(&self) -> Obtaining<'_> {
        let what = "a ticket is for one broker, and none was named";
        Box::pin(async move { Err(Error::new(ErrorKind::Usage, what)) })
    }

    fn credentials_for<'a>(&'a self, host: &'a str) -> Obtaining<'a> {
        Box::pin(async move { Ok(Credentials::ticket(self.ticket(host).await?)) })
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// The newest key of this kind, and its version.
fn newest(keys: &[Entry], etype: Etype) -> Option<(&Key, u32)> {
    let known = keys.iter().filter_map(|entry| Some((entry.key.as_ref()?, entry.version)));
    known.into_iter().find(|(key, _)| key.etype() == etype)
}

fn chance() -> Result<Chance> {
    Ok(Chance { nonce: u32::from_be_bytes(random()?), confounder: random()? })
}

/// The share of its life after which a ticket is replaced, as in Java.
const FRESH: f64 = 0.8;

/// Of the time for a ticket.
const LAST_WORDS: f64 = 0.05;

/// A ticket that ends sooner may not reach its broker in time.
const LEAST: Duration = Duration::from_secs(1);

/// Brokers come and go; a cluster has fewer.
const MOST_SERVICES: usize = 1_000;

/// The KDC's code for a question that has to come with a proof.
const PROOF_WANTED: i32 = 25;
