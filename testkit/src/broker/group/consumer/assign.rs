//! Who reads what in a group whose coordinator assigns (KIP-848): in go members with their topics
//! and what they were meant to read so far, out comes what each shall read. The two assignors of
//! Kafka's brokers: `uniform`, balanced and sticky, and `range`, in the order of names.

use std::collections::{BTreeMap, BTreeSet};

use klamm_protocol::wire::Uuid;

/// Partitions by topic.
pub(crate) type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;

/// One member, as assignors see it.
#[derive(Clone, Debug)]
pub(crate) struct Subscriber {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) topics: BTreeSet<Uuid>,
    /// What it was meant to read before.
    pub(crate) before: Partitions,
}

/// An assignment strategy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Assignor {
    /// Loads differ by one partition at most, and as little as possible moves.
    #[default]
    Uniform,
    /// A run of each topic's partitions for each member.
    Range,
}

impl Assignor {
    /// The assignor of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "uniform" => Some(Self::Uniform),
            "range" => Some(Self::Range),
            _ => None,
        }
    }

    /// Its name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// What each member shall read; `counts` are the partitions of each topic.
    pub(crate) fn assign(
        self,
        subscribers: &[Subscriber],
        counts: &BTreeMap<Uuid, i32>,
    ) -> BTreeMap<String, Partitions> {
        match self {
            Self::Uniform => uniform(subscribers, counts),
            Self::Range => range(subscribers, counts),
        }
    }
}

fn range(subscribers: &[Subscriber], counts: &BTreeMap<Uuid, i32>) -> BTreeMap<String, Partitions> {
    let mut ordered: Vec<&Subscriber> = subscribers.iter().collect();
    // Static members first, by their instance, so that they keep their runs when they come back.
    ordered.sort_by_key(|one| (one.instance_id.is_none(), &one.instance_id, &one.member_id));
    let mut shares: BTreeMap<String, Partitions> =
        ordered.iter().map(|one| (one.member_id.clone(), Partitions::new())).collect();
    for (&topic, &count) in counts {
        let readers: Vec<_> = ordered.iter().filter(|one| one.topics.contains(&topic)).collect();
        let each = readers.len().max(1) as i32;
        let (quota, mut extra) = (count / each, count % each);
        let mut next = 0;
        for reader in readers {
            let end = next + quota + i32::from(extra > 0);
            extra -= 1;
            if next < end
                && let Some(share) = shares.get_mut(&reader.member_id)
            {
                share.insert(topic, (next..end).collect());
            }
            next = end;
        }
    }
    shares
}

fn uniform(
    subscribers: &[Subscriber],
    counts: &BTreeMap<Uuid, i32>,
) -> BTreeMap<String, Partitions> {
    let mut deal = Deal::keep(subscribers, counts);
    for (&topic, &count) in counts {
        for partition in 0..count {
            if !deal.taken.contains(&(topic, partition))
                && let Some(to) = deal.least_loaded(topic)
            {
                deal.give(to, topic, partition);
            }
        }
    }
    deal.balance();
    let members = subscribers.iter().map(|one| one.member_id.clone());
    members.zip(deal.shares).collect()
}

/// Partitions being dealt out; members by their place in the list of subscribers.
struct Deal<'a> {
    subscribers: &'a [Subscriber],
    shares: Vec<Partitions>,
    loads: Vec<usize>,
    taken: BTreeSet<(Uuid, i32)>,
}

impl<'a> Deal<'a> {
    /// Everybody keeps what is still there and still wanted.
    fn keep(subscribers: &'a [Subscriber], counts: &BTreeMap<Uuid, i32>) -> Self {
        let none = vec![Partitions::new(); subscribers.len()];
        let loads = vec![0; subscribers.len()];
        let mut deal = Self { subscribers, shares: none, loads, taken: BTreeSet::new() };
        for (at, subscriber) in subscribers.iter().enumerate() {
            for (&topic, partitions) in &subscriber.before {
                let count = counts.get(&topic).copied().unwrap_or(0);
                for &partition in partitions.iter().filter(|&&partition| partition < count) {
                    let is_free = !deal.taken.contains(&(topic, partition));
                    if is_free && subscriber.topics.contains(&topic) {
                        deal.give(at, topic, partition);
                    }
                }
            }
        }
        deal
    }

    fn least_loaded(&self, topic: Uuid) -> Option<usize> {
        let readers = self.subscribers.iter().enumerate();
        let readers = readers.filter(|(_, one)| one.topics.contains(&topic));
        readers.map(|(at, _)| at).min_by_key(|&at| (self.loads[at], at))
    }

    fn give(&mut self, to: usize, topic: Uuid, partition: i32) {
        self.shares[to].entry(topic).or_default().insert(partition);
        self.loads[to] += 1;
        self.taken.insert((topic, partition));
    }

    /// Moves single partitions from the loaded to the less loaded while that makes loads more
    /// equal. Each move makes the sum of their squares smaller, so that this ends.
    fn balance(&mut self) {
        while let Some((from, to, topic, partition)) = self.better_move() {
            if let Some(partitions) = self.shares[from].get_mut(&topic) {
                partitions.remove(&partition);
                if partitions.is_empty() {
                    self.shares[from].remove(&topic);
                }
            }
            self.loads[from] -= 1;
            self.give(to, topic, partition);
        }
    }

    fn better_move(&self) -> Option<(usize, usize, Uuid, i32)> {
        let mut order: Vec<usize> = (0..self.loads.len()).collect();
        order.sort_by_key(|&at| (std::cmp::Reverse(self.loads[at]), at));
        order.into_iter().find_map(|from| {
            self.shares[from].iter().find_map(|(&topic, partitions)| {
                let to = self.least_loaded(topic)?;
                let partition = *partitions.last()?;
                (self.loads[from] > self.loads[to] + 1).then_some((from, to, topic, partition))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(n: u8) -> Uuid {
        Uuid([n; 16])
    }

    fn subscriber(id: &str, topics: &[u8], before: &[(u8, &[i32])]) -> Subscriber {
        Subscriber {
            member_id: id.to_owned(),
            instance_id: None,
            topics: topics.iter().map(|&n| topic(n)).collect(),
            before: before
                .iter()
                .map(|(n, partitions)| (topic(*n), partitions.iter().copied().collect()))
                .collect(),
        }
    }

    fn counts(counts: &[(u8, i32)]) -> BTreeMap<Uuid, i32> {
        counts.iter().map(|&(n, count)| (topic(n), count)).collect()
    }

    fn load(share: &Partitions) -> usize {
        share.values().map(BTreeSet::len).sum()
    }

    #[test]
    fn uniform_loads_differ_by_one_at_most_and_little_moves() {
        let members = [
            subscriber("a", &[1, 2], &[(1, &[0, 1, 2]), (2, &[0, 1])]),
            subscriber("b", &[1, 2], &[(2, &[2])]),
            subscriber("c", &[1, 2], &[]),
        ];
        let shares = Assignor::Uniform.assign(&members, &counts(&[(1, 4), (2, 3)]));
        let loads: Vec<_> = shares.values().map(load).collect();
        assert_eq!(loads.iter().sum::<usize>(), 7);
        assert!(loads.iter().all(|load| (2..=3).contains(load)), "{loads:?}");
        assert!(shares["b"][&topic(2)].contains(&2), "what fits stays");
        let all: BTreeSet<_> = shares
            .values()
            .flatten()
            .flat_map(|(topic, partitions)| partitions.iter().map(move |p| (*topic, *p)))
            .collect();
        assert_eq!(all.len(), 7, "each partition has one reader");
    }

    #[test]
    fn uniform_gives_nobody_what_it_does_not_want() {
        let members =
            [subscriber("a", &[1], &[(2, &[0]), (1, &[9])]), subscriber("b", &[1, 2], &[])];
        let shares = Assignor::Uniform.assign(&members, &counts(&[(1, 2), (2, 4)]));
        assert_eq!(shares["a"], counts_of(1, &[0, 1]));
        assert_eq!(load(&shares["b"]), 4);
    }

    fn counts_of(n: u8, partitions: &[i32]) -> Partitions {
        [(topic(n), partitions.iter().copied().collect())].into()
    }

    #[test]
    fn range_deals_runs_in_the_order_of_names_static_members_first() {
        let mut members = [
            subscriber("a", &[1, 2], &[]),
            subscriber("b", &[1, 2], &[]),
            subscriber("z", &[1], &[]),
        ];
        members[2].instance_id = Some("i".to_owned());
        let shares = Assignor::Range.assign(&members, &counts(&[(1, 7), (2, 3)]));
        assert_eq!(shares["z"], counts_of(1, &[0, 1, 2]));
        assert_eq!(shares["a"][&topic(1)], [3, 4].into());
        assert_eq!(shares["a"][&topic(2)], [0, 1].into());
        assert_eq!(shares["b"][&topic(2)], [2].into());
    }

    #[test]
    fn more_members_than_partitions_leave_some_without() {
        let members = [subscriber("a", &[1], &[]), subscriber("b", &[1], &[])];
        for assignor in [Assignor::Uniform, Assignor::Range] {
            let shares = assignor.assign(&members, &counts(&[(1, 1)]));
            assert_eq!((load(&shares["a"]), load(&shares["b"])), (1, 0));
        }
    }
}
