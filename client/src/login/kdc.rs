//! Asking a KDC over TCP (RFC 4120, 7.2.2). In: where KDCs are and a question's bytes; out: an
//! answer's. Several are asked in turn, each for its share of the time; a length is bounded before it
//! is believed.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, ErrorKind, Result};
use crate::net::dial::{Dial, late};

/// The answer of the first KDC that gives one which is not `unfit`, for the reason that this says.
///
/// # Errors
///
/// [`ErrorKind::Unreachable`] with what each KDC did.
///
/// # Cancel safety
///
/// Cancel safe: nothing is left behind.
pub(super) async fn ask(
    dial: &Arc<dyn Dial>,
    kdcs: &[(String, u16)],
    question: &[u8],
    unfit: impl Fn(&[u8]) -> Option<&'static str>,
    deadline: Instant,
) -> Result<Vec<u8>> {
    let mut failures = String::new();
    for (index, (host, port)) in kdcs.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(kdcs.len() - index).unwrap_or(u32::MAX);
        let asking = ask_one(dial, host, *port, question, share);
        let answer = timeout_at(Instant::now() + share, asking).await;
        let answer = answer.unwrap_or_else(|_| Err(late("its answer")));
        let answer = answer.and_then(|answer| match unfit(&answer) {
            Some(reason) => Err(io::Error::other(reason)),
            None => Ok(answer),
        });
        match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                let separator = if failures.is_empty() { "" } else { ", " };
                // Writing to a string does not fail.
                let _ = write!(failures, "{separator}{host}:{port}: {error}");
            }
        }
    }
    Err(Error::new(ErrorKind::Unreachable, "no KDC answers")
        .with("detail", failures)
        .with_hint("check the kdc lines in krb5.conf, and that they can be reached over TCP"))
}

async fn ask_one(
    dial: &Arc<dyn Dial>,
    host: &str,
    port: u16,
    question: &[u8],
    patience: Duration,
) -> io::Result<Vec<u8>> {
    let mut stream = dial.dial_within(host, port, patience).await?;
    let length = u32::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    stream.flush().await?;
    let length = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    if length > LARGEST {
        let what = format!("it answers with {length} bytes, so it is no KDC");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut answer = Vec::new();
    (&mut stream).take(length as u64).read_to_end(&mut answer).await?;
    if answer.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
}

/// Tickets hold lists of groups, but have to fit into a frame with which one logs in.
const LARGEST: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::net::dial::TcpDial;

    /// A KDC that takes one question and says this.
    async fn kdc(answer: Vec<u8>) -> (String, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("somebody");
            let mut question = [0; 9];
            stream.read_exact(&mut question).await.expect("a question");
            assert_eq!(&question, b"\0\0\0\x05hello");
            stream.write_all(&answer).await.expect("heard");
        });
        ("127.0.0.1".to_owned(), port)
    }

    async fn hear(kdcs: &[(String, u16)]) -> Result<Vec<u8>> {
        let dial: Arc<dyn Dial> = Arc::new(TcpDial::new(Duration::from_secs(5)));
        let unfit = |answer: &[u8]| (answer == b"no").then_some("it says no");
        ask(&dial, kdcs, b"hello", unfit, Instant::now() + Duration::from_secs(1)).await
    }

    #[tokio::test]
    async fn the_next_is_asked_where_one_is_silent_lies_breaks_off_or_cannot() {
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let silent_port = silent.local_addr().expect("bound").port();
        let kdcs = [
            ("127.0.0.1".to_owned(), silent_port),
            kdc(vec![0xff, 0xff, 0xff, 0xff]).await,
            kdc(b"\0\0\0\x05it".to_vec()).await,
            kdc(b"\0\0\0\x02no".to_vec()).await,
            kdc(b"\0\0\0\x03yesandmore".to_vec()).await,
        ];
        assert_eq!(hear(&kdcs).await.expect("an answer"), b"yes");
    }

    #[tokio::test]
    async fn where_none_answers_one_line_says_what_each_did() {
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = closed.local_addr().expect("bound").port();
        drop(closed);
        let error = hear(&[("127.0.0.1".to_owned(), port), kdc(vec![1; 4]).await]).await;
        let error = error.expect_err("none answers");
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        let line = error.to_string();
        assert!(line.contains("refused") && line.contains("it is no KDC"), "{line}");
    }
}
