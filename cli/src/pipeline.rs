//! A pipeline file in, the same names and values that the command line takes out.
//!
//! ```toml
//! [source]
//! subscribe = "orders"
//! "kafka.bootstrap.servers" = "localhost:9092"
//!
//! [sink]
//! topic = "copy"
//!
//! [query]
//! checkpoint = "/var/lib/klamm/orders-copy"
//! trigger = "10s"
//! ```

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use crate::failure::Failure;

/// What a pipeline file says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pipeline {
    #[serde(default)]
    source: Table,
    #[serde(default)]
    sink: Table,
    #[serde(default)]
    pub(crate) query: QueryTable,
}

/// The table `query`: the long options of `klamm stream`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct QueryTable {
    pub(crate) checkpoint: Option<PathBuf>,
    pub(crate) trigger: Option<String>,
    pub(crate) delivery: Option<String>,
    pub(crate) sink: Option<String>,
    pub(crate) query_name: Option<String>,
    pub(crate) max_batches: Option<u64>,
}

impl Pipeline {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("{} can't be read: {error}", path.display())).because(error)
        })?;
        toml::from_str(&text).map_err(|error| {
            let at = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
            let line = format!("{}, line {at}: {}", path.display(), error.message());
            Failure::usage(line).because(error)
        })
    }

    /// The source's options as pairs.
    pub(crate) fn source(&self) -> Result<Vec<(String, String)>, Failure> {
        pairs("source", &self.source)
    }

    /// The sink's options as pairs.
    pub(crate) fn sink(&self) -> Result<Vec<(String, String)>, Failure> {
        pairs("sink", &self.sink)
    }
}

/// `kafka.bootstrap.servers = …` without quotes is a table in a table in TOML: it means the same.
fn pairs(section: &str, table: &Table) -> Result<Vec<(String, String)>, Failure> {
    let mut found = Vec::new();
    for (name, value) in table {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => value.to_string(),
            Value::Table(inner) => {
                let inner = pairs(section, inner)?.into_iter();
                found.extend(inner.map(|(rest, value)| (format!("{name}.{rest}"), value)));
                continue;
            }
            Value::Array(_) | Value::Datetime(_) => {
                let line = format!("[{section}] {name}: give a string, a number or a boolean");
                return Err(Failure::usage(line));
            }
        };
        found.push((name.clone(), text));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_command_lines_whether_quoted_or_dotted() {
        let pipeline: Pipeline = toml::from_str(
            "[source]\nkafka.bootstrap.servers = 'a:1'\n'includeHeaders' = true\n\
             maxOffsetsPerTrigger = 10\n[query]\nquery-name = 'n'\n",
        )
        .expect("a pipeline");
        let mut source = pipeline.source().expect("pairs");
        source.sort();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [
            pair("includeHeaders", "true"),
            pair("kafka.bootstrap.servers", "a:1"),
            pair("maxOffsetsPerTrigger", "10"),
        ];
        assert_eq!(source, expected);
        assert_eq!(pipeline.query.query_name.as_deref(), Some("n"));
    }

    #[test]
    fn an_unknown_section_or_query_option_is_refused() {
        assert!(toml::from_str::<Pipeline>("[sauce]\n").is_err());
        assert!(toml::from_str::<Pipeline>("[query]\ntriger = 'once'\n").is_err());
    }
}
