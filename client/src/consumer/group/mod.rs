//! A consumer that shares topics with the others of its group. In: what to read, and what of it was
//! processed; out: a stream of events, records among them, and positions stored with the group.
//!
//! ```text
//!   caller ── next() ──> Consumer ── engine: fetches, bounded in bytes
//!      │                   │ ├────── slots, ledger: positions, what is processed
//!      │ ack()             │ └────── commit: positions to the coordinator
//!      v                   │ commands, notes
//!   ledger             member task ── machine (classic or KIP-848), heartbeats
//! ```
//!
//! The files, from the bottom up: `ledger` (how far each partition is processed), `event`,
//! `options`, `pattern`, `member/` (the task of the membership), `commit`, `positions` (where to
//! begin), `slots` (what each partition waits for), `poll` (the one place that joins them), and
//! this one, which callers see.

mod commit;
mod event;
mod ledger;
mod member;
mod options;
mod pattern;
mod poll;
mod positions;
mod slots;
mod stored;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use klamm_protocol::session::membership::RevocationId;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, timeout_at};

use crate::admin::{CommittedOffset, OffsetSpec};
use crate::client::Client;
use crate::config::GroupProtocol;
use crate::error::{Error, ErrorKind, Result};
use crate::partition::TopicPartition;

use super::engine::Engine;
use super::leader::Job;
use commit::{Committer, Item, Membership, SharedLedger, not_owned};
use ledger::{Due, Ledger, Spot};
use member::{Command, Link, Pulse};
use pattern::{Interest, Pattern};
use positions::Answer;
use slots::{Slots, State};

pub use event::{Event, Receipt, Records};
pub use options::ConsumerOptions;

/// Reads topics together with the other consumers of its group, or partitions of its own choice;
/// made by [`Client::consumer`].
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use klamm_client::consumer::{ConsumerOptions, Event};
/// use klamm_client::{Client, Config};
///
/// let config = [("bootstrap.servers", "localhost:9092"), ("group.id", "billing")];
/// let client = Client::connect(Config::from_properties(config)?).await?;
/// let mut consumer = client.consumer(ConsumerOptions::from_config(client.config()))?;
/// consumer.subscribe(["orders"])?;
/// while let Some(event) = consumer.next().await {
///     match event? {
///         Event::Records(records) => {
///             for record in records.records() {
///                 println!("{:?}", record?.value());
///             }
///             consumer.ack(&records.receipt());
///         }
///         other => println!("{other:?}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// What is committed was handed out *and* acknowledged, with nothing unacknowledged before it; so
/// whatever happens, a record is read again rather than lost. With `enable.auto.commit`, which is
/// the default, that is done every `auto.commit.interval.ms`, before partitions are given up and
/// when the consumer is closed.
///
/// The stream goes on as long as it is asked: heartbeats are sent by a task of the current runtime,
/// but a consumer that is not asked for an event for `max.poll.interval.ms` leaves its group, and
/// joins it again when it is asked. Fetching is done by whoever awaits [`Consumer::next`]; at most
/// [`ReadOptions::max_bytes`](super::ReadOptions::max_bytes) wait.
///
/// A dropped consumer leaves its group in the background (a static member does not) and commits
/// nothing: see [`Consumer::close`].
#[must_use = "nothing is read before next() is awaited"]
pub struct Consumer {
    client: Client,
    options: ConsumerOptions,
    engine: Engine,
    slots: Slots,
    ledger: SharedLedger,
    committer: Option<Committer>,
    member: Option<Link>,
    pulse: Pulse,
    /// Commands that the member has no room for yet.
    commands: VecDeque<Command>,
    questions: Vec<Job<Answer>>,
    commits: Vec<Commit>,
    commit_at: Instant,
    /// What is acknowledged is to be stored before anything else happens.
    commit_now: bool,
    revocations: Vec<Revocation>,
    outbox: VecDeque<Result<Event>>,
    /// How many partitions topics had when they were first read.
    sizes: BTreeMap<Arc<str>, usize>,
    ended: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

/// A commit under way.
struct Commit {
    job: Job<Result<()>>,
    /// Its success is told, too.
    told: bool,
}

/// Partitions that the group wants back.
struct Revocation {
    id: RevocationId,
    partitions: Vec<TopicPartition>,
    /// The caller has got the event.
    told: bool,
    /// The caller has come back since.
    seen: bool,
    /// What was acknowledged by then is being stored, or is stored.
    commits: bool,
}

/// Acknowledges from other tasks and threads what a consumer has handed out. Cheap to clone.
#[derive(Clone)]
pub struct Acknowledger(SharedLedger);

impl Client {
    /// A consumer of the group that the options name, or of none. Nothing is contacted before it is
    /// told what to read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] where options contradict each other.
    pub fn consumer(&self, options: ConsumerOptions) -> Result<Consumer> {
        options.check()?;
        Ok(Consumer::new(self.clone(), options))
    }
}

impl Consumer {
    fn new(client: Client, options: ConsumerOptions) -> Self {
        let ledger = SharedLedger::default();
        let committer = options
            .group
            .as_deref()
            .map(|group| Committer::new(client.clone(), group, Arc::clone(&ledger), None));
        let commit_at = Instant::now() + options.auto_commit.unwrap_or_default();
        Self {
            engine: Engine::new(client.clone(), options.read.clone()),
            client,
            options,
            slots: Slots::default(),
            ledger,
            committer,
            member: None,
            pulse: Pulse::new(),
            commands: VecDeque::new(),
            questions: Vec::new(),
            commits: Vec::new(),
            commit_at,
            commit_now: false,
            revocations: Vec::new(),
            outbox: VecDeque::new(),
            sizes: BTreeMap::new(),
            ended: false,
            timer: None,
        }
    }

    /// Reads these topics from now on, and no others. The first call joins the group.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] without a group, or while partitions are assigned by hand.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn subscribe<T: Into<String>>(
        &mut self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<()> {
        self.want(Interest::Topics(topics.into_iter().map(Into::into).collect()))
    }

    /// Reads all topics whose whole name matches, also those that are made later: they are noticed
    /// within `metadata.max.age.ms`. Kafka's own topics never match.
    ///
    /// # Errors
    ///
    /// As [`Consumer::subscribe`], and [`ErrorKind::Usage`] for a pattern that cannot be read. With
    /// `group.protocol=consumer` the broker evaluates it, in RE2's syntax.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn subscribe_pattern(&mut self, pattern: &str) -> Result<()> {
        self.want(Interest::Pattern(Pattern::new(pattern)?))
    }

    /// Reads these partitions from now on, and no others, without being a member of the group.
    /// Positions are stored with the group, if the consumer names one; that works only while it has
    /// no members.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] while the consumer is subscribed.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) -> Result<()> {
        if self.member.is_some() {
            let error =
                Error::new(ErrorKind::Usage, "a subscribed consumer is given its partitions");
            return Err(error.with_hint("call unsubscribe() first"));
        }
        let wanted: std::collections::BTreeSet<_> = partitions.into_iter().collect();
        let gone: Vec<_> =
            self.slots.names().filter(|name| !wanted.contains(name)).cloned().collect();
        gone.iter().for_each(|partition| self.drop_partition(partition));
        for partition in wanted {
            if self.slots.get(&partition).is_none() {
                self.slots.insert(partition, State::AwaitsStored(None));
            }
        }
        Ok(())
    }

    /// Leaves the group, a static member not, and gives all partitions up; first stores what was
    /// acknowledged, if the consumer commits by itself. All of it takes at most `within`.
    ///
    /// # Errors
    ///
    /// Those of the commit; the group is left anyway.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropped early, positions may or may not be stored, and the group is left in
    /// the background.
    pub async fn unsubscribe(&mut self, within: Duration) -> Result<()> {
        self.depart(within, false).await
    }

    /// Ends the consumer as [`Consumer::unsubscribe`] does.
    ///
    /// # Errors and cancel safety
    ///
    /// As [`Consumer::unsubscribe`].
    pub async fn close(mut self, within: Duration) -> Result<()> {
        self.depart(within, false).await
    }

    /// As [`Consumer::close`], and a static member leaves too, so that others get its partitions at
    /// once.
    ///
    /// # Errors and cancel safety
    ///
    /// As [`Consumer::unsubscribe`].
    pub async fn close_for_good(mut self, within: Duration) -> Result<()> {
        self.depart(within, true).await
    }

    /// The next event; `None` after an error that ended the membership for good.
    ///
    /// # Errors
    ///
    /// An error of a partition names `topic` and `partition`, and the partition waits for a
    /// [`Consumer::seek`] if it is [`ErrorKind::DataLoss`] (no position, or one that is not in the
    /// log, with `auto.offset.reset=none`) or [`ErrorKind::Corrupt`]; all others are tried again.
    /// An error of the group is told before it ends the stream, such as `FENCED_INSTANCE_ID` when
    /// another has taken this static member's place.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped call loses nothing.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Takes records for processed. They may be acknowledged in any order: what is committed never
    /// passes one that is missing. `false` if that came too late, since the partition was taken
    /// away or its position set meanwhile: whoever has it reads these records again.
    pub fn ack(&self, receipt: &Receipt) -> bool {
        self.ledger().ack(&receipt.partition, receipt.tenure, &receipt.range)
    }

    /// To acknowledge from other tasks and threads.
    pub fn acknowledger(&self) -> Acknowledger {
        Acknowledger(Arc::clone(&self.ledger))
    }

    /// Stores what was acknowledged, and waits for that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] without a group, and where the membership was lost; the broker's code;
    /// [`ErrorKind::TimedOut`] after `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Positions may or may not be stored; nothing else happens.
    pub async fn commit(&mut self) -> Result<()> {
        self.commit_with(String::new()).await
    }

    /// As [`Consumer::commit`], with words of the caller's own beside each position; brokers take
    /// 4096 bytes by default.
    ///
    /// # Errors and cancel safety
    ///
    /// As [`Consumer::commit`].
    pub async fn commit_with(&mut self, metadata: String) -> Result<()> {
        self.committer()?;
        match self.commit_job(metadata) {
            Some(job) => self.finish(job).await,
            None => Ok(()),
        }
    }

    /// Stores these positions, and waits for that. Everything that was handed out below them counts
    /// as processed; a position may also go back.
    ///
    /// # Errors
    ///
    /// As [`Consumer::commit`], and [`ErrorKind::Usage`] for a partition that is not this
    /// consumer's and for a position beyond what was handed out.
    ///
    /// # Cancel safety
    ///
    /// As [`Consumer::commit`].
    pub async fn commit_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<()> {
        let committer = self.committer()?.clone();
        let items = offsets.iter().map(|(partition, position)| self.explicit(partition, position));
        let items: Vec<Item> = items.collect::<Result<_>>()?;
        let deadline = self.client.api_deadline();
        self.finish(Box::pin(async move { committer.commit(items, deadline).await })).await
    }

    /// Stores what was acknowledged while the consumer goes on; [`Event::Committed`] tells how that
    /// went. A partition is not given up before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] without a group.
    pub fn commit_in_background(&mut self, metadata: String) -> Result<()> {
        self.committer()?;
        match self.commit_job(metadata) {
            Some(job) => self.commits.push(Commit { job, told: true }),
            None => self.outbox.push_back(Ok(Event::Committed(Ok(())))),
        }
        Ok(())
    }

    /// The positions that the group has stored, of the partitions that have one.
    ///
    /// # Errors
    ///
    /// As [`Consumer::commit`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn committed(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>> {
        let (committer, deadline) = (self.committer()?.clone(), self.client.api_deadline());
        committer.fetch(partitions, deadline).await
    }

    /// The partitions that are read, those that are about to be given up included.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.slots.names().cloned().collect()
    }

    /// The next offset to be handed out; `None` while it is not known, or if the partition is not
    /// this consumer's.
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> {
        self.ledger().position(partition).map(|spot| spot.offset)
    }

    /// The offset below which everything is acknowledged.
    pub fn processed(&self, partition: &TopicPartition) -> Option<i64> {
        self.ledger().processed(partition).map(|spot| spot.offset)
    }

    /// Hands nothing more out of this partition until [`Consumer::resume`]; what was fetched ahead
    /// is thrown away.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] if it is not this consumer's.
    pub fn pause(&mut self, partition: &TopicPartition) -> Result<()> {
        let spot = self.ledger().position(partition);
        let slot = self.slots.get_mut(partition).ok_or_else(|| not_owned(partition))?;
        slot.paused = true;
        if let (State::Fetches(_), Some(spot)) = (slot.state, spot) {
            self.unhook(partition, State::AwaitsResume(spot));
        }
        Ok(())
    }

    /// Goes on with a paused partition.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] if it is not this consumer's.
    pub fn resume(&mut self, partition: &TopicPartition) -> Result<()> {
        let slot = self.slots.get_mut(partition).ok_or_else(|| not_owned(partition))?;
        slot.paused = false;
        if let State::AwaitsResume(spot) = slot.state {
            self.fetch_from(partition, spot);
        }
        Ok(())
    }

    /// The partitions that are paused.
    pub fn paused(&self) -> Vec<TopicPartition> {
        let paused = self.slots.iter().filter(|(_, slot)| slot.paused);
        paused.map(|(partition, _)| partition.clone()).collect()
    }

    /// Goes on at this offset. Receipts of records handed out before are void, and the next commit
    /// stores this position.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] if the partition is not this consumer's, or the offset is negative.
    pub fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<()> {
        self.seekable(partition)?;
        if offset < 0 {
            let error = Error::new(ErrorKind::Usage, "an offset cannot be negative");
            return Err(error.at(&partition.topic, partition.partition).with("offset", offset));
        }
        self.start(partition, Spot { offset, epoch: -1 }, None, true);
        Ok(())
    }

    /// Goes on at an end of the log or at a time, which is looked up before the next records come:
    /// where no record is as young as the time, at the end. Otherwise as [`Consumer::seek`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] if the partition is not this consumer's.
    pub fn seek_to(&mut self, partition: &TopicPartition, spec: OffsetSpec) -> Result<()> {
        self.seekable(partition)?;
        let (on_purpose, stored, at) = (true, None, None);
        self.unhook(partition, State::AwaitsLookup { spec, on_purpose, stored, at });
        Ok(())
    }

    fn seekable(&self, partition: &TopicPartition) -> Result<()> {
        let slot = self.slots.get(partition).filter(|slot| !slot.revoked);
        slot.map(|_| ()).ok_or_else(|| not_owned(partition))
    }

    fn want(&mut self, interest: Interest) -> Result<()> {
        let Some(group) = self.options.group.clone() else {
            let error = Error::new(ErrorKind::Usage, "a consumer without a group cannot subscribe");
            return Err(error.with_hint("set group.id, or assign partitions"));
        };
        if self.ended {
            let error = Error::new(ErrorKind::Usage, "the membership has ended");
            return Err(error.with_hint("make a new consumer"));
        }
        if self.member.is_none() {
            if self.slots.names().next().is_some() {
                let error = Error::new(ErrorKind::Usage, "partitions are assigned by hand");
                return Err(error.with_hint("call unsubscribe() first"));
            }
            self.pulse.beat();
            self.enter(&group);
        }
        self.say(Command::Subscribe(interest));
        Ok(())
    }

    /// Starts a membership, and commits in its name.
    fn enter(&mut self, group: &str) {
        let link = member::start(self.client.clone(), &self.options, group, self.pulse.clone());
        let membership = Membership {
            identity: link.identity.clone(),
            commands: link.commands.clone(),
            asks_by_name: self.options.protocol == GroupProtocol::Consumer,
        };
        let ledger = Arc::clone(&self.ledger);
        let committer = Committer::new(self.client.clone(), group, ledger, Some(membership));
        self.committer = Some(committer);
        self.member = Some(link);
    }

    async fn depart(&mut self, within: Duration, for_good: bool) -> Result<()> {
        let deadline = Instant::now() + within;
        let stored = self.store_all(deadline).await;
        if let Some(link) = self.member.take() {
            let (done, left) = oneshot::channel();
            let command = Command::Leave { for_good, deadline, done };
            if let Ok(Ok(())) = timeout_at(deadline, link.commands.send(command)).await {
                // The member tells when it has left, or at the deadline.
                let _ = left.await;
            }
        }
        let names: Vec<_> = self.slots.names().cloned().collect();
        names.iter().for_each(|partition| self.drop_partition(partition));
        self.commands.clear();
        self.questions.clear();
        self.revocations.clear();
        self.outbox.clear();
        if let Some(group) = &self.options.group {
            let ledger = Arc::clone(&self.ledger);
            self.committer = Some(Committer::new(self.client.clone(), group, ledger, None));
        }
        stored
    }

    /// Waits for the commits under way, then stores what is acknowledged if that is wanted.
    async fn store_all(&mut self, deadline: Instant) -> Result<()> {
        let mut outcome = Ok(());
        let own = self.options.auto_commit.and_then(|_| self.commit_job(String::new()));
        let jobs = std::mem::take(&mut self.commits).into_iter().map(|commit| commit.job);
        for job in jobs.chain(own) {
            outcome = match timeout_at(deadline, job).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Error::new(ErrorKind::TimedOut, "positions were not stored in time")),
            };
        }
        outcome
    }

    fn committer(&self) -> Result<&Committer> {
        self.committer.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Usage, "a consumer without a group stores no positions")
                .with_hint("set group.id")
        })
    }

    /// Waits for a commit, and lets those go on meanwhile whose turn comes before it.
    async fn finish(&mut self, mut job: Job<Result<()>>) -> Result<()> {
        poll_fn(|cx| {
            self.poll_commits(cx);
            job.as_mut().poll(cx)
        })
        .await
    }

    /// A commit of what is due, if there is any.
    fn commit_job(&self, metadata: String) -> Option<Job<Result<()>>> {
        let committer = self.committer.clone()?;
        let due = self.ledger().due();
        if due.is_empty() {
            return None;
        }
        let deadline = self.client.api_deadline();
        let items: Vec<Item> = due.into_iter().map(|due| (due, metadata.clone())).collect();
        Some(Box::pin(async move { committer.commit(items, deadline).await }))
    }

    /// A position that the caller names, as something to commit.
    fn explicit(&self, partition: &TopicPartition, position: &CommittedOffset) -> Result<Item> {
        let mut ledger = self.ledger();
        let Some(tenure) = ledger.tenure(partition) else { return Err(not_owned(partition)) };
        if !ledger.ack_below(partition, position.offset) {
            let error = Error::new(ErrorKind::Usage, "so much was not handed out");
            return Err(error
                .at(&partition.topic, partition.partition)
                .with("offset", position.offset)
                .with_hint("use seek() to pass records over"));
        }
        let epoch = position.leader_epoch.unwrap_or(-1);
        let spot = Spot { offset: position.offset, epoch };
        Ok((Due { partition: partition.clone(), tenure, spot }, position.metadata.clone()))
    }

    fn say(&mut self, command: Command) {
        self.commands.push_back(command);
        self.tell_member();
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Acknowledger {
    /// As [`Consumer::ack`].
    pub fn ack(&self, receipt: &Receipt) -> bool {
        let mut ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.ack(&receipt.partition, receipt.tenure, &receipt.range)
    }
}

impl Stream for Consumer {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx)
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("group", &self.options.group)
            .field("assignment", &self.assignment())
            .field("buffered", &self.engine.bytes())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Acknowledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acknowledger").finish_non_exhaustive()
    }
}
