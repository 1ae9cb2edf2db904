//! When a budget begins anew: hours, days, weeks and months as the calendar of a time zone has them.
//!
//! Rules:
//! - Windows follow each other without gap or overlap, whatever the clocks of the zone do: the window of a
//!   moment begins with the last boundary at or before it and ends with the next.
//! - A day begins with its first moment, which is not midnight where clocks go forward then. A day that a zone
//!   leaves out has no window.
//! - An hour begins at the full hour of the zone. Where clocks change by less than an hour, the hours around
//!   the change are shorter.
//! - The table of zones is part of the program: no file is read, nothing in the environment counts.

use jiff::civil::{Date, time};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};
use protocol::account::{Period, Window};
use protocol::units::UnixMillis;

/// An hour in milliseconds.
const HOUR: i64 = 3_600_000;
/// More boundaries than a zone can ever have moved past a moment, so that a search ends.
const STEPS: usize = 8;

/// A window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Its first moment.
    pub since: UnixMillis,
    /// The first moment after it; none if it never ends.
    pub until: Option<UnixMillis>,
}

impl Span {
    /// Over before all time: whoever looks takes the next one.
    pub(super) const UNKNOWN: Self = Self { since: UnixMillis(0), until: Some(UnixMillis(0)) };

    /// Whether it is over.
    pub(super) fn is_over(self, now: UnixMillis) -> bool {
        self.until.is_some_and(|until| now >= until)
    }
}

/// How a budget's windows follow each other.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    every: Period,
    zone: TimeZone,
}

impl Calendar {
    /// None if there is no such zone.
    pub(super) fn new(window: &Window) -> Option<Self> {
        let zone = match &window.zone {
            None => TimeZone::UTC,
            Some(name) => TimeZoneDatabase::bundled().get(name).ok().filter(|zone| !zone.is_unknown())?,
        };
        Some(Self { every: window.every, zone })
    }

    /// The window that holds a moment.
    pub(super) fn window(&self, now: UnixMillis) -> Span {
        // A moment after the last year of the calendar has a window that never ends.
        self.find(now).unwrap_or(Span { since: now, until: None })
    }

    fn find(&self, now: UnixMillis) -> Option<Span> {
        let moment = Timestamp::from_millisecond(i64::try_from(now.0).ok()?).ok()?;
        match self.every {
            Period::Total => Some(Span { since: UnixMillis(0), until: None }),
            Period::Hour => Some(self.hour(moment)),
            Period::Day | Period::Week | Period::Month => self.days(moment),
        }
    }

    fn hour(&self, moment: Timestamp) -> Span {
        let offset = self.zone.to_offset(moment);
        let shift = i64::from(offset.seconds()).saturating_mul(1000);
        let local = moment.as_millisecond().saturating_add(shift);
        let since = local.saturating_sub(local.rem_euclid(HOUR)).saturating_sub(shift);
        let until = since.saturating_add(HOUR);
        // What a change of the clocks cuts off belongs to an hour of its own. `preceding` leaves out a change at
        // the very moment.
        let at = moment.checked_add(1.nanosecond()).unwrap_or(moment);
        let last = self.zone.preceding(at).next().map(|change| change.timestamp());
        let next = self.zone.following(moment).next().map(|change| change.timestamp());
        let moved = |change: &Timestamp| {
            let before = change.checked_sub(1.nanosecond()).unwrap_or(*change);
            self.zone.to_offset(before) != self.zone.to_offset(*change)
        };
        let last = last.filter(moved).map_or(i64::MIN, Timestamp::as_millisecond);
        let next = next.filter(moved).map_or(i64::MAX, Timestamp::as_millisecond);
        Span { since: millis(since.max(last)), until: Some(millis(until.min(next))) }
    }

    fn days(&self, moment: Timestamp) -> Option<Span> {
        let mut first = self.first(self.zone.to_datetime(moment).date())?;
        let mut since = self.begin(first)?;
        // Where clocks have gone back over midnight, a date comes twice: its window has begun already.
        for _ in 0..STEPS {
            let next = self.next(first)?;
            let until = self.begin(next)?;
            if moment < until {
                break;
            }
            (first, since) = (next, until);
        }
        let until = self.next(first).and_then(|next| self.begin(next)).map(|until| millis(until.as_millisecond()));
        Some(Span { since: millis(since.as_millisecond()), until })
    }

    /// The first date of the window that holds a date.
    fn first(&self, date: Date) -> Option<Date> {
        match self.every {
            Period::Week => date.checked_sub(date.weekday().to_monday_zero_offset().days()).ok(),
            Period::Month => Some(date.first_of_month()),
            Period::Hour | Period::Day | Period::Total => Some(date),
        }
    }

    /// The first date of the next window.
    fn next(&self, first: Date) -> Option<Date> {
        let next = match self.every {
            Period::Week => first.checked_add(7.days()),
            Period::Month => first.checked_add(1.month()),
            Period::Hour | Period::Day | Period::Total => first.tomorrow(),
        };
        next.ok()
    }

    /// The first moment of a date.
    fn begin(&self, date: Date) -> Option<Timestamp> {
        let midnight = self.zone.to_ambiguous_timestamp(date.to_datetime(time(0, 0, 0, 0)));
        if matches!(midnight.offset(), AmbiguousOffset::Gap { .. }) {
            let before = midnight.earlier().ok()?;
            return self.zone.following(before).next().map(|change| change.timestamp());
        }
        midnight.compatible().ok()
    }
}

/// Moments before 1970 count as its beginning.
fn millis(unix: i64) -> UnixMillis {
    UnixMillis(u64::try_from(unix).unwrap_or(0))
}
