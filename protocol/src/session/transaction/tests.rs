//! The machine of transactions, row by row of its table. The random world is in [`world`].

mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::api::VersionRange;
use crate::messages::add_offsets_to_txn::AddOffsetsToTxnResponse;
use crate::messages::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResponse, AddPartitionsToTxnTopicResult,
};
use crate::messages::end_txn::EndTxnResponse;
use crate::messages::init_producer_id::InitProducerIdResponse;
use crate::messages::txn_offset_commit::{
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use crate::session::backoff::Backoff;

/// A machine and its time.
struct Bench {
    machine: Transactions,
    now: Instant,
}

impl Bench {
    fn new(level: i16) -> Self {
        let mut machine = Transactions::new(options());
        machine.set_level(level);
        Self { machine, now: some_time() }
    }

    /// Past `init`, with the identity 7, epoch 0.
    fn ready(level: i16) -> Self {
        let mut bench = Self::new(level);
        bench.machine.init(bench.now);
        let call = bench.call();
        assert_eq!(name(&call), "InitProducerId");
        bench.answer(&call, id(7, 0));
        let events = bench.events();
        assert_eq!(events, [identity(7, 0), TransactionEvent::Initialised(Ok(None))]);
        bench
    }

    /// In a transaction with one partition in it.
    fn open(level: i16) -> Self {
        let mut bench = Self::ready(level);
        bench.begin();
        bench.add(0);
        bench
    }

    fn begin(&mut self) {
        self.machine.begin(self.now);
        let begun = self.events();
        assert!(matches!(begun[..], [TransactionEvent::Begun(Ok(_))]), "{begun:?}");
    }

    fn add(&mut self, partition: i32) {
        self.machine.add_partition(&topic(), partition);
        if !self.machine.implicit {
            let call = self.call();
            self.answer(&call, added(&[(partition, ErrorCode::NONE)]));
        }
        let added = TransactionEvent::PartitionAdded { topic: topic(), partition };
        assert_eq!(self.events(), [added]);
    }

    fn call(&mut self) -> TransactionCall {
        self.try_call().expect("a request")
    }

    fn try_call(&mut self) -> Option<TransactionCall> {
        self.machine.poll_transmit(self.now)
    }

    fn answer(&mut self, call: &TransactionCall, response: TransactionResponse) {
        self.machine.handle_response(self.now, call.id, response);
    }

    fn events(&mut self) -> Vec<TransactionEvent> {
        std::iter::from_fn(|| self.machine.poll_event()).collect()
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.machine.handle_timeout(self.now);
    }

    /// Asks for the end, with every batch acknowledged, and returns the request.
    fn end(&mut self, end: End) -> TransactionCall {
        match end {
            End::Committed => self.machine.commit(),
            End::Aborted => self.machine.abort(),
        }
        assert!(self.try_call().is_none(), "nothing may be sent before the batches' outcomes");
        self.machine.handle_drained(self.now, false);
        let call = self.call();
        assert_eq!(name(&call), "End");
        call
    }

    /// Ends the transaction well and returns the events.
    fn end_well(&mut self, end: End, answer: TransactionResponse) -> Vec<TransactionEvent> {
        let call = self.end(end);
        self.answer(&call, answer);
        self.events()
    }
}

fn options() -> TransactionOptions {
    TransactionOptions {
        id: "payments".to_owned(),
        timeout: Duration::from_secs(60),
        patience: PATIENCE,
        backoff: Backoff::new(PAUSE, PAUSE),
    }
}

/// Machines only ever compare times, so it does not matter which.
#[allow(clippy::disallowed_methods, reason = "there is no other way to make an Instant")]
fn some_time() -> Instant {
    Instant::now()
}

fn topic() -> Arc<str> {
    Arc::from("t")
}

fn name(call: &TransactionCall) -> &'static str {
    match &call.request {
        TransactionRequest::InitProducerId(_) => "InitProducerId",
        TransactionRequest::AddPartitions(_) => "AddPartitions",
        TransactionRequest::AddOffsets(_) => "AddOffsets",
        TransactionRequest::CommitOffsets(_) => "CommitOffsets",
        TransactionRequest::End(_) => "End",
    }
}

fn identity(id: i64, epoch: i16) -> TransactionEvent {
    TransactionEvent::Identity(ProducerIdentity { id, epoch })
}

fn id(id: i64, epoch: i16) -> TransactionResponse {
    TransactionResponse::InitProducerId(InitProducerIdResponse {
        producer_id: id,
        producer_epoch: epoch,
        ..Default::default()
    })
}

fn no_id(error_code: ErrorCode) -> TransactionResponse {
    let response = InitProducerIdResponse { error_code, ..Default::default() };
    TransactionResponse::InitProducerId(response)
}

fn added(results: &[(i32, ErrorCode)]) -> TransactionResponse {
    let one = |(partition_index, partition_error_code): &(i32, ErrorCode)| {
        AddPartitionsToTxnPartitionResult {
            partition_index: *partition_index,
            partition_error_code: *partition_error_code,
        }
    };
    let results_by_partition = results.iter().map(one).collect();
    TransactionResponse::AddPartitions(AddPartitionsToTxnResponse {
        results_by_topic_v3_and_below: vec![AddPartitionsToTxnTopicResult {
            name: "t".to_owned(),
            results_by_partition,
        }],
        ..Default::default()
    })
}

fn group(error_code: ErrorCode) -> TransactionResponse {
    TransactionResponse::AddOffsets(AddOffsetsToTxnResponse { throttle_time_ms: 0, error_code })
}

fn stored(results: &[(i32, ErrorCode)]) -> TransactionResponse {
    let one = |(partition_index, error_code): &(i32, ErrorCode)| TxnOffsetCommitResponsePartition {
        partition_index: *partition_index,
        error_code: *error_code,
    };
    let partitions = results.iter().map(one).collect();
    let topic =
        TxnOffsetCommitResponseTopic { name: "in".to_owned(), partitions, ..Default::default() };
    TransactionResponse::CommitOffsets(TxnOffsetCommitResponse {
        topics: vec![topic],
        ..Default::default()
    })
}

fn done(error_code: ErrorCode) -> TransactionResponse {
    TransactionResponse::End(EndTxnResponse { error_code, ..Default::default() })
}

fn done_with(producer_id: i64, producer_epoch: i16) -> TransactionResponse {
    TransactionResponse::End(EndTxnResponse { producer_id, producer_epoch, ..Default::default() })
}

fn ended(end: End) -> TransactionEvent {
    TransactionEvent::Ended(Ok(end))
}

fn not_ended(error: TransactionError) -> TransactionEvent {
    TransactionEvent::Ended(Err(error))
}

fn positions(partitions: &[i32]) -> Vec<Position> {
    let one = |partition: &i32| Position {
        topic: Arc::from("in"),
        partition: *partition,
        offset: 5,
        leader_epoch: None,
        metadata: None,
    };
    partitions.iter().map(one).collect()
}

#[test]
fn the_first_init_fences_and_later_ones_can_be_fenced() {
    let mut bench = Bench::ready(2);
    bench.machine.init(bench.now);
    let call = bench.call();
    let TransactionRequest::InitProducerId(request) = &call.request else { panic!("{call:?}") };
    assert_eq!((request.producer_id, request.producer_epoch), (7, 0));
    assert_eq!(request.transactional_id.as_deref(), Some("payments"));
    assert_eq!(call.versions.min, 3, "older versions cannot say the epoch");
    bench.answer(&call, no_id(ErrorCode::PRODUCER_FENCED));
    let error = TransactionError::Fenced(ErrorCode::PRODUCER_FENCED);
    let events = bench.events();
    assert_eq!(
        events,
        [TransactionEvent::Broken(error), TransactionEvent::Initialised(Err(error))]
    );
    bench.machine.begin(bench.now);
    assert_eq!(bench.events(), [TransactionEvent::Begun(Err(error))]);
}

#[test]
fn init_is_repeated_while_the_coordinator_moves_or_is_busy() {
    let mut bench = Bench::new(0);
    bench.machine.init(bench.now);
    for code in [
        ErrorCode::NOT_COORDINATOR,
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode::CONCURRENT_TRANSACTIONS,
    ] {
        let call = bench.call();
        bench.answer(&call, no_id(code));
        assert!(bench.try_call().is_none(), "{code} without a pause");
        bench.wait(PAUSE);
    }
    assert_eq!(bench.events(), [TransactionEvent::StaleCoordinator(Coordinator::Transaction)]);
    let call = bench.call();
    bench.machine.handle_failure(bench.now, call.id, true);
    bench.wait(PAUSE);
    let call = bench.call();
    bench.answer(&call, id(7, 0));
    assert!(bench.events().contains(&TransactionEvent::Initialised(Ok(None))));
}

#[test]
fn an_init_that_takes_too_long_may_be_tried_again() {
    let mut bench = Bench::new(0);
    bench.machine.init(bench.now);
    let call = bench.call();
    bench.wait(PATIENCE);
    let late = TransactionEvent::Initialised(Err(TransactionError::TimedOut));
    assert_eq!(bench.events(), [late]);
    bench.answer(&call, id(7, 0));
    assert!(bench.events().is_empty() && bench.try_call().is_none());
    bench.machine.init(bench.now);
    let call = bench.call();
    bench.answer(&call, id(7, 1));
    assert_eq!(bench.events(), [identity(7, 1), TransactionEvent::Initialised(Ok(None))]);
}

#[test]
fn version_1_adds_partitions_first_and_keeps_its_epoch() {
    let mut bench = Bench::ready(1);
    bench.begin();
    for partition in [0, 1] {
        bench.machine.add_partition(&topic(), partition);
    }
    let call = bench.call();
    assert_eq!((name(&call), call.versions.max), ("AddPartitions", 3));
    bench.answer(&call, added(&[(0, ErrorCode::NONE), (1, ErrorCode::NONE)]));
    assert_eq!(bench.events().len(), 2);
    bench.machine.add_partition(&topic(), 1);
    assert_eq!(bench.events().len(), 1, "a member is told so at once");
    let call = bench.end(End::Committed);
    assert_eq!(call.versions.max, 4, "version 5 would mean the other protocol");
    bench.answer(&call, done(ErrorCode::NONE));
    assert_eq!(bench.events(), [ended(End::Committed)]);
    bench.begin();
    assert!(bench.try_call().is_none());
}

#[test]
fn version_2_adds_nothing_and_gets_its_next_epoch_with_the_end() {
    let mut bench = Bench::open(2);
    let call = bench.end(End::Committed);
    assert_eq!((call.versions.min, call.versions.max), (5, 5));
    bench.answer(&call, done_with(7, 1));
    assert_eq!(bench.events(), [identity(7, 1), ended(End::Committed)]);
    bench.begin();
    bench.add(0);
    let events = bench.end_well(End::Aborted, done_with(8, 0));
    assert_eq!(events, [identity(8, 0), ended(End::Aborted)], "the epochs of 7 were used up");
}

#[test]
fn a_cluster_that_learns_version_2_gets_a_fresh_epoch_first() {
    let mut bench = Bench::open(1);
    assert_eq!(bench.end_well(End::Committed, done(ErrorCode::NONE)), [ended(End::Committed)]);
    bench.machine.set_level(2);
    bench.machine.begin(bench.now);
    let call = bench.call();
    bench.answer(&call, id(7, 1));
    let begun = TransactionEvent::Begun(Ok(Begun { implicit: true }));
    assert_eq!(bench.events(), [identity(7, 1), begun]);
}

#[test]
fn an_empty_transaction_ends_without_asking_anybody() {
    for level in [1, 2] {
        let mut bench = Bench::ready(level);
        for end in [End::Committed, End::Aborted] {
            bench.begin();
            match end {
                End::Committed => bench.machine.commit(),
                End::Aborted => bench.machine.abort(),
            }
            bench.machine.handle_drained(bench.now, false);
            assert_eq!(bench.events(), [ended(end)]);
            assert!(bench.try_call().is_none());
        }
    }
}

#[test]
fn a_lost_batch_leaves_nothing_but_to_abort() {
    for level in [1, 2] {
        let mut bench = Bench::open(level);
        bench.machine.handle_batch_lost(None);
        let error = TransactionError::AbortRequired(Cause::Batch(None));
        assert_eq!(bench.events(), [TransactionEvent::Broken(error)]);
        bench.machine.commit();
        assert_eq!(bench.events(), [not_ended(error)]);
        let next = if level == 2 { done_with(7, 1) } else { done(ErrorCode::NONE) };
        let events = bench.end_well(End::Aborted, next);
        assert!(events.contains(&ended(End::Aborted)), "{events:?}");
        if level == 1 {
            // The sequences have a gap, which only a new epoch mends.
            let call = bench.call();
            assert_eq!(name(&call), "InitProducerId");
            bench.answer(&call, id(7, 1));
            assert_eq!(bench.events(), [identity(7, 1)]);
        }
        bench.begin();
    }
}

#[test]
fn a_batch_lost_while_the_commit_waits_fails_the_commit() {
    let mut bench = Bench::open(2);
    bench.machine.commit();
    bench.machine.handle_batch_lost(Some(ErrorCode::INVALID_PRODUCER_EPOCH));
    let cause = Cause::Batch(Some(ErrorCode::INVALID_PRODUCER_EPOCH));
    let error = TransactionError::AbortRequired(cause);
    assert_eq!(bench.events(), [TransactionEvent::Broken(error), not_ended(error)]);
    bench.machine.handle_drained(bench.now, true);
    assert!(bench.try_call().is_none(), "only the abort is asked for");
    let events = bench.end_well(End::Aborted, done_with(7, 1));
    assert_eq!(events, [identity(7, 1), ended(End::Aborted)]);
}

#[test]
fn a_gap_in_the_sequences_is_never_committed() {
    let mut bench = Bench::open(2);
    bench.machine.commit();
    bench.machine.handle_drained(bench.now, true);
    let error = TransactionError::AbortRequired(Cause::Batch(None));
    assert_eq!(bench.events(), [TransactionEvent::Broken(error), not_ended(error)]);
    assert!(bench.try_call().is_none());
}

#[test]
fn being_fenced_is_final() {
    let mut bench = Bench::open(1);
    let call = bench.end(End::Committed);
    bench.answer(&call, done(ErrorCode::INVALID_PRODUCER_EPOCH));
    let error = TransactionError::Fenced(ErrorCode::INVALID_PRODUCER_EPOCH);
    assert!(error.is_final());
    assert_eq!(bench.events(), [TransactionEvent::Broken(error), not_ended(error)]);
    for _ in 0..2 {
        bench.machine.begin(bench.now);
        assert_eq!(bench.events(), [TransactionEvent::Begun(Err(error))]);
    }
    let mut bench = Bench::open(2);
    bench.machine.handle_batch_lost(Some(ErrorCode::PRODUCER_FENCED));
    let error = TransactionError::Fenced(ErrorCode::PRODUCER_FENCED);
    assert_eq!(bench.events(), [TransactionEvent::Broken(error)]);
    bench.machine.abort();
    assert_eq!(bench.events(), [not_ended(error)]);
}

#[test]
fn an_end_is_repeated_until_it_is_answered_and_version_1_then_raises_its_epoch() {
    let mut bench = Bench::open(1);
    let first = bench.end(End::Committed);
    bench.machine.handle_failure(bench.now, first.id, true);
    bench.wait(PAUSE);
    let again = bench.call();
    assert_eq!(again.request, first.request);
    bench.answer(&again, done(ErrorCode::NONE));
    assert!(bench.events().contains(&ended(End::Committed)));
    // Asked before the first copy is certain to be harmless, a transaction has to wait.
    bench.machine.begin(bench.now);
    let call = bench.call();
    assert_eq!(name(&call), "InitProducerId");
    assert!(bench.events().is_empty());
    bench.answer(&call, id(7, 1));
    let begun = TransactionEvent::Begun(Ok(Begun { implicit: false }));
    assert_eq!(bench.events(), [identity(7, 1), begun]);
}

#[test]
fn version_2_needs_no_new_id_after_an_end_that_was_repeated() {
    let mut bench = Bench::open(2);
    let first = bench.end(End::Committed);
    bench.machine.handle_failure(bench.now, first.id, true);
    bench.wait(PAUSE);
    let again = bench.call();
    assert_eq!(again.request, first.request);
    bench.answer(&again, done_with(7, 1));
    assert!(bench.events().contains(&ended(End::Committed)));
    bench.begin();
    assert!(bench.try_call().is_none());
}

#[test]
fn an_end_without_answer_in_time_is_unknown_and_init_finds_out() {
    for (level, code, resolved) in [
        (1, ErrorCode::NONE, Some(End::Committed)),
        (2, ErrorCode::NONE, Some(End::Committed)),
        (1, ErrorCode::INVALID_TXN_STATE, None),
    ] {
        let mut bench = Bench::open(level);
        let call = bench.end(End::Committed);
        bench.wait(PATIENCE);
        assert_eq!(bench.events(), [not_ended(TransactionError::OutcomeUnknown)]);
        bench.machine.handle_failure(bench.now, call.id, true);
        bench.wait(PAUSE);
        assert!(bench.try_call().is_none(), "nothing is asked without a command");
        bench.events();
        bench.machine.init(bench.now);
        let again = bench.call();
        assert_eq!(again.request, call.request);
        let known = level == 2 && code.is_ok();
        bench.answer(&again, if known { done_with(7, 1) } else { done(code) });
        if level == 1 && code.is_ok() {
            assert!(bench.events().is_empty());
            let call = bench.call();
            bench.answer(&call, id(7, 1));
        }
        let told = bench.events().pop();
        let wanted = match resolved {
            Some(end) => TransactionEvent::Initialised(Ok(Some(end))),
            None => TransactionEvent::Initialised(Err(TransactionError::Refused(code))),
        };
        assert_eq!(told, Some(wanted));
    }
}

#[test]
fn a_commit_that_was_certainly_not_asked_for_is_not_unknown() {
    let mut bench = Bench::open(2);
    let call = bench.end(End::Committed);
    bench.machine.handle_failure(bench.now, call.id, false);
    bench.wait(PATIENCE);
    let events = bench.events();
    let error = TransactionError::AbortRequired(Cause::TimedOut);
    assert_eq!(events.last(), Some(&not_ended(error)));
    let events = bench.end_well(End::Aborted, done_with(7, 1));
    assert_eq!(events.last(), Some(&ended(End::Aborted)));
}

#[test]
fn who_is_fenced_while_a_commit_is_in_doubt_cannot_know() {
    let mut bench = Bench::open(1);
    let call = bench.end(End::Committed);
    bench.machine.handle_failure(bench.now, call.id, true);
    bench.wait(PAUSE);
    let call = bench.call();
    bench.answer(&call, done(ErrorCode::PRODUCER_FENCED));
    let events = bench.events();
    assert_eq!(events.last(), Some(&not_ended(TransactionError::OutcomeUnknown)));
    let fenced = TransactionError::Fenced(ErrorCode::PRODUCER_FENCED);
    assert!(events.contains(&TransactionEvent::Broken(fenced)));
}

#[test]
fn a_coordinator_that_demands_an_abort_gets_it() {
    let mut bench = Bench::open(2);
    let call = bench.end(End::Committed);
    bench.answer(&call, done(ErrorCode::TRANSACTION_ABORTABLE));
    let error = TransactionError::AbortRequired(Cause::Broker(ErrorCode::TRANSACTION_ABORTABLE));
    assert_eq!(bench.events(), [not_ended(error)]);
    let events = bench.end_well(End::Aborted, done_with(7, 1));
    assert_eq!(events, [identity(7, 1), ended(End::Aborted)]);
}

#[test]
fn an_abort_demanded_of_a_commit_in_doubt_is_known_when_the_abort_is_answered() {
    let mut bench = Bench::open(1);
    let first = bench.end(End::Committed);
    bench.machine.handle_failure(bench.now, first.id, true);
    bench.wait(PAUSE);
    let again = bench.call();
    bench.events();
    // The first copy may still be on its way, and would be obeyed.
    bench.answer(&again, done(ErrorCode::TRANSACTION_ABORTABLE));
    assert_eq!(bench.events(), [not_ended(TransactionError::OutcomeUnknown)]);
    assert!(bench.try_call().is_none());
    bench.machine.init(bench.now);
    let call = bench.call();
    let TransactionRequest::End(request) = &call.request else { panic!("{call:?}") };
    assert!(!request.committed);
    bench.answer(&call, done(ErrorCode::NONE));
    let call = bench.call();
    bench.answer(&call, id(7, 1));
    let found_out = TransactionEvent::Initialised(Ok(Some(End::Aborted)));
    assert_eq!(bench.events(), [identity(7, 1), found_out]);
}

#[test]
fn offsets_go_by_two_requests_in_version_1_and_one_in_version_2() {
    for level in [1, 2] {
        let mut bench = Bench::ready(level);
        bench.begin();
        let member =
            GroupMember { generation: 3, member: "m".to_owned(), ..GroupMember::of_group("g") };
        bench.machine.send_offsets(bench.now, member, positions(&[0, 1]));
        if level == 1 {
            let call = bench.call();
            assert_eq!((name(&call), &call.to), ("AddOffsets", &Coordinator::Transaction));
            bench.answer(&call, group(ErrorCode::NONE));
        }
        let call = bench.call();
        assert_eq!((name(&call), &call.to), ("CommitOffsets", &Coordinator::Group(Arc::from("g"))));
        let versions = if level == 1 { VersionRange::new(3, 4) } else { VersionRange::new(5, 5) };
        assert_eq!(call.versions, versions);
        let partly = [(0, ErrorCode::NONE), (1, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)];
        bench.answer(&call, stored(&partly));
        bench.wait(PAUSE);
        let call = bench.call();
        let TransactionRequest::CommitOffsets(request) = &call.request else { panic!("{call:?}") };
        assert_eq!(request.topics[0].partitions.len(), 1, "what is stored is not sent again");
        assert_eq!((request.generation_id_or_member_epoch, &*request.member_id), (3, "m"));
        bench.answer(&call, stored(&[(1, ErrorCode::NONE)]));
        assert_eq!(bench.events(), [TransactionEvent::OffsetsSent(Ok(()))]);
        let next = if level == 2 { done_with(7, 1) } else { done(ErrorCode::NONE) };
        let events = bench.end_well(End::Committed, next);
        assert!(events.contains(&ended(End::Committed)), "{events:?}");
    }
}

#[test]
fn a_member_that_was_put_out_of_its_group_has_to_abort() {
    let mut bench = Bench::ready(2);
    bench.begin();
    bench.machine.send_offsets(bench.now, GroupMember::of_group("g"), positions(&[0]));
    let call = bench.call();
    bench.answer(&call, stored(&[(0, ErrorCode::ILLEGAL_GENERATION)]));
    let error = TransactionError::AbortRequired(Cause::Broker(ErrorCode::ILLEGAL_GENERATION));
    let told = [TransactionEvent::OffsetsSent(Err(error)), TransactionEvent::Broken(error)];
    assert_eq!(bench.events(), told);
}

#[test]
fn partitions_that_may_not_be_written_break_the_transaction_and_unknown_ones_wait() {
    let mut bench = Bench::ready(1);
    bench.begin();
    bench.machine.add_partition(&topic(), 0);
    bench.machine.add_partition(&topic(), 1);
    let call = bench.call();
    let unknown =
        [(0, ErrorCode::OPERATION_NOT_ATTEMPTED), (1, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)];
    bench.answer(&call, added(&unknown));
    bench.wait(PAUSE);
    let call = bench.call();
    let refused =
        [(0, ErrorCode::OPERATION_NOT_ATTEMPTED), (1, ErrorCode::TOPIC_AUTHORIZATION_FAILED)];
    bench.answer(&call, added(&refused));
    let error =
        TransactionError::AbortRequired(Cause::Broker(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    assert_eq!(bench.events(), [TransactionEvent::Broken(error)]);
}

#[test]
fn an_add_that_may_arrive_late_is_ended_and_outdated() {
    let mut bench = Bench::ready(1);
    bench.begin();
    bench.machine.add_partition(&topic(), 0);
    let call = bench.call();
    bench.machine.handle_failure(bench.now, call.id, true);
    bench.wait(PAUSE);
    bench.events();
    // The coordinator answers that there is nothing to abort: the request never came.
    let events = bench.end_well(End::Aborted, done(ErrorCode::INVALID_TXN_STATE));
    assert_eq!(events, [ended(End::Aborted)]);
    assert_eq!(name(&bench.call()), "InitProducerId");
}

#[test]
fn brokers_that_cannot_raise_an_epoch_end_a_producer_with_a_gap() {
    let mut bench = Bench::open(0);
    bench.machine.handle_batch_lost(None);
    bench.events();
    assert_eq!(bench.end_well(End::Aborted, done(ErrorCode::NONE)), [ended(End::Aborted)]);
    let call = bench.call();
    bench.machine.handle_unsupported(call.id);
    assert_eq!(bench.events(), [TransactionEvent::Broken(TransactionError::TooOld)]);
}

#[test]
fn who_may_not_use_the_id_is_told_by_the_search_for_its_coordinator() {
    let mut bench = Bench::new(2);
    bench.machine.init(bench.now);
    let call = bench.call();
    bench.machine.handle_refusal(bench.now, call.id, ErrorCode::COORDINATOR_NOT_AVAILABLE);
    bench.wait(PAUSE);
    bench.events();
    let call = bench.call();
    let code = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    bench.machine.handle_refusal(bench.now, call.id, code);
    let error = TransactionError::Refused(code);
    assert_eq!(bench.events().last(), Some(&TransactionEvent::Initialised(Err(error))));
}

#[test]
fn commands_out_of_order_are_refused() {
    let mut bench = Bench::new(2);
    let wrong = TransactionError::WrongState;
    bench.machine.begin(bench.now);
    bench.machine.commit();
    bench.machine.abort();
    bench.machine.send_offsets(bench.now, GroupMember::of_group("g"), positions(&[0]));
    let told = [
        TransactionEvent::Begun(Err(wrong)),
        not_ended(wrong),
        not_ended(wrong),
        TransactionEvent::OffsetsSent(Err(wrong)),
    ];
    assert_eq!(bench.events(), told);
    assert!(bench.try_call().is_none());
}

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);
