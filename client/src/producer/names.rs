//! Things by name, quick for whoever asks for the same one again and again, as those do who write
//! many records to one topic: one comparison instead of a hash.

use std::collections::HashMap;
use std::sync::Arc;

/// Things that are added and never taken away.
#[derive(Debug, Default)]
pub(super) struct Names<T> {
    known: Vec<(Arc<str>, T)>,
    by_name: HashMap<Arc<str>, usize>,
    /// Where the one that was last asked for is.
    last: usize,
}

impl<T: Default> Names<T> {
    /// The thing of that name, if there is one.
    #[inline]
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        if self.known.get(self.last).is_none_or(|(last, _)| **last != *name) {
            self.last = *self.by_name.get(name)?;
        }
        self.known.get_mut(self.last).map(|(_, thing)| thing)
    }

    /// Makes a thing of that name, unless there is one.
    pub(super) fn add(&mut self, name: &Arc<str>) {
        if !self.by_name.contains_key(name) {
            self.by_name.insert(Arc::clone(name), self.known.len());
            self.known.push((Arc::clone(name), T::default()));
        }
    }

    /// All names, in the order in which they were added.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.known.iter().map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_was_asked_for_last_each_name_finds_its_own() {
        let mut names = Names::<i32>::default();
        for (name, number) in [("a", 1), ("b", 2), ("a", 3)] {
            names.add(&Arc::from(name));
            *names.get_mut(name).unwrap() += number;
        }
        let found = ["a", "b", "c", "b", "a"].map(|name| names.get_mut(name).copied());
        assert_eq!(found, [Some(4), Some(2), None, Some(2), Some(4)]);
        assert_eq!(names.names().map(|name| &**name).collect::<Vec<_>>(), ["a", "b"]);
    }
}
