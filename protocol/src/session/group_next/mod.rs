//! A member of a consumer group whose coordinator assigns (KIP-848): what it wants to read goes in,
//! heartbeats and news of partitions given and taken come out.
//!
//! A heartbeat carries what has changed since the last one that was answered, and everything after a
//! failure. Its answer may bring a new target; the member gets there in steps: it lets go what it
//! shall not keep, then takes up what is free for it, and tells what it owns after either. To find
//! the coordinator, and the names of topics, is the driver's.
//!
//! | state | until |
//! |---|---|
//! | `Idle` | [`GroupNext::subscribe`] or [`GroupNext::join`] |
//! | `AwaitsJoin` | the heartbeat with epoch 0 is answered |
//! | `Stable` | a heartbeat brings another target than what is owned, or the names of topics come |
//! | `AwaitsRevocation` | [`GroupNext::revoked`]: positions are committed, or given up; heartbeats go on |
//! | `AwaitsLeave` | the heartbeat with epoch -1 or -2 is answered |
//! | `Ended` | nothing: the coordinator refused for good |
//!
//! A fenced member has lost everything and joins anew under its id. An answer counts only for the
//! membership in which its heartbeat was sent.

mod call;
mod reconcile;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::assign::TopicPartition;
use crate::code::ErrorCode;
use crate::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use crate::session::backoff::Backoff;
use crate::session::membership::{Identity, MemberEvent, RevocationId};
use crate::wire::Uuid;

use call::Told;

/// A membership in a group whose coordinator assigns.
///
/// Commands: [`subscribe`](Self::subscribe), [`join`](Self::join), [`revoked`](Self::revoked),
/// [`leave`](Self::leave). In: [`handle_answer`](Self::handle_answer),
/// [`handle_failure`](Self::handle_failure), [`handle_names`](Self::handle_names),
/// [`handle_refusal`](Self::handle_refusal). Out: [`poll_transmit`](Self::poll_transmit),
/// [`poll_event`](Self::poll_event), [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct GroupNext {
    options: GroupNextOptions,
    wanted: Wanted,
    state: State,
    member_id: Arc<str>,
    /// 0 outside of the group.
    epoch: i32,
    /// Counts memberships, so that an answer of an earlier one is known by it.
    membership: u64,
    interval: Duration,
    owned: BTreeSet<Place>,
    target: BTreeSet<Place>,
    names: BTreeMap<Uuid, Arc<str>>,
    /// What the coordinator knows of this member.
    told: Told,
    /// The coordinator waits to hear what is owned, changed or not.
    owes_owned: bool,
    /// A heartbeat was sent after the target came, and no answer has come to one since: the
    /// coordinator may have taken what it left out as let go, and given it to another.
    target_in_doubt: bool,
    in_flight: Option<Flight>,
    revocation: RevocationId,
    heartbeat_at: Instant,
    not_before: Instant,
    failures: u32,
    events: VecDeque<MemberEvent>,
}

/// How a member takes part.
#[derive(Clone, Debug)]
pub struct GroupNextOptions {
    /// The group's name.
    pub group_id: String,
    /// The id of this member for its whole life, made by who starts it: 128 random bits in base 64
    /// (KIP-1082).
    pub member_id: String,
    /// The name of a static member (KIP-345).
    pub instance_id: Option<String>,
    /// The rack of this machine.
    pub rack: Option<String>,
    /// The coordinator's assignor, none to leave the choice to it.
    pub assignor: Option<String>,
    /// How long the member may take to give partitions up.
    pub rebalance_timeout: Duration,
    /// The pauses after failures.
    pub backoff: Backoff,
    /// This member's random number in `0.0..1.0`, which spreads its pauses from those of others.
    pub jitter: f64,
}

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// These topics.
    Topics(BTreeSet<String>),
    /// All topics whose whole name the coordinator finds to match, in RE2's syntax.
    Pattern(String),
}

/// A partition as the coordinator names it.
type Place = (Uuid, i32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flight {
    membership: u64,
    leaves: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Idle,
    AwaitsJoin,
    Stable,
    AwaitsRevocation(BTreeSet<Place>),
    AwaitsLeave { epoch: i32, sent: bool },
    Ended,
}

impl GroupNext {
    /// A member of nothing yet.
    pub fn new(now: Instant, options: GroupNextOptions) -> Self {
        Self {
            member_id: Arc::from(options.member_id.as_str()),
            options,
            wanted: Wanted::Topics(BTreeSet::new()),
            state: State::Idle,
            epoch: 0,
            membership: 0,
            interval: Duration::ZERO,
            owned: BTreeSet::new(),
            target: BTreeSet::new(),
            names: BTreeMap::new(),
            told: Told::default(),
            owes_owned: false,
            target_in_doubt: false,
            in_flight: None,
            revocation: RevocationId::default(),
            heartbeat_at: now,
            not_before: now,
            failures: 0,
            events: VecDeque::new(),
        }
    }

    /// Sets what is to be read; a member that has not joined, joins.
    pub fn subscribe(&mut self, now: Instant, wanted: Wanted) {
        if self.wanted != wanted {
            self.wanted = wanted;
            self.heartbeat_at = now;
        }
        self.join(now);
    }

    /// Joins, unless it takes part already or has ended.
    pub fn join(&mut self, now: Instant) {
        if self.state == State::Idle {
            self.begin(now);
        }
    }

    /// The revoked partitions are let go. Of another revocation than the one under way, this does
    /// nothing.
    pub fn revoked(&mut self, now: Instant, id: RevocationId) {
        if id != self.revocation {
            return;
        }
        if let State::AwaitsRevocation(places) = &self.state {
            self.owned.retain(|place| !places.contains(place));
            self.state = State::Stable;
            self.heartbeat_at = now;
            self.reconcile(now);
        }
    }

    /// Gives everything up and leaves: a static member without `for_good` only for a while, so that
    /// its partitions wait for it. Ends in [`MemberEvent::Left`]; whoever cannot wait for that
    /// stops driving this machine.
    pub fn leave(&mut self, now: Instant, for_good: bool) {
        self.lose();
        let is_static = self.options.instance_id.is_some();
        let epoch = if is_static && !for_good { LEAVES_FOR_A_WHILE } else { LEAVES };
        match self.state {
            State::Ended | State::AwaitsLeave { .. } => {}
            State::Idle => self.events.push_back(MemberEvent::Left),
            _ => {
                self.state = State::AwaitsLeave { epoch, sent: false };
                self.not_before = now;
            }
        }
    }

    /// In whose name to commit; `None` outside of the group.
    pub fn identity(&self) -> Option<Identity> {
        let inside = matches!(self.state, State::Stable | State::AwaitsRevocation(_));
        inside.then(|| Identity {
            member_id: Arc::clone(&self.member_id),
            epoch: self.epoch,
            instance_id: self.options.instance_id.clone(),
        })
    }

    /// What this member owns.
    pub fn owned(&self) -> impl Iterator<Item = TopicPartition> {
        self.owned.iter().filter_map(|place| self.named(place))
    }

    /// The names of topics, as far as they are known; those known before need not be repeated.
    pub fn handle_names(
        &mut self,
        now: Instant,
        names: impl IntoIterator<Item = (Uuid, Arc<str>)>,
    ) {
        self.names.extend(names);
        if self.state == State::Stable {
            self.reconcile(now);
        }
    }

    /// The coordinator refused a commit in this name: the next heartbeat tells why, and comes now.
    pub fn handle_refusal(&mut self, now: Instant, identity: &Identity) {
        if self.identity().as_ref() == Some(identity) {
            self.heartbeat_at = now;
        }
    }

    /// The request to send now, if one is due. The next one comes after its answer or failure.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<ConsumerGroupHeartbeatRequest> {
        if self.in_flight.is_some() || self.not_before > now {
            return None;
        }
        let request = match &mut self.state {
            State::Idle | State::Ended | State::AwaitsLeave { sent: true, .. } => return None,
            State::AwaitsLeave { epoch, sent } => {
                *sent = true;
                let epoch = *epoch;
                self.farewell(epoch)
            }
            State::Stable | State::AwaitsRevocation(_) if self.heartbeat_at > now => return None,
            State::AwaitsJoin | State::Stable | State::AwaitsRevocation(_) => self.heartbeat(),
        };
        let leaves = matches!(self.state, State::AwaitsLeave { .. });
        self.in_flight = Some(Flight { membership: self.membership, leaves });
        self.target_in_doubt = true;
        self.heartbeat_at = now + self.interval;
        Some(request)
    }

    /// Takes in the answer to the outstanding heartbeat. Without one, nothing happens.
    pub fn handle_answer(&mut self, now: Instant, answer: ConsumerGroupHeartbeatResponse) {
        let Some(flight) = self.in_flight.take() else { return };
        self.throttle(now, answer.throttle_time_ms);
        if flight.leaves {
            return self.left(now, answer.error_code);
        }
        let leaving = matches!(self.state, State::AwaitsLeave { .. });
        if flight.membership != self.membership || leaving {
            return;
        }
        if !answer.error_code.is_ok() {
            self.told = Told::default();
            return self.judge(now, answer.error_code, answer.error_message);
        }
        self.failures = 0;
        self.target_in_doubt = false;
        if let Some(id) = answer.member_id.filter(|id| !id.is_empty()) {
            self.member_id = Arc::from(id);
        }
        self.epoch = answer.member_epoch;
        self.interval = millis(answer.heartbeat_interval_ms).max(SHORTEST_INTERVAL);
        self.heartbeat_at = now + self.interval;
        if self.state == State::AwaitsJoin {
            self.state = State::Stable;
        }
        if let Some(assignment) = answer.assignment {
            self.target = call::places(&assignment.topic_partitions);
            self.owes_owned = true;
        }
        if self.state == State::Stable {
            self.reconcile(now);
        }
    }

    /// No answer will come to the outstanding heartbeat, or there was no way to send one.
    pub fn handle_failure(&mut self, now: Instant) {
        self.in_flight = None;
        self.told = Told::default();
        if let State::AwaitsLeave { sent, .. } = &mut self.state {
            *sent = false;
        }
        self.pause(now);
        self.heartbeat_at = self.heartbeat_at.min(self.not_before);
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<MemberEvent> {
        self.events.pop_front()
    }

    /// When a heartbeat is due although nothing arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            _ if self.in_flight.is_some() => None,
            State::Idle | State::Ended | State::AwaitsLeave { sent: true, .. } => None,
            State::AwaitsJoin | State::AwaitsLeave { .. } => Some(self.not_before),
            State::Stable | State::AwaitsRevocation(_) => {
                Some(self.heartbeat_at.max(self.not_before))
            }
        }
    }

    /// Acts on a code.
    fn judge(&mut self, now: Instant, code: ErrorCode, message: Option<String>) {
        match code {
            ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => {
                self.events.push_back(MemberEvent::CoordinatorLost);
                self.try_again(now);
            }
            ErrorCode::FENCED_MEMBER_EPOCH | ErrorCode::UNKNOWN_MEMBER_ID => {
                self.lose();
                self.pause(now);
                self.begin(self.not_before);
            }
            // Rights may be granted while the member waits, as Java's does.
            ErrorCode::TOPIC_AUTHORIZATION_FAILED => self.try_again(now),
            code if code.is_retriable() => self.try_again(now),
            code => {
                self.lose();
                self.state = State::Ended;
                self.events.push_back(MemberEvent::Failed { code, message });
            }
        }
    }

    /// A coordinator that does not know this member any more is as good as one that let it go.
    fn left(&mut self, now: Instant, code: ErrorCode) {
        if let (true, State::AwaitsLeave { sent, .. }) = (code.is_retriable(), &mut self.state) {
            *sent = false;
            self.events.push_back(MemberEvent::CoordinatorLost);
            return self.pause(now);
        }
        self.state = State::Idle;
        self.events.push_back(MemberEvent::Left);
    }

    fn try_again(&mut self, now: Instant) {
        self.pause(now);
        self.heartbeat_at = self.heartbeat_at.min(self.not_before);
    }

    fn begin(&mut self, at: Instant) {
        self.membership = self.membership.wrapping_add(1);
        self.epoch = 0;
        self.told = Told::default();
        self.state = State::AwaitsJoin;
        self.not_before = self.not_before.max(at);
    }

    fn lose(&mut self) {
        let lost: Vec<_> = self.owned().collect();
        self.owned.clear();
        self.target.clear();
        self.owes_owned = false;
        if !lost.is_empty() {
            self.events.push_back(MemberEvent::Lost(lost));
        }
    }

    /// After another failure in a row, keeps quiet for longer.
    fn pause(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let pause = self.options.backoff.pause(self.failures, self.options.jitter);
        self.not_before = self.not_before.max(now + pause);
    }

    fn throttle(&mut self, now: Instant, throttle_ms: i32) {
        let wait = millis(throttle_ms);
        if !wait.is_zero() {
            self.not_before = self.not_before.max(now + wait.min(LONGEST_THROTTLE));
        }
    }
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// The epochs by which a member says that it goes.
const LEAVES: i32 = -1;
const LEAVES_FOR_A_WHILE: i32 = -2;
/// A coordinator that names no interval must not be asked in a tight loop.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
const LONGEST_THROTTLE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
