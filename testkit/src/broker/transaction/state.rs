//! One transactional id as its coordinator sees it: in go a producer's claims and the end of its
//! transaction, out come the id and epoch to go on with, or the code that fences it.
//!
//! ```text
//!            add                    end                      markers written
//!   Empty ────────> Ongoing ─────────────────> Ending(commit) ──────────────> Ended(commit)
//!     ^  <──────────────────────────────────────────────────────────────────────┘  │
//!     └──────────── init                      Ongoing <───────────────── add ──────┘
//! ```
//!
//! Epochs: each init takes the next one, so that an older producer of the same id is fenced
//! (KIP-98); a producer that says what it held gets the next one only if nobody came between
//! (KIP-360). In transactions of version 2 each end takes the next one, too, so that what was
//! late in one transaction cannot land in the next (KIP-890).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use klamm_protocol::code::ErrorCode;

/// What the coordinator knows of a transactional id.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) phase: Phase,
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) timeout: Duration,
    /// Where markers have to be written when it ends.
    pub(crate) participants: BTreeSet<Participant>,
    /// When it began, by the machine's time and by the wall clock; kept after its end.
    pub(crate) started: Option<(Instant, i64)>,
    /// The epoch before the last bump that the producer itself asked for, or -1.
    last_epoch: i16,
    previous_id: i64,
    /// The id to go on with after this end, because the epochs of the present one are used up.
    next_id: Option<i64>,
    /// The present end was asked for by a producer of transactions of version 2.
    bumps: bool,
}

/// Where a transactional id stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing was written since the producer began.
    Empty,
    /// Waits for the producer to end it.
    Ongoing,
    /// Waits for its markers.
    Ending { commit: bool },
    /// All markers are written.
    Ended { commit: bool },
}

/// What takes part in a transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Participant {
    /// A partition, by topic and number.
    Partition(String, i32),
    /// The positions of a group.
    Positions(String),
}

/// A producer id with an epoch, as a producer claims them or is given them.
pub(crate) type Identity = (i64, i16);

/// Where an end leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// To markers that have to be written; the producer goes on with this identity.
    Begun(Identity),
    /// Nowhere: it was ended before in the same way.
    Repeated(Identity),
}

impl Transaction {
    /// A transactional id that was never used, with a producer id of its own.
    pub(crate) fn new(producer_id: i64, timeout: Duration) -> Self {
        Self {
            phase: Phase::Empty,
            producer_id,
            epoch: NO_EPOCH,
            timeout,
            participants: BTreeSet::new(),
            started: None,
            last_epoch: NO_EPOCH,
            previous_id: NO_ID,
            next_id: None,
            bumps: false,
        }
    }

    /// A producer begins, or begins anew with what it `held`. `None`: a transaction is open, and
    /// has to be [fenced](Self::fence) before the producer asks again.
    pub(crate) fn init(
        &mut self,
        held: Option<Identity>,
        timeout: Duration,
        new_id: impl FnOnce() -> i64,
    ) -> Result<Option<Identity>, ErrorCode> {
        if matches!(self.phase, Phase::Ending { .. }) {
            return Err(ErrorCode::CONCURRENT_TRANSACTIONS);
        }
        if !held.is_none_or(|held| self.knows(held)) {
            return Err(ErrorCode::PRODUCER_FENCED);
        }
        if self.phase == Phase::Ongoing {
            return Ok(None);
        }
        let (id, epoch, last_epoch) = self.next_identity(held.map(|(_, epoch)| epoch), new_id)?;
        self.previous_id = self.producer_id;
        (self.producer_id, self.epoch, self.last_epoch) = (id, epoch, last_epoch);
        (self.phase, self.timeout, self.started) = (Phase::Empty, timeout, None);
        Ok(Some((id, epoch)))
    }

    /// Takes participants in; the first one begins the transaction.
    pub(crate) fn add(
        &mut self,
        claim: Identity,
        participants: impl IntoIterator<Item = Participant>,
        now: (Instant, i64),
    ) -> Result<(), ErrorCode> {
        if matches!(self.phase, Phase::Ending { .. }) {
            // First, since the producer may use the id that this end leads to already.
            return Err(ErrorCode::CONCURRENT_TRANSACTIONS);
        }
        self.check(claim)?;
        if self.phase != Phase::Ongoing {
            (self.phase, self.started) = (Phase::Ongoing, Some(now));
        }
        self.participants.extend(participants);
        Ok(())
    }

    /// Whether a participant is in the open transaction of this producer.
    pub(crate) fn verify(
        &self,
        claim: Identity,
        participant: &Participant,
    ) -> Result<(), ErrorCode> {
        self.check(claim)?;
        if matches!(self.phase, Phase::Ending { .. }) {
            return Err(ErrorCode::CONCURRENT_TRANSACTIONS);
        }
        if self.participants.contains(participant) {
            Ok(())
        } else {
            Err(ErrorCode::TRANSACTION_ABORTABLE)
        }
    }

    /// The producer ends its transaction, in the way of version 2 if `bumps`.
    pub(crate) fn end(
        &mut self,
        claim: Identity,
        commit: bool,
        bumps: bool,
        new_id: impl FnOnce() -> i64,
    ) -> Result<End, ErrorCode> {
        if bumps {
            return self.end_and_bump(claim, commit, new_id);
        }
        self.check(claim)?;
        match self.phase {
            Phase::Ongoing => {
                self.begin_end(commit, false);
                Ok(End::Begun((self.producer_id, self.epoch)))
            }
            Phase::Ended { commit: done } if done == commit => {
                Ok(End::Repeated((self.producer_id, self.epoch)))
            }
            Phase::Ending { commit: done } if done == commit => {
                Err(ErrorCode::CONCURRENT_TRANSACTIONS)
            }
            _ => Err(ErrorCode::INVALID_TXN_STATE),
        }
    }

    /// Aborts the open transaction against its producer's will: the epoch goes up, and what the
    /// producer still sends is refused.
    pub(crate) fn fence(&mut self, bumps: bool) {
        self.epoch = self.epoch.saturating_add(1);
        self.last_epoch = NO_EPOCH;
        if bumps {
            self.last_epoch = self.epoch;
            self.epoch = self.epoch.saturating_add(1);
        }
        self.begin_end(false, bumps);
    }

    /// All markers are written.
    pub(crate) fn complete(&mut self) {
        let Phase::Ending { commit } = self.phase else {
            return;
        };
        self.phase = Phase::Ended { commit };
        self.participants.clear();
        if !self.bumps {
            return;
        }
        (self.previous_id, self.last_epoch) = (self.producer_id, self.epoch);
        if let Some(id) = self.next_id.take() {
            (self.producer_id, self.epoch) = (id, 0);
        }
    }

    /// When the open transaction is aborted, whatever its producer does.
    pub(crate) fn expires(&self) -> Option<Instant> {
        let (started, _) = self.started.filter(|_| self.phase == Phase::Ongoing)?;
        started.checked_add(self.timeout)
    }

    fn check(&self, (id, epoch): Identity) -> Result<(), ErrorCode> {
        if id != self.producer_id {
            return Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING);
        }
        if epoch == self.epoch { Ok(()) } else { Err(ErrorCode::PRODUCER_FENCED) }
    }

    /// Whether a producer that held this may go on: it is the present one, or the one before
    /// whose epochs were used up and that never saw the answer.
    fn knows(&self, (id, epoch): Identity) -> bool {
        self.epoch == NO_EPOCH
            || id == self.producer_id
            || (id == self.previous_id && is_exhausted(epoch))
    }

    fn next_identity(
        &self,
        held: Option<i16>,
        new_id: impl FnOnce() -> i64,
    ) -> Result<(i64, i16, i16), ErrorCode> {
        if is_exhausted(self.epoch) && held.is_none_or(|held| held == self.epoch) {
            return Ok((new_id(), 0, held.unwrap_or(NO_EPOCH)));
        }
        let bumped = self.epoch.saturating_add(1);
        match held {
            None => Ok((self.producer_id, bumped, NO_EPOCH)),
            Some(held) if self.epoch == NO_EPOCH || held == self.epoch => {
                Ok((self.producer_id, bumped, self.epoch))
            }
            // The answer to the last bump was lost, and nobody else has come since.
            Some(held) if held == self.last_epoch => {
                Ok((self.producer_id, self.epoch, self.last_epoch))
            }
            Some(_) => Err(ErrorCode::PRODUCER_FENCED),
        }
    }

    fn end_and_bump(
        &mut self,
        (id, epoch): Identity,
        commit: bool,
        new_id: impl FnOnce() -> i64,
    ) -> Result<End, ErrorCode> {
        if matches!(self.phase, Phase::Ending { .. }) {
            return Err(ErrorCode::CONCURRENT_TRANSACTIONS);
        }
        let bumped_before = id == self.producer_id && epoch.checked_add(1) == Some(self.epoch);
        let rotated_before =
            id == self.previous_id && epoch == LAST_USABLE_EPOCH && self.epoch == 0;
        let is_retry =
            matches!(self.phase, Phase::Ended { .. }) && (bumped_before || rotated_before);
        if id != self.producer_id && !is_retry {
            return Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING);
        }
        if epoch != self.epoch && !is_retry {
            return Err(ErrorCode::PRODUCER_FENCED);
        }
        match self.phase {
            Phase::Ended { commit: done } if is_retry => {
                return if done == commit {
                    Ok(End::Repeated((self.producer_id, self.epoch)))
                } else {
                    Err(ErrorCode::INVALID_TXN_STATE)
                };
            }
            // To abort nothing is allowed, and brings a new epoch.
            Phase::Ongoing => {}
            _ if !commit => {}
            _ => return Err(ErrorCode::INVALID_TXN_STATE),
        }
        self.next_id = is_exhausted(self.epoch).then(new_id);
        self.last_epoch = self.epoch;
        self.epoch = self.epoch.saturating_add(1);
        self.begin_end(commit, true);
        Ok(End::Begun(self.next_id.map_or((self.producer_id, self.epoch), |id| (id, 0))))
    }

    fn begin_end(&mut self, commit: bool, bumps: bool) {
        (self.phase, self.bumps) = (Phase::Ending { commit }, bumps);
    }
}

impl Phase {
    /// Every name that Kafka knows.
    pub(crate) const NAMES: [&str; 8] = [
        "Empty",
        "Ongoing",
        "PrepareCommit",
        "PrepareAbort",
        "CompleteCommit",
        "CompleteAbort",
        "Dead",
        "PrepareEpochFence",
    ];

    /// Kafka's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::Ending { commit: true } => "PrepareCommit",
            Self::Ending { commit: false } => "PrepareAbort",
            Self::Ended { commit: true } => "CompleteCommit",
            Self::Ended { commit: false } => "CompleteAbort",
        }
    }
}

/// The last epoch that producers get: the one above it is the coordinator's, to fence with.
fn is_exhausted(epoch: i16) -> bool {
    epoch >= LAST_USABLE_EPOCH
}

const LAST_USABLE_EPOCH: i16 = i16::MAX - 1;
const NO_EPOCH: i16 = -1;
const NO_ID: i64 = -1;

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(1);

    fn begun() -> Transaction {
        let mut transaction = Transaction::new(7, TIMEOUT);
        assert_eq!(transaction.init(None, TIMEOUT, || 8), Ok(Some((7, 0))));
        transaction
    }

    fn write(transaction: &mut Transaction, claim: Identity) -> Result<(), ErrorCode> {
        let participant = Participant::Partition("t".to_owned(), 0);
        transaction.add(claim, [participant], (Instant::now(), 0))
    }

    #[test]
    fn each_start_takes_the_next_epoch_and_fences_the_one_before() {
        let mut transaction = begun();
        assert_eq!(transaction.init(None, TIMEOUT, || 8), Ok(Some((7, 1))));
        assert_eq!(write(&mut transaction, (7, 0)), Err(ErrorCode::PRODUCER_FENCED));
        assert_eq!(write(&mut transaction, (6, 1)), Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING));
        assert_eq!(write(&mut transaction, (7, 1)), Ok(()));
    }

    #[test]
    fn a_producer_that_says_what_it_held_goes_on_unless_another_came_between() {
        let mut transaction = begun();
        assert_eq!(transaction.init(Some((7, 0)), TIMEOUT, || 8), Ok(Some((7, 1))));
        // The answer was lost: asking again gives the same.
        assert_eq!(transaction.init(Some((7, 0)), TIMEOUT, || 8), Ok(Some((7, 1))));
        assert_eq!(transaction.init(None, TIMEOUT, || 8), Ok(Some((7, 2))));
        let fenced = Err(ErrorCode::PRODUCER_FENCED);
        assert_eq!(transaction.init(Some((7, 1)), TIMEOUT, || 8), fenced);
        assert_eq!(transaction.init(Some((6, 2)), TIMEOUT, || 8), fenced);
    }

    #[test]
    fn used_up_epochs_bring_a_new_id_at_the_start_and_at_the_end() {
        let mut transaction = begun();
        transaction.epoch = LAST_USABLE_EPOCH;
        let held = Some((7, LAST_USABLE_EPOCH));
        assert_eq!(transaction.init(held, TIMEOUT, || 8), Ok(Some((8, 0))));
        assert_eq!(transaction.init(held, TIMEOUT, || 9), Ok(Some((8, 0))), "asked again");
        transaction.epoch = LAST_USABLE_EPOCH;
        write(&mut transaction, (8, LAST_USABLE_EPOCH)).unwrap();
        let mut end = |id| transaction.end((8, LAST_USABLE_EPOCH), true, true, || id);
        assert_eq!(end(9), Ok(End::Begun((9, 0))));
        assert_eq!(end(9), Err(ErrorCode::CONCURRENT_TRANSACTIONS));
        assert_eq!((transaction.producer_id, transaction.epoch), (8, i16::MAX));
        transaction.complete();
        assert_eq!((transaction.producer_id, transaction.epoch), (9, 0));
        let again = transaction.end((8, LAST_USABLE_EPOCH), true, true, || 10);
        assert_eq!(again, Ok(End::Repeated((9, 0))));
    }

    #[test]
    fn the_older_protocol_keeps_its_epoch_and_only_an_equal_end_may_be_repeated() {
        let mut transaction = begun();
        assert_eq!(
            transaction.end((7, 0), false, false, || 8),
            Err(ErrorCode::INVALID_TXN_STATE),
            "nothing was begun"
        );
        write(&mut transaction, (7, 0)).unwrap();
        assert_eq!(transaction.end((7, 0), true, false, || 8), Ok(End::Begun((7, 0))));
        let waits = ErrorCode::CONCURRENT_TRANSACTIONS;
        assert_eq!(transaction.end((7, 0), true, false, || 8), Err(waits));
        assert_eq!(transaction.end((7, 0), false, false, || 8), Err(ErrorCode::INVALID_TXN_STATE));
        assert_eq!(transaction.init(None, TIMEOUT, || 8), Err(waits));
        transaction.complete();
        assert_eq!(transaction.end((7, 0), true, false, || 8), Ok(End::Repeated((7, 0))));
    }

    #[test]
    fn in_version_two_each_end_takes_the_next_epoch_and_nothing_may_be_aborted() {
        let mut transaction = begun();
        assert_eq!(transaction.end((7, 0), false, true, || 8), Ok(End::Begun((7, 1))));
        transaction.complete();
        write(&mut transaction, (7, 1)).unwrap();
        assert_eq!(transaction.end((7, 1), true, true, || 8), Ok(End::Begun((7, 2))));
        transaction.complete();
        assert_eq!(transaction.end((7, 1), true, true, || 8), Ok(End::Repeated((7, 2))));
        assert_eq!(
            transaction.end((7, 1), false, true, || 8),
            Err(ErrorCode::INVALID_TXN_STATE),
            "it was committed"
        );
        assert_eq!(transaction.end((7, 2), true, true, || 8), Err(ErrorCode::INVALID_TXN_STATE));
        assert_eq!(transaction.end((7, 0), true, true, || 8), Err(ErrorCode::PRODUCER_FENCED));
    }

    #[test]
    fn an_open_transaction_is_fenced_before_another_producer_may_start() {
        for (bumps, next) in [(false, 2), (true, 3)] {
            let mut transaction = begun();
            write(&mut transaction, (7, 0)).unwrap();
            assert!(transaction.expires().is_some());
            assert_eq!(transaction.init(None, TIMEOUT, || 8), Ok(None));
            transaction.fence(bumps);
            assert_eq!(transaction.expires(), None);
            assert!(transaction.end((7, 0), true, bumps, || 8).is_err());
            transaction.complete();
            assert_eq!(transaction.init(None, TIMEOUT, || 8), Ok(Some((7, next))));
        }
    }
}
