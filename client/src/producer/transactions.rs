//! The driver's part of transactions: wishes of callers and news of batches go in, requests to
//! coordinators and replies to callers come out. What to ask when is the machine's to decide; this
//! file finds the coordinators and carries its words.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use klamm_protocol::api::{Request, VersionRange};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::session::transaction::{
    CallId, Cause, Coordinator, End, GroupMember, Position, TransactionCall, TransactionError,
    TransactionEvent, TransactionOptions, TransactionRequest, TransactionResponse, Transactions,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::client::Client;
use crate::cluster::CoordinatorKind;
use crate::error::{Error, ErrorKind, Result};
use crate::net::handle::Handle;

use super::driver::Command;
use super::link::{Job, may_have_arrived};

/// Where a caller is told.
pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

/// What a caller wants of the transactional id.
#[derive(Debug)]
pub(super) enum Wish {
    Init(Reply<Option<End>>),
    Begin(Guard, Reply<Guard>),
    Offsets(GroupMember, Vec<Position>, Reply<()>),
    Commit(Reply<End>),
    /// Without a reply where nobody asked: a transaction was dropped, or its commit failed.
    Abort(Option<Reply<End>>),
    /// To be told when all that was wished for before is done.
    Rest(Reply<()>),
}

/// Has a transaction aborted that its caller drops, from whatever hands it is dropped.
#[derive(Debug)]
pub(super) struct Guard {
    dropped: Arc<AtomicBool>,
    commands: mpsc::Sender<Command>,
    armed: bool,
}

impl Guard {
    pub(super) fn new(dropped: &Arc<AtomicBool>, commands: &mpsc::Sender<Command>) -> Self {
        Self { dropped: Arc::clone(dropped), commands: commands.clone(), armed: false }
    }

    /// The transaction's end was asked for.
    pub(super) fn disarm(&mut self) {
        self.armed = false;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.armed {
            self.dropped.store(true, Ordering::Release);
            // A full inbox means that the driver will look anyway.
            let _ = self.commands.try_send(Command::Look);
        }
    }
}

/// The transactions of one producer, as its driver carries them out.
pub(super) struct Carrier {
    client: Client,
    machine: Transactions,
    id: String,
    wishes: VecDeque<Wish>,
    waiting: Option<Waiting>,
    /// A transaction was dropped without an end.
    dropped: Arc<AtomicBool>,
    /// The connections to coordinators as far as they are good.
    coordinator: Option<Handle>,
    group: Option<(Arc<str>, Handle)>,
    job: Option<(CallId, Coordinator, Job<Done>)>,
    last_failure: Option<Error>,
}

/// Who waits for the machine.
#[derive(Debug)]
enum Waiting {
    Init(Reply<Option<End>>),
    Begin(Guard, Reply<Guard>),
    Offsets(Reply<()>),
    End(Option<Reply<End>>),
}

/// What became of a request.
struct Done {
    /// The connection it went over, unless none was found.
    handle: Option<Handle>,
    outcome: Result<TransactionResponse>,
}

/// What the driver has to do with its batches.
#[derive(Debug)]
pub(super) enum Order {
    /// Number batches under this.
    Identity(klamm_protocol::session::produce::ProducerIdentity),
    /// Take records, and then give the guard to who asked for the transaction. `implicit`: leaders
    /// add partitions by themselves.
    Begin { implicit: bool, guard: Guard, reply: Reply<Guard> },
    /// Send to this partition.
    Join(Arc<str>, i32),
    /// Have what was appended sent.
    Flush,
    /// End what was not sent, and take no more: the transaction is over, or for this reason broken.
    End(Option<Error>),
}

impl Carrier {
    pub(super) fn new(
        client: Client,
        options: TransactionOptions,
        dropped: Arc<AtomicBool>,
    ) -> Self {
        Self {
            client,
            id: options.id.clone(),
            machine: Transactions::new(options),
            wishes: VecDeque::new(),
            waiting: None,
            dropped,
            coordinator: None,
            group: None,
            job: None,
            last_failure: None,
        }
    }

    /// Takes note of a wish. Wishes are granted in order, one at a time.
    pub(super) fn wish(&mut self, wish: Wish) {
        self.wishes.push_back(wish);
    }

    /// A transaction that was dropped is aborted before anything else: whatever is wished for is
    /// meant for the time after it, or is of a caller who has dropped it, too.
    fn notice_dropped(&mut self) {
        if self.dropped.swap(false, Ordering::Acquire) {
            self.wishes.push_front(Wish::Abort(None));
        }
    }

    /// Whether nobody waits, and nothing is open that has to be ended.
    pub(super) fn is_at_rest(&self) -> bool {
        self.wishes.is_empty() && self.waiting.is_none() && self.machine.is_free()
    }

    /// When to be called again.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.machine.poll_timeout().map(Instant::from_std)
    }

    /// A partition with a batch is not in the transaction yet.
    pub(super) fn add_partition(&mut self, topic: &Arc<str>, partition: i32) {
        self.machine.add_partition(topic, partition);
    }

    /// A batch was not, or not certainly, written.
    pub(super) fn batch_lost(&mut self, code: Option<ErrorCode>) {
        self.machine.handle_batch_lost(code);
    }

    /// Moves requests and wishes on. `drained`: whether every batch has its outcome, and whether
    /// that left a gap in the sequences. Returns whether anything moved.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        drained: Option<bool>,
        orders: &mut Vec<Order>,
    ) -> bool {
        let now = Instant::now().into_std();
        self.notice_dropped();
        self.machine.handle_timeout(now);
        let mut moved = self.poll_job(cx);
        moved |= self.drain(orders);
        moved |= self.grant(orders);
        if let (Some(_), Some(gap)) = (self.machine.awaits_batches(), drained) {
            self.machine.handle_drained(now, gap);
            moved = true;
        }
        if let Some(call) = self.machine.poll_transmit(now) {
            self.start(call);
            moved = true;
        }
        moved | self.drain(orders)
    }

    /// Begins with the next wish if nobody waits.
    fn grant(&mut self, orders: &mut Vec<Order>) -> bool {
        if self.waiting.is_some() || !self.machine.is_free() {
            return false;
        }
        let Some(wish) = self.wishes.pop_front() else { return false };
        let now = Instant::now().into_std();
        self.waiting = Some(match wish {
            Wish::Init(reply) => {
                self.machine.init(now);
                Waiting::Init(reply)
            }
            Wish::Begin(guard, reply) => {
                self.machine.begin(now);
                Waiting::Begin(guard, reply)
            }
            Wish::Offsets(member, positions, reply) => {
                self.machine.send_offsets(now, member, positions);
                Waiting::Offsets(reply)
            }
            Wish::Commit(reply) => {
                self.machine.commit();
                orders.push(Order::Flush);
                Waiting::End(Some(reply))
            }
            Wish::Abort(reply) => {
                self.machine.abort();
                orders.push(Order::End(None));
                Waiting::End(reply)
            }
            Wish::Rest(reply) => {
                drop(reply.send(Ok(())));
                return true;
            }
        });
        true
    }

    /// Passes the machine's events on.
    fn drain(&mut self, orders: &mut Vec<Order>) -> bool {
        let mut moved = false;
        while let Some(event) = self.machine.poll_event() {
            moved = true;
            match event {
                TransactionEvent::Identity(identity) => orders.push(Order::Identity(identity)),
                TransactionEvent::PartitionAdded { topic, partition } => {
                    orders.push(Order::Join(topic, partition));
                }
                TransactionEvent::Broken(error) => {
                    let error = self.told(error);
                    tracing::debug!(%error, transactional_id = self.id, "a transaction is broken");
                    orders.push(Order::End(Some(error)));
                }
                TransactionEvent::StaleCoordinator(Coordinator::Transaction) => {
                    self.coordinator = None;
                }
                TransactionEvent::StaleCoordinator(Coordinator::Group(_)) => self.group = None,
                TransactionEvent::Begun(Ok(begun)) => {
                    if let Some(Waiting::Begin(mut guard, reply)) = self.waiting.take() {
                        guard.armed = true;
                        let implicit = begun.implicit;
                        orders.push(Order::Begin { implicit, guard, reply });
                    }
                }
                TransactionEvent::Ended(outcome) => self.reply_end(outcome, orders),
                event => self.reply(event),
            }
        }
        moved
    }

    fn reply(&mut self, event: TransactionEvent) {
        let waiting = self.waiting.take();
        match (event, waiting) {
            (TransactionEvent::Initialised(outcome), Some(Waiting::Init(reply))) => {
                drop(reply.send(outcome.map_err(|error| self.told(error))));
            }
            (TransactionEvent::Begun(Err(error)), Some(Waiting::Begin(_, reply))) => {
                drop(reply.send(Err(self.told(error))));
            }
            (TransactionEvent::OffsetsSent(outcome), Some(Waiting::Offsets(reply))) => {
                drop(reply.send(outcome.map_err(|error| self.told(error))));
            }
            (event, waiting) => {
                tracing::error!(?event, "an event of transactions that nobody waits for");
                self.waiting = waiting;
            }
        }
    }

    fn reply_end(&mut self, outcome: Result<End, TransactionError>, orders: &mut Vec<Order>) {
        if matches!(outcome, Err(TransactionError::AbortRequired(_))) {
            // Its caller has given the transaction away.
            self.wishes.push_front(Wish::Abort(None));
        } else {
            orders.push(Order::End(None));
        }
        let outcome = outcome.map_err(|error| self.told(error));
        match self.waiting.take() {
            Some(Waiting::End(Some(reply))) => drop(reply.send(outcome)),
            Some(Waiting::End(None)) => {
                if let Err(error) = outcome {
                    tracing::warn!(%error, transactional_id = self.id, "a dropped transaction");
                }
            }
            waiting => self.waiting = waiting,
        }
    }

    fn poll_job(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((id, to, job)) = self.job.as_mut() else { return false };
        let Poll::Ready(done) = job.as_mut().poll(cx) else { return false };
        let (id, to) = (*id, to.clone());
        self.job = None;
        let now = Instant::now().into_std();
        let reached = done.handle.is_some();
        if let (Coordinator::Transaction, Some(handle)) = (&to, &done.handle) {
            self.machine.set_level(handle.versions().feature(FEATURE).unwrap_or(0));
        }
        match (to, done.handle) {
            (Coordinator::Transaction, handle) => self.coordinator = handle,
            (Coordinator::Group(name), handle) => self.group = handle.map(|handle| (name, handle)),
        }
        match done.outcome {
            Ok(response) => self.machine.handle_response(now, id, response),
            Err(error) => {
                tracing::debug!(%error, "a transaction's request failed");
                match error.code() {
                    _ if error.kind() == ErrorKind::Unsupported => {
                        self.machine.handle_unsupported(id);
                    }
                    Some(code) if !reached => self.machine.handle_refusal(now, id, code),
                    _ => {
                        let sent = reached && may_have_arrived(&error);
                        self.machine.handle_failure(now, id, sent);
                    }
                }
                self.last_failure = Some(error);
            }
        }
        true
    }

    fn start(&mut self, call: TransactionCall) {
        let (id, to) = (call.id, call.to.clone());
        let known = match &call.to {
            Coordinator::Transaction => self.coordinator.clone(),
            Coordinator::Group(name) => {
                self.group.as_ref().filter(|(known, _)| known == name).map(|(_, one)| one.clone())
            }
        };
        let known = known.filter(Handle::is_open);
        let (client, name) = (self.client.clone(), self.id.clone());
        self.job = Some((id, to, Box::pin(carry(client, name, known, call))));
    }

    /// The machine's error in the client's words.
    fn told(&self, error: TransactionError) -> Error {
        told(error, &self.id, self.last_failure.as_ref())
    }
}

/// Finds the coordinator unless it is known, and asks it.
async fn carry(client: Client, id: String, known: Option<Handle>, call: TransactionCall) -> Done {
    let deadline = Instant::now() + *client.config().request_timeout();
    let (kind, key) = match &call.to {
        Coordinator::Transaction => (CoordinatorKind::Transaction, id.as_str()),
        Coordinator::Group(group) => (CoordinatorKind::Group, &**group),
    };
    let found = match known {
        Some(handle) => Ok(handle),
        None => client.cluster().coordinator(kind, key, deadline).await,
    };
    match found {
        Ok(handle) => {
            let outcome = ask(&handle, call, deadline).await;
            Done { handle: Some(handle), outcome }
        }
        Err(error) => Done { handle: None, outcome: Err(error) },
    }
}

async fn ask(
    handle: &Handle,
    call: TransactionCall,
    deadline: Instant,
) -> Result<TransactionResponse> {
    let versions = call.versions;
    Ok(match &call.request {
        TransactionRequest::InitProducerId(request) => {
            TransactionResponse::InitProducerId(send(handle, request, versions, deadline).await?)
        }
        TransactionRequest::AddPartitions(request) => {
            TransactionResponse::AddPartitions(send(handle, request, versions, deadline).await?)
        }
        TransactionRequest::AddOffsets(request) => {
            TransactionResponse::AddOffsets(send(handle, request, versions, deadline).await?)
        }
        TransactionRequest::CommitOffsets(request) => {
            TransactionResponse::CommitOffsets(send(handle, request, versions, deadline).await?)
        }
        TransactionRequest::End(request) => {
            TransactionResponse::End(send(handle, request, versions, deadline).await?)
        }
    })
}

async fn send<R: Request>(
    handle: &Handle,
    request: &R,
    versions: VersionRange,
    deadline: Instant,
) -> Result<R::Response> {
    let version = handle.version_up_to::<R>(versions.max)?;
    if version < versions.min {
        return Err(Error::new(ErrorKind::Unsupported, "the broker speaks only older versions")
            .with("broker", handle.peer())
            .with("api", R::KEY));
    }
    handle.request_in(request, version, deadline).await
}

/// What the machine says, as an error of the client. `last`: the last failure on the way.
fn told(error: TransactionError, id: &str, last: Option<&Error>) -> Error {
    let words = error.to_string();
    let of = |kind: ErrorKind| match error.code() {
        Some(code) => Error::broker(code).retold(kind, words.clone()),
        None => {
            let told = Error::new(kind, words.clone());
            match last {
                Some(last) => told.with_source(last.clone()),
                None => told,
            }
        }
    };
    let told = match error {
        TransactionError::Fenced(_) => of(ErrorKind::Fenced).with_hint(FENCED),
        TransactionError::Refused(_) => of(ErrorKind::Broker),
        TransactionError::TooOld => of(ErrorKind::Unsupported)
            .with_hint("make a new producer, or use brokers of Kafka 2.5 or newer"),
        TransactionError::AbortRequired(Cause::Unsupported) => of(ErrorKind::AbortRequired)
            .with_hint(
                "abort, and use brokers that know group members in transactions (Kafka 2.5)",
            ),
        TransactionError::AbortRequired(_) => {
            of(ErrorKind::AbortRequired).with_hint("abort it, and do its work again in another one")
        }
        TransactionError::OutcomeUnknown => of(ErrorKind::OutcomeUnknown).with_hint(
            "call init, after which it is decided, and look whether its records are there",
        ),
        TransactionError::TimedOut => of(ErrorKind::TimedOut),
        _ => of(ErrorKind::Usage),
    };
    told.with("transactional_id", id)
}

/// The feature whose level says how transactions work (KIP-890).
const FEATURE: &str = "transaction.version";
const FENCED: &str = "stop this producer if another has taken over its transactional.id; if none has, its transaction took longer than transaction.timeout.ms: make a new producer";
