//! What the client knows of the cluster: the metadata machine and whoever it asks. In: doubts and
//! hints of the writer and the reader; out: a view, and an id for the producer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use klamm_protocol::header::decode_response;
use klamm_protocol::messages::init_producer_id::InitProducerIdRequest;
use klamm_protocol::messages::metadata::{MetadataRequest, MetadataResponse};
use klamm_protocol::session::backoff::Backoff;
use klamm_protocol::session::metadata::{
    Broker, LeaderHint, Metadata, MetadataEvent, MetadataOptions, View,
};
use klamm_protocol::session::new_leader::NewLeader;
use klamm_protocol::session::produce::ProducerIdentity;

use super::checks::{Rule, Violation};
use super::network::{Answer, CallId, Network};
use super::plants::Plant;
use super::pool::{Pool, Reach};
use super::records::TOPIC;

/// The shared part of the client.
#[derive(Debug)]
pub(super) struct Knowledge {
    metadata: Metadata,
    view: Arc<View>,
    pool: Pool,
    rng: Rng,
    plant: Plant,
    bootstrap: Vec<i32>,
    /// The broker asked at present.
    node: i32,
    /// A request that no broker was asked yet.
    request: Option<MetadataRequest>,
    asked: Option<(CallId, i16)>,
    /// The first answer that knew the topic: what a broker says that is far behind.
    first: Option<MetadataResponse>,
    rounds: Rounds,
    wants_identity: bool,
    asked_identity: Option<(CallId, i16)>,
    identity: Option<ProducerIdentity>,
}

/// Refreshes by number, so that a doubt can wait for one that began after it arose.
#[derive(Clone, Copy, Debug, Default)]
struct Rounds {
    begun: u64,
    ended: u64,
}

impl Knowledge {
    pub(super) fn new(now: Instant, mut rng: Rng, brokers: i32, plant: Plant) -> Self {
        let backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(400));
        let (max_age, recovery) = (Duration::from_secs(5), None);
        let options = MetadataOptions { max_age, backoff, recovery };
        let mut metadata = Metadata::new(now, options);
        metadata.want(TOPIC, false);
        Self {
            view: Arc::clone(metadata.view()),
            metadata,
            pool: Pool::default(),
            plant,
            bootstrap: (1..=brokers).collect(),
            node: rng.i32(1..=brokers),
            rng,
            request: None,
            asked: None,
            first: None,
            rounds: Rounds::default(),
            wants_identity: false,
            asked_identity: None,
            identity: None,
        }
    }

    /// What the client acts on.
    pub(super) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// The view was proved wrong.
    pub(super) fn doubt(&mut self) {
        self.metadata.mark_stale();
    }

    /// The number to hand to [`Knowledge::is_newer`] later.
    pub(super) fn round(&self) -> u64 {
        self.rounds.begun
    }

    /// Whether a refresh has ended that began after `round` was taken.
    pub(super) fn is_newer(&self, round: u64) -> bool {
        self.rounds.ended > round
    }

    /// Takes in a leader learnt by the way; without news the view is in doubt. Whether it was news.
    pub(super) fn learn(&mut self, partition: i32, leader: Option<NewLeader>) -> bool {
        let hint = leader.map(|leader| {
            let endpoint = leader.address.and_then(|(host, port)| {
                let port = u16::try_from(port).ok()?;
                Some(Broker { id: leader.node, host, port, rack: None })
            });
            let (leader, leader_epoch) = (leader.node, leader.epoch);
            LeaderHint { topic: Arc::from(TOPIC), partition, leader, leader_epoch, endpoint }
        });
        let news = hint.is_some_and(|hint| self.metadata.handle_leader(hint));
        if news {
            self.view = Arc::clone(self.metadata.view());
        } else {
            self.doubt();
        }
        news
    }

    /// A producer id is needed.
    pub(super) fn want_identity(&mut self) {
        self.wants_identity = true;
    }

    /// The producer id, once.
    pub(super) fn take_identity(&mut self) -> Option<ProducerIdentity> {
        self.identity.take()
    }

    /// Does what can be done now. Whether anything was done.
    pub(super) fn step(&mut self, now: Instant, net: &mut Network) -> Result<bool, Violation> {
        let answers = self.pool.answers(net);
        let mut moved = !answers.is_empty();
        for answer in answers {
            self.take(now, answer)?;
        }
        if self.request.is_none() {
            self.request = self.metadata.poll_transmit(now);
            self.rounds.begun += u64::from(self.request.is_some());
        }
        let wants_identity = self.wants_identity && self.asked_identity.is_none();
        if self.request.is_none() && !wants_identity {
            return Ok(moved);
        }
        match self.pool.reach(now, net, self.node) {
            Reach::Wait => return Ok(moved),
            Reach::Failed => {
                if self.request.take().is_some() {
                    self.metadata.handle_failure(now, self.rng.f64());
                }
                self.ask_another();
            }
            Reach::Ready(wire) => {
                if let Some(request) = self.request.take() {
                    let version = net.version::<MetadataRequest>(wire)?;
                    self.asked =
                        net.request(now, wire, (&request, version))?.map(|call| (call, version));
                    if self.asked.is_none() {
                        self.metadata.handle_failure(now, self.rng.f64());
                    }
                }
                if wants_identity {
                    let request = InitProducerIdRequest {
                        transactional_id: None,
                        producer_id: -1,
                        producer_epoch: -1,
                        ..InitProducerIdRequest::default()
                    };
                    let version = net.version::<InitProducerIdRequest>(wire)?;
                    let call = net.request(now, wire, (&request, version))?;
                    self.asked_identity = call.map(|call| (call, version));
                }
            }
        }
        moved = true;
        Ok(moved)
    }

    /// When something is due, later than now.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let due = self.metadata.poll_timeout().filter(|at| *at > now);
        due.into_iter().chain(self.pool.poll_timeout(now)).min()
    }

    fn take(&mut self, now: Instant, Answer { call, outcome }: Answer) -> Result<(), Violation> {
        if self.asked.is_some_and(|(asked, _)| asked == call) {
            let version = self.asked.take().map_or(0, |(_, version)| version);
            let Ok(frame) = outcome else {
                self.metadata.handle_failure(now, self.rng.f64());
                self.ask_another();
                return Ok(());
            };
            let response = decode_response::<MetadataRequest>(frame, version)
                .map_err(|error| Violation::new(Rule::FramesWhole, error))?;
            let response = self.perhaps_old(response);
            self.metadata.handle_response(now, &response);
            self.view = match self.plant {
                Plant::BelieveOldEpochs => Arc::new(View::of(&response)),
                _ => Arc::clone(self.metadata.view()),
            };
            while let Some(event) = self.metadata.poll_event() {
                if matches!(event, MetadataEvent::Refreshed { .. }) {
                    self.rounds.ended = self.rounds.begun;
                }
            }
        } else if self.asked_identity.is_some_and(|(asked, _)| asked == call) {
            let version = self.asked_identity.take().map_or(0, |(_, version)| version);
            let Ok(frame) = outcome else { return Ok(()) };
            let response = decode_response::<InitProducerIdRequest>(frame, version)
                .map_err(|error| Violation::new(Rule::FramesWhole, error))?;
            if response.error_code.is_ok() {
                let (id, epoch) = (response.producer_id, response.producer_epoch);
                self.identity = Some(ProducerIdentity { id, epoch });
                self.wants_identity = false;
            }
        }
        Ok(())
    }

    /// Now and then a broker answers that has heard of nothing for long.
    fn perhaps_old(&mut self, response: MetadataResponse) -> MetadataResponse {
        let knows = response.topics.iter().any(|topic| topic.error_code.is_ok());
        match &self.first {
            Some(first) if self.rng.u8(..6) == 0 => first.clone(),
            Some(_) => response,
            None => {
                self.first = knows.then(|| response.clone());
                response
            }
        }
    }

    /// Another broker of the view, or of the first list where the view knows none.
    fn ask_another(&mut self) {
        let known = self.view.brokers.keys().chain(&self.bootstrap).copied();
        self.node = self.rng.choice(known.collect::<Vec<_>>()).unwrap_or(self.node);
    }
}
