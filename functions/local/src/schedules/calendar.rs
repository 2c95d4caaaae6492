//! When a schedule runs next.

use errand_core::{Cron, Recurrence, Timestamp};
use jiff::{
    civil::{Date, DateTime, Time},
    tz::{AmbiguousOffset, TimeZone},
};

/// How far ahead a time is looked for: the 29th of February comes every eight years at the latest.
const YEARS: i16 = 9;

/// The zone of this name.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

/// The first run after a time; `anchor` is when the schedule was made, from which a rate counts. A civil time that the zone's clock leaves out is no run,
/// and one that it shows twice is one run, the first time.
pub(super) fn next(recurrence: &Recurrence, zone: &TimeZone, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
    match recurrence {
        Recurrence::Rate(rate) => {
            let interval = i64::try_from(rate.interval().as_millis()).ok()?;
            let runs = (after.millis() - anchor.millis()).max(0) / interval + 1;
            Some(Timestamp::from_millis(anchor.millis() + runs * interval))
        }
        Recurrence::Cron(cron) => next_of_cron(cron, zone, after),
    }
}

fn next_of_cron(cron: &Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let start = jiff::Timestamp::from_millisecond(after.millis()).ok()?.to_zoned(zone.clone()).date();
    // A day earlier, since the clock may be put back over midnight.
    let mut day = start.yesterday().ok()?;
    let end = Date::new(start.year() + YEARS, 1, 1).ok()?;
    while day < end {
        if runs_on(cron, day) {
            let times = times(cron).map(|time| day.to_datetime(time));
            // The first of them: what is later by the calendar is later by the clock, but for what it leaves out.
            let next = times.filter_map(|time| moment(zone, time)).find(|time| *time > after);
            if next.is_some() {
                return next;
            }
        }
        day = day.tomorrow().ok()?;
    }
    None
}

fn runs_on(cron: &Cron, day: Date) -> bool {
    let has = |numbers: errand_core::Numbers, number: i8| u8::try_from(number).is_ok_and(|number| numbers.contains(number));
    has(cron.months, day.month()) && has(cron.days, day.day()) && has(cron.weekdays, day.weekday().to_sunday_zero_offset())
}

fn times(cron: &Cron) -> impl Iterator<Item = Time> {
    cron.hours.iter().flat_map(|hour| {
        cron.minutes.iter().filter_map(move |minute| Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok())
    })
}

/// The moment of a civil time; the first, when the clock shows it twice.
fn moment(zone: &TimeZone, time: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_zoned(time);
    if matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. }) {
        return None;
    }
    Some(Timestamp::from_millis(ambiguous.earlier().ok()?.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn runs(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let recurrence = Recurrence::Cron(cron.parse().unwrap());
        let (zone, mut at) = (super::zone(zone).unwrap(), from.parse().unwrap());
        let mut told = Vec::new();
        while told.len() < count {
            at = next(&recurrence, &zone, at, at).unwrap();
            told.push(at.to_string().replace(":00.000Z", "Z"));
        }
        told
    }

    #[test]
    fn a_time_that_does_not_exist_is_left_out() {
        // Berlin: on 2027-03-28 the clock goes from 02:00 to 03:00.
        assert_eq!(
            runs("30 2 * * *", "Europe/Berlin", "2027-03-26T12:00:00Z", 3),
            ["2027-03-27T01:30Z", "2027-03-29T00:30Z", "2027-03-30T00:30Z"]
        );
        assert_eq!(
            runs("*/30 * * * *", "Europe/Berlin", "2027-03-28T00:00:00Z", 3),
            ["2027-03-28T00:30Z", "2027-03-28T01:00Z", "2027-03-28T01:30Z"],
            "01:30, and then 03:00"
        );
    }

    #[test]
    fn a_time_that_exists_twice_is_one_run() {
        // New York: on 2026-11-01 the clock goes from 02:00 to 01:00.
        assert_eq!(
            runs("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 2),
            ["2026-11-01T05:30Z", "2026-11-02T06:30Z"],
            "by summer time, and not again by standard time"
        );
        assert_eq!(
            runs("0,30 * * * *", "America/New_York", "2026-11-01T04:30:00Z", 4),
            ["2026-11-01T05:00Z", "2026-11-01T05:30Z", "2026-11-01T07:00Z", "2026-11-01T07:30Z"]
        );
        // Lord Howe Island puts its clock back by half an hour.
        assert_eq!(runs("45 1 * * *", "Australia/Lord_Howe", "2027-04-03T00:00:00Z", 2), ["2027-04-03T14:45Z", "2027-04-04T15:15Z"]);
    }

    #[test]
    fn a_clock_that_is_put_back_over_midnight_runs_nothing_twice() {
        // Havana: on 2026-11-01 the clock goes from 01:00 to 00:00.
        assert_eq!(runs("30 0 * * *", "America/Havana", "2026-10-31T12:00:00Z", 2), ["2026-11-01T04:30Z", "2026-11-02T05:30Z"]);
    }

    #[test]
    fn calendars_are_kept() {
        assert_eq!(runs("0 9 * * mon-fri", "UTC", "2026-11-20T12:00:00Z", 2), ["2026-11-23T09:00Z", "2026-11-24T09:00Z"]);
        assert_eq!(runs("0 0 29 2 *", "UTC", "2097-01-01T00:00:00Z", 1), ["2104-02-29T00:00Z"], "2100 is no leap year");
        assert_eq!(runs("0 0 31 * *", "UTC", "2026-11-20T12:00:00Z", 2), ["2026-12-31T00:00Z", "2027-01-31T00:00Z"]);
        assert_eq!(runs("15 0 * * *", "Asia/Kathmandu", "2026-11-20T12:00:00Z", 1), ["2026-11-20T18:30Z"]);
        assert!(zone("Mars/Olympus").is_none());
    }

    #[test]
    fn a_rate_counts_from_when_it_was_made() {
        let (made, utc) = (Timestamp::from_millis(1_800_000_000_123), TimeZone::UTC);
        let rate = Recurrence::Rate("5 minutes".parse().unwrap());
        let minutes = |count: u64| made + Duration::from_secs(60 * count);
        assert_eq!(next(&rate, &utc, made, made), Some(minutes(5)));
        assert_eq!(next(&rate, &utc, made, minutes(5)), Some(minutes(10)));
        assert_eq!(next(&rate, &utc, made, minutes(13)), Some(minutes(15)));
    }
}
