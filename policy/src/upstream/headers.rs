//! Times in the headers and bodies of providers: when to come again, when a limit is full again.
//!
//! Rules: who writes nonsense is not heard, never an error; no wait is longer than [`LONGEST`], so that one absurd
//! value does not lock a provider out for good. Moments are compared with the sender's own clock where it tells it.

use std::time::Duration;

use protocol::units::UnixMillis;

/// The longest wait that a provider may ask for.
pub const LONGEST: Duration = Duration::from_secs(3600);

const DAY_SECONDS: i64 = 86_400;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Retry-After`: seconds, whole or not, or a date. What is over is now.
pub fn retry_after(text: &str, now: UnixMillis) -> Option<Duration> {
    let text = text.trim();
    seconds(text).or_else(|| Some(cap(http_date(text)?.since(now))))
}

/// `retry-after-ms` and `x-ms-retry-after-ms`: milliseconds, whole or not.
pub fn retry_after_ms(text: &str) -> Option<Duration> {
    let text = text.trim();
    if !is_number(text) {
        return None;
    }
    text.parse().ok().map(|millis: f64| span(millis / 1000.0))
}

/// `x-ratelimit-reset-*` of OpenAI and `RetryInfo.retryDelay` of Google: `1m30s`, `6ms`, `1h2m3.5s`, `17`.
pub fn reset(text: &str) -> Option<Duration> {
    let text = text.trim();
    if is_number(text) {
        return seconds(text);
    }
    let mut rest = text;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at_checked(letters)?;
        let factor = match unit {
            "ns" => 1e-9,
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        if !is_number(number) {
            return None;
        }
        sum += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    (!text.is_empty()).then(|| span(sum))
}

/// How long until a moment as Anthropic writes it: `2026-11-28T02:30:00Z`. What is over is now.
pub fn until(text: &str, now: UnixMillis) -> Option<Duration> {
    Some(cap(rfc3339(text.trim())?.since(now)))
}

/// A date as HTTP writes it: `Sat, 28 Nov 2026 02:30:00 GMT`, or in one of the two older forms.
pub fn http_date(text: &str) -> Option<UnixMillis> {
    let words: Vec<&str> = text.split([' ', '-']).filter(|word| !word.is_empty()).collect();
    let (day, month, year, clock) = match words.as_slice() {
        [_, day, month, year, clock, "GMT"] => (day, month, year, clock),
        // asctime: Sat Nov 28 02:30:00 2026
        [_, month, day, clock, year] => (day, month, year, clock),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| name == month)?;
    let year: i64 = match year.len() {
        4 => number(year)?,
        // Two digits, as RFC 850 has it: the nearest century.
        2 => number(year)? + if number(year)? < 70 { 2000 } else { 1900 },
        _ => return None,
    };
    moment(year, i64::try_from(month).ok()? + 1, number(day)?, time_of_day(clock)?, 0)
}

/// A moment as RFC 3339 writes it, with any offset.
pub fn rfc3339(text: &str) -> Option<UnixMillis> {
    let (date, rest) = (text.get(..10)?, text.get(11..)?);
    if !text.get(10..11).is_some_and(|mark| matches!(mark, "T" | "t" | " ")) {
        return None;
    }
    let [year, month, day] = fields(date, '-')?;
    let clock = time_of_day(rest.get(..8)?)?;
    let mut zone = rest.get(8..)?;
    let mut millis = 0;
    if let Some(fraction) = zone.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let (fraction, after) = fraction.split_at_checked(digits)?;
        millis = number(&format!("{:0<3}", fraction.get(..digits.min(3))?))?;
        zone = after;
    }
    let offset = match zone {
        "Z" | "z" => 0,
        _ => {
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            let zone = zone.strip_prefix(['+', '-'])?;
            let [hours, minutes] = fields(zone, ':')?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            sign * (hours * 3600 + minutes * 60)
        }
    };
    moment(year, month, day, clock - offset, millis)
}

/// `02:30:00`, as seconds of the day.
fn time_of_day(text: &str) -> Option<i64> {
    let [hours, minutes, seconds] = fields(text, ':')?;
    (hours < 24 && minutes < 60 && seconds < 61).then(|| hours * 3600 + minutes * 60 + seconds)
}

fn fields<const N: usize>(text: &str, mark: char) -> Option<[i64; N]> {
    let all: Option<Vec<i64>> = text.split(mark).map(number).collect();
    all?.try_into().ok()
}

fn number(text: &str) -> Option<i64> {
    ((1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// The moment of a day of the Gregorian calendar, as Howard Hinnant counts them.
fn moment(year: i64, month: i64, day: i64, seconds: i64, millis: i64) -> Option<UnixMillis> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    u64::try_from((days * DAY_SECONDS + seconds) * 1000 + millis).ok().map(UnixMillis)
}

fn is_number(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let points = text.bytes().filter(|byte| *byte == b'.').count();
    (1..=30).contains(&digits) && points <= 1 && digits + points == text.len()
}

fn seconds(text: &str) -> Option<Duration> {
    if !is_number(text) {
        return None;
    }
    text.parse().ok().map(span)
}

fn span(seconds: f64) -> Duration {
    cap(Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST))
}

fn cap(span: Duration) -> Duration {
    span.min(LONGEST)
}

#[cfg(test)]
mod tests;
