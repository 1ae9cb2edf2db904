//! What a technique is worth, and what is wanted of it.

use serde::Serialize;

use crate::figure::{TROUPE, rounded};
use crate::table::{NONE, Table};

/// What is wanted of a technique.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wanted {
    /// So many hundredths more than without it.
    More(f64),
    /// At most so many hundredths of what it is without it.
    Share(f64),
    /// At most so much, whatever it is without it.
    Below(f64),
}

/// A technique off and on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Outcome {
    peer: &'static str,
    what: &'static str,
    technique: String,
    measure: String,
    off: f64,
    on: f64,
    wanted: String,
    met: bool,
    #[serde(skip)]
    change: String,
}

impl Outcome {
    pub(super) fn new(technique: &str, measure: impl Into<String>, off: f64, on: f64, wanted: Wanted) -> Self {
        let share = on / off;
        let (change, met, words) = match wanted {
            Wanted::More(least) => {
                let more = (share - 1.0) * 100.0;
                (format!("{more:+.0} %"), more >= least, format!("at least {least:+.0} %"))
            }
            Wanted::Share(most) => {
                let hundredths = share * 100.0;
                (format!("to {hundredths:.1} %"), hundredths <= most, format!("to at most {most:.0} %"))
            }
            Wanted::Below(most) => (NONE.to_owned(), on < most, format!("below {most:.0}")),
        };
        Self {
            peer: TROUPE,
            what: "technique",
            technique: technique.to_owned(),
            measure: measure.into(),
            off: rounded(off),
            on: rounded(on),
            wanted: words,
            met,
            change,
        }
    }
}

pub(super) fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new(["technique", "measured", "off", "on", "change", "wanted", ""]);
    for outcome in outcomes {
        let met = if outcome.met { "met" } else { "missed" };
        table.row([
            outcome.technique.clone(),
            outcome.measure.clone(),
            format!("{:.1}", outcome.off),
            format!("{:.1}", outcome.on),
            outcome.change.clone(),
            outcome.wanted.clone(),
            met.to_owned(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_met_at_their_bound() {
        let outcome = |off, on, wanted| Outcome::new("t", "m", off, on, wanted);
        assert!(outcome(10.0, 20.0, Wanted::More(100.0)).met);
        assert!(!outcome(10.0, 19.9, Wanted::More(100.0)).met);
        assert!(outcome(1000.0, 100.0, Wanted::Share(10.0)).met);
        assert!(!outcome(1000.0, 101.0, Wanted::Share(10.0)).met);
        assert!(outcome(80.0, 3.9, Wanted::Below(4.0)).met && !outcome(80.0, 4.0, Wanted::Below(4.0)).met);
        // Nothing measured is nothing met.
        assert!(!outcome(0.0, 0.0, Wanted::More(40.0)).met && !outcome(0.0, 0.0, Wanted::Share(10.0)).met);
        let text = table(&[outcome(20.0, 50.0, Wanted::More(40.0))]).to_string();
        assert!(text.contains("+150 %") && text.contains("at least +40 %") && text.contains("| met |"), "{text}");
    }
}
