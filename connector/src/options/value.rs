//! Values of options: from typed to text for the builders, from text to typed for the parsers.
//!
//! The refusals are those of the Java calls that Spark hands the text to, since that is what is searched for.

use std::fmt::Write as _;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::offsets::{PartitionOffsets, TopicPartition, json};

/// Whether a read ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadMode {
    /// One bounded read.
    Batch,
    /// Micro-batches without end.
    Stream,
}

/// The value of `startingOffsets` and `endingOffsets` for the typed builder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offsets {
    /// The first records that there are.
    Earliest,
    /// The end.
    Latest,
    /// An offset for each partition, where -1 is the latest and -2 the earliest.
    Each(PartitionOffsets),
}

/// A typed value that has a text form.
pub(super) trait OptionText {
    /// The text that the parser of the same option reads back.
    fn text(&self) -> String;
}

impl OptionText for str {
    fn text(&self) -> String {
        self.to_owned()
    }
}

impl OptionText for &[&str] {
    fn text(&self) -> String {
        self.join(",")
    }
}

impl OptionText for &[TopicPartition] {
    fn text(&self) -> String {
        let mut text = String::from("{");
        let mut rest: Vec<&TopicPartition> = self.iter().collect();
        while let Some(first) = rest.first() {
            let topic = first.topic.clone();
            let ids: Vec<_> =
                rest.iter().filter(|tp| tp.topic == topic).map(|tp| tp.partition).collect();
            let comma = if text.len() > 1 { "," } else { "" };
            // Names of topics need no escaping, but what is given here may be no name of a topic.
            let name = serde_json::Value::from(&*topic);
            let _ = write!(text, "{comma}{name}:{ids:?}");
            rest.retain(|tp| tp.topic != topic);
        }
        text.push('}');
        text
    }
}

impl OptionText for &PartitionOffsets {
    fn text(&self) -> String {
        json::write_offsets(self)
    }
}

impl OptionText for &Offsets {
    fn text(&self) -> String {
        match self {
            Offsets::Earliest => "earliest".to_owned(),
            Offsets::Latest => "latest".to_owned(),
            Offsets::Each(offsets) => json::write_offsets(offsets),
        }
    }
}

impl OptionText for bool {
    fn text(&self) -> String {
        self.to_string()
    }
}

impl OptionText for i32 {
    fn text(&self) -> String {
        self.to_string()
    }
}

impl OptionText for i64 {
    fn text(&self) -> String {
        self.to_string()
    }
}

impl OptionText for Duration {
    fn text(&self) -> String {
        self.as_millis().to_string()
    }
}

/// `true` or `false` in any case, where Spark uses Scala's `toBoolean`.
pub(super) fn boolean(name: &str, text: &str) -> Result<bool> {
    to_bool(text).ok_or_else(|| not_for_input(name, text, "true or false"))
}

/// `true` or `false` in any case, where Spark uses its case-insensitive map.
pub(super) fn mapped_boolean(name: &str, text: &str) -> Result<bool> {
    to_bool(text).ok_or_else(|| {
        Error::option(format!("{text} is not a boolean string. Set {name} to true or false"))
    })
}

/// A whole number of 32 bits, without spaces.
pub(super) fn int(name: &str, text: &str) -> Result<i32> {
    text.parse().map_err(|_| not_for_input(name, text, "a whole number"))
}

/// A whole number of 64 bits, without spaces.
pub(super) fn long(name: &str, text: &str) -> Result<i64> {
    text.parse().map_err(|_| not_for_input(name, text, "a whole number"))
}

/// A whole number of milliseconds; negative ones count as none.
pub(super) fn millis(name: &str, text: &str) -> Result<Duration> {
    let millis = long(name, text)?;
    Ok(Duration::from_millis(u64::try_from(millis).unwrap_or_default()))
}

/// Spark's time string: a whole number and one of `us`, `ms`, `s`, `m`, `min`, `h`, `d`; milliseconds without a unit.
pub(super) fn time(name: &str, text: &str) -> Result<Duration> {
    time_in(name, text, 1000)
}

/// The same, in seconds without a unit.
pub(crate) fn time_in_seconds(name: &str, text: &str) -> Result<Duration> {
    time_in(name, text, 1_000_000)
}

/// A time string, and how many microseconds it counts in without a unit.
fn time_in(name: &str, text: &str, bare: u64) -> Result<Duration> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.strip_prefix('-').unwrap_or(&lower);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (number, unit) = digits.split_at(end);
    let micros: Option<u64> = match unit {
        "" => Some(bare),
        "us" => Some(1),
        "ms" => Some(1000),
        "s" => Some(1_000_000),
        "m" | "min" => Some(60 * 1_000_000),
        "h" => Some(3600 * 1_000_000),
        "d" => Some(86_400 * 1_000_000),
        _ => None,
    };
    let number: Option<u64> = number.parse().ok();
    let time = micros.zip(number).and_then(|(unit, number)| unit.checked_mul(number));
    let time = time.ok_or_else(|| {
        Error::option(format!(
            "Failed to parse time string: {text}. {name} takes a whole number with one of us, ms, s, m, min, h, d, as in 50s or 100ms"
        ))
    })?;
    // A delay that lies in the past is over, as it is in Spark.
    Ok(if lower.starts_with('-') { Duration::ZERO } else { Duration::from_micros(time) })
}

fn to_bool(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Java's words for a text that is no number or boolean, and what to write.
fn not_for_input(name: &str, text: &str, form: &str) -> Error {
    Error::option(format!("For input string: \"{text}\". Set {name} to {form}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_strings_are_sparks() {
        let ms = |text| time("maxTriggerDelay", text).map(|d| d.as_millis());
        assert_eq!(ms("15m").unwrap(), 900_000);
        assert_eq!(ms("5s").unwrap(), 5000);
        assert_eq!(ms(" 100MS ").unwrap(), 100);
        assert_eq!(ms("2h").unwrap(), 7_200_000);
        assert_eq!(ms("250").unwrap(), 250);
        assert_eq!(ms("1d").unwrap(), 86_400_000);
        assert_eq!(ms("-5s").unwrap(), 0);
        for text in ["", "s", "5 s", "1.5s", "5x", "99999999999999999999d"] {
            assert!(ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn booleans_are_true_or_false_in_any_case() {
        assert!(boolean("failOnDataLoss", "TRUE").unwrap());
        let error = boolean("failOnDataLoss", "yes").unwrap_err();
        assert!(error.message().starts_with("For input string: \"yes\""));
        let error = mapped_boolean("includeHeaders", "1").unwrap_err();
        assert!(error.message().starts_with("1 is not a boolean string."));
    }

    #[test]
    fn assigned_partitions_survive_as_text() {
        let tps =
            [TopicPartition::new("b", 1), TopicPartition::new("a", 0), TopicPartition::new("b", 2)];
        assert_eq!((&tps[..]).text(), r#"{"b":[1, 2],"a":[0]}"#);
        assert_eq!(json::parse_partitions(&(&tps[..]).text()).unwrap().len(), 3);
    }
}
