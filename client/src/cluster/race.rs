//! The first of several attempts to succeed. In: attempts in their order of preference; out: the
//! first success, or one error that tells all failures.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::error::{Error, ErrorKind, Result};

/// Starts the attempts one after another, the next as soon as one has failed or has let a quarter
/// of a second pass. All others are ended when one succeeds, at `deadline`, and when the future is
/// dropped.
pub(super) async fn race<A, T: 'static>(
    attempts: Vec<A>,
    deadline: Instant,
    mut spawn: impl FnMut(A, &mut JoinSet<Result<T>>),
) -> Result<T> {
    let mut waiting = attempts.into_iter();
    let (mut tasks, mut failures) = (JoinSet::new(), Vec::new());
    let mut next_at = Instant::now();
    loop {
        if next_at <= Instant::now() || tasks.is_empty() {
            match waiting.next() {
                Some(attempt) => spawn(attempt, &mut tasks),
                None if tasks.is_empty() => return Err(all_failed(failures)),
                None => {}
            }
            next_at = Instant::now() + STAGGER;
        }
        tokio::select! {
            biased;
            Some(joined) = tasks.join_next() => match joined {
                Ok(Ok(winner)) => return Ok(winner),
                Ok(Err(error)) => {
                    failures.push(error);
                    next_at = Instant::now();
                }
                // A task is only lost with its runtime, and then nobody waits here either.
                Err(lost) => {
                    let error = Error::new(ErrorKind::Internal, "an attempt was lost");
                    failures.push(error.with_source(lost));
                }
            },
            () = sleep_until(deadline) => return Err(out_of_time(failures)),
            () = sleep_until(next_at), if waiting.len() > 0 => {}
        }
    }
}

/// A single failure speaks for itself. Of several, the kind is that of the most telling: a port
/// that is not Kafka's is worth more to know than one that is closed.
fn all_failed(mut failures: Vec<Error>) -> Error {
    if failures.len() <= 1 {
        let nobody = || Error::new(ErrorKind::Unreachable, "there is no broker to turn to");
        return failures.pop().unwrap_or_else(nobody);
    }
    let telling = failures.iter().find(|error| !error.is_retriable()).or(failures.first());
    let kind = telling.map_or(ErrorKind::Unreachable, Error::kind);
    summary(kind, "none of the brokers can be used", &failures)
}

fn out_of_time(failures: Vec<Error>) -> Error {
    summary(ErrorKind::TimedOut, "no broker could be reached in time", &failures)
        .with_hint("check that the brokers run and that bootstrap.servers names their listeners")
}

fn summary(kind: ErrorKind, what: &'static str, failures: &[Error]) -> Error {
    let error = failures.iter().take(TOLD).fold(Error::new(kind, what), |error, failure| {
        let detail =
            failure.context("detail").map(|detail| format!(": {detail}")).unwrap_or_default();
        let broker = failure.context("broker").unwrap_or("?");
        error.with("tried", format!("{broker} {}{detail}", failure.what()))
    });
    let error =
        if failures.len() > TOLD { error.with("and others", failures.len() - TOLD) } else { error };
    match failures.last() {
        Some(last) => {
            error.with_hint(last.hint().unwrap_or_default().to_owned()).with_source(last.clone())
        }
        None => error,
    }
}

/// How long an attempt has the field to itself.
const STAGGER: Duration = Duration::from_millis(250);

/// How many failures one line can hold.
const TOLD: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(kind: ErrorKind) -> Error {
        Error::new(kind, "no").with("broker", "b").with_hint("mend it")
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_success_wins_and_failures_start_the_next_at_once() {
        let begun = Instant::now();
        let winner = race(vec![0, 1, 2], begun + Duration::from_secs(9), |attempt, tasks| {
            tasks.spawn(async move {
                if attempt == 2 { Ok(attempt) } else { Err(failing(ErrorKind::Unreachable)) }
            });
        });
        assert_eq!(winner.await.ok(), Some(2));
        assert_eq!(Instant::now(), begun);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_attempt_does_not_hold_up_the_others() {
        let begun = Instant::now();
        let winner = race(vec![0, 1], begun + Duration::from_secs(9), |attempt, tasks| {
            tasks.spawn(async move {
                if attempt == 0 {
                    std::future::pending::<()>().await;
                }
                Ok(attempt)
            });
        });
        assert_eq!(winner.await.ok(), Some(1));
        assert_eq!(Instant::now() - begun, STAGGER);
    }

    #[tokio::test(start_paused = true)]
    async fn all_failures_are_told_and_the_most_telling_gives_the_kind() {
        let deadline = Instant::now() + Duration::from_secs(9);
        let kinds = vec![ErrorKind::Unreachable, ErrorKind::NotKafka];
        let error = race::<_, ()>(kinds, deadline, |kind, tasks| {
            tasks.spawn(async move { Err(failing(kind)) });
        });
        let error = error.await.expect_err("all have failed");
        assert_eq!(error.kind(), ErrorKind::NotKafka);
        assert!(error.to_string().ends_with("; mend it"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_ends_a_race_of_silent_attempts() {
        let deadline = Instant::now() + Duration::from_secs(9);
        let error = race::<_, ()>(vec![()], deadline, |(), tasks| {
            tasks.spawn(std::future::pending());
        });
        assert_eq!(error.await.err().map(|error| error.kind()), Some(ErrorKind::TimedOut));
        assert_eq!(Instant::now(), deadline);
    }
}
