//! What every broker must do, asked over raw frames: a cluster in, a list of checks out, each of which panics
//! with what was wrong.
//!
//! The same checks run on the embedded cluster, on Apache Kafka and on Redpanda: what the embedded one gets wrong,
//! tests of the client would never notice. They use nothing of the client, only the protocol.

mod access;
mod admin;
mod consumer_groups;
mod epochs;
mod groups;
mod offsets;
mod records;
mod topics;
mod transactions;
mod wire;

use std::collections::BTreeMap;

use klamm_protocol::api::{ApiKey, VersionRange};

use crate::outside::Cluster;

/// One thing that a broker must do.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// What it proves, in the words of a test's name.
    pub name: &'static str,
    run: fn(&dyn Cluster),
}

impl Check {
    const fn new(name: &'static str, run: fn(&dyn Cluster)) -> Self {
        Self { name, run }
    }

    /// Runs it; the topics it makes have names of their own.
    ///
    /// # Panics
    /// Where the broker does something else.
    pub fn run(&self, cluster: &dyn Cluster) {
        (self.run)(cluster);
    }
}

/// Runs every check against `cluster`, and reports all that failed rather than the first.
///
/// # Panics
/// Names the checks that failed.
pub fn run_all(cluster: &dyn Cluster) {
    let failed = failures(cluster, CHECKS);
    assert!(failed.is_empty(), "{} does not conform: {failed:?}", cluster.name());
}

/// Runs `checks` against `cluster`; the names of those that failed. An old broker fails what it came too early for.
pub fn failures<'a>(
    cluster: &dyn Cluster,
    checks: impl IntoIterator<Item = &'a Check>,
) -> Vec<&'static str> {
    let fails = |check: &&Check| {
        let run = std::panic::AssertUnwindSafe(|| check.run(cluster));
        std::panic::catch_unwind(run).is_err()
    };
    checks.into_iter().filter(fails).map(|check| check.name).collect()
}

/// The versions of each API that a cluster offers to clients.
///
/// # Panics
/// Where it cannot be asked.
pub fn offered(cluster: &dyn Cluster) -> BTreeMap<ApiKey, VersionRange> {
    wire::Wire::to(cluster).offered()
}

/// All checks.
pub const CHECKS: &[Check] = &[
    Check::new("a topic that was made has partitions with leaders", topics::made),
    Check::new("a topic that exists is not made again", topics::made_twice),
    Check::new("a topic that does not exist is unknown", topics::unknown),
    Check::new("partitions can be added but not taken away", topics::grown),
    Check::new("a deleted topic is gone", topics::deleted),
    Check::new("an illegal name is refused", topics::illegal_name),
    Check::new("what was produced is fetched, in every version", records::every_version),
    Check::new("batches of every codec come back as they were sent", records::every_codec),
    Check::new("a batch sent twice is written once", records::sent_twice),
    Check::new("a sequence with a gap is refused", records::sequence_gap),
    Check::new("a corrupt batch is refused and nothing is written", records::corrupt),
    Check::new("a fetch beyond the end is out of range", records::out_of_range),
    Check::new("a fetch at the end waits for data", records::long_poll),
    Check::new("a batch larger than the limit is delivered alone", records::oversized),
    Check::new("a fetch session sends only what changed", records::session),
    Check::new("a stale session epoch is refused", records::session_epoch),
    Check::new("earliest, latest and times are found, in every version", offsets::listed),
    Check::new("the largest timestamp is found", offsets::max_timestamp),
    Check::new("leader epochs end where they ended, in every version", epochs::ends),
    Check::new("a topic made anew is another one", epochs::made_anew),
    Check::new("settings are set, unset, appended to and taken from", admin::settings),
    Check::new("a wrong change leaves its resource as it was", admin::wrong_settings),
    Check::new("records before an offset are deleted, in every version", admin::records),
    Check::new("who may do everything is told so", admin::rights),
    Check::new("log directories tell the sizes of replicas", admin::log_directories),
    Check::new("elections that are not needed say so", admin::elections),
    Check::new("impossible moves of replicas are refused", admin::reassignments),
    Check::new("levels of features stay within what is supported", admin::features),
    Check::new("those who write to a partition are told", admin::producers),
    Check::new("access rules are found by their filters", access::rules),
    Check::new("access rules that make no sense are refused", access::wrong_rules),
    Check::new("credentials are kept and their secrets not told", access::credentials),
    Check::new("quotas are found by the parts of their entities", access::quotas),
    Check::new("quotas that make no sense are refused", access::wrong_quotas),
    Check::new("a group's offsets are kept", groups::committed),
    Check::new("a group without offsets has none", groups::nothing_committed),
    Check::new(
        "positions are deleted, but not those that are read from",
        groups::positions_deleted,
    ),
    Check::new("groups without members are deleted, others not", groups::deleted),
    Check::new("members are led to their partitions", consumer_groups::reconciled),
    Check::new("ranges go by the order of members", consumer_groups::ranges),
    Check::new("a member with a wrong epoch is fenced", consumer_groups::fenced),
    Check::new("a member that lost an answer goes on", consumer_groups::lost_answer),
    Check::new("a static member comes back to its place", consumer_groups::static_members),
    Check::new("a pattern is evaluated by the broker", consumer_groups::patterns),
    Check::new("impossible heartbeats are refused", consumer_groups::impossible),
    Check::new("members commit with their epoch", consumer_groups::positions),
    Check::new("consumer groups are described and listed", consumer_groups::described),
    Check::new("an empty group changes its protocol", consumer_groups::converted),
    Check::new(
        "committed records count, aborted ones are told",
        transactions::committed_and_aborted,
    ),
    Check::new("a producer that came before is fenced", transactions::fenced),
    Check::new("a producer goes on unless another came between", transactions::goes_on),
    Check::new("a partition that was not added is refused", transactions::not_added),
    Check::new("a transaction may be ended twice, but not otherwise", transactions::ended_twice),
    Check::new("positions count once their transaction is committed", transactions::positions),
    Check::new("a transaction left open is aborted", transactions::timed_out),
    Check::new("impossible transactions are refused", transactions::impossible),
];
