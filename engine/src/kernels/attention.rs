//! Attention over block tables: decodes, prompts in chunks, grouped heads, causal and sliding masks.
//!
//! Query rows of all heads that share a key head are done together, eight at a time, against the tokens
//! of one block after the other, with a running maximum and sum (online softmax, arXiv 1805.02867).
//! A row's tokens are taken in spans of [`SPLIT`], each with a maximum and a sum of its own, and the spans
//! are merged in order (flash decoding): so long contexts are shared among threads, and the order of a
//! row's sums depends on its position alone, however its tokens came into the batch.
//!
//! Error of a mixed value, relative to the largest value it is mixed from, for queries up to 3 and keys up to 1:
//! 1e-5 with an f32 cache, 0.02 with bf16 (queries and weights are rounded to 8 bits of mantissa), 0.04 with int8
//! (queries, keys, values and weights are rounded to 8 bits).
//!
//! What lies in a block is [`super::kv`]'s business; who gets which block, the scheduler's.

use super::kv::{KvFormat, LayerKv};
use super::math::{exp, to_bf16};
use super::rows::Shared;
use super::{Isa, Pool};

#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(test)]
mod tests;

/// Tokens that are summed up before they are merged with those before.
pub(super) const SPLIT: usize = 512;
/// Query rows that are done together.
const ROWS: usize = 8;
/// The widest head for which there is room on the stack.
pub(crate) const MOST_DIM: usize = 256;

/// Query heads and the window of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heads {
    /// Query heads.
    pub(crate) query: usize,
    /// Key heads; divides `query`.
    pub(crate) key: usize,
    /// Width of each, at most [`MOST_DIM`].
    pub(crate) dim: usize,
    /// A row sees so many tokens, itself included; all if none.
    pub(crate) window: Option<usize>,
}

/// The rows of one sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Its first row in the batch.
    pub(crate) row: usize,
    /// Rows.
    pub(crate) count: usize,
    /// The position of the first row.
    pub(crate) start: usize,
    /// Its block table's place among all tables.
    pub(crate) table: usize,
}

/// Up to eight query rows of one key head, and the spans of tokens they are to be summed over.
#[derive(Clone, Copy, Debug)]
struct Item {
    span: usize,
    head: usize,
    /// The first of `count · group` rows: token by token, the group's heads within.
    first: usize,
    rows: usize,
    splits: (usize, usize),
    /// Where the sum goes, if others are to be merged with it.
    partial: Option<usize>,
}

/// How a step's attention is split, the same for all layers. The memory is reused.
#[derive(Debug, Default)]
pub(crate) struct Work {
    items: Vec<Item>,
    /// Sums of costs before each item.
    costs: Vec<u64>,
    /// Per row of an item with a partial sum: maximum, sum, `dim` numbers.
    partials: Vec<f32>,
    /// Items whose sums are merged: the first, how many.
    merges: Vec<(usize, usize)>,
    /// One per thread.
    scratch: Vec<Scratch>,
}

/// What a thread works in.
struct Scratch {
    queries: Box<Queries>,
    sums: Box<Sums>,
    merged: Box<Merged>,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scratch")
    }
}

impl Work {
    /// Splits the rows of a step into items.
    pub(crate) fn plan(&mut self, spans: &[Span], heads: Heads) {
        self.items.clear();
        self.costs.clear();
        self.merges.clear();
        let group = heads.query / heads.key.max(1);
        let (mut cost, mut partials) = (0, 0);
        for (number, span) in spans.iter().enumerate() {
            for head in 0..heads.key {
                let mut first = 0;
                while first < span.count * group {
                    let rows = ROWS.min(span.count * group - first);
                    let last = span.start + (first + rows - 1) / group + 1;
                    let splits = last.div_ceil(SPLIT);
                    let alone = span.count > 1 || splits == 1;
                    if !alone {
                        self.merges.push((self.items.len(), splits));
                    }
                    for split in 0..if alone { 1 } else { splits } {
                        let range = if alone { (0, splits) } else { (split, split + 1) };
                        let partial = (!alone).then_some(partials);
                        partials += if alone { 0 } else { rows * (heads.dim + 2) };
                        self.costs.push(cost);
                        cost += (last.min(range.1 * SPLIT) - range.0 * SPLIT + 16) as u64 * (rows + 2) as u64;
                        self.items.push(Item { span: number, head, first, rows, splits: range, partial });
                    }
                    first += rows;
                }
            }
        }
        self.costs.push(cost);
        if self.partials.len() < partials {
            self.partials.resize(partials, 0.0);
        }
    }

    /// The items of a thread: about the same cost for each.
    fn share(&self, thread: usize, threads: usize) -> std::ops::Range<usize> {
        let all = self.costs.last().copied().unwrap_or(0);
        let place = |thread: usize| {
            let border = all * thread as u64 / threads as u64;
            self.costs.partition_point(|cost| *cost < border).min(self.items.len())
        };
        let end = if thread + 1 == threads { self.items.len() } else { place(thread + 1) };
        place(thread)..end
    }
}

/// What attention reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reads<'a> {
    /// Query rows, rotated, the first numbers of every `stride`: `[rows, query heads · dim]`.
    pub(crate) q: &'a [f32],
    /// From one row to the next.
    pub(crate) stride: usize,
    /// Whose rows.
    pub(crate) spans: &'a [Span],
    /// Blocks of all sequences, one after the other.
    pub(crate) tables: &'a [u32],
    /// Keys and values, those of these rows included.
    pub(crate) kv: &'a LayerKv,
    /// The model's heads.
    pub(crate) heads: Heads,
}

/// Mixes values for every row: `out` is `[rows, query heads · dim]`.
///
/// # Panics
/// If rows or tables do not reach as far as the spans say.
pub(crate) fn attend(isa: Isa, pool: &Pool, work: &mut Work, reads: &Reads<'_>, out: &mut [f32]) {
    let (width, block) = (reads.heads.query * reads.heads.dim, reads.kv.shape().block);
    for span in reads.spans {
        let (rows, blocks) = (span.row + span.count, (span.start + span.count).div_ceil(block));
        assert!(out.len() >= rows * width && reads.q.len() + reads.stride >= rows * reads.stride + width, "{span:?}");
        assert!(reads.tables.len() >= span.table + blocks && reads.heads.dim <= MOST_DIM, "{span:?}");
    }
    let threads = pool.threads();
    work.scratch.resize_with(threads, Scratch::new);
    let scratch = Shared(work.scratch.as_mut_ptr());
    let (places, target) = (Shared(work.partials.as_mut_ptr()), Shared(out.as_mut_ptr()));
    let (work, step) = (&*work, reads.heads.dim + 2);
    pool.run(&|part| {
        // SAFETY: there is one for each thread.
        let [scratch] = (unsafe { scratch.slice(part, 1) }) else { return };
        for item in &work.items[work.share(part, threads)] {
            // SAFETY: the rows of an item are its own, in `out` (checked above) as in the partial sums.
            unsafe { run_item(isa, reads, item, scratch, step, places, target) };
        }
    });
    if !work.merges.is_empty() {
        pool.share(work.merges.len(), |range| {
            for (first, count) in &work.merges[range] {
                // SAFETY: as above; nobody writes partial sums any more.
                unsafe { merge_item(reads, &work.items[*first..first + count], step, places, target) };
            }
        });
    }
}

/// Eight rows' sums over some tokens.
struct Sums {
    /// The largest score.
    most: [f32; ROWS],
    /// Sums of weights, in lanes that are added up at the end.
    totals: [[f32; 16]; ROWS],
    /// Sums of weighted values.
    mixed: [[f32; MOST_DIM]; ROWS],
}

/// Eight rows of queries, scaled, as the cache's format wants them.
struct Queries {
    rows: usize,
    floats: [[f32; MOST_DIM]; ROWS],
    halves: [[u16; MOST_DIM]; ROWS],
    bytes: [[i8; MOST_DIM]; ROWS],
    scales: [f32; ROWS],
    /// Of `bytes`.
    sums: [i32; ROWS],
    /// Each row sees tokens from here …
    from: [usize; ROWS],
    /// … to before here.
    to: [usize; ROWS],
}

/// Some neighbouring tokens of a block.
struct Chunk<'a> {
    kv: &'a LayerKv,
    unit: &'a [u8],
    /// What is read after it, to be fetched meanwhile.
    next: Option<&'a [u8]>,
    /// Position of the first.
    position: usize,
    /// Place of the first in its block.
    slot: usize,
    /// How many are there, masked ones included.
    tokens: usize,
}

/// # Safety
/// Nobody else touches the item's rows of `out`, or its partial sums.
unsafe fn run_item(
    isa: Isa,
    reads: &Reads<'_>,
    item: &Item,
    scratch: &mut Scratch,
    step: usize,
    partials: Shared<f32>,
    out: Shared<f32>,
) {
    let (heads, span) = (reads.heads, reads.spans[item.span]);
    let (shape, dim) = (reads.kv.shape(), heads.dim);
    let Scratch { queries, sums, merged } = scratch;
    queries.gather(isa, reads, item);
    let lanes = shape.block.min(32);
    let (lowest, highest) = (queries.from[0], queries.to[item.rows - 1]);
    let unit = |position: usize| reads.kv.unit(reads.tables[span.table + position / shape.block] as usize, item.head);
    merged.clear();
    for split in item.splits.0..item.splits.1 {
        sums.reset(item.rows, dim);
        let mut position = lowest.max(split * SPLIT) / lanes * lanes;
        let end = highest.min((split + 1) * SPLIT);
        while position < end {
            let chunk = Chunk {
                kv: reads.kv,
                unit: unit(position),
                next: (position + lanes < highest).then(|| unit(position + lanes)),
                position,
                slot: position % shape.block,
                tokens: lanes,
            };
            add(isa, queries, &chunk, sums, dim);
            position += lanes;
        }
        for row in 0..item.rows {
            let total = sums.totals[row].iter().sum();
            if let Some(partial) = item.partial {
                // SAFETY: `plan` gave every item with partial sums `step` places per row.
                let place = unsafe { partials.slice(partial + row * step, step) };
                (place[0], place[1]) = (sums.most[row], total);
                place[2..].copy_from_slice(&sums.mixed[row][..dim]);
            } else {
                merged.add(row, sums.most[row], total, &sums.mixed[row][..dim]);
            }
        }
    }
    if item.partial.is_none() {
        // SAFETY: the caller's word.
        unsafe { merged.write(reads, item, out) };
    }
}

/// # Safety
/// As for [`run_item`]; the partial sums are complete.
unsafe fn merge_item(reads: &Reads<'_>, items: &[Item], step: usize, partials: Shared<f32>, out: Shared<f32>) {
    let mut merged = Merged::new();
    for item in items {
        for row in 0..item.rows {
            let Some(partial) = item.partial else { continue };
            // SAFETY: the caller's word.
            let place = unsafe { partials.slice(partial + row * step, step) };
            merged.add(row, place[0], place[1], &place[2..]);
        }
    }
    if let Some(item) = items.first() {
        // SAFETY: the caller's word.
        unsafe { merged.write(reads, item, out) };
    }
}

/// Spans that were summed up, merged in order.
struct Merged {
    most: [f32; ROWS],
    total: [f32; ROWS],
    mixed: [[f32; MOST_DIM]; ROWS],
}

impl Merged {
    fn new() -> Self {
        Self { most: [f32::NEG_INFINITY; ROWS], total: [0.0; ROWS], mixed: [[0.0; MOST_DIM]; ROWS] }
    }

    fn clear(&mut self) {
        self.most = [f32::NEG_INFINITY; ROWS];
    }

    fn add(&mut self, row: usize, most: f32, total: f32, mixed: &[f32]) {
        let (old, mine) = (self.most[row], &mut self.mixed[row]);
        if most == f32::NEG_INFINITY {
            return;
        }
        if old == f32::NEG_INFINITY {
            (self.most[row], self.total[row]) = (most, total);
            mine[..mixed.len()].copy_from_slice(mixed);
            return;
        }
        let largest = old.max(most);
        let (keep, take) = (exp(old - largest), exp(most - largest));
        self.most[row] = largest;
        self.total[row] = self.total[row] * keep + total * take;
        for (mine, other) in mine.iter_mut().zip(mixed) {
            *mine = *mine * keep + other * take;
        }
    }

    /// # Safety
    /// Nobody else touches the item's rows of `out`.
    unsafe fn write(&self, reads: &Reads<'_>, item: &Item, out: Shared<f32>) {
        let (heads, span) = (reads.heads, reads.spans[item.span]);
        let group = heads.query / heads.key;
        for row in 0..item.rows {
            let (token, head) = ((item.first + row) / group, item.head * group + (item.first + row) % group);
            // SAFETY: `attend` checked that `out` has all rows of the span; the rest is the caller's word.
            let out = unsafe { out.slice(((span.row + token) * heads.query + head) * heads.dim, heads.dim) };
            let share = 1.0 / self.total[row];
            for (out, mixed) in out.iter_mut().zip(&self.mixed[row]) {
                *out = mixed * share;
            }
        }
    }
}

impl Sums {
    fn new() -> Self {
        Self { most: [0.0; ROWS], totals: [[0.0; 16]; ROWS], mixed: [[0.0; MOST_DIM]; ROWS] }
    }

    fn reset(&mut self, rows: usize, dim: usize) {
        self.most = [f32::NEG_INFINITY; ROWS];
        self.totals = [[0.0; 16]; ROWS];
        for mixed in self.mixed.iter_mut().take(rows) {
            mixed[..dim].fill(0.0);
        }
    }
}

/// Adds the chunk's tokens to the sums.
fn add(isa: Isa, queries: &Queries, chunk: &Chunk<'_>, sums: &mut Sums, dim: usize) {
    #[cfg(target_arch = "x86_64")]
    if avx512::fits(isa, chunk.kv.shape()) {
        return avx512::add(isa, queries, chunk, sums);
    }
    portable::add(isa, queries, chunk, sums, dim);
}

impl Scratch {
    fn new() -> Self {
        let queries = Queries {
            rows: 0,
            floats: [[0.0; MOST_DIM]; ROWS],
            halves: [[0; MOST_DIM]; ROWS],
            bytes: [[0; MOST_DIM]; ROWS],
            scales: [0.0; ROWS],
            sums: [0; ROWS],
            from: [0; ROWS],
            to: [0; ROWS],
        };
        Self { queries: Box::new(queries), sums: Box::new(Sums::new()), merged: Box::new(Merged::new()) }
    }
}

impl Queries {
    fn gather(&mut self, isa: Isa, reads: &Reads<'_>, item: &Item) {
        let (heads, span) = (reads.heads, reads.spans[item.span]);
        let (group, dim) = (heads.query / heads.key, heads.dim);
        let scale = 1.0 / (dim as f32).sqrt();
        let all = self;
        all.rows = item.rows;
        for row in 0..item.rows {
            let (token, head) = ((item.first + row) / group, item.head * group + (item.first + row) % group);
            let q = &reads.q[(span.row + token) * reads.stride + head * dim..][..dim];
            for (to, from) in all.floats[row].iter_mut().zip(q) {
                *to = from * scale;
            }
            let position = span.start + token;
            all.to[row] = position + 1;
            all.from[row] = heads.window.map_or(0, |window| (position + 1).saturating_sub(window));
            match reads.kv.shape().format {
                KvFormat::F32 => {}
                KvFormat::Bf16 => {
                    for (to, from) in all.halves[row].iter_mut().zip(&all.floats[row][..dim]) {
                        *to = to_bf16(*from);
                    }
                }
                KvFormat::Int8 => {
                    super::rows::quantise(
                        isa,
                        &all.floats[row][..dim],
                        &mut all.bytes[row][..dim],
                        &mut all.scales[row],
                    );
                    all.sums[row] = all.bytes[row][..dim].iter().map(|byte| i32::from(*byte)).sum();
                }
            }
        }
    }
}
