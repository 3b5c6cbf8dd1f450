//! When tokens are obtained again: the time and what became of the last attempt in, whether it is time again out.

use std::time::Duration;

use crate::options::TokenSettings;

/// Decides when to obtain tokens. It knows no clock: times are given, in milliseconds since 1970.
///
/// After three quarters of a token's life by default it is time for the next one. When that fails, it is tried again
/// while the token still lives, each time after a quarter of the rest, and no later than after
/// `spark.security.credentials.retryWait`.
#[derive(Clone, Debug, PartialEq)]
pub struct Renewal {
    ratio: f64,
    retry_wait: i64,
    expires: Option<i64>,
    due: i64,
}

impl Renewal {
    /// Due at once.
    pub fn new(settings: &TokenSettings) -> Self {
        let retry_wait = i64::try_from(settings.retry_wait.as_millis()).unwrap_or(i64::MAX);
        Self { ratio: settings.renewal_ratio, retry_wait, expires: None, due: i64::MIN }
    }

    /// Whether to obtain tokens now.
    pub fn is_due(&self, now_ms: i64) -> bool {
        self.due <= now_ms
    }

    /// How long nothing has to be done, if the clock runs evenly.
    pub fn wait(&self, now_ms: i64) -> Duration {
        let left = self.due.saturating_sub(now_ms).max(0);
        Duration::from_millis(left.unsigned_abs())
    }

    /// Tokens were obtained, of which the first expires at `expires_ms`.
    pub fn obtained(&mut self, now_ms: i64, expires_ms: i64) {
        let life = expires_ms.saturating_sub(now_ms).max(0);
        self.expires = Some(expires_ms);
        // A life of years loses nothing that matters to the rounding.
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        let share = (life as f64 * self.ratio) as i64;
        self.due = now_ms.saturating_add(share.max(SHORTEST));
    }

    /// No tokens were obtained.
    pub fn failed(&mut self, now_ms: i64) {
        let left = self.expires.map_or(0, |expires| expires.saturating_sub(now_ms).max(0));
        let wait = if left == 0 { WITHOUT } else { left / 4 };
        self.due = now_ms.saturating_add(wait.min(self.retry_wait).max(SHORTEST));
    }
}

/// No cluster is asked more often than this, whatever it says of its tokens.
const SHORTEST: i64 = 1_000;
/// How long to wait while there is no token that lives.
const WITHOUT: i64 = 10_000;
