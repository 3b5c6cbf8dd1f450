//! Faults on order: in go rules that name an API, a node and a number of times; out comes, for
//! each request, what shall happen to it. The embedded broker asks before it serves a request.
//!
//! ```
//! use klamm_protocol::{api::ApiKey, code::ErrorCode};
//! use klamm_testkit::control::Intercept;
//!
//! // The third and fourth Produce that node 2 gets are refused, and nothing is written.
//! let rule = Intercept::on(ApiKey::Produce).at(2).skip(2).times(2)
//!     .fail(ErrorCode::NOT_LEADER_OR_FOLLOWER);
//! # let _ = rule;
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use klamm_protocol::api::ApiKey;
use klamm_protocol::code::ErrorCode;

/// A rule: which requests, and what happens to them.
#[derive(Clone, Debug)]
pub struct Intercept {
    key: Option<ApiKey>,
    node: Option<i32>,
    skip: u32,
    times: Option<u32>,
    fault: Fault,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing: it is only recorded.
    Observe,
    /// It is not served; the answer carries this code wherever the API has room for one.
    Fail(ErrorCode),
    /// It is served, and the answer leaves this much later. Later requests of the connection wait.
    Delay(Duration),
    /// It is served, and the answer is lost; the connection stays.
    DropResponse,
    /// It is neither served nor answered; the connection stays.
    Swallow,
    /// It is not served and the connection is closed at once.
    Cut,
    /// It is served, and the connection is closed after this many bytes of the answer, the
    /// length prefix counted.
    CutAfter(usize),
    /// It is not served; the answer is these bytes after the correlation id, right or wrong.
    Answer(Bytes),
}

/// A request that a rule saw.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The node that got it.
    pub node: i32,
    /// The connection it came over.
    pub connection: u64,
    /// The API.
    pub api_key: ApiKey,
    /// The version of the API.
    pub api_version: i16,
    /// The client's number for it.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<String>,
    /// The whole request, header included, without the length.
    pub frame: Bytes,
}

/// Names a rule that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(u64);

/// The rules in force, oldest first, and what they saw.
#[derive(Debug, Default)]
pub struct Control {
    rules: BTreeMap<RuleId, Rule>,
    next: u64,
}

#[derive(Debug)]
struct Rule {
    intercept: Intercept,
    matched: u32,
    seen: VecDeque<Observed>,
}

impl Intercept {
    /// A rule for one API that only observes.
    pub fn on(key: ApiKey) -> Self {
        Self { key: Some(key), ..Self::any() }
    }

    /// A rule for every API that only observes.
    pub fn any() -> Self {
        Self { key: None, node: None, skip: 0, times: None, fault: Fault::Observe }
    }

    /// Only requests that this node gets. Default: all nodes.
    #[must_use]
    pub fn at(mut self, node: i32) -> Self {
        self.node = Some(node);
        self
    }

    /// Lets this many requests pass first. Default 0.
    #[must_use]
    pub fn skip(mut self, requests: u32) -> Self {
        self.skip = requests;
        self
    }

    /// Strikes this many times, then only lets pass. Default: always.
    #[must_use]
    pub fn times(mut self, requests: u32) -> Self {
        self.times = Some(requests);
        self
    }

    /// What happens. Default: [`Fault::Observe`].
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    /// Short for `with(Fault::Fail(code))`.
    #[must_use]
    pub fn fail(self, code: ErrorCode) -> Self {
        self.with(Fault::Fail(code))
    }

    /// Short for `with(Fault::Delay(by))`.
    #[must_use]
    pub fn delay(self, by: Duration) -> Self {
        self.with(Fault::Delay(by))
    }

    fn concerns(&self, request: &Observed) -> bool {
        self.key.is_none_or(|key| key == request.api_key)
            && self.node.is_none_or(|node| node == request.node)
    }
}

impl Control {
    /// Sets a rule. The oldest rule that strikes decides; rules that only observe always see.
    pub fn add(&mut self, intercept: Intercept) -> RuleId {
        let id = RuleId(self.next);
        self.next += 1;
        self.rules.insert(id, Rule { intercept, matched: 0, seen: VecDeque::new() });
        id
    }

    /// Takes a rule away. False if it was gone already.
    pub fn remove(&mut self, id: RuleId) -> bool {
        self.rules.remove(&id).is_some()
    }

    /// How many requests a rule has seen, those it let pass included.
    pub fn matched(&self, id: RuleId) -> u32 {
        self.rules.get(&id).map_or(0, |rule| rule.matched)
    }

    /// The requests a rule has seen, oldest first; the last 1,000 are kept.
    pub fn observed(&self, id: RuleId) -> impl Iterator<Item = &Observed> {
        self.rules.get(&id).into_iter().flat_map(|rule| &rule.seen)
    }

    /// True if no rule is set, so that requests need not be described.
    pub(crate) fn is_idle(&self) -> bool {
        self.rules.is_empty()
    }

    /// What shall happen to this request.
    pub(crate) fn judge(&mut self, request: &Observed) -> Fault {
        let mut verdict = Fault::Observe;
        for rule in self.rules.values_mut().filter(|rule| rule.intercept.concerns(request)) {
            if verdict != Fault::Observe && rule.intercept.fault != Fault::Observe {
                // An older rule has struck: this one's count stays for the next request.
                continue;
            }
            rule.see(request);
            if rule.strikes() {
                verdict = rule.intercept.fault.clone();
            }
        }
        verdict
    }
}

impl Rule {
    fn see(&mut self, request: &Observed) {
        self.matched = self.matched.saturating_add(1);
        if self.seen.len() == KEPT {
            self.seen.pop_front();
        }
        self.seen.push_back(request.clone());
    }

    /// Whether the request seen last is one of those meant.
    fn strikes(&self) -> bool {
        let Intercept { skip, times, ref fault, .. } = self.intercept;
        *fault != Fault::Observe
            && self.matched > skip
            && times.is_none_or(|times| self.matched - skip <= times)
    }
}

const KEPT: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(api_key: ApiKey, node: i32) -> Observed {
        Observed {
            node,
            connection: 0,
            api_key,
            api_version: 0,
            correlation_id: 0,
            client_id: None,
            frame: Bytes::new(),
        }
    }

    #[test]
    fn a_rule_strikes_its_api_and_node_after_skipping_and_only_so_often() {
        let mut control = Control::default();
        let rule = Intercept::on(ApiKey::Fetch).at(2).skip(1).times(2).with(Fault::Cut);
        let id = control.add(rule);
        assert_eq!(control.judge(&request(ApiKey::Produce, 2)), Fault::Observe);
        assert_eq!(control.judge(&request(ApiKey::Fetch, 1)), Fault::Observe);
        let verdicts: Vec<_> =
            (0..4).map(|_| control.judge(&request(ApiKey::Fetch, 2)) == Fault::Cut).collect();
        assert_eq!(verdicts, [false, true, true, false]);
        assert_eq!(control.matched(id), 4);
    }

    #[test]
    fn the_oldest_rule_that_strikes_decides_and_observers_always_see() {
        let mut control = Control::default();
        let first = control.add(Intercept::any().times(1).with(Fault::Swallow));
        let second = control.add(Intercept::any().times(1).with(Fault::Cut));
        let observer = control.add(Intercept::any());
        assert_eq!(control.judge(&request(ApiKey::Fetch, 1)), Fault::Swallow);
        assert_eq!(control.judge(&request(ApiKey::Fetch, 1)), Fault::Cut);
        assert_eq!(control.judge(&request(ApiKey::Fetch, 1)), Fault::Observe);
        assert_eq!(control.observed(observer).count(), 3);
        assert!(control.remove(first) && control.remove(second));
        assert!(!control.remove(first));
    }
}
