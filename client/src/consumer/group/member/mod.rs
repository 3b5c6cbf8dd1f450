//! The task of one membership. In: commands of the consumer, answers of the coordinator, time; out:
//! notes to the consumer, and the name to commit in. It owns the machine and the connection to the
//! coordinator, which is its own: a JoinGroup that waits for others holds up everything behind it.
//!
//! Heartbeats go on while the consumer's owner works, until `max.poll.interval.ms` have passed
//! since it last asked for more: then the member leaves, and comes back when it asks again.

mod exchange;
mod machine;
mod topics;

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use klamm_protocol::assign::TopicPartition;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::session::membership::{Identity, MemberEvent, RevocationId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::consumer::leader::Job;
use crate::error::{Error, Result};
use crate::net::handle::Handle;

use super::options::ConsumerOptions;
use super::pattern::Interest;
use exchange::Answer;
use machine::Machine;
use topics::{Found, Topics};

/// What a consumer tells its member.
#[derive(Debug)]
pub(in crate::consumer) enum Command {
    /// Read this.
    Subscribe(Interest),
    /// The partitions of a revocation are let go.
    Revoked(RevocationId),
    /// The coordinator refused a commit in this name.
    Refused(Identity, ErrorCode),
    /// Somebody asks for events again.
    Look,
    /// Leave, and say when that is done or cannot be done in time.
    Leave { for_good: bool, deadline: Instant, done: oneshot::Sender<()> },
}

/// What a member tells its consumer.
#[derive(Debug)]
pub(in crate::consumer) enum Note {
    Assigned(Vec<TopicPartition>),
    Revoke {
        id: RevocationId,
        partitions: Vec<TopicPartition>,
    },
    Lost(Vec<TopicPartition>),
    /// The membership is over for good.
    Failed(Error),
    /// Something that may pass by itself, and that a person should know.
    Trouble(Error),
}

/// When the consumer was last asked for an event.
#[derive(Clone, Debug)]
pub(in crate::consumer) struct Pulse(Arc<Mutex<Instant>>);

impl Pulse {
    pub(in crate::consumer) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Somebody asks now. Returns how long nobody had.
    pub(in crate::consumer) fn beat(&self) -> Duration {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        now.saturating_duration_since(std::mem::replace(&mut *last, now))
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The consumer's ends of its member.
pub(in crate::consumer) struct Link {
    pub(in crate::consumer) commands: mpsc::Sender<Command>,
    pub(in crate::consumer) notes: mpsc::Receiver<Note>,
    pub(in crate::consumer) identity: watch::Receiver<Option<Identity>>,
}

/// Starts a membership in the current runtime. It ends with `Leave`, and says farewell by itself
/// when its link is dropped.
pub(in crate::consumer) fn start(
    client: Client,
    options: &ConsumerOptions,
    group: &str,
    pulse: Pulse,
) -> Link {
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let (outlet, notes) = mpsc::channel(NOTES);
    let (name, identity) = watch::channel(None);
    let member = Member {
        machine: Machine::new(&client, options, group),
        topics: Topics::new(client.clone()),
        client,
        group: group.to_owned(),
        session_timeout: options.session_timeout,
        max_poll: options.max_poll_interval,
        pulse,
        inbox,
        outlet,
        outbox: VecDeque::new(),
        name,
        handle: None,
        job: None,
        lapsed: None,
        leaving: None,
        over: false,
    };
    tokio::spawn(member.run());
    Link { commands, notes, identity }
}

/// The state of the task.
struct Member {
    client: Client,
    group: String,
    machine: Machine,
    topics: Topics,
    session_timeout: Duration,
    max_poll: Duration,
    pulse: Pulse,
    inbox: mpsc::Receiver<Command>,
    outlet: mpsc::Sender<Note>,
    /// Notes that the consumer has no room for yet.
    outbox: VecDeque<Note>,
    name: watch::Sender<Option<Identity>>,
    handle: Option<Handle>,
    job: Option<Job<Done>>,
    /// Since when the consumer's owner has asked for nothing for too long.
    lapsed: Option<Instant>,
    leaving: Option<Farewell>,
    over: bool,
}

/// The end of a membership, asked for.
struct Farewell {
    deadline: Instant,
    done: Option<oneshot::Sender<()>>,
}

/// What a job ended with.
enum Done {
    Connected(Result<Handle>),
    Answered(Box<Result<Answer>>),
}

/// What wakes the task.
enum Woken {
    Command(Option<Command>),
    Done(Done),
    Found(Found),
    NotesTaken,
    Time,
}

impl Member {
    async fn run(mut self) {
        loop {
            self.settle();
            if self.over {
                break;
            }
            let woken = self.wait().await;
            self.handle(woken);
        }
        self.name.send_replace(None);
        if let Some(done) = self.leaving.and_then(|farewell| farewell.done) {
            // Who waited may have given up.
            let _ = done.send(());
        }
        // What is left to tell is told as far as there is room: the consumer sees the end anyway.
        while let Some(note) = self.outbox.pop_front() {
            if self.outlet.send(note).await.is_err() {
                break;
            }
        }
    }

    /// Does everything that needs no waiting.
    fn settle(&mut self) {
        let now = Instant::now();
        self.machine.handle_timeout(now.into_std());
        self.check_pulse(now);
        self.take_events();
        self.topics.begin(&self.machine);
        self.begin(now);
        let name = self.machine.identity();
        self.name.send_if_modified(|known| {
            let changed = *known != name;
            *known = name;
            changed
        });
        self.over |= self.leaving.as_ref().is_some_and(|farewell| farewell.deadline <= now);
    }

    async fn wait(&mut self) -> Woken {
        let wake = self.wakes_at();
        tokio::select! {
            biased;
            done = poll_job(&mut self.job) => Woken::Done(done),
            command = self.inbox.recv(), if self.leaving.is_none() => Woken::Command(command),
            found = self.topics.found() => Woken::Found(found),
            permit = self.outlet.reserve(), if !self.outbox.is_empty() => {
                match (permit, self.outbox.pop_front()) {
                    (Ok(permit), Some(note)) => permit.send(note),
                    _ => self.outbox.clear(),
                }
                Woken::NotesTaken
            }
            () = sleep(wake) => Woken::Time,
        }
    }

    fn handle(&mut self, woken: Woken) {
        let now = Instant::now();
        match woken {
            Woken::Command(Some(command)) => self.obey(now, command),
            // The consumer was dropped; a farewell spares the others the wait for the session's end.
            Woken::Command(None) => self.farewell(now, false, now + FAREWELL, None),
            Woken::Done(Done::Connected(Ok(handle))) => self.handle = Some(handle),
            Woken::Done(Done::Connected(Err(error))) => self.failed(now, error),
            Woken::Done(Done::Answered(answer)) => match *answer {
                Ok(answer) => self.machine.handle_answer(now.into_std(), answer),
                Err(error) => self.failed(now, error),
            },
            Woken::Found(found) => self.take_found(now, found),
            Woken::NotesTaken | Woken::Time => {}
        }
    }

    fn obey(&mut self, now: Instant, command: Command) {
        let at = now.into_std();
        match command {
            Command::Subscribe(interest) => match self.machine.subscribe(at, &interest) {
                true => self.topics.set_pattern(None),
                false => self.topics.set_pattern(Some(interest)),
            },
            Command::Revoked(id) => self.machine.revoked(at, id),
            Command::Refused(identity, code) => self.machine.handle_refusal(at, &identity, code),
            Command::Look => {}
            Command::Leave { for_good, deadline, done } => {
                self.farewell(now, for_good, deadline, Some(done));
            }
        }
    }

    fn farewell(
        &mut self,
        now: Instant,
        for_good: bool,
        deadline: Instant,
        done: Option<oneshot::Sender<()>>,
    ) {
        self.leaving = Some(Farewell { deadline, done });
        self.leave(now, for_good);
    }

    /// Leaves; what waits for the whole group is given up for it.
    fn leave(&mut self, now: Instant, for_good: bool) {
        self.machine.leave(now.into_std(), for_good);
        if self.machine.awaits_group() {
            self.job = None;
            self.handle = None;
            self.machine.handle_failure(now.into_std());
        }
    }

    /// Leaves when the consumer's owner asks for nothing for too long, and comes back when it does.
    fn check_pulse(&mut self, now: Instant) {
        if self.leaving.is_some() {
            return;
        }
        let last = self.pulse.last();
        match self.lapsed {
            Some(since) if last > since => {
                self.lapsed = None;
                self.machine.join(now.into_std());
            }
            None if last + self.max_poll <= now && self.machine.is_member() => {
                tracing::warn!(
                    group = self.group,
                    max_poll_interval_ms = self.max_poll.as_millis(),
                    "nobody asked for records in time: the consumer leaves its group"
                );
                self.lapsed = Some(now);
                self.leave(now, false);
            }
            _ => {}
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.machine.poll_event() {
            match event {
                MemberEvent::Assigned(partitions) => {
                    self.outbox.push_back(Note::Assigned(partitions))
                }
                MemberEvent::Revoke { id, partitions } => {
                    self.outbox.push_back(Note::Revoke { id, partitions });
                }
                MemberEvent::Lost(partitions) => self.outbox.push_back(Note::Lost(partitions)),
                MemberEvent::Lead { topics } => self.topics.want_layouts(topics),
                MemberEvent::Unnamed(ids) => self.topics.want_names(ids),
                MemberEvent::CoordinatorLost => self.handle = None,
                MemberEvent::Failed { code, message } => {
                    let error = Error::broker(code).with("group", &self.group);
                    let error = match message {
                        Some(message) => error.with("detail", message),
                        None => error,
                    };
                    self.end(error);
                }
                // An answer that is still under way belongs to the membership that has ended.
                MemberEvent::Left => {
                    if self.job.take().is_some() {
                        self.handle = None;
                    }
                    self.over |= self.leaving.is_some();
                    if self.lapsed.is_none() && !self.over {
                        self.machine.join(Instant::now().into_std());
                    }
                }
                other => tracing::error!(?other, "an event that the member does not know"),
            }
        }
    }

    fn take_found(&mut self, now: Instant, found: Found) {
        let at = now.into_std();
        match found {
            Found::Matching(Ok(names)) => self.machine.set_topics(at, names),
            Found::Layouts(Ok(layouts)) => {
                if let Err(error) = self.machine.handle_layouts(at, &layouts) {
                    tracing::error!(%error, "the shares of the group cannot be written");
                }
            }
            Found::Names(Ok(names)) if !names.is_empty() => self.machine.handle_names(at, names),
            Found::Names(Ok(_)) | Found::ViewChanged => {}
            Found::Matching(Err(error)) | Found::Layouts(Err(error)) | Found::Names(Err(error)) => {
                tracing::debug!(%error, group = self.group, "topics could not be looked up");
                if self.outbox.len() < NOTES {
                    self.outbox.push_back(Note::Trouble(error.with("group", &self.group)));
                }
            }
        }
    }

    /// Begins what is due: a connection to the coordinator, or a request.
    fn begin(&mut self, now: Instant) {
        let due = self.machine.sends_at().is_some_and(|at| at <= now.into_std());
        if self.job.is_some() || !due || self.over {
            return;
        }
        let Some(handle) = self.handle.clone().filter(Handle::is_open) else {
            self.job = Some(exchange::connect(&self.client, &self.group));
            return;
        };
        if let Some(call) = self.machine.poll_transmit(now.into_std()) {
            self.job = Some(exchange::send(handle, call, self.session_timeout));
        }
    }

    /// A request, or the way to the coordinator, failed.
    fn failed(&mut self, now: Instant, error: Error) {
        self.handle = None;
        if !exchange::passes(&error) {
            return self.end(error.with("group", &self.group));
        }
        tracing::debug!(%error, group = self.group, "the coordinator did not answer");
        self.machine.handle_failure(now.into_std());
    }

    fn end(&mut self, error: Error) {
        let lost = self.machine.take_owned();
        if !lost.is_empty() {
            self.outbox.push_back(Note::Lost(lost));
        }
        self.outbox.push_back(Note::Failed(error));
        self.over = true;
    }

    fn wakes_at(&self) -> Option<Instant> {
        let machine = self.machine.poll_timeout().map(Instant::from_std);
        // What is due and not begun waits for the job that is under way.
        let machine = machine.filter(|at| self.job.is_none() || *at > Instant::now());
        let pulse = match (self.lapsed, &self.leaving) {
            (None, None) if self.machine.is_member() => Some(self.pulse.last() + self.max_poll),
            _ => None,
        };
        let deadline = self.leaving.as_ref().map(|farewell| farewell.deadline);
        [machine, pulse, deadline, self.topics.wakes_at()].into_iter().flatten().min()
    }
}

/// The job's end; never without one.
async fn poll_job(job: &mut Option<Job<Done>>) -> Done {
    let Some(running) = job else { return pending().await };
    let done = poll_fn(|cx| running.as_mut().poll(cx)).await;
    *job = None;
    done
}

async fn sleep(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}

/// Commands are rare; a few places are enough.
const COMMANDS: usize = 16;
const NOTES: usize = 16;
/// For so long a dropped consumer's farewell is tried.
const FAREWELL: Duration = Duration::from_secs(5);
