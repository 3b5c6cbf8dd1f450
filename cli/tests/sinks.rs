//! `klamm stream --sink …` for each kind of sink: what is where after a run, after a batch that runs again, and after a
//! wrong command line.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use arrow_array::cast::AsArray as _;
use common::{Embedded, Ran, klamm, klamm_fed};
use tempfile::TempDir;

/// A broker with ten records, and a folder for checkpoints and files.
struct World {
    embedded: Embedded,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let embedded = Embedded::start();
        embedded.topic("orders", 1);
        embedded.topic("copy", 2);
        let world = Self { embedded, folder: tempfile::tempdir().expect("a folder") };
        world.write(0..10);
        world
    }

    fn write(&self, numbers: std::ops::Range<i32>) {
        let rows: String =
            numbers.map(|n| format!("{{\"key\":\"{n}\",\"value\":\"{n}\"}}\n")).collect();
        let server = &self.embedded.server;
        klamm_fed(&["write", "-b", server, "-t", "orders"], rows.as_bytes()).ok();
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// Drains `orders`, four offsets a batch.
    fn stream(&self, more: &[&str]) -> Ran {
        let checkpoint = self.path("checkpoint");
        let mut all = vec!["stream", "-b", &self.embedded.server, "-t", "orders"];
        all.extend(["-o", "startingOffsets=earliest", "-o", "maxOffsetsPerTrigger=4"]);
        all.extend(["--checkpoint", &checkpoint, "--trigger", "available-now"]);
        klamm(&[&all, more].concat())
    }

    /// What a crash between the sink and the commit leaves.
    fn uncommit(&self, batch: i64) {
        fs::remove_file(self.path(&format!("checkpoint/commits/{batch}"))).expect("it was there");
    }

    fn read(&self, topic: &str, more: &[&str]) -> String {
        klamm(&[&["read", "-b", &self.embedded.server, "-t", topic], more].concat()).ok()
    }
}

fn files(folder: &str) -> BTreeMap<String, Vec<u8>> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        (name, fs::read(path).expect("a file"))
    };
    fs::read_dir(Path::new(folder)).expect("a folder").map(entry).collect()
}

fn sorted<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn the_console_prints_rows_as_read_does_and_nothing_else_on_stdout() {
    let world = World::new();
    let run = world.stream(&["--sink", "console", "--progress", "json", "--query-name", "shown"]);
    let progress: Vec<serde_json::Value> =
        run.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(progress.len(), 3, "{}", run.stderr);
    for (batch, progress) in progress.iter().enumerate() {
        assert_eq!((&progress["name"], &progress["batchId"]), (&"shown".into(), &batch.into()));
        assert_eq!(progress["sink"]["description"], "console");
    }
    let read = world.read("orders", &[]);
    assert_eq!(sorted(run.ok().lines()), sorted(read.lines()));
    // A batch that runs again is printed again, and only that one.
    world.uncommit(2);
    assert_eq!(world.stream(&["--sink", "console"]).ok().lines().count(), 2);
    assert_eq!(world.stream(&["--sink", "console"]).ok(), "");
}

#[test]
fn json_files_hold_each_row_once_whatever_runs_again() {
    let world = World::new();
    let out = world.path("out");
    let sink = format!("json:{out}");
    world.stream(&["--sink", &sink]).ok();
    let first = files(&out);
    let names: Vec<_> = (0..3).map(|batch| format!("batch-{batch:020}.jsonl")).collect();
    assert_eq!(first.keys().collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
    let rows = |files: &BTreeMap<String, Vec<u8>>| {
        let text =
            files.values().flat_map(|file| std::str::from_utf8(file).expect("UTF-8").lines());
        sorted(text)
    };
    assert_eq!(rows(&first), sorted(world.read("orders", &[]).lines()));
    // A crash in the middle of the file, and one between the file and the commit.
    world.uncommit(2);
    fs::write(format!("{out}/batch-{:020}.partial", 2), "half a li").expect("a file");
    fs::write(format!("{out}/{}", names[2]), "another run's").expect("a file");
    world.stream(&["--sink", &sink, "--delivery", "exactly-once"]).ok();
    assert_eq!(files(&out), first);
    world.write(10..12);
    world.stream(&["--sink", &sink]).ok();
    assert_eq!(rows(&files(&out)).len(), 12);
}

#[test]
fn arrow_files_hold_each_row_once_whatever_runs_again() {
    let world = World::new();
    let out = world.path("deep/er/out");
    let sink = format!("arrow:{out}");
    world.stream(&["--sink", &sink, "-o", "includeHeaders=true"]).ok();
    let first = files(&out);
    assert_eq!(first.len(), 3);
    world.uncommit(2);
    world.stream(&["--sink", &sink, "-o", "includeHeaders=true"]).ok();
    assert_eq!(files(&out), first);
    let mut values = Vec::new();
    for file in first.values() {
        let reader = arrow_ipc::reader::FileReader::try_new(std::io::Cursor::new(file), None);
        for batch in reader.expect("a file of Arrow") {
            let batch = batch.expect("a batch");
            assert_eq!(batch.num_columns(), 8);
            let column = batch.column_by_name("value").expect("values").as_binary_view().clone();
            values.extend(
                column
                    .iter()
                    .map(|v| String::from_utf8(v.expect("a value").to_vec()).expect("UTF-8")),
            );
        }
    }
    values.sort_by_key(|value| value.parse::<i32>().expect("a number"));
    assert_eq!(values, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn kafka_repeats_a_batch_at_least_once_and_not_exactly_once() {
    for (delivery, rows) in [("at-least-once", "12\n"), ("exactly-once", "10\n")] {
        let world = World::new();
        let to = ["--sink", "kafka", "-O", "topic=copy", "--delivery", delivery];
        world.stream(&to).ok();
        world.uncommit(2);
        world.stream(&to).ok();
        let committed = ["--count", "-o", "kafka.isolation.level=read_committed"];
        assert_eq!(world.read("copy", &committed), rows, "{delivery}");
    }
    // Kafka and at least once are what nobody has to ask for.
    let world = World::new();
    world.stream(&["-O", "topic=copy"]).ok();
    world.uncommit(2);
    world.stream(&["-O", "topic=copy"]).ok();
    assert_eq!(world.read("copy", &["--count"]), "12\n");
}

#[test]
fn a_query_ends_after_so_many_batches_or_one() {
    let world = World::new();
    let sink = format!("json:{}", world.path("out"));
    world.stream(&["--sink", &sink, "--max-batches", "2"]).ok();
    assert_eq!(files(&world.path("out")).len(), 2);
    let checkpoint = world.path("once");
    let server = &world.embedded.server;
    let once = ["stream", "-b", server, "-t", "orders", "-o", "startingOffsets=earliest"];
    let more = ["--checkpoint", &checkpoint, "--trigger", "once", "--sink", "console"];
    assert_eq!(klamm(&[&once[..], &more].concat()).ok().lines().count(), 10);
}

#[test]
fn a_pipeline_file_names_its_sink_and_the_command_line_wins() {
    let world = World::new();
    let file = world.path("pipeline.toml");
    let text = format!(
        "[source]\nkafka.bootstrap.servers = '{}'\nsubscribe = 'orders'\nstartingOffsets = 'earliest'\n\
         [query]\ncheckpoint = '{}'\ntrigger = 'available-now'\nsink = 'json:{}'\n",
        world.embedded.server,
        world.path("checkpoint"),
        world.path("out")
    );
    fs::write(&file, text).expect("a file");
    klamm(&["stream", "--file", &file]).ok();
    assert_eq!(files(&world.path("out")).len(), 1);
    world.uncommit(0);
    assert_eq!(klamm(&["stream", "--file", &file, "--sink", "console"]).ok().lines().count(), 10);
    // A side that has its own servers keeps them; -b is for the one that has none.
    world.uncommit(0);
    let to = ["--sink", "kafka", "-O", "topic=copy"];
    let both = ["stream", "--file", &file, "-b", "127.0.0.1:1"];
    let own = format!("kafka.bootstrap.servers={}", world.embedded.server);
    klamm(&[&both[..], &to, &["-O", &own]].concat()).ok();
    assert_eq!(world.read("copy", &["--count"]), "10\n");
}

#[test]
fn the_checkpoint_may_be_named_as_spark_users_do() {
    let world = World::new();
    let location = format!("checkpointLocation={}", world.path("checkpoint"));
    let server = &world.embedded.server;
    let stream = ["stream", "-b", server, "-t", "orders", "--trigger", "available-now"];
    klamm(&[&stream[..], &["-O", "topic=copy", "-O", &location]].concat()).ok();
    assert!(Path::new(&world.path("checkpoint/metadata")).exists());
    klamm(&[&stream[..], &["-O", "topic=copy"]].concat()).refused(2, "--checkpoint");
}

#[test]
fn a_wrong_sink_is_status_2_and_nothing_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let checkpoint = path("checkpoint");
    // Nobody listens there: what is refused at once has asked nobody.
    let start = ["stream", "-b", "127.0.0.1:1", "-t", "orders", "--checkpoint", &checkpoint];
    let json = format!("json:{}", path("out"));
    let refused: [(&[&str], &str); 11] = [
        (&["--sink", "parquet:x"], "kafka, console, json:DIR or arrow:DIR"),
        (&["--sink", "json:"], "kafka, console, json:DIR or arrow:DIR"),
        (&["--sink", "json"], "kafka, console, json:DIR or arrow:DIR"),
        (&["--sink", "console", "-O", "topic=x"], "leave out topic"),
        (&["--sink", &json, "-O", "kafka.acks=1"], "leave out kafka.acks"),
        (&["--sink", "console", "--delivery", "exactly-once"], "console"),
        (&["-O", "topic=x", "--delivery", "at-most-once"], "at-least-once or exactly-once"),
        (&["-O", "topc=x"], "did you mean 'topic'"),
        (&["-O", "topic=x", "--trigger", "now and then"], "trigger"),
        (&["-O", "topic=x", "-O", "kafka.transactional.id=x"], "exactly-once"),
        (&["-O", "topic=x", "-O", "kafka.value.serializer=x"], "ByteArraySerializer"),
    ];
    for (more, words) in refused {
        klamm(&[&start[..], more].concat()).refused(2, words);
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn a_folder_that_can_not_be_made_is_named() {
    let world = World::new();
    fs::write(world.path("file"), "no folder").expect("a file");
    let sink = format!("json:{}", world.path("file/below"));
    world.stream(&["--sink", &sink]).refused(1, "file/below");
}
