//! Consumer groups: who is a member, who reads what, and how far. Those of the classic protocol
//! are served here, with [`members`]; those whose coordinator assigns (KIP-848) in [`consumer`].
//!
//! Groups outlive the node that coordinates them, as they would in `__consumer_offsets`: when it
//! dies, the next live node takes over with members and offsets.

pub(crate) mod consumer;
pub(crate) mod describe;
mod members;
pub(crate) mod offsets;
pub(crate) mod remove;
pub(crate) mod txn_offsets;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::heartbeat::HeartbeatRequest;
use klamm_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use klamm_protocol::messages::leave_group::{
    LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse,
};
use klamm_protocol::messages::sync_group::SyncGroupRequest;
use klamm_protocol::wire::Uuid;

use super::outbox::{Context, Outbox};
use super::topology::Topology;
use crate::log::Refusal;
use consumer::ConsumerGroup;
use members::{Joiner, Members, Phase};
use txn_offsets::Pending;

pub(crate) use members::{refuse_join, refuse_sync};

/// All groups of the cluster.
#[derive(Debug)]
pub(crate) struct Groups {
    by_id: BTreeMap<String, Group>,
    most: usize,
    first_delay: Duration,
}

/// One group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) members: Members,
    /// There if the coordinator assigns (KIP-848); then `members` has none.
    pub(crate) consumers: Option<ConsumerGroup>,
    pub(crate) offsets: BTreeMap<(String, i32), Committed>,
    pub(crate) pending: Pending,
    /// Counts commits, so that the order of two can be told.
    commits: u64,
}

/// A committed position.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    /// The topic it was committed for: one of the same name made later has none.
    topic_id: Uuid,
    offset: i64,
    leader_epoch: i32,
    metadata: String,
    /// Its place among the commits of its group.
    order: u64,
}

/// Who commits positions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committer<'a> {
    pub(crate) group_id: &'a str,
    pub(crate) member_id: &'a str,
    pub(crate) instance_id: Option<&'a str>,
    /// The generation, or below zero for a committer that is no member.
    pub(crate) generation: i32,
    /// The positions are part of a transaction.
    pub(crate) transactional: bool,
}

impl Groups {
    /// At most `most` groups; the first members of an empty one wait `first_delay` for others.
    pub(crate) fn new(most: usize, first_delay: Duration) -> Self {
        Self { by_id: BTreeMap::new(), most, first_delay }
    }

    pub(crate) fn group(&self, id: &str) -> Option<&Group> {
        self.by_id.get(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Group)> {
        self.by_id.iter()
    }

    /// Serves JoinGroup, now or when the group has formed.
    pub(crate) fn join(
        &mut self,
        topology: &mut Topology,
        outbox: &mut Outbox,
        context: &Context<'_>,
        request: JoinGroupRequest,
    ) {
        let (origin, member_id) = (context.origin, request.member_id.clone());
        if let Err(code) = self.try_join(topology, outbox, context, request) {
            refuse_join(outbox, &origin, &member_id, code);
        }
    }

    /// Serves SyncGroup, now or when the leader has brought the assignment.
    pub(crate) fn sync(
        &mut self,
        topology: &Topology,
        outbox: &mut Outbox,
        context: &Context<'_>,
        request: SyncGroupRequest,
    ) {
        let instance = request.group_instance_id.as_deref();
        let checked = check_coordinator(topology, context, &request.group_id).and_then(|()| {
            let (id, generation) = (&request.member_id, request.generation_id);
            let members = self.checked(&request.group_id, id, instance, Some(generation))?;
            let agrees = |said: &Option<String>, is: &str| {
                said.as_deref().is_none_or(|said| said == is || is.is_empty())
            };
            let assigned: usize = request.assignments.iter().map(|a| a.assignment.len()).sum();
            if assigned > MOST_ASSIGNED {
                return Err(ErrorCode::INVALID_REQUEST);
            }
            let same = agrees(&request.protocol_type, members.protocol_type())
                && agrees(&request.protocol_name, members.protocol());
            if same { Ok(members) } else { Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL) }
        });
        match checked {
            Err(code) => refuse_sync(outbox, &context.origin, code),
            Ok(members) => {
                // Copied, so that a few bytes do not keep a whole request alive.
                let assignments = request
                    .assignments
                    .into_iter()
                    .map(|given| (given.member_id, Bytes::copy_from_slice(&given.assignment)));
                let assignments = assignments.collect();
                members.sync(outbox, context.now, &request.member_id, assignments, context.origin);
            }
        }
    }

    /// The answer to Heartbeat.
    pub(crate) fn heartbeat(
        &mut self,
        topology: &Topology,
        context: &Context<'_>,
        request: &HeartbeatRequest,
    ) -> ErrorCode {
        let instance = request.group_instance_id.as_deref();
        let id = &request.member_id;
        let outcome = check_coordinator(topology, context, &request.group_id).and_then(|()| {
            self.checked(&request.group_id, id, instance, Some(request.generation_id))
        });
        match outcome {
            Ok(members) => members.heartbeat(context.now, id),
            Err(code) => code,
        }
    }

    /// Answers LeaveGroup.
    pub(crate) fn leave(
        &mut self,
        topology: &Topology,
        outbox: &mut Outbox,
        context: &Context<'_>,
        request: &LeaveGroupRequest,
    ) -> LeaveGroupResponse {
        if let Err(error_code) = check_coordinator(topology, context, &request.group_id) {
            return LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() };
        }
        if context.origin.version < MANY_LEAVE {
            let alone = MemberIdentity {
                member_id: request.member_id.clone(),
                ..MemberIdentity::default()
            };
            let error_code = self.leave_one(outbox, context, &request.group_id, &alone);
            return LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() };
        }
        let members = request.members.iter().map(|identity| MemberResponse {
            member_id: identity.member_id.clone(),
            group_instance_id: identity.group_instance_id.clone(),
            error_code: self.leave_one(outbox, context, &request.group_id, identity),
        });
        LeaveGroupResponse { members: members.collect(), ..LeaveGroupResponse::default() }
    }

    /// The group that a commit goes to; made if a reader without membership commits first.
    pub(crate) fn committing(
        &mut self,
        topology: &Topology,
        context: &Context<'_>,
        committer: &Committer<'_>,
    ) -> Result<&mut Group, ErrorCode> {
        let &Committer { group_id: id, member_id, instance_id, generation, transactional } =
            committer;
        check_coordinator(topology, context, id)?;
        let Some(group) = self.group(id) else {
            return match generation {
                ..0 => self.group_or_new(id),
                _ if transactional || context.origin.version < GROUP_NOT_FOUND => {
                    Err(ErrorCode::ILLEGAL_GENERATION)
                }
                _ => Err(ErrorCode::GROUP_ID_NOT_FOUND),
            };
        };
        if group.consumers.is_some() {
            group.check_consumer(context.origin.version, committer)?;
            return self.group_or_new(id);
        }
        let phase = group.members.phase();
        if generation >= 0 || phase != Phase::Empty {
            let names_itself = generation >= 0 || !member_id.is_empty() || instance_id.is_some();
            // Older transactional producers know no member to speak for.
            if names_itself || !transactional {
                self.checked(id, member_id, instance_id, Some(generation))?;
            }
        }
        if !transactional && matches!(phase, Phase::Syncing(_)) {
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        let group = self.group_or_new(id)?;
        if !transactional {
            group.members.heartbeat(context.now, member_id);
        }
        Ok(group)
    }

    /// The members of a group whose coordinator assigns. Where one may join, a group without
    /// members becomes such a group, and one that is not there is made.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND` for a group that is not there or has members of the classic protocol.
    pub(crate) fn consumers_for(
        &mut self,
        id: &str,
        joins: bool,
    ) -> Result<&mut ConsumerGroup, Refusal> {
        let serves = match self.group(id) {
            Some(group) => group.consumers.is_some() || (joins && group.is_empty()),
            None => joins,
        };
        if !serves {
            let message = format!("Group {id} is not a consumer group.");
            return Err(Refusal::new(ErrorCode::GROUP_ID_NOT_FOUND, message));
        }
        let group = self.group_or_new(id).map_err(|code| Refusal::new(code, code.meaning()))?;
        if group.consumers.is_none() {
            group.members = Members::default();
        }
        Ok(group.consumers.get_or_insert_default())
    }

    /// Forgets positions in topics that are gone.
    pub(crate) fn forget_gone_topics(&mut self, topology: &Topology) {
        for group in self.by_id.values_mut() {
            let lives = |name: &str, committed: &Committed| {
                topology.topic(name).is_some_and(|topic| topic.id == committed.topic_id)
            };
            group.offsets.retain(|(name, _), committed| lives(name, committed));
            for pending in group.pending.values_mut() {
                pending.retain(|(name, _), committed| lives(name, committed));
            }
        }
    }

    /// Ends sessions and rebalances whose time is up.
    pub(crate) fn handle_timeout(&mut self, outbox: &mut Outbox, now: Instant) {
        for group in self.by_id.values_mut() {
            if group.members.poll_timeout().is_some_and(|due| due <= now) {
                group.members.handle_timeout(outbox, now);
            }
            if let Some(consumers) = &mut group.consumers {
                consumers.handle_timeout(now);
            }
        }
    }

    /// When something is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let of_consumers = |group: &Group| group.consumers.as_ref()?.poll_timeout();
        let due = |group: &Group| [group.members.poll_timeout(), of_consumers(group)];
        self.by_id.values().flat_map(due).flatten().min()
    }

    fn try_join(
        &mut self,
        topology: &mut Topology,
        outbox: &mut Outbox,
        context: &Context<'_>,
        request: JoinGroupRequest,
    ) -> Result<(), ErrorCode> {
        check_coordinator(topology, context, &request.group_id)?;
        let session_timeout = u64::try_from(request.session_timeout_ms)
            .ok()
            .filter(|ms| (1..=LONGEST_SESSION_MS).contains(ms))
            .map(Duration::from_millis)
            .ok_or(ErrorCode::INVALID_SESSION_TIMEOUT)?;
        let metadata: usize = request.protocols.iter().map(|offered| offered.metadata.len()).sum();
        if metadata > MOST_METADATA {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let rebalance = u64::try_from(request.rebalance_timeout_ms).ok();
        let mut joiner = Joiner {
            id: request.member_id,
            instance_id: request.group_instance_id,
            client_id: context.client_id.to_owned(),
            protocol_type: request.protocol_type,
            protocols: owned(request.protocols),
            session_timeout,
            rebalance_timeout: rebalance.map_or(session_timeout, Duration::from_millis),
            returns: false,
        };
        let first_delay = self.first_delay;
        let new_id = || format!("{}-{}", context.client_id, topology.new_id());
        let group = self.group_or_new(&request.group_id)?;
        if group.consumers.is_some() && !group.is_empty() {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        group.consumers = None;
        let members = &mut group.members;
        if !members.is_compatible(&joiner) {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        if members.len() >= MOST_MEMBERS && !members.contains(&joiner.id) {
            return Err(ErrorCode::GROUP_MAX_SIZE_REACHED);
        }
        if let Some(promise) = admit(members, outbox, context, &mut joiner, new_id)? {
            refuse_join(outbox, &context.origin, &promise, ErrorCode::MEMBER_ID_REQUIRED);
            return Ok(());
        }
        members.join(outbox, context.now, joiner, context.origin, first_delay);
        Ok(())
    }

    fn leave_one(
        &mut self,
        outbox: &mut Outbox,
        context: &Context<'_>,
        group_id: &str,
        identity: &MemberIdentity,
    ) -> ErrorCode {
        let Some(group) = self.by_id.get_mut(group_id) else {
            return ErrorCode::UNKNOWN_MEMBER_ID;
        };
        let instance = identity.group_instance_id.as_deref();
        let of_instance = instance.map(|instance| match &group.consumers {
            Some(consumers) => consumers.of_instance(instance).map(str::to_owned),
            None => group.members.of_instance(instance).map(str::to_owned),
        });
        let id = match of_instance {
            None => identity.member_id.clone(),
            Some(None) => return ErrorCode::UNKNOWN_MEMBER_ID,
            Some(Some(id)) if identity.member_id.is_empty() || identity.member_id == id => id,
            Some(Some(_)) => return ErrorCode::FENCED_INSTANCE_ID,
        };
        let left = match &mut group.consumers {
            Some(consumers) => consumers.remove(&id),
            None => group.members.leave(outbox, context.now, &id),
        };
        if left { ErrorCode::NONE } else { ErrorCode::UNKNOWN_MEMBER_ID }
    }

    /// The members of a group, once it is sure that the caller is one, of this generation.
    fn checked(
        &mut self,
        group_id: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: Option<i32>,
    ) -> Result<&mut Members, ErrorCode> {
        let group = self.by_id.get_mut(group_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        let members = &mut group.members;
        if let Some(instance) = instance_id {
            let known = members.of_instance(instance).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
            if known != member_id {
                return Err(ErrorCode::FENCED_INSTANCE_ID);
            }
        }
        if !members.contains(member_id) {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if generation.is_some_and(|generation| !members.is_generation(generation)) {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        Ok(members)
    }

    fn group_or_new(&mut self, id: &str) -> Result<&mut Group, ErrorCode> {
        if self.by_id.len() >= self.most && !self.by_id.contains_key(id) {
            return Err(ErrorCode::GROUP_MAX_SIZE_REACHED);
        }
        Ok(self.by_id.entry(id.to_owned()).or_default())
    }
}

impl Group {
    /// Whether a committer to a group whose coordinator assigns is one of its members, or nobody
    /// while it has none.
    fn check_consumer(&self, version: i16, committer: &Committer<'_>) -> Result<(), ErrorCode> {
        let &Committer { member_id, instance_id, generation, transactional, .. } = committer;
        let Some(consumers) = &self.consumers else {
            return Ok(());
        };
        let is_nobody = generation < 0 && member_id.is_empty() && instance_id.is_none();
        if (generation < 0 && consumers.is_empty()) || (transactional && is_nobody) {
            return Ok(());
        }
        match consumers.check_epoch(member_id, generation) {
            Err(ErrorCode::STALE_MEMBER_EPOCH) if transactional => {
                Err(ErrorCode::ILLEGAL_GENERATION)
            }
            Ok(()) if !transactional && version < GROUP_NOT_FOUND => {
                Err(ErrorCode::UNSUPPORTED_VERSION)
            }
            other => other,
        }
    }
}

/// Whether the node that got a request looks after the group.
pub(crate) fn check_coordinator(
    topology: &Topology,
    context: &Context<'_>,
    group_id: &str,
) -> Result<(), ErrorCode> {
    if group_id.is_empty() {
        return Err(ErrorCode::INVALID_GROUP_ID);
    }
    match topology.coordinator(group_id) {
        Some(broker) if broker.node == context.origin.node => Ok(()),
        _ => Err(ErrorCode::NOT_COORDINATOR),
    }
}

/// The same protocols in memory of their own: a member's metadata must not keep a request alive.
fn owned(mut protocols: Vec<JoinGroupRequestProtocol>) -> Vec<JoinGroupRequestProtocol> {
    for protocol in &mut protocols {
        protocol.metadata = Bytes::copy_from_slice(&protocol.metadata);
    }
    protocols
}

/// Settles under which id a joiner is a member. `Some`: an id it has to come back with (KIP-394).
fn admit(
    members: &mut Members,
    outbox: &mut Outbox,
    context: &Context<'_>,
    joiner: &mut Joiner,
    new_id: impl FnOnce() -> String,
) -> Result<Option<String>, ErrorCode> {
    let of_instance = joiner.instance_id.as_deref().and_then(|id| members.of_instance(id));
    let of_instance = of_instance.map(str::to_owned);
    if !joiner.id.is_empty() {
        return match of_instance {
            Some(known) if known != joiner.id => Err(ErrorCode::FENCED_INSTANCE_ID),
            _ if members.contains(&joiner.id) || members.is_promised(&joiner.id) => Ok(None),
            _ => Err(ErrorCode::UNKNOWN_MEMBER_ID),
        };
    }
    let id = new_id();
    if let Some(old) = of_instance {
        members.replace(outbox, &old, &id);
        joiner.returns = true;
    } else if joiner.instance_id.is_none() && context.origin.version >= ID_FIRST {
        members.promise(id.clone(), context.now + joiner.session_timeout);
        return Ok(Some(id));
    }
    joiner.id = id;
    Ok(None)
}

/// From this version on a member without an id gets one first and joins with it (KIP-394).
const ID_FIRST: i16 = 4;
/// From this version on a commit to a group that is not there is told so (KIP-848).
const GROUP_NOT_FOUND: i16 = 9;
/// From this version on many members leave at once (KIP-345).
const MANY_LEAVE: i16 = 3;
/// Kafka's `group.max.session.timeout.ms`.
const LONGEST_SESSION_MS: u64 = 1_800_000;
const MOST_MEMBERS: usize = 1_000;
/// Bytes of metadata that one member may bring.
const MOST_METADATA: usize = 1 << 20;
/// Bytes that a leader may hand out.
const MOST_ASSIGNED: usize = 16 << 20;
