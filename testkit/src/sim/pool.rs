//! A client's connections, one per broker. In: the wish to reach a node; out: a connection that is
//! ready, now or later, or that it failed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::network::{Answer, Network, Stage, WireId};

/// Connections by node, with a pause after each failure.
#[derive(Debug, Default)]
pub(super) struct Pool {
    wires: BTreeMap<i32, WireId>,
    rests: BTreeMap<i32, Instant>,
}

/// Whether a node can be reached.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reach {
    Ready(WireId),
    /// Being dialled, or resting.
    Wait,
    /// The connection there was is gone, or could not be made.
    Failed,
}

impl Pool {
    /// The connection to a node; dials if there is none. Take [`Pool::answers`] first.
    pub(super) fn reach(&mut self, now: Instant, net: &mut Network, node: i32) -> Reach {
        if let Some(id) = self.wires.get(&node) {
            return match net.stage(*id) {
                Stage::Ready => Reach::Ready(*id),
                Stage::Opening => Reach::Wait,
                Stage::Closed => {
                    self.wires.remove(&node);
                    self.rests.insert(node, now + PAUSE);
                    Reach::Failed
                }
            };
        }
        self.rests.retain(|_, until| *until > now);
        if !self.rests.contains_key(&node) {
            self.wires.insert(node, net.dial(now, node));
        }
        Reach::Wait
    }

    /// What became of requests.
    pub(super) fn answers(&self, net: &mut Network) -> Vec<Answer> {
        self.wires.values().flat_map(|id| net.answers(*id)).collect()
    }

    /// When a pause ends, later than now.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        self.rests.values().copied().filter(|until| *until > now).min()
    }
}

const PAUSE: Duration = Duration::from_millis(40);
