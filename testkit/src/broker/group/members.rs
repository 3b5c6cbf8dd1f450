//! One group of the classic protocol as a state machine: in go joins, assignments, heartbeats,
//! leaves and time; out come answers for those who wait.
//!
//! ```text
//!            first join             all joined, or time is up        the leader's assignment
//!   Empty ───────────────> Joining ───────────────────────────> Syncing ─────────────> Stable
//!     ^                      ^  │ nobody came                      │ join, leave,        │
//!     └──────────────────────┼──┘                                  │ expiry              │
//!                            └─────────────────────────────────────┴────────────────────┘
//! ```
//!
//! A member that waits for an answer to its join does not expire; its connection may have gone,
//! and then the answer goes nowhere and its session ends later, as in Kafka.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::join_group::{
    JoinGroupRequestProtocol, JoinGroupResponse, JoinGroupResponseMember,
};
use klamm_protocol::messages::sync_group::SyncGroupResponse;

use crate::broker::outbox::{Origin, Outbox};

/// The members of one group.
#[derive(Debug, Default)]
pub(crate) struct Members {
    phase: Phase,
    generation: i32,
    protocol_type: String,
    protocol: String,
    leader: String,
    by_id: BTreeMap<String, Member>,
    /// Ids that were handed out and not used yet, with when they lapse (KIP-394).
    promised: BTreeMap<String, Instant>,
    joins: u64,
}

/// Where a group stands; named by what it waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// For a first member.
    #[default]
    Empty,
    /// For every member to join, until then.
    Joining(Instant),
    /// For the leader's assignment, until then.
    Syncing(Instant),
    /// For nothing.
    Stable,
}

/// One member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) protocols: Vec<JoinGroupRequestProtocol>,
    pub(crate) assignment: Bytes,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    expires: Instant,
    join: Option<Origin>,
    sync: Option<Origin>,
    /// Members joined in this order; the first one leads.
    order: u64,
}

/// What a member says of itself when it joins.
#[derive(Debug)]
pub(crate) struct Joiner {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<JoinGroupRequestProtocol>,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    /// A static member that has come back without its id, and has got another (KIP-345).
    pub(crate) returns: bool,
}

impl Members {
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn protocol_type(&self) -> &str {
        &self.protocol_type
    }

    /// The assignment strategy chosen; empty while members join.
    pub(crate) fn protocol(&self) -> &str {
        &self.protocol
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.by_id.iter()
    }

    /// Whether nobody is in it, and nobody was given an id to join with.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len() + self.promised.len()
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// True if `id` was handed out and not used yet.
    pub(crate) fn is_promised(&self, id: &str) -> bool {
        self.promised.contains_key(id)
    }

    /// Hands out an id that its member has to come back with (KIP-394).
    pub(crate) fn promise(&mut self, id: String, lapses: Instant) {
        self.promised.insert(id, lapses);
    }

    /// The member id that an instance id stands for (KIP-345).
    pub(crate) fn of_instance(&self, instance_id: &str) -> Option<&str> {
        let mut members = self.by_id.iter();
        let found = members.find(|(_, member)| member.instance_id.as_deref() == Some(instance_id));
        found.map(|(id, _)| id.as_str())
    }

    /// True if a joiner has a protocol that every other member has, too.
    pub(crate) fn is_compatible(&self, joiner: &Joiner) -> bool {
        if joiner.protocols.is_empty() || joiner.protocol_type.is_empty() {
            return false;
        }
        let mut others = self.by_id.iter().filter(|(id, _)| **id != joiner.id).peekable();
        if others.peek().is_none() {
            return true;
        }
        let others: Vec<_> = others.collect();
        self.protocol_type == joiner.protocol_type
            && joiner
                .protocols
                .iter()
                .any(|protocol| others.iter().all(|(_, member)| member.speaks(&protocol.name)))
    }

    /// A member joins, for the first time or again. Its answer comes when the group has formed,
    /// or at once where nothing has changed for it.
    pub(crate) fn join(
        &mut self,
        outbox: &mut Outbox,
        now: Instant,
        joiner: Joiner,
        origin: Origin,
        first_delay: Duration,
    ) {
        self.promised.remove(&joiner.id);
        let id = joiner.id.clone();
        let changed = self.by_id.get(&id).is_none_or(|member| member.protocols != joiner.protocols);
        let returns = joiner.returns;
        self.enter(now, joiner);
        let leads = self.leader == id;
        match self.phase {
            // Whatever it says of itself now, it goes on with what it had.
            Phase::Stable if returns && self.elect_protocol() == self.protocol => {
                return self.answer_return(outbox, &id, &origin);
            }
            Phase::Syncing(_) if !changed => return self.answer_join(outbox, &id, &origin),
            Phase::Stable if !changed && !leads => return self.answer_join(outbox, &id, &origin),
            _ => {}
        }
        if let Some(member) = self.by_id.get_mut(&id) {
            member.join = Some(origin);
        }
        if !matches!(self.phase, Phase::Joining(_)) {
            self.rebalance(outbox, now, first_delay);
        }
        self.complete_join(outbox, now, false);
    }

    /// A member asks for its assignment; the leader brings everybody's.
    pub(crate) fn sync(
        &mut self,
        outbox: &mut Outbox,
        now: Instant,
        id: &str,
        assignments: Vec<(String, Bytes)>,
        origin: Origin,
    ) {
        match self.phase {
            Phase::Empty => refuse_sync(outbox, &origin, ErrorCode::UNKNOWN_MEMBER_ID),
            Phase::Joining(_) => refuse_sync(outbox, &origin, ErrorCode::REBALANCE_IN_PROGRESS),
            Phase::Stable => self.answer_sync(outbox, id, &origin),
            Phase::Syncing(_) => {
                if let Some(member) = self.by_id.get_mut(id) {
                    member.sync = Some(origin);
                }
                if id == self.leader {
                    self.assign(outbox, now, assignments);
                }
            }
        }
    }

    /// A member lives. The answer tells it to join again where the group is forming anew.
    pub(crate) fn heartbeat(&mut self, now: Instant, id: &str) -> ErrorCode {
        if let Some(member) = self.by_id.get_mut(id) {
            member.expires = now + member.session_timeout;
        }
        match self.phase {
            Phase::Joining(_) => ErrorCode::REBALANCE_IN_PROGRESS,
            _ => ErrorCode::NONE,
        }
    }

    /// A member goes. False if it was not there.
    pub(crate) fn leave(&mut self, outbox: &mut Outbox, now: Instant, id: &str) -> bool {
        if self.promised.remove(id).is_some() {
            self.complete_join(outbox, now, false);
            return true;
        }
        if self.by_id.remove(id).is_none() {
            return false;
        }
        self.after_loss(outbox, now);
        true
    }

    /// A static member has come back under a new id: it takes the old one's place, and whoever
    /// still uses the old id is fenced (KIP-345).
    pub(crate) fn replace(&mut self, outbox: &mut Outbox, old: &str, new: &str) {
        let Some(mut member) = self.by_id.remove(old) else {
            return;
        };
        for origin in [member.join.take(), member.sync.take()].into_iter().flatten() {
            fence(outbox, &origin);
        }
        if self.leader == old {
            new.clone_into(&mut self.leader);
        }
        self.by_id.insert(new.to_owned(), member);
    }

    /// The generation that a request must name, and whether it does.
    pub(crate) fn is_generation(&self, generation: i32) -> bool {
        self.generation == generation
    }

    /// Does what is due: ends sessions, forgets promised ids, forms the group without the late.
    pub(crate) fn handle_timeout(&mut self, outbox: &mut Outbox, now: Instant) {
        let before = self.by_id.len() + self.promised.len();
        self.promised.retain(|_, lapses| *lapses > now);
        self.by_id.retain(|_, member| member.waits() || member.expires > now);
        match self.phase {
            Phase::Joining(deadline) if deadline <= now => self.complete_join(outbox, now, true),
            Phase::Syncing(deadline) if deadline <= now => {
                self.by_id.retain(|_, member| member.sync.is_some());
                self.after_loss(outbox, now);
            }
            _ if self.by_id.len() + self.promised.len() < before => self.after_loss(outbox, now),
            _ => {}
        }
    }

    /// When something is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Joining(deadline) | Phase::Syncing(deadline) => Some(deadline),
            Phase::Empty | Phase::Stable => None,
        };
        let sessions = self.by_id.values().filter(|member| !member.waits());
        let sessions = sessions.map(|member| member.expires);
        phase.into_iter().chain(sessions).chain(self.promised.values().copied()).min()
    }

    fn enter(&mut self, now: Instant, joiner: Joiner) {
        if self.by_id.is_empty() {
            self.protocol_type = joiner.protocol_type;
        }
        let order = self.joins;
        self.joins += 1;
        let member = self.by_id.entry(joiner.id).or_insert_with(|| Member {
            instance_id: joiner.instance_id,
            client_id: joiner.client_id,
            protocols: Vec::new(),
            assignment: Bytes::new(),
            session_timeout: joiner.session_timeout,
            rebalance_timeout: joiner.rebalance_timeout,
            expires: now,
            join: None,
            sync: None,
            order,
        });
        member.protocols = joiner.protocols;
        member.session_timeout = joiner.session_timeout;
        member.rebalance_timeout = joiner.rebalance_timeout;
        member.expires = now + joiner.session_timeout;
    }

    fn after_loss(&mut self, outbox: &mut Outbox, now: Instant) {
        match self.phase {
            Phase::Joining(_) => {}
            Phase::Empty => return,
            Phase::Syncing(_) | Phase::Stable => self.rebalance(outbox, now, Duration::ZERO),
        }
        self.complete_join(outbox, now, false);
    }

    /// Begins to form the group anew.
    fn rebalance(&mut self, outbox: &mut Outbox, now: Instant, first_delay: Duration) {
        let patience = match self.phase {
            Phase::Empty if !first_delay.is_zero() => first_delay,
            _ => {
                let timeouts = self.by_id.values().map(|member| member.rebalance_timeout);
                timeouts.max().unwrap_or_default()
            }
        };
        for member in self.by_id.values_mut() {
            member.assignment = Bytes::new();
            if let Some(origin) = member.sync.take() {
                member.expires = now + member.session_timeout;
                refuse_sync(outbox, &origin, ErrorCode::REBALANCE_IN_PROGRESS);
            }
        }
        self.protocol.clear();
        self.phase = Phase::Joining(now + patience);
    }

    /// Ends the joining if everybody is here, or if time is up.
    fn complete_join(&mut self, outbox: &mut Outbox, now: Instant, time_is_up: bool) {
        let Phase::Joining(_) = self.phase else {
            return;
        };
        let all_here =
            self.promised.is_empty() && self.by_id.values().all(|member| member.join.is_some());
        if !all_here && !time_is_up {
            return;
        }
        self.by_id.retain(|_, member| member.join.is_some() || member.instance_id.is_some());
        self.generation = self.generation.wrapping_add(1).max(1);
        if self.by_id.is_empty() {
            self.phase = Phase::Empty;
            self.leader.clear();
            return;
        }
        if !self.by_id.contains_key(&self.leader) {
            let first = self.by_id.iter().min_by_key(|(_, member)| member.order);
            self.leader = first.map(|(id, _)| id.clone()).unwrap_or_default();
        }
        self.protocol = self.elect_protocol();
        let timeouts = self.by_id.values().map(|member| member.rebalance_timeout);
        self.phase = Phase::Syncing(now + timeouts.max().unwrap_or_default());
        let mut answers = Vec::new();
        for (id, member) in &mut self.by_id {
            member.expires = now + member.session_timeout;
            answers.extend(member.join.take().map(|origin| (id.clone(), origin)));
        }
        for (id, origin) in answers {
            self.answer_join(outbox, &id, &origin);
        }
    }

    /// The protocol that all members have and most of them like best.
    fn elect_protocol(&self) -> String {
        let common = |name: &str| self.by_id.values().all(|member| member.speaks(name));
        let mut votes = BTreeMap::<&str, usize>::new();
        for member in self.by_id.values() {
            let favourite = member.protocols.iter().find(|protocol| common(&protocol.name));
            if let Some(favourite) = favourite {
                *votes.entry(&favourite.name).or_default() += 1;
            }
        }
        let elected =
            votes.into_iter().max_by_key(|&(name, votes)| (votes, std::cmp::Reverse(name)));
        elected.map(|(name, _)| name.to_owned()).unwrap_or_default()
    }

    fn assign(&mut self, outbox: &mut Outbox, now: Instant, assignments: Vec<(String, Bytes)>) {
        for (id, assignment) in assignments {
            if let Some(member) = self.by_id.get_mut(&id) {
                member.assignment = assignment;
            }
        }
        self.phase = Phase::Stable;
        let mut answers = Vec::new();
        for (id, member) in &mut self.by_id {
            if let Some(origin) = member.sync.take() {
                member.expires = now + member.session_timeout;
                answers.push((id.clone(), origin));
            }
        }
        for (id, origin) in answers {
            self.answer_sync(outbox, &id, &origin);
        }
    }

    fn answer_join(&self, outbox: &mut Outbox, id: &str, origin: &Origin) {
        outbox.send(origin, &self.join_answer(id));
    }

    /// A leader that comes back is told to leave the assignment alone (KIP-814); older versions
    /// cannot say that, and tell it that another leads.
    fn answer_return(&self, outbox: &mut Outbox, id: &str, origin: &Origin) {
        let mut response = self.join_answer(id);
        if self.leader == id && origin.version >= SKIPS {
            response.skip_assignment = true;
        } else if self.leader == id {
            response.leader.clear();
            response.members.clear();
        }
        outbox.send(origin, &response);
    }

    fn join_answer(&self, id: &str) -> JoinGroupResponse {
        let members = self.by_id.iter().filter(|_| id == self.leader);
        let members = members.map(|(id, member)| JoinGroupResponseMember {
            member_id: id.clone(),
            group_instance_id: member.instance_id.clone(),
            metadata: member.metadata(&self.protocol),
        });
        JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: Some(self.protocol_type.clone()),
            protocol_name: Some(self.protocol.clone()),
            leader: self.leader.clone(),
            member_id: id.to_owned(),
            members: members.collect(),
            ..JoinGroupResponse::default()
        }
    }

    fn answer_sync(&self, outbox: &mut Outbox, id: &str, origin: &Origin) {
        let response = SyncGroupResponse {
            protocol_type: Some(self.protocol_type.clone()),
            protocol_name: Some(self.protocol.clone()),
            assignment: self.by_id.get(id).map(|m| m.assignment.clone()).unwrap_or_default(),
            ..SyncGroupResponse::default()
        };
        outbox.send(origin, &response);
    }
}

impl Phase {
    /// Kafka's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Joining(_) => "PreparingRebalance",
            Self::Syncing(_) => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

impl Member {
    /// What the member says about itself under an assignment strategy.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|offered| offered.name == protocol);
        found.map(|offered| offered.metadata.clone()).unwrap_or_default()
    }

    fn speaks(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|offered| offered.name == protocol)
    }

    fn waits(&self) -> bool {
        self.join.is_some() || self.sync.is_some()
    }
}

/// Refuses a join.
pub(crate) fn refuse_join(outbox: &mut Outbox, origin: &Origin, id: &str, code: ErrorCode) {
    let member_id = id.to_owned();
    let response =
        JoinGroupResponse { error_code: code, member_id, ..JoinGroupResponse::default() };
    outbox.send(origin, &response);
}

/// Refuses a sync.
pub(crate) fn refuse_sync(outbox: &mut Outbox, origin: &Origin, error_code: ErrorCode) {
    outbox.send(origin, &SyncGroupResponse { error_code, ..SyncGroupResponse::default() });
}

fn fence(outbox: &mut Outbox, origin: &Origin) {
    if origin.key == klamm_protocol::api::ApiKey::JoinGroup {
        refuse_join(outbox, origin, "", ErrorCode::FENCED_INSTANCE_ID);
    } else {
        refuse_sync(outbox, origin, ErrorCode::FENCED_INSTANCE_ID);
    }
}

/// From this version on a leader can be told to leave the assignment alone (KIP-814).
const SKIPS: i16 = 9;
