//! What a query does first when it starts on a checkpoint: a pure decision from the names of the files.
//!
//! | offsets | commits | what follows |
//! |---|---|---|
//! | none | none | start afresh |
//! | up to N | up to N | plan batch N+1 from offsets/N |
//! | up to N | up to C < N | run C+1 to N again, each to its logged end, then go on |
//! | up to N | beyond N | refused: offsets were lost |
//! | some | any, no `metadata` | refused: a new id would make a sink take old batches for new ones (SPARK-55058) |
//!
//! Spark runs only batch N again and warns when commits lag further behind. That would leave out whatever the batches
//! between did not finish, so here all of them run again.

use crate::error::{Error, ErrorKind, Result};

/// The names that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Whether there is a file `metadata`.
    pub has_metadata: bool,
    /// Whether there is a file `sources/0/0`.
    pub has_initial: bool,
    /// Whether the folder `state` holds anything: the query that wrote this kept state.
    pub has_state: bool,
    /// The batches in `offsets`, ascending.
    pub offsets: Vec<i64>,
    /// The batches in `commits`, ascending.
    pub commits: Vec<i64>,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Nothing has been planned yet: batch 0 is planned from the initial offsets.
    Fresh,
    /// Batches `first` to `last` were planned and not committed: they run again to their logged ends. The first begins
    /// where the batch before it ended, or at the initial offsets if it is batch 0.
    Rerun {
        /// The first uncommitted batch.
        first: i64,
        /// The last planned batch.
        last: i64,
    },
    /// All that was planned is committed: the next batch begins where `committed` ended.
    Next {
        /// The last committed batch.
        committed: i64,
    },
}

impl Resume {
    /// The batch that runs first.
    pub fn batch(self) -> i64 {
        match self {
            Self::Fresh => 0,
            Self::Rerun { first, .. } => first,
            Self::Next { committed } => committed.saturating_add(1),
        }
    }
}

/// Decides how to go on.
///
/// # Errors
/// `CheckpointUntrusted` for contradictory files; the message says which.
pub fn decide(listing: &Listing) -> Result<Resume> {
    let known = |batch: i64| listing.offsets.binary_search(&batch).is_ok();
    if let Some(negative) =
        listing.offsets.first().into_iter().chain(listing.commits.first()).find(|id| **id < 0)
    {
        return Err(untrusted(format!("it holds a batch {negative}, which no engine writes")));
    }
    let Some(&last) = listing.offsets.last() else {
        if listing.has_state || !listing.commits.is_empty() {
            return Err(untrusted(
                "it should be empty on batch 0: there are files in commits or state, but none in offsets",
            ));
        }
        return Ok(Resume::Fresh);
    };
    if !listing.has_metadata {
        return Err(untrusted("the file metadata with the id of the query is missing"));
    }
    let committed = listing.commits.last().copied();
    if let Some(beyond) = committed.filter(|committed| *committed > last) {
        return Err(untrusted(format!("batch {beyond} is committed, but offsets end with {last}")));
    }
    if committed == Some(last) {
        return Ok(Resume::Next { committed: last });
    }
    let first = committed.map_or(0, |committed| committed + 1);
    let needed = first.saturating_sub(1).max(0)..=last;
    // Counting first: a file named after a huge number must not make this look at every number below it.
    let found = listing.offsets.iter().filter(|id| needed.contains(*id)).count() as i64;
    if found <= last - needed.start() {
        let missing = needed.clone().find(|batch| !known(*batch)).unwrap_or_default();
        return Err(untrusted(format!(
            "batch {missing} doesn't exist in offsets, and batches from {first} on have to run again"
        )));
    }
    Ok(Resume::Rerun { first, last })
}

fn untrusted(reason: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::CheckpointUntrusted,
        format!(
            "The checkpoint can't be trusted: {reason}. Restore it from a copy, or start on an empty folder"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(offsets: &[i64], commits: &[i64]) -> Listing {
        Listing {
            has_metadata: true,
            has_initial: true,
            has_state: false,
            offsets: offsets.to_vec(),
            commits: commits.to_vec(),
        }
    }

    fn refused(listing: &Listing) -> String {
        let error = decide(listing).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CheckpointUntrusted);
        error.message().to_owned()
    }

    #[test]
    fn an_empty_folder_starts_afresh() {
        assert_eq!(decide(&Listing::default()).unwrap(), Resume::Fresh);
    }

    #[test]
    fn b185_a_committed_batch_is_followed_by_the_next() {
        let resume = decide(&listing(&[3, 4, 5], &[3, 4, 5])).unwrap();
        assert_eq!((resume, resume.batch()), (Resume::Next { committed: 5 }, 6));
    }

    #[test]
    fn b185_an_uncommitted_batch_runs_again() {
        assert_eq!(
            decide(&listing(&[3, 4, 5], &[3, 4])).unwrap(),
            Resume::Rerun { first: 5, last: 5 }
        );
        assert_eq!(decide(&listing(&[0], &[])).unwrap(), Resume::Rerun { first: 0, last: 0 });
    }

    #[test]
    fn b186_the_batch_before_has_to_exist() {
        assert!(refused(&listing(&[5], &[4])).contains("batch 4 doesn't exist"));
        assert!(refused(&listing(&[5], &[])).contains("batch 0 doesn't exist"));
        assert!(refused(&listing(&[0, 2], &[0])).contains("batch 1 doesn't exist"));
    }

    #[test]
    fn commits_that_lag_further_make_all_uncommitted_batches_run_again() {
        assert_eq!(
            decide(&listing(&[3, 4, 5, 6], &[3])).unwrap(),
            Resume::Rerun { first: 4, last: 6 }
        );
    }

    #[test]
    fn commits_without_offsets_are_refused() {
        assert!(refused(&listing(&[3], &[3, 4])).contains("batch 4 is committed"));
        assert!(refused(&listing(&[], &[0])).contains("should be empty on batch 0"));
    }

    #[test]
    fn a_lost_id_is_refused() {
        let mut listing = listing(&[0], &[0]);
        listing.has_metadata = false;
        assert!(refused(&listing).contains("metadata"));
    }

    #[test]
    fn b269_leftover_state_is_refused_and_leftover_initial_offsets_are_not() {
        let mut listing = listing(&[], &[]);
        assert_eq!(decide(&listing).unwrap(), Resume::Fresh);
        listing.has_state = true;
        assert!(refused(&listing).contains("should be empty on batch 0"));
    }

    #[test]
    fn a_huge_or_negative_number_is_no_endless_search() {
        assert!(refused(&listing(&[i64::MAX], &[])).contains("batch 0 doesn't exist"));
        assert!(refused(&listing(&[-1], &[])).contains("batch -1"));
    }
}
