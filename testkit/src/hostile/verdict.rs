//! What a produce request was told, judged by the bytes alone: in go the request and the steps that
//! answer it, out comes whether the client may say that its record is not in the log.

use bytes::Bytes;
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::header::{
    correlation_id, decode_request, decode_request_header, decode_response,
};
use klamm_protocol::messages::produce::{ProduceRequest, ProduceResponse};

use super::script::{Asked, Step};

/// What a whole Produce request was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One readable answer said by this code that nothing was written.
    Denied(ErrorCode),
    /// Anything else: the records may be in the log.
    Open,
}

/// Judges what the first bytes after a request say of it.
pub(super) fn verdict(asked: &Asked, request: Bytes, steps: &[Step]) -> Verdict {
    let denied = || {
        let Some(Step::Send(frame)) = steps.first() else { return None };
        let body = frame.get(4..).map(Bytes::copy_from_slice)?;
        let whole = u32::try_from(body.len()).ok()?.to_be_bytes();
        if frame.get(..4) != Some(&whole[..]) || correlation_id(&body) != Ok(asked.correlation_id) {
            return None;
        }
        let response = decode_response::<ProduceRequest>(body, asked.version).ok()?;
        code_for(&read(request)?, &response).filter(|code| denies(*code))
    };
    denied().map_or(Verdict::Open, Verdict::Denied)
}

fn read(frame: Bytes) -> Option<ProduceRequest> {
    let (header, body) = decode_request_header(frame).ok()?;
    (header.api_key == ApiKey::Produce).then_some(())?;
    decode_request(body, header.api_version).ok()
}

/// The one code for the one partition of the request; `None` if there are more or fewer.
fn code_for(request: &ProduceRequest, response: &ProduceResponse) -> Option<ErrorCode> {
    let [asked] = &request.topic_data[..] else { return None };
    let [partition] = &asked.partition_data[..] else { return None };
    let [told] = &response.responses[..] else { return None };
    let [answer] = &told.partition_responses[..] else { return None };
    let same = told.name == asked.name && told.topic_id == asked.topic_id;
    (same && answer.index == partition.index).then_some(answer.error_code)
}

/// Whether a broker that answers so has certainly written nothing. A code that asks to try again
/// may come from a leader that had appended before it stepped down, except where it refused to
/// append for want of replicas.
fn denies(code: ErrorCode) -> bool {
    match code {
        ErrorCode::NOT_ENOUGH_REPLICAS => true,
        ErrorCode::NONE
        | ErrorCode::DUPLICATE_SEQUENCE_NUMBER
        | ErrorCode::UNKNOWN_SERVER_ERROR => false,
        code => !code.is_retriable(),
    }
}
