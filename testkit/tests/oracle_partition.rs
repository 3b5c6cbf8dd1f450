//! The partition of a record against Kafka's own Java code: a record of ours must land where the
//! Java client would have put it, or keys would change their partition with the client.

use klamm_protocol::partition::{Odds, Queue, murmur2, partition_for_key};
use klamm_testkit::oracle::{Draw, KeyPartition, Waiting};
use klamm_testkit::{apache, oracle};

#[test]
fn keys_hash_and_go_to_partitions_as_in_java() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    let mut random = fastrand::Rng::with_seed(2);
    for partitions in [1, 12, 1009, i32::MAX] {
        // Every length has to occur often: the last one to three bytes are hashed apart.
        let keys: Vec<Vec<u8>> = (0..25_000)
            .map(|i| std::iter::repeat_with(|| random.u8(..)).take(i % 70).collect())
            .collect();
        let place = |key: &Vec<u8>| KeyPartition {
            hash: murmur2(key),
            partition: partition_for_key(key, partitions).unwrap(),
        };
        let ours: Vec<KeyPartition> = keys.iter().map(place).collect();
        assert_eq!(java.partitions_of(&keys, partitions).unwrap(), ours);
    }
}

#[test]
fn partitions_for_records_without_a_key_are_drawn_as_in_java() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    let mut random = fastrand::Rng::with_seed(3);
    let draws: Vec<Draw> = (0..10_000).map(|_| draw(&mut random)).collect();
    let drawn = java.draw_partitions(&draws).unwrap();
    for (draw, javas) in draws.iter().zip(drawn) {
        let queues: Vec<Queue> = (0..).zip(&draw.partitions).map(queue).collect();
        let odds = if draw.is_adaptive { Odds::adaptive(&queues) } else { Odds::uniform(&queues) };
        let number = u64::from(draw.random.unsigned_abs());
        assert_eq!(odds.draw(number), Some(javas), "{draw:?}");
    }
}

fn draw(random: &mut fastrand::Rng) -> Draw {
    let most = [1, 3, 50][random.usize(0..3)];
    let (led, keeping_up) = (random.f32() * 1.3, random.f32() * 1.3);
    let count = random.usize(1..=30);
    let partitions = (0..count).map(|_| Waiting {
        batches: random.i32(0..most),
        is_led: random.f32() < led,
        keeps_up: random.f32() < keeping_up,
    });
    let partitions = partitions.collect();
    Draw { random: random.i32(0..=i32::MAX), is_adaptive: random.u8(0..5) > 0, partitions }
}

fn queue((partition, waiting): (i32, &Waiting)) -> Queue {
    Queue {
        partition,
        batches: waiting.batches.unsigned_abs() as usize,
        is_led: waiting.is_led,
        keeps_up: waiting.keeps_up,
    }
}
