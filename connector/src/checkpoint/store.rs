//! A checkpoint that is open: reads and writes each file of [`super::format`] through a [`Disk`].
//!
//! A file appears under its name whole and on the disk, or not at all: it is written beside it under a hidden name,
//! synced, given its name without replacing another, and the folder is synced. Failing at any step leaves what was
//! there before, and at most a hidden file, which the next start takes away.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use super::disk::{Disk, LocalDisk, Lock};
use super::format::{self, OffsetsEntry, Refusal};
use super::recovery::{self, Listing, Resume};
use crate::error::{Error, ErrorKind, Result};
use crate::offsets::PartitionOffsets;

/// A checkpoint that this process holds the lock of, until it is dropped.
///
/// All methods block on the file system; an async caller moves them to a thread that may.
pub struct Checkpoint {
    root: PathBuf,
    disk: Box<dyn Disk>,
    id: String,
    resume: Resume,
    _lock: Lock,
}

/// What a checkpoint says, read without a lock.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// The query's id; `None` if there is no file `metadata`.
    pub id: Option<String>,
    /// The files that are there.
    pub listing: Listing,
    /// What a restart would do.
    pub resume: Resume,
    /// Where the source started, if that is recorded.
    pub initial: Option<PartitionOffsets>,
    /// The planned batches that can still be read, ascending, each with whether it is committed.
    pub batches: Vec<(i64, OffsetsEntry, bool)>,
}

impl Contents {
    /// Reads the checkpoint in `root`, Spark's or ours, without changing anything.
    ///
    /// # Errors
    /// `CheckpointIo`, or `CheckpointUntrusted` for the first file that is torn, foreign or from a newer version.
    pub fn read(root: &Path) -> Result<Self> {
        let files = Files { root, disk: &LocalDisk };
        let listing = files.listing()?;
        let resume = recovery::decide(&listing).map_err(|e| at(e, root))?;
        let mut batches = Vec::new();
        for batch in &listing.offsets {
            let entry = files.parsed(&offsets_path(*batch), format::read_offsets)?;
            if let Some(entry) = entry {
                batches.push((*batch, entry, listing.commits.binary_search(batch).is_ok()));
            }
        }
        // A restart reads the last commit, too.
        if let Some(last) = listing.commits.last() {
            files.parsed(&format!("commits/{last}"), format::read_commit)?;
        }
        Ok(Self {
            id: files.parsed(METADATA, format::read_metadata)?,
            initial: files.parsed(INITIAL, format::read_initial)?,
            listing,
            resume,
            batches,
        })
    }
}

impl Checkpoint {
    /// Opens the checkpoint in `root`, which is made if it is not there, and takes its lock.
    ///
    /// `new_id` becomes the query's id if the checkpoint has none.
    ///
    /// # Errors
    /// `CheckpointInUse` if another process holds the lock, `CheckpointUntrusted` if the files contradict each other,
    /// `CheckpointIo` if the file system refuses.
    pub fn open(root: &Path, new_id: &str) -> Result<Self> {
        Self::open_on(Box::new(LocalDisk), root, new_id)
    }

    /// As [`Checkpoint::open`], on another disk.
    pub fn open_on(disk: Box<dyn Disk>, root: &Path, new_id: &str) -> Result<Self> {
        let files = Files { root, disk: &*disk };
        files.disk.create_folder(root).map_err(|e| io_error("make the folder", root, e))?;
        let lock_path = root.join(LOCK);
        let lock = files.disk.lock(&lock_path).map_err(|e| io_error("lock", &lock_path, e))?;
        let lock = lock.ok_or_else(|| in_use(root))?;
        let listing = files.listing()?;
        let resume = recovery::decide(&listing).map_err(|e| at(e, root))?;
        for folder in ["", "sources/0", "offsets", "commits"] {
            files.remove_leftovers(folder)?;
        }
        let id = match files.parsed(METADATA, format::read_metadata)? {
            Some(id) => id,
            None => {
                files.publish("", METADATA, &format::write_metadata(new_id))?;
                new_id.to_owned()
            }
        };
        for folder in ["sources/0", "offsets", "commits"] {
            let path = root.join(folder);
            files.disk.create_folder(&path).map_err(|e| io_error("make the folder", &path, e))?;
        }
        Ok(Self { root: root.to_owned(), disk, id, resume, _lock: lock })
    }

    /// The query's id, the same over all its restarts.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the query has to do first, as found when the checkpoint was opened.
    pub fn resume(&self) -> Resume {
        self.resume
    }

    /// Where the source started, if that was recorded.
    ///
    /// # Errors
    /// `CheckpointUntrusted` or `CheckpointIo`.
    pub fn initial(&self) -> Result<Option<PartitionOffsets>> {
        self.files().parsed(INITIAL, format::read_initial)
    }

    /// Records where the source starts, once and for all.
    ///
    /// # Errors
    /// `CheckpointInUse` if it is recorded already, else `CheckpointIo`.
    pub fn write_initial(&self, offsets: &PartitionOffsets) -> Result<()> {
        self.files().publish("sources/0", INITIAL, &format::write_initial(offsets))
    }

    /// The plan of a batch, if there is one.
    ///
    /// # Errors
    /// `CheckpointUntrusted` or `CheckpointIo`.
    pub fn offsets(&self, batch: i64) -> Result<Option<OffsetsEntry>> {
        self.files().parsed(&offsets_path(batch), format::read_offsets)
    }

    /// Records the plan of a batch, before it runs.
    ///
    /// # Errors
    /// `CheckpointInUse` if somebody else has planned it meanwhile, else `CheckpointIo`.
    pub fn write_offsets(&self, batch: i64, entry: &OffsetsEntry) -> Result<()> {
        self.files().publish("offsets", &offsets_path(batch), &format::write_offsets(entry))
    }

    /// The watermark that the commit of a batch carries, if it is committed.
    ///
    /// # Errors
    /// `CheckpointUntrusted` or `CheckpointIo`.
    pub fn commit(&self, batch: i64) -> Result<Option<i64>> {
        self.files().parsed(&format!("commits/{batch}"), format::read_commit)
    }

    /// Records that a batch ran to its end.
    ///
    /// # Errors
    /// `CheckpointInUse` if somebody else has committed it meanwhile, else `CheckpointIo`.
    pub fn write_commit(&self, batch: i64, next_watermark_ms: i64) -> Result<()> {
        let content = format::write_commit(next_watermark_ms);
        self.files().publish("commits", &format!("commits/{batch}"), &content)
    }

    /// Forgets the plans and commits that the start of `batch` makes old: all but the last `retained` before it.
    ///
    /// # Errors
    /// `CheckpointIo`.
    pub fn purge(&self, batch: i64, retained: NonZeroU32) -> Result<()> {
        let oldest = batch.saturating_sub(i64::from(retained.get()));
        if oldest <= 0 {
            return Ok(());
        }
        for folder in ["offsets", "commits"] {
            for old in self.files().batches(folder)?.into_iter().filter(|id| *id < oldest) {
                self.files().remove(folder, &old.to_string())?;
            }
        }
        Ok(())
    }

    fn files(&self) -> Files<'_> {
        Files { root: &self.root, disk: &*self.disk }
    }
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Checkpoint");
        debug.field("root", &self.root).field("id", &self.id).field("resume", &self.resume);
        debug.finish_non_exhaustive()
    }
}

/// The files below a root.
#[derive(Clone, Copy)]
struct Files<'a> {
    root: &'a Path,
    disk: &'a dyn Disk,
}

impl Files<'_> {
    fn listing(&self) -> Result<Listing> {
        let root = self.names("")?;
        Ok(Listing {
            has_metadata: root.iter().any(|name| name == METADATA),
            has_initial: self.names("sources/0")?.iter().any(|name| name == "0"),
            has_state: self.names("state")?.iter().any(|name| !name.starts_with('.')),
            offsets: self.batches("offsets")?,
            commits: self.batches("commits")?,
        })
    }

    fn names(&self, folder: &str) -> Result<Vec<String>> {
        let path = self.root.join(folder);
        self.disk.list(&path).map_err(|e| io_error("list", &path, e))
    }

    /// The batches of a log, ascending.
    fn batches(&self, folder: &str) -> Result<Vec<i64>> {
        let names = self.names(folder)?;
        let mut batches = Vec::new();
        for name in &names {
            match format::batch_id(name) {
                // Spark would list it as a batch and then look for another name.
                Some(id) if id.to_string() != *name => {
                    let reason = format!("'{name}' is not how any engine names a batch");
                    return Err(untrusted(&self.root.join(folder).join(name), &reason));
                }
                Some(id) => batches.push(id),
                None => {}
            }
        }
        batches.sort_unstable();
        Ok(batches)
    }

    fn parsed<T>(
        &self,
        path: &str,
        parse: impl Fn(&[u8]) -> Result<T, Refusal>,
    ) -> Result<Option<T>> {
        let path = self.root.join(path);
        match self.disk.read(&path).map_err(|e| io_error("read", &path, e))? {
            None => Ok(None),
            Some(bytes) => parse(&bytes).map(Some).map_err(|reason| untrusted(&path, &reason)),
        }
    }

    /// Makes a new file appear, whole and durable.
    fn publish(&self, folder: &str, path: &str, content: &[u8]) -> Result<()> {
        let (folder, path) = (self.root.join(folder), self.root.join(path));
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Hadoop checks a file against the checksum beside it, and one may be left from a file that Spark removed.
        let checksum = folder.join(format!(".{name}.crc"));
        let hidden = folder.join(format!(".{name}.{}{LEFTOVER}", uuid::Uuid::new_v4()));
        let target = &path;
        let failed = |what| move |e| io_error(what, target, e);
        self.disk.write_synced(&hidden, content).map_err(failed("write"))?;
        self.disk.remove(&checksum).map_err(failed("remove the old checksum of"))?;
        if !self.disk.publish(&hidden, &path).map_err(failed("give its name to"))? {
            self.disk.remove(&hidden).map_err(failed("remove the draft of"))?;
            return Err(Error::new(
                ErrorKind::CheckpointInUse,
                format!(
                    "Multiple streaming queries are concurrently using {}: the file was written by somebody else meanwhile. Stop one of them",
                    path.display()
                ),
            )
            .with_condition("CONCURRENT_STREAM_LOG_UPDATE"));
        }
        self.disk.sync_folder(&folder).map_err(failed("sync the folder of"))
    }

    fn remove(&self, folder: &str, name: &str) -> Result<()> {
        for name in [name.to_owned(), format!(".{name}.crc")] {
            let path = self.root.join(folder).join(name);
            self.disk.remove(&path).map_err(|e| io_error("remove", &path, e))?;
        }
        Ok(())
    }

    /// Takes away what a crash of ours left. Spark's own hidden files stay.
    fn remove_leftovers(&self, folder: &str) -> Result<()> {
        let ours = |name: &String| name.starts_with('.') && name.ends_with(LEFTOVER);
        for name in self.names(folder)?.into_iter().filter(ours) {
            let path = self.root.join(folder).join(name);
            self.disk.remove(&path).map_err(|e| io_error("remove", &path, e))?;
        }
        Ok(())
    }
}

fn offsets_path(batch: i64) -> String {
    format!("offsets/{batch}")
}

fn in_use(root: &Path) -> Error {
    Error::new(
        ErrorKind::CheckpointInUse,
        format!(
            "The checkpoint {} is in use by another query. Stop that one, or use another folder",
            root.display()
        ),
    )
}

fn untrusted(path: &Path, reason: &str) -> Error {
    Error::new(
        ErrorKind::CheckpointUntrusted,
        format!("Failed to read log file {}. {reason} Restore it from a copy", path.display()),
    )
}

fn io_error(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::CheckpointIo, format!("Failed to {what} {}: {error}", path.display()))
        .with_source(error)
}

fn at(error: Error, root: &Path) -> Error {
    error.with_context("checkpoint", root.display())
}

const METADATA: &str = "metadata";
const INITIAL: &str = "sources/0/0";
const LOCK: &str = ".klamm.lock";
/// What the hidden names of drafts end with: Spark's end, and a mark that says that the draft is ours to remove.
const LEFTOVER: &str = ".klamm.tmp";

#[cfg(test)]
mod tests;
