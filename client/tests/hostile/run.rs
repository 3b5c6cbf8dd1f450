//! Runs cases, each on a thread and a runtime of its own, so that one that never yields holds up
//! nobody and is noticed. In: cases; out: what each came to.

use std::collections::HashMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use klamm_testkit::hostile::{Case, Ending, HostileCluster, Seen, Verdict};
use tokio::runtime::{Builder, Handle, Runtime};

use super::goals::pursue;
use super::memory::Taken;

/// What a case came to.
pub(crate) struct Outcome {
    case: Arc<Case>,
    result: Result<Ending, String>,
    seen: Seen,
    took: Duration,
    memory: Taken,
}

impl Outcome {
    pub(crate) fn with(self, memory: Taken) -> Self {
        Self { memory, ..self }
    }

    /// Why it is not as it should be.
    pub(crate) fn failure(&self) -> Option<String> {
        let Self { case, result, seen, .. } = self;
        let wrong = match result {
            Err(wrong) => wrong.clone(),
            Ok(ending) if !case.endings.contains(ending) => {
                format!("ended {ending:?}, expected {:?}", case.endings)
            }
            Ok(Ending::NotWritten) if seen.produced.contains(&Verdict::Open) => {
                format!("called not written, though the broker was told {:?}", seen.produced)
            }
            Ok(_) if !seen.blunders.is_empty() => format!("the script fails: {:?}", seen.blunders),
            Ok(_) if seen.struck == 0 => "the script never struck".to_owned(),
            Ok(_) if seen.requests > MOST_REQUESTS => format!("{} requests", seen.requests),
            Ok(_) if seen.most_open > MOST_OPEN => {
                format!("{} connections at once", seen.most_open)
            }
            Ok(_) if self.memory.is_too_much(seen) => {
                format!("{:?} of memory for {} bytes sent", self.memory, seen.sent)
            }
            Ok(_) => return None,
        };
        Some(format!("{}: {wrong}", case.label()))
    }
}

/// The runtime that all hostile clusters live in.
pub(crate) fn servers() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).thread_name("hostile cluster").enable_all().build().expect("threads")
}

/// Runs cases, `width` of them at a time. One that does not end is given up, and its thread left.
pub(crate) fn side_by_side(servers: &Runtime, cases: Vec<Arc<Case>>, width: usize) -> Vec<Outcome> {
    let (sender, ended) = mpsc::channel();
    let mut waiting = cases.into_iter();
    let mut running: HashMap<String, (Arc<Case>, Instant)> = HashMap::new();
    let mut outcomes = Vec::new();
    loop {
        while running.len() < width
            && let Some(case) = waiting.next()
        {
            running.insert(case.label(), (Arc::clone(&case), Instant::now()));
            begin(servers, case, sender.clone());
        }
        if running.is_empty() {
            return outcomes;
        }
        if let Ok(outcome) = ended.recv_timeout(Duration::from_millis(200)) {
            let outcome: Outcome = outcome;
            running.remove(&outcome.case.label());
            outcomes.push(outcome);
        }
        let hung = running.extract_if(|_, (_, since)| since.elapsed() > WATCHDOG);
        outcomes.extend(hung.map(|(_, (case, since))| Outcome {
            case,
            result: Err("never ends".to_owned()),
            seen: Seen::default(),
            took: since.elapsed(),
            memory: Taken::default(),
        }));
    }
}

fn begin(servers: &Runtime, case: Arc<Case>, sender: mpsc::Sender<Outcome>) {
    let servers = servers.handle().clone();
    let thread = std::thread::Builder::new().name(case.label());
    let run = move || {
        let mut outcome = attempt(&servers, &case, 1);
        // On a busy machine even an honest answer can come too late for deadlines this short.
        if matches!(outcome.result, Ok(Ending::Late)) && !case.endings.contains(&Ending::Late) {
            outcome = attempt(&servers, &case, MORE_PATIENCE);
        }
        // Nobody listens any more if the case was given up.
        let _ = sender.send(outcome);
    };
    thread.spawn(run).expect("a thread");
}

/// One client against one cluster; a panic is an outcome, too.
fn attempt(servers: &Handle, case: &Arc<Case>, patience: u32) -> Outcome {
    let begun = Instant::now();
    let hostile = servers.block_on(HostileCluster::start(&case.script)).expect("a free port");
    let played = AssertUnwindSafe(|| play(case, &hostile, patience));
    let result = catch_unwind(played).unwrap_or_else(|_| Err("panics".to_owned()));
    let (seen, took) = (hostile.seen(), begun.elapsed());
    Outcome { case: Arc::clone(case), result, seen, took, memory: Taken::default() }
}

/// Pursues the goal, lets the client go, and waits until nothing of it is left.
fn play(case: &Case, hostile: &HostileCluster, patience: u32) -> Result<Ending, String> {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let result = runtime.block_on(beside_others(pursue(case, hostile, patience)));
    let left = || (runtime.metrics().num_alive_tasks(), hostile.connections());
    let gone = runtime.block_on(async {
        let given_up = Instant::now() + GONE;
        while left() != (0, 0) && Instant::now() < given_up {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        left()
    });
    // Looking a name up blocks a thread that cannot be stopped.
    runtime.shutdown_background();
    match gone {
        (0, 0) => result,
        (tasks, sockets) => {
            Err(format!("leaves {tasks} tasks and {sockets} connections ({result:?})"))
        }
    }
}

/// Has another future of the runtime run beside this one. A client that polls in circles leaves it
/// no turn, and with it none to whatever would end its circles.
async fn beside_others(
    goal: impl Future<Output = Result<Ending, String>>,
) -> Result<Ending, String> {
    let (begun, mut turns, mut goal) = (Instant::now(), 0, pin!(goal));
    let result = loop {
        tokio::select! {
            biased;
            () = tokio::time::sleep(Duration::from_millis(10)) => turns += 1,
            result = &mut goal => break result,
        }
    };
    if begun.elapsed() > Duration::from_millis(500) && turns < 3 {
        return Err(format!("keeps the thread to itself for {:?}", begun.elapsed()));
    }
    result
}

/// Prints what cases came to, past the test harness's capture.
pub(crate) fn report(outcomes: &[Outcome]) {
    let line = |outcome: &Outcome| {
        let Outcome { case, result, seen, took, memory } = outcome;
        let Seen { connections, most_open, requests, .. } = seen;
        let (ms, kib, asked) = (took.as_millis(), memory.peak >> 10, memory.asked >> 10);
        format!(
            "{ms:>6} ms {requests:>5} requests {connections:>3} connections ({most_open:>2} at once) \
             {kib:>6} KiB held {asked:>7} KiB asked {:>6} times  {}: {result:?}\n",
            memory.times,
            case.label()
        )
    };
    let lines: String = outcomes.iter().map(line).collect();
    // Nothing to do about a closed standard error.
    let _ = std::io::stderr().write_all(lines.as_bytes());
}

/// No promise of speed: only the difference between slow and never.
const WATCHDOG: Duration = Duration::from_secs(20);
/// What deadlines are stretched by for a second attempt.
const MORE_PATIENCE: u32 = 4;
/// How long the loops of connections may take to notice that nobody holds them.
const GONE: Duration = Duration::from_secs(10);
/// A client that asks more often than that within a few seconds asks without a pause.
const MOST_REQUESTS: usize = 300;
/// A client that holds more connections than that to a cluster of three loses track of some.
const MOST_OPEN: usize = 12;
