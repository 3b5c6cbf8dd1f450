//! All that the checkpoint does to a file system, as few small operations behind one trait, so that a test can make
//! each of them fail and look at what is left.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

/// The file operations that a checkpoint needs. Paths are complete; nothing here knows what a file means.
pub trait Disk: Send + Sync {
    /// Makes a folder and those above it, durably. Fine if it is there.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// The names in a folder in no order; none if there is no such folder.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// The whole of a file; `None` if there is none. Files beyond [`MAX_FILE`] are an error.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;

    /// Writes a new file and waits until its content is on the disk. Fails if the name is taken.
    fn write_synced(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// Gives the file at `from` the name `to` in one step, `false` if that name is taken, which it then stays.
    fn publish(&self, from: &Path, to: &Path) -> io::Result<bool>;

    /// Removes a file. Fine if there is none.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Waits until the names in a folder are on the disk.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Takes a lock that ends with the value or with the process; `None` if somebody else has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>>;
}

/// A lock that is held until this is dropped.
pub struct Lock(#[allow(dead_code, reason = "held for its drop")] Box<dyn Send + Sync>);

impl Lock {
    /// A lock whose drop is that of `guard`.
    pub fn new(guard: impl Send + Sync + 'static) -> Self {
        Self(Box::new(guard))
    }
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lock")
    }
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.create_folder(parent)?;
        }
        match private_folder().create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            Err(error) => Err(error),
            // A new folder is only there after a crash if the one that names it was synced.
            Ok(()) => parent.map_or(Ok(()), |parent| self.sync_folder(parent)),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        // A name that is no text is none of ours.
        entries
            .filter_map(|entry| entry.map(|e| e.file_name().into_string().ok()).transpose())
            .collect()
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut content = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut content)?;
        if content.len() as u64 > MAX_FILE {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "larger than any checkpoint file",
            ));
        }
        Ok(Some(content))
    }

    fn write_synced(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = private_file().create_new(true).open(path)?;
        file.write_all(content)?;
        file.sync_all()
    }

    fn publish(&self, from: &Path, to: &Path) -> io::Result<bool> {
        // A link refuses a name that is taken, which a rename does not.
        match fs::hard_link(from, to) {
            Ok(()) => fs::remove_file(from).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) if has_no_links(&error) => rename_unless_taken(from, to),
            Err(error) => Err(error),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let file = private_file().create(true).truncate(false).open(path)?;
        match file.try_lock() {
            // The file stays, empty: removing it would race with the next holder.
            Ok(()) => Ok(Some(Lock::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Some file systems (exFAT, some network ones) know no hard links.
fn has_no_links(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied)
}

/// The next best where there are no links: the lock keeps other queries of ours out between the two steps.
fn rename_unless_taken(from: &Path, to: &Path) -> io::Result<bool> {
    if fs::symlink_metadata(to).is_ok() {
        return Ok(false);
    }
    fs::rename(from, to).map(|()| true)
}

/// Files that only their owner reads: offsets tell how much a business sells.
fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn private_folder() -> DirBuilder {
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// The largest file that is read: a million partitions with long names still fit.
pub const MAX_FILE: u64 = 256 << 20;

#[cfg(test)]
pub(crate) mod sim;
