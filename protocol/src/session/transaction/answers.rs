//! What coordinators answer: a response goes in by the request that it belongs to, the machine's state
//! and the events that follow from it come out.

use std::sync::Arc;
use std::time::Instant;

use crate::code::ErrorCode;
use crate::messages::add_partitions_to_txn::AddPartitionsToTxnResponse;
use crate::messages::end_txn::EndTxnResponse;
use crate::messages::init_producer_id::InitProducerIdResponse;
use crate::messages::txn_offset_commit::TxnOffsetCommitResponse;

use super::verdict::{self, Asked, Verdict};
use super::{
    CONCURRENT_PAUSE, Cause, End, Flight, State, TransactionError, TransactionEvent, Transactions,
};

impl Transactions {
    pub(super) fn take_id(&mut self, now: Instant, flight: Flight, answer: InitProducerIdResponse) {
        let verdict = verdict::sort(Asked::Init, answer.error_code);
        let awaited = self.state == State::AwaitingProducerId;
        if verdict == Verdict::Done && awaited {
            self.adopt(answer.producer_id, answer.producer_epoch);
            self.state = State::AwaitingBegin;
        }
        // Nobody waits any more for an answer that came too late; the next one will be asked for
        // with the old epoch, which the coordinator takes for a repetition.
        if awaited || matches!(verdict, Verdict::Fenced | Verdict::Refused) {
            self.obey(now, flight, verdict, answer.error_code);
        }
    }

    pub(super) fn take_partitions(
        &mut self,
        now: Instant,
        mut flight: Flight,
        answer: AddPartitionsToTxnResponse,
    ) {
        let results = &answer.results_by_topic_v3_and_below;
        let codes = results.iter().flat_map(|topic| {
            topic.results_by_partition.iter().map(|one| (topic.name.as_str(), one))
        });
        let all = codes.clone().map(|(_, one)| one.partition_error_code);
        let (verdict, code) = verdict::sort_all(Asked::AddPartitions, all);
        let mut left = std::mem::take(&mut flight.places);
        if verdict == Verdict::Done {
            left.retain(|(topic, partition)| {
                !codes
                    .clone()
                    .any(|(name, one)| *name == **topic && one.partition_index == *partition)
            });
            let added = results.iter().flat_map(|topic| {
                let name: Arc<str> = Arc::from(topic.name.as_str());
                let places = topic.results_by_partition.iter();
                places.map(move |one| (Arc::clone(&name), one.partition_index))
            });
            self.open.started = true;
            for (topic, partition) in added {
                self.open.members.insert((Arc::clone(&topic), partition));
                if self.takes_records() {
                    self.events.push_back(TransactionEvent::PartitionAdded { topic, partition });
                }
            }
        }
        // What the answer leaves out, and what is to be asked for again.
        if self.takes_records() {
            self.open.wanted.extend(left);
        }
        self.obey(now, flight, verdict, code);
    }

    pub(super) fn take_group(&mut self) {
        self.open.started = true;
        if let Some((member, _)) = &self.open.offsets {
            self.open.groups.insert(Arc::clone(&member.group));
        }
    }

    pub(super) fn take_offsets(
        &mut self,
        now: Instant,
        flight: Flight,
        answer: TxnOffsetCommitResponse,
    ) {
        let codes = answer.topics.iter().flat_map(|topic| {
            topic
                .partitions
                .iter()
                .map(|one| (topic.name.as_str(), one.partition_index, one.error_code))
        });
        let (verdict, code) =
            verdict::sort_all(Asked::CommitOffsets, codes.clone().map(|(.., code)| code));
        if let Some((_, positions)) = &mut self.open.offsets {
            positions.retain(|position| {
                !codes.clone().any(|(topic, partition, code)| {
                    code.is_ok() && *topic == *position.topic && partition == position.partition
                })
            });
            if positions.is_empty() {
                self.give_up_offsets_with(Ok(()));
            }
        }
        self.obey(now, flight, verdict, code);
    }

    pub(super) fn take_end(&mut self, now: Instant, flight: Flight, answer: EndTxnResponse) {
        let (State::AwaitingAnswer(end) | State::AwaitingResolution(end)) = self.state else {
            return;
        };
        let code = answer.error_code;
        let mut verdict = verdict::sort(Asked::End, code);
        // There was nothing to abort: the request that might have begun it never arrived.
        let nothing = end == End::Aborted && !self.open.started;
        if code == ErrorCode::INVALID_TXN_STATE && nothing {
            verdict = Verdict::Done;
        }
        // There is nothing that this or an earlier copy could commit.
        if code == ErrorCode::INVALID_TXN_STATE {
            self.open.end_in_doubt = false;
        }
        match verdict {
            Verdict::Done => {
                let next = (answer.producer_id, answer.producer_epoch);
                let known = next.0 >= 0 && next.1 >= 0;
                self.ended(end, known.then_some(next));
                self.settled();
            }
            Verdict::AbortOnly if end == End::Committed && !self.open.end_in_doubt => {
                self.refuse_commit(Cause::Broker(code));
            }
            Verdict::AbortOnly
                if end == End::Committed && code == ErrorCode::TRANSACTION_ABORTABLE =>
            {
                self.abort_in_doubt();
            }
            Verdict::AbortOnly => self.fail(TransactionError::Refused(code)),
            _ => self.obey(now, flight, verdict, code),
        }
    }

    /// Does what an answer asks for.
    pub(super) fn obey(&mut self, now: Instant, flight: Flight, verdict: Verdict, code: ErrorCode) {
        match verdict {
            Verdict::Done => self.settled(),
            Verdict::Repeat => {
                if !verdict::touched_nothing(code) {
                    self.may_have_happened(flight.asked);
                }
                self.pause(now, code);
            }
            Verdict::Relocate => {
                self.may_have_happened(flight.asked);
                self.push(TransactionEvent::StaleCoordinator(flight.to));
                self.pause(now, code);
            }
            Verdict::Fenced => self.fail(TransactionError::Fenced(code)),
            Verdict::Refused => self.fail(TransactionError::Refused(code)),
            Verdict::AbortOnly => self.break_open(Cause::Broker(code)),
        }
    }

    pub(super) fn settled(&mut self) {
        self.failures = 0;
        self.not_before = None;
    }

    /// A request got no answer.
    pub(super) fn lose(&mut self, now: Instant, flight: Flight, sent: bool) {
        if sent {
            self.may_have_happened(flight.asked);
            self.open.doubt |= flight.asked != Asked::Init;
        }
        if self.takes_records() {
            self.open.wanted.extend(flight.places);
        }
        self.push(TransactionEvent::StaleCoordinator(flight.to));
        self.pause(now, ErrorCode::NONE);
    }

    /// A request may have had its effect, though nobody said so.
    pub(super) fn may_have_happened(&mut self, asked: Asked) {
        match asked {
            Asked::Init => {}
            Asked::End => self.open.end_in_doubt = true,
            _ => self.open.perhaps_started = true,
        }
    }

    pub(super) fn pause(&mut self, now: Instant, code: ErrorCode) {
        self.failures = self.failures.saturating_add(1);
        let pause = match code {
            // The markers of the transaction before are still being written, which takes moments.
            ErrorCode::CONCURRENT_TRANSACTIONS => CONCURRENT_PAUSE,
            // One client contends for the id, so there is nobody to be spread from.
            _ => self.options.backoff.pause(self.failures, 0.5),
        };
        self.not_before = Some(now + pause);
    }
}
