//! Drawing a partition for records without a key (KIP-794). In: what waits for each partition, and a
//! random number; out: the partition that Java's built-in partitioner takes for that number.

/// A partition and what waits for it in the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// The partition's number.
    pub partition: i32,
    /// Batches that are full or open, but not sent.
    pub batches: usize,
    /// Whether it has a leader.
    pub is_led: bool,
    /// Whether the leader's broker takes what is sent to it within
    /// `partitioner.availability.timeout.ms`; see [`super::Pace`].
    pub keeps_up: bool,
}

/// The partitions to draw from, and how likely each is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Odds {
    partitions: Vec<i32>,
    /// For each partition its weight and those of all before it; empty if all weigh the same.
    sums: Vec<u64>,
}

impl Odds {
    /// Each of the partitions is as likely as any other.
    pub fn even(partitions: impl IntoIterator<Item = i32>) -> Self {
        Self { partitions: partitions.into_iter().collect(), sums: Vec::new() }
    }

    /// Without `partitioner.adaptive.partitioning.enable`: all partitions with a leader are as
    /// likely, or all if none has one: a record may wait at any.
    pub fn uniform(queues: &[Queue]) -> Self {
        let led = Self::even(queues.iter().filter(|queue| queue.is_led).map(partition));
        if led.partitions.is_empty() { Self::even(queues.iter().map(partition)) } else { led }
    }

    /// Of the partitions whose broker keeps up, each is the likelier the shorter its queue: the
    /// longest queue weighs one, and a batch less one more. Falls back to [`Odds::uniform`] where
    /// no broker does. `queues` are those of all the topic's partitions.
    pub fn adaptive(queues: &[Queue]) -> Self {
        let ready = || queues.iter().filter(|queue| queue.is_led && queue.keeps_up);
        let Some(longest) = ready().map(|queue| queue.batches).max() else {
            return Self::uniform(queues);
        };
        let weights = ready().map(|queue| (longest - queue.batches) as u64 + 1);
        let sums = weights.scan(0_u64, |sum, weight| {
            *sum = sum.saturating_add(weight);
            Some(*sum)
        });
        Self { partitions: ready().map(partition).collect(), sums: sums.collect() }
    }

    /// The partition for a random number: any of 64 bits will do, since far more numbers than
    /// weights make the remainder fair. `None` if there is no partition.
    pub fn draw(&self, random: u64) -> Option<i32> {
        let index = match self.sums.last() {
            Some(total) => {
                let drawn = random.checked_rem(*total)?;
                self.sums.partition_point(|sum| *sum <= drawn)
            }
            None => random.checked_rem(self.partitions.len() as u64)? as usize,
        };
        self.partitions.get(index).copied()
    }
}

fn partition(queue: &Queue) -> i32 {
    queue.partition
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(batches: &[usize]) -> Vec<Queue> {
        let numbered = (0..).zip(batches);
        numbered
            .map(|(partition, batches)| Queue {
                partition,
                batches: *batches,
                is_led: true,
                keeps_up: true,
            })
            .collect()
    }

    fn drawn(odds: &Odds, numbers: u64) -> Vec<i32> {
        (0..numbers).filter_map(|random| odds.draw(random)).collect()
    }

    #[test]
    fn a_shorter_queue_is_likelier() {
        let odds = Odds::adaptive(&queues(&[0, 3, 1]));
        assert_eq!(drawn(&odds, 9), [0, 0, 0, 0, 1, 2, 2, 2, 0]);
    }

    #[test]
    fn equal_queues_are_drawn_as_without_adapting() {
        let queues = queues(&[2, 2, 2]);
        assert_eq!(drawn(&Odds::adaptive(&queues), 7), drawn(&Odds::uniform(&queues), 7));
    }

    #[test]
    fn partitions_without_a_leader_or_with_a_slow_one_are_left_out_while_others_are_there() {
        let mut queues = queues(&[0, 0, 5, 0]);
        queues[0].keeps_up = false;
        queues[1].is_led = false;
        assert_eq!(drawn(&Odds::adaptive(&queues), 7), [2, 3, 3, 3, 3, 3, 3]);
        queues[2].keeps_up = false;
        queues[3].keeps_up = false;
        assert_eq!(drawn(&Odds::adaptive(&queues), 3), [0, 2, 3]);
        queues.iter_mut().for_each(|queue| queue.is_led = false);
        assert_eq!(drawn(&Odds::adaptive(&queues), 4), [0, 1, 2, 3]);
    }

    #[test]
    fn nothing_is_drawn_from_nothing() {
        assert_eq!(Odds::adaptive(&[]).draw(7), None);
        assert_eq!(Odds::default().draw(0), None);
    }
}
