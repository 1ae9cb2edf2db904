//! What one step computes, as plain numbers.
//!
//! The memory is reused from step to step.

pub(crate) use crate::kernels::attention::Span;

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Token ids, row by row.
    pub(crate) tokens: Vec<u32>,
    /// Positions in their sequences.
    pub(crate) positions: Vec<u32>,
    /// Where their keys and values go: block, and place in it.
    pub(crate) slots: Vec<(u32, u32)>,
    /// Who the rows belong to.
    pub(crate) spans: Vec<Span>,
    /// Blocks of all sequences, one after the other.
    pub(crate) tables: Vec<u32>,
    /// The last row of each sequence.
    pub(crate) last: Vec<usize>,
    /// Rows whose logits are wanted.
    pub(crate) sampled: Vec<usize>,
    /// Tokens in a block.
    pub(crate) block: usize,
}

/// Blocks of tables for which there is room from the start; more are found room for once.
const MOST_ROOM: usize = 1 << 16;

impl Batch {
    /// With room for so many rows, and tables of so many blocks together.
    pub(crate) fn with_room(rows: usize, blocks: usize) -> Self {
        Self {
            tokens: Vec::with_capacity(rows),
            positions: Vec::with_capacity(rows),
            slots: Vec::with_capacity(rows),
            spans: Vec::with_capacity(rows),
            tables: Vec::with_capacity(blocks.min(MOST_ROOM)),
            last: Vec::with_capacity(rows),
            sampled: Vec::with_capacity(rows),
            block: 1,
        }
    }

    /// Empties it for the next step.
    pub(crate) fn clear(&mut self, block: usize) {
        self.tokens.clear();
        self.positions.clear();
        self.slots.clear();
        self.spans.clear();
        self.tables.clear();
        self.last.clear();
        self.sampled.clear();
        self.block = block.max(1);
    }

    /// Appends tokens of a sequence that come after `start` others; `table` has blocks for all of them.
    pub(crate) fn push(
        &mut self,
        tokens: impl Iterator<Item = u32>,
        start: usize,
        table: impl Iterator<Item = u32>,
        samples: bool,
    ) {
        let (row, first) = (self.tokens.len(), self.tables.len());
        self.tables.extend(table);
        for (offset, token) in tokens.enumerate() {
            let position = start + offset;
            let block = self.tables.get(first + position / self.block).copied().unwrap_or(0);
            self.tokens.push(token);
            self.positions.push(u32::try_from(position).unwrap_or(u32::MAX));
            self.slots.push((block, (position % self.block) as u32));
        }
        let count = self.tokens.len() - row;
        if count == 0 {
            self.tables.truncate(first);
            return;
        }
        self.last.push(self.tokens.len() - 1);
        if samples {
            self.sampled.push(self.tokens.len() - 1);
        }
        self.spans.push(Span { row, count, start, table: first });
    }

    /// The blocks of a span.
    pub(crate) fn table(&self, span: &Span) -> &[u32] {
        let blocks = (span.start + span.count).div_ceil(self.block);
        self.tables.get(span.table..span.table + blocks).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_know_their_places() {
        let mut batch = Batch::default();
        batch.clear(4);
        batch.push([7, 8, 9].into_iter(), 3, [5, 2].into_iter(), false);
        batch.push([1].into_iter(), 8, [0, 1, 6].into_iter(), true);
        assert_eq!(batch.positions, [3, 4, 5, 8]);
        assert_eq!(batch.slots, [(5, 3), (2, 0), (2, 1), (6, 0)]);
        assert_eq!((batch.last.as_slice(), batch.sampled.as_slice()), (&[2, 3][..], &[3][..]));
        assert_eq!(batch.table(&batch.spans[1]), [0, 1, 6]);
        batch.clear(4);
        batch.push([].into_iter(), 0, [1].into_iter(), true);
        assert_eq!(batch, Batch { block: 4, ..Batch::default() });
    }
}
