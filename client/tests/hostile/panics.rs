//! Panics of any thread and any task, also those that a runtime would catch. In: nothing; out: the
//! words of each, with the name of its thread, which is its case's.

use std::sync::{Mutex, PoisonError};

static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Hears panics until it is taken down; they are not printed meanwhile.
pub(crate) struct Recorder(());

impl Recorder {
    pub(crate) fn install() -> Self {
        std::panic::set_hook(Box::new(|info| {
            let thread = std::thread::current();
            let words = format!("{}: {info}", thread.name().unwrap_or("a thread"));
            HEARD.lock().unwrap_or_else(PoisonError::into_inner).push(words);
        }));
        Self(())
    }

    pub(crate) fn into_messages(self) -> Vec<String> {
        drop(std::panic::take_hook());
        std::mem::take(&mut HEARD.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
