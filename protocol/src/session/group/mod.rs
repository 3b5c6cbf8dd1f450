//! A member of a consumer group of the classic protocol: what it wants to read goes in, requests to
//! the coordinator and news of partitions given and taken come out.
//!
//! Member ids come from the broker first (KIP-394), static members keep their place (KIP-345),
//! cooperative ones keep reading while the group rebalances (KIP-429), and a leader that came back
//! may be told to leave the assignment alone (KIP-814). To find the coordinator is the driver's.
//!
//! | state | until |
//! |---|---|
//! | `Idle` | [`Group::subscribe`] or [`Group::join`] |
//! | `AwaitsRevocation` | [`Group::revoked`]: positions are committed, or given up; heartbeats go on |
//! | `AwaitsTurn` | the pause after a failure has passed, and JoinGroup can be sent |
//! | `AwaitsJoin` | the group has formed and JoinGroup is answered |
//! | `AwaitsAssignor` | [`Group::assign`], if this member leads; heartbeats go on |
//! | `AwaitsTurnToSync` | SyncGroup can be sent |
//! | `AwaitsSync` | the leader has assigned and SyncGroup is answered |
//! | `Stable` | a heartbeat's answer asks to join again, or the subscription or the topics change |
//! | `AwaitsTurnToLeave`, `AwaitsLeave` | LeaveGroup is sent, and answered |
//! | `Ended` | nothing: the coordinator refused for good |
//!
//! One request is outstanding at a time. What a member owns it owns from `Assigned` to the answer
//! of `Revoke`, or to `Lost`. A member that got no answer for its session's timeout counts its
//! partitions as lost, since the coordinator may have given them to others by then; Java's goes on
//! reading.

mod answers;
mod call;
mod lead;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::assign::{
    Assignor, CONSUMER_PROTOCOL_VERSIONS, PROTOCOL_TYPE, Subscription, TopicPartition, Topics,
    is_cooperative,
};
use crate::code::ErrorCode;
use crate::error::EncodeError;
use crate::messages::heartbeat::HeartbeatRequest;
use crate::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use crate::messages::leave_group::MemberIdentity;
use crate::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use crate::session::backoff::Backoff;
use crate::session::membership::{Identity, MemberEvent, RevocationId};

use lead::Leading;

pub use call::{GroupAnswer, GroupCall, Leave};

/// A membership in a classic group.
///
/// Commands: [`subscribe`](Self::subscribe), [`join`](Self::join), [`revoked`](Self::revoked),
/// [`assign`](Self::assign), [`leave`](Self::leave). In: [`handle_answer`](Self::handle_answer),
/// [`handle_failure`](Self::handle_failure), [`handle_timeout`](Self::handle_timeout),
/// [`handle_topics`](Self::handle_topics), [`handle_refusal`](Self::handle_refusal). Out:
/// [`poll_transmit`](Self::poll_transmit), [`poll_event`](Self::poll_event),
/// [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Group {
    options: GroupOptions,
    /// What is to be read, sorted.
    topics: Vec<String>,
    /// What was to be read when the group was joined last.
    joined_topics: Vec<String>,
    state: State,
    member_id: Arc<str>,
    /// -1 outside of any.
    generation: i32,
    assignor: Option<Assignor>,
    owned: BTreeSet<TopicPartition>,
    leading: Option<Leading>,
    in_flight: Option<Flight>,
    revocation: RevocationId,
    heartbeat_at: Instant,
    /// When the coordinator is known to have known this member last.
    proven: Instant,
    not_before: Instant,
    failures: u32,
    events: VecDeque<MemberEvent>,
}

/// How a member takes part.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// The group's name.
    pub group_id: String,
    /// The name of a static member (KIP-345).
    pub instance_id: Option<String>,
    /// The rack of this machine, for assignors that heed it (KIP-881).
    pub rack: Option<String>,
    /// The ways of assigning that are offered, the favourite first. The member is cooperative if
    /// all of them are.
    pub assignors: Vec<Assignor>,
    /// Without a heartbeat for so long the coordinator takes the member for dead.
    pub session_timeout: Duration,
    /// How long the group waits for its members when it forms anew.
    pub rebalance_timeout: Duration,
    /// The time between two heartbeats.
    pub heartbeat_interval: Duration,
    /// The pauses after failures.
    pub backoff: Backoff,
    /// This member's random number in `0.0..1.0`, which spreads its pauses from those of others.
    pub jitter: f64,
}

/// The outstanding request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flight {
    kind: Kind,
    sent: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Join,
    Sync,
    Heartbeat,
    Leave,
}

#[derive(Debug)]
enum State {
    Idle,
    AwaitsRevocation(BTreeSet<TopicPartition>),
    AwaitsTurn,
    AwaitsJoin,
    AwaitsAssignor,
    AwaitsTurnToSync(Vec<SyncGroupRequestAssignment>),
    AwaitsSync,
    Stable,
    AwaitsTurnToLeave,
    AwaitsLeave,
    Ended,
}

impl Group {
    /// A member of nothing yet.
    pub fn new(now: Instant, options: GroupOptions) -> Self {
        Self {
            options,
            topics: Vec::new(),
            joined_topics: Vec::new(),
            state: State::Idle,
            member_id: Arc::from(""),
            generation: NO_GENERATION,
            assignor: None,
            owned: BTreeSet::new(),
            leading: None,
            in_flight: None,
            revocation: RevocationId::default(),
            heartbeat_at: now,
            proven: now,
            not_before: now,
            failures: 0,
            events: VecDeque::new(),
        }
    }

    /// Sets what is to be read. A member that has joined joins again if that is something else; one
    /// that has not, joins.
    pub fn subscribe(&mut self, now: Instant, topics: impl IntoIterator<Item = String>) {
        self.topics = topics.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        match self.state {
            State::Idle => self.join(now),
            State::Stable if self.topics != self.joined_topics => self.rejoin(now),
            _ => {}
        }
    }

    /// Joins, unless it takes part already or has ended.
    pub fn join(&mut self, now: Instant) {
        if matches!(self.state, State::Idle) {
            self.state = State::AwaitsTurn;
            self.not_before = now;
        }
    }

    /// The revoked partitions are let go. Of another revocation than the one under way, this does
    /// nothing.
    pub fn revoked(&mut self, now: Instant, id: RevocationId) {
        if id != self.revocation {
            return;
        }
        if let State::AwaitsRevocation(partitions) = &self.state {
            self.owned.retain(|partition| !partitions.contains(partition));
            self.state = State::AwaitsTurn;
            self.not_before = now;
        }
    }

    /// Shares out, having been asked to by [`MemberEvent::Lead`]. Topics that do not exist are
    /// missing in `topics`. Otherwise this does nothing.
    ///
    /// # Errors
    ///
    /// A name that is too long for the wire. The member goes on without assigning, and the group
    /// forms anew when the coordinator's patience ends.
    pub fn assign(&mut self, topics: &Topics) -> Result<(), EncodeError> {
        if let (State::AwaitsAssignor, Some(leading)) = (&self.state, &mut self.leading) {
            self.state = State::AwaitsTurnToSync(leading.assign(topics)?);
        }
        Ok(())
    }

    /// Gives everything up and leaves: with `for_good` also as a static member, which otherwise
    /// keeps its place until its session ends. Ends in [`MemberEvent::Left`]; whoever cannot wait
    /// for that stops driving this machine. After [`MemberEvent::Left`] an answer that is still
    /// under way must not be handed in.
    pub fn leave(&mut self, now: Instant, for_good: bool) {
        self.lose();
        let is_static = self.options.instance_id.is_some();
        match self.state {
            State::Ended => return,
            State::AwaitsTurnToLeave | State::AwaitsLeave => return,
            State::Idle => {}
            _ if self.member_id.is_empty() && self.in_flight.is_none() => {}
            _ if is_static && !for_good => {}
            _ => {
                self.state = State::AwaitsTurnToLeave;
                self.not_before = now;
                return;
            }
        }
        self.end_membership();
    }

    /// In whose name to commit; `None` outside of a generation.
    pub fn identity(&self) -> Option<Identity> {
        self.is_member().then(|| Identity {
            member_id: Arc::clone(&self.member_id),
            epoch: self.generation,
            instance_id: self.options.instance_id.clone(),
        })
    }

    /// What this member owns.
    pub fn owned(&self) -> impl Iterator<Item = &TopicPartition> {
        self.owned.iter()
    }

    /// The topics have changed, or may have: whoever leads looks whether the shares still fit.
    pub fn handle_topics(&mut self, now: Instant, topics: &Topics) {
        let outdated = self.leading.as_ref().is_some_and(|leading| leading.is_outdated(topics));
        if outdated && matches!(self.state, State::Stable) {
            self.rejoin(now);
        }
    }

    /// What all members subscribe to, if this one leads: the topics to look after, for
    /// [`assign`](Self::assign) and [`handle_topics`](Self::handle_topics).
    pub fn led_topics(&self) -> Option<Vec<String>> {
        self.leading.as_ref().map(Leading::topics)
    }

    /// The coordinator refused a commit in this name, for the code of a member or of its
    /// generation. While the group forms, that may only mean that it has formed already; the answer
    /// that is awaited will tell.
    pub fn handle_refusal(&mut self, now: Instant, identity: &Identity, code: ErrorCode) {
        let current = self.identity().as_ref() == Some(identity) && !self.awaits_group();
        if current && code != ErrorCode::REBALANCE_IN_PROGRESS {
            self.judge(now, code);
        }
    }

    /// Whether an answer is outstanding that may take as long as the whole group needs.
    pub fn awaits_group(&self) -> bool {
        self.in_flight.is_some_and(|flight| matches!(flight.kind, Kind::Join | Kind::Sync))
    }

    /// The request to send now, if one is due. The next one comes after its answer or failure.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<GroupCall> {
        if self.in_flight.is_some() || self.not_before > now {
            return None;
        }
        let beats = self.beats() && self.heartbeat_at <= now;
        let (kind, call) = match &mut self.state {
            State::AwaitsTurn => {
                self.state = State::AwaitsJoin;
                (Kind::Join, GroupCall::Join(self.join_request()))
            }
            State::AwaitsTurnToSync(assignments) => {
                let assignments = std::mem::take(assignments);
                self.state = State::AwaitsSync;
                (Kind::Sync, GroupCall::Sync(self.sync_request(assignments)))
            }
            State::AwaitsTurnToLeave => {
                self.state = State::AwaitsLeave;
                (Kind::Leave, GroupCall::Leave(self.leave_request()))
            }
            _ if beats => {
                self.heartbeat_at = now + self.options.heartbeat_interval;
                (Kind::Heartbeat, GroupCall::Heartbeat(self.heartbeat_request()))
            }
            _ => return None,
        };
        self.in_flight = Some(Flight { kind, sent: now });
        Some(call)
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<MemberEvent> {
        self.events.pop_front()
    }

    /// When [`poll_transmit`](Self::poll_transmit) has something.
    pub fn sends_at(&self) -> Option<Instant> {
        match self.state {
            _ if self.in_flight.is_some() => None,
            State::AwaitsTurn | State::AwaitsTurnToSync(_) | State::AwaitsTurnToLeave => {
                Some(self.not_before)
            }
            _ if self.beats() => Some(self.heartbeat_at.max(self.not_before)),
            _ => None,
        }
    }

    /// When something is due although nothing arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.sends_at(), self.session_ends()].into_iter().flatten().min()
    }

    /// Time has passed: a session that got no answer for too long has ended.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.session_ends().is_some_and(|at| at <= now) {
            self.restart(now);
        }
    }

    /// While the coordinator waits for the group it keeps no time for its members; before and after
    /// that it does.
    fn session_ends(&self) -> Option<Instant> {
        let timed = self.is_member() && !self.awaits_group();
        timed.then(|| self.proven + self.options.session_timeout)
    }

    fn is_member(&self) -> bool {
        self.generation != NO_GENERATION
    }

    fn beats(&self) -> bool {
        let quiet = matches!(
            self.state,
            State::AwaitsRevocation(_) | State::AwaitsAssignor | State::Stable
        );
        quiet && self.is_member()
    }

    /// Joins again: with everything an eager member has let go, a cooperative one only what it does
    /// not want any more.
    fn rejoin(&mut self, now: Instant) {
        let keeps = is_cooperative(&self.options.assignors);
        let wanted = |topic: &str| self.topics.iter().any(|name| name == topic);
        let goes = |partition: &&TopicPartition| !(keeps && wanted(&partition.topic));
        let goes = self.owned.iter().filter(goes).cloned().collect();
        self.leading = None;
        self.revoke(now, goes);
    }

    /// Asks for partitions back, then joins; joins at once if there are none.
    fn revoke(&mut self, now: Instant, partitions: BTreeSet<TopicPartition>) {
        if partitions.is_empty() {
            self.state = State::AwaitsTurn;
            self.not_before = self.not_before.max(now);
            return;
        }
        self.revocation = self.revocation.next();
        let (id, list) = (self.revocation, partitions.iter().cloned().collect());
        self.events.push_back(MemberEvent::Revoke { id, partitions: list });
        self.state = State::AwaitsRevocation(partitions);
    }

    /// The coordinator does not count this member's generation, or may not: everything is lost, and
    /// it begins again.
    fn restart(&mut self, now: Instant) {
        self.lose();
        self.state = State::AwaitsTurn;
        self.pause(now);
    }

    fn lose(&mut self) {
        self.generation = NO_GENERATION;
        self.leading = None;
        let lost: Vec<_> = std::mem::take(&mut self.owned).into_iter().collect();
        if !lost.is_empty() {
            self.events.push_back(MemberEvent::Lost(lost));
        }
    }

    fn end_membership(&mut self) {
        self.member_id = Arc::from("");
        self.state = State::Idle;
        self.in_flight = None;
        self.events.push_back(MemberEvent::Left);
    }

    /// After another failure in a row, keeps quiet for longer.
    fn pause(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let pause = self.options.backoff.pause(self.failures, self.options.jitter);
        self.not_before = self.not_before.max(now + pause);
    }

    fn join_request(&mut self) -> JoinGroupRequest {
        self.joined_topics.clone_from(&self.topics);
        let offered = self.options.assignors.iter().filter_map(|assignor| {
            let metadata = self.metadata(*assignor).ok()?;
            Some(JoinGroupRequestProtocol { name: assignor.name().to_owned(), metadata })
        });
        JoinGroupRequest {
            group_id: self.options.group_id.clone(),
            session_timeout_ms: millis(self.options.session_timeout),
            rebalance_timeout_ms: millis(self.options.rebalance_timeout),
            member_id: self.member_id.to_string(),
            group_instance_id: self.options.instance_id.clone(),
            protocol_type: PROTOCOL_TYPE.to_owned(),
            protocols: offered.collect(),
            reason: None,
        }
    }

    /// What the leader shall know. Names come from subscriptions and assignments, so they fit.
    fn metadata(&self, assignor: Assignor) -> Result<bytes::Bytes, EncodeError> {
        let owned: Vec<_> = self.owned.iter().cloned().collect();
        let held = self.is_member().then_some(owned.as_slice());
        let subscription = Subscription {
            topics: self.topics.clone(),
            user_data: assignor.user_data(self.generation, held)?,
            generation: Some(self.generation).filter(|_| self.is_member()),
            rack: self.options.rack.clone(),
            owned,
        };
        subscription.encode(CONSUMER_PROTOCOL_VERSIONS.max)
    }

    fn sync_request(&self, assignments: Vec<SyncGroupRequestAssignment>) -> SyncGroupRequest {
        SyncGroupRequest {
            group_id: self.options.group_id.clone(),
            generation_id: self.generation,
            member_id: self.member_id.to_string(),
            group_instance_id: self.options.instance_id.clone(),
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol_name: self.assignor.map(|assignor| assignor.name().to_owned()),
            assignments,
        }
    }

    fn heartbeat_request(&self) -> HeartbeatRequest {
        HeartbeatRequest {
            group_id: self.options.group_id.clone(),
            generation_id: self.generation,
            member_id: self.member_id.to_string(),
            group_instance_id: self.options.instance_id.clone(),
        }
    }

    fn leave_request(&self) -> Leave {
        let member = MemberIdentity {
            member_id: self.member_id.to_string(),
            group_instance_id: self.options.instance_id.clone(),
            reason: None,
        };
        Leave { group_id: self.options.group_id.clone(), member }
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// The generation of who is in none.
const NO_GENERATION: i32 = -1;

#[cfg(test)]
mod tests;
