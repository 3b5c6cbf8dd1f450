//! Brokers that lie: more than a hundred ways to answer wrongly, each a script over the embedded
//! broker, with what a client may make of it. In goes nothing; out come [`cases`], and a
//! [`HostileCluster`] that plays the script of one on a port of 127.0.0.1.
//!
//! A case says what is asked of the cluster and which endings are right; any client can be held
//! against it. What holds for all of them: no panic, an end in time, memory in proportion to what
//! really came, and no record is called "not written" whose request was read whole, unless the
//! answer to it denied that (see [`Verdict`]).
//!
//! Scripts name hosts of loopback and of `.invalid` only, so that no case can turn against anybody.

mod cluster;
mod craft;
mod errors;
mod fetches;
mod frames;
mod offsets;
mod peers;
mod records;
mod script;
mod server;
mod verdict;
mod versions;
mod wire;
mod writes;

pub use script::{Asked, Blunder, Script, Step};
pub use server::{HostileCluster, Seen};
pub use verdict::Verdict;

/// One way to be hostile.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is wrong with the broker. Cases of one name are variants of one idea.
    pub name: &'static str,
    /// The number of the variant, from 0.
    pub variant: usize,
    /// What the client is to do.
    pub goal: Goal,
    /// How that may end.
    pub endings: &'static [Ending],
    /// Whether it is after the client's memory, which then is to be measured with nothing beside.
    pub greedy: bool,
    /// What the broker does.
    pub script: Script,
}

/// What a client is asked to do with a hostile cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Connect and learn who is in the cluster.
    Connect,
    /// Connect, then list the partitions of [`TOPIC`]: the one of number 0.
    Metadata,
    /// Connect, then refresh what is known of [`TOPIC`], [`REFRESHES`] times over.
    Refresh,
    /// Connect, then find the coordinator of the group [`TOPIC`].
    Coordinator,
    /// Connect, then list both ends of partition 0: offset 0, and how many [`VALUES`] there are.
    Offsets,
    /// Connect, then make the topic [`MADE`].
    Create,
    /// Connect, then write [`WRITTEN`] to partition 0 in one batch, and learn what became of it.
    Produce,
    /// Connect, then read [`VALUES`] from partition 0, transactions respected.
    Read,
    /// As [`Goal::Read`], as the beginning of a range without an end.
    Follow,
}

/// How a goal can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is reached, and what came back is right.
    Right,
    /// It seems reached: the client was told something wrong that nobody could have noticed.
    Misled,
    /// A range ended without some of its records, as if they had been compacted away.
    Short,
    /// The peer was found to be no broker.
    NotKafka,
    /// No broker could be reached.
    Unreachable,
    /// The connection ended.
    Cut,
    /// Whether it was carried out is unknown.
    Unknown,
    /// The time ran out.
    Late,
    /// The broker broke the protocol.
    Garbage,
    /// The broker lacks what is needed.
    Unsupported,
    /// The broker refused by an error code.
    Refused,
    /// The topic or partition does not exist.
    NoSuch,
    /// Records are damaged.
    Damaged,
    /// Records that were asked for are gone.
    Lost,
    /// The records are not in the log.
    NotWritten,
}

impl Case {
    /// Name and variant.
    pub fn label(&self) -> String {
        format!("{} #{}", self.name, self.variant)
    }

    /// Whether the client has to give up by its own deadlines, which then had better be short. All
    /// other cases end by themselves.
    pub fn tries_patience(&self) -> bool {
        self.endings
            .iter()
            .any(|ending| matches!(ending, Ending::Late | Ending::Unknown | Ending::NotWritten))
    }

    fn greedy(mut self) -> Self {
        self.greedy = true;
        self
    }
}

/// Every case, those of one name one after another.
pub fn cases() -> Vec<Case> {
    let kinds = [
        frames::cases(),
        peers::cases(),
        wire::cases(),
        versions::cases(),
        cluster::cases(),
        errors::cases(),
        offsets::cases(),
        fetches::cases(),
        records::cases(),
        writes::cases(),
    ];
    kinds.into_iter().flatten().collect()
}

/// A case without variants.
fn case(name: &'static str, goal: Goal, endings: &'static [Ending], script: Script) -> Case {
    Case { name, variant: 0, goal, endings, greedy: false, script }
}

/// A case in several variants.
fn sweep(
    name: &'static str,
    goal: Goal,
    endings: &'static [Ending],
    scripts: impl IntoIterator<Item = Script>,
) -> Vec<Case> {
    let numbered = scripts.into_iter().enumerate();
    numbered
        .map(|(variant, script)| Case { variant, ..case(name, goal, endings, script) })
        .collect()
}

/// The topic that every hostile cluster has, with one partition.
pub const TOPIC: &str = "t";
/// What is in its partition at first, one record a batch.
pub const VALUES: [&[u8]; 3] = [b"one", b"two", b"three"];
/// The records of [`Goal::Produce`].
pub const WRITTEN: [&[u8]; 2] = [b"four", b"five"];
/// The topic of [`Goal::Create`].
pub const MADE: &str = "made";
/// How often [`Goal::Refresh`] refreshes.
pub const REFRESHES: usize = 60;
/// The limit of a frame in bytes that clients have to be given: some cases stay just below it,
/// others go just above.
pub const FRAME_CAP: usize = 512 << 10;
/// The most bytes that a batch may inflate to, which clients have to be told.
pub const INFLATED_CAP: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_more_than_a_hundred_ways_and_no_label_stands_for_two() {
        let cases = cases();
        let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
        let labels: BTreeSet<_> = cases.iter().map(Case::label).collect();
        assert!(names.len() > 100, "{} names", names.len());
        assert_eq!(labels.len(), cases.len(), "a name is used by two kinds");
        assert!(cases.iter().all(|case| !case.endings.is_empty()));
    }
}
