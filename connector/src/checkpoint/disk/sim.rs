//! A disk in memory for tests: operations and a fault in; what a process sees, and what is left after a crash, out.
//!
//! What was synced survives a crash, of all else any part may. Every operation is a number of steps, and a fault may
//! strike at each of them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Disk, Lock};

/// What goes wrong, at the step with the given number and perhaps at all that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The machine stops: this step and all after it do nothing.
    Crash,
    /// No space for this one step (`ENOSPC`); a step that needs none is spared.
    FullOnce,
    /// No space from this step on.
    Full,
    /// This one step fails (`EIO`).
    Broken,
}

/// What of the unsynced a crash leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Survives {
    Nothing,
    All,
    /// Each change or not, by this seed.
    Some(u64),
}

/// A step that the disk claims to have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lie {
    #[default]
    None,
    /// Contents are never synced.
    Contents,
    /// Names in folders are never synced.
    Names,
}

#[derive(Clone, Debug)]
enum Node {
    Folder,
    File { content: Arc<[u8]>, synced: bool, id: u64 },
}

impl Node {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Folder, Self::Folder) => true,
            (Self::File { id, .. }, Self::File { id: other, .. }) => id == other,
            _ => false,
        }
    }
}

/// The names of a folder as a process sees them, and as the disk has them.
#[derive(Clone, Debug, Default)]
struct Folder {
    seen: BTreeMap<String, Node>,
    kept: BTreeMap<String, Node>,
}

#[derive(Clone, Debug, Default)]
struct State {
    folders: BTreeMap<PathBuf, Folder>,
    files: u64,
    steps: u64,
    fault: Option<(u64, Fault)>,
    lie: Lie,
    off: bool,
}

/// A disk that is shared by all clones of it.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk {
    state: Arc<Mutex<State>>,
    lock: Arc<Mutex<Arc<()>>>,
}

impl SimDisk {
    /// An empty disk with the root folder.
    pub(crate) fn new() -> Self {
        let folders = BTreeMap::from([(PathBuf::from("/"), Folder::default())]);
        Self::of(State { folders, ..State::default() })
    }

    fn of(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)), lock: Arc::default() }
    }

    /// Another disk with the same content, nobody's lock, no fault, no steps yet.
    pub(crate) fn copy(&self) -> Self {
        let state = State { steps: 0, fault: None, off: false, ..self.state().clone() };
        Self::of(state)
    }

    pub(crate) fn steps(&self) -> u64 {
        self.state().steps
    }

    /// Fails at the step with this number, counted from 1.
    pub(crate) fn fail_at(&self, step: u64, fault: Fault) {
        self.state().fault = Some((step, fault));
    }

    pub(crate) fn lie(&self, lie: Lie) {
        self.state().lie = lie;
    }

    /// The disk as the machine finds it after a crash.
    pub(crate) fn crashed(&self, survives: Survives) -> Self {
        let disk = self.copy();
        disk.state().crash(survives);
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panicked here")
    }
}

impl State {
    fn step(&mut self, needs_space: bool) -> io::Result<()> {
        self.steps += 1;
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        match self.fault {
            _ if self.off => Err(io::Error::other("the machine is off")),
            Some((at, Fault::Crash)) if at == self.steps => {
                self.off = true;
                Err(io::Error::other("the machine is off"))
            }
            Some((at, Fault::FullOnce)) if at == self.steps && needs_space => Err(full()),
            Some((at, Fault::Full)) if at <= self.steps && needs_space => Err(full()),
            Some((at, Fault::Broken)) if at == self.steps => Err(io::Error::other("EIO")),
            _ => Ok(()),
        }
    }

    fn folder(&mut self, path: &Path) -> io::Result<&mut Folder> {
        self.folders.get_mut(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn node(&self, path: &Path) -> Option<&Node> {
        let (folder, name) = split(path);
        self.folders.get(folder)?.seen.get(name)
    }

    fn put(&mut self, path: &Path, node: Node) -> io::Result<()> {
        let (folder, name) = split(path);
        self.folder(folder)?.seen.insert(name.to_owned(), node);
        Ok(())
    }

    fn crash(&mut self, survives: Survives) {
        let mut seed = match survives {
            Survives::Some(seed) => seed,
            _ => 0,
        };
        let mut survives = || match survives {
            Survives::Nothing => false,
            Survives::All => true,
            Survives::Some(_) => {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0x9E37_79B9);
                seed >> 63 == 1
            }
        };
        for folder in self.folders.values_mut() {
            let names: Vec<_> = folder.seen.keys().chain(folder.kept.keys()).cloned().collect();
            for name in names {
                let (seen, kept) = (folder.seen.get(&name), folder.kept.get(&name));
                let same = match (seen, kept) {
                    (Some(seen), Some(kept)) => seen.is(kept),
                    (seen, kept) => seen.is_none() && kept.is_none(),
                };
                if !same && survives() {
                    match seen.cloned() {
                        Some(node) => folder.kept.insert(name, node),
                        None => folder.kept.remove(&name),
                    };
                }
            }
            for node in folder.kept.values_mut() {
                if let Node::File { content, synced, .. } = node
                    && !*synced
                {
                    let left = if survives() { content.len() } else { content.len() / 2 };
                    *content = content[..left].into();
                    *synced = true;
                }
            }
            folder.seen = folder.kept.clone();
        }
        self.drop_folders_without_a_name();
    }

    fn drop_folders_without_a_name(&mut self) {
        let lost = |(path, _): (&PathBuf, &Folder)| {
            let there = path.parent().is_none() || matches!(self.node(path), Some(Node::Folder));
            (!there).then(|| path.clone())
        };
        for path in self.folders.iter().filter_map(lost).collect::<Vec<_>>() {
            self.folders.retain(|one, _| !one.starts_with(&path));
        }
    }
}

impl Disk for SimDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        if self.state().folders.contains_key(path) {
            return Ok(());
        }
        let parent = path.parent().expect("the root is there");
        self.create_folder(parent)?;
        let mut state = self.state();
        state.step(true)?;
        state.put(path, Node::Folder)?;
        state.folders.insert(path.to_owned(), Folder::default());
        drop(state);
        self.sync_folder(parent)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.step(false)?;
        Ok(state.folder(path).map(|f| f.seen.keys().cloned().collect()).unwrap_or_default())
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let mut state = self.state();
        state.step(false)?;
        Ok(match state.node(path) {
            Some(Node::File { content, .. }) => Some(content.to_vec()),
            _ => None,
        })
    }

    fn write_synced(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.step(true)?;
        if state.node(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.files += 1;
        let id = state.files;
        let file = |content: &[u8], synced| Node::File { content: content.into(), synced, id };
        state.put(path, file(&[], false))?;
        if let Err(error) = state.step(true) {
            state.put(path, file(&content[..content.len() / 2], false))?;
            return Err(error);
        }
        state.put(path, file(content, false))?;
        state.step(true)?;
        let synced = state.lie != Lie::Contents;
        state.put(path, file(content, synced))
    }

    fn publish(&self, from: &Path, to: &Path) -> io::Result<bool> {
        let mut state = self.state();
        state.step(true)?;
        if state.node(to).is_some() {
            return Ok(false);
        }
        let node = state.node(from).cloned().ok_or(io::ErrorKind::NotFound)?;
        state.put(to, node)?;
        drop(state);
        self.remove(from).map(|()| true)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step(false)?;
        let (folder, name) = split(path);
        if let Ok(folder) = state.folder(folder) {
            folder.seen.remove(name);
        }
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step(false)?;
        if state.lie != Lie::Names {
            let folder = state.folder(path)?;
            folder.kept = folder.seen.clone();
        }
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Option<Lock>> {
        self.state().step(true)?;
        let held = self.lock.lock().expect("no test panicked here");
        Ok((Arc::strong_count(&held) == 1).then(|| Lock::new(Arc::clone(&held))))
    }
}

fn split(path: &Path) -> (&Path, &str) {
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    (path.parent().expect("a folder"), name)
}
