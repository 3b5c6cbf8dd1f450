//! The command line of `klamm stream`: the longest, in groups, with what has to be known before it runs for real.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{ClusterArgs, pair};

#[derive(Debug, Args)]
#[command(next_help_heading = "Source and sink", after_help = EXAMPLES, after_long_help = MORE)]
pub(crate) struct StreamArgs {
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Topics to read, with commas between; short for -o subscribe=TOPIC
    #[arg(short = 't', long = "topic", value_name = "TOPIC")]
    pub(crate) topic: Option<String>,
    /// A sink option by its name in Spark's guides, kafka.-prefixed ones go to the client
    #[arg(short = 'O', long = "sink-option", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) sink_options: Vec<(String, String)>,
    /// kafka, console, json:DIR or arrow:DIR [default: kafka]
    #[arg(long, value_name = "SINK")]
    pub(crate) sink: Option<String>,
    /// A pipeline in TOML: the same names in its tables source, sink and query
    #[arg(long, value_name = "PIPELINE.toml")]
    pub(crate) file: Option<PathBuf>,
    /// The checkpoint folder, as Spark writes and reads it; only this query may use it
    #[arg(long, value_name = "DIR", help_heading = "Guarantee")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// at-least-once or exactly-once [default: at-least-once]
    #[arg(long, value_name = "GUARANTEE", help_heading = "Guarantee")]
    pub(crate) delivery: Option<String>,
    /// available-now, once, or an interval such as 200ms or 10s [default: as soon as there is data]
    #[arg(long, value_name = "SPEC", help_heading = "Batches")]
    pub(crate) trigger: Option<String>,
    /// Stop after N batches
    #[arg(long, value_name = "N", help_heading = "Batches")]
    pub(crate) max_batches: Option<u64>,
    /// A name for the query, shown in progress
    #[arg(long, value_name = "NAME", help_heading = "Progress")]
    pub(crate) query_name: Option<String>,
    /// How progress is shown on stderr
    #[arg(long, value_enum, default_value_t = ProgressKind::Auto, help_heading = "Progress")]
    pub(crate) progress: ProgressKind,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ProgressKind {
    /// A bar on a terminal, else nothing
    Auto,
    /// A bar with lag, rates and a spark line
    Bar,
    /// One object per batch with StreamingQueryProgress's field names
    Json,
    /// Nothing
    None,
}

const EXAMPLES: &str = "\
Example:
  klamm stream -b localhost:9092 -o subscribe=orders -o startingOffsets=earliest \\
    -O topic=copy --checkpoint /tmp/orders-copy --trigger available-now

--help says more: guarantees, the checkpoint, triggers, options by group, and how it ends.";

const MORE: &str = "\
Delivery:
  at-least-once  Every row is written. A batch that was not committed runs again, so its rows may be
                 there twice. Spark's sink promises this.
  exactly-once   Every row is there once for readers that read committed records only
                 (kafka.isolation.level=read_committed). Each batch is a transaction, or
                 -O exactlyOnceTasks=N of them side by side. Bound batches with
                 -o maxOffsetsPerTrigger=N, so that each ends within kafka.transaction.timeout.ms.
  json:DIR and arrow:DIR hold each row once with either: a batch that runs again replaces its file.
  console prints a batch that runs again once more.

Checkpoint:
  Where the query stands, in Spark's format: either engine goes on where the other stopped. Starting
  offsets count for a new checkpoint only. Keep it as long as the query lives, one for each query;
  'klamm checkpoint DIR' says what it holds and what a restart would do.

Triggers:
  (none)          a batch as soon as there is data, until the query is stopped
  200ms, 10s, 5m  a batch each interval
  available-now   all that is there at the start, in batches, then end
  once            all that is there at the start, in one batch, then end

Source options (-o), those of Spark's Kafka guides:
  what    subscribe, subscribePattern, assign
  where   startingOffsets, startingTimestamp, startingOffsetsByTimestamp,
          startingOffsetsByTimestampStrategy
  batches maxOffsetsPerTrigger, minOffsetsPerTrigger, maxTriggerDelay, minPartitions,
          maxRecordsPerPartition
  loss    failOnDataLoss (true: records that are gone end the query with status 3)
  rows    includeHeaders
  tuning  kafkaConsumer.pollTimeoutMs, fetchOffset.numRetries, fetchOffset.retryIntervalMs,
          groupIdPrefix, spark.kafka.consumer.cache.*, spark.kafka.consumer.fetchedData.cache.*,
          spark.network.timeout, minBatchesToRetain
  logins  java.security.auth.login.config, spark.kafka.clusters.*, spark.kerberos.keytab,
          spark.kerberos.principal, spark.security.credentials.*
  client  kafka.*, such as kafka.security.protocol or kafka.isolation.level

Sink options (-O):
  topic (stronger than the rows' own), exactlyOnceTasks, checkpointLocation,
  spark.kafka.producer.cache.*, and the client's: kafka.compression.type, kafka.linger.ms,
  kafka.batch.size, kafka.acks, kafka.transaction.timeout.ms, kafka.transactional.id (what the names
  of transactions begin with); logins as for -o

Examples:
  Copy what there is, then end:
    klamm stream -b localhost:9092 -o subscribe=orders -o startingOffsets=earliest \\
      -O topic=copy --checkpoint /tmp/orders-copy --trigger available-now
  Copy for ever, each row once, to another cluster:
    klamm stream -b here:9092 -t orders -o maxOffsetsPerTrigger=100000 \\
      -O kafka.bootstrap.servers=there:9092 -O topic=orders --delivery exactly-once \\
      --checkpoint /var/lib/klamm/orders
  A file of JSON lines a batch, every ten seconds:
    klamm stream -b localhost:9092 -t orders --sink json:/tmp/orders --trigger 10s \\
      --checkpoint /tmp/orders-checkpoint
  Look at what arrives:
    klamm stream -b localhost:9092 -t orders --sink console --checkpoint /tmp/look

How it ends:
  SIGINT or SIGTERM: the running batch is finished and committed, then status 0; a second one stops
  at once, and the batch runs again on the next start. 1: it failed; 2: an option or the file of a
  login is wrong, nothing was moved; 3: data loss; 4: the checkpoint is in use or can't be trusted.";

#[cfg(test)]
mod tests {
    use klamm_connector::options::table::{LOGIN, SINK, SOURCE, Scope};

    use super::*;

    #[test]
    fn the_help_names_every_option_that_counts_in_a_stream() {
        let counts = |scope| matches!(scope, Scope::Both | Scope::Stream);
        for row in SOURCE.iter().chain(SINK).chain(LOGIN).filter(|row| counts(row.scope)) {
            let families = [".cache.", ".credentials."].into_iter().filter_map(|part| {
                let (family, _) = row.name.split_once(part)?;
                Some(format!("{family}{part}*"))
            });
            // The older name of another one.
            let is_old = row.name.starts_with("spark.sql.");
            let shown = families.into_iter().any(|family| MORE.contains(&family));
            // Nobody can act for another: it is refused, as by Spark.
            let is_refused = row.name == "proxy-user";
            assert!(is_old || shown || is_refused || MORE.contains(row.name), "{}", row.name);
        }
        for name in ["endingOffsets", "endingTimestamp"] {
            assert!(!MORE.contains(name), "{name} has no effect in a stream");
        }
    }

    #[test]
    fn every_line_of_the_help_fits_a_terminal() {
        for line in MORE.lines().chain(EXAMPLES.lines()) {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}
