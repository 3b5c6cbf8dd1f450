//! What answers mean for a classic member: responses go in, states and events come of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::assign::{Assignment, Assignor, PROTOCOL_TYPE};
use crate::code::ErrorCode;
use crate::messages::heartbeat::HeartbeatResponse;
use crate::messages::join_group::JoinGroupResponse;
use crate::messages::leave_group::LeaveGroupResponse;
use crate::messages::sync_group::SyncGroupResponse;
use crate::session::membership::MemberEvent;

use super::call::GroupAnswer;
use super::lead::Leading;
use super::{Group, Kind, NO_GENERATION, State};

impl Group {
    /// Takes in the answer to the outstanding request; without one, or to another, nothing happens.
    pub fn handle_answer(&mut self, now: Instant, answer: GroupAnswer) {
        let Some(flight) = self.in_flight else { return };
        let kind = match answer {
            GroupAnswer::Join(_) => Kind::Join,
            GroupAnswer::Sync(_) => Kind::Sync,
            GroupAnswer::Heartbeat(_) => Kind::Heartbeat,
            GroupAnswer::Leave(_) => Kind::Leave,
        };
        if kind != flight.kind {
            return;
        }
        self.in_flight = None;
        self.throttle(now, answer.throttle_ms());
        match answer {
            GroupAnswer::Join(answer) => self.joined(now, answer),
            GroupAnswer::Sync(answer) => self.synced(now, &answer),
            GroupAnswer::Heartbeat(answer) => self.beaten(now, flight.sent, &answer),
            GroupAnswer::Leave(answer) => self.left(now, &answer),
        }
    }

    /// No answer will come to the outstanding request, or there was no way to send one.
    pub fn handle_failure(&mut self, now: Instant) {
        self.in_flight = None;
        match self.state {
            State::AwaitsJoin | State::AwaitsSync => self.state = State::AwaitsTurn,
            // The coordinator has given no id that could be said farewell by.
            State::AwaitsTurnToLeave if self.member_id.is_empty() => return self.end_membership(),
            State::AwaitsLeave => self.state = State::AwaitsTurnToLeave,
            _ => {}
        }
        self.pause(now);
        self.heartbeat_at = self.heartbeat_at.min(self.not_before);
    }

    fn joined(&mut self, now: Instant, answer: JoinGroupResponse) {
        let code = answer.error_code;
        let named = code.is_ok() || code == ErrorCode::MEMBER_ID_REQUIRED;
        if named {
            self.member_id = Arc::from(answer.member_id.as_str());
        }
        // Somebody wants to leave meanwhile; now that the id is known, that can be said.
        if !matches!(self.state, State::AwaitsJoin) {
            return;
        }
        if code == ErrorCode::MEMBER_ID_REQUIRED {
            self.state = State::AwaitsTurn;
            return;
        }
        if !code.is_ok() {
            return self.judge(now, code);
        }
        let foreign = |kind: &String| kind != PROTOCOL_TYPE;
        let name = answer.protocol_name.unwrap_or_default();
        let assignor = name.parse::<Assignor>().ok();
        let assignor = assignor.filter(|assignor| self.options.assignors.contains(assignor));
        let Some(assignor) =
            assignor.filter(|_| !answer.protocol_type.as_ref().is_some_and(foreign))
        else {
            return self.fail(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        };
        self.assignor = Some(assignor);
        self.generation = answer.generation_id;
        self.confirm(now);
        self.heartbeat_at = now + self.options.heartbeat_interval;
        if answer.leader != *self.member_id {
            self.state = State::AwaitsTurnToSync(Vec::new());
            return;
        }
        let leading = Leading::new(assignor, answer.members, answer.skip_assignment);
        self.events.push_back(MemberEvent::Lead { topics: leading.topics() });
        self.leading = Some(leading);
        self.state = State::AwaitsAssignor;
    }

    fn synced(&mut self, now: Instant, answer: &SyncGroupResponse) {
        if !matches!(self.state, State::AwaitsSync) {
            return;
        }
        if !answer.error_code.is_ok() {
            return self.judge(now, answer.error_code);
        }
        self.confirm(now);
        self.state = State::Stable;
        // No bytes come to whom the leader forgot, and damaged ones from a leader that is broken.
        let assigned = Assignment::decode(answer.assignment.clone()).unwrap_or_default();
        let assigned: BTreeSet<_> = assigned.partitions.into_iter().collect();
        let new: Vec<_> = assigned.difference(&self.owned).cloned().collect();
        let gone: BTreeSet<_> = self.owned.difference(&assigned).cloned().collect();
        self.owned.extend(new.iter().cloned());
        if !new.is_empty() {
            self.events.push_back(MemberEvent::Assigned(new));
        }
        if !gone.is_empty() {
            // What is free then is given out in the generation after this (KIP-429).
            self.leading = None;
            self.revoke(now, gone);
        } else if self.topics != self.joined_topics {
            self.rejoin(now);
        }
    }

    fn beaten(&mut self, now: Instant, sent: Instant, answer: &HeartbeatResponse) {
        match answer.error_code {
            ErrorCode::NONE => self.confirm(sent),
            ErrorCode::REBALANCE_IN_PROGRESS => {
                self.confirm(sent);
                if matches!(self.state, State::Stable) {
                    self.rejoin(now);
                }
            }
            code => self.judge(now, code),
        }
    }

    /// A coordinator that does not know this member any more is as good as one that let it go.
    fn left(&mut self, now: Instant, answer: &LeaveGroupResponse) {
        let of_member = answer.members.first().map(|member| member.error_code);
        let codes = [Some(answer.error_code), of_member];
        if !codes.into_iter().flatten().any(ErrorCode::is_retriable) {
            return self.end_membership();
        }
        self.state = State::AwaitsTurnToLeave;
        self.events.push_back(MemberEvent::CoordinatorLost);
        self.pause(now);
    }

    /// Acts on a code that any of the requests may be refused with.
    pub(super) fn judge(&mut self, now: Instant, code: ErrorCode) {
        // Whoever leaves is past caring.
        if matches!(self.state, State::AwaitsTurnToLeave | State::AwaitsLeave | State::Ended) {
            return;
        }
        match code {
            ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => {
                self.events.push_back(MemberEvent::CoordinatorLost);
                self.try_again(now);
            }
            ErrorCode::REBALANCE_IN_PROGRESS => self.try_again(now),
            ErrorCode::UNKNOWN_MEMBER_ID => {
                self.member_id = Arc::from("");
                self.restart(now);
            }
            ErrorCode::ILLEGAL_GENERATION => self.restart(now),
            code if code.is_retriable() => self.try_again(now),
            code => self.fail(code),
        }
    }

    /// The step that was refused is made again: the heartbeat as it is, all others from the join on.
    fn try_again(&mut self, now: Instant) {
        if matches!(self.state, State::AwaitsJoin | State::AwaitsSync) {
            self.state = State::AwaitsTurn;
        }
        self.pause(now);
        self.heartbeat_at = self.heartbeat_at.min(self.not_before);
    }

    pub(super) fn fail(&mut self, code: ErrorCode) {
        self.lose();
        self.state = State::Ended;
        self.events.push_back(MemberEvent::Failed { code, message: None });
    }

    /// The coordinator knew this member at that time.
    fn confirm(&mut self, at: Instant) {
        self.failures = 0;
        if self.generation != NO_GENERATION {
            self.proven = self.proven.max(at);
        }
    }

    fn throttle(&mut self, now: Instant, throttle_ms: i32) {
        let wait = Duration::from_millis(u64::try_from(throttle_ms).unwrap_or(0));
        if !wait.is_zero() {
            self.not_before = self.not_before.max(now + wait.min(LONGEST_THROTTLE));
        }
    }
}

const LONGEST_THROTTLE: Duration = Duration::from_secs(60);
