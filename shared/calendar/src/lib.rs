//! When a schedule runs, by the rules of EventBridge Scheduler: a civil time that the zone's clock leaves out is no run, and one that it shows twice is one
//! run, the first time. <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#daylist-savings-time>

use errand_core::{Cron, Recurrence, Schedule, Timestamp};
use jiff::{
    civil::{Date, DateTime, Time},
    tz::{AmbiguousOffset, TimeZone},
};

/// How far from a time the next is looked for, in days: the 29th of February is on the same day of the week again after 40 years at the latest.
const DAYS: usize = 41 * 366;

/// The name of a time zone as the IANA writes it, if there is one of this name in upper or lower case.
#[must_use]
pub fn timezone(name: &str) -> Option<String> {
    zone(name)?.iana_name().map(ToOwned::to_owned)
}

/// The first run of a schedule after a time. A pause is not looked at.
#[must_use]
pub fn next(schedule: &Schedule, after: Timestamp) -> Option<Timestamp> {
    match &schedule.recurrence {
        Recurrence::Rate(rate) => Some(rate.next(schedule.since, after)),
        Recurrence::Cron(cron) => {
            let zone = zone(&schedule.timezone)?;
            // From a day earlier on, since the clock may be put back over midnight.
            let mut days = date(after, &zone)?.yesterday().ok()?.series(jiff::Span::new().days(1)).take(DAYS);
            // The first of them: what is later by the calendar is later by the clock, but for what it leaves out.
            days.find_map(|day| times(cron, day).filter_map(|time| moment(&zone, time)).find(|time| *time > after))
        }
    }
}

/// The last run of a schedule up to a time; of a rate also before it was made. A pause is not looked at.
#[must_use]
pub fn last(schedule: &Schedule, until: Timestamp) -> Option<Timestamp> {
    match &schedule.recurrence {
        Recurrence::Rate(rate) => Some(rate.last(schedule.since, until)),
        Recurrence::Cron(cron) => {
            let zone = zone(&schedule.timezone)?;
            let mut days = date(until, &zone)?.tomorrow().ok()?.series(jiff::Span::new().days(-1)).take(DAYS);
            days.find_map(|day| times(cron, day).rev().filter_map(|time| moment(&zone, time)).find(|time| *time <= until))
        }
    }
}

fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok().filter(|zone| !zone.is_unknown())
}

fn date(at: Timestamp, zone: &TimeZone) -> Option<Date> {
    Some(zone.to_datetime(jiff::Timestamp::from_millisecond(at.millis()).ok()?).date())
}

/// The times of a day, the earliest first.
fn times(cron: &Cron, day: Date) -> impl DoubleEndedIterator<Item = DateTime> {
    let hours = Some(cron.hours).filter(|_| runs_on(cron, day)).into_iter().flat_map(|hours| hours.iter());
    let times = hours.flat_map(|hour| {
        cron.minutes.iter().filter_map(move |minute| Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok())
    });
    times.map(move |time| day.to_datetime(time))
}

fn runs_on(cron: &Cron, day: Date) -> bool {
    let numbers = [day.month(), day.day(), day.days_in_month(), day.weekday().to_sunday_zero_offset()].map(u8::try_from);
    matches!(numbers, [Ok(month), Ok(number), Ok(last), Ok(of_week)] if cron.months.contains(month) && cron.days.contain(number, last, of_week))
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
    use errand_core::Envelope;

    use super::*;

    fn schedule(recurrence: Recurrence, zone: &str) -> Schedule {
        let since = Timestamp::from_millis(1_800_000_000_000);
        let envelope = Envelope::new(String::new(), "console".to_owned());
        Schedule { name: "s".to_owned(), recurrence, timezone: zone.to_owned(), since, paused: false, envelope }
    }

    /// The runs after a time; each is also the last one before that which follows it.
    fn runs(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let schedule = schedule(Recurrence::Cron(cron.parse().unwrap()), zone);
        let mut at: Timestamp = from.parse().unwrap();
        let mut told = Vec::new();
        while told.len() < count {
            let run = next(&schedule, at).unwrap();
            assert_eq!(last(&schedule, run), Some(run), "{cron}");
            assert!(last(&schedule, Timestamp::from_millis(run.millis() - 1)).is_some_and(|last| last <= at), "{cron}: nothing between");
            told.push(run.to_string().replace(":00.000Z", "Z"));
            at = run;
        }
        told
    }

    #[test]
    fn a_time_that_does_not_exist_is_left_out() {
        // Berlin: on 2027-03-28, the last Sunday of the month, the clock goes from 02:00 to 03:00.
        assert_eq!(
            runs("30 2 * * *", "Europe/Berlin", "2027-03-26T12:00:00Z", 3),
            ["2027-03-27T01:30Z", "2027-03-29T00:30Z", "2027-03-30T00:30Z"]
        );
        assert_eq!(
            runs("*/30 * * * *", "Europe/Berlin", "2027-03-28T00:00:00Z", 3),
            ["2027-03-28T00:30Z", "2027-03-28T01:00Z", "2027-03-28T01:30Z"],
            "01:30, and then 03:00"
        );
        assert_eq!(
            runs("30 2 * * 0L", "Europe/Berlin", "2027-02-28T12:00:00Z", 2),
            ["2027-04-25T00:30Z", "2027-05-30T00:30Z"],
            "the last Sunday of March has no such time"
        );
        // Havana: on 2027-03-14, the second Sunday, the clock goes from 00:00 to 01:00.
        assert_eq!(runs("@daily", "America/Havana", "2027-03-13T04:00:00Z", 2), ["2027-03-13T05:00Z", "2027-03-15T04:00Z"]);
        assert_eq!(runs("@hourly", "America/Havana", "2027-03-14T03:30:00Z", 2), ["2027-03-14T04:00Z", "2027-03-14T05:00Z"]);
        assert_eq!(runs("0 0 ? * sun#2", "America/Havana", "2027-03-01T00:00:00Z", 1), ["2027-04-11T04:00Z"]);
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
        assert_eq!(runs("30 1 * * 7#1", "America/New_York", "2026-10-31T12:00:00Z", 2), ["2026-11-01T05:30Z", "2026-12-06T06:30Z"]);
        // Lord Howe Island puts its clock back by half an hour.
        assert_eq!(runs("45 1 * * *", "Australia/Lord_Howe", "2027-04-03T00:00:00Z", 2), ["2027-04-03T14:45Z", "2027-04-04T15:15Z"]);
        // Berlin: on 2027-10-31, the last day of the month, the clock goes from 03:00 to 02:00.
        assert_eq!(runs("30 2 L * *", "Europe/Berlin", "2027-10-01T00:00:00Z", 2), ["2027-10-31T00:30Z", "2027-11-30T01:30Z"]);
    }

    #[test]
    fn a_clock_that_is_put_back_over_midnight_runs_nothing_twice() {
        // Havana: on 2026-11-01 the clock goes from 01:00 to 00:00.
        assert_eq!(runs("30 0 * * *", "America/Havana", "2026-10-31T12:00:00Z", 2), ["2026-11-01T04:30Z", "2026-11-02T05:30Z"]);
        assert_eq!(runs("@monthly", "America/Havana", "2026-10-31T12:00:00Z", 2), ["2026-11-01T04:00Z", "2026-12-01T05:00Z"]);
    }

    #[test]
    fn a_day_that_a_zone_leaves_out_has_no_run() {
        // Samoa had no 30th of December 2011.
        assert_eq!(runs("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", 2), ["2011-12-29T22:00Z", "2011-12-30T22:00Z"]);
    }

    #[test]
    fn calendars_are_kept() {
        assert_eq!(runs("0 9 * * mon-fri", "UTC", "2026-11-20T12:00:00Z", 2), ["2026-11-23T09:00Z", "2026-11-24T09:00Z"]);
        assert_eq!(runs("0 0 29 2 *", "UTC", "2097-01-01T00:00:00Z", 1), ["2104-02-29T00:00Z"], "2100 is no leap year");
        assert_eq!(runs("0 0 ? feb tue#5", "UTC", "2085-01-01T00:00:00Z", 1), ["2124-02-29T00:00Z"]);
        assert_eq!(runs("0 0 31 * *", "UTC", "2026-11-20T12:00:00Z", 2), ["2026-12-31T00:00Z", "2027-01-31T00:00Z"]);
        assert_eq!(runs("15 0 * * *", "Asia/Kathmandu", "2026-11-20T12:00:00Z", 1), ["2026-11-20T18:30Z"]);
        assert_eq!(runs("@yearly", "UTC", "2026-11-20T12:00:00Z", 2), ["2027-01-01T00:00Z", "2028-01-01T00:00Z"]);
        assert_eq!(runs("@weekly", "UTC", "2026-11-20T12:00:00Z", 2), ["2026-11-22T00:00Z", "2026-11-29T00:00Z"]);
    }

    #[test]
    fn days_that_depend_on_the_month_are_found_in_each() {
        let found =
            |cron, count| runs(cron, "UTC", "2027-01-01T00:00:00Z", count).iter().map(|time| time[..10].to_owned()).collect::<Vec<_>>();
        assert_eq!(found("0 9 L * *", 3), ["2027-01-31", "2027-02-28", "2027-03-31"]);
        assert_eq!(found("0 9 L feb ?", 2), ["2027-02-28", "2028-02-29"]);
        assert_eq!(found("0 9 LW * *", 5), ["2027-01-29", "2027-02-26", "2027-03-31", "2027-04-30", "2027-05-31"]);
        assert_eq!(found("0 9 1W * *", 5), ["2027-01-01", "2027-02-01", "2027-03-01", "2027-04-01", "2027-05-03"]);
        assert_eq!(found("0 9 15W * *", 5), ["2027-01-15", "2027-02-15", "2027-03-15", "2027-04-15", "2027-05-14"]);
        assert_eq!(found("0 9 ? * 5L", 3), ["2027-01-29", "2027-02-26", "2027-03-26"], "the last Friday, and not the next");
        assert_eq!(found("0 9 ? * fri#3", 2), ["2027-01-15", "2027-02-19"]);
        assert_eq!(found("0 9 * * 5#5", 3), ["2027-01-29", "2027-04-30", "2027-07-30"], "a month without a fifth is left out");
    }

    #[test]
    fn a_zone_has_the_name_that_the_iana_gives_it() {
        assert_eq!(timezone("europe/BERLIN").as_deref(), Some("Europe/Berlin"));
        assert_eq!(timezone("utc").as_deref(), Some("UTC"));
        for nowhere in ["Mars/Olympus", "", "Etc/Unknown", "../etc/passwd", "CET-1CEST"] {
            assert_eq!(timezone(nowhere), None, "{nowhere}");
        }
        assert_eq!(next(&schedule(Recurrence::Cron("* * * * *".parse().unwrap()), "Mars/Olympus"), Timestamp::now()), None);
    }
}
