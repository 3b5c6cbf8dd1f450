//! A group whose coordinator assigns (KIP-848) as a state machine: in go heartbeats and time, out
//! come epochs and what each member shall read now.
//!
//! A change of members, of what they want, or of the topics they want takes a new group epoch; the
//! next heartbeat of anybody works out who shall read what in it; then every member is led there
//! by its own heartbeats (see [`member`]).

pub(crate) mod answer;
pub(crate) mod assign;
pub(crate) mod member;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use klamm_protocol::wire::Uuid;

use crate::broker::pattern::Pattern;
use crate::broker::topology::Topology;
use crate::log::Refusal;
use assign::{Assignor, Partitions, Subscriber};
use member::{Member, Target, is_subset};

/// The members of one group.
#[derive(Debug)]
pub(crate) struct ConsumerGroup {
    epoch: i32,
    /// The group epoch that the targets were worked out for.
    target_epoch: i32,
    members: BTreeMap<String, Member>,
    targets: BTreeMap<String, Partitions>,
    /// Topics that some member wants, with id and number of partitions, as they were last seen.
    wanted: BTreeMap<String, (Uuid, i32)>,
    assigned_at: Option<Instant>,
}

/// A heartbeat with what is known of it besides its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat<'a> {
    pub(crate) now: Instant,
    pub(crate) request: &'a ConsumerGroupHeartbeatRequest,
    pub(crate) member_id: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) session_timeout: Duration,
    pub(crate) assignment_interval: Duration,
}

/// What a heartbeat is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) epoch: i32,
    /// What the member shall read, where that has changed or it has asked.
    pub(crate) assignment: Option<Partitions>,
}

impl ConsumerGroup {
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Kafka's name for where it stands.
    pub(crate) fn state(&self) -> &'static str {
        let reconciled = |member: &Member| member.is_reconciled(self.target_epoch);
        match () {
            () if self.members.is_empty() => "Empty",
            () if self.epoch > self.target_epoch => "Assigning",
            () if self.members.values().all(reconciled) => "Stable",
            () => "Reconciling",
        }
    }

    /// A member joins or stays in.
    pub(crate) fn heartbeat(
        &mut self,
        topology: &Topology,
        beat: Beat<'_>,
    ) -> Result<Told, Refusal> {
        let request = beat.request;
        let mut member = self.admit(beat)?;
        let before = (member.topics.clone(), regex_text(&member).map(str::to_owned));
        update(&mut member, request)?;
        member.client_id = beat.client_id.to_owned();
        member.expires = beat.now + beat.session_timeout;
        let resubscribed = before.0 != member.topics || before.1.as_deref() != regex_text(&member);
        let is_new = !self.members.contains_key(beat.member_id);
        let assigned_before = member.assigned.clone();
        self.members.insert(beat.member_id.to_owned(), member);
        self.follow(topology, resubscribed || is_new);
        self.assign(beat);
        self.reconcile(beat);
        let member = self.members.get(beat.member_id).ok_or_else(|| unknown(beat.member_id))?;
        let full = request.member_epoch == 0
            || (request.rebalance_timeout_ms != -1
                && request.subscribed_topic_names.is_some()
                && request.topic_partitions.is_some());
        let changed = full || member.assigned != assigned_before;
        let assignment = changed.then(|| member.assigned.clone());
        Ok(Told { epoch: member.epoch, assignment })
    }

    /// A member goes; a static one only for a while if its epoch says so.
    pub(crate) fn leave(&mut self, request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
        if let Some(instance) = &request.instance_id {
            self.check_instance(instance, &request.member_id)?;
        }
        let found = self.members.get_mut(&request.member_id);
        let member = found.ok_or_else(|| unknown(&request.member_id))?;
        if request.member_epoch == LEAVE_FOR_A_WHILE {
            member.epoch = LEAVE_FOR_A_WHILE;
            (member.revoking, member.revoke_by) = (Partitions::new(), None);
        } else {
            self.remove(&request.member_id.clone());
        }
        Ok(())
    }

    /// Removes a member. False if there is none of that id.
    pub(crate) fn remove(&mut self, member_id: &str) -> bool {
        let gone = self.members.remove(member_id).is_some();
        if gone {
            self.targets.remove(member_id);
            self.epoch += 1;
        }
        gone
    }

    /// The member that an instance id stands for.
    pub(crate) fn of_instance(&self, instance: &str) -> Option<&str> {
        let mut members = self.members.iter();
        let found = members.find(|(_, member)| member.instance_id.as_deref() == Some(instance));
        found.map(|(id, _)| id.as_str())
    }

    /// Whether a member may commit or fetch positions with this epoch.
    pub(crate) fn check_epoch(&self, member_id: &str, epoch: i32) -> Result<(), ErrorCode> {
        let member = self.members.get(member_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        if member.epoch == epoch { Ok(()) } else { Err(ErrorCode::STALE_MEMBER_EPOCH) }
    }

    /// Whether some member wants a topic.
    pub(crate) fn wants(&self, topic: &str) -> bool {
        self.members.values().any(|member| member.wants(topic))
    }

    /// Ends sessions, and removes members that have not given up in time what they had to.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let late = |member: &Member| {
            member.expires <= now || member.revoke_by.is_some_and(|revoke_by| revoke_by <= now)
        };
        let late = self.members.iter().filter(|(_, member)| late(member));
        for id in late.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.remove(&id);
        }
    }

    /// When something is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let times = |member: &Member| [Some(member.expires), member.revoke_by];
        self.members.values().flat_map(times).flatten().min()
    }

    /// The member that a heartbeat comes from, as it was known so far or new.
    fn admit(&mut self, beat: Beat<'_>) -> Result<Member, Refusal> {
        let (id, epoch) = (beat.member_id, beat.request.member_epoch);
        if self.members.len() >= MOST_MEMBERS && !self.members.contains_key(id) {
            let message = format!("the group has its {MOST_MEMBERS} members");
            return Err(Refusal::new(ErrorCode::GROUP_MAX_SIZE_REACHED, message));
        }
        if let Some(instance) = &beat.request.instance_id {
            if epoch == 0 {
                return self.admit_static(beat, instance);
            }
            self.check_instance(instance, id)?;
        }
        match self.members.get(id) {
            Some(member) => {
                check_member_epoch(member, beat.request)?;
                Ok(member.clone())
            }
            None if epoch == 0 => Ok(Member::new(beat.client_id, beat.now)),
            None => Err(unknown(id)),
        }
    }

    /// A static member joins; it takes the place of the one before it if that has left.
    fn admit_static(&mut self, beat: Beat<'_>, instance: &str) -> Result<Member, Refusal> {
        let Some(old_id) = self.of_instance(instance).map(str::to_owned) else {
            return Ok(Member::new(beat.client_id, beat.now));
        };
        let old = self.members.get(&old_id).ok_or_else(|| unknown(&old_id))?;
        if old.epoch != LEAVE_FOR_A_WHILE {
            let message = format!("the instance id {instance} is owned by member {old_id}");
            return Err(Refusal::new(ErrorCode::UNRELEASED_INSTANCE_ID, message));
        }
        let member = Member { epoch: 0, previous_epoch: 0, ..old.clone() };
        self.members.remove(&old_id);
        if let Some(target) = self.targets.remove(&old_id) {
            self.targets.insert(beat.member_id.to_owned(), target);
        }
        // In, so that the heartbeat goes on with an old member rather than a new one.
        self.members.insert(beat.member_id.to_owned(), member.clone());
        Ok(member)
    }

    fn check_instance(&self, instance: &str, member_id: &str) -> Result<(), Refusal> {
        match self.of_instance(instance) {
            Some(known) if known == member_id => Ok(()),
            Some(known) => {
                let message = format!("the instance id {instance} is owned by member {known}");
                Err(Refusal::new(ErrorCode::FENCED_INSTANCE_ID, message))
            }
            None => {
                let message = format!("Instance id {instance} is unknown.");
                Err(Refusal::new(ErrorCode::UNKNOWN_MEMBER_ID, message))
            }
        }
    }

    /// Takes a new epoch if the members or the topics that they want have changed.
    fn follow(&mut self, topology: &Topology, members_changed: bool) {
        let wanted = topology.topics().filter(|topic| self.wants(&topic.name));
        let wanted: BTreeMap<_, _> = wanted
            .map(|topic| (topic.name.clone(), (topic.id, topic.partitions.len() as i32)))
            .collect();
        if members_changed || wanted != self.wanted {
            self.epoch += 1;
            self.wanted = wanted;
        }
    }

    /// Works out who shall read what, if that is of an older epoch and was not done just now.
    fn assign(&mut self, beat: Beat<'_>) {
        let too_soon = |at: Instant| at + beat.assignment_interval > beat.now;
        if self.target_epoch == self.epoch || self.assigned_at.is_some_and(too_soon) {
            return;
        }
        self.assigned_at = Some(beat.now);
        let subscribers: Vec<_> = self
            .members
            .iter()
            .map(|(id, member)| Subscriber {
                member_id: id.clone(),
                instance_id: member.instance_id.clone(),
                topics: self.topics_of(member),
                before: self.targets.get(id).cloned().unwrap_or_default(),
            })
            .collect();
        let counts = self.wanted.values().copied().collect();
        self.targets = self.preferred_assignor().assign(&subscribers, &counts);
        self.target_epoch = self.epoch;
    }

    fn topics_of(&self, member: &Member) -> BTreeSet<Uuid> {
        let wanted = self.wanted.iter().filter(|(name, _)| member.wants(name));
        wanted.map(|(_, (id, _))| *id).collect()
    }

    /// The assignor that most members ask for.
    fn preferred_assignor(&self) -> Assignor {
        let mut votes = BTreeMap::<Assignor, usize>::new();
        for assignor in self.members.values().filter_map(|member| member.assignor) {
            *votes.entry(assignor).or_default() += 1;
        }
        let most = votes.into_iter().max_by_key(|&(_, votes)| votes);
        most.map(|(assignor, _)| assignor).unwrap_or_default()
    }

    /// Leads a member one step towards what it shall read.
    fn reconcile(&mut self, beat: Beat<'_>) {
        let Some(mut member) = self.members.remove(beat.member_id) else {
            return;
        };
        let nothing = Partitions::new();
        let partitions = self.targets.get(beat.member_id).unwrap_or(&nothing);
        let target = Target { epoch: self.target_epoch, partitions };
        let others = &self.members;
        let is_held = |topic, partition| others.values().any(|one| one.holds(topic, partition));
        member.reconcile(beat.now, target, beat.request.topic_partitions.as_deref(), is_held);
        self.members.insert(beat.member_id.to_owned(), member);
    }
}

impl Default for ConsumerGroup {
    fn default() -> Self {
        Self {
            // The first members of a 4.3 broker get epoch 2.
            epoch: 1,
            target_epoch: 0,
            members: BTreeMap::new(),
            targets: BTreeMap::new(),
            wanted: BTreeMap::new(),
            assigned_at: None,
        }
    }
}

/// Takes over what a heartbeat says has changed.
fn update(member: &mut Member, request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
    if let Some(pattern) = &request.subscribed_topic_regex
        && Some(pattern.as_str()) != regex_text(member)
    {
        // The empty pattern takes an earlier one back.
        let compiled = (!pattern.is_empty()).then(|| Pattern::new(pattern)).transpose();
        member.regex = compiled.map_err(|code| {
            Refusal::new(code, format!("SubscribedTopicRegex `{pattern}` is not a valid regex."))
        })?;
    }
    if let Some(instance) = &request.instance_id {
        member.instance_id = Some(instance.clone());
    }
    if let Some(rack) = &request.rack_id {
        member.rack_id = Some(rack.clone());
    }
    if let Ok(timeout) = u64::try_from(request.rebalance_timeout_ms) {
        member.rebalance_timeout = Duration::from_millis(timeout);
    }
    if let Some(assignor) = request.server_assignor.as_deref() {
        member.assignor = Assignor::named(assignor);
    }
    if let Some(names) = &request.subscribed_topic_names {
        member.topics = names.iter().cloned().collect();
    }
    Ok(())
}

fn regex_text(member: &Member) -> Option<&str> {
    member.regex.as_ref().map(Pattern::text)
}

/// Whether a member may go on with the epoch it names: the present one, or the one before if the
/// answer that brought the present one may have been lost. It may always begin anew.
fn check_member_epoch(
    member: &Member,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<(), Refusal> {
    let (said, known) = (request.member_epoch, member.epoch);
    let answer_was_lost = said == member.previous_epoch
        && is_subset(request.topic_partitions.as_deref(), &member.assigned);
    if said == known || said == 0 || (said < known && answer_was_lost) {
        return Ok(());
    }
    let how = if said > known { "greater" } else { "smaller" };
    let message = format!(
        "The consumer group member has a {how} member epoch ({said}) than the one known by the \
         group coordinator ({known}). The member must abandon all its partitions and rejoin."
    );
    Err(Refusal::new(ErrorCode::FENCED_MEMBER_EPOCH, message))
}

fn unknown(member_id: &str) -> Refusal {
    Refusal::new(ErrorCode::UNKNOWN_MEMBER_ID, format!("Member {member_id} is not a member."))
}

/// The epoch of a member that leaves.
pub(crate) const LEAVE: i32 = -1;
/// The epoch of a static member that leaves and will come back (KIP-345).
pub(crate) const LEAVE_FOR_A_WHILE: i32 = -2;
const MOST_MEMBERS: usize = 1_000;
