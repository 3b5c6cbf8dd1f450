//! The one place that joins fetching, the books and the membership. In: notes of the member,
//! answers about positions, news and batches of the engine; out: events, one at a time. Everything
//! goes as far as it can on each poll, and all state is in the consumer.

use std::sync::Arc;
use std::task::{Context, Poll};

use klamm_protocol::session::fetch::{Cursor, CursorId};
use klamm_protocol::wire::Uuid;
use tokio::time::{Instant, sleep_until};

use crate::config::OffsetReset;
use crate::consumer::buffer::Item;
use crate::consumer::engine::{Halt, News};
use crate::consumer::options::FetchedBatch;
use crate::error::{Error, ErrorKind, Result};
use crate::partition::TopicPartition;

use super::event::{Event, Receipt, Records};
use super::ledger::{Spot, Tenure};
use super::member::{Command, Note};
use super::positions::{self, Answer};
use super::slots::State;
use super::{Commit, Consumer, Revocation};

impl Consumer {
    /// Polls for the next event; as [`Consumer::next`] otherwise.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event>>> {
        self.beat();
        self.handed_over();
        loop {
            while self.drive(cx) {}
            if let Some(event) = self.outbox.pop_front() {
                self.told(&event);
                return Poll::Ready(Some(event));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            while let Some((id, item)) = self.engine.pop() {
                if let Some(event) = self.hand_out(id, item) {
                    return Poll::Ready(Some(event));
                }
            }
            let wake = self.wakes_at();
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(wake)));
            timer.as_mut().reset(wake);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.beat();
        }
    }

    /// Goes as far as possible without waiting; whether anything happened.
    fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = self.read_notes(cx);
        moved |= self.poll_commits(cx);
        moved |= self.end_revocations();
        moved |= self.poll_answers(cx);
        self.tell_member();
        moved |= self.begin_commits();
        moved |= self.begin_questions();
        self.engine.drive(cx);
        self.note_sizes();
        while let Some((id, news)) = self.engine.poll_news() {
            self.take_news(id, news);
            moved = true;
        }
        moved
    }

    /// Says that somebody asks; a member that has left for want of that comes back.
    fn beat(&mut self) {
        if self.pulse.beat() >= self.options.max_poll_interval {
            self.say(Command::Look);
        }
    }

    /// The caller has come back, so it is done with what it was told to give up.
    fn handed_over(&mut self) {
        for revocation in &mut self.revocations {
            revocation.seen |= revocation.told;
            // What was acknowledged is stored before the partitions go.
            if revocation.seen && !revocation.commits && self.options.auto_commit.is_some() {
                self.commit_now = true;
            }
        }
    }

    /// The caller gets this event now.
    fn told(&mut self, event: &Result<Event>) {
        let waits = self.revocations.iter_mut().find(|revocation| !revocation.told);
        if let (Ok(Event::Revoked(_)), Some(revocation)) = (event, waits) {
            revocation.told = true;
        }
    }

    fn read_notes(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        loop {
            let Some(link) = &mut self.member else { return moved };
            let Poll::Ready(note) = link.notes.poll_recv(cx) else { return moved };
            moved = true;
            match note {
                Some(note) => self.take_note(note),
                None => {
                    self.member = None;
                    if !self.ended {
                        let error = Error::new(ErrorKind::Internal, "the membership was lost");
                        self.outbox.push_back(Err(error));
                    }
                    self.ended = true;
                }
            }
        }
    }

    fn take_note(&mut self, note: Note) {
        match note {
            Note::Assigned(partitions) => {
                for partition in &partitions {
                    self.slots.insert(partition.clone(), State::AwaitsStored(None));
                }
                self.outbox.push_back(Ok(Event::Assigned(partitions)));
            }
            Note::Revoke { id, partitions } => {
                for partition in &partitions {
                    self.stop_fetching(partition);
                }
                let revocation = Revocation {
                    id,
                    partitions: partitions.clone(),
                    told: false,
                    seen: false,
                    commits: false,
                };
                self.revocations.push(revocation);
                self.outbox.push_back(Ok(Event::Revoked(partitions)));
            }
            Note::Lost(partitions) => {
                // Nobody waits any more for what was about to be told.
                self.revocations.clear();
                self.outbox.retain(|event| !matches!(event, Ok(Event::Revoked(_))));
                for partition in &partitions {
                    self.drop_partition(partition);
                }
                self.outbox.push_back(Ok(Event::Lost(partitions)));
            }
            Note::Trouble(error) => self.outbox.push_back(Err(error)),
            Note::Failed(error) => {
                self.ended = true;
                self.outbox.push_back(Err(error));
            }
        }
    }

    /// Revocations end when the caller has gone on and what it acknowledged is stored.
    fn end_revocations(&mut self) -> bool {
        let busy = self.commit_now || !self.commits.is_empty();
        let over = |revocation: &Revocation| revocation.seen && !busy;
        let (over, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.revocations).into_iter().partition(over);
        self.revocations = rest;
        let moved = !over.is_empty();
        for revocation in over {
            for partition in &revocation.partitions {
                self.drop_partition(partition);
            }
            self.say(Command::Revoked(revocation.id));
        }
        moved
    }

    /// No more is fetched or handed out of a partition; its books stay open.
    fn stop_fetching(&mut self, partition: &TopicPartition) {
        if let Some(id) = self.slots.set(partition, State::AwaitsSeek) {
            self.engine.remove(id);
            self.engine.discard(id);
        }
        if let Some(slot) = self.slots.get_mut(partition) {
            slot.revoked = true;
        }
    }

    /// A partition is this consumer's no more.
    pub(super) fn drop_partition(&mut self, partition: &TopicPartition) {
        self.stop_fetching(partition);
        self.slots.remove(partition);
        self.ledger().end(partition);
    }

    fn poll_answers(&mut self, cx: &mut Context<'_>) -> bool {
        let mut answers = Vec::new();
        self.questions.retain_mut(|question| match question.as_mut().poll(cx) {
            Poll::Ready(answer) => {
                answers.push(answer);
                false
            }
            Poll::Pending => true,
        });
        let moved = !answers.is_empty();
        answers.into_iter().for_each(|answer| self.take_answer(answer));
        moved
    }

    fn take_answer(&mut self, answer: Answer) {
        let later = positions::later(&self.client);
        match answer {
            Answer::Stored(asked, Ok(found)) => {
                for (partition, tenure) in asked {
                    if !self.awaits_answer(&partition, tenure) {
                        continue;
                    }
                    match found.get(&partition) {
                        Some(stored) => {
                            let (offset, epoch) =
                                (stored.offset, stored.leader_epoch.unwrap_or(-1));
                            self.start(&partition, Spot { offset, epoch }, Some(offset), false);
                        }
                        None => self.reset(&partition, NO_POSITION),
                    }
                }
            }
            Answer::Stored(asked, Err(error)) => {
                for (partition, tenure) in asked {
                    if self.awaits_answer(&partition, tenure) {
                        self.slots.set(&partition, State::AwaitsStored(Some(later)));
                    }
                }
                self.outbox.push_back(Err(error));
            }
            Answer::Listed { asked: (partition, tenure), spec, spot, on_purpose, stored } => {
                if !self.awaits_answer(&partition, tenure) {
                    return;
                }
                match spot {
                    Ok(spot) => self.start(&partition, spot, stored, on_purpose),
                    Err(error) => {
                        let at = Some(later);
                        let again = State::AwaitsLookup { spec, on_purpose, stored, at };
                        self.slots.set(&partition, again);
                        self.outbox.push_back(Err(error));
                    }
                }
            }
        }
    }

    fn awaits_answer(&self, partition: &TopicPartition, tenure: Tenure) -> bool {
        self.slots.get(partition).is_some_and(|slot| {
            slot.tenure == tenure && slot.state == State::AwaitsAnswer && !slot.revoked
        })
    }

    /// Begins to read a partition at `spot`; what was handed out of it before counts no more.
    pub(super) fn start(
        &mut self,
        partition: &TopicPartition,
        spot: Spot,
        stored: Option<i64>,
        on_purpose: bool,
    ) {
        let tenure = self.slots.fresh_tenure();
        let Some(slot) = self.slots.get_mut(partition) else { return };
        slot.tenure = tenure;
        let paused = slot.paused;
        self.ledger().begin(partition, tenure, spot, stored, on_purpose);
        if paused {
            self.unhook(partition, State::AwaitsResume(spot));
        } else {
            self.fetch_from(partition, spot);
        }
    }

    /// Fetches a partition from `spot` on, in the same stay.
    pub(super) fn fetch_from(&mut self, partition: &TopicPartition, spot: Spot) {
        self.unhook(partition, State::AwaitsSeek);
        let Some(id) = self.slots.fetch(partition) else { return };
        let cursor = Cursor {
            topic: Arc::clone(&partition.topic),
            topic_id: Uuid::ZERO,
            partition: partition.partition,
            next: spot.offset,
            stop: i64::MAX,
            leader_epoch: -1,
            last_epoch: spot.epoch,
        };
        self.engine.add(id, cursor, None);
    }

    /// Has a partition wait, and throws away what was fetched of it.
    pub(super) fn unhook(&mut self, partition: &TopicPartition, state: State) {
        if let Some(id) = self.slots.set(partition, state) {
            self.engine.remove(id);
            self.engine.discard(id);
        }
    }

    /// Begins where `auto.offset.reset` says; `why` is told if it says nowhere.
    fn reset(&mut self, partition: &TopicPartition, why: &'static str) {
        // Records of a partition that was added while this consumer read its topic are all new to
        // it, so that none of them is passed over.
        let size = self.sizes.get(&partition.topic).copied();
        let number = usize::try_from(partition.partition).unwrap_or(0);
        let appeared = size.is_some_and(|size| number >= size);
        let reset = match self.options.offset_reset {
            OffsetReset::Latest if appeared => OffsetReset::Earliest,
            reset => reset,
        };
        let Some(spec) = positions::reset_spec(reset) else {
            let error = Error::new(ErrorKind::DataLoss, why)
                .at(&partition.topic, partition.partition)
                .with_hint(
                    "set a position with seek(), or auto.offset.reset to something else than none",
                );
            self.outbox.push_back(Err(error));
            return self.unhook(partition, State::AwaitsSeek);
        };
        let lookup = State::AwaitsLookup { spec, on_purpose: false, stored: None, at: None };
        self.unhook(partition, lookup);
    }

    /// Notes how many partitions each topic had when it was first read.
    fn note_sizes(&mut self) {
        if self.sizes.len() >= self.slots.topics().len() {
            return;
        }
        let view = self.client.view();
        for topic in self.slots.topics() {
            let known = view.topics.get(topic).filter(|known| !known.partitions.is_empty());
            if let Some(known) = known.filter(|_| !self.sizes.contains_key(topic)) {
                self.sizes.insert(Arc::clone(&known.name), known.partitions.len());
            }
        }
    }

    fn begin_questions(&mut self) -> bool {
        let now = Instant::now();
        let before = self.questions.len();
        let due = self.slots.due_stored(now);
        match &self.committer {
            Some(committer) if !due.is_empty() => {
                for (partition, _) in &due {
                    self.slots.set(partition, State::AwaitsAnswer);
                }
                self.questions.push(positions::stored(committer, &self.client, due));
            }
            Some(_) => {}
            None => {
                for (partition, _) in due {
                    self.reset(&partition, NO_POSITION);
                }
            }
        }
        for asked in self.slots.due_lookups(now) {
            let Some(State::AwaitsLookup { spec, on_purpose, stored, .. }) =
                self.slots.get(&asked.0).map(|slot| slot.state)
            else {
                continue;
            };
            self.slots.set(&asked.0, State::AwaitsAnswer);
            let isolation = self.options.read.isolation;
            let question =
                positions::listed(&self.client, asked, spec, isolation, on_purpose, stored);
            self.questions.push(question);
        }
        self.questions.len() > before
    }

    /// Opens a batch that the caller takes.
    fn hand_out(&mut self, id: CursorId, item: Item) -> Option<Result<Event>> {
        // What waits of a cursor that was removed is thrown away with it, so this one is current.
        let partition = self.slots.of_cursor(id)?.clone();
        let slot = self.slots.get(&partition).filter(|slot| !slot.revoked)?;
        let tenure = slot.tenure;
        match item {
            Item::Failed(error) => Some(Err(error)),
            Item::Passed { next, epoch } => {
                self.ledger().passed(&partition, next, epoch);
                None
            }
            Item::Batch(raw, range) => {
                let opened = self.engine.open(&raw);
                match opened {
                    Ok(batch) => {
                        let epoch = raw.header().partition_leader_epoch;
                        self.ledger().handed_out(&partition, range.clone(), epoch);
                        let receipt =
                            Receipt { partition: partition.clone(), tenure, range: range.clone() };
                        let (topic, partition) = (partition.topic, partition.partition);
                        let batch = FetchedBatch { topic, partition, batch, range };
                        Some(Ok(Event::Records(Records { batch, receipt })))
                    }
                    Err(error) => {
                        let offset = raw.header().base_offset;
                        self.unhook(&partition, State::AwaitsSeek);
                        Some(Err(corrupt(&partition, offset, error)))
                    }
                }
            }
        }
    }

    /// A cursor ended, which an open end does not, or cannot go on.
    fn take_news(&mut self, id: CursorId, news: News) {
        let Some(partition) = self.slots.of_cursor(id).cloned() else { return };
        let News::Halted(cursor, why) = news else { return };
        let later = positions::later(&self.client);
        match why {
            Halt::OutOfRange { start, end } => {
                tracing::warn!(%partition, offset = cursor.next, start, end, "a position is not in the log");
                let offset = match self.options.offset_reset {
                    OffsetReset::Earliest => Some(start),
                    OffsetReset::Latest => Some(end),
                    OffsetReset::ByDuration(_) | OffsetReset::None => None,
                };
                match offset {
                    Some(offset) => self.start(&partition, Spot { offset, epoch: -1 }, None, false),
                    None => self.reset(&partition, "the offset is not in the log"),
                }
            }
            Halt::Truncated { end_offset } => {
                tracing::warn!(%partition, offset = cursor.next, end_offset, "the log was truncated below what was read of it");
                if self.options.offset_reset != OffsetReset::None && end_offset >= 0 {
                    let spot = Spot { offset: end_offset, epoch: -1 };
                    // What was stored lies beyond, and is corrected by the next commit.
                    self.start(&partition, spot, None, true);
                } else {
                    self.reset(&partition, "the log was truncated below what was read of it");
                }
            }
            Halt::Replaced => {
                tracing::warn!(%partition, "the topic was deleted and made anew: it is read from its beginning");
                if self.options.offset_reset == OffsetReset::None {
                    self.reset(&partition, "the topic was deleted and made anew while it was read");
                } else {
                    self.start(&partition, Spot { offset: 0, epoch: -1 }, None, true);
                }
            }
            Halt::NoPartition { .. } => self.engine.add(id, cursor, Some(later)),
            Halt::Corrupt(error) => {
                let offset = cursor.next;
                self.engine.push_error(id, corrupt(&partition, offset, error));
            }
            Halt::Failed(error) => {
                let missing = error.kind() == ErrorKind::Usage;
                if missing || error.is_retriable() {
                    tracing::debug!(%partition, %error, "a partition cannot be read at present");
                } else {
                    self.outbox.push_back(Err(error.with("offset", cursor.next)));
                }
                self.engine.add(id, cursor, Some(later));
            }
        }
    }

    pub(super) fn poll_commits(&mut self, cx: &mut Context<'_>) -> bool {
        let mut ended = Vec::new();
        self.commits.retain_mut(|commit| match commit.job.as_mut().poll(cx) {
            Poll::Ready(outcome) => {
                ended.push((outcome, commit.told));
                false
            }
            Poll::Pending => true,
        });
        let moved = !ended.is_empty();
        for (outcome, told) in ended {
            if told || outcome.is_err() {
                self.outbox.push_back(Ok(Event::Committed(outcome)));
            }
        }
        moved
    }

    /// Commits what is due by itself: when its time has come, and before partitions go.
    fn begin_commits(&mut self) -> bool {
        let Some(every) = self.options.auto_commit else { return false };
        let now = Instant::now();
        let waits = self.commit_at > now || !self.commits.is_empty();
        if waits && !self.commit_now {
            return false;
        }
        self.commit_at = now + every;
        self.commit_now = false;
        for revocation in &mut self.revocations {
            revocation.commits |= revocation.seen;
        }
        if let Some(job) = self.commit_job(String::new()) {
            self.commits.push(Commit { job, told: false });
        }
        true
    }

    /// Hands commands over, as far as the member has room.
    pub(super) fn tell_member(&mut self) {
        let Some(link) = &self.member else { return self.commands.clear() };
        while let Some(command) = self.commands.pop_front() {
            if let Err(error) = link.commands.try_send(command) {
                self.commands.push_front(error.into_inner());
                return;
            }
        }
    }

    fn wakes_at(&self) -> Instant {
        let now = Instant::now();
        let beat = now + self.options.max_poll_interval / 3;
        let commit = self.options.auto_commit.filter(|_| self.commits.is_empty());
        let commit = commit.map(|_| self.commit_at.max(now + AT_LEAST));
        let retry = (!self.commands.is_empty()).then(|| now + AT_LEAST);
        let due = [self.engine.wakes_at(), self.slots.wakes_at(), commit, retry];
        due.into_iter().flatten().fold(beat, Instant::min)
    }
}

fn corrupt(
    partition: &TopicPartition,
    offset: i64,
    error: klamm_protocol::error::DecodeError,
) -> Error {
    Error::new(ErrorKind::Corrupt, "a batch of records is damaged")
        .at(&partition.topic, partition.partition)
        .with("offset", offset)
        .with("detail", error)
        .with_hint("read it with another client to tell a damaged log from a damaged transfer, or pass it with seek()")
        .with_source(error)
}

const NO_POSITION: &str = "the group has no position in the partition";
const AT_LEAST: std::time::Duration = std::time::Duration::from_millis(10);
