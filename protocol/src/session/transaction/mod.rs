//! The machine of one transactional id (KIP-98): commands and coordinators' answers go in, requests
//! for coordinators and the outcome of each command come out. It sends no records; the produce
//! machine does, and is told what it may send.
//!
//! | state | on | next | out |
//! |---|---|---|---|
//! | awaiting init | `init` | awaiting producer id | `InitProducerId`, which fences older producers |
//! | awaiting producer id | id | awaiting begin | `Identity`, `Initialised` |
//! | awaiting begin | `begin` | awaiting end | `Begun` |
//! | awaiting end | `add_partition`, `send_offsets` | same | `AddPartitionsToTxn`, `AddOffsetsToTxn`, `TxnOffsetCommit` |
//! | awaiting end | a batch lost, an answer that demands it | awaiting abort | `Broken` |
//! | awaiting end, awaiting abort | `commit`, `abort` | awaiting batches | nothing yet (of `commit` in awaiting abort: `Ended` with an error) |
//! | awaiting batches | a batch lost, when committing | awaiting abort | `Ended` with an error |
//! | awaiting batches | `handle_drained` | awaiting answer | `EndTxn`, unless nothing was sent in the transaction |
//! | awaiting answer | answer | awaiting begin, or awaiting producer id if the epoch has to rise | `Ended` |
//! | awaiting answer | the command's time is up | awaiting resolution | `Ended`: outcome unknown |
//! | awaiting resolution | `init`, `begin` | awaiting answer | the same `EndTxn` |
//! | awaiting answer, a copy in doubt | the coordinator demands an abort | awaiting resolution | `Ended`: outcome unknown; then `EndTxn` to abort |
//! | any | fenced, refused for good | failed | `Broken`, and the command's error |
//!
//! **Two protocols.** Where the cluster runs `transaction.version` 2 (KIP-890), leaders add
//! partitions at the first Produce, and `EndTxn` hands out the epoch of the next transaction. Below
//! it partitions and groups are added first, and an epoch serves many transactions.
//!
//! **An end whose answer was lost** is asked for again with the same epoch and the same decision
//! until it is answered, before anything else is sent. That is safe in both protocols, as long as no
//! other transaction has begun: a coordinator that has carried it out says so, and one that has not
//! carries it out. What is not safe is to go on afterwards with the same epoch, since the first copy
//! may still be on its way and would end the next transaction (KAFKA-17754). So after the answer:
//!
//! - version 2: the answer brings a higher epoch, and the copy is refused for its old one. Nothing
//!   more is needed.
//! - version 1: the epoch is raised by `InitProducerId` with the old one (KIP-360). Not before the
//!   answer: a coordinator that meets an open transaction aborts it under a raised epoch, which it
//!   then does not know again as ours, so that we would fence ourselves.
//!
//! The same holds for any other request of version 1 that may arrive late, and for a sequence with a
//! gap: the epoch is raised at once after the end, since a late `AddPartitionsToTxn` would else open
//! a transaction of nobody. If it arrives in the moment between, we fence ourselves: no record is
//! harmed, and the producer has to be made anew.

mod answers;
mod ending;
mod request;
mod values;
mod verdict;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::code::ErrorCode;
use crate::session::produce::ProducerIdentity;

use request::{Place, Sender};
use verdict::{Asked, Verdict};

pub use values::{
    Begun, CallId, Cause, Coordinator, End, GroupMember, Position, TransactionCall,
    TransactionError, TransactionEvent, TransactionOptions, TransactionRequest,
    TransactionResponse,
};

/// The transactions of one producer, one after the other.
///
/// Commands: [`init`](Self::init), [`begin`](Self::begin), [`add_partition`](Self::add_partition),
/// [`send_offsets`](Self::send_offsets), [`commit`](Self::commit), [`abort`](Self::abort). In:
/// [`handle_response`](Self::handle_response), [`handle_failure`](Self::handle_failure),
/// [`handle_refusal`](Self::handle_refusal), [`handle_unsupported`](Self::handle_unsupported),
/// [`handle_batch_lost`](Self::handle_batch_lost),
/// [`handle_drained`](Self::handle_drained), [`handle_timeout`](Self::handle_timeout). Out:
/// [`poll_transmit`](Self::poll_transmit), [`poll_event`](Self::poll_event),
/// [`poll_timeout`](Self::poll_timeout).
///
/// One command at a time, `add_partition` excepted; each has exactly one event that ends it. One
/// request at a time is in flight: their order is part of their meaning.
#[derive(Debug)]
pub struct Transactions {
    options: TransactionOptions,
    state: State,
    /// The command whose caller waits, and until when.
    waiter: Option<(Waiter, Instant)>,
    identity: Option<ProducerIdentity>,
    /// The cluster's `transaction.version`, as far as it is known.
    level: i16,
    /// Whether the transaction, or the next one, is of version 2.
    implicit: bool,
    /// The epoch has to rise before the next transaction.
    bump: bool,
    /// The epoch has served transactions of version 1.
    explicit_epoch: bool,
    open: Open,
    flight: Option<Flight>,
    next_call: u64,
    failures: u32,
    not_before: Option<Instant>,
    /// The end of a transaction whose caller was told that nobody knows it.
    resolved: Option<End>,
    events: VecDeque<TransactionEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    AwaitingInit,
    AwaitingProducerId,
    AwaitingBegin,
    AwaitingEnd,
    AwaitingAbort(TransactionError),
    AwaitingBatches(End),
    AwaitingAnswer(End),
    AwaitingResolution(End),
    Failed(TransactionError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiter {
    Init,
    Begin,
    Offsets,
    End,
}

/// What a transaction has grown to.
#[derive(Debug, Default)]
struct Open {
    wanted: BTreeSet<Place>,
    members: BTreeSet<Place>,
    groups: BTreeSet<Arc<str>>,
    offsets: Option<(GroupMember, Vec<Position>)>,
    /// The coordinator knows of the transaction.
    started: bool,
    /// It may know.
    perhaps_started: bool,
    /// A request that may have been sent has no answer, or something failed: late copies and gaps
    /// must not meet the next transaction.
    doubt: bool,
    /// The end was asked for and may have been decided: an answer was lost, or told of a passing
    /// trouble that may have come after the decision.
    end_in_doubt: bool,
}

#[derive(Debug)]
struct Flight {
    id: CallId,
    to: Coordinator,
    asked: Asked,
    places: Vec<Place>,
}

impl Transactions {
    /// A machine that has asked nothing yet.
    pub fn new(options: TransactionOptions) -> Self {
        Self {
            options,
            state: State::AwaitingInit,
            waiter: None,
            identity: None,
            level: 0,
            implicit: false,
            bump: false,
            explicit_epoch: false,
            open: Open::default(),
            flight: None,
            next_call: 0,
            failures: 0,
            not_before: None,
            resolved: None,
            events: VecDeque::new(),
        }
    }

    /// The level of the feature `transaction.version` as the cluster has finalised it, 0 for none.
    /// Taken up by the next transaction.
    pub fn set_level(&mut self, level: i16) {
        self.level = level;
    }

    /// Whether no command's end is awaited and no transaction is about to end: the next command may
    /// come.
    pub fn is_free(&self) -> bool {
        self.waiter.is_none()
            && !matches!(self.state, State::AwaitingBatches(_) | State::AwaitingAnswer(_))
    }

    /// Whether `commit` or `abort` waits for the batches' outcomes, and
    /// [`handle_drained`](Self::handle_drained) for being called; with what was asked for.
    pub fn awaits_batches(&self) -> Option<End> {
        match self.state {
            State::AwaitingBatches(end) => Some(end),
            _ => None,
        }
    }

    /// Whether a transaction takes records.
    pub fn takes_records(&self) -> bool {
        matches!(self.state, State::AwaitingEnd | State::AwaitingBatches(End::Committed))
    }

    /// Gets a producer id, fences older producers and so decides the fate of what they left open.
    /// Later calls raise the epoch, after finding out how a transaction ended that nobody knew.
    pub fn init(&mut self, now: Instant) {
        match self.state {
            State::AwaitingInit | State::AwaitingBegin => {
                self.state = State::AwaitingProducerId;
                self.wait(now, Waiter::Init);
            }
            // Raised already by itself.
            State::AwaitingProducerId => self.wait(now, Waiter::Init),
            State::AwaitingResolution(end) => {
                self.state = State::AwaitingAnswer(end);
                self.wait(now, Waiter::Init);
            }
            State::Failed(error) => self.push(TransactionEvent::Initialised(Err(error))),
            _ => self.push(TransactionEvent::Initialised(Err(TransactionError::WrongState))),
        }
    }

    /// Begins a transaction. Nothing is sent for that itself, but what is left of the one before is
    /// brought to its end first.
    pub fn begin(&mut self, now: Instant) {
        match self.state {
            State::AwaitingBegin => {
                self.wait(now, Waiter::Begin);
                self.come_to_rest();
            }
            State::AwaitingProducerId => self.wait(now, Waiter::Begin),
            State::AwaitingResolution(end) => {
                self.state = State::AwaitingAnswer(end);
                self.wait(now, Waiter::Begin);
            }
            State::Failed(error) => self.push(TransactionEvent::Begun(Err(error))),
            _ => self.push(TransactionEvent::Begun(Err(TransactionError::WrongState))),
        }
    }

    /// A batch for this partition waits. [`TransactionEvent::PartitionAdded`] follows, unless the
    /// transaction breaks.
    pub fn add_partition(&mut self, topic: &Arc<str>, partition: i32) {
        let place = (Arc::clone(topic), partition);
        let adding = self.flight.as_ref().is_some_and(|flight| flight.places.contains(&place));
        if !self.takes_records() || adding {
            return;
        }
        if self.implicit {
            self.open.started = true;
            self.open.members.insert(place.clone());
        }
        if self.open.members.contains(&place) {
            let (topic, partition) = place;
            self.push(TransactionEvent::PartitionAdded { topic, partition });
        } else {
            self.open.wanted.insert(place);
        }
    }

    /// Stores a group's positions with the transaction (KIP-447).
    pub fn send_offsets(&mut self, now: Instant, member: GroupMember, positions: Vec<Position>) {
        let error = match self.state {
            State::AwaitingEnd if self.waiter.is_some() => TransactionError::WrongState,
            State::AwaitingEnd if positions.is_empty() => {
                return self.push(TransactionEvent::OffsetsSent(Ok(())));
            }
            State::AwaitingEnd => {
                self.open.offsets = Some((member, positions));
                return self.wait(now, Waiter::Offsets);
            }
            State::AwaitingAbort(error) | State::Failed(error) => error,
            _ => TransactionError::WrongState,
        };
        self.push(TransactionEvent::OffsetsSent(Err(error)));
    }

    /// Makes the transaction visible, once every batch is acknowledged: push what is left, then call
    /// [`handle_drained`](Self::handle_drained). Not while offsets are being sent.
    pub fn commit(&mut self) {
        match self.state {
            State::AwaitingEnd if self.waiter.is_none() => {
                self.state = State::AwaitingBatches(End::Committed);
            }
            State::AwaitingAbort(error) | State::Failed(error) => {
                self.push(TransactionEvent::Ended(Err(error)));
            }
            _ => self.push(TransactionEvent::Ended(Err(TransactionError::WrongState))),
        }
    }

    /// Makes sure that nothing of the transaction ever becomes visible: end the batches that were
    /// not sent, then call [`handle_drained`](Self::handle_drained).
    pub fn abort(&mut self) {
        match self.state {
            State::AwaitingEnd | State::AwaitingAbort(_) => {
                self.state = State::AwaitingBatches(End::Aborted);
                self.open.wanted.clear();
                self.give_up_offsets(TransactionError::WrongState);
            }
            State::Failed(error) => self.push(TransactionEvent::Ended(Err(error))),
            _ => self.push(TransactionEvent::Ended(Err(TransactionError::WrongState))),
        }
    }

    /// A batch was not, or not certainly, written: the transaction must not be committed. The code
    /// is the broker's, where there was one.
    pub fn handle_batch_lost(&mut self, code: Option<ErrorCode>) {
        let Some(code) = code.filter(|code| verdict::ends_producer(*code)) else {
            return self.break_open(Cause::Batch(code));
        };
        if self.is_open() {
            let fenced = code == ErrorCode::PRODUCER_FENCED;
            let error = if fenced { TransactionError::Fenced } else { TransactionError::Refused };
            self.fail(error(code));
        }
    }

    /// Every batch of the transaction has its outcome, and those that were not written were told by
    /// [`handle_batch_lost`](Self::handle_batch_lost). `gap`: sequence numbers were given to batches
    /// that were not written, which is no state to commit in.
    pub fn handle_drained(&mut self, now: Instant, gap: bool) {
        let State::AwaitingBatches(end) = self.state else { return };
        if gap && end == End::Committed {
            return self.break_open(Cause::Batch(None));
        }
        self.open.doubt |= gap;
        self.state = State::AwaitingAnswer(end);
        self.wait(now, Waiter::End);
        self.come_to_rest();
    }

    /// Takes in an answer. One that belongs to no request in flight is ignored.
    pub fn handle_response(&mut self, now: Instant, id: CallId, response: TransactionResponse) {
        let Some(flight) = self.flight.take_if(|flight| flight.id == id) else { return };
        match (flight.asked, response) {
            (Asked::Init, TransactionResponse::InitProducerId(it)) => self.take_id(now, flight, it),
            (Asked::AddPartitions, TransactionResponse::AddPartitions(it)) => {
                self.take_partitions(now, flight, it);
            }
            (Asked::AddOffsets, TransactionResponse::AddOffsets(it)) => {
                let verdict = verdict::sort(Asked::AddOffsets, it.error_code);
                if verdict == Verdict::Done {
                    self.take_group();
                }
                self.obey(now, flight, verdict, it.error_code);
            }
            (Asked::CommitOffsets, TransactionResponse::CommitOffsets(it)) => {
                self.take_offsets(now, flight, it);
            }
            (Asked::End, TransactionResponse::End(it)) => self.take_end(now, flight, it),
            // The driver's mistake; nothing is known of the request then.
            (..) => self.lose(now, flight, true),
        }
        self.come_to_rest();
    }

    /// No answer will come. `sent`: the broker may have received the request; false only if
    /// certainly not.
    pub fn handle_failure(&mut self, now: Instant, id: CallId, sent: bool) {
        let Some(flight) = self.flight.take_if(|flight| flight.id == id) else { return };
        self.lose(now, flight, sent);
        self.come_to_rest();
    }

    /// The coordinator could not be found: a broker answered with this code. The request was not
    /// sent.
    pub fn handle_refusal(&mut self, now: Instant, id: CallId, code: ErrorCode) {
        let Some(flight) = self.flight.take_if(|flight| flight.id == id) else { return };
        let verdict = verdict::sort(flight.asked, code);
        match verdict {
            _ if code.is_ok() || code.is_retriable() => self.lose(now, flight, false),
            Verdict::AbortOnly if flight.asked == Asked::End => {
                self.fail(TransactionError::Refused(code));
            }
            _ => self.obey(now, flight, verdict, code),
        }
        self.come_to_rest();
    }

    /// The coordinator speaks none of the call's versions; it was not sent.
    pub fn handle_unsupported(&mut self, id: CallId) {
        let Some(flight) = self.flight.take_if(|flight| flight.id == id) else { return };
        match flight.asked {
            Asked::Init => self.fail(TransactionError::TooOld),
            Asked::End => self.fail(TransactionError::Refused(ErrorCode::UNSUPPORTED_VERSION)),
            _ => self.break_open(Cause::Unsupported),
        }
        self.come_to_rest();
    }

    /// Tells callers whose time is up.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.not_before = self.not_before.filter(|until| *until > now);
        if let Some((waiter, _)) = self.waiter.take_if(|(_, until)| *until <= now) {
            self.give_up(waiter);
            self.come_to_rest();
        }
    }

    /// The request to send now, if one is due.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<TransactionCall> {
        if self.flight.is_some() || self.not_before.is_some_and(|until| until > now) {
            return None;
        }
        let asked = self.due()?;
        let sender =
            Sender { options: &self.options, identity: self.identity, implicit: self.implicit };
        let (mut to, mut places) = (Coordinator::Transaction, Vec::new());
        let (request, versions) = match (asked, &self.open.offsets) {
            (Asked::AddOffsets, Some((member, _))) => sender.add_offsets(&member.group),
            (Asked::CommitOffsets, Some((member, positions))) => {
                to = Coordinator::Group(Arc::clone(&member.group));
                sender.commit_offsets(member, positions)
            }
            (Asked::AddPartitions, _) => {
                places.extend(std::mem::take(&mut self.open.wanted));
                sender.add_partitions(&places)
            }
            (Asked::End, _) => match self.state {
                State::AwaitingAnswer(end) => sender.end(end),
                _ => return None,
            },
            _ => sender.init(),
        };
        // From here on a leader or a group's coordinator may tell of the transaction by itself.
        self.open.started |= asked == Asked::CommitOffsets && self.implicit;
        let id = CallId(self.next_call);
        self.next_call += 1;
        self.flight = Some(Flight { id, to: to.clone(), asked, places });
        Some(TransactionCall { id, to, versions, request })
    }

    /// What the last inputs mean, oldest first.
    pub fn poll_event(&mut self) -> Option<TransactionEvent> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) and then
    /// [`poll_transmit`](Self::poll_transmit) are due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let idle = self.flight.is_none() && self.due().is_some();
        let pause = self.not_before.filter(|_| idle);
        self.waiter.map(|(_, until)| until).into_iter().chain(pause).min()
    }

    /// What is to be asked next.
    fn due(&self) -> Option<Asked> {
        match self.state {
            State::AwaitingProducerId => Some(Asked::Init),
            State::AwaitingEnd | State::AwaitingBatches(End::Committed) => {
                if !self.open.wanted.is_empty() {
                    return Some(Asked::AddPartitions);
                }
                let (member, _) = self.open.offsets.as_ref()?;
                let known = self.implicit || self.open.groups.contains(&member.group);
                Some(if known { Asked::CommitOffsets } else { Asked::AddOffsets })
            }
            State::AwaitingAnswer(_) => Some(Asked::End),
            _ => None,
        }
    }

    fn wait(&mut self, now: Instant, waiter: Waiter) {
        self.waiter = Some((waiter, now + self.options.patience));
        self.failures = 0;
    }

    fn push(&mut self, event: TransactionEvent) {
        self.events.push_back(event);
    }
}

/// From this level of `transaction.version` on leaders add partitions (KIP-890).
const IMPLICIT_LEVEL: i16 = 2;
/// How long to wait for another operation on the same id: Java's value.
const CONCURRENT_PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
