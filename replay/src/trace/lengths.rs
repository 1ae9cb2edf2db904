//! How long prompts and answers are, at random.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use policy::restart::Jitter;
use protocol::units::Tokens;
use serde::Deserialize;

use super::error::short;
use super::read::LONGEST;

/// The shape of a log-normal distribution if it is not given: the largest tenth is at least three times the median.
const SIGMA: f64 = 0.8;

/// A distribution of lengths, between 1 and a million tokens.
#[derive(Clone, Debug, PartialEq)]
pub enum Lengths {
    /// Always the same.
    Fixed(Tokens),
    /// Any between two, both included.
    Uniform(Tokens, Tokens),
    /// Many short, few long.
    LogNormal {
        /// The mean.
        mean: f64,
        /// Of the logarithm's normal distribution.
        sigma: f64,
    },
    /// Points of a cumulative distribution, with straight lines between them.
    Cdf(Vec<(Tokens, f64)>),
}

/// Text that is no distribution of lengths.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLengths {
    /// Not one of the forms.
    #[error(
        "'{0}' is no distribution of lengths: write fixed:512, uniform:100..900, lognormal:512 (its mean), lognormal:512:0.8 or cdf:FILE"
    )]
    Form(String),
    /// A number of tokens that cannot be.
    #[error("'{0}' has a length that cannot be: give 1 to {LONGEST} tokens, the smaller one first")]
    Range(String),
    /// A file that cannot be used.
    #[error("{file}: {problem}")]
    File {
        /// Which.
        file: String,
        /// What is wrong, and what to write instead.
        problem: String,
    },
}

impl FromStr for Lengths {
    type Err = BadLengths;

    fn from_str(text: &str) -> Result<Self, BadLengths> {
        let form = || BadLengths::Form(short(text));
        let range = || BadLengths::Range(short(text));
        let (kind, rest) = text.split_once(':').ok_or_else(form)?;
        let tokens = |text: &str| text.trim().parse::<u64>().map_err(|_| form());
        let within = |tokens: u64| (1..=LONGEST).contains(&tokens).then_some(Tokens(tokens)).ok_or_else(range);
        match kind {
            "fixed" => Ok(Self::Fixed(within(tokens(rest)?)?)),
            "uniform" => {
                let (low, high) = rest.split_once("..").ok_or_else(form)?;
                let (low, high) = (within(tokens(low)?)?, within(tokens(high)?)?);
                if low > high { Err(range()) } else { Ok(Self::Uniform(low, high)) }
            }
            "lognormal" => {
                let (mean, sigma) = rest.split_once(':').unwrap_or((rest, ""));
                let mean = within(tokens(mean)?)?.0 as f64;
                let sigma = if sigma.is_empty() { SIGMA } else { sigma.trim().parse().map_err(|_| form())? };
                if (0.0..=4.0).contains(&sigma) { Ok(Self::LogNormal { mean, sigma }) } else { Err(form()) }
            }
            "cdf" => Self::read_cdf(Path::new(rest)),
            _ => Err(form()),
        }
    }
}

/// A file with a cumulative distribution: its points alone, or with words beside them.
#[derive(Deserialize)]
#[serde(untagged)]
enum CdfFile {
    Points(Vec<(u64, f64)>),
    Object { cdf: Vec<(u64, f64)> },
}

impl Lengths {
    /// Reads points of a cumulative distribution: `[[tokens, fraction], ..]`, or the same under `cdf`; tokens
    /// rise, fractions do not fall and end at 1.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn read_cdf(path: &Path) -> Result<Self, BadLengths> {
        let fault = |problem: String| BadLengths::File { file: path.display().to_string(), problem };
        let text = fs::read_to_string(path).map_err(|error| fault(format!("cannot be read: {error}")))?;
        let file: CdfFile = serde_json::from_str(&text).map_err(|_| {
            fault("is no cumulative distribution: write [[tokens, fraction], ..], or that under \"cdf\"".to_owned())
        })?;
        let (CdfFile::Points(points) | CdfFile::Object { cdf: points }) = file;
        let mut before = (0, 0.0);
        for (at, (tokens, fraction)) in points.iter().copied().enumerate() {
            if tokens <= before.0 || tokens > LONGEST {
                let above = before.0;
                return Err(fault(format!(
                    "point {at} is at {tokens} tokens: give more than {above}, at most {LONGEST}"
                )));
            }
            if !(before.1..=1.0).contains(&fraction) {
                let above = before.1;
                return Err(fault(format!("point {at} has the fraction {fraction}: give at least {above}, at most 1")));
            }
            before = (tokens, fraction);
        }
        if before.1 < 1.0 {
            return Err(fault(format!("the last fraction is {}: the last point of a distribution has 1", before.1)));
        }
        Ok(Self::Cdf(points.into_iter().map(|(tokens, fraction)| (Tokens(tokens), fraction)).collect()))
    }

    /// The next length.
    pub fn draw(&self, random: &mut Jitter) -> Tokens {
        let tokens = match self {
            Self::Fixed(tokens) => tokens.0 as f64,
            Self::Uniform(low, high) => low.0 as f64 + (random.draw() * (high.0 - low.0 + 1) as f64).floor(),
            Self::LogNormal { mean, sigma } => {
                let mu = mean.ln() - sigma * sigma / 2.0;
                (mu + sigma * normal(random)).exp().round()
            }
            Self::Cdf(points) => inverse(points, random.draw()).round(),
        };
        Tokens((tokens as u64).clamp(1, LONGEST))
    }
}

/// The length below which so large a fraction lies.
fn inverse(points: &[(Tokens, f64)], fraction: f64) -> f64 {
    let (mut low, mut below) = (0.0, 0.0);
    for (tokens, upto) in points {
        let high = tokens.0 as f64;
        if fraction <= *upto && *upto > below {
            return low + (high - low) * (fraction - below) / (upto - below);
        }
        (low, below) = (high, *upto);
    }
    low
}

/// A number of the standard normal distribution (Box and Muller 1958).
fn normal(random: &mut Jitter) -> f64 {
    let radius = (-2.0 * (1.0 - random.draw()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.draw()).cos()
}
