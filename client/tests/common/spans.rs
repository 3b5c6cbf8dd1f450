//! What a client says by `tracing`, kept for a test to look at. In: spans and events of this
//! thread; out: their names and fields as text.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A span or event: its name or message, and its fields.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub name: String,
    pub fields: BTreeMap<&'static str, String>,
}

/// Keeps all that the client says.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    spans: Arc<Mutex<Vec<Said>>>,
    events: Arc<Mutex<Vec<Said>>>,
}

impl Recorder {
    pub fn spans(&self) -> Vec<Said> {
        self.spans.lock().unwrap().clone()
    }

    pub fn events(&self) -> Vec<Said> {
        self.events.lock().unwrap().clone()
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("klamm")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut said = Said { name: span.metadata().name().to_owned(), ..Said::default() };
        span.record(&mut said);
        let mut spans = self.spans.lock().unwrap();
        spans.push(said);
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut spans = self.spans.lock().unwrap();
        let at = span.into_u64() as usize - 1;
        values.record(&mut spans[at]);
    }

    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut said);
        said.name = said.fields.remove("message").unwrap_or_default();
        self.events.lock().unwrap().push(said);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        write!(text, "{value:?}").unwrap();
        self.fields.insert(field.name(), text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}
