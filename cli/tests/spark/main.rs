//! Klamm beside real Spark: the same topics on one real broker, read with the same options, and checkpoints that one of
//! them began and the other goes on with. Skipped where Spark can't be installed (`testkit/spark/install`);
//! `KLAMM_REQUIRE=spark` makes that a failure.

#[path = "../common/mod.rs"]
mod common;
mod crossover;
mod differential;
mod options;
mod scene;
mod story;
mod topics;
