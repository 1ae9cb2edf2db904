//! What is counted besides words: length, code, mathematics, reasoning, steps, constraints, languages.
//!
//! Rules: every feature is in 0..1, so that no text, however odd, runs away with the score; none depends on case
//! or on the values of numbers. They are counted on the folded text, after courtesies are gone.

use super::text::{Folded, Kind};

/// The features, in the order of their weights.
pub const NAMES: [&str; 28] = [
    "words, logarithm",
    "bytes, logarithm",
    "mean length of words",
    "sentences",
    "lines",
    "numbers",
    "numbers by words",
    "mathematical signs",
    "LaTeX commands",
    "dollar signs",
    "mathematical words",
    "code fences",
    "signs of code",
    "words of code",
    "words of reasoning",
    "steps asked for",
    "constraints",
    "formats of the answer",
    "other scripts than Latin",
    "questions of fact",
    "questions of number",
    "questions of why and how",
    "multiple choice",
    "commas by words",
    "quotations",
    "blanks to fill",
    "negations",
    "comparisons",
];

/// How many there are.
pub(super) const COUNT: usize = NAMES.len();

const MATHEMATICS: &[&str] = &[
    "equation",
    "integer",
    "integers",
    "prime",
    "polynomial",
    "triangle",
    "angle",
    "circle",
    "radius",
    "probability",
    "sum",
    "product",
    "root",
    "roots",
    "function",
    "graph",
    "matrix",
    "vector",
    "modulo",
    "divisor",
    "digits",
    "solve",
    "simplify",
    "evaluate",
    "compute",
    "calculate",
    "expression",
    "fraction",
    "remainder",
    "degrees",
    "area",
    "volume",
    "integral",
    "derivative",
    "theorem",
    "sequence",
    "perpendicular",
    "coordinates",
    "percent",
    "average",
];
const CODE: &[&str] = &[
    "function",
    "python",
    "java",
    "javascript",
    "rust",
    "sql",
    "code",
    "class",
    "def",
    "return",
    "import",
    "regex",
    "array",
    "string",
    "list",
    "tuple",
    "dictionary",
    "algorithm",
    "compile",
    "bug",
    "debug",
    "refactor",
    "api",
    "struct",
    "const",
    "void",
    "lambda",
    "loop",
    "recursion",
    "script",
    "bash",
    "html",
    "css",
    "query",
    "database",
    "program",
    "implement",
    "unit",
    "test",
    "exception",
    "async",
    "thread",
    "commit",
    "merge",
    "deploy",
];
const REASONING: &[&str] = &[
    "why",
    "prove",
    "proof",
    "explain",
    "derive",
    "reason",
    "reasoning",
    "analyze",
    "analyse",
    "justify",
    "deduce",
    "infer",
    "conclude",
    "evaluate",
    "critique",
    "compare",
    "contrast",
    "argue",
    "hypothesis",
    "implications",
    "trade-off",
    "tradeoffs",
    "design",
    "plan",
    "strategy",
    "optimize",
    "optimise",
    "diagnose",
    "carefully",
];
const STEPS: &[&str] = &["then", "first", "second", "third", "finally", "next", "afterwards", "step", "steps", "after"];
const CONSTRAINTS: &[&str] = &[
    "must", "exactly", "only", "without", "least", "most", "never", "always", "each", "every", "should", "ensure",
    "avoid", "except", "between", "unless", "maximum", "minimum", "cannot", "given",
];
const FORMATS: &[&str] = &[
    "json",
    "yaml",
    "csv",
    "xml",
    "table",
    "markdown",
    "format",
    "bullet",
    "bullets",
    "list",
    "words",
    "sentences",
    "paragraphs",
    "schema",
    "column",
    "columns",
    "form",
    "essay",
    "summary",
];
const FACTS: &[&str] = &["who", "when", "where", "which", "whose", "whom", "name", "named"];
const NUMBERS: &[&str] = &["many", "much", "long", "far", "old", "total", "altogether", "left", "cost"];
const WHYS: &[&str] = &["why", "how", "explain", "describe"];
const NEGATIONS: &[&str] = &["not", "no", "never", "except", "neither", "nor", "cannot", "without", "n't"];
const COMPARISONS: &[&str] = &["than", "more", "less", "most", "least", "best", "better", "same", "difference"];

/// Counts everything; beside it, the share of letters that are not Latin.
pub(super) fn features(folded: &Folded) -> ([f32; COUNT], f32) {
    let text = folded.span();
    let mut seen = Seen::default();
    for token in folded.tokens() {
        seen.token(folded.word(token), token.kind);
    }
    let words = seen.words.max(1) as f32;
    let bytes = Bytes::of(text);
    let signs = |set: &[u8]| bytes.of_set(set);
    // Latin letters with their diacritics end at U+024F.
    let (latin, foreign) = if text.is_ascii() {
        (1, 0)
    } else {
        let letters = text.chars().filter(|character| character.is_alphabetic());
        letters.fold(
            (0_u32, 0_u32),
            |(latin, foreign), letter| {
                if letter < '\u{250}' { (latin + 1, foreign) } else { (latin, foreign + 1) }
            },
        )
    };
    let upto = |count: f32, most: f32| (count / most).min(1.0);
    let [math, code, reasoning, steps, constraints, formats, facts, numbers, whys, negations, comparisons] = seen.kinds;
    let foreign = foreign as f32 / (latin + foreign).max(1) as f32;
    let counts = [
        upto((words + 1.0).ln(), 401_f32.ln()),
        upto((text.len() as f32 + 1.0).ln(), 3001_f32.ln()),
        upto(text.len() as f32 / words, 12.0),
        upto(signs(b".?!"), 12.0),
        upto(signs(b"\n"), 20.0),
        upto(seen.numbers as f32, 12.0),
        upto(seen.numbers as f32 / words, 0.5),
        upto(signs(b"=+^<>*/|") / words, 0.5),
        upto(signs(b"\\"), 8.0),
        upto(signs(b"$"), 6.0),
        upto(math, 5.0),
        upto(text.matches("'''").count() as f32, 2.0),
        upto(signs(b"{}[];_#") / words, 1.0),
        upto(code, 5.0),
        upto(reasoning, 3.0),
        upto(steps + listed(text), 5.0),
        upto(constraints, 5.0),
        upto(formats, 3.0),
        foreign,
        upto(facts, 2.0),
        upto(numbers, 3.0),
        upto(whys, 2.0),
        upto(choices(text), 4.0),
        upto(seen.commas as f32 / words, 0.5),
        upto(signs(b"\""), 6.0),
        upto(signs(b"_"), 2.0),
        upto(negations, 3.0),
        upto(comparisons, 3.0),
    ];
    (counts, foreign)
}

const SETS: [&[&str]; 11] =
    [MATHEMATICS, CODE, REASONING, STEPS, CONSTRAINTS, FORMATS, FACTS, NUMBERS, WHYS, NEGATIONS, COMPARISONS];

/// By first byte and set, the lengths of its words: most words are in no set, and this says so at once.
static MAYBE: [[u32; SETS.len()]; 128] = maybe();

const fn length_bit(length: usize) -> u32 {
    1 << if length < 32 { length } else { 0 }
}

/// Runs when the program is built: a word that does not fit stops the build.
const fn maybe() -> [[u32; SETS.len()]; 128] {
    let mut found = [[0; SETS.len()]; 128];
    let mut set = 0;
    while set < SETS.len() {
        let mut word = 0;
        while word < SETS[set].len() {
            let bytes = SETS[set][word].as_bytes();
            found[bytes[0] as usize][set] |= length_bit(bytes.len());
            word += 1;
        }
        set += 1;
    }
    found
}

/// How often each ASCII byte is there.
struct Bytes([u32; 128]);

impl Bytes {
    fn of(text: &str) -> Self {
        let mut counts = [0; 128];
        for byte in text.bytes() {
            if let Some(count) = counts.get_mut(usize::from(byte)) {
                *count += 1;
            }
        }
        Self(counts)
    }

    fn of_set(&self, set: &[u8]) -> f32 {
        set.iter().filter_map(|byte| self.0.get(usize::from(*byte))).sum::<u32>() as f32
    }
}

#[derive(Default)]
struct Seen {
    words: u32,
    numbers: u32,
    commas: u32,
    kinds: [f32; SETS.len()],
}

impl Seen {
    fn token(&mut self, word: &str, kind: Kind) {
        match kind {
            Kind::Word => {
                self.words += 1;
                let places = word.as_bytes().first().and_then(|first| MAYBE.get(usize::from(*first)));
                let Some(places) = places else { return };
                for ((kind, set), lengths) in self.kinds.iter_mut().zip(SETS).zip(places) {
                    if lengths & length_bit(word.len()) != 0 && set.contains(&word) {
                        *kind += 1.0;
                    }
                }
            }
            Kind::Number => self.numbers += 1,
            Kind::Sign => self.commas += u32::from(word == ","),
        }
    }
}

/// Lines that begin as those of a list.
fn listed(text: &str) -> f32 {
    text.split('\n').filter(|line| line.starts_with("- ") || line.starts_with("* ") || line.starts_with("0.")).count()
        as f32
}

/// Lines that begin as answers to choose from: `a)`, `(b)`, `c.`.
fn choices(text: &str) -> f32 {
    let is = |line: &&str| {
        let line = line.trim_start_matches('(').as_bytes();
        matches!(line, [b'a'..=b'f' | b'0', b')' | b'.' | b':', b' ', ..])
    };
    text.split('\n').filter(is).count() as f32
}
