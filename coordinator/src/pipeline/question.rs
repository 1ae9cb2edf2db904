//! What makes two requests the same question: everything that their answer depends on.

use actors::cluster::job::Task;
use policy::answers::Key;
use protocol::engine::Card;

/// The question that a task is, if its answer is determined: temperature 0, or a seed that was given.
pub fn question(task: &Task, card: &Card, seeded: bool) -> Option<Key> {
    let greedy = task.sampling.temperature <= 0.0;
    if !greedy && !seeded {
        return None;
    }
    let mut hash = Hash(blake3::Hasher::new());
    hash.bytes(task.model.as_bytes()).bytes(&card.weights).bytes(&task.words).bytes(card.dtype.as_bytes());
    hash.bytes(&task.salt);
    hash.numbers(task.prompt.iter().map(|token| token.0.into()));
    let sampling = &task.sampling;
    let floats = [
        sampling.temperature,
        sampling.top_p,
        sampling.min_p,
        sampling.repetition_penalty,
        sampling.presence_penalty,
        sampling.frequency_penalty,
    ];
    hash.numbers(floats.iter().map(|value| value.to_bits().into()));
    let biases = sampling.logit_bias.iter();
    hash.numbers(biases.flat_map(|(token, bias)| [u64::from(token.0), bias.to_bits().into()]));
    // Greedy answers are the same whatever the seed.
    let seed = if greedy { 0 } else { sampling.seed };
    let logprobs = sampling.logprobs.map_or(u64::MAX, u64::from);
    let limits = &task.limits;
    let rest = [sampling.top_k.into(), seed, logprobs, limits.max_tokens.0, limits.min_tokens.0, task.choices.into()];
    hash.numbers(rest.into_iter());
    hash.numbers(limits.stop_ids.iter().map(|token| token.0.into()));
    hash.numbers(std::iter::once(task.stops.len() as u64));
    for stop in &task.stops {
        hash.bytes(stop.as_bytes());
    }
    Some(Key(*hash.0.finalize().as_bytes()))
}

/// Every part with its length, so that no two sequences of parts look alike.
struct Hash(blake3::Hasher);

impl Hash {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        self
    }

    fn numbers(&mut self, numbers: impl Iterator<Item = u64>) {
        let mut count = 0_u64;
        for number in numbers {
            self.0.update(&number.to_le_bytes());
            count += 1;
        }
        self.0.update(&count.to_le_bytes());
    }
}
