//! Logistic regression with an L2 penalty, by L-BFGS with a backtracking line search: convex, so that the same
//! data gives the same weights, whatever the start.

use policy::complexity::{BUCKETS, NAMES, Vector};

/// Steps that the curvature is remembered of.
const MEMORY: usize = 10;
/// Most steps.
const STEPS: usize = 200;
/// Where the gradient counts as flat.
const FLAT: f64 = 1e-5;

/// A prompt with a probability to learn, and how much it counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub vector: &'a Vector,
    pub target: f64,
    pub weight: f64,
}

/// A bias, weights of the counts, weights of the buckets, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Model(Vec<f64>);

const COUNTS: usize = NAMES.len();
const SIZE: usize = 1 + COUNTS + BUCKETS;

impl Model {
    pub(crate) fn bias(&self) -> f64 {
        self.0.first().copied().unwrap_or_default()
    }

    pub(crate) fn counts(&self) -> &[f64] {
        self.0.get(1..=COUNTS).unwrap_or_default()
    }

    pub(crate) fn buckets(&self) -> &[f64] {
        self.0.get(1 + COUNTS..).unwrap_or_default()
    }

    fn logit(&self, vector: &Vector) -> f64 {
        let counts: f64 =
            self.counts().iter().zip(vector.counts).map(|(weight, count)| weight * f64::from(count)).sum();
        let of = |bucket: u32| self.buckets().get(bucket as usize).copied().unwrap_or_default();
        let grams: f64 = vector.grams.iter().map(|(bucket, value)| of(*bucket) * f64::from(*value)).sum();
        self.bias() + counts + grams
    }

    /// The mean loss with its penalty, and its gradient.
    fn loss(&self, rows: &[Row<'_>], penalty: f64) -> (f64, Vec<f64>) {
        let whole: f64 = rows.iter().map(|row| row.weight).sum::<f64>().max(f64::MIN_POSITIVE);
        let mut gradient = vec![0.0; SIZE];
        let mut loss = 0.0;
        for row in rows {
            let logit = self.logit(row.vector);
            // ln(1 + e^x) - t x, without overflow.
            loss += row.weight * (logit.max(0.0) + (-logit.abs()).exp().ln_1p() - row.target * logit) / whole;
            let slope = row.weight * (1.0 / (1.0 + (-logit).exp()) - row.target) / whole;
            let mut add = |at: usize, value: f32| {
                if let Some(sum) = gradient.get_mut(at) {
                    *sum += slope * f64::from(value);
                }
            };
            add(0, 1.0);
            row.vector.counts.iter().enumerate().for_each(|(n, count)| add(1 + n, *count));
            row.vector.grams.iter().for_each(|(bucket, value)| add(1 + COUNTS + *bucket as usize, *value));
        }
        for (slope, weight) in gradient.iter_mut().zip(&self.0).skip(1) {
            *slope += penalty * weight;
            loss += penalty * weight * weight / 2.0;
        }
        (loss, gradient)
    }

    fn moved(&self, direction: &[f64], length: f64) -> Self {
        Self(self.0.iter().zip(direction).map(|(weight, step)| weight + length * step).collect())
    }
}

/// Learns.
pub(crate) fn learn(rows: &[Row<'_>], penalty: f64) -> Model {
    let mut model = Model(vec![0.0; SIZE]);
    let (mut loss, mut gradient) = model.loss(rows, penalty);
    let mut memory: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for _ in 0..STEPS {
        if dot(&gradient, &gradient).sqrt() < FLAT {
            break;
        }
        let direction = direction(&gradient, &memory);
        let slope = dot(&direction, &gradient);
        let mut length = 1.0;
        let (next, next_loss, next_gradient) = loop {
            let next = model.moved(&direction, length);
            let (next_loss, next_gradient) = next.loss(rows, penalty);
            if next_loss <= loss + 1e-4 * length * slope || length < 1e-9 {
                break (next, next_loss, next_gradient);
            }
            length /= 2.0;
        };
        if next_loss >= loss {
            break;
        }
        let step: Vec<f64> = direction.iter().map(|part| part * length).collect();
        let change: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(new, old)| new - old).collect();
        if dot(&step, &change) > 1e-12 {
            memory.push((step, change));
            if memory.len() > MEMORY {
                memory.remove(0);
            }
        }
        (model, loss, gradient) = (next, next_loss, next_gradient);
    }
    model
}

/// Downhill, with what is remembered of the curvature (the two-loop recursion).
fn direction(gradient: &[f64], memory: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let mut down: Vec<f64> = gradient.iter().map(|slope| -slope).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for (step, change) in memory.iter().rev() {
        let share = dot(step, &down) / dot(step, change);
        add(&mut down, change, -share);
        shares.push(share);
    }
    if let Some((step, change)) = memory.last() {
        let scale = dot(step, change) / dot(change, change);
        down.iter_mut().for_each(|part| *part *= scale);
    }
    for ((step, change), share) in memory.iter().zip(shares.into_iter().rev()) {
        let other = dot(change, &down) / dot(step, change);
        add(&mut down, step, share - other);
    }
    down
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(sum: &mut [f64], other: &[f64], factor: f64) {
    sum.iter_mut().zip(other).for_each(|(sum, other)| *sum += factor * other);
}

#[cfg(test)]
mod tests;
