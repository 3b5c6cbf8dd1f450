//! The way to the transaction coordinator: one call at a time goes in, its answer or its loss comes
//! out. Finds the coordinator, and now and then lets a request that was lost arrive much later, as
//! networks do.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use fastrand::Rng;
use klamm_protocol::api::{Request, VersionRange};
use klamm_protocol::header::decode_response;
use klamm_protocol::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use klamm_protocol::messages::add_partitions_to_txn::AddPartitionsToTxnRequest;
use klamm_protocol::messages::end_txn::{EndTxnRequest, EndTxnResponse};
use klamm_protocol::messages::find_coordinator::FindCoordinatorRequest;
use klamm_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use klamm_protocol::messages::txn_offset_commit::TxnOffsetCommitRequest;
use klamm_protocol::session::metadata::View;
use klamm_protocol::session::transaction::{
    CallId as TransactionCallId, TransactionCall, TransactionRequest, TransactionResponse,
};

use super::checks::{Rule, Violation};
use super::committer::ID;
use super::network::{Answer, CallId, Network, WireId};
use super::plants::Plant;
use super::pool::{Pool, Reach};

/// The way to the coordinator.
pub(super) struct Desk {
    pool: Pool,
    rng: Rng,
    plant: Plant,
    /// Whom to ask for the coordinator, until metadata names others.
    bootstrap: Vec<i32>,
    found: Option<i32>,
    finding: Option<(CallId, i16)>,
    /// Not sent yet.
    call: Option<TransactionCall>,
    sent: Option<(CallId, TransactionCall, i16)>,
    /// Requests that arrive much later, at whoever coordinates then.
    late: VecDeque<(Instant, TransactionCall)>,
    not_before: Instant,
}

/// What became of a call.
#[derive(Debug)]
pub(super) enum News {
    Answered { id: TransactionCallId, level: i16, response: TransactionResponse },
    Lost { id: TransactionCallId, sent: bool },
}

impl Desk {
    pub(super) fn new(now: Instant, rng: Rng, brokers: i32, plant: Plant) -> Self {
        Self {
            pool: Pool::default(),
            rng,
            plant,
            bootstrap: (1..=brokers).collect(),
            found: None,
            finding: None,
            call: None,
            sent: None,
            late: VecDeque::new(),
            not_before: now,
        }
    }

    /// Sends a call as soon as the coordinator can be reached.
    pub(super) fn send(&mut self, call: TransactionCall) {
        self.call = Some(call);
    }

    /// The coordinator has to be found again.
    pub(super) fn forget(&mut self) {
        self.found = None;
    }

    /// Nobody waits for the call any more.
    pub(super) fn forget_call(&mut self) {
        (self.call, self.sent) = (None, None);
    }

    /// When something is due.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let late = self.late.iter().map(|(at, _)| *at);
        let pause = (self.call.is_some() && self.not_before > now).then_some(self.not_before);
        late.chain(self.pool.poll_timeout(now)).chain(pause).filter(|at| *at > now).min()
    }

    /// Moves the call on. Whether anything moved.
    pub(super) fn step(
        &mut self,
        now: Instant,
        net: &mut Network,
        view: &View,
    ) -> Result<bool, Violation> {
        let mut moved = self.arrive_late(now, net)?;
        if self.call.is_none() || self.sent.is_some() || self.not_before > now {
            return Ok(moved);
        }
        let Some(node) = self.found else {
            return Ok(moved | self.find(now, net, view)?);
        };
        match self.pool.reach(now, net, node) {
            Reach::Wait => {}
            Reach::Failed => {
                (self.found, moved) = (None, true);
            }
            Reach::Ready(wire) => {
                let Some(call) = self.call.take() else { return Ok(moved) };
                moved = true;
                match begin(net, now, wire, &call)? {
                    Some((id, version)) => self.sent = Some((id, call, version)),
                    None => {
                        self.found = None;
                        self.call = Some(call);
                    }
                }
            }
        }
        Ok(moved)
    }

    fn find(&mut self, now: Instant, net: &mut Network, view: &View) -> Result<bool, Violation> {
        if self.finding.is_some() {
            return Ok(false);
        }
        let known: Vec<i32> = view.brokers.keys().chain(&self.bootstrap).copied().collect();
        let Some(node) = self.rng.choice(known) else { return Ok(false) };
        match self.pool.reach(now, net, node) {
            Reach::Wait => Ok(false),
            Reach::Failed => Ok(true),
            Reach::Ready(wire) => {
                let version = net.version::<FindCoordinatorRequest>(wire)?.min(3);
                let request = FindCoordinatorRequest {
                    key: ID.to_owned(),
                    key_type: 1,
                    ..FindCoordinatorRequest::default()
                };
                let asked = net.request(now, wire, (&request, version))?;
                self.finding = asked.map(|id| (id, version));
                Ok(asked.is_some())
            }
        }
    }

    /// What became of calls.
    pub(super) fn hear(&mut self, now: Instant, net: &mut Network) -> Result<Vec<News>, Violation> {
        let mut news = Vec::new();
        for Answer { call, outcome } in self.pool.answers(net) {
            if let Some((_, version)) = self.finding.take_if(|(id, _)| *id == call) {
                self.not_before = now + FIND_PAUSE;
                let Ok(frame) = outcome else { continue };
                let found = decode_response::<FindCoordinatorRequest>(frame, version)
                    .map_err(|error| Violation::new(Rule::FramesWhole, error))?;
                if found.error_code.is_ok() {
                    (self.found, self.not_before) = (Some(found.node_id), now);
                }
            } else if let Some((_, asked, version)) = self.sent.take_if(|(id, ..)| *id == call) {
                match outcome {
                    Ok(frame) => {
                        let response = read(&asked, frame, version)?;
                        let level = net.feature(call.0, "transaction.version");
                        news.push(News::Answered { id: asked.id, level, response });
                    }
                    Err(lost) => news.push(self.lose(now, asked, lost.sent)),
                }
            }
        }
        Ok(news)
    }

    fn lose(&mut self, now: Instant, call: TransactionCall, sent: bool) -> News {
        let id = call.id;
        let ends = matches!(call.request, TransactionRequest::End(_));
        if sent && self.plant == Plant::EndIntoNext && ends {
            // Taken for done, and asked for again when there is time.
            self.late.push_back((now + Duration::from_millis(150), call));
            let response = TransactionResponse::End(EndTxnResponse::default());
            return News::Answered { id, level: 1, response };
        }
        if sent && self.rng.bool() {
            let later = Duration::from_millis(self.rng.u64(1..2_000));
            self.late.push_back((now + later, call));
        }
        News::Lost { id, sent }
    }

    /// Requests that were given up arrive after all; nobody waits for their answers.
    fn arrive_late(&mut self, now: Instant, net: &mut Network) -> Result<bool, Violation> {
        let Some(at) = self.late.iter().position(|(at, _)| *at <= now) else { return Ok(false) };
        let Some((_, call)) = self.late.remove(at) else { return Ok(false) };
        let Some(node) = net.cluster.coordinator(ID) else { return Ok(true) };
        match self.pool.reach(now, net, node) {
            Reach::Ready(wire) => drop(begin(net, now, wire, &call)?),
            _ => self.late.push_back((now + Duration::from_millis(20), call)),
        }
        Ok(true)
    }
}

/// Hands a call to a connection.
fn begin(
    net: &mut Network,
    now: Instant,
    wire: WireId,
    call: &TransactionCall,
) -> Result<Option<(CallId, i16)>, Violation> {
    match &call.request {
        TransactionRequest::InitProducerId(one) => put(net, now, wire, (one, call.versions)),
        TransactionRequest::AddPartitions(one) => put(net, now, wire, (one, call.versions)),
        TransactionRequest::AddOffsets(one) => put(net, now, wire, (one, call.versions)),
        TransactionRequest::CommitOffsets(one) => put(net, now, wire, (one, call.versions)),
        TransactionRequest::End(one) => put(net, now, wire, (one, call.versions)),
    }
}

fn put<R: Request>(
    net: &mut Network,
    now: Instant,
    wire: WireId,
    (request, versions): (&R, VersionRange),
) -> Result<Option<(CallId, i16)>, Violation> {
    let version = net.version::<R>(wire)?.min(versions.max);
    Ok(net.request(now, wire, (request, version))?.map(|id| (id, version)))
}

fn read(
    call: &TransactionCall,
    frame: bytes::Bytes,
    version: i16,
) -> Result<TransactionResponse, Violation> {
    let response = match &call.request {
        TransactionRequest::InitProducerId(_) => {
            decode_response::<InitProducerIdRequest>(frame, version)
                .map(TransactionResponse::InitProducerId)
        }
        TransactionRequest::AddPartitions(_) => {
            decode_response::<AddPartitionsToTxnRequest>(frame, version)
                .map(TransactionResponse::AddPartitions)
        }
        TransactionRequest::AddOffsets(_) => {
            decode_response::<AddOffsetsToTxnRequest>(frame, version)
                .map(TransactionResponse::AddOffsets)
        }
        TransactionRequest::CommitOffsets(_) => {
            decode_response::<TxnOffsetCommitRequest>(frame, version)
                .map(TransactionResponse::CommitOffsets)
        }
        TransactionRequest::End(_) => {
            decode_response::<EndTxnRequest>(frame, version).map(TransactionResponse::End)
        }
    };
    response.map_err(|error| Violation::new(Rule::FramesWhole, error))
}

/// An answer that says the epoch was raised when it was not.
pub(super) fn same_id(request: &InitProducerIdRequest) -> TransactionResponse {
    TransactionResponse::InitProducerId(InitProducerIdResponse {
        producer_id: request.producer_id,
        producer_epoch: request.producer_epoch,
        ..InitProducerIdResponse::default()
    })
}

const FIND_PAUSE: Duration = Duration::from_millis(30);
