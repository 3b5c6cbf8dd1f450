//! What a silent peer is. In: an address that took Kafka's first words and said nothing; out: whether a
//! web server listens there. Most of them wait for a line to end, which those words never do.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::net::dial::Dial;

/// Whether the address answers a request of HTTP within half a second. Asks over a connection of its
/// own, and only who has given the address up as a broker should ask: a broker that is merely slow
/// would log the attempt.
///
/// # Cancel safety
///
/// Cancel safe.
pub(crate) async fn speaks_http(dial: &dyn Dial, host: &str, port: u16) -> bool {
    let answer = async {
        let mut stream = dial.dial(host, port).await.ok()?;
        stream.write_all(b"HEAD / HTTP/1.0\r\n\r\n").await.ok()?;
        let mut first = [0; 5];
        stream.read_exact(&mut first).await.ok()?;
        Some(&first == b"HTTP/")
    };
    matches!(timeout(PATIENCE, answer).await, Ok(Some(true)))
}

/// A web server on the way to a user's broker answers much faster.
const PATIENCE: Duration = Duration::from_millis(500);
