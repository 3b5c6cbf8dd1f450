//! A query that is started again and again on one checkpoint, and what came out of it.

use std::path::Path;
use std::sync::{Arc, Mutex};

use klamm_connector::error::Result;
use klamm_connector::options::ReadMode;
use klamm_connector::query::{Query, QueryProgress, QuerySettings, Trigger};
use klamm_connector::sink::{ForeachBatch, Written, next_rows};
use klamm_connector::source::KafkaSource;

use super::{Place, Row, plain};

/// Every start reads the same place; what the sink got is kept until it is asked for.
pub(crate) struct Job {
    place: Place,
    checkpoint: tempfile::TempDir,
    taken: Arc<Mutex<Vec<Vec<Row>>>>,
}

impl Job {
    pub(crate) fn at(place: &Place) -> Self {
        let checkpoint = tempfile::tempdir().unwrap();
        Self { place: place.clone(), checkpoint, taken: Arc::default() }
    }

    pub(crate) async fn start(
        &self,
        trigger: Trigger,
        options: &[(&str, &str)],
    ) -> Result<Query<KafkaSource>> {
        let options = self.place.options(ReadMode::Stream, options)?;
        let source = KafkaSource::connect(options).await?;
        self.start_on(source, trigger).await
    }

    pub(crate) async fn start_on(
        &self,
        source: KafkaSource,
        trigger: Trigger,
    ) -> Result<Query<KafkaSource>> {
        let taken = Arc::clone(&self.taken);
        let sink = ForeachBatch::new(move |_, mut rows| {
            let taken = Arc::clone(&taken);
            async move {
                let mut all = Vec::new();
                while let Some(rows) = next_rows(&mut rows).await {
                    all.extend(plain(&rows?));
                }
                all.sort();
                let written = Written { rows: all.len() as u64, bytes: 0 };
                taken.lock().unwrap().push(all);
                Ok(written)
            }
        });
        let checkpoint = self.checkpoint.path().to_owned();
        let settings = QuerySettings { checkpoint, trigger, name: None };
        Query::start(source, Box::new(sink), settings).await
    }

    /// One run over all that is there.
    pub(crate) async fn drain(&self, options: &[(&str, &str)]) -> Result<Vec<QueryProgress>> {
        rest(self.start(Trigger::AvailableNow, options).await?).await
    }

    pub(crate) fn checkpoint(&self) -> &Path {
        self.checkpoint.path()
    }

    /// The rows of each batch that came since the last call, in order.
    pub(crate) fn taken(&self) -> Vec<Vec<Row>> {
        std::mem::take(&mut *self.taken.lock().unwrap())
    }

    /// The offsets of the rows of each batch that came since the last call.
    pub(crate) fn offsets(&self) -> Vec<Vec<i64>> {
        let offsets = |rows: Vec<Row>| rows.into_iter().map(|(_, offset, _)| offset).collect();
        self.taken().into_iter().map(offsets).collect()
    }

    /// The values of all batches that came since the last call, sorted.
    pub(crate) fn values(&self) -> Vec<String> {
        let rows = self.taken().into_iter().flatten();
        let mut values: Vec<_> = rows.map(|(_, _, value)| value.unwrap()).collect();
        values.sort();
        values
    }
}

/// All batches until the query ends.
pub(crate) async fn rest(mut query: Query<KafkaSource>) -> Result<Vec<QueryProgress>> {
    let mut all = Vec::new();
    while let Some(progress) = query.next().await {
        all.push(progress?);
    }
    Ok(all)
}
