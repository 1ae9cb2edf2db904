//! Traces of Azure's LLM inference: date and time, prompt and answer tokens. Nothing is known of what prompts share.

use std::io::BufRead;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::read::{Found, Place, Requests};
use super::{TraceError, table};

const TIME: &str = "TIMESTAMP";
pub(super) const INPUT: &str = "ContextTokens";
const OUTPUT: &str = "GeneratedTokens";

pub(super) fn read(input: impl BufRead, requests: &mut Requests<'_>) -> Result<(), TraceError> {
    table::read(input, requests, [TIME, INPUT, OUTPUT], [], |requests, place, [time, input, output], []| {
        let found = Found {
            at: moment(place, time)?,
            written: time.to_owned(),
            input: place.length(INPUT, input)?,
            output: place.length(OUTPUT, output)?,
            blocks: Vec::new(),
            session: None,
        };
        requests.push(place, TIME, found)
    })
}

/// Since 1970, to the microsecond; UTC where no offset is given.
fn moment(place: Place<'_>, text: &str) -> Result<Duration, TraceError> {
    let plain = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    let moment = text.parse::<Timestamp>().ok().or_else(plain);
    let micros = moment.and_then(|moment| u64::try_from(moment.as_microsecond()).ok());
    let remedy = "write date and time, such as 2023-11-16 18:15:46.680590";
    micros.map(Duration::from_micros).ok_or_else(|| place.field(TIME, text, remedy))
}
