//! Members and a model of their coordinator in random order: heartbeats and answers cross, get lost
//! and come late, members leave and are fenced. After each step nobody owns what another owns.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// Time passes, and each member that has something to send sends it.
    Pass(u64),
    /// The coordinator takes the oldest heartbeat of a member.
    Serve(usize),
    /// A member takes in its answer.
    Answer(usize),
    /// The request or its answer of a member is lost.
    Fail(usize),
    /// A member says that it has let go.
    Revoked(usize),
    Leave(usize),
    Join(usize),
    /// The coordinator takes a member for dead; the member has been told to have lost everything by
    /// its own clock, as sessions are long against answers.
    Expire(usize),
    /// The coordinator wants another share for everybody.
    Shuffle(u64),
}

/// A member as the world sees it.
struct Peer {
    group: GroupNext,
    revocation: Option<(RevocationId, Vec<TopicPartition>)>,
    sent: VecDeque<ConsumerGroupHeartbeatRequest>,
    answers: VecDeque<ConsumerGroupHeartbeatResponse>,
    /// What the events say that it owns.
    owned: BTreeSet<i32>,
}

/// The coordinator: epochs, targets, and who may still hold what.
#[derive(Default)]
struct Coordinator {
    epochs: BTreeMap<usize, i32>,
    targets: BTreeMap<usize, BTreeSet<i32>>,
    /// What each member was given and has not said to have let go.
    held: BTreeMap<usize, BTreeSet<i32>>,
}

impl Coordinator {
    fn serve(
        &mut self,
        member: usize,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> ConsumerGroupHeartbeatResponse {
        let refused =
            |error_code| ConsumerGroupHeartbeatResponse { error_code, ..response(0, None) };
        if request.member_epoch < 0 {
            self.remove(member);
            return response(request.member_epoch, None);
        }
        if request.member_epoch == 0 {
            self.remove(member);
            let epoch = self.epochs.values().max().copied().unwrap_or_default() + 1;
            self.epochs.insert(member, epoch);
            self.shuffle(0);
        }
        let Some(epoch) = self.epochs.get(&member).copied() else {
            return refused(ErrorCode::UNKNOWN_MEMBER_ID);
        };
        if request.member_epoch != 0 && request.member_epoch + 1 < epoch {
            return refused(ErrorCode::FENCED_MEMBER_EPOCH);
        }
        if let (Some(owned), true) = (&request.topic_partitions, request.member_epoch > 0) {
            let owned: BTreeSet<i32> =
                owned.iter().flat_map(|topic| topic.partitions.clone()).collect();
            let target = self.targets.get(&member).cloned().unwrap_or_default();
            if let Some(held) = self.held.get_mut(&member) {
                held.retain(|one| owned.contains(one) || target.contains(one));
            }
        }
        let target = self.targets.get(&member).cloned().unwrap_or_default();
        let others = self.held.iter().filter(|(id, _)| **id != member);
        let taken: BTreeSet<i32> = others.flat_map(|(_, held)| held.clone()).collect();
        let free: Vec<i32> = target.difference(&taken).copied().collect();
        self.held.entry(member).or_default().extend(free.iter().copied());
        response(epoch, Some((T, &free)))
    }

    fn remove(&mut self, member: usize) {
        self.epochs.remove(&member);
        self.targets.remove(&member);
        self.held.remove(&member);
        self.shuffle(0);
    }

    fn shuffle(&mut self, turn: u64) {
        let members: Vec<usize> = self.epochs.keys().copied().collect();
        self.targets.clear();
        for partition in 0..PARTITIONS {
            if let Some(at) = (partition as u64 * 7 + turn).checked_rem(members.len() as u64) {
                self.targets.entry(members[at as usize]).or_default().insert(partition);
            }
        }
    }
}

struct World {
    peers: Vec<Peer>,
    coordinator: Coordinator,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let peer = |id: usize| {
            let mut group = GroupNext::new(now, options(&id.to_string(), None));
            group.handle_names(now, [(T, Arc::from("t"))]);
            group.subscribe(now, Wanted::Topics(BTreeSet::from(["t".to_owned()])));
            Peer {
                group,
                revocation: None,
                sent: VecDeque::new(),
                answers: VecDeque::new(),
                owned: BTreeSet::new(),
            }
        };
        Self { peers: (0..3).map(peer).collect(), coordinator: Coordinator::default(), now }
    }

    fn step(&mut self, step: &Step) {
        let now = self.now;
        match *step {
            Step::Pass(ms) => {
                self.now += Duration::from_millis(ms);
                for peer in &mut self.peers {
                    peer.sent.extend(peer.group.poll_transmit(self.now));
                }
            }
            Step::Serve(id) => {
                if let Some(request) = self.peers[id].sent.pop_front() {
                    let answer = self.coordinator.serve(id, &request);
                    self.peers[id].answers.push_back(answer);
                }
            }
            Step::Answer(id) => {
                if let Some(answer) = self.peers[id].answers.pop_front() {
                    self.peers[id].group.handle_answer(now, answer);
                }
            }
            Step::Fail(id) => {
                let peer = &mut self.peers[id];
                if !(peer.sent.is_empty() && peer.answers.is_empty()) {
                    peer.sent.clear();
                    peer.answers.clear();
                    peer.group.handle_failure(now);
                }
            }
            Step::Revoked(id) => {
                let peer = &mut self.peers[id];
                if let Some((revocation, partitions)) = peer.revocation.take() {
                    peer.group.revoked(now, revocation);
                    peer.owned.retain(|one| partitions.iter().all(|gone| gone.partition != *one));
                }
            }
            Step::Leave(id) => self.peers[id].group.leave(now, false),
            Step::Join(id) => self.peers[id].group.join(now),
            Step::Expire(id) => {
                let peer = &mut self.peers[id];
                peer.sent.clear();
                peer.answers.clear();
                peer.group.handle_failure(now);
                if let Some(request) = peer.group.poll_transmit(now + secs(9)) {
                    self.now += secs(9);
                    self.coordinator.epochs.remove(&id);
                    let answer = self.coordinator.serve(id, &request);
                    peer.group.handle_answer(self.now, answer);
                }
                self.drain(id);
                if self.peers[id].owned.is_empty() {
                    self.coordinator.remove(id);
                }
            }
            Step::Shuffle(turn) => self.coordinator.shuffle(turn),
        }
        for id in 0..self.peers.len() {
            self.drain(id);
        }
    }

    fn drain(&mut self, id: usize) {
        let peer = &mut self.peers[id];
        while let Some(event) = peer.group.poll_event() {
            match event {
                MemberEvent::Assigned(new) => {
                    for one in new {
                        assert!(peer.owned.insert(one.partition), "given twice");
                    }
                }
                MemberEvent::Lost(lost) => {
                    let lost = lost.iter().map(|one| one.partition).collect::<BTreeSet<_>>();
                    assert_eq!(lost, std::mem::take(&mut peer.owned));
                    peer.revocation = None;
                }
                MemberEvent::Revoke { id, partitions } => {
                    assert!(partitions.iter().all(|one| peer.owned.contains(&one.partition)));
                    peer.revocation = Some((id, partitions));
                }
                _ => {}
            }
        }
        let owns: BTreeSet<i32> = peer.group.owned().map(|one| one.partition).collect();
        assert_eq!(owns, peer.owned, "the events tell something else than is owned");
    }

    fn check(&self) {
        let mut seen = BTreeSet::new();
        for peer in &self.peers {
            for partition in &peer.owned {
                assert!(seen.insert(*partition), "{partition} is owned twice");
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..3_usize;
    prop_oneof![
        6 => (0..6000_u64).prop_map(Step::Pass),
        6 => id.clone().prop_map(Step::Serve),
        6 => id.clone().prop_map(Step::Answer),
        3 => id.clone().prop_map(Step::Revoked),
        1 => id.clone().prop_map(Step::Fail),
        1 => id.clone().prop_map(Step::Leave),
        2 => id.clone().prop_map(Step::Join),
        1 => id.prop_map(Step::Expire),
        1 => any::<u64>().prop_map(Step::Shuffle),
    ]
}

proptest! {
    #[test]
    fn nobody_owns_what_another_owns_whatever_happens(steps in proptest::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            world.check();
        }
        world.settle();
    }
}

impl World {
    /// Left in peace, everybody gets to the target, and every partition is owned.
    fn settle(&mut self) {
        for _ in 0..60 {
            for id in 0..self.peers.len() {
                for step in [Step::Join(id), Step::Pass(1000), Step::Serve(id), Step::Answer(id)] {
                    self.step(&step);
                }
                self.step(&Step::Revoked(id));
                self.check();
            }
        }
        let owned: usize = self.peers.iter().map(|peer| peer.owned.len()).sum();
        assert_eq!(owned, PARTITIONS as usize);
    }
}

const PARTITIONS: i32 = 6;
