//! Sums amounts by key from a topic into a SQLite file, each record exactly once: totals and offsets are stored in one
//! transaction, and a start goes on where the file ends. Kill it whenever you like, and start it again.
//!
//! ```text
//! cargo run -p klamm-connector --example totals_in_sqlite -- localhost:9092 amounts totals.db
//! ```
#![allow(clippy::print_stdout, reason = "a program that tells what it does")]

mod job;
mod store;

use job::{Outcome, open, stage};
use store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, topic, path] = arguments.as_slice() else {
        return Err("give a server, a topic and a file: localhost:9092 amounts totals.db".into());
    };
    let store = Store::open(path)?;
    let mut stream = open(server, topic, 100_000, &store).await?;
    loop {
        let batch = stream.next().await?;
        if batch.info().records > 0 {
            stage(&batch, &store).await?.commit()?;
            let info = stream.complete(batch);
            println!("{} records\n{}\n{}", info.records, info.description, store.totals()?);
        } else {
            stream.complete(batch);
        }
    }
}
