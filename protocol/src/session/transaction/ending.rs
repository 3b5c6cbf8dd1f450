//! How transactions begin, break and end: the changes of state that follow from answers, losses and
//! time, and who is told of them.

use super::values::{Begun, Cause, End, TransactionError, TransactionEvent};
use super::verdict::Asked;
use super::{IMPLICIT_LEVEL, Open, ProducerIdentity, State, Transactions, Waiter};

impl Transactions {
    /// Goes on from states that wait for nothing from outside.
    pub(super) fn come_to_rest(&mut self) {
        if let State::AwaitingAnswer(end) = self.state {
            let begun = self.open.started || self.open.perhaps_started;
            if self.flight.is_none() && !begun {
                self.ended(end, None);
            }
        }
        if self.state != State::AwaitingBegin {
            return;
        }
        match self.waiter {
            Some((Waiter::Init, _)) => {
                self.waiter = None;
                let resolved = self.resolved.take();
                self.push(TransactionEvent::Initialised(Ok(resolved)));
            }
            Some((Waiter::Begin, _)) => {
                let implicit = self.level >= IMPLICIT_LEVEL;
                // Late requests of the old protocol must not meet the new one's transactions.
                if self.bump || implicit && self.explicit_epoch {
                    self.state = State::AwaitingProducerId;
                    return;
                }
                self.waiter = None;
                self.resolved = None;
                self.implicit = implicit;
                self.explicit_epoch |= !implicit;
                self.open = Open::default();
                self.state = State::AwaitingEnd;
                self.push(TransactionEvent::Begun(Ok(Begun { implicit })));
            }
            _ => {}
        }
    }

    /// The transaction has its end, told or not. `next`: what to go on with, by version 2.
    pub(super) fn ended(&mut self, end: End, next: Option<(i64, i16)>) {
        let begun = self.open.started || self.open.perhaps_started;
        self.bump |= match (next, self.implicit) {
            (Some(_), _) => false,
            (None, true) => begun,
            (None, false) => self.open.doubt,
        };
        if let Some((id, epoch)) = next {
            self.adopt(id, epoch);
        }
        self.open = Open::default();
        match self.waiter.take_if(|(waiter, _)| *waiter == Waiter::End) {
            Some(_) => self.push(TransactionEvent::Ended(Ok(end))),
            None => self.resolved = Some(end),
        }
        self.state = if self.bump { State::AwaitingProducerId } else { State::AwaitingBegin };
    }

    /// The coordinator demands an abort of a transaction that a copy of the commit, still on its way,
    /// may yet commit. Only the answer to the abort decides.
    pub(super) fn abort_in_doubt(&mut self) {
        self.open.doubt = true;
        match self.waiter.take_if(|(waiter, _)| *waiter == Waiter::End) {
            Some(_) => {
                self.state = State::AwaitingResolution(End::Aborted);
                self.push(TransactionEvent::Ended(Err(TransactionError::OutcomeUnknown)));
            }
            None => self.state = State::AwaitingAnswer(End::Aborted),
        }
    }

    /// The coordinator will certainly not commit: what is left is to abort.
    pub(super) fn refuse_commit(&mut self, cause: Cause) {
        self.open.doubt = true;
        let error = TransactionError::AbortRequired(cause);
        match self.waiter.take() {
            Some((Waiter::End, _)) => {
                self.state = State::AwaitingAbort(error);
                self.push(TransactionEvent::Ended(Err(error)));
            }
            // Its caller was told, and whoever waits now waits for what comes after.
            waiter => {
                self.waiter = waiter;
                self.state = State::AwaitingAnswer(End::Aborted);
            }
        }
    }

    /// Takes a new id and epoch; sequences start anew with it.
    pub(super) fn adopt(&mut self, id: i64, epoch: i16) {
        let identity = ProducerIdentity { id, epoch };
        if self.identity.replace(identity) != Some(identity) {
            self.push(TransactionEvent::Identity(identity));
        }
        (self.bump, self.explicit_epoch) = (false, false);
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(
            self.state,
            State::AwaitingEnd | State::AwaitingAbort(_) | State::AwaitingBatches(_)
        )
    }

    /// The transaction can only be aborted from here on.
    pub(super) fn break_open(&mut self, cause: Cause) {
        let error = TransactionError::AbortRequired(cause);
        match self.state {
            State::AwaitingEnd => {
                self.spoil(error);
                self.push(TransactionEvent::Broken(error));
            }
            State::AwaitingBatches(End::Committed) => {
                self.spoil(error);
                self.push(TransactionEvent::Broken(error));
                self.push(TransactionEvent::Ended(Err(error)));
            }
            State::AwaitingAbort(_) | State::AwaitingBatches(End::Aborted) => {
                self.open.doubt = true;
            }
            _ => {}
        }
    }

    pub(super) fn spoil(&mut self, error: TransactionError) {
        self.state = State::AwaitingAbort(error);
        self.open.doubt = true;
        self.open.wanted.clear();
        self.give_up_offsets(error);
    }

    pub(super) fn give_up_offsets(&mut self, error: TransactionError) {
        if self.open.offsets.is_some() {
            self.give_up_offsets_with(Err(error));
        }
    }

    pub(super) fn give_up_offsets_with(&mut self, outcome: Result<(), TransactionError>) {
        self.open.offsets = None;
        if self.waiter.take_if(|(waiter, _)| *waiter == Waiter::Offsets).is_some() {
            self.push(TransactionEvent::OffsetsSent(outcome));
        }
    }

    /// Nothing more can be done by this producer.
    pub(super) fn fail(&mut self, error: TransactionError) {
        if matches!(self.state, State::Failed(_)) {
            return;
        }
        let was = std::mem::replace(&mut self.state, State::Failed(error));
        self.give_up_offsets(error);
        self.push(TransactionEvent::Broken(error));
        let unknown = self.open.end_in_doubt;
        match self.waiter.take().map(|(waiter, _)| waiter) {
            Some(Waiter::Init) => self.push(TransactionEvent::Initialised(Err(error))),
            Some(Waiter::Begin) => self.push(TransactionEvent::Begun(Err(error))),
            Some(Waiter::End) => {
                // Whoever took over found it committed or aborted it: this one cannot know.
                let commits = was == State::AwaitingAnswer(End::Committed);
                let error =
                    if commits && unknown { TransactionError::OutcomeUnknown } else { error };
                self.push(TransactionEvent::Ended(Err(error)));
            }
            Some(Waiter::Offsets) => {}
            None => {
                if matches!(was, State::AwaitingBatches(_)) {
                    self.push(TransactionEvent::Ended(Err(error)));
                }
            }
        }
    }

    /// A command's time is up.
    pub(super) fn give_up(&mut self, waiter: Waiter) {
        let late = TransactionError::TimedOut;
        match (waiter, self.state) {
            (Waiter::Init | Waiter::Begin, state) => {
                match state {
                    State::AwaitingAnswer(end) => self.state = State::AwaitingResolution(end),
                    State::AwaitingProducerId if self.identity.is_some() => {
                        self.bump = true;
                        self.state = State::AwaitingBegin;
                    }
                    State::AwaitingProducerId => self.state = State::AwaitingInit,
                    _ => {}
                }
                self.push(match waiter {
                    Waiter::Init => TransactionEvent::Initialised(Err(late)),
                    _ => TransactionEvent::Begun(Err(late)),
                });
            }
            (Waiter::Offsets, _) => {
                self.waiter = None;
                self.open.offsets = None;
                self.push(TransactionEvent::OffsetsSent(Err(TransactionError::AbortRequired(
                    Cause::TimedOut,
                ))));
                self.break_open(Cause::TimedOut);
            }
            (Waiter::End, State::AwaitingAnswer(end)) => self.give_up_end(end),
            (Waiter::End, _) => {}
        }
    }

    pub(super) fn give_up_end(&mut self, end: End) {
        let asked = self.flight.as_ref().is_some_and(|flight| flight.asked == Asked::End);
        self.open.end_in_doubt |= asked;
        if end == End::Committed && !self.open.end_in_doubt {
            let error = TransactionError::AbortRequired(Cause::TimedOut);
            self.spoil(error);
            return self.push(TransactionEvent::Ended(Err(error)));
        }
        self.state = State::AwaitingResolution(end);
        let error = match end {
            End::Committed => TransactionError::OutcomeUnknown,
            End::Aborted => TransactionError::TimedOut,
        };
        self.push(TransactionEvent::Ended(Err(error)));
    }
}
