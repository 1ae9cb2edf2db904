//! The mock's language: one token per byte and one that ends an answer. Its answers are printable.

use std::fmt::Write as _;

use protocol::ids::TokenId;
use protocol::job::{Job, Logprobs, Sampled};
use protocol::units::Tokens;
use text::bundle::{TextBundle, TokenNames};

/// Bytes and the end token.
pub const VOCABULARY: u32 = 257;
/// Ends an answer, where the job says so.
pub const END: TokenId = TokenId(256);
/// What answers consist of: a power of two, so that an odd stride visits each once.
const ALPHABET: &[u8; 32] = b"etaoinshrdlucmfwypvbgkqjxz ,.'-\n";
/// One token in so many is the end.
const END_IN: u64 = 96;
/// A bias that forces a token, and, negative, one that forbids it.
const FORCE: f32 = 100.0;
const TEMPLATE: &str =
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant: ";

/// The tokenizer and chat template that go with [`super::MockEngine`]: any text can be asked.
pub fn bundle() -> TextBundle {
    let mut vocabulary = String::new();
    for (id, spelled) in spelling().into_iter().enumerate() {
        // Only these two need an escape in JSON.
        let escape = if matches!(spelled, '"' | '\\') { "\\" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(vocabulary, "\"{escape}{spelled}\":{id},");
    }
    let level = r#"{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}"#;
    let end = r#"{"id":256,"content":"<end>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}"#;
    TextBundle {
        tokenizer_json: format!(
            r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{end}],"normalizer":null,"pre_tokenizer":{level},"post_processor":null,"decoder":{level},"model":{{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"vocab":{{{vocabulary}"<end>":256}},"merges":[]}}}}"#
        ),
        chat_template: Some(TEMPLATE.to_owned()),
        bos: None,
        eos: vec![END],
        add_bos: false,
        names: TokenNames { eos: Some("<end>".to_owned()), ..TokenNames::default() },
    }
}

/// How byte-level tokenizers write each byte as one printable character.
fn spelling() -> Vec<char> {
    let mut moved = 0x100;
    (0..=255_u8)
        .map(|byte| {
            if matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) {
                char::from(byte)
            } else {
                moved += 1;
                char::from_u32(moved - 1).unwrap_or(' ')
            }
        })
        .collect()
}

/// Mixes a value into a hash: the finaliser of splitmix64.
pub(super) fn mix(hash: u64, value: u64) -> u64 {
    let mut z = (hash ^ value.wrapping_mul(0xff51_afd7_ed55_8ccd)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The token at `position` of the answer, after a context with this hash. Candidate `i` has the
/// probability 2^-(i+1): greedy takes the first, any temperature draws by seed and position.
pub(super) fn choose(context: u64, position: usize, job: &Job) -> Sampled {
    let early = Tokens::of(position) < job.limits.min_tokens;
    let banned = |token: TokenId| {
        early && job.limits.stop_ids.contains(&token)
            || job.sampling.logit_bias.iter().any(|(biased, bias)| *biased == token && *bias <= -FORCE)
    };
    let forced = job.sampling.logit_bias.iter().find(|(_, bias)| *bias >= FORCE).map(|(token, _)| *token);
    let end = (position > 0 && context.is_multiple_of(END_IN)).then_some(END);
    let stride = (context >> 32) as usize | 1;
    let letters = (0..ALPHABET.len()).filter_map(|i| {
        let place = (context as usize).wrapping_add(i.wrapping_mul(stride)) % ALPHABET.len();
        ALPHABET.get(place).map(|byte| TokenId(u32::from(*byte)))
    });
    let rest = (0..VOCABULARY).map(TokenId);
    let mut candidates: Vec<TokenId> = Vec::new();
    for token in forced.into_iter().chain(end).chain(letters).chain(rest) {
        if candidates.len() == ALPHABET.len() {
            break;
        }
        if !banned(token) && !candidates.contains(&token) {
            candidates.push(token);
        }
    }
    let drawn = if job.sampling.temperature <= 0.0 || forced.is_some() {
        0
    } else {
        let random = mix(mix(job.sampling.seed, position as u64), 0x5eed);
        (random.trailing_zeros() as usize).min(candidates.len().saturating_sub(1))
    };
    let logprob = |place: usize| -(place as f32 + 1.0) * std::f32::consts::LN_2;
    let logprobs = job.sampling.logprobs.map(|count| Logprobs {
        chosen: logprob(drawn),
        top: candidates.iter().take(count.into()).enumerate().map(|(place, token)| (*token, logprob(place))).collect(),
    });
    Sampled { token: candidates.get(drawn).copied().unwrap_or(END), logprobs }
}
