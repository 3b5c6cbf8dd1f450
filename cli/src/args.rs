//! The command line: words in, one typed [`Command`] out. Nothing here contacts anything.
//!
//! Option names given with `-o` and `-O` are those of Spark's Kafka guides; they are carried as plain
//! pairs and validated by the connector, so that a library user gets the very same refusals.

mod stream;
mod token;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use stream::{ProgressKind, StreamArgs};
pub(crate) use token::{ChangeArgs, TokenArgs, TokenVerb};

/// Kafka without C and without a JVM: read, write and stream topics, with checkpoints.
#[derive(Debug, Parser)]
#[command(name = "klamm", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Print the chain of causes below an error, and more about what happens on the way
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the main job with nothing installed: an embedded broker, a copy, a kill, a check
    Demo(DemoArgs),
    /// Read a bounded range of topics and print the rows
    Read(ReadArgs),
    /// Write rows from a file or from stdin
    Write(WriteArgs),
    /// Run a micro-batch query with a checkpoint, until stopped or drained
    Stream(StreamArgs),
    /// Print the offsets of topics
    Offsets(OffsetsArgs),
    /// List, describe, create or delete topics
    Topics(TopicsArgs),
    /// Create, renew, expire or describe delegation tokens
    Token(TokenArgs),
    /// Say what a checkpoint holds and what a restart would do
    Checkpoint(CheckpointArgs),
    /// Run the embedded broker as a process
    Broker(BrokerArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write the manual pages into a folder
    Man(ManArgs),
}

/// The options that say which cluster, and how to reach it.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// Bootstrap servers, HOST:PORT with commas between; short for kafka.bootstrap.servers
    #[arg(short = 'b', long = "bootstrap", value_name = "HOST:PORT,...")]
    pub(crate) bootstrap: Option<String>,
    /// A source or client option by its name in Spark's guides, kafka.-prefixed ones go to the client
    #[arg(short = 'o', long = "option", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) options: Vec<(String, String)>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example (nothing needs to be installed):\n  klamm demo --records 100000")]
pub(crate) struct DemoArgs {
    /// How many records to make, copy and check
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) records: u64,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  klamm read -b localhost:9092 -t orders -o startingOffsets=earliest --limit 10"
)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Topics with commas between; short for -o subscribe=TOPIC
    #[arg(short = 't', long = "topic", value_name = "TOPIC")]
    pub(crate) topic: Option<String>,
    /// How rows are printed
    #[arg(long, value_enum, default_value_t = Format::Json)]
    pub(crate) format: Format,
    /// How keys, values and header values are printed in json and csv
    #[arg(long, value_enum, default_value_t = Binary::Utf8)]
    pub(crate) binary: Binary,
    /// Stop after N rows
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Print only the number of rows
    #[arg(long)]
    pub(crate) count: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  echo '{\"key\":\"a\",\"value\":\"1\"}' | klamm write -b localhost:9092 -t orders"
)]
pub(crate) struct WriteArgs {
    /// Bootstrap servers, HOST:PORT with commas between; short for kafka.bootstrap.servers
    #[arg(short = 'b', long = "bootstrap", value_name = "HOST:PORT,...")]
    pub(crate) bootstrap: Option<String>,
    /// The topic to write to; short for -O topic=TOPIC, and stronger than a topic column
    #[arg(short = 't', long = "topic", value_name = "TOPIC")]
    pub(crate) topic: Option<String>,
    /// A sink option by its name in Spark's guides, kafka.-prefixed ones go to the client
    #[arg(short = 'O', long = "sink-option", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) sink_options: Vec<(String, String)>,
    /// How the rows are written in the input
    #[arg(long, value_enum, default_value_t = Format::Json)]
    pub(crate) format: Format,
    /// How keys, values and header values are written in json and csv
    #[arg(long, value_enum, default_value_t = Binary::Utf8)]
    pub(crate) binary: Binary,
    /// The input; stdin where it is left out or -
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  klamm offsets -b localhost:9092 -t orders --at latest --json")]
pub(crate) struct OffsetsArgs {
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Topics with commas between [default: all but internal ones]
    #[arg(short = 't', long = "topic", value_name = "TOPIC")]
    pub(crate) topic: Option<String>,
    /// earliest, latest, or a time: milliseconds since 1970 or ISO 8601 [default: earliest and latest]
    #[arg(long, value_name = "WHEN")]
    pub(crate) at: Option<String>,
    /// Print the JSON that startingOffsets takes (latest where --at is left out)
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  klamm topics create -b localhost:9092 -t orders --partitions 4"
)]
pub(crate) struct TopicsArgs {
    #[command(subcommand)]
    pub(crate) verb: TopicsVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsVerb {
    /// Print the names of all topics
    #[command(after_help = "Example:\n  klamm topics list -b localhost:9092")]
    List {
        #[command(flatten)]
        cluster: ClusterArgs,
        /// Show internal topics too
        #[arg(long)]
        internal: bool,
    },
    /// Print partitions, leaders and replicas
    #[command(after_help = "Example:\n  klamm topics describe -b localhost:9092 -t orders")]
    Describe {
        #[command(flatten)]
        cluster: ClusterArgs,
        /// Topics with commas between [default: all but internal ones]
        #[arg(short = 't', long = "topic", value_name = "TOPIC")]
        topic: Option<String>,
    },
    /// Create a topic
    #[command(
        after_help = "Example:\n  klamm topics create -b localhost:9092 -t orders --partitions 4"
    )]
    Create {
        #[command(flatten)]
        cluster: ClusterArgs,
        /// The topic's name
        #[arg(short = 't', long = "topic", value_name = "TOPIC")]
        topic: String,
        /// How many partitions [default: the broker's]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=100_000))]
        partitions: Option<i32>,
        /// How many replicas of each [default: the broker's]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..=1_000))]
        replicas: Option<i16>,
        /// A topic configuration, such as retention.ms=3600000
        #[arg(long = "config", value_name = "NAME=VALUE", value_parser = pair)]
        configs: Vec<(String, String)>,
    },
    /// Delete a topic and its records
    #[command(after_help = "Example:\n  klamm topics delete -b localhost:9092 -t orders")]
    Delete {
        #[command(flatten)]
        cluster: ClusterArgs,
        /// The topic's name
        #[arg(short = 't', long = "topic", value_name = "TOPIC")]
        topic: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  klamm checkpoint /tmp/orders-copy --json")]
pub(crate) struct CheckpointArgs {
    /// The checkpoint folder, written by klamm or by Spark
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  klamm broker --listen 127.0.0.1:9092 --topic orders:4")]
pub(crate) struct BrokerArgs {
    /// Where to accept connections; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9092")]
    pub(crate) listen: String,
    /// A topic to create at the start
    #[arg(long = "topic", value_name = "NAME:PARTITIONS", value_parser = topic_partitions)]
    pub(crate) topics: Vec<(String, i32)>,
    /// How many brokers; the first takes the address, the others free ports of 127.0.0.1
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=16))]
    pub(crate) brokers: i32,
    /// How many bytes each partition keeps in memory before its oldest records go
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    pub(crate) retention_bytes: usize,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  klamm completions bash > klamm.bash")]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  klamm man ./man && man ./man/klamm.1")]
pub(crate) struct ManArgs {
    /// The folder; made where it is missing
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// How rows look outside.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line
    Json,
    /// A value a line
    Raw,
    /// Comma-separated with a header line
    Csv,
    /// An Arrow IPC stream
    Arrow,
}

/// How bytes look inside JSON and CSV.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Binary {
    /// As text; bytes that are not UTF-8 are an error
    Utf8,
    /// As base64, like Spark's to_json
    Base64,
}

/// `NAME=VALUE`, split at the first equals sign.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// `NAME:PARTITIONS`; one partition where no number is given.
fn topic_partitions(text: &str) -> Result<(String, i32), String> {
    let Some((name, count)) = text.rsplit_once(':') else { return Ok((text.to_owned(), 1)) };
    match count.parse::<i32>() {
        Ok(count @ 1..=10_000) if !name.is_empty() => Ok((name.to_owned(), count)),
        _ => Err("expected NAME:PARTITIONS with 1 to 10000 partitions".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example_in_its_help() {
        for command in Cli::command().get_subcommands_mut() {
            let help = command.render_help().to_string();
            assert!(help.contains("Example"), "{} has no example", command.get_name());
        }
    }

    #[test]
    fn an_option_value_may_hold_equals_signs() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("=x").is_err());
        assert!(pair("x").is_err());
    }

    #[test]
    fn a_topic_may_come_without_a_partition_count() {
        assert_eq!(topic_partitions("orders"), Ok(("orders".to_owned(), 1)));
        assert_eq!(topic_partitions("orders:4"), Ok(("orders".to_owned(), 4)));
        assert!(topic_partitions("orders:0").is_err());
    }
}
