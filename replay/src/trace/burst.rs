//! BurstGPT's traces: seconds, model, prompt and answer tokens, and in newer ones the conversation.
//!
//! Where a line names its session, the prompt is taken to begin as the session's prompts before it do: a
//! conversation's next prompt is its last one, the answer, and new text. Otherwise prompts share nothing. A failed
//! request has an answer of no tokens: it is an error, or left out where the options say so.

use std::collections::BTreeMap;
use std::io::BufRead;

use super::read::{Found, Requests};
use super::{TraceError, session_block, table};

const TIME: &str = "Timestamp";
pub(super) const INPUT: &str = "Request tokens";
const OUTPUT: &str = "Response tokens";
const SESSION: &str = "Session ID";

pub(super) fn read(input: impl BufRead, requests: &mut Requests<'_>) -> Result<(), TraceError> {
    let mut sessions = BTreeMap::new();
    table::read(
        input,
        requests,
        [TIME, INPUT, OUTPUT],
        [SESSION],
        |requests, place, [time, input, output], [session]| {
            let failed = output.parse() == Ok(0.0);
            if failed && requests.options.skip_failed {
                return Ok(());
            }
            if failed {
                let remedy = "the request failed; leave such lines out, or read the trace with --skip-failed";
                return Err(place.field(OUTPUT, output, remedy));
            }
            let at = place.time(TIME, time, 1.0)?;
            let input = place.length(INPUT, input)?;
            let output = place.length(OUTPUT, output)?;
            let session = session.map(|name| {
                let next = sessions.len() as u64;
                *sessions.entry(name.to_owned()).or_insert(next)
            });
            let count = input.blocks(requests.options.block).0;
            let blocks =
                session.map_or_else(Vec::new, |session| (0..count).map(|at| session_block(session, at)).collect());
            requests.push(place, TIME, Found { at, written: time.to_owned(), input, output, blocks, session })
        },
    )
}
