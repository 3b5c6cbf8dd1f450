//! What a coordinator's answer asks for: an error code goes in, by the request that it answers;
//! whether to repeat, to abort or to stop comes out. The rules are those of Java's producer 4.x.

use crate::code::ErrorCode;

/// What is to be done after an answer, by rising gravity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Done,
    /// Ask the same broker again.
    Repeat,
    /// Find the coordinator, then ask again.
    Relocate,
    /// The transaction can only be aborted.
    AbortOnly,
    /// Nothing more can be done.
    Refused,
    /// A newer producer took over.
    Fenced,
}

/// Which request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Init,
    AddPartitions,
    AddOffsets,
    CommitOffsets,
    End,
}

/// Sorts an answer.
pub(super) fn sort(asked: Asked, code: ErrorCode) -> Verdict {
    match code {
        ErrorCode::NONE => Verdict::Done,
        ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => Verdict::Relocate,
        // Before KIP-588 a coordinator said by the second what it says by the first since.
        ErrorCode::PRODUCER_FENCED | ErrorCode::INVALID_PRODUCER_EPOCH => Verdict::Fenced,
        ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED | ErrorCode::INVALID_TXN_STATE => {
            Verdict::Refused
        }
        _ => match asked {
            Asked::CommitOffsets if code == ErrorCode::REQUEST_TIMED_OUT => Verdict::Relocate,
            _ if code.is_retriable() => Verdict::Repeat,
            Asked::Init => Verdict::Refused,
            Asked::End | Asked::AddOffsets => of_all_requests(code),
            // What is wrong with a topic or a group is no fault of the transactional id.
            Asked::AddPartitions | Asked::CommitOffsets => match code {
                ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT | ErrorCode::UNSUPPORTED_VERSION => {
                    Verdict::Refused
                }
                _ => Verdict::AbortOnly,
            },
        },
    }
}

/// The gravest verdict on an answer with a code for each of its parts.
pub(super) fn sort_all(
    asked: Asked,
    codes: impl Iterator<Item = ErrorCode>,
) -> (Verdict, ErrorCode) {
    // A part that was not tried for the sake of another says nothing beside that one.
    let weight =
        |code: &ErrorCode| (*code != ErrorCode::OPERATION_NOT_ATTEMPTED, sort(asked, *code));
    let worst = codes.filter(|code| !code.is_ok()).max_by_key(weight).unwrap_or(ErrorCode::NONE);
    (sort(asked, worst), worst)
}

fn of_all_requests(code: ErrorCode) -> Verdict {
    match code {
        ErrorCode::TRANSACTION_ABORTABLE
        | ErrorCode::UNKNOWN_PRODUCER_ID
        | ErrorCode::INVALID_PRODUCER_ID_MAPPING
        | ErrorCode::GROUP_AUTHORIZATION_FAILED => Verdict::AbortOnly,
        _ => Verdict::Refused,
    }
}

/// Whether a coordinator that asks to be asked again has certainly done nothing. Of others it is not
/// certain: it may have lost its office, or its replicas, after it had written the decision down.
pub(super) fn touched_nothing(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::CONCURRENT_TRANSACTIONS | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)
}

/// Whether the answer to a batch ends the producer rather than its transaction. A leader that does
/// not know the epoch is not among them: only the coordinator knows whether somebody took over
/// (KIP-588).
pub(super) fn ends_producer(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::PRODUCER_FENCED
            | ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            | ErrorCode::CLUSTER_AUTHORIZATION_FAILED
            | ErrorCode::INVALID_PRODUCER_ID_MAPPING
            | ErrorCode::UNSUPPORTED_VERSION
    )
}
