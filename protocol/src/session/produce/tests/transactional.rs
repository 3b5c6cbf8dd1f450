//! Batches of transactions: when they are sent, under which numbers, and how they end with it.

use super::*;

/// A machine in a transaction, with one partition that is not in it yet.
fn bench(implicit: bool) -> Bench {
    let options =
        ProduceOptions { transactional_id: Some("payments".to_owned()), ..Default::default() };
    let mut bench = Bench::with(options);
    bench.queue.begin_transaction(implicit);
    bench
}

/// The same with the partition in the transaction and a batch of one record acknowledged.
fn established() -> Bench {
    let mut bench = bench(true);
    bench.push(1);
    bench.queue.join(bench.lane);
    let call = bench.send();
    bench.answer(&call, ErrorCode::NONE);
    bench.ended();
    bench
}

fn is_transactional(call: &ProduceCall) -> bool {
    let bytes = call.request.topic_data[0].partition_data[0].records.clone().expect("records");
    RawBatch::read(bytes).expect("a batch").header().is_transactional()
}

#[test]
fn a_partition_is_asked_for_once_and_sent_to_when_it_is_in() {
    for (implicit, version) in [(false, 11), (true, 13)] {
        let mut bench = bench(implicit);
        bench.push(1);
        bench.push(1);
        let event = ProduceEvent::NeedsPartition { lane: bench.lane };
        assert_eq!(bench.queue.poll_event(), Some(event));
        assert_eq!(bench.queue.poll_event(), None);
        assert!(bench.try_send().is_none(), "before it is in");
        bench.queue.join(bench.lane);
        let call = bench.send();
        assert_eq!(call.version, version, "the version says which protocol is spoken");
        assert_eq!(call.request.transactional_id.as_deref(), Some("payments"));
        assert!(is_transactional(&call));
    }
}

#[test]
fn a_broker_too_old_for_the_protocol_gets_nothing() {
    let mut bench = bench(true);
    bench.push(1);
    bench.queue.join(bench.lane);
    assert!(bench.queue.next_request(bench.now, 1, 11).is_none());
}

#[test]
fn sequences_go_on_over_transactions_and_start_anew_with_an_epoch() {
    let mut bench = established();
    bench.queue.end_transaction();
    bench.queue.begin_transaction(false);
    bench.push(2);
    assert!(bench.try_send().is_none(), "out of the new transaction");
    bench.queue.join(bench.lane);
    let call = bench.send();
    assert_eq!(numbers(&call), (0, 1));
    bench.answer(&call, ErrorCode::NONE);
    assert!(!bench.queue.has_gap());
    bench.queue.end_transaction();
    bench.queue.set_identity(ProducerIdentity { id: 7, epoch: 1 });
    bench.queue.begin_transaction(true);
    bench.push(1);
    bench.queue.join(bench.lane);
    assert_eq!(numbers(&bench.send()), (1, 0));
}

#[test]
fn a_lost_sequence_fails_the_batch_instead_of_raising_the_epoch() {
    for code in [
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        ErrorCode::UNKNOWN_PRODUCER_ID,
        ErrorCode::INVALID_PRODUCER_EPOCH,
    ] {
        let mut bench = established();
        let batch = bench.push(1);
        let call = bench.send();
        bench.answer(&call, code);
        let refused = Outcome::Refused { code, message: None };
        assert_eq!(bench.ended(), [(batch, refused)]);
        assert!(bench.queue.has_gap());
        bench.push(1);
        assert!(bench.try_send().is_none(), "nothing may follow a gap");
    }
}

#[test]
fn ending_a_transaction_ends_what_waits_and_lets_what_is_in_flight_end_by_itself() {
    let mut bench = established();
    let (first, second) = (bench.push(1), bench.push(1));
    let calls = [bench.send(), bench.send()];
    let unsent = bench.push(1);
    bench.queue.end_transaction();
    assert_eq!(bench.ended(), [(unsent, Outcome::NotWritten(Reason::Aborted))]);
    assert!(!bench.queue.is_idle(), "the end has to wait for what is in flight");
    bench.answer(&calls[0], ErrorCode::NONE);
    bench.queue.handle_failure(bench.now, calls[1].id, true);
    let ended = bench.ended();
    assert!(matches!(&ended[0], (id, Outcome::Written { .. }) if *id == first), "{ended:?}");
    assert_eq!(ended[1], (second, Outcome::Unknown(Reason::Aborted)));
    assert!(bench.queue.is_idle() && bench.queue.has_gap());
    let late = bench.push(1);
    assert_eq!(bench.ended(), [(late, Outcome::NotWritten(Reason::Aborted))]);
}

#[test]
fn an_end_that_nobody_has_heard_of_is_not_yet_idle() {
    let mut bench = established();
    let batch = bench.push(1);
    let _ = bench.send();
    bench.wait(Duration::from_secs(120));
    let call = bench.try_send();
    assert!(call.is_none() && !bench.queue.is_idle());
    assert_eq!(bench.ended(), [(batch, Outcome::Unknown(Reason::Expired(None)))]);
    assert!(!bench.queue.is_idle(), "its answer may still come");
    let unsent = bench.push(1);
    bench.queue.set_leader(bench.lane, None, TOPIC_ID);
    bench.queue.end_transaction();
    assert_eq!(bench.ended(), [(unsent, Outcome::NotWritten(Reason::Aborted))]);
}

#[test]
fn a_batch_that_meets_the_end_of_the_transaction_before_waits_for_it() {
    let mut bench = bench(true);
    bench.push(1);
    bench.queue.join(bench.lane);
    let call = bench.send();
    bench.answer(&call, ErrorCode::CONCURRENT_TRANSACTIONS);
    bench.wait(BACKOFF);
    let again = bench.send();
    assert_eq!(numbers(&again), numbers(&call));
}

#[test]
fn sequences_wrap_within_a_transaction_and_epochs_up_to_the_last_are_stamped() {
    let mut bench = bench(true);
    bench.queue.set_identity(ProducerIdentity { id: 7, epoch: i16::MAX });
    bench.push(1);
    bench.queue.join(bench.lane);
    bench.queue.lanes[0].skip_to_sequence(i32::MAX - 10);
    let call = bench.send();
    assert_eq!(numbers(&call), (i16::MAX, i32::MAX - 10));
    bench.answer(&call, ErrorCode::NONE);
    bench.push(20);
    bench.push(1);
    assert_eq!(numbers(&bench.send()), (i16::MAX, i32::MAX - 9));
    assert_eq!(numbers(&bench.send()), (i16::MAX, 10));
}
