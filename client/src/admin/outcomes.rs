//! Results of many items that are tried together. In: what an attempt brought for each; out: which
//! to try again, and in the end one result for each item.

use crate::cluster::{Repeat, Retry};
use crate::error::{Error, ErrorKind, Result};

/// One slot an item. An item with a retriable error stays pending until the retries are over.
#[derive(Debug)]
pub(super) struct Outcomes<T> {
    repeat: Repeat,
    slots: Vec<Slot<T>>,
}

#[derive(Debug)]
enum Slot<T> {
    /// To be tried, with the error of the attempt before.
    Pending(Option<Error>),
    /// Done, one way or the other.
    Settled(Result<T>),
}

impl<T> Outcomes<T> {
    /// All items pending. `repeat` says whether one without an answer may be tried again.
    pub(super) fn new(items: usize, repeat: Repeat) -> Self {
        Self { repeat, slots: (0..items).map(|_| Slot::Pending(None)).collect() }
    }

    /// The items to try now, whose errors of the attempt before are forgotten.
    pub(super) fn begin(&mut self) -> Vec<usize> {
        let mut pending = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if let Slot::Pending(error) = slot {
                *error = None;
                pending.push(index);
            }
        }
        pending
    }

    /// What an attempt brought for an item that is pending; anything for another item is ignored.
    pub(super) fn settle(&mut self, index: usize, result: Result<T>) {
        if let Some(slot @ Slot::Pending(_)) = self.slots.get_mut(index) {
            *slot = match result.map_err(|error| doubted(self.repeat, error)) {
                Err(error) if self.repeat.allows(&error) => Slot::Pending(Some(error)),
                result => Slot::Settled(result),
            };
        }
    }

    /// The same failure for these items.
    pub(super) fn fail(&mut self, items: &[usize], error: &Error) {
        for index in items {
            self.settle(*index, Err(error.clone()));
        }
    }

    /// Ends an attempt: pauses if items are to be tried again. An item that the answer left out has
    /// failed.
    ///
    /// Returns whether there is another attempt.
    pub(super) async fn another(&mut self, retry: &mut Retry<'_>) -> bool {
        let mut last = None;
        for slot in &mut self.slots {
            match slot {
                Slot::Pending(Some(error)) => last = Some(error.clone()),
                Slot::Pending(None) => {
                    *slot = Slot::Settled(Err(doubted(self.repeat, left_out())));
                }
                Slot::Settled(_) => {}
            }
        }
        let Some(last) = last else { return false };
        let Err(end) = retry.after(last).await else { return true };
        for slot in self.slots.iter_mut().filter(|slot| matches!(slot, Slot::Pending(_))) {
            *slot = Slot::Settled(Err(end.clone()));
        }
        false
    }

    /// The results, in the order of the items.
    pub(super) fn finish(self) -> impl Iterator<Item = Result<T>> {
        self.slots.into_iter().map(move |slot| match slot {
            Slot::Settled(result) => result,
            Slot::Pending(error) => Err(error.unwrap_or_else(|| doubted(self.repeat, left_out()))),
        })
    }
}

/// An answer that cannot be read, or leaves something out, says nothing of whether it was done.
fn doubted(repeat: Repeat, error: Error) -> Error {
    let doubt = repeat == Repeat::Harmful && error.kind() == ErrorKind::Protocol;
    if doubt { error.as_kind(ErrorKind::OutcomeUnknown) } else { error }
}

fn left_out() -> Error {
    Error::new(ErrorKind::Protocol, "the broker's answer leaves out what was asked")
}
