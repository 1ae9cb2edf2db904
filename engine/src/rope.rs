//! Rotary positions (arXiv 2104.09864): how far each pair turns at each position.

use crate::source::{ModelConfig, RopeScaling};

/// Cosines and sines of positions below `context`: `[context, head_dim / 2]` each.
pub(crate) fn tables(config: &ModelConfig, context: usize) -> (Vec<f32>, Vec<f32>) {
    let frequencies = frequencies(config);
    let mut cos = Vec::with_capacity(context * frequencies.len());
    let mut sin = Vec::with_capacity(context * frequencies.len());
    for position in 0..context {
        for frequency in &frequencies {
            let angle = position as f64 * frequency;
            cos.push(angle.cos() as f32);
            sin.push(angle.sin() as f32);
        }
    }
    (cos, sin)
}

/// Radians per position of each pair. The scalings are those of the `transformers` library.
fn frequencies(config: &ModelConfig) -> Vec<f64> {
    let width = config.head_dim as f64;
    let plain = (0..config.head_dim / 2).map(|pair| config.rope.theta.powf(-2.0 * pair as f64 / width));
    match &config.rope.scaling {
        RopeScaling::None => plain.collect(),
        RopeScaling::Linear { factor } => plain.map(|frequency| frequency / factor).collect(),
        RopeScaling::Factors(factors) => {
            plain.zip(factors).map(|(frequency, factor)| frequency / f64::from(*factor)).collect()
        }
        RopeScaling::Llama3 { factor, low, high, original } => plain
            .map(|frequency| {
                let turns = original * frequency / std::f64::consts::TAU;
                let smooth = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                smooth * frequency + (1.0 - smooth) * frequency / factor
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;
