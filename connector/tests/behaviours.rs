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

/// All tests of the workspace that are named after behaviours.
fn named() -> Tests {
    let mut tests = Tests::new();
    for folder in CRATES {
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
            let shown = path.strip_prefix(workspace()).unwrap_or(&path).display().to_string();
            for name in
                tests_in(&text).unwrap_or_else(|name| panic!("{name} in {shown} is no test"))
            {
                for number in numbers(name) {
                    let test = (shown.clone(), name.to_owned());
                    tests.entry(number).or_default().insert(test);
                }
            }
        }
    }
}

/// The tests of a file that are named after behaviours; or the name of a function that is named like one and never run
/// as one.
fn tests_in(text: &str) -> Result<Vec<&str>, &str> {
    let (mut names, mut attributes) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        match function_name(line) {
            Some(name) if numbers(name).next().is_some() => {
                let has = |starts: &[&str]| {
                    attributes.iter().any(|line: &&str| starts.iter().any(|s| line.starts_with(s)))
                };
                let is_test = has(&["#[test]", "#[tokio::test"]) || is_scenario(line);
                if !is_test || has(&["#[ignore"]) {
                    return Err(name);
                }
                names.push(name);
                attributes.clear();
            }
            _ if line.starts_with("#[") => attributes.push(line),
            _ if line.starts_with("//") => {}
            _ => attributes.clear(),
        }
    }
    Ok(names)
}

/// What `everywhere!` makes two tests of. One that it does not name is dead code, which the compiler tells.
fn is_scenario(line: &str) -> bool {
    line.starts_with("pub(crate) async fn ")
        && (line.contains("(ground: &Ground)") || line.ends_with('('))
}

fn function_name(line: &str) -> Option<&str> {
    let line =
        line.strip_prefix("pub ").or_else(|| line.strip_prefix("pub(crate) ")).unwrap_or(line);
    let rest = line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn "))?;
    rest.split_once(['(', '<']).map(|(name, _)| name)
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

/// That every number is there once, in order.
fn is_complete(numbers: impl Iterator<Item = u16>) -> Result<(), String> {
    let numbers: Vec<_> = numbers.collect();
    let odd = (1..=BEHAVIOURS).zip(&numbers).find(|(expected, number)| expected != *number);
    match odd {
        Some((expected, number)) => Err(format!("{number} stands where {expected} should")),
        None if numbers.len() != usize::from(BEHAVIOURS) => {
            Err(format!("{} behaviours instead of {BEHAVIOURS}", numbers.len()))
        }
        None => Ok(()),
    }
}

#[test]
fn every_behaviour_is_proved_by_a_test_named_after_it() {
    let (listed, tests) = (listed(), named());
    let known: BTreeSet<_> = listed.iter().map(|behaviour| behaviour.number).collect();
    let strangers: Vec<_> = tests.iter().filter(|(number, _)| !known.contains(number)).collect();
    assert!(strangers.is_empty(), "tests of behaviours that are not listed: {strangers:?}");
    is_complete(listed.iter().map(|behaviour| behaviour.number)).expect("the list");
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

#[test]
fn planted_functions_that_no_test_runner_calls_are_found() {
    let text = |above: &str| format!("{above}\nasync fn b{}_x() {{\n", "007");
    for above in ["#[test]", "#[tokio::test(start_paused = true)]", "#[test]\n// why\n#[allow(x)]"]
    {
        assert_eq!(tests_in(&text(above)), Ok(vec!["b007_x"]), "{above}");
    }
    let never =
        ["", "#[test]\nfn other() {}", "#[test]\n#[ignore]", "#[allow(dead_code)]", "#[test]\n\n"];
    for above in never {
        assert_eq!(tests_in(&text(above)), Err("b007_x"), "{above}");
    }
    let scenario = |head: &str| format!("pub(crate) async fn b{}_x({head}) {{", "007");
    assert_eq!(tests_in(&scenario("ground: &Ground")), Ok(vec!["b007_x"]));
    assert_eq!(tests_in(&scenario("")), Err("b007_x"));
    assert_eq!(tests_in("fn before_x() {}\nfn b12_x() {}\nfn b0007_x() {}"), Ok(vec![]));
    assert_eq!(tests_in(&format!("pub fn b{}_b001_x<T>() {{}}", "007")), Err("b007_b001_x"));
}

#[test]
fn planted_tests_are_found_in_every_crate() {
    let crates = fs::read_to_string(workspace().join("Cargo.toml")).expect("the manifest");
    let members = crates.lines().find_map(|line| line.strip_prefix("members = ")).expect("members");
    let members: Vec<String> = serde_json::from_str(members).expect("a list of strings");
    for member in members {
        let scanned = CRATES.iter().any(|scanned| Path::new(&member).starts_with(scanned));
        assert!(scanned, "tests of {member} would not count");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("planted.rs");
    fs::write(&file, format!("#[test]\nfn b{}_planted() {{}}\n", "123")).expect("a file");
    let mut tests = Tests::new();
    collect(folder.path(), &mut tests);
    assert!(tests[&123].iter().any(|(_, name)| name == "b123_planted"));
}

#[test]
fn planted_gaps_in_the_list_are_found() {
    let all = || 1..=BEHAVIOURS;
    assert_eq!(is_complete(all()), Ok(()));
    let gap = is_complete(all().filter(|number| *number != 17));
    assert_eq!(gap, Err("18 stands where 17 should".to_owned()));
    assert!(is_complete(1..BEHAVIOURS).is_err(), "the last is missing");
    assert!(is_complete(1..=BEHAVIOURS + 1).is_err(), "one too many");
    assert!(is_complete(all().rev()).is_err());
    assert!(is_complete(std::iter::once(1).chain(all())).is_err(), "one twice");
}

/// How many behaviours there are.
const BEHAVIOURS: u16 = 270;

/// Where tests are looked for.
const CRATES: [&str; 7] = ["protocol", "client", "connector", "testkit", "cli", "fuzz", "bench"];

/// How the difference of a behaviour begins that only Spark can have.
const NO_COUNTERPART: &str = "No counterpart";

/// What no test proves. Only ever shorter.
const UNPROVED: &[u16] = &[];

const HEAD: &str = "\
# What Spark's Kafka connector does, and which test proves that Klamm does it too

Written by `cargo test -p klamm-connector --test behaviours` from `spark-behaviours.tsv`. `[a,b)` is a half-open range of
offsets. What stands in `connector/tests/real_stream` is proved on the embedded broker and on Apache Kafka 4.3.1, what
stands in `connector/tests/real_sink` on Apache Kafka 4.3.1. The last column says what is deliberately different, and why.

| | area | Spark | proved by | different in Klamm |
|---|---|---|---|---|
";
