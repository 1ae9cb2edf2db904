//! What one step computes, as plain numbers.

/// The tokens of one sequence in a batch: contiguous rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The first row.
    pub(crate) row: usize,
    /// Rows.
    pub(crate) count: usize,
    /// The position of the first row in its sequence: as much was computed before.
    pub(crate) start: usize,
    /// The sequence's blocks, enough for `start + count` tokens.
    pub(crate) table: Vec<i64>,
}

impl Span {
    /// Tokens that its last row can see.
    pub(crate) fn end(&self) -> usize {
        self.start + self.count
    }
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Token ids, row by row.
    pub(crate) tokens: Vec<i64>,
    /// Positions in their sequences.
    pub(crate) positions: Vec<i64>,
    /// Where their keys and values go.
    pub(crate) slots: Vec<i64>,
    /// Who the rows belong to.
    pub(crate) spans: Vec<Span>,
    /// Rows whose logits are wanted.
    pub(crate) sampled: Vec<i64>,
    /// Tokens in a block.
    pub(crate) block: usize,
}

impl Batch {
    pub(crate) fn new(block: usize) -> Self {
        Self { block: block.max(1), ..Self::default() }
    }

    /// Appends tokens of a sequence that come after `start` others.
    pub(crate) fn push(&mut self, tokens: impl Iterator<Item = i64>, start: usize, table: Vec<i64>, samples: bool) {
        let row = self.tokens.len();
        for (offset, token) in tokens.enumerate() {
            let position = start + offset;
            let block = table.get(position / self.block).copied().unwrap_or(0);
            self.tokens.push(token);
            self.positions.push(position as i64);
            self.slots.push(block * self.block as i64 + (position % self.block) as i64);
        }
        let count = self.tokens.len() - row;
        if samples && count > 0 {
            self.sampled.push(self.tokens.len() as i64 - 1);
        }
        self.spans.push(Span { row, count, start, table });
    }
}
