//! A group in numbers. In: members and topics with their names; out: the same with small numbers
//! whose order is that of the names, and the orders in which Java's hash tables would yield them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::java::{self, HashOrder};
use super::table::{Lists, MemberNo, PartNo, Shares, TopicNo};
use super::{Member, Subscription, TopicLayout, TopicPartition, Topics};

/// All that an assignor looks at.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// By number.
    members: Vec<Peer<'a>>,
    /// The members as Java's table of subscriptions yields them.
    member_order: Vec<MemberNo>,
    /// All that anybody subscribes to, by number.
    topics: Vec<Topic<'a>>,
    by_name: BTreeMap<&'a str, TopicNo>,
    /// The topics with partitions, as Java's table of them yields them.
    topic_order: Vec<TopicNo>,
    /// By number.
    parts: Vec<Part>,
}

/// A member.
#[derive(Debug)]
pub(super) struct Peer<'a> {
    pub(super) id: &'a str,
    pub(super) instance: Option<&'a str>,
    /// The rack, if it has one and it is not empty.
    pub(super) rack: Option<&'a str>,
    pub(super) subscription: &'a Subscription,
    /// What it subscribes to, as it says it: in its order, and twice what it says twice.
    pub(super) topics: Vec<TopicNo>,
    /// Those of `topics` that have partitions.
    pub(super) readable: Vec<TopicNo>,
    sorted: BTreeSet<TopicNo>,
}

impl Peer<'_> {
    /// Whether it subscribes to a topic.
    pub(super) fn reads(&self, topic: TopicNo) -> bool {
        self.sorted.contains(&topic)
    }
}

/// A topic that somebody subscribes to.
#[derive(Debug)]
pub(super) struct Topic<'a> {
    pub(super) hash: i32,
    /// Its name and layout, if it exists.
    found: Option<(&'a Arc<str>, &'a TopicLayout)>,
    first: usize,
}

impl Topic<'_> {
    pub(super) fn len(&self) -> usize {
        self.found.map_or(0, |(_, layout)| layout.partitions)
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = PartNo> + use<> {
        self.range().map(PartNo)
    }

    fn range(&self) -> Range<usize> {
        self.first..self.first.saturating_add(self.len())
    }
}

/// A partition.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    pub(super) topic: TopicNo,
    pub(super) number: i32,
}

impl<'a> Group<'a> {
    pub(super) fn new(members: &'a [Member], topics: &'a Topics) -> Self {
        let (members, member_order) = number_members(members);
        let mut group = Self {
            members,
            member_order,
            topics: Vec::new(),
            by_name: BTreeMap::new(),
            topic_order: Vec::new(),
            parts: Vec::new(),
        };
        group.number_topics(topics);
        group.order_topics();
        group
    }

    /// The members, in the order of Java's table.
    pub(super) fn members(&self) -> impl DoubleEndedIterator<Item = (MemberNo, &Peer<'a>)> {
        self.member_order.iter().filter_map(|number| Some((*number, self.member(*number)?)))
    }

    /// The members in the order in which all but the sticky assignors serve them: static ones
    /// first and by their names, the others by their ids.
    pub(super) fn served(&self) -> Vec<(MemberNo, &Peer<'a>)> {
        let mut served: Vec<_> = self.members().collect();
        served.sort_by(|(a, one), (b, other)| match (one.instance, other.instance) {
            (Some(one), Some(other)) => java::compare(one, other),
            (one, other) => other.is_some().cmp(&one.is_some()).then(a.cmp(b)),
        });
        served
    }

    pub(super) fn member(&self, number: MemberNo) -> Option<&Peer<'a>> {
        self.members.get(number.0)
    }

    pub(super) fn member_count(&self) -> usize {
        self.members.len()
    }

    /// The topics with partitions, by name.
    pub(super) fn topics(&self) -> impl Iterator<Item = (TopicNo, &Topic<'a>)> {
        let numbered = self.topics.iter().enumerate();
        numbered.map(|(i, topic)| (TopicNo(i), topic)).filter(|(_, topic)| topic.len() > 0)
    }

    /// The topics with partitions, in the order of Java's table.
    pub(super) fn topics_in_table_order(&self) -> impl Iterator<Item = (TopicNo, &Topic<'a>)> {
        self.topic_order.iter().filter_map(|number| Some((*number, self.topic(*number)?)))
    }

    pub(super) fn topic(&self, number: TopicNo) -> Option<&Topic<'a>> {
        self.topics.get(number.0)
    }

    /// How many topics have partitions.
    pub(super) fn topic_count(&self) -> usize {
        self.topic_order.len()
    }

    /// One more than the highest number of a topic.
    pub(super) fn topic_numbers(&self) -> usize {
        self.topics.len()
    }

    /// All partitions, by topic, then number.
    pub(super) fn parts(&self) -> impl Iterator<Item = PartNo> + use<> {
        (0..self.parts.len()).map(PartNo)
    }

    pub(super) fn part_count(&self) -> usize {
        self.parts.len()
    }

    pub(super) fn part(&self, number: PartNo) -> Part {
        self.parts.get(number.0).copied().unwrap_or_default()
    }

    /// The number of a partition that exists and somebody subscribes to.
    pub(super) fn find(&self, partition: &TopicPartition) -> Option<PartNo> {
        let topic = self.topic(*self.by_name.get(&*partition.topic)?)?;
        let number = usize::try_from(partition.partition).ok().filter(|n| *n < topic.len())?;
        Some(PartNo(topic.first + number))
    }

    /// The racks of a partition's replicas.
    pub(super) fn racks(&self, number: PartNo) -> BTreeSet<&'a str> {
        let part = self.part(number);
        let racks = || {
            let (_, layout) = self.topic(part.topic)?.found?;
            layout.racks.get(usize::try_from(part.number).ok()?)
        };
        racks().map_or_else(BTreeSet::new, |racks| racks.iter().map(|rack| &**rack).collect())
    }

    /// The answer in names.
    pub(super) fn named(&self, shares: &Shares) -> BTreeMap<String, Vec<TopicPartition>> {
        let name = |number: &PartNo| {
            let part = self.part(*number);
            let (name, _) = self.topic(part.topic)?.found?;
            Some(TopicPartition { topic: Arc::clone(name), partition: part.number })
        };
        let numbered = self.members.iter().enumerate();
        numbered
            .map(|(i, peer)| (peer.id.to_owned(), shares.of(i).iter().filter_map(name).collect()))
            .collect()
    }

    /// For each topic who subscribes to it, in the order of Java's table, and twice who says it
    /// twice.
    pub(super) fn readers(&self) -> Lists<MemberNo> {
        let mut readers = Lists::new(self.topics.len());
        for (number, peer) in self.members() {
            for topic in &peer.readable {
                readers.push(topic.0, number);
            }
        }
        readers
    }

    fn number_topics(&mut self, topics: &'a Topics) {
        let wanted = self.members.iter().flat_map(|peer| &peer.subscription.topics);
        let wanted: BTreeSet<&str> = wanted.map(String::as_str).collect();
        let mut names: Vec<&str> = wanted.into_iter().collect();
        names.sort_by(|a, b| java::compare(a, b));
        for (i, name) in names.into_iter().enumerate() {
            let found = topics.get_key_value(name);
            let topic = Topic { hash: java::string_hash(name), found, first: self.parts.len() };
            // Numbers on the wire have 31 bits; a topic with more partitions can't exist.
            let numbers = (0..=i32::MAX).take(topic.len());
            self.parts.extend(numbers.map(|number| Part { topic: TopicNo(i), number }));
            self.topics.push(topic);
            self.by_name.insert(name, TopicNo(i));
        }
        for peer in &mut self.members {
            let names = peer.subscription.topics.iter();
            peer.topics = names.filter_map(|name| self.by_name.get(&**name).copied()).collect();
            peer.sorted = peer.topics.iter().copied().collect();
            let exists = |topic: &TopicNo| self.topics.get(topic.0).is_some_and(|t| t.len() > 0);
            peer.readable = peer.topics.iter().copied().filter(exists).collect();
        }
    }

    /// Java gathers the names in one table, and walks that to fill another with those that exist.
    fn order_topics(&mut self) {
        let mut named = HashOrder::default();
        for (_, peer) in self.members() {
            for topic in &peer.topics {
                named.insert(*topic, self.topic(*topic).map_or(0, |topic| topic.hash));
            }
        }
        let mut found = HashOrder::default();
        for number in named.iter() {
            if let Some(topic) = self.topic(number).filter(|topic| topic.len() > 0) {
                found.insert(number, topic.hash);
            }
        }
        self.topic_order = found.iter().collect();
    }
}

/// The members by number, and their order in Java's table. A second one of the same id takes the
/// place of the first.
fn number_members(members: &[Member]) -> (Vec<Peer<'_>>, Vec<MemberNo>) {
    let by_id: BTreeMap<&str, &Member> = members.iter().map(|m| (m.id.as_str(), m)).collect();
    let mut sorted: Vec<&Member> = by_id.into_values().collect();
    sorted.sort_by(|a, b| java::compare(&a.id, &b.id));
    let numbers: BTreeMap<&str, MemberNo> =
        sorted.iter().enumerate().map(|(i, member)| (member.id.as_str(), MemberNo(i))).collect();
    let mut order = HashOrder::default();
    for member in members {
        if let Some(number) = numbers.get(&*member.id) {
            order.insert(*number, java::string_hash(&member.id));
        }
    }
    (sorted.into_iter().map(peer).collect(), order.iter().collect())
}

fn peer(member: &Member) -> Peer<'_> {
    Peer {
        id: &member.id,
        instance: member.instance_id.as_deref(),
        rack: member.subscription.rack.as_deref().filter(|rack| !rack.is_empty()),
        subscription: &member.subscription,
        topics: Vec::new(),
        readable: Vec::new(),
        sorted: BTreeSet::new(),
    }
}
