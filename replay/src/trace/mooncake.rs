//! Mooncake's traces, and those of the tools that took the format over: a JSON object a line.
//!
//! `timestamp` in milliseconds, `input_length` and `output_length` in tokens, `hash_ids` with a name for each block
//! of the prompt from the front, the last one perhaps in part. `session_id` may name the conversation, by number or
//! text. Other fields are left alone. Without `hash_ids` a prompt shares nothing with any other.

use std::collections::BTreeMap;
use std::io::{BufRead, Read as _};

use protocol::units::Tokens;
use serde_json::{Map, Value};

use super::TraceError;
use super::read::{Found, Place, Requests};

/// The longest line: a million names in full.
const LONGEST_LINE: u64 = 32 << 20;
/// Sessions named by text are numbered from here.
const NAMED: u64 = 1 << 63;

pub(super) const TIME: &str = "timestamp";
pub(super) const INPUT: &str = "input_length";
pub(super) const OUTPUT: &str = "output_length";
pub(super) const IDS: &str = "hash_ids";
pub(super) const SESSION: &str = "session_id";

pub(super) fn read(mut input: impl BufRead, requests: &mut Requests<'_>) -> Result<(), TraceError> {
    let mut sessions = BTreeMap::new();
    let mut text = Vec::new();
    for line in 1.. {
        if requests.is_full() {
            break;
        }
        let place = requests.place(line);
        text.clear();
        let read = input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut text).map_err(|error| place.file(error))?;
        if read == 0 {
            break;
        }
        if read as u64 == LONGEST_LINE {
            return Err(place.problem(format!("is longer than {LONGEST_LINE} bytes: write one request a line")));
        }
        let text = str::from_utf8(&text).map_err(|_| place.problem("is no UTF-8 text: is this a trace?"))?;
        let text = text.trim_start_matches('\u{feff}').trim();
        if !text.is_empty() {
            let found = request(place, text, requests.options.block, &mut sessions)?;
            requests.push(place, TIME, found)?;
        }
    }
    Ok(())
}

fn request(
    place: Place<'_>,
    text: &str,
    block: Tokens,
    sessions: &mut BTreeMap<String, u64>,
) -> Result<Found, TraceError> {
    let object: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        // The line that serde_json counts is always the first: ours is the file's.
        let (told, column) = (error.to_string(), error.column());
        let told = told.split(" at line ").next().unwrap_or_default();
        place
            .problem(format!("is no JSON object ({told}, column {column}): write {{\"timestamp\": 0, ..}}, one a line"))
    })?;
    let number = |field: &'static str, remedy: &'static str| match object.get(field) {
        Some(value @ Value::Number(_)) => Ok(value.to_string()),
        None => Err(place.missing(field, remedy)),
        Some(other) => Err(place.field(field, &other.to_string(), remedy)),
    };
    let written = number(TIME, "write when the request came, in milliseconds")?;
    let at = place.time(TIME, &written, 1e-3)?;
    let input = place.length(INPUT, &number(INPUT, "write the prompt's length in tokens")?)?;
    let output = place.length(OUTPUT, &number(OUTPUT, "write the answer's length in tokens")?)?;
    let blocks = match object.get(IDS) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(ids)) => {
            place.blocks(ids.len(), input, block)?;
            let id = |id: &Value| {
                let remedy = "a name of a block is a whole number from 0 on";
                id.as_u64().ok_or_else(|| place.field(IDS, &id.to_string(), remedy))
            };
            ids.iter().map(id).collect::<Result<_, _>>()?
        }
        Some(other) => return Err(place.field(IDS, &other.to_string(), "write a list of numbers")),
    };
    let session = match object.get(SESSION) {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => {
            let next = NAMED + sessions.len() as u64;
            Some(*sessions.entry(name.clone()).or_insert(next))
        }
        Some(other) => {
            let remedy = "name the session by a whole number from 0 on, or by text";
            Some(other.as_u64().ok_or_else(|| place.field(SESSION, &other.to_string(), remedy))?)
        }
    };
    Ok(Found { at, written, input, output, blocks, session })
}
