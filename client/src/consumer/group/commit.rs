//! Positions to and from the coordinator. In: what is due, in whose name; out: what is stored. Every
//! attempt looks anew whether the partition is still this consumer's, and under which name: a
//! coordinator of the classic protocol does not check who owns what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::offset_commit::OffsetCommitRequest;
use klamm_protocol::messages::offset_fetch::OffsetFetchRequest;
use klamm_protocol::session::membership::Identity;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::admin::CommittedOffset;
use crate::client::Client;
use crate::cluster::{CoordinatorKind, Repeat, Retry};
use crate::error::{Error, ErrorKind, Result};
use crate::net::handle::Handle;
use crate::partition::TopicPartition;

use super::ledger::{Due, Ledger};
use super::member::Command;
use super::stored::{self, commit_request, fetch_request, stored_offsets};

/// The books, which acknowledgements from any thread change.
pub(super) type SharedLedger = Arc<Mutex<Ledger>>;

/// Stores and reads the positions of one group. Cheap to clone.
#[derive(Clone)]
pub(super) struct Committer {
    client: Client,
    group: Arc<str>,
    ledger: SharedLedger,
    membership: Option<Membership>,
    coordinator: Arc<Mutex<Option<Handle>>>,
    /// Commits go one after another: an older one that is tried again must not undo a newer one.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// What a committer knows of the member in whose name it commits.
#[derive(Clone)]
pub(super) struct Membership {
    pub(super) identity: watch::Receiver<Option<Identity>>,
    pub(super) commands: mpsc::Sender<Command>,
    /// Whether the coordinator also checks who asks for positions (KIP-848).
    pub(super) asks_by_name: bool,
}

/// A position with the committer's own words.
pub(super) type Item = (Due, String);

/// How an attempt went that did not fail.
enum Attempt {
    Done,
    /// These are to be tried again at once under another name than this.
    Renamed(Vec<Item>, Identity),
    /// These are to be tried again when the group has formed.
    Forming(Vec<Item>),
}

impl Committer {
    /// Commits in the name of a member, or, without one, for a group that has no members.
    pub(super) fn new(
        client: Client,
        group: &str,
        ledger: SharedLedger,
        membership: Option<Membership>,
    ) -> Self {
        let (group, coordinator, turn) = (Arc::from(group), Arc::default(), Arc::default());
        Self { client, group, ledger, membership, coordinator, turn }
    }

    /// Stores positions.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] if a partition is not, or no longer, this consumer's; the broker's code;
    /// [`ErrorKind::TimedOut`] at `deadline`. Of several, some may be stored.
    pub(super) async fn commit(&self, items: Vec<Item>, deadline: Instant) -> Result<()> {
        let mut pending = items;
        let Ok(_turn) = timeout_at(deadline, self.turn.lock()).await else {
            let error = Error::new(ErrorKind::TimedOut, "an earlier commit took all the time");
            return Err(self.here(error));
        };
        let mut retry = Retry::new(self.client.cluster(), deadline, Repeat::Harmless);
        while !pending.is_empty() {
            self.check_owned(&pending)?;
            match self.attempt(&pending, deadline).await {
                Ok(Attempt::Done) => break,
                Ok(Attempt::Renamed(rest, identity)) => {
                    self.renamed(&identity, deadline).await?;
                    pending = rest;
                }
                Ok(Attempt::Forming(rest)) => {
                    let pause = Instant::now() + *self.client.config().retry_backoff();
                    if pause >= deadline {
                        let error = Error::broker(ErrorCode::REBALANCE_IN_PROGRESS);
                        return Err(self.here(error).as_kind(ErrorKind::TimedOut));
                    }
                    sleep_until(pause).await;
                    pending = rest;
                }
                Err(error) => {
                    self.forget_coordinator();
                    retry.after(self.here(error)).await?;
                }
            }
        }
        Ok(())
    }

    /// The stored positions of these partitions; those without one are missing.
    ///
    /// # Errors
    ///
    /// What outlasts `deadline`.
    pub(super) async fn fetch(
        &self,
        partitions: &[TopicPartition],
        deadline: Instant,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>> {
        let mut retry = Retry::new(self.client.cluster(), deadline, Repeat::Harmless);
        loop {
            let identity = self.asking_identity();
            let error = match self.ask(partitions, identity.as_ref(), deadline).await {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            match (error.code(), identity) {
                (Some(ErrorCode::STALE_MEMBER_EPOCH), Some(identity)) => {
                    self.report(&identity, ErrorCode::STALE_MEMBER_EPOCH);
                    self.renamed(&identity, deadline).await?;
                }
                _ => {
                    self.forget_coordinator();
                    retry.after(self.here(error)).await?;
                }
            }
        }
    }

    async fn attempt(&self, items: &[Item], deadline: Instant) -> Result<Attempt> {
        let identity = self.identity()?;
        let handle = self.coordinator(deadline).await?;
        let answers =
            stored::commit(&handle, self.request(items, identity.as_ref()), deadline).await?;
        let codes: BTreeMap<TopicPartition, ErrorCode> = answers.into_iter().collect();
        let (mut renamed, mut forming) = (Vec::new(), Vec::new());
        for item in items {
            let code = codes.get(&item.0.partition).copied();
            match code.unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR) {
                ErrorCode::NONE => self.ledger().committed(&item.0),
                ErrorCode::STALE_MEMBER_EPOCH | ErrorCode::ILLEGAL_GENERATION => {
                    renamed.push(item.clone());
                }
                ErrorCode::REBALANCE_IN_PROGRESS => forming.push(item.clone()),
                code => {
                    if let (Some(identity), true) = (&identity, is_membership(code)) {
                        self.report(identity, code);
                    }
                    return Err(
                        Error::broker(code).at(&item.0.partition.topic, item.0.partition.partition)
                    );
                }
            }
        }
        match identity {
            Some(identity) if !renamed.is_empty() => {
                self.report(&identity, ErrorCode::ILLEGAL_GENERATION);
                renamed.append(&mut forming);
                Ok(Attempt::Renamed(renamed, identity))
            }
            _ if !renamed.is_empty() => Err(Error::broker(ErrorCode::ILLEGAL_GENERATION)),
            _ if !forming.is_empty() => Ok(Attempt::Forming(forming)),
            _ => Ok(Attempt::Done),
        }
    }

    async fn ask(
        &self,
        partitions: &[TopicPartition],
        identity: Option<&Identity>,
        deadline: Instant,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>> {
        let handle = self.coordinator(deadline).await?;
        let version = handle.version_up_to::<OffsetFetchRequest>(stored::BY_NAME)?;
        let mut request = fetch_request(&self.group, Some(partitions), version);
        request.require_stable = version >= FIRST_STABLE;
        if let (Some(identity), Some(group)) = (identity, request.groups.first_mut()) {
            group.member_id = Some(identity.member_id.to_string());
            group.member_epoch = identity.epoch;
        }
        stored_offsets(handle.request_in(&request, version, deadline).await?)
    }

    fn request(&self, items: &[Item], identity: Option<&Identity>) -> OffsetCommitRequest {
        let positions: Vec<(TopicPartition, CommittedOffset)> = items
            .iter()
            .map(|(due, metadata)| {
                let leader_epoch = Some(due.spot.epoch).filter(|epoch| *epoch >= 0);
                let (offset, metadata) = (due.spot.offset, metadata.clone());
                (due.partition.clone(), CommittedOffset { offset, leader_epoch, metadata })
            })
            .collect();
        let positions = positions.iter().map(|(partition, position)| (partition, position));
        let mut request = commit_request(&self.group, positions);
        if let Some(identity) = identity {
            request.member_id = identity.member_id.to_string();
            request.generation_id_or_member_epoch = identity.epoch;
            request.group_instance_id.clone_from(&identity.instance_id);
        }
        request
    }

    /// In whose name to commit now; `Ok(None)` for nobody's.
    fn identity(&self) -> Result<Option<Identity>> {
        let Some(membership) = &self.membership else { return Ok(None) };
        let identity = membership.identity.borrow().clone();
        identity.map(Some).ok_or_else(|| self.here(not_a_member()))
    }

    fn asking_identity(&self) -> Option<Identity> {
        let membership = self.membership.as_ref().filter(|membership| membership.asks_by_name)?;
        membership.identity.borrow().clone()
    }

    /// Waits until the member has another name than this.
    async fn renamed(&self, old: &Identity, deadline: Instant) -> Result<()> {
        let Some(membership) = &self.membership else { return Ok(()) };
        let mut identity = membership.identity.clone();
        let changed = identity.wait_for(|now| now.as_ref() != Some(old));
        match timeout_at(deadline, changed).await {
            Ok(Ok(now)) if now.is_some() => Ok(()),
            Ok(_) => Err(self.here(not_a_member())),
            Err(_) => {
                let error = Error::broker(ErrorCode::ILLEGAL_GENERATION);
                Err(self.here(error).as_kind(ErrorKind::TimedOut))
            }
        }
    }

    fn check_owned(&self, items: &[Item]) -> Result<()> {
        let ledger = self.ledger();
        match items.iter().find(|(due, _)| !ledger.lasts(due)) {
            None => Ok(()),
            Some((due, _)) => Err(self.here(not_owned(&due.partition))),
        }
    }

    async fn coordinator(&self, deadline: Instant) -> Result<Handle> {
        let known = self.slot().clone().filter(Handle::is_open);
        if let Some(handle) = known {
            return Ok(handle);
        }
        let cluster = self.client.cluster();
        let handle = cluster.coordinator(CoordinatorKind::Group, &self.group, deadline).await?;
        *self.slot() = Some(handle.clone());
        Ok(handle)
    }

    fn forget_coordinator(&self) {
        *self.slot() = None;
    }

    /// Tells the member what the coordinator said. A full inbox means that the member has enough to
    /// look at, and its heartbeats tell it, too.
    fn report(&self, identity: &Identity, code: ErrorCode) {
        if let Some(membership) = &self.membership {
            let _ = membership.commands.try_send(Command::Refused(identity.clone(), code));
        }
    }

    fn here(&self, error: Error) -> Error {
        if error.context("group").is_some() { error } else { error.with("group", &self.group) }
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Handle>> {
        self.coordinator.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error for a partition that is not this consumer's.
pub(super) fn not_owned(partition: &TopicPartition) -> Error {
    Error::new(ErrorKind::Usage, "the partition is not this consumer's")
        .at(&partition.topic, partition.partition)
        .with_hint("its new owner reads on from the last stored position")
}

fn not_a_member() -> Error {
    Error::new(ErrorKind::Usage, "the consumer is no member of its group at present").with_hint(
        "go on with next(): it joins again, and others read on from the stored positions",
    )
}

/// Whether a code says that the member is none any more.
fn is_membership(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::UNKNOWN_MEMBER_ID
            | ErrorCode::FENCED_INSTANCE_ID
            | ErrorCode::FENCED_MEMBER_EPOCH
    )
}

/// From this version on the broker can be asked to wait for open transactions (KIP-447).
const FIRST_STABLE: i16 = 7;
