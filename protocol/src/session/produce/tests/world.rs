//! A random world: the produce machine, brokers that judge sequences as Kafka's do, and connections
//! that lose, delay and cut. Every batch holds one value of its own, so the logs tell what became
//! of each.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::records::Batches;

/// A partition's log, and what it remembers of each producer id: epoch, and the last five `(first,
/// last)` sequences.
#[derive(Default)]
struct Partition {
    leader: i32,
    producers: BTreeMap<i64, (i16, VecDeque<(i32, i32)>)>,
    log: Vec<u64>,
}

impl Partition {
    /// Kafka's rules for a batch of an idempotent producer.
    fn append(&mut self, bytes: Bytes) -> ErrorCode {
        let raw = Batches::new(bytes).next().expect("one batch").expect("a whole batch");
        let (header, count) = (*raw.header(), raw.header().count);
        let first = header.base_sequence;
        let last = lane::sequence_after(first, count - 1);
        let known = self.producers.get(&header.producer_id);
        if let Some((epoch, recent)) = known {
            if header.producer_epoch < *epoch {
                return ErrorCode::INVALID_PRODUCER_EPOCH;
            }
            if header.producer_epoch > *epoch && first != 0 {
                return ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
            }
            if header.producer_epoch == *epoch {
                if recent.contains(&(first, last)) {
                    return ErrorCode::NONE;
                }
                let expected = recent.back().map_or(0, |(_, last)| lane::sequence_after(*last, 1));
                if first != expected {
                    return ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
                }
            }
        }
        let same_epoch = known.filter(|(epoch, _)| *epoch == header.producer_epoch);
        let mut recent = same_epoch.map(|(_, recent)| recent.clone()).unwrap_or_default();
        recent.push_back((first, last));
        if recent.len() > 5 {
            recent.pop_front();
        }
        self.producers.insert(header.producer_id, (header.producer_epoch, recent));
        self.log.extend(std::iter::repeat_n(value_of(&raw), count as usize));
        ErrorCode::NONE
    }
}

fn value_of(raw: &RawBatch) -> u64 {
    let batch = raw.open(&mut crate::records::Inflater::new(), 1 << 20).expect("an open batch");
    let record = batch.records().next().expect("a record").expect("a whole record");
    u64::from_be_bytes(record.value().expect("a value").try_into().expect("eight bytes"))
}

fn numbered(value: u64, records: usize) -> SealedBatch {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for _ in 0..records {
        builder.try_push(&RecordParts::new(0, None, Some(&value.to_be_bytes()))).expect("room");
    }
    builder.seal()
}

/// One connection: requests on their way, and answers on theirs back.
#[derive(Default)]
struct Link {
    requests: VecDeque<ProduceCall>,
    answers: VecDeque<(RequestId, ProduceResponse)>,
    outstanding: Vec<RequestId>,
}

#[derive(Clone, Debug)]
enum Op {
    Push { lane: usize, records: usize },
    Send { node: i32 },
    Process { node: i32 },
    Refuse { node: i32, code: i16 },
    AppendAndFail { node: i32, code: i16 },
    Deliver { node: i32 },
    Cut { node: i32, zombies: bool },
    Zombie,
    Move { lane: usize, told: bool },
    Tell,
    Wait { ms: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    let node = || 1..3i32;
    let refusals = prop::sample::select(vec![19i16, 10, 10, 87, 19, 19]);
    let doubts = prop::sample::select(vec![7i16, 20, 6]);
    prop_oneof![
        6 => (0..2usize, 1..4usize).prop_map(|(lane, records)| Op::Push { lane, records }),
        8 => node().prop_map(|node| Op::Send { node }),
        7 => node().prop_map(|node| Op::Process { node }),
        1 => (node(), refusals).prop_map(|(node, code)| Op::Refuse { node, code }),
        1 => (node(), doubts).prop_map(|(node, code)| Op::AppendAndFail { node, code }),
        7 => node().prop_map(|node| Op::Deliver { node }),
        1 => (node(), any::<bool>()).prop_map(|(node, zombies)| Op::Cut { node, zombies }),
        1 => Just(Op::Zombie),
        1 => (0..2usize, any::<bool>()).prop_map(|(lane, told)| Op::Move { lane, told }),
        1 => Just(Op::Tell),
        3 => prop_oneof![Just(100u64), Just(100), Just(100), Just(40_000)].prop_map(|ms| Op::Wait { ms }),
    ]
}

struct World {
    queue: ProduceQueue,
    lanes: Vec<LaneId>,
    partitions: Vec<Partition>,
    links: BTreeMap<i32, Link>,
    zombies: VecDeque<ProduceCall>,
    now: Instant,
    values: u64,
    /// Lane, value and number of records; of parts, too.
    pushed: BTreeMap<BatchId, (usize, u64, usize)>,
    outcomes: BTreeMap<BatchId, Outcome>,
}

impl World {
    fn new(epoch: i16, sequence: i32) -> Self {
        let mut queue = ProduceQueue::new(ProduceOptions::default());
        queue.set_identity(ProducerIdentity { id: 7, epoch });
        let name: Arc<str> = Arc::from("t");
        let lanes: Vec<_> = (0..2).map(|partition| queue.lane(&name, partition)).collect();
        for lane in &lanes {
            queue.set_leader(*lane, Some(1), TOPIC_ID);
            queue.lanes[lane.0].skip_to_sequence(sequence);
        }
        let partition = || Partition { leader: 1, ..Partition::default() };
        Self {
            queue,
            lanes,
            partitions: vec![partition(), partition()],
            links: BTreeMap::from([(1, Link::default()), (2, Link::default())]),
            zombies: VecDeque::new(),
            now: some_time(),
            values: 0,
            pushed: BTreeMap::new(),
            outcomes: BTreeMap::new(),
        }
    }

    fn link(&mut self, node: i32) -> &mut Link {
        self.links.entry(node).or_default()
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Push { lane, records } => {
                self.values += 1;
                let id =
                    self.queue.push(self.lanes[lane], self.now, numbered(self.values, records));
                self.pushed.insert(id, (lane, self.values, records));
            }
            Op::Send { node } => {
                if let Some(call) = self.queue.next_request(self.now, node, 13) {
                    let link = self.link(node);
                    link.outstanding.push(call.id);
                    link.requests.push_back(call);
                }
            }
            Op::Process { node } => self.process(node, None, false),
            Op::Refuse { node, code } => self.process(node, Some(ErrorCode(code)), false),
            Op::AppendAndFail { node, code } => self.process(node, Some(ErrorCode(code)), true),
            Op::Deliver { node } => {
                if let Some((id, answer)) = self.link(node).answers.pop_front() {
                    self.link(node).outstanding.retain(|one| *one != id);
                    self.queue.handle_response(self.now, id, answer);
                }
            }
            Op::Cut { node, zombies } => self.cut(node, zombies),
            Op::Zombie => {
                if let Some(call) = self.zombies.pop_front() {
                    self.serve(&call, None, false, 0);
                }
            }
            Op::Move { lane, told } => {
                self.partitions[lane].leader = 3 - self.partitions[lane].leader;
                if told {
                    self.tell();
                }
            }
            Op::Tell => self.tell(),
            Op::Wait { ms } => {
                self.now += Duration::from_millis(ms);
                self.queue.handle_timeout(self.now);
            }
        }
        self.drain();
    }

    fn tell(&mut self) {
        for (lane, partition) in self.lanes.iter().zip(&self.partitions) {
            self.queue.set_leader(*lane, Some(partition.leader), TOPIC_ID);
        }
    }

    fn process(&mut self, node: i32, code: Option<ErrorCode>, append: bool) {
        let Some(call) = self.link(node).requests.pop_front() else { return };
        let answer = self.serve(&call, code, append, node);
        self.link(node).answers.push_back((call.id, answer));
    }

    /// What a broker does with a request. Node 0 stands for whichever leads: the request came
    /// before the move.
    fn serve(
        &mut self,
        call: &ProduceCall,
        code: Option<ErrorCode>,
        append: bool,
        node: i32,
    ) -> ProduceResponse {
        let mut answer = ProduceResponse::default();
        for topic in &call.request.topic_data {
            for data in &topic.partition_data {
                let partition = &mut self.partitions[data.index as usize];
                let leads = node == 0 || partition.leader == node;
                let mut result =
                    if leads { ErrorCode::NONE } else { ErrorCode::NOT_LEADER_OR_FOLLOWER };
                if leads && (code.is_none() || append) {
                    result = partition.append(data.records.clone().expect("records"));
                }
                // An answer that hides a success; a refusal by sequence stays what it is.
                let error_code =
                    if leads && result.is_ok() { code.unwrap_or(result) } else { result };
                let mut one = response(error_code);
                one.responses[0].partition_responses[0].index = data.index;
                answer.responses.append(&mut one.responses);
            }
        }
        answer
    }

    fn cut(&mut self, node: i32, zombies: bool) {
        let link = std::mem::take(self.link(node));
        for id in link.outstanding {
            self.queue.handle_failure(self.now, id, true);
        }
        if zombies {
            self.zombies.extend(link.requests);
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.queue.poll_event() {
            match event {
                ProduceEvent::Ended { batch, outcome } => {
                    assert!(self.pushed.contains_key(&batch));
                    assert_eq!(self.outcomes.insert(batch, outcome), None, "a second outcome");
                }
                ProduceEvent::NeedsIdentity => {
                    self.queue.set_identity(ProducerIdentity { id: 8, epoch: 0 });
                }
                ProduceEvent::TooLarge { lane, batch, sealed } => self.split(lane, batch, &sealed),
                ProduceEvent::StaleLeader { .. } | ProduceEvent::NeedsPartition { .. } => {}
            }
        }
    }

    fn split(&mut self, lane: LaneId, batch: BatchId, sealed: &SealedBatch) {
        let (mut inflater, mut deflater) =
            (crate::records::Inflater::new(), crate::records::Deflater::new());
        let halves = sealed.split(BatchOptions::default(), &mut inflater, &mut deflater);
        let halves = halves.expect("more than one record");
        let counts = halves.each_ref().map(|half| half.record_count() as usize);
        let ids = self.queue.split(lane, batch, halves.to_vec());
        let whole = self.pushed[&batch];
        assert!(
            ids.len() == 2 || self.outcomes.contains_key(&batch) || !self.queue.events.is_empty()
        );
        for (id, count) in ids.iter().zip(counts) {
            self.pushed.remove(&batch);
            self.pushed.insert(*id, (whole.0, whole.1, count));
        }
    }

    /// No more faults: every batch must get its outcome before its time is up.
    fn heal(&mut self) {
        for node in [1, 2] {
            self.cut(node, true);
        }
        self.drain();
        for _ in 0..600 {
            if self.queue.is_idle() {
                return;
            }
            self.tell();
            self.apply(Op::Wait { ms: 100 });
            for node in [1, 2, 1, 2] {
                self.apply(Op::Send { node });
                self.apply(Op::Process { node });
                self.apply(Op::Deliver { node });
            }
        }
        panic!("batches without outcome: {:?}", self.queue);
    }

    fn check(&self) {
        for (index, partition) in self.partitions.iter().enumerate() {
            // By value how many of its records are certainly there, and how many may be.
            let mut claims: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
            for (id, (_, value, count)) in self.pushed.iter().filter(|(_, one)| one.0 == index) {
                let claim = claims.entry(*value).or_default();
                match &self.outcomes[id] {
                    Outcome::Written { .. } => claim.0 += count,
                    Outcome::Unknown(_) => claim.1 += count,
                    _ => {}
                }
            }
            for (value, (written, unknown)) in &claims {
                let there = partition.log.iter().filter(|one| *one == value).count();
                assert!(
                    (*written..=written + unknown).contains(&there),
                    "{value} is there {there} times, {written} to {unknown} more were told: {:?}",
                    partition.log
                );
            }
            let written: Vec<u64> =
                claims.iter().filter(|(_, (written, _))| *written > 0).map(|one| *one.0).collect();
            let mut known: Vec<_> =
                partition.log.iter().filter(|value| written.contains(value)).copied().collect();
            known.dedup();
            assert_eq!(known, written, "the order of what was written");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Whatever is dropped, delayed, refused, moved or processed long after its connection died:
    /// what is said to be written is there once and in order, what is said not to be written is not
    /// there, and what is unknown is there at most once.
    #[test]
    fn outcomes_tell_the_truth(
        ops in prop::collection::vec(op(), 1..250),
        epoch in prop::sample::select(vec![0i16, i16::MAX - 1]),
        sequence in prop::sample::select(vec![0, 0, i32::MAX - 4]),
    ) {
        let mut world = World::new(epoch, sequence);
        for op in ops {
            world.apply(op);
        }
        world.heal();
        while !world.zombies.is_empty() {
            world.apply(Op::Zombie);
        }
        world.check();
    }

    /// With answers lost and connections cut, but no refusal and no batch out of time, nothing is
    /// left unknown.
    #[test]
    fn cuts_and_moves_alone_never_leave_an_outcome_open(ops in prop::collection::vec(op(), 1..250)) {
        let mut world = World::new(0, 0);
        for op in ops {
            match op {
                Op::Refuse { .. } | Op::Wait { ms: 40_000 } => {}
                // A request that a broker has read before its connection ended is processed before
                // the next one's.
                Op::Cut { node, .. } => {
                    world.apply(Op::Cut { node, zombies: true });
                    while !world.zombies.is_empty() {
                        world.apply(Op::Zombie);
                    }
                }
                op => world.apply(op),
            }
        }
        world.heal();
        world.check();
        let all = world.outcomes.values().all(|outcome| matches!(outcome, Outcome::Written { .. }));
        prop_assert!(all, "{:?}", world.outcomes);
    }
}
