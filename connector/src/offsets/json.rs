//! The JSON forms of offsets: topic to partition to number, and topic to list of partitions.
//!
//! What a user types is read as leniently as Spark reads it, oddities included, because options are copied from
//! job to job. What a checkpoint holds is read strictly, because a guess there reads rows twice or never.
//! Written text has Spark's key order (see [`super::order`]).

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{PartitionOffsets, TopicPartition, order};
use crate::error::{Error, Result};

/// Reads `{"topicA":{"0":23,"1":-1}}`; -1 is the latest offset and -2 the earliest.
///
/// As lenient as Spark: `null` is no entry, a null offset is 0, fractions are cut off, numbers beyond 64 bits wrap,
/// of equal keys the last one counts, and text after the first complete object is ignored.
pub fn parse_offsets(text: &str) -> Result<PartitionOffsets> {
    parse_numbers(text).ok_or_else(|| Error::option(format!("{EXPECTED_OFFSETS}, got {text}")))
}

/// Reads `{"topicA":{"0":123456789}}`, timestamps in milliseconds, as leniently as [`parse_offsets`].
pub fn parse_timestamps(text: &str) -> Result<PartitionOffsets> {
    parse_numbers(text).ok_or_else(|| Error::option(format!("{EXPECTED_TIMESTAMPS}, got {text}")))
}

/// Reads `{"topicA":[0,1],"topicB":[2]}`, in the order of the text, duplicates kept.
pub fn parse_partitions(text: &str) -> Result<Vec<TopicPartition>> {
    let topics: Pairs<List> = first_value(text)
        .ok_or_else(|| Error::option(format!("{EXPECTED_PARTITIONS}, got {text}")))?;
    let mut partitions = Vec::new();
    for (topic, ids) in topics.last_of_each() {
        let topic: Arc<str> = topic.into();
        partitions.extend(ids.0.iter().map(|id| TopicPartition::new(topic.clone(), id.to_int())));
    }
    Ok(partitions)
}

/// Reads the offsets that a checkpoint holds: exactly the form that is written, nothing after it.
///
/// # Errors
/// A sentence that says what is wrong: not JSON, a key that is no partition, a number that is no offset, a
/// partition named twice.
pub fn parse_recorded(text: &str) -> Result<PartitionOffsets, String> {
    let topics: Pairs<Pairs<i64>> =
        serde_json::from_str(text).map_err(|e| format!("not the JSON of offsets: {e}"))?;
    let mut offsets = PartitionOffsets::new();
    for (topic, partitions) in topics.0 {
        let topic: Arc<str> = topic.into();
        for (key, offset) in partitions.0 {
            let partition = key.parse::<i32>().ok().filter(|p| *p >= 0 && p.to_string() == key);
            let partition = partition.ok_or_else(|| format!("'{key}' is no partition"))?;
            if offset < 0 {
                return Err(format!("{topic}-{partition} has the negative offset {offset}"));
            }
            if offsets.insert(TopicPartition::new(topic.clone(), partition), offset).is_some() {
                return Err(format!("{topic}-{partition} is named twice"));
            }
        }
    }
    Ok(offsets)
}

/// Writes offsets as Spark 3.x and 4.x on Scala 2.13 do: no spaces, and the key order that its comparison needs.
pub fn write_offsets(offsets: &PartitionOffsets) -> String {
    let mut text = String::with_capacity(2 + offsets.len() * 16);
    text.push('{');
    for (i, (topic, partitions)) in order::printed(offsets).into_iter().enumerate() {
        text.push_str(if i == 0 { "" } else { "," });
        write_string(&mut text, topic);
        text.push_str(":{");
        for (j, (tp, offset)) in partitions.into_iter().enumerate() {
            let comma = if j == 0 { "" } else { "," };
            // Writing into a String never fails.
            let _ = write!(text, "{comma}\"{}\":{offset}", tp.partition);
        }
        text.push('}');
    }
    text.push('}');
    text
}

/// Only quotes, backslashes and control characters are escaped; everything else is written as it is.
fn write_string(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            c if c.is_control() => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

fn parse_numbers(text: &str) -> Option<PartitionOffsets> {
    let topics: Pairs<Pairs<Number>> = first_value(text)?;
    let mut offsets = PartitionOffsets::new();
    for (topic, partitions) in topics.last_of_each() {
        let topic: Arc<str> = topic.into();
        for (key, number) in partitions.0 {
            // As Java's parseInt, this takes a sign and leading zeros but no spaces.
            let partition = key.parse().ok()?;
            offsets.insert(TopicPartition::new(topic.clone(), partition), number.to_long());
        }
    }
    Some(offsets)
}

/// The first JSON value of `text`; what follows it is not looked at.
fn first_value<'de, T: Deserialize<'de>>(text: &'de str) -> Option<T> {
    T::deserialize(&mut serde_json::Deserializer::from_str(text)).ok()
}

/// The pairs of an object in the order of the text; `null` is an object without any.
struct Pairs<V>(Vec<(String, V)>);

impl<V> Pairs<V> {
    /// Each key once, where it first stood, with the value that it was given last.
    fn last_of_each(self) -> Vec<(String, V)> {
        let mut places = BTreeMap::new();
        let mut pairs: Vec<(String, V)> = Vec::with_capacity(self.0.len());
        for (key, value) in self.0 {
            match places.get(&key) {
                Some(&place) => pairs[place] = (key, value),
                None => {
                    places.insert(key.clone(), pairs.len());
                    pairs.push((key, value));
                }
            }
        }
        pairs
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PairsVisitor(PhantomData))
    }
}

struct PairsVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for PairsVisitor<V> {
    type Value = Pairs<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Pairs(Vec::new()))
    }
}

/// A list of numbers; `null` is an empty one.
struct List(Vec<Number>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of partitions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(number) = seq.next_element()? {
            list.push(number);
        }
        Ok(List(list))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(List(Vec::new()))
    }
}

/// A number as Java narrows it: whole numbers wrap, fractions are cut off and then saturate.
#[derive(Clone, Copy)]
enum Number {
    Whole(i64),
    Fraction(f64),
}

impl Number {
    fn to_long(self) -> i64 {
        match self {
            Self::Whole(whole) => whole,
            Self::Fraction(fraction) => fraction as i64,
        }
    }

    fn to_int(self) -> i32 {
        match self {
            Self::Whole(whole) => whole as i32,
            Self::Fraction(fraction) => fraction as i32,
        }
    }

    /// `text` is one JSON value that the parser has already found well-formed.
    fn from_json(text: &str) -> Option<Self> {
        if text == "null" {
            return Some(Self::Whole(0));
        }
        let (digits, negative) = match text.strip_prefix('-') {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        if digits.contains(['.', 'e', 'E']) {
            return text.parse().ok().map(Self::Fraction);
        }
        let magnitude = digits.bytes().fold(0_i64, |sum, digit| {
            sum.wrapping_mul(10).wrapping_add(i64::from(digit.wrapping_sub(b'0')))
        });
        Some(Self::Whole(if negative { magnitude.wrapping_neg() } else { magnitude }))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Self::from_json(raw.get()).ok_or_else(|| D::Error::custom("not a number"))
    }
}

const EXPECTED_OFFSETS: &str = r#"Expected e.g. {"topicA":{"0":23,"1":-1},"topicB":{"0":-2}}"#;
/// Spark breaks this line in the middle; an error of ours is one line.
const EXPECTED_TIMESTAMPS: &str = r#"Expected e.g. {"topicA": {"0": 123456789, "1": 123456789}, "topicB": {"0": 123456789, "1": 123456789}}"#;
const EXPECTED_PARTITIONS: &str = r#"Expected e.g. {"topicA":[0,1],"topicB":[0,1]}"#;

#[cfg(test)]
mod tests;
