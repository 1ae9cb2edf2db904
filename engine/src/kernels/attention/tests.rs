use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::kernels::kv::KvShape;

/// Sequences with random keys and values in shuffled blocks.
struct Case {
    heads: Heads,
    kv: LayerKv,
    spans: Vec<Span>,
    tables: Vec<u32>,
    /// `[rows, query heads · dim]`.
    q: Vec<f32>,
    rows: usize,
}

fn uniform(random: &mut ChaCha8Rng) -> f32 {
    random.next_u32() as f32 / u32::MAX as f32 * 2.0 - 1.0
}

impl Case {
    /// `lengths`: of each sequence, tokens before and rows.
    fn new(format: KvFormat, block: usize, heads: Heads, lengths: &[(usize, usize)]) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(block as u64 + 7 * heads.dim as u64);
        let needed = |(start, count): &(usize, usize)| (start + count).div_ceil(block);
        let blocks: usize = lengths.iter().map(needed).sum();
        let shape = KvShape { format, block, heads: heads.key, dim: heads.dim };
        let mut kv = LayerKv::new(shape, blocks + 1).unwrap();
        // What was there before must not matter: spoil it all.
        poison(&mut kv, blocks + 1);
        let mut order: Vec<u32> = (0..blocks as u32).map(|place| (place * 7 + 3) % (blocks as u32 + 1)).collect();
        order.sort_unstable_by_key(|block| block.wrapping_mul(2_654_435_761) >> 7);
        order.dedup();
        let mut free: Vec<u32> = (0..blocks as u32 + 1).filter(|block| !order.contains(block)).collect();
        order.append(&mut free);
        let (mut spans, mut tables, mut rows) = (Vec::new(), Vec::new(), 0);
        for length in lengths {
            let table = tables.len();
            tables.extend(order.drain(..needed(length)));
            spans.push(Span { row: rows, count: length.1, start: length.0, table });
            rows += length.1;
            let writer = kv.writer();
            for position in 0..length.0 + length.1 {
                for head in 0..heads.key {
                    let key: Vec<f32> = (0..heads.dim).map(|_| uniform(&mut random)).collect();
                    let value: Vec<f32> = (0..heads.dim).map(|_| uniform(&mut random)).collect();
                    let (block_of, slot) = (tables[table + position / block] as usize, position % block);
                    unsafe {
                        writer.write(block_of, head, slot, &key, &value);
                        writer.close(block_of, head, slot + 1);
                    }
                }
            }
        }
        let q = (0..rows * heads.query * heads.dim).map(|_| 3.0 * uniform(&mut random)).collect();
        Self { heads, kv, spans, tables, q, rows }
    }

    fn attend(&self, isa: Isa, threads: usize, spans: &[Span]) -> Vec<f32> {
        let width = self.heads.query * self.heads.dim;
        let mut out = vec![f32::NAN; self.rows * width];
        let mut work = Work::default();
        work.plan(spans, self.heads);
        let reads = Reads { q: &self.q, stride: width, spans, tables: &self.tables, kv: &self.kv, heads: self.heads };
        attend(isa, &Pool::new(threads), &mut work, &reads, &mut out);
        out
    }

    /// The formula in `f64` over the keys and values as they are stored.
    fn exact(&self, span: &Span, token: usize, head: usize) -> Vec<f64> {
        let (heads, block) = (self.heads, self.kv.shape().block);
        let q = &self.q[((span.row + token) * heads.query + head) * heads.dim..][..heads.dim];
        let position = span.start + token;
        let first = heads.window.map_or(0, |window| (position + 1).saturating_sub(window));
        let seen: Vec<(f64, Vec<f32>)> = (first..=position)
            .map(|at| {
                let place = self.tables[span.table + at / block] as usize;
                let (key, value) = self.kv.read(place, head / (heads.query / heads.key), at % block);
                let dot: f64 = q.iter().zip(key).map(|(q, k)| f64::from(*q) * f64::from(k)).sum();
                (dot / (heads.dim as f64).sqrt(), value)
            })
            .collect();
        let most = seen.iter().fold(f64::NEG_INFINITY, |most, (score, _)| most.max(*score));
        let total: f64 = seen.iter().map(|(score, _)| (score - most).exp()).sum();
        let mut mixed = vec![0.0; heads.dim];
        for (score, value) in &seen {
            for (mixed, value) in mixed.iter_mut().zip(value) {
                *mixed += (score - most).exp() / total * f64::from(*value);
            }
        }
        mixed
    }
}

/// Fills a layer with what spoils every sum that takes it in.
fn poison(kv: &mut LayerKv, blocks: usize) {
    let shape = kv.shape();
    let nan = vec![f32::NAN; shape.dim];
    let writer = kv.writer();
    for block in 0..blocks {
        for head in 0..shape.heads {
            for slot in 0..shape.block {
                unsafe { writer.write(block, head, slot, &nan, &nan) };
            }
        }
    }
}

const fn heads(query: usize, key: usize, dim: usize, window: Option<usize>) -> Heads {
    Heads { query, key, dim, window }
}

/// Groups of 1, 3, 4 and 9; widths with and without a kernel of their own; a window.
const HEADS: [Heads; 6] = [
    heads(1, 1, 16, None),
    heads(9, 3, 64, None),
    heads(4, 1, 48, None),
    heads(9, 1, 32, Some(21)),
    heads(2, 2, 128, Some(600)),
    heads(4, 2, 8, None),
];

/// One token; decodes at every kind of tail; chunks; more than one split.
const LENGTHS: [(usize, usize); 9] =
    [(0, 1), (1, 1), (30, 1), (31, 1), (32, 1), (0, 37), (17, 20), (1200, 1), (500, 30)];

/// What weights and queries lose by being rounded, relative to values of at most 1.
fn bound(format: KvFormat) -> f64 {
    match format {
        KvFormat::F32 => 1e-5,
        KvFormat::Bf16 => 0.02,
        KvFormat::Int8 => 0.04,
    }
}

const FORMATS: [KvFormat; 3] = [KvFormat::F32, KvFormat::Bf16, KvFormat::Int8];

#[test]
fn it_agrees_with_f64_within_the_bound_of_the_format() {
    for isa in Isa::available() {
        for format in FORMATS {
            for (heads, block) in HEADS.iter().zip([32, 32, 16, 64, 32, 8]) {
                let case = Case::new(format, block, *heads, &LENGTHS);
                let out = case.attend(isa, 2, &case.spans);
                for span in &case.spans {
                    for token in [0, span.count / 2, span.count - 1] {
                        for head in 0..heads.query {
                            let found = &out[((span.row + token) * heads.query + head) * heads.dim..][..heads.dim];
                            for (found, exact) in found.iter().zip(case.exact(span, token, head)) {
                                let miss = (f64::from(*found) - exact).abs();
                                assert!(miss <= bound(format), "{isa} {format:?} {heads:?} {span:?}: {miss}");
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A chunk's rows have the bits that each has when it is computed by itself, as a decode.
#[test]
fn a_row_has_the_same_bits_as_a_decode_in_a_chunk_and_beside_others() {
    for isa in Isa::available() {
        for format in FORMATS {
            for (heads, block) in HEADS.iter().zip([32, 32, 16, 64, 32, 8]) {
                let case = Case::new(format, block, *heads, &LENGTHS);
                let width = heads.query * heads.dim;
                let together = case.attend(isa, 3, &case.spans);
                for span in &case.spans {
                    for token in [0, span.count / 2, span.count - 1] {
                        let alone =
                            Span { row: span.row + token, count: 1, start: span.start + token, table: span.table };
                        let decode = case.attend(isa, 1, &[alone]);
                        let range = alone.row * width..(alone.row + 1) * width;
                        assert!(together[range.clone()] == decode[range], "{isa} {format:?} {heads:?} {alone:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn work_is_shared_by_its_cost() {
    let mut work = Work::default();
    let lengths = [(8_000, 1), (10, 1), (10, 1), (0, 300)];
    let mut row = 0;
    let spans: Vec<Span> = lengths
        .iter()
        .map(|(start, count)| {
            row += count;
            Span { row: row - count, count: *count, start: *start, table: 0 }
        })
        .collect();
    work.plan(&spans, heads(8, 2, 64, None));
    for threads in 1..=7 {
        let shares: Vec<_> = (0..threads).map(|thread| work.share(thread, threads)).collect();
        assert_eq!((shares[0].start, shares[threads - 1].end), (0, work.items.len()));
        for pair in shares.windows(2) {
            assert_eq!(pair[0].end, pair[1].start);
        }
        let all = work.costs[work.items.len()];
        let largest = (0..work.items.len()).map(|item| work.costs[item + 1] - work.costs[item]).max().unwrap();
        for share in shares {
            let cost = work.costs[share.end] - work.costs[share.start];
            assert!(cost <= all / threads as u64 + largest, "{cost} of {all} for one of {threads}");
        }
    }
}
