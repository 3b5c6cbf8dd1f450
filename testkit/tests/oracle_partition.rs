//! The partition of a key against Kafka's own Java code: a record of ours must land where the Java
//! client would have put it, or keys would change their partition with the client.

use klamm_protocol::partition::murmur2;
use klamm_testkit::{apache, oracle};

#[test]
fn keys_hash_as_in_java() {
    let Some(mut java) = oracle::for_test(apache::NEWEST) else { return };
    let mut random = fastrand::Rng::with_seed(2);
    // Every length has to occur often: the last one to three bytes are hashed apart.
    let keys: Vec<Vec<u8>> = (0..100_000)
        .map(|i| std::iter::repeat_with(|| random.u8(..)).take(i % 70).collect())
        .collect();
    let ours: Vec<i32> = keys.iter().map(|key| murmur2(key)).collect();
    assert_eq!(java.murmur2(&keys).unwrap(), ours);
}
