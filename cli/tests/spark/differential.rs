//! A batch read by Spark and by `klamm read`: with the same options the same rows, or both refuse.

use serde_json::{Map, Value, json};

use super::common::{Ran, klamm};
use super::options::{self, Options, Outcome};
use super::scene::{Scene, scene};
use super::topics;

#[test]
fn spark_and_klamm_read_the_same_rows_or_refuse_alike() {
    let Some(mut scene) = scene() else { return };
    topics::fill(&scene);
    let sets =
        [options::CHOICES, options::OFFSETS, options::TIMES, options::READING, options::GAPS];
    let sets = sets.concat();
    let mut wrong = Vec::new();
    for (options, outcome) in &sets {
        if let Err(difference) = compare(&mut scene, options, *outcome) {
            wrong.push(format!("{options:?}: {difference}"));
        }
    }
    wrong.extend(compacted(&mut scene));
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), sets.len(), wrong.join("\n"));
}

/// Whatever the cleaner has left, by default and split into ranges whose ends lie in gaps.
fn compacted(scene: &mut Scene) -> Option<String> {
    let sets: [Options; 3] = [
        &[("subscribe", "compacted")],
        &[("subscribe", "compacted"), ("minPartitions", "9")],
        &[("subscribe", "compacted"), ("startingOffsets", r#"{"compacted":{"0":15}}"#)],
    ];
    sets.iter().find_map(|options| {
        let (spark, ours) = both(scene, options);
        let (spark, ours) = (spark.expect("Spark reads"), rows(&ours.ok()));
        assert!(!spark.is_empty(), "{options:?}");
        (spark != ours).then(|| format!("{options:?}: {}", first_difference(&spark, &ours)))
    })
}

fn compare(scene: &mut Scene, options: Options, outcome: Outcome) -> Result<(), String> {
    let (spark, ours) = both(scene, options);
    match outcome {
        Outcome::Rows(count) => {
            let theirs = spark.map_err(|error| format!("Spark refuses: {error}"))?;
            let ours = succeeded(&ours)?;
            if ours != theirs {
                return Err(first_difference(&theirs, &ours));
            }
            expect(count, ours.len())
        }
        Outcome::Fails(status) => match spark {
            Ok(rows) => Err(format!("Spark gives {} rows, Klamm: {}", rows.len(), ours.stderr)),
            Err(_) if ours.status == status && ours.stderr.lines().count() == 1 => Ok(()),
            Err(error) => {
                Err(format!("status {}, {} where Spark says {error}", ours.status, ours.stderr))
            }
        },
        Outcome::Differs(Ok(count), _) => expect(count, succeeded(&ours)?.len()),
        Outcome::Differs(Err(status), _) if ours.status == status => Ok(()),
        Outcome::Differs(Err(_), _) => Err(format!("status {}, {}", ours.status, ours.stderr)),
    }
}

fn expect(wanted: usize, got: usize) -> Result<(), String> {
    if wanted == got { Ok(()) } else { Err(format!("{got} rows instead of {wanted}")) }
}

fn succeeded(ours: &Ran) -> Result<Vec<Value>, String> {
    match ours.status {
        0 => Ok(rows(&ours.stdout)),
        status => Err(format!("Klamm ends with {status}: {}", ours.stderr)),
    }
}

/// Spark's rows in Klamm's order, and what `klamm read` left behind.
fn both(scene: &mut Scene, options: Options) -> (Result<Vec<Value>, String>, Ran) {
    let mut pairs = vec![
        ("kafka.bootstrap.servers".to_owned(), scene.bootstrap()),
        ("fetchOffset.retryIntervalMs".to_owned(), "20".to_owned()),
        ("kafkaConsumer.pollTimeoutMs".to_owned(), "1500".to_owned()),
    ];
    for (name, value) in options {
        let mut value = (*value).to_owned();
        for (number, time) in (1..).zip(topics::TIMES) {
            value = value.replace(&format!("${number}"), &time.to_string());
        }
        pairs.push(((*name).to_owned(), value));
    }
    let arguments: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut words = vec!["read", "--binary", "base64"];
    words.extend(arguments.iter().flat_map(|argument| ["-o", argument]));
    let ours = klamm(&words);
    let options: Map<String, Value> =
        pairs.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
    let spark = scene.spark(&json!({"do": "read", "options": options})).map(|answer| {
        let mut rows = answer["rows"].as_array().cloned().unwrap_or_default();
        rows.sort_by_key(|row| {
            (row["topic"].to_string(), row["partition"].as_i64(), row["offset"].as_i64())
        });
        rows
    });
    (spark, ours)
}

fn rows(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn first_difference(spark: &[Value], ours: &[Value]) -> String {
    let at = spark.iter().zip(ours).position(|(spark, ours)| spark != ours);
    let at = at.unwrap_or(spark.len().min(ours.len()));
    format!(
        "{} rows instead of {}; row {at} is {:?} instead of {:?}",
        ours.len(),
        spark.len(),
        ours.get(at).map(Value::to_string),
        spark.get(at).map(Value::to_string),
    )
}
