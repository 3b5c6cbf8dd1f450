//! From the short options of the command line to the pairs that the connector takes.

use klamm_connector::options::{ReadMode, SinkOptions, SourceOptions};

use crate::args::ClusterArgs;
use crate::failure::Failure;

/// Option names and values in the order given; later ones win.
pub(crate) type Pairs = Vec<(String, String)>;

/// The source that `-b`, `-t` and `-o` describe. `base` is a file's, over which the command line wins; but `-b` is only
/// for a side that has no servers of its own.
pub(crate) fn source(
    base: Pairs,
    cluster: &ClusterArgs,
    topic: Option<&str>,
    mode: ReadMode,
) -> Result<SourceOptions, Failure> {
    let mut pairs: Pairs = short(BOOTSTRAP, cluster.bootstrap.as_deref()).into_iter().collect();
    pairs.extend(base);
    pairs.extend(short("subscribe", topic));
    pairs.extend(cluster.options.iter().cloned());
    Ok(SourceOptions::from_pairs(mode, pairs)?)
}

/// The sink that `-b`, `-t` and `-O` describe.
pub(crate) fn sink(
    base: Pairs,
    bootstrap: Option<&str>,
    topic: Option<&str>,
    options: &[(String, String)],
) -> Result<SinkOptions, Failure> {
    let mut pairs: Pairs = short(BOOTSTRAP, bootstrap).into_iter().collect();
    pairs.extend(base);
    pairs.extend(short("topic", topic));
    pairs.extend(options.iter().cloned());
    Ok(SinkOptions::from_pairs(pairs)?)
}

fn short(name: &str, value: Option<&str>) -> Option<(String, String)> {
    value.map(|value| (name.to_owned(), value.to_owned()))
}

const BOOTSTRAP: &str = "kafka.bootstrap.servers";
