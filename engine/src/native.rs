//! The decoder in our own kernels, on the CPU: Llama, Mistral, Qwen2 and Qwen3 are one model with switches.
//!
//! Rules: one flat dimension of rows for everything but attention, so that prefill chunks and decodes
//! share each product; the residual stream, norms and softmax are `f32` whatever the weights are. A row's
//! result has the same bits in any company: see [`crate::kernels`]. Nothing is allocated in a step.
//!
//! Which tokens are computed is the scheduler's business.

use crate::batch::Batch;
use crate::kernels::attention::{self, Heads, Reads, Work};
use crate::kernels::gemm::{Matrix, Store};
use crate::kernels::kv::LayerKv;
use crate::kernels::rows::Activations;
use crate::kernels::steps::{self, Place};
use crate::kernels::{Buffer, Isa, OutOfMemory, Pool};
use crate::profile::{Part, Profile};
use crate::source::ModelConfig;

mod crossover;
mod load;

pub use load::NativeLoadError;
pub(crate) use load::{Plan, load};

/// A decoder with its cache and its threads.
#[derive(Debug)]
pub(crate) struct Native {
    config: ModelConfig,
    isa: Isa,
    pool: Pool,
    weights: Weights,
    caches: Vec<LayerKv>,
    scratch: Scratch,
    work: Work,
    /// Rows from which libtorch computes products; never if none.
    crossover: Option<usize>,
}

#[derive(Debug)]
struct Weights {
    /// None if the head serves.
    embedding: Option<Matrix>,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    head: Matrix,
    /// `[positions, head_dim / 2]`.
    cos: Vec<f32>,
    sin: Vec<f32>,
}

/// `q` is `heads · head_dim`, `kv` is `kv_heads · head_dim`.
#[derive(Debug)]
struct Layer {
    attention_norm: Vec<f32>,
    /// `[q + 2 · kv, hidden]`: one product instead of three.
    qkv: Matrix,
    qkv_bias: Option<Vec<f32>>,
    /// Of queries and of keys.
    norms: Option<(Vec<f32>, Vec<f32>)>,
    /// `[hidden, q]`.
    output: Matrix,
    ffn_norm: Vec<f32>,
    /// `[2 · ffn, hidden]`: one product instead of two.
    gate_up: Matrix,
    /// `[hidden, ffn]`.
    down: Matrix,
}

/// Room for the largest step.
#[derive(Debug)]
struct Scratch {
    /// The residual stream: `[rows, hidden]`.
    stream: Buffer<f32>,
    normed: Buffer<f32>,
    qkv: Buffer<f32>,
    mixed: Buffer<f32>,
    gate_up: Buffer<f32>,
    inner: Buffer<f32>,
    logits: Buffer<f32>,
    x: Activations,
    rows: usize,
}

impl Scratch {
    fn new(config: &ModelConfig, rows: usize) -> Result<Self, OutOfMemory> {
        let (q, kv) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let of = |width: usize| Buffer::zeroed(rows.saturating_mul(width));
        Ok(Self {
            stream: of(config.hidden)?,
            normed: of(config.hidden)?,
            qkv: of(q + 2 * kv)?,
            mixed: of(q)?,
            gate_up: of(2 * config.ffn)?,
            inner: of(config.ffn)?,
            logits: of(config.vocabulary)?,
            x: Activations::new(rows, config.hidden.max(config.ffn).max(q))?,
            rows,
        })
    }
}

impl Native {
    /// Keys and values, layer by layer.
    pub(crate) fn caches(&self) -> &[LayerKv] {
        &self.caches
    }

    /// Keys and values, to be written over.
    pub(crate) fn caches_mut(&mut self) -> &mut [LayerKv] {
        &mut self.caches
    }

    /// The instructions it uses.
    pub(crate) fn isa(&self) -> Isa {
        self.isa
    }

    /// Threads that compute.
    pub(crate) fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Rows from which libtorch computes products; never if none.
    pub(crate) fn crossover(&self) -> Option<usize> {
        self.crossover
    }

    /// Bytes of weights.
    pub(crate) fn weight_bytes(&self) -> usize {
        let layer =
            |layer: &Layer| layer.qkv.bytes() + layer.output.bytes() + layer.gate_up.bytes() + layer.down.bytes();
        let ends = self.weights.head.bytes() + self.weights.embedding.as_ref().map_or(0, Matrix::bytes);
        self.weights.layers.iter().map(layer).sum::<usize>() + ends
    }

    /// Computes the batch, fills its slots of the cache, and returns the logits of the rows that the batch
    /// asks for: `[rows, vocabulary]`. A batch holds at most as many rows as the decoder was made for.
    pub(crate) fn forward(&mut self, batch: &Batch, profile: &mut Profile) -> &mut [f32] {
        let Self { config, isa, pool, weights, caches, scratch, work, crossover } = self;
        let (isa, rows) = (*isa, batch.tokens.len().min(scratch.rows));
        let heads = Heads { query: config.heads, key: config.kv_heads, dim: config.head_dim, window: config.window };
        let (hidden, q) = (config.hidden, heads.query * heads.dim);
        let wide = q + 2 * heads.key * heads.dim;
        let eps = config.norm_eps as f32;
        let product = Product { isa, pool, libtorch: crossover.is_some_and(|least| rows >= least) };
        let Scratch { stream, normed, qkv, mixed, gate_up, inner, logits, x, .. } = scratch;
        let (stream, normed) = (&mut stream[..rows * hidden], &mut normed[..rows * hidden]);
        let (qkv, mixed) = (&mut qkv[..rows * wide], &mut mixed[..rows * q]);
        let (gate_up, inner) = (&mut gate_up[..rows * 2 * config.ffn], &mut inner[..rows * config.ffn]);
        let embedding = weights.embedding.as_ref().unwrap_or(&weights.head);
        for (token, row) in batch.tokens.iter().zip(stream.chunks_exact_mut(hidden)) {
            embedding.unpack_row(*token as usize, row);
        }
        work.plan(&batch.spans, heads);
        profile.lap(Part::Other);
        for (layer, kv) in weights.layers.iter().zip(caches) {
            steps::norm(isa, pool, stream, &layer.attention_norm, eps, normed);
            product.prepare(&layer.qkv, normed, x);
            profile.lap(Part::Norms);
            product.run(&layer.qkv, normed, x, layer.qkv_bias.as_deref(), Store::Set, qkv);
            profile.lap(Part::Products);
            let setting = Place {
                query: heads.query,
                norms: layer.norms.as_ref().map(|(q, k)| (q.as_slice(), k.as_slice())),
                eps,
                cos: &weights.cos,
                sin: &weights.sin,
                positions: &batch.positions,
                slots: &batch.slots,
                last: &batch.last,
            };
            steps::place(isa, pool, qkv, &setting, kv);
            profile.lap(Part::Rotation);
            let reads = Reads { q: qkv, stride: wide, spans: &batch.spans, tables: &batch.tables, kv, heads };
            attention::attend(isa, pool, work, &reads, mixed);
            profile.lap(Part::Attention);
            product.prepare(&layer.output, mixed, x);
            product.run(&layer.output, mixed, x, None, Store::Add, stream);
            profile.lap(Part::Products);
            steps::norm(isa, pool, stream, &layer.ffn_norm, eps, normed);
            product.prepare(&layer.gate_up, normed, x);
            profile.lap(Part::Norms);
            product.run(&layer.gate_up, normed, x, None, Store::Set, gate_up);
            profile.lap(Part::Products);
            steps::gate(isa, pool, gate_up, config.ffn, inner);
            product.prepare(&layer.down, inner, x);
            profile.lap(Part::Gate);
            product.run(&layer.down, inner, x, None, Store::Add, stream);
            profile.lap(Part::Products);
        }
        // Rows to sample come in order, so each moves towards the front, over rows that are done with.
        let wanted = batch.sampled.len().min(rows);
        for (place, row) in batch.sampled.iter().take(wanted).enumerate() {
            stream.copy_within(row * hidden..(row + 1) * hidden, place * hidden);
        }
        let (last, normed) = (&stream[..wanted * hidden], &mut normed[..wanted * hidden]);
        steps::norm(isa, pool, last, &weights.norm, eps, normed);
        product.prepare(&weights.head, normed, x);
        let logits = &mut logits[..wanted * config.vocabulary];
        profile.lap(Part::Norms);
        product.run(&weights.head, normed, x, None, Store::Set, logits);
        profile.lap(Part::Head);
        logits
    }
}

/// Who computes the products of a step.
struct Product<'a> {
    isa: Isa,
    pool: &'a Pool,
    libtorch: bool,
}

impl Product<'_> {
    /// Brings activations into the form that the kernels want, if they are to compute.
    fn prepare(&self, matrix: &Matrix, from: &[f32], x: &mut Activations) {
        if !self.libtorch {
            x.fill(self.isa, self.pool, matrix.form(), from, matrix.k());
        }
    }

    fn run(
        &self,
        matrix: &Matrix,
        from: &[f32],
        x: &mut Activations,
        bias: Option<&[f32]>,
        store: Store,
        y: &mut [f32],
    ) {
        if self.libtorch && crossover::multiply(matrix, from, bias, store, y) {
            return;
        }
        if self.libtorch {
            // Refused before anything was stored: the kernels take over.
            x.fill(self.isa, self.pool, matrix.form(), from, matrix.k());
        }
        matrix.multiply(self.isa, self.pool, x, bias, store, y);
    }
}
