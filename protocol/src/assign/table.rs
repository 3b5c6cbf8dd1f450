//! Small tables by number, for the assignors: what is not there reads as empty, since no number that
//! was given out is ever missing, and a wrong one must not end the process.

/// The number of a member among the group's, by id as Java compares strings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MemberNo(pub(super) usize);

/// The number of a topic among those subscribed to, by name as Java compares strings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TopicNo(pub(super) usize);

/// The number of a partition among those of all topics subscribed to, by topic, then number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartNo(pub(super) usize);

/// Which partitions each member gets, in order.
pub(super) type Shares = Lists<PartNo>;

/// A list for each number.
#[derive(Clone, Debug)]
pub(super) struct Lists<T>(Vec<Vec<T>>);

impl<T: Copy + PartialEq> Lists<T> {
    pub(super) fn new(count: usize) -> Self {
        Self(vec![Vec::new(); count])
    }

    pub(super) fn of(&self, number: usize) -> &[T] {
        self.0.get(number).map_or(&[], Vec::as_slice)
    }

    pub(super) fn len_of(&self, number: usize) -> usize {
        self.of(number).len()
    }

    pub(super) fn push(&mut self, number: usize, value: T) {
        self.extend(number, [value]);
    }

    pub(super) fn extend(&mut self, number: usize, values: impl IntoIterator<Item = T>) {
        if let Some(list) = self.0.get_mut(number) {
            list.extend(values);
        }
    }

    /// Takes the first equal value out of a list.
    pub(super) fn remove(&mut self, number: usize, value: T) {
        if let Some(list) = self.0.get_mut(number)
            && let Some(at) = list.iter().position(|other| *other == value)
        {
            list.remove(at);
        }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Vec<T>> {
        self.0.iter_mut()
    }
}

/// A value for each number.
#[derive(Clone, Debug)]
pub(super) struct Marks<T>(Vec<T>);

impl<T: Copy + Default> Marks<T> {
    pub(super) fn new(count: usize) -> Self {
        Self(vec![T::default(); count])
    }

    pub(super) fn of(&self, number: usize) -> T {
        self.0.get(number).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, number: usize, value: T) {
        if let Some(mark) = self.0.get_mut(number) {
            *mark = value;
        }
    }
}
