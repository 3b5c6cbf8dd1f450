//! `klamm checkpoint`: what a folder says, in words and as JSON, and what a restart would do. Nothing is changed by it.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{Embedded, klamm, klamm_fed};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with these files in it.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, content).expect("a file");
    }
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn report(folder: &Path) -> Value {
    serde_json::from_str(&klamm(&["checkpoint", text(folder), "--json"]).ok()).expect("JSON")
}

/// All files below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => {
                let content = fs::read(&path).expect("a file");
                found.insert(path, content);
            }
        }
    }
    found
}

/// Runs a query over ten records of `orders`, four offsets a batch.
fn queried() -> (Embedded, TempDir, Vec<String>) {
    let embedded = Embedded::start();
    embedded.topic("orders", 1);
    let rows: String = (0..10).map(|n| format!("{{\"value\":\"{n}\"}}\n")).collect();
    klamm_fed(&["write", "-b", &embedded.server, "-t", "orders"], rows.as_bytes()).ok();
    let folder = tempfile::tempdir().expect("a folder");
    let stream = [
        "stream",
        "-b",
        &embedded.server,
        "-t",
        "orders",
        "-o",
        "startingOffsets=earliest",
        "-o",
        "maxOffsetsPerTrigger=4",
        "-O",
        "topic=copy",
        "--checkpoint",
        text(folder.path()),
        "--trigger",
        "available-now",
    ];
    let stream = stream.map(str::to_owned).to_vec();
    run(&stream);
    (embedded, folder, stream)
}

fn run(arguments: &[String]) {
    klamm(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).ok();
}

#[test]
fn a_checkpoint_says_its_query_its_batches_and_what_a_restart_does() {
    let (_embedded, folder, stream) = queried();
    let before = files(folder.path());
    let said = klamm(&["checkpoint", text(folder.path())]).ok();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("query id: ") && lines[0].len() == 46, "{said}");
    assert_eq!(lines[1], r#"started at: {"orders":{"0":0}}"#);
    assert_eq!(lines[2], "on restart: goes on with batch 3 where batch 2 ended");
    let columns: Vec<_> =
        lines[3..].iter().map(|l| l.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(columns[0], ["batch", "state", "ends", "at"]);
    assert_eq!(columns[1], ["0", "committed", r#"{"orders":{"0":4}}"#]);
    assert_eq!(columns[3], ["2", "committed", r#"{"orders":{"0":10}}"#]);
    let id = lines[0].strip_prefix("query id: ").expect("an id");
    let batch = |id, committed, end| json!({"batchId": id, "committed": committed, "endOffsets": {"orders": {"0": end}}});
    let expected = json!({
        "id": id,
        "initialOffsets": {"orders": {"0": 0}},
        "nextBatch": 3,
        "onRestart": "goes on with batch 3 where batch 2 ended",
        "batches": [batch(0, true, 4), batch(1, true, 8), batch(2, true, 10)],
    });
    assert_eq!(report(folder.path()), expected);

    // As after a crash in a batch: planned, not committed.
    fs::remove_file(folder.path().join("commits/2")).expect("it was there");
    let one = report(folder.path());
    assert_eq!(one["onRestart"], "runs batch 2 again to its planned end, then goes on");
    assert_eq!((&one["nextBatch"], &one["batches"][2]), (&json!(2), &batch(2, false, 10)));
    fs::remove_file(folder.path().join("commits/1")).expect("it was there");
    let two = klamm(&["checkpoint", text(folder.path())]).ok();
    assert!(two.contains("runs batches 1 to 2 again to their planned ends, then goes on"), "{two}");
    assert!(two.contains("planned"), "{two}");
    // A restart does what was said, and looking has changed nothing.
    run(&stream);
    assert_eq!(report(folder.path())["nextBatch"], 3);
    let after = files(folder.path());
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    for (path, content) in before {
        assert_eq!(after[&path], content, "{}", path.display());
    }
}

#[test]
fn a_checkpoint_in_use_can_be_looked_at() {
    let (_embedded, folder, mut stream) = queried();
    // Without a trigger it runs on.
    stream.truncate(stream.len() - 2);
    // The run before has left its lock's file.
    let lock = folder.path().join(".klamm.lock");
    fs::remove_file(&lock).expect("it is there");
    let running = Running(
        std::process::Command::new(env!("CARGO_BIN_EXE_klamm"))
            .args(&stream)
            .args(["--progress", "none"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("starts"),
    );
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !lock.exists() {
        assert!(std::time::Instant::now() < until, "it never opened its checkpoint");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let seen = report(folder.path());
    drop(running);
    assert_eq!(seen["nextBatch"], 3);
}

#[test]
fn a_checkpoint_of_spark_is_read_as_ours() {
    let conf = r#"{"batchWatermarkMs":0,"batchTimestampMs":1,"conf":{"spark.sql.shuffle.partitions":"200"}}"#;
    let offsets = |end: i64| format!("v1\n{conf}\n{{\"orders\":{{\"1\":{end},\"0\":{end}}}}}");
    let folder = folder(&[
        ("metadata", r#"{"id":"6b8f2d9c-0000-4000-8000-000000000001"}"#),
        ("sources/0/0", "\0v1\n{\"orders\":{\"1\":0,\"0\":0}}"),
        ("offsets/0", &offsets(3)),
        ("offsets/1", &offsets(5)),
        ("offsets/.1.crc", "x"),
        ("commits/0", "v1\n{\"nextBatchWatermarkMs\":0}"),
    ]);
    let report = report(folder.path());
    assert_eq!(report["id"], "6b8f2d9c-0000-4000-8000-000000000001");
    assert_eq!(report["nextBatch"], 1);
    assert_eq!(report["batches"][1]["committed"], false);
    assert_eq!(report["batches"][0]["endOffsets"], json!({"orders": {"0": 3, "1": 3}}));
}

#[test]
fn an_empty_folder_is_a_query_that_has_not_started() {
    let folder = folder(&[]);
    let said = klamm(&["checkpoint", text(folder.path())]).ok();
    let words = "on restart: starts from the source's starting offsets with batch 0";
    assert!(said.starts_with(&format!("query id: none yet\n{words}\n")), "{said}");
    let report = report(folder.path());
    assert_eq!((&report["id"], &report["batches"]), (&Value::Null, &json!([])));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn what_can_not_be_trusted_is_status_4_and_names_its_file() {
    let whole = [
        ("metadata", r#"{"id":"i"}"#),
        ("offsets/0", "v1\n{}\n{\"orders\":{\"0\":3}}"),
        ("commits/0", "v1\n{}"),
    ];
    let damaged = [
        ("metadata", "{\"id\":", "metadata"),
        ("offsets/0", "v1\n{}\n{\"orders\":{\"0\":", "offsets/0"),
        ("offsets/0", "", "offsets/0"),
        ("offsets/0", "v99999\n{}\n{}", "v99999"),
        ("commits/0", "vx\n{}", "commits/0"),
    ];
    for (name, content, words) in damaged {
        let folder = folder(&whole);
        fs::write(folder.path().join(name), content).expect("a file");
        klamm(&["checkpoint", text(folder.path())]).refused(4, words);
        klamm(&["checkpoint", text(folder.path()), "--json"]).refused(4, words);
    }
    let missing = folder(&[]);
    let missing = missing.path().join("nothing here");
    klamm(&["checkpoint", text(&missing)]).refused(4, "nothing here");
    klamm(&["checkpoint"]).refused(2, "DIR");
}

/// A process that is ended with the test, however that goes.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
