//! No token of an answer is lost or comes twice: what a client hears is what an undisturbed engine says, from its
//! beginning on, and all of it once the answer is complete.

use protocol::ids::TokenId;

use super::{Breach, Invariant, holds};

/// What was `heard` is the beginning of what is `wanted`; if the answer is `complete`, it is all of it.
///
/// # Errors
/// It is not: says where they differ first.
pub fn tokens_once(heard: &[TokenId], wanted: &[TokenId], complete: bool) -> Result<(), Breach> {
    let same = heard.iter().zip(wanted).take_while(|(heard, wanted)| heard == wanted).count();
    let whole = same == heard.len() && (!complete || same == wanted.len());
    holds(Invariant::TokensOnce, whole, || {
        let (came, due) = (heard.get(same), wanted.get(same));
        format!(
            "of {} tokens {} came, and differ from position {same} on: {came:?} came, {due:?} was due",
            wanted.len(),
            heard.len()
        )
    })
}

/// Likewise of the text that tokens made.
///
/// # Errors
/// It is not.
pub fn text_once(heard: &str, wanted: &str, complete: bool) -> Result<(), Breach> {
    let whole = wanted.starts_with(heard) && (!complete || heard.len() == wanted.len());
    holds(Invariant::TokensOnce, whole, || format!("{heard:?} came, {wanted:?} was due"))
}
