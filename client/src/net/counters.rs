//! What is counted of the traffic with brokers. In: attempts, requests and answers, as connections
//! report them; out: a snapshot, at any time and cheaply. Nothing is counted per record, and no
//! payload is looked at.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use klamm_protocol::api::ApiKey;

/// The traffic of one client since it was connected: a snapshot, which does not grow.
///
/// ```no_run
/// # async fn example(client: klamm_client::Client) {
/// for broker in client.counters().brokers {
///     let all = broker.total();
///     println!("{}: {} requests, {:?} on average", broker.address, all.requests, all.latency());
/// }
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Bootstrap servers by address, then brokers by id: whoever was contacted at least once. Of
    /// more than a thousand, those that are gone are forgotten.
    pub brokers: Vec<BrokerCounters>,
    /// How often the brokers were forgotten and the bootstrap servers asked anew (KIP-1102).
    pub rebootstraps: u64,
    /// How often another cluster than before was found behind the bootstrap servers.
    pub cluster_changes: u64,
}

/// The traffic with one broker, or with one bootstrap server whose id is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerCounters {
    /// The broker's id; `None` for a bootstrap server.
    pub id: Option<i32>,
    /// `host:port` where it was contacted last.
    pub address: String,
    /// Connections that were opened and greeted.
    pub opened: u64,
    /// Connections of those that have ended, by either side.
    pub closed: u64,
    /// Attempts at a connection that came to nothing.
    pub failed: u64,
    /// How often an idle connection served anew where a connection of its own was asked for.
    pub reused: u64,
    /// Requests that await their answer now.
    pub in_flight: u64,
    /// For how long this broker asked to be left alone, summed over all answers (KIP-219); times
    /// that overlap count each.
    pub throttled: Duration,
    /// By kind of request.
    pub apis: BTreeMap<ApiKey, ApiCounters>,
}

/// The traffic of one kind of request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiCounters {
    /// Requests that a connection took.
    pub requests: u64,
    /// Requests that were answered, with whatever error code inside; those without an answer count
    /// once they are written.
    pub answers: u64,
    /// Requests that were lost: the connection ended, their time ran out, or whoever asked had gone
    /// before they were written.
    pub lost: u64,
    /// Bytes of the requests, lengths and headers included.
    pub bytes_out: u64,
    /// Bytes of the answers, headers included.
    pub bytes_in: u64,
    /// The time from the moment a connection took a request to its answer, summed over the answers.
    /// A fetch counts with the time for which the broker waited for records.
    pub latency_sum: Duration,
    /// The longest of those times.
    pub latency_max: Duration,
}

impl BrokerCounters {
    /// Connections that are open now.
    pub fn open(&self) -> u64 {
        self.opened.saturating_sub(self.closed)
    }

    /// All kinds of requests together.
    pub fn total(&self) -> ApiCounters {
        self.apis.values().fold(ApiCounters::default(), |sum, one| ApiCounters {
            requests: sum.requests + one.requests,
            answers: sum.answers + one.answers,
            lost: sum.lost + one.lost,
            bytes_out: sum.bytes_out + one.bytes_out,
            bytes_in: sum.bytes_in + one.bytes_in,
            latency_sum: sum.latency_sum + one.latency_sum,
            latency_max: sum.latency_max.max(one.latency_max),
        })
    }
}

impl ApiCounters {
    /// The mean time to an answer; zero before the first.
    pub fn latency(&self) -> Duration {
        let answers = u32::try_from(self.answers).unwrap_or(u32::MAX);
        self.latency_sum.checked_div(answers).unwrap_or_default()
    }
}

/// Counts for one broker. Its lock is held for a few additions, twice a request.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<BrokerCounters>);

impl Meter {
    /// Nothing counted yet.
    pub(crate) fn new(id: Option<i32>, address: String) -> Self {
        Self(Mutex::new(BrokerCounters { id, address, ..BrokerCounters::default() }))
    }

    /// What was counted so far.
    pub(crate) fn snapshot(&self) -> BrokerCounters {
        self.tally().clone()
    }

    /// The broker is contacted here from now on.
    pub(crate) fn moved(&self, address: String) {
        self.tally().address = address;
    }

    /// A connection was opened and greeted.
    pub(crate) fn opened(&self) {
        self.tally().opened += 1;
    }

    /// Such a connection has ended.
    pub(crate) fn closed(&self) {
        self.tally().closed += 1;
    }

    /// An attempt at a connection came to nothing.
    pub(crate) fn failed(&self) {
        self.tally().failed += 1;
    }

    /// A connection serves anew.
    pub(crate) fn reused(&self) {
        self.tally().reused += 1;
    }

    /// The broker asked to be left alone for so long.
    pub(crate) fn throttled(&self, time: Duration) {
        self.tally().throttled += time;
    }

    /// A connection takes a request of so many bytes.
    pub(crate) fn asked(&self, api: ApiKey, bytes: usize) {
        let mut tally = self.tally();
        tally.in_flight += 1;
        let api = tally.apis.entry(api).or_default();
        api.requests += 1;
        api.bytes_out += bytes as u64;
    }

    /// The request was answered by so many bytes after that time.
    pub(crate) fn answered(&self, api: ApiKey, bytes: usize, latency: Duration) {
        let mut tally = self.tally();
        tally.in_flight = tally.in_flight.saturating_sub(1);
        let api = tally.apis.entry(api).or_default();
        api.answers += 1;
        api.bytes_in += bytes as u64;
        api.latency_sum += latency;
        api.latency_max = api.latency_max.max(latency);
    }

    /// The request was lost.
    pub(crate) fn lost(&self, api: ApiKey) {
        let mut tally = self.tally();
        tally.in_flight = tally.in_flight.saturating_sub(1);
        tally.apis.entry(api).or_default().lost += 1;
    }

    fn tally(&self) -> MutexGuard<'_, BrokerCounters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_over_the_kinds_of_requests() {
        let meter = Meter::new(Some(1), "h:1".to_owned());
        meter.asked(ApiKey::Fetch, 10);
        meter.asked(ApiKey::Fetch, 10);
        meter.asked(ApiKey::Metadata, 5);
        meter.answered(ApiKey::Fetch, 100, Duration::from_millis(4));
        meter.answered(ApiKey::Metadata, 50, Duration::from_millis(2));
        let seen = meter.snapshot();
        let all = seen.total();
        assert_eq!((all.requests, all.answers, seen.in_flight), (3, 2, 1));
        assert_eq!((all.bytes_out, all.bytes_in), (25, 150));
        assert_eq!(all.latency(), Duration::from_millis(3));
        assert_eq!(all.latency_max, Duration::from_millis(4));
        meter.lost(ApiKey::Fetch);
        let fetch = meter.snapshot().apis[&ApiKey::Fetch];
        assert_eq!((fetch.requests, fetch.answers, fetch.lost), (2, 1, 1));
        assert_eq!(ApiCounters::default().latency(), Duration::ZERO);
    }
}
