//! A random world: the machine, a coordinator that judges as Kafka's does, requests and answers that
//! are lost, and requests that arrive long after their connection died.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::messages::end_txn::EndTxnRequest;
use crate::messages::init_producer_id::InitProducerIdRequest;

/// Kafka's transaction coordinator, with the markers written at once.
#[derive(Debug)]
struct Judge {
    producer: (i64, i16),
    /// What the last raise of the epoch came from.
    last: (i64, i16),
    stage: Stage,
    /// How each transaction ended, by the number that the world gave it.
    ends: BTreeMap<usize, End>,
    /// Transactions that were ended by another one's request.
    torn: Vec<(usize, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Empty,
    /// The transaction that opened it.
    Ongoing(usize),
    Complete(End),
}

impl Judge {
    fn new(epoch: i16) -> Self {
        let (last, stage) = ((-1, -1), Stage::Empty);
        Self { producer: (7, epoch), last, stage, ends: BTreeMap::new(), torn: Vec::new() }
    }

    /// The next epoch, or a new id where the epochs are used up.
    fn raise(&mut self) {
        self.last = self.producer;
        let (id, epoch) = self.producer;
        self.producer = if epoch >= i16::MAX - 1 { (id + 1, 0) } else { (id, epoch + 1) };
    }

    fn close(&mut self, end: End) {
        if let Stage::Ongoing(number) = self.stage {
            // A late request may open it once more, with nothing in it.
            self.ends.entry(number).or_insert(end);
        }
        self.stage = Stage::Complete(end);
    }

    /// The abort of a transaction that took too long, or whose id somebody else takes. The epoch
    /// held so far is not remembered.
    fn fence(&mut self) {
        self.close(End::Aborted);
        self.raise();
        self.last = (-1, -1);
    }

    fn init(&mut self, request: &InitProducerIdRequest) -> TransactionResponse {
        let asked = (request.producer_id, request.producer_epoch);
        if let Stage::Ongoing(_) = self.stage {
            self.fence();
            return no_id(ErrorCode::CONCURRENT_TRANSACTIONS);
        }
        if asked.0 < 0 || asked == self.producer {
            self.raise();
        } else if asked != self.last {
            return no_id(ErrorCode::PRODUCER_FENCED);
        }
        id(self.producer.0, self.producer.1)
    }

    /// A request or a batch that opens the transaction, or belongs to it.
    fn join(&mut self, sender: (i64, i16), number: usize) -> ErrorCode {
        if sender != self.producer {
            return ErrorCode::PRODUCER_FENCED;
        }
        if !matches!(self.stage, Stage::Ongoing(_)) {
            self.stage = Stage::Ongoing(number);
        }
        ErrorCode::NONE
    }

    fn end(
        &mut self,
        request: &EndTxnRequest,
        number: usize,
        implicit: bool,
    ) -> TransactionResponse {
        let sender = (request.producer_id, request.producer_epoch);
        let end = if request.committed { End::Committed } else { End::Aborted };
        let repeated = implicit && sender == self.last && self.stage == Stage::Complete(end);
        if sender != self.producer && !repeated {
            return done(ErrorCode::PRODUCER_FENCED);
        }
        let anew = !repeated;
        match self.stage {
            Stage::Ongoing(opener) => {
                if opener != number {
                    self.torn.push((opener, number));
                }
                self.close(end);
            }
            Stage::Complete(was) if was == end => {}
            _ if implicit && end == End::Aborted => self.close(end),
            _ => return done(ErrorCode::INVALID_TXN_STATE),
        }
        if !implicit {
            return done(ErrorCode::NONE);
        }
        if anew {
            self.raise();
        }
        done_with(self.producer.0, self.producer.1)
    }
}

#[derive(Clone, Debug)]
enum Op {
    Init,
    Begin,
    Write {
        partition: i32,
        lost: bool,
    },
    Offsets,
    End {
        commit: bool,
    },
    /// The request arrives and so does its answer.
    Exchange,
    /// The request arrives, its answer does not.
    LoseAnswer,
    /// The request does not arrive, at least not now.
    LoseRequest {
        sent: bool,
        later: bool,
    },
    /// A request that was given up arrives.
    Zombie,
    Refuse {
        code: i16,
    },
    Wait {
        ms: u64,
    },
    TakesTooLong,
}

fn op() -> impl Strategy<Value = Op> {
    let refusals = prop::sample::select(vec![14i16, 15, 16, 51, 51, 120]);
    prop_oneof![
        1 => Just(Op::Init),
        5 => Just(Op::Begin),
        8 => (0..3i32, prop::bool::weighted(0.1))
            .prop_map(|(partition, lost)| Op::Write { partition, lost }),
        2 => Just(Op::Offsets),
        6 => prop::bool::weighted(0.7).prop_map(|commit| Op::End { commit }),
        16 => Just(Op::Exchange),
        3 => Just(Op::LoseAnswer),
        4 => (any::<bool>(), any::<bool>())
            .prop_map(|(sent, later)| Op::LoseRequest { sent, later }),
        3 => Just(Op::Zombie),
        1 => refusals.prop_map(|code| Op::Refuse { code }),
        8 => prop_oneof![Just(100u64), Just(100), Just(100), Just(100), Just(60_000)]
            .prop_map(|ms| Op::Wait { ms }),
    ]
}

struct World {
    bench: Bench,
    judge: Judge,
    implicit: bool,
    identity: (i64, i16),
    /// The transaction of the moment, counted from 1.
    number: usize,
    /// Transactions that lost a batch.
    spoilt: Vec<usize>,
    flight: Option<TransactionCall>,
    zombies: Vec<(TransactionCall, usize)>,
    /// An end that was sent and has no answer yet.
    unanswered: Option<EndTxnRequest>,
    /// It may have been carried out.
    exposed: bool,
    /// Such an end was lost once: version 1 has to raise its epoch before a transaction.
    in_doubt: bool,
    told: BTreeMap<usize, Result<End, TransactionError>>,
    resolved: BTreeMap<usize, End>,
    finished: bool,
    wants_end: bool,
}

impl World {
    fn new(level: i16, epoch: i16) -> Self {
        let mut bench = Bench::new(level);
        bench.machine.init(bench.now);
        Self {
            bench,
            judge: Judge::new(epoch),
            implicit: level >= 2,
            identity: (-1, -1),
            number: 0,
            spoilt: Vec::new(),
            flight: None,
            zombies: Vec::new(),
            unanswered: None,
            exposed: false,
            in_doubt: false,
            told: BTreeMap::new(),
            resolved: BTreeMap::new(),
            finished: false,
            wants_end: false,
        }
    }

    fn apply(&mut self, op: Op) {
        let now = self.bench.now;
        let free = self.bench.machine.is_free();
        match op {
            Op::Init if free && !self.is_open() => self.bench.machine.init(now),
            Op::Begin if free && !self.is_open() => self.bench.machine.begin(now),
            Op::Write { partition, lost } if self.bench.machine.takes_records() => {
                self.bench.machine.add_partition(&topic(), partition);
                if lost {
                    self.spoilt.push(self.number);
                    self.bench.machine.handle_batch_lost(None);
                }
            }
            Op::Offsets if free && self.bench.machine.takes_records() => {
                let member = GroupMember::of_group("g");
                self.bench.machine.send_offsets(now, member, positions(&[0]));
            }
            Op::End { commit } if free && self.is_open() => {
                if commit {
                    self.bench.machine.commit()
                } else {
                    self.bench.machine.abort()
                }
                self.wants_end = true;
            }
            Op::Exchange => self.exchange(true, None),
            Op::LoseAnswer => self.exchange(false, None),
            Op::Refuse { code } => self.exchange(true, Some(ErrorCode(code))),
            Op::LoseRequest { sent, later } => self.lose(sent, later),
            Op::Zombie if !self.zombies.is_empty() => {
                let (call, number) = self.zombies.remove(0);
                self.serve(&call, number);
            }
            Op::Wait { ms } => self.bench.wait(Duration::from_millis(ms)),
            Op::TakesTooLong if matches!(self.judge.stage, Stage::Ongoing(_)) => self.judge.fence(),
            _ => {}
        }
        self.drain();
        // All batches have their outcome once their partitions are in.
        let quiet = self.bench.machine.open.wanted.is_empty() && self.flight.is_none();
        if self.bench.machine.awaits_batches().is_some() && quiet {
            self.bench.machine.handle_drained(self.bench.now, false);
        }
        self.drain();
        self.transmit();
    }

    fn is_open(&self) -> bool {
        self.bench.machine.is_open()
    }

    fn transmit(&mut self) {
        let Some(call) = self.bench.try_call() else { return };
        match (&self.unanswered, &call.request) {
            (Some(end), TransactionRequest::End(again)) => assert_eq!(end, again),
            (Some(end), other) => panic!("{other:?} was sent while {end:?} had no answer"),
            (None, TransactionRequest::End(request)) => {
                (self.unanswered, self.exposed) = (Some(request.clone()), false);
            }
            (None, TransactionRequest::InitProducerId(_)) => {}
            (None, other) => {
                assert!(self.implicit || !self.in_doubt, "{other:?} with an epoch in doubt");
            }
        }
        self.flight = Some(call);
    }

    fn exchange(&mut self, answered: bool, refusal: Option<ErrorCode>) {
        let Some(call) = self.flight.take() else { return };
        // Only of an open transaction it may be said that it has to be aborted.
        let open = matches!(self.judge.stage, Stage::Ongoing(_));
        let sayable = |code: &ErrorCode| open || *code != ErrorCode::TRANSACTION_ABORTABLE;
        let response = match refusal.filter(sayable) {
            Some(code) => refused(&call, code),
            None => self.serve(&call, self.number),
        };
        if !answered {
            self.exposed = true;
            self.in_doubt |= matches!(call.request, TransactionRequest::End(_));
            self.bench.machine.handle_failure(self.bench.now, call.id, true);
            return;
        }
        if let TransactionResponse::End(end) = &response {
            self.exposed |= !verdict::touched_nothing(end.error_code);
            if !end.error_code.is_retriable() || !self.exposed {
                self.unanswered = None;
            }
        }
        self.bench.answer(&call, response);
    }

    fn lose(&mut self, sent: bool, later: bool) {
        let Some(call) = self.flight.take() else { return };
        let ends = matches!(call.request, TransactionRequest::End(_));
        self.in_doubt |= sent && ends;
        self.exposed |= sent && ends;
        self.bench.machine.handle_failure(self.bench.now, call.id, sent);
        if sent && later {
            self.zombies.push((call, self.number));
        } else if ends && !self.exposed {
            self.unanswered = None;
        }
    }

    /// What the coordinators do with a request, whenever it arrives.
    fn serve(&mut self, call: &TransactionCall, number: usize) -> TransactionResponse {
        match &call.request {
            TransactionRequest::InitProducerId(request) => self.judge.init(request),
            TransactionRequest::AddPartitions(request) => {
                let sender =
                    (request.v3_and_below_producer_id, request.v3_and_below_producer_epoch);
                let code = self.judge.join(sender, number);
                let all = request.v3_and_below_topics.iter().flat_map(|topic| &topic.partitions);
                added(&all.map(|partition| (*partition, code)).collect::<Vec<_>>())
            }
            TransactionRequest::AddOffsets(request) => {
                let sender = (request.producer_id, request.producer_epoch);
                group(self.judge.join(sender, number))
            }
            TransactionRequest::CommitOffsets(request) => {
                let sender = (request.producer_id, request.producer_epoch);
                let code =
                    if self.implicit { self.judge.join(sender, number) } else { ErrorCode::NONE };
                stored(&[(0, code)])
            }
            TransactionRequest::End(request) => self.judge.end(request, number, self.implicit),
        }
    }

    fn drain(&mut self) {
        for event in self.bench.events() {
            match event {
                TransactionEvent::Identity(identity) => {
                    self.identity = (identity.id, identity.epoch);
                    self.in_doubt = false;
                }
                TransactionEvent::Begun(Ok(_)) => self.number += 1,
                // The first batch of a partition tells its leader, in version 2.
                TransactionEvent::PartitionAdded { .. } if self.implicit => {
                    let code = self.judge.join(self.identity, self.number);
                    if !code.is_ok() {
                        self.spoilt.push(self.number);
                        self.bench.machine.handle_batch_lost(Some(code));
                    }
                }
                TransactionEvent::Ended(outcome) => {
                    assert!(std::mem::take(&mut self.wants_end), "an end nobody asked for");
                    self.told.insert(self.number, outcome);
                }
                TransactionEvent::Initialised(Ok(Some(end))) => {
                    self.resolved.insert(self.number, end);
                }
                TransactionEvent::Broken(error) if error.is_final() => self.finished = true,
                _ => {}
            }
        }
        self.check();
    }

    fn check(&self) {
        assert_eq!(self.judge.torn, [], "ended by another transaction's request");
        for number in &self.spoilt {
            assert_ne!(self.judge.ends.get(number), Some(&End::Committed), "{number} lost a batch");
        }
        for (number, told) in &self.told {
            let end = self.judge.ends.get(number);
            match told {
                // Without any batch there was nothing to commit.
                Ok(End::Committed) => assert_ne!(end, Some(&End::Aborted), "transaction {number}"),
                Err(TransactionError::OutcomeUnknown) => {}
                // An abort is never followed by a commit, nor is a commit that was refused.
                _ => assert_ne!(end, Some(&End::Committed), "transaction {number}, {told:?}"),
            }
        }
        for (number, end) in &self.resolved {
            let truth = self.judge.ends.get(number).unwrap_or(end);
            assert_eq!(truth, end, "transaction {number} as found out");
        }
    }

    /// No more faults: whatever is open comes to its end, and a new transaction commits.
    fn heal(&mut self) {
        for _ in 0..400 {
            if self.finished {
                return;
            }
            let machine = &self.bench.machine;
            if self.told.get(&self.number).is_some_and(|told| *told == Ok(End::Committed))
                && machine.is_free()
                && machine.state == State::AwaitingBegin
            {
                return;
            }
            let first = machine.state == State::AwaitingInit;
            self.apply(if first { Op::Init } else { Op::Begin });
            self.apply(Op::Write { partition: 0, lost: false });
            self.apply(Op::Exchange);
            let open = self.bench.machine.takes_records();
            self.apply(Op::End { commit: open });
            self.apply(Op::Wait { ms: 100 });
            self.apply(Op::Exchange);
        }
        panic!("no transaction is ever committed again: {:?}", self.bench.machine);
    }
}

/// An answer of the right kind with this code.
fn refused(call: &TransactionCall, code: ErrorCode) -> TransactionResponse {
    match &call.request {
        TransactionRequest::InitProducerId(_) if code == ErrorCode::TRANSACTION_ABORTABLE => {
            no_id(ErrorCode::CONCURRENT_TRANSACTIONS)
        }
        TransactionRequest::InitProducerId(_) => no_id(code),
        TransactionRequest::AddPartitions(request) => {
            let all = request.v3_and_below_topics.iter().flat_map(|topic| &topic.partitions);
            added(&all.map(|partition| (*partition, code)).collect::<Vec<_>>())
        }
        TransactionRequest::AddOffsets(_) => group(code),
        TransactionRequest::CommitOffsets(_) => stored(&[(0, code)]),
        // An abort can always be carried out.
        TransactionRequest::End(request) if !request.committed => {
            done(ErrorCode::CONCURRENT_TRANSACTIONS)
        }
        TransactionRequest::End(_) => done(code),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Whatever is lost, repeated or late: no transaction is ended by another one's request, none
    /// that lost a batch is committed, what is told is what happened, and nothing but the same
    /// request follows an end without answer.
    #[test]
    fn ends_are_told_as_they_are_and_never_torn(
        level in 1..3i16,
        epoch in prop::sample::select(vec![0i16, 32_760, i16::MAX - 2]),
        ops in prop::collection::vec(op(), 1..200),
    ) {
        let mut world = World::new(level, epoch);
        for op in ops {
            world.apply(op);
        }
        world.heal();
        while !world.zombies.is_empty() {
            world.apply(Op::Zombie);
        }
        world.check();
    }

    /// The same with transactions that the coordinator aborts, since they take too long: their
    /// producer may end as fenced, but nothing else changes.
    #[test]
    fn transactions_that_take_too_long_are_never_half_committed(
        level in 1..3i16,
        ops in prop::collection::vec(prop_oneof![20 => op(), 1 => Just(Op::TakesTooLong)], 1..200),
    ) {
        let mut world = World::new(level, 0);
        for op in ops {
            world.apply(op);
        }
        world.heal();
        while !world.zombies.is_empty() {
            world.apply(Op::Zombie);
        }
        world.check();
    }
}
