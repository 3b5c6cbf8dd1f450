//! Batches that are too large: what is sent in their place, and under which numbers.

use super::*;
use crate::records::{Deflater, Inflater};

/// The batch that the machine wants split.
fn too_large(bench: &mut Bench) -> (BatchId, SealedBatch) {
    match bench.queue.poll_event() {
        Some(ProduceEvent::TooLarge { batch, sealed, .. }) => (batch, sealed),
        other => panic!("{other:?}"),
    }
}

fn halves(sealed: &SealedBatch) -> Vec<SealedBatch> {
    let (mut inflater, mut deflater) = (Inflater::new(), Deflater::new());
    let halves = sealed.split(BatchOptions::default(), &mut inflater, &mut deflater);
    halves.expect("several records").to_vec()
}

#[test]
fn parts_share_the_sequences_of_the_whole_and_what_follows_keeps_its_own() {
    for code in [ErrorCode::MESSAGE_TOO_LARGE, ErrorCode::RECORD_LIST_TOO_LARGE] {
        let mut bench = Bench::established();
        bench.push(5);
        let behind = bench.push(2);
        let (whole, next) = (bench.send(), bench.send());
        bench.answer(&whole, code);
        let (batch, sealed) = too_large(&mut bench);
        assert!(bench.try_send().is_none(), "nothing overtakes the parts");
        let parts = bench.queue.split(bench.lane, batch, halves(&sealed));
        assert_eq!(parts.len(), 2);
        bench.answer(&next, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        let mut sent = Vec::new();
        for wanted in [parts[0], parts[1], behind] {
            let call = bench.send();
            sent.push(numbers(&call));
            bench.answer(&call, ErrorCode::NONE);
            assert!(matches!(&bench.ended()[..], [(id, Outcome::Written { .. })] if *id == wanted));
        }
        assert_eq!(sent, [(0, 1), (0, 3), (0, 6)]);
    }
}

#[test]
fn a_part_that_is_still_too_large_is_split_again_and_a_single_record_is_refused() {
    let mut bench = Bench::established();
    bench.push(3);
    let call = bench.send();
    bench.answer(&call, ErrorCode::MESSAGE_TOO_LARGE);
    let (batch, sealed) = too_large(&mut bench);
    let first = bench.queue.split(bench.lane, batch, halves(&sealed));
    let call = bench.send();
    bench.answer(&call, ErrorCode::MESSAGE_TOO_LARGE);
    let ended = bench.ended();
    assert!(
        matches!(&ended[..], [(id, Outcome::Refused { code: ErrorCode::MESSAGE_TOO_LARGE, .. })]
            if *id == first[0])
    );
    let call = bench.send();
    assert_eq!(numbers(&call), (1, 0), "the refused record left a gap");
    bench.answer(&call, ErrorCode::MESSAGE_TOO_LARGE);
    let (batch, sealed) = too_large(&mut bench);
    assert_eq!((batch, sealed.record_count()), (first[1], 2));
}

#[test]
fn parts_that_are_not_the_whole_are_refused() {
    let mut bench = Bench::established();
    let whole = bench.push(4);
    let call = bench.send();
    bench.answer(&call, ErrorCode::MESSAGE_TOO_LARGE);
    let (id, _) = too_large(&mut bench);
    assert_eq!(id, whole);
    assert!(bench.queue.split(bench.lane, whole, vec![batch(1), batch(2)]).is_empty());
    assert!(matches!(&bench.ended()[..], [(id, Outcome::Refused { .. })] if *id == whole));
    assert!(bench.queue.split(bench.lane, whole, vec![batch(2), batch(2)]).is_empty());
    assert!(bench.queue.is_idle());
}

#[test]
fn a_split_batch_that_is_abandoned_has_one_outcome() {
    let mut bench = Bench::established();
    let whole = bench.push(4);
    let call = bench.send();
    bench.answer(&call, ErrorCode::MESSAGE_TOO_LARGE);
    bench.queue.abandon();
    assert_eq!(bench.ended(), [(whole, Outcome::NotWritten(Reason::Closed))]);
    assert!(bench.queue.split(bench.lane, whole, vec![batch(2), batch(2)]).is_empty());
    assert!(bench.ended().is_empty());
}

#[test]
fn parts_of_a_batch_in_doubt_are_never_numbered_anew() {
    let mut bench = Bench::established();
    bench.push(4);
    let call = bench.send();
    bench.queue.handle_failure(bench.now, call.id, true);
    bench.wait(BACKOFF);
    let again = bench.send();
    bench.answer(&again, ErrorCode::MESSAGE_TOO_LARGE);
    let (batch, sealed) = too_large(&mut bench);
    bench.queue.split(bench.lane, batch, halves(&sealed));
    // The first attempt was appended after all, under a limit that has changed since.
    let call = bench.send();
    bench.answer(&call, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    let lost = bench.ended();
    assert!(
        lost.len() == 2
            && lost.iter().all(|(_, one)| *one == Outcome::Unknown(Reason::SequenceLost)),
        "{lost:?}"
    );
}

#[test]
fn without_sequences_parts_go_one_by_one() {
    let options = ProduceOptions { idempotent: false, acks: 1, ..ProduceOptions::default() };
    let mut bench = Bench::with(options);
    bench.push(2);
    let call = bench.send();
    bench.answer(&call, ErrorCode::MESSAGE_TOO_LARGE);
    let (batch, sealed) = too_large(&mut bench);
    bench.queue.split(bench.lane, batch, halves(&sealed));
    for _ in 0..2 {
        let call = bench.send();
        assert!(bench.try_send().is_none());
        bench.answer(&call, ErrorCode::NONE);
    }
    assert!(bench.ended().len() == 2 && bench.queue.is_idle());
}
