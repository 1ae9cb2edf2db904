//! Moments as RFC 3339, and time zones by their names.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use protocol::account::{MAX_MOMENT, shown};
use protocol::units::{Span, UnixMillis};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

/// A moment, written as in `2026-01-31T09:30:00.000Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub UnixMillis);

/// Text that is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no time: write it as 2026-01-31T09:30:00Z, or as 2026-01-31 for its first moment in UTC, from 1970 on")]
pub struct BadMoment(String);

/// A name that no time zone has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no time zone: name one as in Europe/Berlin or UTC")]
pub struct BadZone(String);

impl FromStr for Moment {
    type Err = BadMoment;

    fn from_str(text: &str) -> Result<Self, BadMoment> {
        let bad = || BadMoment(shown(text));
        let plain = text.trim();
        let moment = if plain.contains(['T', 't', ' ']) {
            plain.parse::<Timestamp>().map_err(|_| bad())?
        } else {
            let date: Date = plain.parse().map_err(|_| bad())?;
            TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).map_err(|_| bad())?
        };
        let millis = u64::try_from(moment.as_millisecond()).map_err(|_| bad())?;
        if millis > MAX_MOMENT.0 { Err(bad()) } else { Ok(Self(UnixMillis(millis))) }
    }
}

impl fmt::Display for Moment {
    /// With milliseconds. What is later than can be written is shown as the last moment that can.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0.min(MAX_MOMENT).0).unwrap_or_default();
        let moment = Timestamp::from_millisecond(millis).unwrap_or_default();
        write!(f, "{moment:.3}")
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MomentVisitor;

        impl Visitor<'_> for MomentVisitor {
            type Value = Moment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time as text, such as \"2026-01-31T09:30:00Z\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Moment, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(MomentVisitor)
    }
}

impl Moment {
    /// The minute, for tables: `2026-01-31 09:30`.
    pub fn short(self) -> String {
        let text = self.to_string();
        text.get(..16).unwrap_or(&text).replace('T', " ")
    }
}

/// A span as people write it for days and weeks too: `36h`, `30d`, `2w`.
///
/// # Errors
/// It is none.
pub fn span(text: &str) -> Result<std::time::Duration, BadSpan> {
    let bad = || BadSpan(shown(text));
    for (unit, seconds) in [("d", 86_400_u64), ("w", 604_800)] {
        if let Some(number) = text.strip_suffix(unit) {
            let seconds = number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(seconds));
            return seconds.map(std::time::Duration::from_secs).ok_or_else(bad);
        }
    }
    text.parse::<Span>().map(|span| span.0).map_err(|_| bad())
}

/// Text that is no span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no span of time: write a whole number and a unit, such as 90m, 36h, 30d or 2w")]
pub struct BadSpan(String);

/// Checks that there is such a time zone.
///
/// # Errors
/// There is none.
pub fn check_zone(name: &str) -> Result<(), BadZone> {
    let found = TimeZone::get(name).map_err(|_| BadZone(shown(name)))?;
    // Some names stand for the zone of whatever machine reads them.
    if found.is_unknown() { Err(BadZone(shown(name))) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
