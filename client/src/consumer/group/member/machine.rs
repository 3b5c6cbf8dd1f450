//! The machine of either protocol behind one face.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use klamm_protocol::assign::{self, TopicPartition};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::error::EncodeError;
use klamm_protocol::session::backoff::Backoff;
use klamm_protocol::session::group::{Group, GroupOptions};
use klamm_protocol::session::group_next::{GroupNext, GroupNextOptions, Wanted};
use klamm_protocol::session::membership::{Identity, MemberEvent, RevocationId};
use klamm_protocol::wire::Uuid;

use crate::client::Client;
use crate::config::GroupProtocol;
use crate::consumer::group::options::ConsumerOptions;
use crate::consumer::group::pattern::Interest;

use super::exchange::{Answer, Call};

/// A membership by either protocol.
pub(super) enum Machine {
    Classic(Box<Group>),
    Next(Box<GroupNext>),
}

impl Machine {
    pub(super) fn new(client: &Client, options: &ConsumerOptions, group: &str) -> Self {
        let (now, config) = (Instant::now(), client.config());
        let rack = Some(config.client_rack().clone()).filter(|rack| !rack.is_empty());
        let backoff = Backoff::new(*config.retry_backoff(), *config.retry_backoff_max());
        let (group_id, instance_id) = (group.to_owned(), options.instance_id.clone());
        let (rebalance_timeout, jitter) = (options.max_poll_interval, fastrand::f64());
        match options.protocol {
            GroupProtocol::Classic => {
                let options = GroupOptions {
                    group_id,
                    instance_id,
                    rack,
                    assignors: options.assignors.clone(),
                    session_timeout: options.session_timeout,
                    rebalance_timeout,
                    heartbeat_interval: options.heartbeat_interval,
                    backoff,
                    jitter,
                };
                Self::Classic(Box::new(Group::new(now, options)))
            }
            GroupProtocol::Consumer => {
                let options = GroupNextOptions {
                    group_id,
                    member_id: random_id().to_string(),
                    instance_id,
                    rack,
                    assignor: options.remote_assignor.clone(),
                    rebalance_timeout,
                    backoff,
                    jitter,
                };
                Self::Next(Box::new(GroupNext::new(now, options)))
            }
        }
    }

    /// Reads this from now on. `false` if the machine has to be told the names that match.
    pub(super) fn subscribe(&mut self, now: Instant, interest: &Interest) -> bool {
        match (self, interest) {
            (Self::Classic(machine), Interest::Topics(names)) => {
                machine.subscribe(now, names.iter().cloned());
            }
            (Self::Classic(_), Interest::Pattern(_)) => return false,
            (Self::Next(machine), Interest::Topics(names)) => {
                machine.subscribe(now, Wanted::Topics(names.clone()));
            }
            (Self::Next(machine), Interest::Pattern(pattern)) => {
                machine.subscribe(now, Wanted::Pattern(pattern.text().to_owned()));
            }
        }
        true
    }

    /// The names that match the pattern.
    pub(super) fn set_topics(&mut self, now: Instant, names: BTreeSet<String>) {
        if let Self::Classic(machine) = self {
            machine.subscribe(now, names);
        }
    }

    pub(super) fn join(&mut self, now: Instant) {
        match self {
            Self::Classic(machine) => machine.join(now),
            Self::Next(machine) => machine.join(now),
        }
    }

    pub(super) fn leave(&mut self, now: Instant, for_good: bool) {
        match self {
            Self::Classic(machine) => machine.leave(now, for_good),
            Self::Next(machine) => machine.leave(now, for_good),
        }
    }

    pub(super) fn revoked(&mut self, now: Instant, id: RevocationId) {
        match self {
            Self::Classic(machine) => machine.revoked(now, id),
            Self::Next(machine) => machine.revoked(now, id),
        }
    }

    pub(super) fn identity(&self) -> Option<Identity> {
        match self {
            Self::Classic(machine) => machine.identity(),
            Self::Next(machine) => machine.identity(),
        }
    }

    pub(super) fn is_member(&self) -> bool {
        self.identity().is_some()
    }

    /// What is owned when the membership ends from outside of the machine.
    pub(super) fn take_owned(&mut self) -> Vec<TopicPartition> {
        match self {
            Self::Classic(machine) => machine.owned().cloned().collect(),
            Self::Next(machine) => machine.owned().collect(),
        }
    }

    /// What a leader has to watch.
    pub(super) fn led_topics(&self) -> Option<Vec<String>> {
        match self {
            Self::Classic(machine) => machine.led_topics(),
            Self::Next(_) => None,
        }
    }

    /// The layouts of topics that were asked for: to share out, or to see whether the shares fit.
    pub(super) fn handle_layouts(
        &mut self,
        now: Instant,
        topics: &assign::Topics,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Classic(machine) => {
                machine.handle_topics(now, topics);
                machine.assign(topics)
            }
            Self::Next(_) => Ok(()),
        }
    }

    pub(super) fn handle_names(&mut self, now: Instant, names: BTreeMap<Uuid, Arc<str>>) {
        if let Self::Next(machine) = self {
            machine.handle_names(now, names);
        }
    }

    pub(super) fn handle_refusal(&mut self, now: Instant, identity: &Identity, code: ErrorCode) {
        match self {
            Self::Classic(machine) => machine.handle_refusal(now, identity, code),
            Self::Next(machine) => machine.handle_refusal(now, identity),
        }
    }

    /// Whether an answer is outstanding that may take as long as the group needs to form.
    pub(super) fn awaits_group(&self) -> bool {
        matches!(self, Self::Classic(machine) if machine.awaits_group())
    }

    pub(super) fn sends_at(&self) -> Option<Instant> {
        match self {
            Self::Classic(machine) => machine.sends_at(),
            Self::Next(machine) => machine.poll_timeout(),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Classic(machine) => machine.poll_timeout(),
            Self::Next(machine) => machine.poll_timeout(),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Self::Classic(machine) = self {
            machine.handle_timeout(now);
        }
    }

    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<Call> {
        match self {
            Self::Classic(machine) => machine.poll_transmit(now).map(Call::Classic),
            Self::Next(machine) => machine.poll_transmit(now).map(Call::Next),
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<MemberEvent> {
        match self {
            Self::Classic(machine) => machine.poll_event(),
            Self::Next(machine) => machine.poll_event(),
        }
    }

    pub(super) fn handle_answer(&mut self, now: Instant, answer: Answer) {
        match (self, answer) {
            (Self::Classic(machine), Answer::Classic(answer)) => machine.handle_answer(now, answer),
            (Self::Next(machine), Answer::Next(answer)) => machine.handle_answer(now, answer),
            _ => tracing::error!("an answer of the other protocol"),
        }
    }

    pub(super) fn handle_failure(&mut self, now: Instant) {
        match self {
            Self::Classic(machine) => machine.handle_failure(now),
            Self::Next(machine) => machine.handle_failure(now),
        }
    }
}

/// 128 random bits marked as a random id, as Java makes member ids.
fn random_id() -> Uuid {
    let mut bytes = fastrand::u128(..).to_be_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Uuid(bytes)
}
