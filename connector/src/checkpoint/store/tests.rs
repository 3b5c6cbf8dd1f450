use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::offsets::testing::offsets;

const ID: &str = "0e5b39a5-d4a2-4b1f-9c7a-6e1a8a6e7f10";

fn open(root: &Path) -> Checkpoint {
    Checkpoint::open(root, ID).unwrap()
}

fn entry(offset: i64) -> OffsetsEntry {
    OffsetsEntry::new(offsets(&[("t", 0, offset)]), 1)
}

/// As many as Spark keeps by itself.
const HUNDRED: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// Plans and commits batches `from` to `until`; each takes ten offsets.
fn run(checkpoint: &Checkpoint, from: i64, until: i64) -> Result<()> {
    for batch in from..until {
        if batch == 0 && checkpoint.initial()?.is_none() {
            checkpoint.write_initial(&offsets(&[("t", 0, 0)]))?;
        }
        if checkpoint.offsets(batch)?.is_none() {
            checkpoint.write_offsets(batch, &entry((batch + 1) * 10))?;
        }
        checkpoint.purge(batch, HUNDRED)?;
        checkpoint.write_commit(batch, 0)?;
    }
    Ok(())
}

#[test]
fn a_fresh_start_writes_the_files_in_sparks_order_and_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = open(dir.path());
    assert_eq!(checkpoint.resume(), Resume::Fresh);
    run(&checkpoint, 0, 1).unwrap();
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    assert_eq!(read("metadata"), format!("{{\"id\":\"{ID}\"}}").as_bytes());
    assert_eq!(read("sources/0/0"), b"\0v1\n{\"t\":{\"0\":0}}");
    assert!(read("offsets/0").ends_with(b"\n{\"t\":{\"0\":10}}"));
    assert_eq!(read("commits/0"), b"v1\n{\"nextBatchWatermarkMs\":0}");
}

#[test]
fn the_id_stays_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    assert_eq!(Checkpoint::open(dir.path(), "another").unwrap().id(), ID);
}

#[test]
fn b192_a_second_query_is_refused_until_the_first_ends() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let error = Checkpoint::open(dir.path(), ID).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CheckpointInUse);
    drop(first);
    open(dir.path());
}

#[test]
fn b187_a_batch_that_is_there_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = open(dir.path());
    checkpoint.write_offsets(0, &entry(10)).unwrap();
    let error = checkpoint.write_offsets(0, &entry(20)).unwrap_err();
    assert_eq!(error.condition(), Some("CONCURRENT_STREAM_LOG_UPDATE"));
    let kept = checkpoint.offsets(0).unwrap().unwrap();
    assert_eq!(kept.offsets, entry(10).offsets);
    assert_eq!(fs::read_dir(dir.path().join("offsets")).unwrap().count(), 1);
}

#[test]
fn b191_a_hundred_batches_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = open(dir.path());
    run(&checkpoint, 0, 3).unwrap();
    fs::write(dir.path().join("offsets/.0.crc"), b"x").unwrap();
    checkpoint.purge(100, HUNDRED).unwrap();
    assert!(dir.path().join("offsets/0").exists());
    checkpoint.purge(102, HUNDRED).unwrap();
    assert!(!dir.path().join("offsets/.0.crc").exists());
    let left = |log: &str| fs::read_dir(dir.path().join(log)).unwrap().count();
    assert_eq!((left("offsets"), left("commits")), (1, 1));
}

#[test]
fn b191_fewer_batches_are_kept_if_so_asked_but_never_less_than_a_restart_needs() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = open(dir.path());
    run(&checkpoint, 0, 6).unwrap();
    checkpoint.purge(6, NonZeroU32::MIN).unwrap();
    assert!(!dir.path().join("offsets/4").exists() && !dir.path().join("commits/4").exists());
    assert!(dir.path().join("offsets/5").exists() && dir.path().join("commits/5").exists());
}

#[test]
fn a_stale_checksum_of_hadoop_is_removed_with_a_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = open(dir.path());
    fs::write(dir.path().join("offsets/.0.crc"), b"x").unwrap();
    fs::write(dir.path().join("offsets/.7.crc"), b"x").unwrap();
    checkpoint.write_offsets(0, &entry(10)).unwrap();
    assert!(!dir.path().join("offsets/.0.crc").exists());
    assert!(dir.path().join("offsets/.7.crc").exists());
}

#[test]
fn a_torn_file_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    run(&open(dir.path()), 0, 1).unwrap();
    fs::write(dir.path().join("offsets/0"), b"v1\n{}").unwrap();
    let error = open(dir.path()).offsets(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CheckpointUntrusted);
    assert!(error.message().contains("offsets/0"));
    fs::write(dir.path().join("metadata"), b"{\"id\":").unwrap();
    assert!(Checkpoint::open(dir.path(), ID).unwrap_err().message().contains("metadata"));
}

#[test]
fn foreign_names_are_ignored_and_strange_numbers_refused() {
    let dir = tempfile::tempdir().unwrap();
    run(&open(dir.path()), 0, 1).unwrap();
    fs::write(dir.path().join("offsets/.1.x.tmp"), b"").unwrap();
    fs::write(dir.path().join("offsets/README"), b"").unwrap();
    assert_eq!(open(dir.path()).resume(), Resume::Next { committed: 0 });
    fs::write(dir.path().join("offsets/01"), b"").unwrap();
    let error = Checkpoint::open(dir.path(), ID).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CheckpointUntrusted);
}

#[test]
fn contents_are_read_without_a_lock() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = open(dir.path());
    run(&checkpoint, 0, 2).unwrap();
    checkpoint.write_offsets(2, &entry(30)).unwrap();
    let contents = Contents::read(dir.path()).unwrap();
    assert_eq!(contents.id.as_deref(), Some(ID));
    assert_eq!(contents.resume, Resume::Rerun { first: 2, last: 2 });
    let committed: Vec<_> =
        contents.batches.iter().map(|(batch, _, done)| (*batch, *done)).collect();
    assert_eq!(committed, [(0, true), (1, true), (2, false)]);
    assert_eq!(contents.initial, Some(offsets(&[("t", 0, 0)])));
}

/// Fails at the n-th operation and at all later ones, as after a crash; a failing write leaves half of its content.
#[derive(Clone)]
struct Crashing {
    left: Arc<AtomicUsize>,
}

impl Crashing {
    fn step(&self) -> io::Result<()> {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 0 { Err(io::Error::other("crashed")) } else { Ok(()) }
    }
}

impl Disk for Crashing {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.step().and_then(|()| LocalDisk.create_folder(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.step().and_then(|()| LocalDisk.list(path))
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.step().and_then(|()| LocalDisk.read(path))
    }

    fn write_synced(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        if let Err(crash) = self.step() {
            let _ = LocalDisk.write_synced(path, &content[..content.len() / 2]);
            return Err(crash);
        }
        LocalDisk.write_synced(path, content)
    }

    fn publish(&self, from: &Path, to: &Path) -> io::Result<bool> {
        self.step().and_then(|()| LocalDisk.publish(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step().and_then(|()| LocalDisk.remove(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.step().and_then(|()| LocalDisk.sync_folder(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        self.step().and_then(|()| LocalDisk.lock(path))
    }
}

#[test]
fn a_crash_at_any_file_operation_leaves_a_checkpoint_that_resumes_exactly() {
    let mut crashes = 0;
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let disk = Crashing { left: Arc::new(AtomicUsize::new(steps)) };
        let outcome = Checkpoint::open_on(Box::new(disk), dir.path(), ID)
            .and_then(|checkpoint| run(&checkpoint, 0, 3));
        if outcome.is_ok() {
            break;
        }
        crashes += 1;
        let checkpoint = Checkpoint::open(dir.path(), "new").unwrap();
        let first = checkpoint.resume().batch();
        run(&checkpoint, first, 4).unwrap_or_else(|e| panic!("after {steps} steps: {e}"));
        for batch in 0..4 {
            let planned = checkpoint.offsets(batch).unwrap().unwrap();
            assert_eq!(planned.offsets, entry((batch + 1) * 10).offsets, "after {steps} steps");
            assert_eq!(checkpoint.commit(batch).unwrap(), Some(0));
        }
        assert_eq!(fs::read_dir(dir.path().join("offsets")).unwrap().count(), 4);
    }
    assert!(crashes > 30, "{crashes}");
}
