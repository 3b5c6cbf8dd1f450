//! The words of `klamm token`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use klamm_client::admin::Principal;

use super::ClusterArgs;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  klamm token create -b localhost:9093 \\\n    \
                        -o kafka.security.protocol=SASL_SSL -o kafka.sasl.mechanism=SCRAM-SHA-512 \\\n    \
                        -o java.security.auth.login.config=jaas.conf --json > token.json")]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) verb: TokenVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Create a token, and print it with its secret
    #[command(
        after_help = "Example:\n  klamm token create -b localhost:9092 --renewer User:scheduler --json"
    )]
    Create {
        #[command(flatten)]
        cluster: ClusterArgs,
        /// Whose token it is, such as User:alice [default: who is logged in]
        #[arg(long, value_name = "PRINCIPAL")]
        owner: Option<Principal>,
        /// Who may renew it beside its owner
        #[arg(long = "renewer", value_name = "PRINCIPAL")]
        renewers: Vec<Principal>,
        /// After how long it can be renewed no more, such as 7d or 12h [default: the broker's]
        #[arg(long, value_name = "TIME", value_parser = time)]
        max_lifetime: Option<Duration>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Put off the moment at which a token expires, and print it
    #[command(
        after_help = "Example:\n  jq -r .hmac token.json | klamm token renew -b localhost:9092"
    )]
    Renew(ChangeArgs),
    /// Have a token expire, at once or later, and print when
    #[command(
        after_help = "Example:\n  jq -r .hmac token.json | klamm token expire -b localhost:9092"
    )]
    Expire(ChangeArgs),
    /// Print the tokens that one may see, without their secrets
    #[command(after_help = "Example:\n  klamm token describe -b localhost:9092 --owner User:alice")]
    Describe {
        #[command(flatten)]
        cluster: ClusterArgs,
        /// Whose tokens [default: all that one may see]
        #[arg(long = "owner", value_name = "PRINCIPAL")]
        owners: Vec<Principal>,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
}

/// Which token, and for how long.
#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// A file with the token's secret in base64; stdin where it is left out or -
    #[arg(long, value_name = "FILE", conflicts_with = "hmac")]
    pub(crate) hmac_file: Option<PathBuf>,
    /// The token's secret in base64; others on this machine can see it among its processes
    #[arg(long, value_name = "BASE64")]
    pub(crate) hmac: Option<Hmac>,
    /// From now on, such as 1d or 30m [default: the broker's to renew, at once to expire]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) period: Option<Duration>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// A secret among the words. Its `Debug` does not tell it.
#[derive(Clone)]
pub(crate) struct Hmac(pub(crate) klamm_client::Secret);

impl std::fmt::Debug for Hmac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl From<&str> for Hmac {
    fn from(text: &str) -> Self {
        Self(klamm_client::Secret::from(text))
    }
}

/// A length of time such as `7d`, `12h`, `90s` or `500ms`.
fn time(text: &str) -> Result<Duration, String> {
    let span = text.parse::<jiff::Span>().ok();
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    let length = span.and_then(|span| span.to_duration(days).ok());
    let length = length.and_then(|length| Duration::try_from(length).ok());
    length
        .filter(|length| !length.is_zero())
        .ok_or_else(|| "expected a time such as 7d, 12h or 30s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_lengths_with_a_unit() {
        assert_eq!(time("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("1h 30m"), Ok(Duration::from_secs(5_400)));
        for text in ["", "5", "-5s", "0s", "1 month", "x"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
