//! `klamm stream --delivery exactly-once` as a process that is killed, stopped and doubled, over real brokers that are
//! killed as well: what Java's consumer of committed records reads is the input, partition by partition, in order, once.
//!
//! `KLAMM_ROUNDS` multiplies how often that happens; the default keeps the ordinary test run short.

mod job;
mod kills;
mod world;
mod zombies;
