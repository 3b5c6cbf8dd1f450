//! How much memory the process takes. In: a stretch of time; out: how far it grew at most, and how
//! much it asked for in all. The counting allocator knows both, but keeps no peak, so a thread looks
//! often.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use klamm_testkit::hostile::{FRAME_CAP, Seen};
use stats_alloc::{INSTRUMENTED_SYSTEM, Stats};

/// Watches until it is ended.
pub(crate) struct Watch {
    begun: Stats,
    shared: Arc<Shared>,
    looker: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    peak: AtomicIsize,
}

/// What was taken in a stretch of time, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    /// The most that was held at once beyond what was held at the beginning.
    pub(crate) peak: usize,
    /// All that was asked for, given back or not.
    pub(crate) asked: usize,
    /// How many times memory was asked for.
    pub(crate) times: usize,
}

impl Watch {
    pub(crate) fn begin() -> Self {
        let begun = INSTRUMENTED_SYSTEM.stats();
        let shared = Arc::new(Shared::default());
        let (looks, floor) = (Arc::clone(&shared), held(&begun));
        let looker = std::thread::spawn(move || {
            while !looks.over.load(Ordering::Relaxed) {
                let now = held(&INSTRUMENTED_SYSTEM.stats());
                looks.peak.fetch_max(now - floor, Ordering::Relaxed);
                std::thread::sleep(LOOK);
            }
        });
        Self { begun, shared, looker }
    }

    pub(crate) fn end(self) -> Taken {
        self.shared.over.store(true, Ordering::Relaxed);
        self.looker.join().expect("it only looks");
        let taken = INSTRUMENTED_SYSTEM.stats() - self.begun;
        Taken {
            peak: self.shared.peak.load(Ordering::Relaxed).try_into().unwrap_or(0),
            asked: taken.bytes_allocated,
            times: taken.allocations + taken.reallocations,
        }
    }
}

impl Taken {
    /// Whether it is too much for what a hostile cluster has sent. What was held is seen only by
    /// looking often; what was asked for misses nothing, so it has to be in proportion, too.
    pub(crate) fn is_too_much(&self, seen: &Seen) -> bool {
        let most = SLACK + PER_BYTE * seen.sent + PER_CONNECTION * seen.connections;
        self.peak > MOST || self.asked > most
    }
}

/// Bytes held. The counters are read one after another, so it may be off by what moves meanwhile.
fn held(stats: &Stats) -> isize {
    stats.bytes_allocated.wrapping_sub(stats.bytes_deallocated) as isize
}

/// The most that one client may grow by, the cluster behind it included: a frame, what is made of
/// it, and what all of them take anyway.
pub(crate) const MOST: usize = FRAME_CAP + SLACK;

const SLACK: usize = 16 << 20;
/// What a byte from the network may cost in structs, copies and names, over all the times that it is
/// looked at, in the cluster that sent it as well.
const PER_BYTE: usize = 40;
/// Buffers, tasks and sockets of both ends.
const PER_CONNECTION: usize = 128 << 10;
const LOOK: Duration = Duration::from_micros(200);
