//! A folder as a sink: a batch in, one file named after its number out. A batch that runs again replaces its file, so
//! the folder never holds a row twice.
//!
//! The file is written under another name, synced, and renamed: under its own name it is always whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, SchemaRef};

use super::console::unprinted;
use super::{Batch, RowStream, Sink, SinkFuture, Written, next_rows};
use crate::error::{Error, ErrorKind, Result};
use crate::format::{Binary, Format, FormatError, RowWriter};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A JSON object a line, with the source's columns; the name ends in `.jsonl`.
    Json(Binary),
    /// The file format of Arrow IPC; the name ends in `.arrow`.
    Arrow,
}

/// Writes each batch into a file of its own: `batch-00000000000000000007.jsonl`, so that names sort as batches do. A
/// batch without a row makes none.
#[derive(Debug)]
pub struct FileSink {
    folder: PathBuf,
    kind: FileKind,
}

impl FileSink {
    /// A sink that fills `folder`, which is made if it is not there. Only one query may use it.
    ///
    /// # Errors
    /// `SinkIo` where the folder can't be made.
    pub fn new(folder: impl Into<PathBuf>, kind: FileKind) -> Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|e| disk(e, &folder))?;
        Ok(Self { folder, kind })
    }

    fn path(&self, batch: i64) -> PathBuf {
        let ending = match self.kind {
            FileKind::Json(_) => "jsonl",
            FileKind::Arrow => "arrow",
        };
        self.folder.join(format!("batch-{batch:020}.{ending}"))
    }

    async fn write(&mut self, batch: i64, mut rows: RowStream) -> Result<Written> {
        let path = self.path(batch);
        let partial = path.with_extension("partial");
        let mut written = Written::default();
        let mut file = None;
        while let Some(rows) = next_rows(&mut rows).await {
            let rows = rows?;
            let mut open = match file.take() {
                Some(open) => open,
                None => Open::create(&partial, self.kind, &rows.schema())?,
            };
            written.rows += rows.num_rows() as u64;
            // Files may block; the runtime's workers should not.
            let (open, outcome) = blocking(move || {
                let outcome = open.write(&rows);
                (open, outcome)
            })
            .await?;
            outcome.map_err(|e| at(e, &partial))?;
            file = Some(open);
        }
        let (folder, named) = (self.folder.clone(), path.clone());
        let finished = blocking(move || match file {
            Some(file) => file.finish(&partial, &named, &folder),
            None => remove(&named, &partial, &folder),
        });
        finished.await?.map_err(|e| at(e, &path))?;
        Ok(written)
    }
}

impl Sink for FileSink {
    fn description(&self) -> String {
        let kind = match self.kind {
            FileKind::Json(_) => "json",
            FileKind::Arrow => "arrow",
        };
        format!("{kind}[{}]", self.folder.display())
    }

    fn check(&self, _schema: &SchemaRef) -> Result<()> {
        Ok(())
    }

    /// Errors: the first of the rows; `InvalidRow` for bytes that are no UTF-8 where they are to be; `SinkIo`. What the
    /// batch left under another name is overwritten the next time.
    fn write_batch<'a>(&'a mut self, mut batch: Batch<'a>) -> SinkFuture<'a> {
        Box::pin(self.write(batch.id(), batch.rows()))
    }
}

/// A file that is being filled.
enum Open {
    Json(Box<RowWriter<File>>, File),
    Arrow(Box<FileWriter<BufWriter<File>>>),
}

impl Open {
    fn create(path: &Path, kind: FileKind, schema: &SchemaRef) -> Result<Self> {
        let open = || -> Result<Self, FormatError> {
            let file = File::create(path)?;
            Ok(match kind {
                FileKind::Json(binary) => {
                    let again = file.try_clone()?;
                    Self::Json(Box::new(RowWriter::new(file, Format::Json, binary)), again)
                }
                FileKind::Arrow => {
                    Self::Arrow(Box::new(FileWriter::try_new(BufWriter::new(file), schema)?))
                }
            })
        };
        open().map_err(|e| at(e, path))
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<(), FormatError> {
        match self {
            Self::Json(writer, _) => writer.write(rows),
            Self::Arrow(writer) => Ok(writer.write(rows)?),
        }
    }

    /// Makes it whole and durable under its own name.
    fn finish(self, partial: &Path, path: &Path, folder: &Path) -> Result<(), FormatError> {
        let file = match self {
            Self::Json(_, file) => file,
            Self::Arrow(mut writer) => {
                writer.finish()?;
                let mut buffered = writer.into_inner()?;
                buffered.flush()?;
                buffered.into_inner().map_err(io::IntoInnerError::into_error)?
            }
        };
        file.sync_all()?;
        fs::rename(partial, path)?;
        Ok(File::open(folder)?.sync_all()?)
    }
}

/// Removes what earlier runs of a batch may have left.
fn remove(path: &Path, partial: &Path, folder: &Path) -> Result<(), FormatError> {
    for left in [partial, path] {
        match fs::remove_file(left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(File::open(folder)?.sync_all()?)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Error::new(ErrorKind::Internal, "A file operation broke off").with_source(error)
    })
}

fn at(error: FormatError, path: &Path) -> Error {
    match error {
        FormatError::Io(error) | FormatError::Arrow(ArrowError::IoError(_, error)) => {
            disk(error, path)
        }
        other => unprinted(other),
    }
}

fn disk(error: io::Error, path: &Path) -> Error {
    let message = format!("{} can't be written: {error}", path.display());
    Error::new(ErrorKind::SinkIo, message).with_source(error)
}
