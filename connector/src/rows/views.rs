//! A column of byte strings that lie in shared buffers: positions in, an array of views out.
//!
//! Arrow's own builder looks the buffer up again for each view, and keeps a bitmap for a column that
//! holds nothing but nulls, which the keys of most topics are. Here the views are plain words, and
//! Arrow checks all of them at the end.

use std::ops::Range;

use arrow_array::{Array as _, BinaryViewArray};
use arrow_buffer::{Buffer, NullBufferBuilder};
use arrow_data::{ByteView, MAX_INLINE_VIEW_LEN};
use arrow_schema::ArrowError;

/// Collects views, row by row.
#[derive(Debug)]
pub(super) struct ViewColumn {
    blocks: Vec<Buffer>,
    views: Vec<u128>,
    /// Of `views`; untouched while no null came.
    nulls: NullBufferBuilder,
    /// Rows so far, if all of them are null: nothing is written down for them.
    only_nulls: usize,
    /// A column of nulls to take slices of, as long as one was ever needed.
    nothing: Option<BinaryViewArray>,
}

impl ViewColumn {
    pub(super) fn new() -> Self {
        Self {
            blocks: Vec::new(),
            views: Vec::new(),
            nulls: NullBufferBuilder::new(0),
            only_nulls: 0,
            nothing: None,
        }
    }

    /// Shares a buffer, below 4 GiB; the number by which views name it.
    pub(super) fn share(&mut self, block: Buffer) -> u32 {
        self.blocks.push(block);
        self.blocks.len() as u32 - 1
    }

    /// Makes room for so many rows more, unless they may all be null.
    pub(super) fn reserve(&mut self, rows: usize) {
        if self.only_nulls == 0 {
            self.views.reserve(rows);
        }
    }

    /// Appends a row: `bytes`, which lie in the block at `range`, or null.
    #[inline(always)]
    pub(super) fn push(&mut self, block: u32, part: Option<(&[u8], Range<usize>)>) {
        let Some((bytes, range)) = part else { return self.push_null() };
        if self.only_nulls > 0 {
            self.write_nulls();
        }
        let view = match bytes.first_chunk::<4>() {
            Some(prefix) if bytes.len() > MAX_INLINE_VIEW_LEN as usize => {
                let view = ByteView::new(range.len() as u32, prefix);
                view.with_buffer_index(block).with_offset(range.start as u32).as_u128()
            }
            _ => inlined(bytes),
        };
        self.views.push(view);
        self.nulls.append_non_null();
    }

    #[inline(always)]
    fn push_null(&mut self) {
        if self.views.is_empty() {
            self.only_nulls += 1;
        } else {
            self.views.push(0);
            self.nulls.append_null();
        }
    }

    /// The first value came: the nulls before it become rows like all others.
    #[cold]
    fn write_nulls(&mut self) {
        let rows = std::mem::take(&mut self.only_nulls);
        self.views.resize(rows, 0);
        self.nulls.append_n_nulls(rows);
    }

    /// The column so far; it is empty again, and shares nothing.
    ///
    /// # Errors
    /// If a view points outside of its block, which would be a mistake in here.
    pub(super) fn finish(&mut self) -> Result<BinaryViewArray, ArrowError> {
        let blocks = std::mem::take(&mut self.blocks);
        match std::mem::take(&mut self.only_nulls) {
            0 => {
                let views = std::mem::take(&mut self.views);
                BinaryViewArray::try_new(views.into(), blocks, self.nulls.finish())
            }
            rows => Ok(self.nothing(rows)),
        }
    }

    fn nothing(&mut self, rows: usize) -> BinaryViewArray {
        let long_enough = self.nothing.take().filter(|column| column.len() >= rows);
        let column =
            long_enough.unwrap_or_else(|| BinaryViewArray::new_null(rows.next_power_of_two()));
        self.nothing.insert(column).slice(0, rows)
    }
}

/// The view of a value that it holds itself: at most twelve bytes, zeros behind them.
#[inline]
fn inlined(bytes: &[u8]) -> u128 {
    let mut view = [0; 16];
    let (length, place) = view.split_at_mut(4);
    length.copy_from_slice(&(bytes.len() as u32).to_le_bytes());
    place.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    u128::from_le_bytes(view)
}
