//! The highest logit of each block of ids: one pass that checks the logits, finds the best, and lets all
//! later passes step over blocks that have nothing for them.

/// Ids in a block. Small, so that few ids come along with one that is looked for; large, so that the
/// list of blocks is short.
pub(super) const BLOCK: usize = 128;

/// Running maxima side by side: four vectors of the least that an x86-64 has, which hides the latency.
const LANES: usize = 16;

/// The maxima of the logits that were last scanned.
#[derive(Debug)]
pub(super) struct Maxima {
    blocks: Vec<f32>,
    highest: f32,
    scratch: Vec<f32>,
}

impl Maxima {
    pub(super) fn new(vocabulary: usize) -> Self {
        let blocks = vocabulary.div_ceil(BLOCK);
        Self { blocks: Vec::with_capacity(blocks), highest: f32::NEG_INFINITY, scratch: Vec::with_capacity(blocks) }
    }

    /// Takes the maxima of these logits; says whether all logits are finite. What is not a number is
    /// nobody's maximum.
    pub(super) fn scan(&mut self, logits: &[f32]) -> bool {
        let mut spoilt = 0;
        self.blocks.clear();
        self.blocks.extend(logits.chunks(BLOCK).map(|block| {
            let (maximum, wrong) = maximum(block);
            spoilt |= wrong;
            maximum
        }));
        self.highest = self.blocks.iter().copied().fold(f32::NEG_INFINITY, higher);
        spoilt << 1 == 0
    }

    /// The highest logit; -inf if there is none.
    pub(super) fn highest(&self) -> f32 {
        self.highest
    }

    /// The lowest id that has the highest logit.
    pub(super) fn best(&self, logits: &[f32]) -> Option<usize> {
        let block = self.blocks.iter().position(|maximum| *maximum == self.highest)?;
        let start = block * BLOCK;
        let offset = logits.get(start..)?.iter().take(BLOCK).position(|logit| *logit == self.highest)?;
        Some(start + offset)
    }

    /// Blocks with a logit of at least `least`, each with its first id.
    pub(super) fn reaching<'a>(
        &'a self,
        logits: &'a [f32],
        least: f32,
    ) -> impl Iterator<Item = (usize, &'a [f32])> + 'a {
        let blocks = logits.chunks(BLOCK).zip(&self.blocks).enumerate();
        blocks.filter(move |(_, (_, maximum))| **maximum >= least).map(|(block, (logits, _))| (block * BLOCK, logits))
    }

    /// Which part of all blocks [`Self::reaching`] gives.
    pub(super) fn share_reaching(&self, least: f32) -> f64 {
        let reaching = self.blocks.iter().filter(|maximum| **maximum >= least).count();
        reaching as f64 / self.blocks.len() as f64
    }

    /// A logit that at least `count` ids reach, and not many more: the maximum of the `count`-th best
    /// block, or if there are fewer blocks one found by trial. -inf if none is found.
    pub(super) fn reached_by(&mut self, logits: &[f32], count: usize) -> f32 {
        if count == 0 {
            return self.highest;
        }
        if count <= self.blocks.len() {
            self.scratch.clear();
            self.scratch.extend_from_slice(&self.blocks);
            return *self.scratch.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a)).1;
        }
        // Many more ids than there are blocks reach the maximum of the worst block, since ids come mixed.
        let worst = self.blocks.iter().copied().fold(self.highest, f32::min);
        let trials = [1.0, 1.5, 2.0].map(|factor| self.highest - (self.highest - worst) * factor);
        let reached = |least: &f32| logits.iter().filter(|logit| **logit >= *least).count() >= count;
        trials.into_iter().find(reached).unwrap_or(f32::NEG_INFINITY)
    }
}

/// Unlike `f32::max` this is one instruction: it keeps `a` if `b` is not a number.
#[inline(always)]
fn higher(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The highest of a block, and bits that are 0 but for the highest one (the sign) if all of it is finite:
/// 0 times a finite number is 0 or -0, 0 times an infinity is not a number.
#[inline(always)]
fn maximum(block: &[f32]) -> (f32, u32) {
    let mut maxima = [f32::NEG_INFINITY; LANES];
    let mut spoilt = [0u32; LANES];
    let (chunks, rest) = block.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            maxima[lane] = higher(maxima[lane], chunk[lane]);
            spoilt[lane] |= (chunk[lane] * 0.0).to_bits();
        }
    }
    for (lane, logit) in rest.iter().enumerate() {
        maxima[lane] = higher(maxima[lane], *logit);
        spoilt[lane] |= (logit * 0.0).to_bits();
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            maxima[lane] = higher(maxima[lane], maxima[lane + width]);
            spoilt[lane] |= spoilt[lane + width];
        }
        width /= 2;
    }
    (maxima[0], spoilt[0])
}
