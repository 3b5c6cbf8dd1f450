//! The Java oracle as a process: what it does with questions that it cannot answer, or not in time.

use std::time::Duration;

use klamm_testkit::oracle::{self, MessageKind};
use klamm_testkit::{apache, outside};

#[test]
fn an_exception_is_an_error_and_the_next_question_is_answered() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    let metadata = MessageKind { api_key: 3, is_response: false, version: 12 };
    let error = java.decode(metadata, b"\xff\xff").unwrap_err();
    assert!(error.to_string().contains("BufferUnderflow"), "{error}");
    assert!(java.random(MessageKind { version: 999, ..metadata }, 1, 1).is_err());
    let bytes = java.random(metadata, 1, 1).unwrap().remove(0);
    assert_eq!(java.decode(metadata, &bytes).unwrap().encoded, bytes);
}

#[test]
fn a_late_answer_is_never_taken_for_the_next_one() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    java.set_limit(Duration::ZERO);
    assert!(matches!(java.apis(), Err(outside::Error::TimedOut { .. })));
    java.set_limit(Duration::from_secs(60));
    assert!(java.partitions_of(&["key"], 1).is_err());
}
