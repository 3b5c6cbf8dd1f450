//! One partition's queue: sealed batches go in, at most one of them at a time comes out to be sent,
//! in order and with sequence numbers that a broker accepts exactly once (KIP-98, KIP-360).
//!
//! The rules, each with the harm it prevents:
//!
//! - A batch keeps its sequence through all retries: the broker drops the second copy.
//! - Only the first waiting batch may be sent, and a retried one only when nothing is before it: no
//!   gap, no reordering.
//! - From the oldest batch without outcome on, at most five are numbered, acknowledged ones
//!   included: a broker remembers five, and takes the retry of an older one for a gap.
//! - All batches in flight are at one broker, and until the first one of an epoch is acknowledged
//!   it travels alone: a broker without state for this producer accepts any sequence, so a second
//!   batch could overtake the first.
//! - After a gap that is certain, the queue waits until nothing is in flight; then the epoch is
//!   raised and what was certainly not written is numbered anew from 0. What may have been written
//!   is given up as *unknown*, since numbering it anew could write it twice.
//! - In a transaction nothing is numbered anew: all partitions share one epoch, and a batch that was
//!   left out would be missing from what is committed. A gap stops the partition until the
//!   transaction is aborted and there is a new epoch.
//! - A batch that is too large keeps its sequences when it is split: its parts share them out, so
//!   that what was sent behind it still fits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::code::ErrorCode;
use crate::records::{ProducerStamp, SealedBatch};
use crate::wire::Uuid;

use super::ids::{BatchId, ProducerIdentity, RequestId};
use super::outcome::{Answer, Outcome, Reason};

/// The queue of one partition.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) topic_id: Uuid,
    pub(super) leader: Option<i32>,
    queue: VecDeque<Batch>,
    identity: Option<ProducerIdentity>,
    next_sequence: i32,
    next_ordinal: u64,
    in_flight: usize,
    rests_until: Option<Instant>,
    /// The broker acknowledged a batch of this epoch, so it has state to compare with.
    established: bool,
    /// A batch with a sequence was given up in this epoch and may yet be written.
    unresolved: bool,
    /// The sequences have a certain gap: number anew before anything else is sent.
    renumber: bool,
    /// Whether the partition is part of the transaction.
    pub(super) membership: Membership,
}

/// Whether a partition is part of the transaction of the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Membership {
    Out,
    Wished,
    In,
}

#[derive(Debug)]
struct Batch {
    id: BatchId,
    /// `None` once given up while in flight: only its answer is still awaited.
    sealed: Option<SealedBatch>,
    size: usize,
    count: u32,
    deadline: Instant,
    sequence: Option<i32>,
    /// Its place among the numbered batches of this partition.
    ordinal: u64,
    state: State,
    attempts: u32,
    maybe_written: bool,
    /// It is part of a larger one, as which it may have been written.
    part: bool,
    last_error: Option<ErrorCode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waits,
    /// It is too large, and its parts are to take its place.
    Splits,
    InFlight {
        request: RequestId,
        node: i32,
        first: bool,
    },
}

/// What every lane obeys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) idempotent: bool,
    pub(super) max_in_flight: usize,
    pub(super) retries: u32,
    pub(super) retry_backoff: Duration,
    pub(super) transactional: bool,
    /// The transaction can only be aborted: nothing is sent any more.
    pub(super) broken: bool,
}

/// Batches that ended, with how.
pub(super) type Ended = Vec<(BatchId, Outcome)>;

impl Lane {
    pub(super) fn new(topic: Arc<str>, partition: i32) -> Self {
        Self {
            topic,
            partition,
            topic_id: Uuid::ZERO,
            leader: None,
            queue: VecDeque::new(),
            identity: None,
            next_sequence: 0,
            next_ordinal: 0,
            in_flight: 0,
            rests_until: None,
            established: false,
            unresolved: false,
            renumber: false,
            membership: Membership::Out,
        }
    }

    pub(super) fn push(&mut self, id: BatchId, sealed: SealedBatch, deadline: Instant) {
        self.queue.push_back(Batch {
            id,
            size: sealed.size(),
            count: sealed.record_count(),
            sealed: Some(sealed),
            deadline,
            sequence: None,
            ordinal: 0,
            state: State::Waits,
            attempts: 0,
            maybe_written: false,
            part: false,
            last_error: None,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many batches have not been sent yet, or wait to be sent again.
    pub(super) fn waiting(&self) -> usize {
        self.queue.iter().filter(|batch| batch.state == State::Waits).count()
    }

    /// The size of the batch that may go to this broker now.
    pub(super) fn sendable(&self, now: Instant, node: i32, rules: &Rules) -> Option<usize> {
        let rests = self.rests_until.is_some_and(|until| until > now);
        let limit = if rules.idempotent { rules.max_in_flight } else { 1 };
        if self.leader != Some(node) || self.renumber || rests || self.in_flight >= limit {
            return None;
        }
        let outside = rules.transactional && self.membership != Membership::In;
        if outside || rules.broken || self.queue.iter().any(|batch| batch.state == State::Splits) {
            return None;
        }
        let index = self.queue.iter().position(|batch| batch.state == State::Waits)?;
        let batch = self.queue.get(index)?;
        let elsewhere = self
            .queue
            .iter()
            .any(|other| matches!(other.state, State::InFlight { node: at, .. } if at != node));
        let overtakes = elsewhere || (rules.idempotent && !self.established && self.in_flight > 0);
        let retry_too_soon = batch.sequence.is_some() && index > 0;
        let forgets = batch.sequence.is_none() && self.span() >= limit as u64;
        (!overtakes && !retry_too_soon && !forgets).then_some(batch.size)
    }

    /// How many batches were numbered since the oldest one without outcome, that one included.
    fn span(&self) -> u64 {
        let oldest = self.queue.front().filter(|batch| batch.sequence.is_some());
        oldest.map_or(0, |batch| self.next_ordinal - batch.ordinal)
    }

    /// Marks the first waiting batch as sent and returns it with its stamped bytes. Call only after
    /// [`Lane::sendable`].
    pub(super) fn send(
        &mut self,
        request: RequestId,
        node: i32,
        identity: Option<ProducerIdentity>,
        transactional: bool,
    ) -> Option<(BatchId, Bytes)> {
        let index = self.queue.iter().position(|batch| batch.state == State::Waits)?;
        let batch = self.queue.get_mut(index)?;
        let sealed = batch.sealed.as_mut()?;
        if let Some(identity) = identity {
            let identity = *self.identity.get_or_insert(identity);
            if batch.sequence.is_none() {
                batch.sequence = Some(self.next_sequence);
                self.next_sequence = sequence_after(self.next_sequence, batch.count);
                batch.ordinal = self.next_ordinal;
                self.next_ordinal += 1;
            }
            sealed.stamp(ProducerStamp {
                producer_id: identity.id,
                epoch: identity.epoch,
                base_sequence: batch.sequence.unwrap_or(-1),
                transactional,
            });
        }
        batch.state = State::InFlight { request, node, first: index == 0 };
        batch.attempts = batch.attempts.saturating_add(1);
        self.in_flight += 1;
        Some((batch.id, sealed.to_bytes()))
    }

    /// Takes in the broker's answer to one batch.
    pub(super) fn answer(&mut self, now: Instant, reply: &Reply, rules: &Rules, ended: &mut Ended) {
        let Some((index, first)) = self.awaited(reply.batch, reply.request) else { return };
        self.in_flight -= 1;
        if reply.answer == Answer::Written {
            self.established = true;
        }
        let alone = self.only_doubt_is(index);
        let clean = alone && !self.unresolved;
        let Some(batch) = self.queue.get_mut(index) else { return };
        batch.state = State::Waits;
        batch.last_error = Some(reply.code);
        match reply.answer {
            Answer::Written => self.finish(index, reply.written(), ended),
            Answer::RetryInDoubt | Answer::Retry => {
                batch.maybe_written |= reply.answer == Answer::RetryInDoubt;
                self.retry(now, index, rules, ended);
            }
            // Sent behind another batch, it fails with that one: what is out of order is not the
            // log's state.
            Answer::OutOfOrder if !first => self.retry_at_once(index, rules, ended),
            Answer::TooLarge if batch.count > 1 && batch.sealed.is_some() && !rules.broken => {
                batch.state = State::Splits;
            }
            Answer::OutOfOrder | Answer::StateLost if rules.idempotent && !rules.transactional => {
                // The state that refused the batch would have known it, had an earlier attempt been
                // appended. Of a part it knows only the whole.
                if reply.answer == Answer::OutOfOrder && clean && !batch.part {
                    batch.maybe_written = false;
                }
                self.renumber = true;
                self.retry(now, index, rules, ended);
            }
            Answer::InDoubt => {
                batch.maybe_written = true;
                self.give_up(index, Reason::Broker(reply.code), ended);
            }
            _ if batch.maybe_written => self.give_up(index, Reason::Broker(reply.code), ended),
            _ => {
                let (code, message) = (reply.code, reply.message.clone());
                self.finish(index, Outcome::Refused { code, message }, ended);
                self.renumber = rules.idempotent;
            }
        }
    }

    /// No answer will come. `sent`: bytes of the request may have reached the broker.
    pub(super) fn lose(
        &mut self,
        now: Instant,
        (batch, request): (BatchId, RequestId),
        sent: bool,
        rules: &Rules,
        ended: &mut Ended,
    ) {
        let Some((index, _)) = self.awaited(batch, request) else { return };
        self.in_flight -= 1;
        if let Some(batch) = self.queue.get_mut(index) {
            batch.state = State::Waits;
            batch.maybe_written |= sent;
        }
        self.retry(now, index, rules, ended);
    }

    /// Ends every batch whose deadline has passed.
    pub(super) fn expire(&mut self, now: Instant, ended: &mut Ended) {
        let mut index = 0;
        while let Some(batch) = self.queue.get_mut(index) {
            if batch.deadline > now || batch.sealed.is_none() {
                index += 1;
                continue;
            }
            let reason = Reason::Expired(batch.last_error);
            if !matches!(batch.state, State::InFlight { .. }) {
                self.give_up(index, reason, ended);
            } else {
                batch.sealed = None;
                batch.maybe_written = true;
                self.unresolved = true;
                ended.push((batch.id, Outcome::Unknown(reason)));
            }
        }
    }

    /// Ends every batch.
    pub(super) fn abandon(&mut self, ended: &mut Ended) {
        for batch in self.queue.drain(..).filter(|batch| batch.sealed.is_some()) {
            let doubt = batch.maybe_written || matches!(batch.state, State::InFlight { .. });
            let outcome = if doubt { Outcome::Unknown } else { Outcome::NotWritten };
            ended.push((batch.id, outcome(Reason::Closed)));
        }
        self.in_flight = 0;
        self.renumber = self.identity.is_some();
    }

    /// Ends every batch that waits, since its transaction can only be aborted. What is in flight
    /// ends with its answer.
    pub(super) fn abort(&mut self, ended: &mut Ended) {
        let mut index = 0;
        while let Some(batch) = self.queue.get(index) {
            if matches!(batch.state, State::InFlight { .. }) {
                index += 1;
            } else {
                self.give_up(index, Reason::Aborted, ended);
            }
        }
    }

    /// Whether numbers were given to batches that are not, or not certainly, in the log.
    pub(super) fn has_gap(&self) -> bool {
        self.renumber || self.unresolved
    }

    /// Starts the sequences anew if there is a gap and nothing is in flight. Returns false when
    /// that needs a new producer id: the epoch is used up.
    pub(super) fn settle(&mut self, fresh: Option<ProducerIdentity>, ended: &mut Ended) -> bool {
        if !self.renumber || self.in_flight > 0 {
            return true;
        }
        let Some(old) = self.identity else {
            self.renumber = false;
            return true;
        };
        let next = match old.epoch.checked_add(1) {
            Some(epoch) => Some(ProducerIdentity { epoch, ..old }),
            None => fresh.filter(|fresh| fresh.id != old.id),
        };
        let Some(next) = next else { return false };
        self.restart(Some(next), ended);
        true
    }

    /// Numbers from 0 under this identity, or under the one that the next batch is sent with.
    pub(super) fn restart(&mut self, next: Option<ProducerIdentity>, ended: &mut Ended) {
        self.queue.retain_mut(|batch| {
            if batch.sequence.take().is_some() && batch.maybe_written {
                ended.push((batch.id, Outcome::Unknown(Reason::SequenceLost)));
                return false;
            }
            true
        });
        self.identity = next;
        self.next_sequence = 0;
        (self.established, self.unresolved, self.renumber) = (false, false, false);
    }

    /// Whether [`Lane::settle`] has something to do, or had and could not.
    pub(super) fn is_unsettled(&self) -> bool {
        self.renumber
    }

    /// When something here changes by itself: a backoff or a deadline passes.
    pub(super) fn next_change(&self) -> Option<Instant> {
        let live = self.queue.iter().filter(|batch| batch.sealed.is_some());
        let deadline = live.map(|batch| batch.deadline).min();
        let rest = self.rests_until.filter(|_| !self.queue.is_empty());
        deadline.into_iter().chain(rest).min()
    }

    /// Forgets a backoff that has passed, so that it doesn't count as news for ever.
    pub(super) fn wake(&mut self, now: Instant) {
        self.rests_until = self.rests_until.filter(|until| *until > now);
    }

    /// Starts the numbering elsewhere, so that a test need not send two billion records.
    #[cfg(test)]
    pub(super) fn skip_to_sequence(&mut self, sequence: i32) {
        self.next_sequence = sequence;
    }

    fn awaited(&self, id: BatchId, request: RequestId) -> Option<(usize, bool)> {
        let index = self.queue.iter().position(|batch| batch.id == id)?;
        match self.queue.get(index)?.state {
            State::InFlight { request: at, first, .. } if at == request => Some((index, first)),
            _ => None,
        }
    }

    /// Whether no other batch could have put the partition's state out of step with this one.
    fn only_doubt_is(&self, index: usize) -> bool {
        let others = self.queue.iter().enumerate().filter(|(other, _)| *other != index);
        others.into_iter().all(|(_, batch)| !batch.maybe_written && batch.state == State::Waits)
    }

    /// The batch waits again after a backoff, or ends if it has no attempt left.
    fn retry(&mut self, now: Instant, index: usize, rules: &Rules, ended: &mut Ended) {
        self.rests_until = Some(now + rules.retry_backoff);
        let attempts = self.queue.get(index).map_or(0, |batch| batch.attempts);
        if attempts > rules.retries {
            let code = self.queue.get(index).and_then(|batch| batch.last_error);
            self.give_up(index, Reason::RetriesExhausted(code), ended);
        } else {
            self.retry_at_once(index, rules, ended);
        }
    }

    /// The batch waits again, unless its outcome was told already or its transaction is lost.
    fn retry_at_once(&mut self, index: usize, rules: &Rules, ended: &mut Ended) {
        if self.queue.get(index).is_some_and(|batch| batch.sealed.is_none()) {
            self.give_up(index, Reason::Expired(None), ended);
        } else if rules.broken {
            self.give_up(index, Reason::Aborted, ended);
        }
    }

    /// Takes a batch out whose outcome is certain, or doubtful for ever.
    fn give_up(&mut self, index: usize, reason: Reason, ended: &mut Ended) {
        let Some(batch) = self.queue.get(index) else { return };
        let sequenced = batch.sequence.is_some();
        let outcome = if batch.maybe_written {
            // Whether its sequence is a gap, the next batch's answer will tell.
            self.unresolved |= sequenced;
            Outcome::Unknown(reason)
        } else {
            self.renumber |= sequenced;
            Outcome::NotWritten(reason)
        };
        self.finish(index, outcome, ended);
    }

    /// The batch, if it is to be split.
    pub(super) fn oversized(&self, id: BatchId) -> Option<&SealedBatch> {
        let batch = self.queue.iter().find(|batch| batch.id == id)?;
        batch.sealed.as_ref().filter(|_| batch.state == State::Splits)
    }

    /// Puts parts in the place of a batch that is too large, if they make up the whole of it;
    /// otherwise it is refused.
    pub(super) fn split(
        &mut self,
        id: BatchId,
        parts: Vec<(BatchId, SealedBatch)>,
        rules: &Rules,
        ended: &mut Ended,
    ) -> bool {
        let splits = |batch: &Batch| batch.id == id && batch.state == State::Splits;
        let Some(index) = self.queue.iter().position(splits) else { return false };
        let Some(whole) = self.queue.get(index) else { return false };
        let records: u64 = parts.iter().map(|(_, part)| u64::from(part.record_count())).sum();
        if parts.len() < 2 || records != u64::from(whole.count) {
            self.refuse_oversized(index, rules, ended);
            return false;
        }
        let more = parts.len() as u64 - 1;
        let (deadline, maybe_written) = (whole.deadline, whole.maybe_written);
        let (mut sequence, mut ordinal) = (whole.sequence, whole.ordinal);
        if sequence.is_some() {
            self.next_ordinal += more;
            let behind = self.queue.iter_mut().skip(index + 1);
            behind.filter(|batch| batch.sequence.is_some()).for_each(|batch| batch.ordinal += more);
        }
        self.queue.remove(index);
        for (at, (id, sealed)) in parts.into_iter().enumerate() {
            let count = sealed.record_count();
            let part = Batch {
                id,
                size: sealed.size(),
                count,
                sealed: Some(sealed),
                deadline,
                sequence,
                ordinal,
                state: State::Waits,
                attempts: 0,
                maybe_written,
                part: true,
                last_error: None,
            };
            self.queue.insert(index + at, part);
            sequence = sequence.map(|first| sequence_after(first, count));
            ordinal += 1;
        }
        true
    }

    fn refuse_oversized(&mut self, index: usize, rules: &Rules, ended: &mut Ended) {
        let Some(batch) = self.queue.get(index) else { return };
        let code = batch.last_error.unwrap_or(ErrorCode::MESSAGE_TOO_LARGE);
        if batch.maybe_written {
            return self.give_up(index, Reason::Broker(code), ended);
        }
        self.finish(index, Outcome::Refused { code, message: None }, ended);
        self.renumber = rules.idempotent;
    }

    fn finish(&mut self, index: usize, outcome: Outcome, ended: &mut Ended) {
        if let Some(batch) = self.queue.remove(index).filter(|batch| batch.sealed.is_some()) {
            ended.push((batch.id, outcome));
        }
    }
}

/// A broker's answer to one batch.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) batch: BatchId,
    pub(super) request: RequestId,
    pub(super) answer: Answer,
    pub(super) code: ErrorCode,
    pub(super) message: Option<String>,
    pub(super) base_offset: i64,
    pub(super) append_time: i64,
}

impl Reply {
    fn written(&self) -> Outcome {
        let known = |number: i64| Some(number).filter(|number| *number >= 0);
        Outcome::Written {
            base_offset: known(self.base_offset),
            append_time: known(self.append_time),
        }
    }
}

/// The sequence number `count` records further: they wrap from the largest to 0 and are never
/// negative.
pub(super) fn sequence_after(sequence: i32, count: u32) -> i32 {
    let sum = i64::from(sequence) + i64::from(count);
    let wrapped = sum % (i64::from(i32::MAX) + 1);
    i32::try_from(wrapped).unwrap_or(0)
}
