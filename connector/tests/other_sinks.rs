//! Sinks besides Kafka: files, the console and functions of one's own. A batch that runs again replaces what it left, and
//! a crash at any moment leaves whole files only.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use common::{Given, World, channel, numbers, once, plain, refs};
use klamm_connector::error::{Error, ErrorKind, Result};
use klamm_connector::format::Binary;
use klamm_connector::offsets::PartitionOffsets;
use klamm_connector::options::ReadMode;
use klamm_connector::query::{Query, QuerySettings, Trigger};
use klamm_connector::sink::{
    Batch, ConsoleSink, FileKind, FileSink, ForeachBatch, RowStream, Sink, Written, next_rows,
};
use klamm_connector::source::{KafkaSource, ReadOrder};

/// Ten records in two partitions, read two offsets at a time by a query.
async fn world() -> World {
    let world = World::new(&[("t", 2)]).await;
    world.append("t", 0, 1_000, &refs(&numbers(0, 5)));
    world.append("t", 1, 1_000, &refs(&numbers(5, 10)));
    world
}

/// All that `t` holds, as the source gives it.
async fn source_rows(world: &World) -> Vec<RecordBatch> {
    let options = [("subscribe", "t"), ("includeHeaders", "true")];
    let mut rows = world.plan(&options).await.unwrap().rows(ReadOrder::ByPartition);
    let mut all = Vec::new();
    while let Some(batch) = next_rows(&mut rows).await {
        all.push(batch.unwrap());
    }
    all
}

async fn drain(world: &World, sink: impl Sink + 'static, checkpoint: &Path) -> Result<Vec<i64>> {
    let pairs =
        [("subscribe", "t"), ("startingOffsets", "earliest"), ("maxOffsetsPerTrigger", "4")];
    let source = KafkaSource::connect(world.options(ReadMode::Stream, &pairs)?).await?;
    let checkpoint = checkpoint.to_owned();
    let settings = QuerySettings { checkpoint, trigger: Trigger::AvailableNow, name: None };
    let mut query = Query::start(source, Box::new(sink), settings).await?;
    let mut batches = Vec::new();
    while let Some(progress) = query.next().await {
        batches.push(progress?.batch_id);
    }
    Ok(batches)
}

/// The names and contents of a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// The values in files of JSON lines, sorted as numbers.
fn json_values(files: &BTreeMap<String, Vec<u8>>) -> Vec<i32> {
    let lines = files.values().flat_map(|file| std::str::from_utf8(file).unwrap().lines());
    let value = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        row["value"].as_str().unwrap().parse().unwrap()
    };
    let mut values: Vec<i32> = lines.map(value).collect();
    values.sort_unstable();
    values
}

fn arrow_values(files: &BTreeMap<String, Vec<u8>>) -> Vec<i32> {
    let mut values = Vec::new();
    for file in files.values() {
        let reader =
            arrow_ipc::reader::FileReader::try_new(std::io::Cursor::new(file), None).unwrap();
        for batch in reader {
            let batch = batch.unwrap();
            assert_eq!(batch.schema().field(6).name(), "timestampType");
            values.extend(
                plain(&batch).iter().map(|(.., v)| v.as_ref().unwrap().parse::<i32>().unwrap()),
            );
        }
    }
    values.sort_unstable();
    values
}

const JSON: FileKind = FileKind::Json(Binary::Utf8);

#[tokio::test]
async fn a_crash_between_file_and_commit_leaves_each_row_once() {
    let world = world().await;
    for kind in [JSON, FileKind::Arrow] {
        let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let sink = || FileSink::new(out.path(), kind).unwrap();
        assert_eq!(drain(&world, sink(), dir.path()).await.unwrap(), [0, 1, 2]);
        let first = files(out.path());
        assert_eq!(first.len(), 3, "{:?}", first.keys());
        let values = if kind == JSON { json_values(&first) } else { arrow_values(&first) };
        assert_eq!(values, (0..10).collect::<Vec<_>>());
        // What a crash right after the last file leaves: its batch is planned and not committed.
        fs::remove_file(dir.path().join("commits/2")).unwrap();
        assert_eq!(drain(&world, sink(), dir.path()).await.unwrap(), [2]);
        assert_eq!(files(out.path()), first, "to the byte");
    }
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_file_leaves_no_file_of_that_name() {
    let out = tempfile::tempdir().unwrap();
    let world = world().await;
    let rows = source_rows(&world).await;
    for kind in [JSON, FileKind::Arrow] {
        let mut sink = FileSink::new(out.path(), kind).unwrap();
        let end = PartitionOffsets::new();
        // The rows never end, and the write is given up, as a process is that dies.
        let (sender, endless) = channel();
        sender.send(Ok(rows[0].clone())).await.unwrap();
        let mut endless = Some(Box::pin(endless) as RowStream);
        let batch = Batch::new(7, &end, Vec::new(), move |_| endless.take().unwrap());
        let mut write = sink.write_batch(batch);
        let partial = out.path().join("batch-00000000000000000007.partial");
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !partial.exists() {
            assert!(std::time::Instant::now() < until, "no file begins");
            tokio::select! {
                _ = &mut write => panic!("its rows have no end"),
                () = tokio::time::sleep(std::time::Duration::from_millis(1)) => {}
            }
        }
        drop(write);
        let there = files(out.path());
        assert_eq!(there.keys().collect::<Vec<_>>(), ["batch-00000000000000000007.partial"]);
        // The batch runs again, and what it left is gone.
        let all = rows.clone();
        let batch = Batch::new(7, &end, Vec::new(), |_| Box::pin(Given::new(all.clone())));
        assert_eq!(sink.write_batch(batch).await.unwrap().rows, 10);
        let there = files(out.path());
        assert_eq!(there.len(), 1, "{:?}", there.keys());
        let values = if kind == JSON { json_values(&there) } else { arrow_values(&there) };
        assert_eq!(values, (0..10).collect::<Vec<_>>());
        for name in there.keys() {
            fs::remove_file(out.path().join(name)).unwrap();
        }
    }
}

#[tokio::test]
async fn rows_that_fail_leave_no_file_and_an_empty_batch_removes_an_earlier_one() {
    let out = tempfile::tempdir().unwrap();
    let world = world().await;
    let rows = source_rows(&world).await;
    let mut sink = FileSink::new(out.path(), JSON).unwrap();
    let end = PartitionOffsets::new();
    let (sender, failing) = channel();
    let mut failing = Some(Box::pin(failing) as RowStream);
    let row = rows[0].clone();
    let feeding = tokio::spawn(async move {
        sender.send(Ok(row)).await.unwrap();
        sender.send(Err(Error::new(ErrorKind::DataLoss, "gone"))).await.unwrap();
    });
    let batch = Batch::new(0, &end, Vec::new(), move |_| failing.take().unwrap());
    let error = sink.write_batch(batch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    feeding.await.unwrap();
    assert!(files(out.path()).keys().all(|name| name.ends_with(".partial")));
    let row = rows[0].clone();
    let whole = Batch::new(0, &end, Vec::new(), |_| once(row.clone()));
    let _ = sink.write_batch(whole).await.unwrap();
    assert_eq!(files(out.path()).len(), 1);
    // The same batch without a row, as after a loss that is allowed: nothing of it stays.
    let none = Batch::new(0, &end, Vec::new(), |_| Box::pin(Given::new(Vec::new())));
    assert_eq!(sink.write_batch(none).await.unwrap(), Written::default());
    assert!(files(out.path()).is_empty(), "{:?}", files(out.path()).keys());
}

#[tokio::test]
async fn a_folder_that_can_not_be_written_is_named() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("file");
    fs::write(&file, "no folder").unwrap();
    let error = FileSink::new(file.join("below"), JSON).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SinkIo);
    assert!(error.message().contains("file/below"), "{error}");
    // A folder that goes away while the query runs.
    let folder = out.path().join("goes");
    let mut sink = FileSink::new(&folder, JSON).unwrap();
    fs::remove_dir(&folder).unwrap();
    let world = world().await;
    let rows = source_rows(&world).await;
    let end = PartitionOffsets::new();
    let batch = Batch::new(3, &end, Vec::new(), |_| once(rows[0].clone()));
    let error = sink.write_batch(batch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SinkIo);
    assert!(error.message().contains("batch-00000000000000000003"), "{error}");
}

/// Text that two can see.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Write for Shown {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_console_shows_each_row_and_a_batch_that_runs_again_once_more() {
    let world = world().await;
    let dir = tempfile::tempdir().unwrap();
    let shown = Shown::default();
    let sink = || ConsoleSink::new(shown.clone(), Binary::Utf8);
    assert_eq!(drain(&world, sink(), dir.path()).await.unwrap(), [0, 1, 2]);
    let lines = |shown: &Shown| {
        let text = String::from_utf8(shown.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let first = lines(&shown);
    assert_eq!(first.len(), 10);
    assert!(
        first.contains(
            &r#"{"key":"k0","value":"0","topic":"t","partition":0,"offset":0,"timestamp":"1970-01-01T00:00:01.000Z","timestampType":0}"#
                .to_owned()
        ),
        "{first:?}"
    );
    fs::remove_file(dir.path().join("commits/2")).unwrap();
    assert_eq!(drain(&world, sink(), dir.path()).await.unwrap(), [2]);
    assert_eq!(lines(&shown).len(), 12, "the last batch had two rows");
    let error = ConsoleSink::new(Broken, Binary::Utf8);
    let error = drain(&world, error, tempfile::tempdir().unwrap().path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SinkIo);
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("nobody looks"))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a function of one's own has kept: the rows by the number of their batch, in one step.
type Kept = Arc<Mutex<BTreeMap<i64, Vec<String>>>>;

fn keeping(kept: &Kept, fails_at: Option<i64>) -> impl Sink + 'static {
    let kept = Arc::clone(kept);
    ForeachBatch::new(move |batch, mut rows| {
        let kept = Arc::clone(&kept);
        async move {
            let mut values = Vec::new();
            while let Some(rows) = next_rows(&mut rows).await {
                let rows = rows?;
                let column = rows.column_by_name("value").unwrap().as_binary_view().clone();
                values
                    .extend(column.iter().map(|v| String::from_utf8(v.unwrap().to_vec()).unwrap()));
            }
            let written = Written { rows: values.len() as u64, bytes: 0 };
            values.sort();
            let before = kept.lock().unwrap().insert(batch, values.clone());
            assert!(before.is_none_or(|before| before == values), "batch {batch} has other rows");
            match fails_at {
                Some(at) if at == batch => Err(Error::new(ErrorKind::SinkIo, "no more today")),
                _ => Ok(written),
            }
        }
    })
}

#[tokio::test]
async fn a_function_that_fails_after_its_work_gets_the_same_batch_again() {
    let world = world().await;
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::default();
    for fails_at in 0..3 {
        let error = drain(&world, keeping(&kept, Some(fails_at)), dir.path()).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::SinkIo, "no more today"));
        assert!(!dir.path().join(format!("commits/{fails_at}")).exists());
    }
    assert_eq!(drain(&world, keeping(&kept, None), dir.path()).await.unwrap(), [2]);
    let kept = kept.lock().unwrap();
    assert_eq!(kept.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    let mut all: Vec<_> = kept.values().flatten().cloned().collect();
    all.sort();
    assert_eq!(all, numbers(0, 10));
}
