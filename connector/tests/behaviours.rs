//! The table of Spark's behaviours in `docs/`: what Spark does (`spark-behaviours.tsv`) and the names of all tests in;
//! which test proves what, and what is deliberately different (`spark-behaviours.md`), out.
//!
//! A test that proves behaviours 7 and 12 is named `b007_b012_…`. With `KLAMM_BLESS=1` the table is written anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// One line of the list.
struct Behaviour {
    number: u16,
    area: String,
    spark: String,
    /// What is deliberately different and why; empty if nothing is.
    difference: String,
}

impl Behaviour {
    fn parse(line: &str) -> Self {
        let fields: Vec<_> = line.split('\t').map(str::trim).collect();
        let [number, area, spark, difference] = fields[..] else {
            panic!("four fields are wanted in: {line}");
        };
        assert!(!spark.is_empty(), "nothing is said in: {line}");
        let text = str::to_owned;
        Self {
            number: number.parse().expect("a number"),
            area: text(area),
            spark: text(spark),
            difference: text(difference),
        }
    }

    /// Whether there is nothing here that it could be about.
    fn has_no_counterpart(&self) -> bool {
        self.difference.starts_with(NO_COUNTERPART)
    }
}

/// The tests that are named after behaviours, by number, each with its file below the workspace.
type Tests = BTreeMap<u16, BTreeSet<(String, String)>>;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}

fn listed() -> Vec<Behaviour> {
    let text = fs::read_to_string(workspace().join("docs/spark-behaviours.tsv")).expect("the list");
    text.lines().map(Behaviour::parse).collect()
}

/// All tests of the crates that answer for Spark's behaviour.
fn named() -> Tests {
    let mut tests = Tests::new();
    for folder in ["connector", "client", "cli"] {
        collect(&workspace().join(folder), &mut tests);
    }
    tests
}

fn collect(folder: &Path, tests: &mut Tests) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, tests);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            let shown = path.strip_prefix(workspace()).expect("below").display().to_string();
            for name in text.lines().filter_map(test_name) {
                for number in numbers(name) {
                    let test = (shown.clone(), name.to_owned());
                    tests.entry(number).or_default().insert(test);
                }
            }
        }
    }
}

fn test_name(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let rest = line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn "))?;
    rest.split_once('(').map(|(name, _)| name)
}

/// The numbers that a name begins with.
fn numbers(name: &str) -> impl Iterator<Item = u16> {
    let digits = |part: &str| {
        let digits = part.strip_prefix('b')?;
        (digits.len() == 3).then(|| digits.parse().ok())?
    };
    name.split('_').map_while(digits)
}

fn table(listed: &[Behaviour], tests: &Tests) -> String {
    let mut text = HEAD.to_owned();
    let none = BTreeSet::new();
    for behaviour in listed {
        let proofs = tests.get(&behaviour.number).unwrap_or(&none);
        let proofs: Vec<_> =
            proofs.iter().map(|(file, name)| format!("`{name}` in {file}")).collect();
        let cell = |text: &str| text.replace('|', "\\|");
        writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            behaviour.number,
            behaviour.area,
            cell(&behaviour.spark),
            proofs.join("<br>"),
            cell(&behaviour.difference),
        )
        .expect("memory");
    }
    text
}

#[test]
fn every_behaviour_is_proved_by_a_test_named_after_it() {
    let (listed, tests) = (listed(), named());
    let known: BTreeSet<_> = listed.iter().map(|behaviour| behaviour.number).collect();
    let strangers: Vec<_> = tests.iter().filter(|(number, _)| !known.contains(number)).collect();
    assert!(strangers.is_empty(), "tests of behaviours that are not listed: {strangers:?}");
    let in_order = listed.windows(2).all(|pair| pair[0].number < pair[1].number);
    assert!(in_order, "the list is not in order");
    let proved = |behaviour: &&Behaviour| tests.contains_key(&behaviour.number);
    let missing: Vec<_> = listed
        .iter()
        .filter(|behaviour| !proved(behaviour) && !behaviour.has_no_counterpart())
        .map(|behaviour| behaviour.number)
        .collect();
    assert_eq!(missing, UNPROVED, "behaviours without a test");
}

#[test]
fn the_table_of_behaviours_is_up_to_date() {
    let path = workspace().join("docs/spark-behaviours.md");
    let table = table(&listed(), &named());
    if std::env::var_os("KLAMM_BLESS").is_some() {
        fs::write(&path, &table).expect("written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == table,
        "run this test with KLAMM_BLESS=1 and look at what changed in {path:?}"
    );
}

/// How the difference of a behaviour begins that only Spark can have.
const NO_COUNTERPART: &str = "No counterpart";

/// What no test proves. Only ever shorter.
const UNPROVED: &[u16] = &[208, 209, 210, 211, 212, 213, 229];

const HEAD: &str = "\
# What Spark's Kafka connector does, and which test proves that Klamm does it too

Written by `cargo test -p klamm-connector --test behaviours` from `spark-behaviours.tsv`. `[a,b)` is a half-open range of
offsets. The last column says what is deliberately different, and why.

| | area | Spark | proved by | different in Klamm |
|---|---|---|---|---|
";
