//! The producer's one task. In: batches from the accumulator, answers from brokers, news of
//! leaders; out: requests in order, and the outcome of every batch. It decides nothing about
//! retries and sequences: that is the produce machine's.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::init_producer_id::InitProducerIdRequest;
use klamm_protocol::records::{BatchOptions, Deflater, Inflater, SealedBatch};
use klamm_protocol::session::metadata::{Broker, LeaderHint, View};
use klamm_protocol::session::new_leader::NewLeader;
use klamm_protocol::session::produce::{
    BatchId, LaneId, Outcome, ProduceEvent, ProduceOptions, ProduceQueue, ProducerIdentity, Reason,
};
use klamm_protocol::wire::Uuid;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::client::Client;
use crate::cluster::{Repeat, Retry};
use crate::error::{Error, ErrorKind, Result};

use super::accumulator::{Accumulator, Hold, Open};
use super::link::{Answer, Job, Link};
use super::options::ProducerOptions;
use super::ticket::Settled;
use super::transactions::{Carrier, Order, Wish};

/// What callers ask of the driver.
#[derive(Debug)]
pub(super) enum Command {
    /// There may be something to do.
    Look,
    /// End everything now.
    Abandon,
    /// Something about transactions.
    Transaction(Wish),
}

/// The state of the task.
pub(super) struct Driver {
    client: Client,
    accumulator: Arc<Accumulator>,
    queue: ProduceQueue,
    inbox: mpsc::Receiver<Command>,
    links: BTreeMap<i32, Link>,
    /// The lane of each slot of the accumulator.
    lanes: HashMap<usize, LaneId>,
    holds: HashMap<BatchId, (LaneId, Hold)>,
    view: Arc<View>,
    /// A lane was added since leaders were last set.
    new_lane: bool,
    news: Option<Job<()>>,
    identity: Option<Job<Result<ProducerIdentity>>>,
    /// When an identity came last: one that is of no use is not replaced at once.
    identified: Option<Instant>,
    /// The transactions, if there are any.
    carrier: Option<Carrier>,
    /// How parts of batches are built.
    batch: BatchOptions,
    /// Nobody can append any more.
    deserted: bool,
    last_failure: Option<Error>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Driver {
    pub(super) fn new(
        (client, accumulator, carrier): (Client, Arc<Accumulator>, Option<Carrier>),
        options: &ProducerOptions,
        inbox: mpsc::Receiver<Command>,
    ) -> Self {
        let queue = ProduceQueue::new(machine_options(options, &client));
        let view = client.view();
        Self {
            client,
            accumulator,
            queue,
            inbox,
            links: BTreeMap::new(),
            lanes: HashMap::new(),
            holds: HashMap::new(),
            view,
            new_lane: false,
            news: None,
            identity: None,
            identified: None,
            carrier,
            batch: options.accumulator().batch,
            deserted: false,
            last_failure: None,
            timer: None,
        }
    }

    /// Runs until the last producer handle is gone and every batch has its outcome.
    pub(super) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.read_inbox(cx);
            self.poll_news(cx);
            self.poll_identity(cx);
            let lingers = self.send_all(cx);
            if lingers.is_some_and(|due| due <= Instant::now()) {
                // There is more to take. First connections, and callers, have their turn.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.deserted && self.is_at_rest() {
                return Poll::Ready(());
            }
            let homeless = self.queue.active().any(|(_, leader)| leader.is_none());
            if homeless {
                self.client.cluster().mark_stale();
            }
            let machine = self.queue.poll_timeout().map(Instant::from_std);
            let look_again =
                homeless.then(|| Instant::now() + *self.client.config().retry_backoff_max());
            let carrier = self.carrier.as_ref().and_then(Carrier::poll_timeout);
            let wakes = [lingers, machine, carrier, look_again];
            let Some(wake) = wakes.into_iter().flatten().min() else {
                return Poll::Pending;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(wake)));
            timer.as_mut().reset(wake);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Whether every batch has its outcome, and every transaction its end.
    fn is_at_rest(&self) -> bool {
        let ended = self.carrier.as_ref().is_none_or(Carrier::is_at_rest);
        ended && self.queue.is_idle() && self.accumulator.is_drained()
    }

    fn read_inbox(&mut self, cx: &mut Context<'_>) {
        while let (false, Poll::Ready(command)) = (self.deserted, self.inbox.poll_recv(cx)) {
            match command {
                Some(Command::Look) => {}
                Some(Command::Abandon) => self.abandon(),
                Some(Command::Transaction(wish)) => {
                    if let Some(carrier) = &mut self.carrier {
                        carrier.wish(wish);
                    }
                }
                None => {
                    self.deserted = true;
                    self.accumulator.flush();
                }
            }
        }
    }

    /// Takes in a new view: leaders of lanes, and partitions of topics.
    fn poll_news(&mut self, cx: &mut Context<'_>) {
        loop {
            let news = self.news.get_or_insert_with(|| {
                let mut views = self.client.cluster().watch();
                views.mark_unchanged();
                Box::pin(async move {
                    // An error means that the cluster is gone, and so is all hope for news.
                    if views.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                })
            });
            if news.as_mut().poll(cx).is_pending() {
                break;
            }
            self.news = None;
        }
        let view = self.client.view();
        if Arc::ptr_eq(&view, &self.view) {
            return;
        }
        self.view = view;
        for name in self.accumulator.topics() {
            if let Some(topic) = self.view.topics.get(&name).filter(|topic| topic.error.is_ok()) {
                self.accumulator.know(topic);
            }
        }
        self.set_leaders();
    }

    fn poll_identity(&mut self, cx: &mut Context<'_>) {
        let Some(Poll::Ready(asked)) = self.identity.as_mut().map(|job| job.as_mut().poll(cx))
        else {
            return;
        };
        self.identity = None;
        match asked {
            Ok(identity) => {
                self.identified = Some(Instant::now());
                self.queue.set_identity(identity);
            }
            // Batches expire in the meantime, so this ends.
            Err(error) if error.is_retriable() => {
                self.last_failure = Some(error);
                self.ask_for_identity();
            }
            Err(error) => {
                self.accumulator.close(error.clone());
                self.last_failure = Some(error);
                self.abandon();
            }
        }
    }

    /// Moves batches to brokers and outcomes to callers until nothing moves, or there are more batches
    /// than should be taken at once. Returns when the next batch is due.
    fn send_all(&mut self, cx: &mut Context<'_>) -> Option<Instant> {
        loop {
            let now = Instant::now();
            let lingers = self.take_batches(now);
            self.queue.handle_timeout(now.into_std());
            let mut moved = self.poll_links(cx);
            moved |= self.send_requests(cx, now);
            moved |= self.drain_events(cx);
            moved |= self.poll_carrier(cx);
            if !moved || lingers.is_some_and(|due| due <= now) {
                return lingers;
            }
        }
    }

    /// Seals what is due and hands it to the machine.
    fn take_batches(&mut self, now: Instant) -> Option<Instant> {
        let mut batches = Vec::new();
        let (lanes, queue) = (&self.lanes, &self.queue);
        let idle = |slot: usize| lanes.get(&slot).is_none_or(|lane| queue.waiting(*lane) == 0);
        let next = self.accumulator.collect(now, idle, &mut batches);
        for Open { slot, mut builder, created, hold } in batches {
            let Some(lane) = self.lane(slot) else { continue };
            let sealed = DEFLATER.with_borrow_mut(|deflater| builder.seal_with(deflater));
            self.accumulator.recycle(builder);
            let batch = self.queue.push(lane, created.into_std(), sealed);
            self.holds.insert(batch, (lane, hold));
        }
        if self.new_lane {
            self.view = self.client.view();
            self.set_leaders();
        }
        next
    }

    fn lane(&mut self, slot: usize) -> Option<LaneId> {
        if let Some(lane) = self.lanes.get(&slot) {
            return Some(*lane);
        }
        let (topic, partition) = self.accumulator.place_of(slot)?;
        let lane = self.queue.lane(&topic, partition);
        self.lanes.insert(slot, lane);
        self.new_lane = true;
        Some(lane)
    }

    /// Tells the machine who leads. Connections to brokers that lead nothing any more are closed.
    fn set_leaders(&mut self) {
        self.new_lane = false;
        let view = &self.view;
        let mut leaders = BTreeSet::new();
        for lane in self.lanes.values() {
            let Some((topic, partition)) = self.queue.name_of(*lane) else { continue };
            let leader = view.leader(topic, partition).map(|leader| leader.broker);
            let id = view.topics.get(topic).map_or(Uuid::ZERO, |topic| topic.id);
            leaders.extend(leader);
            self.queue.set_leader(*lane, leader, id);
        }
        self.links.retain(|node, link| leaders.contains(node) || !link.is_idle());
    }

    fn poll_links(&mut self, cx: &mut Context<'_>) -> bool {
        let (mut answers, mut moved) = (Vec::new(), false);
        for link in self.links.values_mut() {
            moved |= link.poll(cx, &mut answers);
        }
        moved |= !answers.is_empty();
        answers.into_iter().for_each(|answer| self.take_answer(answer));
        moved
    }

    fn send_requests(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut nodes: Vec<i32> = self.queue.active().filter_map(|(_, leader)| leader).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let mut moved = false;
        for node in nodes {
            let client = &self.client;
            let link = self.links.entry(node).or_insert_with(|| Link::new(client.clone(), node));
            let version = match link.version() {
                Some(Ok(version)) => version,
                Some(Err(error)) => {
                    self.last_failure = Some(error);
                    continue;
                }
                None => {
                    // The connection attempt has to be polled once to be heard of again.
                    moved |= link.is_new_attempt();
                    continue;
                }
            };
            while let Some(call) = self.queue.next_request(now.into_std(), node, version) {
                moved = true;
                let Some(link) = self.links.get_mut(&node) else { break };
                if let Some(answer) = link.begin(cx, call) {
                    self.take_answer(answer);
                }
            }
        }
        moved
    }

    fn take_answer(&mut self, answer: Answer) {
        let now = Instant::now().into_std();
        match answer {
            Answer::Response(id, response) => self.queue.handle_response(now, id, response),
            Answer::Sent(id) => self.queue.handle_sent(now, id),
            Answer::Lost(id, maybe, error) => {
                tracing::debug!(%error, "a produce request was lost");
                self.queue.handle_failure(now, id, maybe);
                self.client.cluster().mark_stale();
                self.last_failure = Some(error);
            }
            Answer::Unreachable(error) => {
                tracing::debug!(%error, "a broker cannot be reached");
                self.client.cluster().mark_stale();
                self.last_failure = Some(error);
            }
        }
    }

    fn drain_events(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while let Some(event) = self.queue.poll_event() {
            moved = true;
            match event {
                ProduceEvent::Ended { batch, outcome } => self.settle(batch, outcome),
                ProduceEvent::StaleLeader { lane, leader } => self.learn_leader(lane, leader),
                ProduceEvent::NeedsIdentity => {
                    self.ask_for_identity();
                    self.poll_identity(cx);
                }
                ProduceEvent::TooLarge { lane, batch, sealed } => self.split(lane, batch, &sealed),
                ProduceEvent::NeedsPartition { lane } => {
                    let place = self.queue.name_of(lane);
                    if let (Some(carrier), Some((topic, partition))) = (&mut self.carrier, place) {
                        carrier.add_partition(topic, partition);
                    }
                }
                other => tracing::error!(?other, "an event that the driver does not know"),
            }
        }
        moved
    }

    /// Moves the transactions on, and does what they ask for.
    fn poll_carrier(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(carrier) = &mut self.carrier else { return false };
        let drained = self.queue.is_idle() && self.accumulator.is_drained();
        let gap = drained.then(|| self.queue.has_gap());
        let mut orders = Vec::new();
        let moved = carrier.poll(cx, gap, &mut orders);
        for order in orders {
            match order {
                Order::Identity(identity) => self.queue.set_identity(identity),
                Order::Begin { implicit, guard, reply } => {
                    self.queue.begin_transaction(implicit);
                    self.accumulator.admit();
                    // Not taken, it is dropped here, and the transaction is aborted.
                    drop(reply.send(Ok(guard)));
                }
                Order::Join(topic, partition) => {
                    let lane = self.queue.lane(&topic, partition);
                    self.queue.join(lane);
                }
                Order::Flush => drop(self.accumulator.flush()),
                Order::End(reason) => {
                    if let Some(reason) = reason {
                        self.accumulator.refuse(reason);
                    }
                    self.queue.end_transaction();
                    self.accumulator.flush();
                }
            }
        }
        moved
    }

    /// Has parts of a batch that is too large sent in its place.
    fn split(&mut self, lane: LaneId, batch: BatchId, whole: &SealedBatch) {
        let parts = INFLATER.with_borrow_mut(|inflater| {
            DEFLATER.with_borrow_mut(|deflater| whole.split(self.batch, inflater, deflater))
        });
        let parts = parts.map(Vec::from).unwrap_or_default();
        let counts: Vec<u32> = parts.iter().map(SealedBatch::record_count).collect();
        let ids = self.queue.split(lane, batch, parts);
        let Some((lane, hold)) = self.holds.remove(&batch) else { return };
        if ids.is_empty() {
            // Its end is told by an event of its own.
            self.holds.insert(batch, (lane, hold));
            return;
        }
        tracing::debug!(records = ?counts, "a batch was too large and is split");
        let holds = self.accumulator.split(hold, &counts);
        self.holds.extend(ids.into_iter().zip(holds.into_iter().map(|hold| (lane, hold))));
    }

    fn settle(&mut self, batch: BatchId, outcome: Outcome) {
        if let (Some(carrier), Some(code)) = (&mut self.carrier, loss_of(&outcome)) {
            carrier.batch_lost(code);
        }
        let Some((lane, hold)) = self.holds.remove(&batch) else { return };
        let (topic, partition) =
            self.queue.name_of(lane).map_or(("", -1), |(topic, partition)| (&**topic, partition));
        let settled = Settled::of_outcome(outcome, topic, partition, self.last_failure.as_ref());
        self.accumulator.settle(hold, settled);
    }

    /// Takes in who leads now (KIP-951), or has the view refreshed.
    fn learn_leader(&mut self, lane: LaneId, leader: Option<NewLeader>) {
        let cluster = self.client.cluster();
        let name = self.queue.name_of(lane);
        let hint = name.zip(leader).map(|((topic, partition), leader)| {
            let port = leader.address.as_ref().and_then(|(_, port)| u16::try_from(*port).ok());
            let host = leader.address.map(|(host, _)| host);
            let endpoint = host.zip(port).map(|(host, port)| Broker {
                id: leader.node,
                host,
                port,
                rack: None,
            });
            let (leader, leader_epoch) = (leader.node, leader.epoch);
            LeaderHint { topic: Arc::clone(topic), partition, leader, leader_epoch, endpoint }
        });
        if !hint.is_some_and(|hint| cluster.learn_leader(hint)) {
            match name {
                Some((topic, _)) => cluster.want_to_write(topic),
                None => cluster.mark_stale(),
            }
        }
    }

    fn ask_for_identity(&mut self) {
        let client = self.client.clone();
        let pause = self.identified.map(|at| at + *client.config().retry_backoff());
        self.identity = Some(Box::pin(async move {
            if let Some(until) = pause {
                sleep_until(until).await;
            }
            init_producer_id(&client).await
        }));
    }

    /// Ends every batch, also those that are still open.
    fn abandon(&mut self) {
        self.accumulator.flush();
        let (mut batches, now) = (Vec::new(), Instant::now());
        while self.accumulator.collect(now, |_| true, &mut batches).is_some_and(|due| due <= now) {}
        for open in batches {
            let (topic, partition) =
                self.accumulator.place_of(open.slot).unwrap_or((Arc::from(""), -1));
            let outcome = Outcome::NotWritten(Reason::Closed);
            let settled =
                Settled::of_outcome(outcome, &topic, partition, self.last_failure.as_ref());
            self.accumulator.settle(open.hold, settled);
        }
        self.queue.abandon();
        while let Some(event) = self.queue.poll_event() {
            if let ProduceEvent::Ended { batch, outcome } = event {
                self.settle(batch, outcome);
            }
        }
    }
}

async fn init_producer_id(client: &Client) -> Result<ProducerIdentity> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdRequest::default()
    };
    let mut retry = Retry::new(client.cluster(), client.api_deadline(), Repeat::Harmless);
    loop {
        let deadline = retry.deadline();
        let attempt = async {
            let response =
                client.cluster().any(deadline).await?.request(&request, deadline).await?;
            Error::check(response.error_code)?;
            let (id, epoch) = (response.producer_id, response.producer_epoch);
            if id < 0 || epoch < 0 {
                // Batches under such a name would go without sequences, and retries twice.
                let error = Error::new(ErrorKind::Protocol, "the producer id cannot be one");
                return Err(error.with("id", id).with("epoch", epoch));
            }
            Ok(ProducerIdentity { id, epoch })
        };
        match attempt.await {
            Err(error) => retry.after(error).await?,
            Ok(identity) => return Ok(identity),
        }
    }
}

fn machine_options(options: &ProducerOptions, client: &Client) -> ProduceOptions {
    let mut machine = ProduceOptions::default();
    machine.acks = options.acks.to_wire();
    machine.idempotent = options.idempotent;
    machine.max_in_flight = options.max_in_flight;
    machine.max_request_size = options.max_request_size;
    machine.request_timeout = *client.config().request_timeout();
    machine.delivery_timeout = options.delivery_timeout;
    machine.retry_backoff = *client.config().retry_backoff();
    machine.retries = options.retries;
    machine.transactional_id = options.transactional_id.clone();
    machine
}

/// Whether an outcome keeps a transaction from being committed, and the broker's code if it had one.
fn loss_of(outcome: &Outcome) -> Option<Option<ErrorCode>> {
    match outcome {
        // Told by the end of the transaction itself.
        Outcome::Written { .. } | Outcome::NotWritten(Reason::Aborted) => None,
        Outcome::Refused { code, .. } => Some(Some(*code)),
        Outcome::NotWritten(reason) | Outcome::Unknown(reason) => Some(match reason {
            Reason::Broker(code) => Some(*code),
            Reason::Expired(code) | Reason::RetriesExhausted(code) => *code,
            _ => None,
        }),
        _ => Some(None),
    }
}

thread_local! {
    /// The codecs' working memory. Not a field, because zstd's cannot move between threads and the
    /// task does.
    static DEFLATER: RefCell<Deflater> = RefCell::new(Deflater::new());
    static INFLATER: RefCell<Inflater> = RefCell::new(Inflater::new());
}
