//! Totals and positions in one SQLite file. In: what a batch adds, and the ranges that it came from; out: both stored
//! in one transaction, or neither.
//!
//! SQLite is a C library, and none is linked here: each transaction talks to the program `sqlite3`. With a driver such
//! as `rusqlite` the statements stay the same.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use klamm_connector::offsets::range::OffsetRange;
use klamm_connector::offsets::{PartitionOffsets, TopicPartition};

/// A database file.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    path: PathBuf,
}

/// A transaction that was begun. Dropped, it leaves nothing in the database, as it does when this process is killed:
/// `sqlite3` then reads the end of its input and rolls back.
#[derive(Debug)]
pub(crate) struct Transaction {
    child: Child,
    statements: Option<ChildStdin>,
}

impl Store {
    /// Opens the file, and makes the tables if they are not there.
    ///
    /// # Errors
    /// If `sqlite3` is not installed, or the file can't be used.
    pub(crate) fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let store = Self { path: path.as_ref().to_owned() };
        store.query(SCHEMA)?;
        Ok(store)
    }

    /// Where to go on.
    ///
    /// # Errors
    /// If the file can't be read.
    pub(crate) fn positions(&self) -> io::Result<PartitionOffsets> {
        let rows = self.query("SELECT next, partition, topic FROM positions;")?;
        let position = |row: &str| {
            let mut fields = row.splitn(3, '|');
            let next = fields.next()?.parse().ok()?;
            let partition = fields.next()?.parse().ok()?;
            Some((TopicPartition::new(fields.next()?, partition), next))
        };
        let broken = || io::Error::other("the table of positions holds something else");
        rows.lines().map(|row| position(row).ok_or_else(broken)).collect()
    }

    /// The totals by key, as `key|total|records`.
    ///
    /// # Errors
    /// If the file can't be read.
    pub(crate) fn totals(&self) -> io::Result<String> {
        self.query("SELECT key, total, records FROM totals ORDER BY key;")
    }

    /// Begins a transaction; others wait until it ends.
    ///
    /// # Errors
    /// If `sqlite3` can't be started.
    pub(crate) fn begin(&self) -> io::Result<Transaction> {
        let mut child = self.sqlite().stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let statements = child.stdin.take();
        let mut transaction = Transaction { child, statements };
        transaction.say(BEGIN)?;
        Ok(transaction)
    }

    fn query(&self, statements: &str) -> io::Result<String> {
        let output = self.sqlite().arg(statements).stderr(Stdio::piped()).output()?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(io::Error::other(text));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Stops at the first error, and waits for others who write.
    fn sqlite(&self) -> Command {
        let mut command = Command::new("sqlite3");
        command.args(["-batch", "-bail", "-cmd", ".timeout 10000"]).arg(&self.path);
        command
    }
}

impl Transaction {
    /// Adds to the total of a key.
    ///
    /// # Errors
    /// If `sqlite3` has ended.
    pub(crate) fn add(&mut self, key: &[u8], amount: i64) -> io::Result<()> {
        self.say(&format!(
            "INSERT INTO totals VALUES ({}, {amount}, 1) ON CONFLICT (key) DO UPDATE SET \
             total = total + excluded.total, records = records + 1;\n",
            text(key)
        ))
    }

    /// Moves a partition's position over this range. The transaction fails where the position is not at the range's
    /// beginning: then these records were counted already, or some before them were not.
    ///
    /// # Errors
    /// If `sqlite3` has ended.
    pub(crate) fn advance(&mut self, range: &OffsetRange) -> io::Result<()> {
        let OffsetRange { topic_partition: tp, from, until } = range;
        self.say(&format!(
            "INSERT INTO positions VALUES ({}, {}, {until}) ON CONFLICT (topic, partition) DO UPDATE SET \
             next = excluded.next WHERE positions.next = {from};\nINSERT INTO moved SELECT changes();\n",
            text(tp.topic.as_bytes()),
            tp.partition
        ))
    }

    /// Stores all of it.
    ///
    /// # Errors
    /// If a position was elsewhere, or the file can't be written: then nothing was stored.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        self.say("COMMIT;\n")?;
        self.statements = None;
        if self.child.wait()?.success() {
            return Ok(());
        }
        let mut said = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            errors.read_to_string(&mut said)?;
        }
        Err(io::Error::other(format!("nothing was stored: {}", said.trim())))
    }

    fn say(&mut self, statements: &str) -> io::Result<()> {
        let ended = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.statements.as_mut().ok_or_else(ended)?.write_all(statements.as_bytes())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.statements = None;
        // Whatever it says, nothing is left of the transaction.
        let _ = self.child.wait();
    }
}

/// Bytes as text for a statement, whatever is in them.
fn text(bytes: &[u8]) -> String {
    let mut text = String::from("CAST(x'");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text + "' AS TEXT)"
}

const SCHEMA: &str = "PRAGMA journal_mode = WAL; \
    CREATE TABLE IF NOT EXISTS totals (key TEXT PRIMARY KEY, total INTEGER NOT NULL, records INTEGER NOT NULL); \
    CREATE TABLE IF NOT EXISTS positions (topic TEXT, partition INTEGER, next INTEGER NOT NULL, \
    PRIMARY KEY (topic, partition));";
/// The second table fails the transaction where a statement did not change exactly one row.
const BEGIN: &str =
    "CREATE TEMP TABLE moved (changed INTEGER CHECK (changed = 1));\nBEGIN IMMEDIATE;\n";
