//! Times as Celery's workers read them: every form that one of their versions takes, by the table in `tests/celery_times.json`, which is held against their code.
//! ISO 8601's calendar, ordinal and week dates, with a time or without, extended or basic, with an offset or without.
//!
//! 5.4 and later read them by [`dateutil.parser.isoparse`](https://dateutil.readthedocs.io/en/stable/parser.html#dateutil.parser.isoparse), 5.3 by
//! [`datetime.fromisoformat`](https://docs.python.org/3/library/datetime.html#datetime.datetime.fromisoformat), and up to 5.2 by an expression of their own
//! that looks at the beginning of a text alone: what stands behind a time is refused here.

use errand_core::{Fields, Timestamp};
use time::{Date, Duration, PrimitiveDateTime, Time, UtcOffset, Weekday};

use super::special_types;

/// Reads a field that may be missing or null, or empty, as other clients write it. A time without an offset is in UTC, which is Celery's own reading unless its
/// `timezone` says otherwise.
pub(super) fn read(fields: &mut Fields<'_>, name: &'static str) -> Option<Timestamp> {
    let plain = special_types::plain(fields.raw(name)?);
    let Ok(text) = serde_json::from_str::<String>(plain.get()) else {
        return fields.optional(name);
    };
    if text.is_empty() {
        return None;
    }
    let time = parse(&text);
    if time.is_none() {
        fields.refuse(name, "expected a date, or a date and time, such as 2026-11-20T12:00:00+00:00");
    }
    time
}

/// Writes a time in the one form that each of those readers takes: Python before 3.11, and Celery 5.3 by it, reads no `Z`.
pub(super) fn write(time: Timestamp) -> String {
    time.to_string().replace('Z', "+00:00")
}

fn parse(text: &str) -> Option<Timestamp> {
    let mut rest = Rest(text);
    let mut day = rest.date()?;
    let (mut time, mut offset) = (Time::MIDNIGHT, UtcOffset::UTC);
    if let Some(separator) = rest.0.chars().next() {
        rest.0 = &rest.0[separator.len_utf8()..];
        let midnight = rest.0.strip_prefix("24");
        if let Some(behind) = midnight {
            day = day.next_day()?;
            rest.0 = behind;
        }
        time = rest.time(if midnight.is_some() { Some(0) } else { None })?;
        if midnight.is_some() && time != Time::MIDNIGHT {
            return None;
        }
        offset = rest.offset()?;
    }
    if !rest.0.is_empty() {
        return None;
    }
    let moment = PrimitiveDateTime::new(day, time).assume_offset(offset).checked_to_offset(UtcOffset::UTC)?;
    i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).ok().map(Timestamp::from_millis)
}

/// What is left of a text.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    /// A date, of which month and day may be missing.
    fn date(&mut self) -> Option<Date> {
        let year = i32::from(self.number(4..=4)?);
        let extended = self.eat('-');
        if self.eat('W') {
            let week = self.number(2..=2).filter(|week| (1..=53).contains(week))?;
            let day = if extended && self.eat('-') || !extended && self.digits() > 0 { self.number(1..=1)? } else { 1 };
            let monday = Date::from_iso_week_date(year, 1, Weekday::Monday).ok()?;
            let days = (1..=7).contains(&day).then(|| (week - 1) * 7 + day - 1)?;
            return monday.checked_add(Duration::days(days.into()));
        }
        let (month, day) = match self.digits() {
            0 if !extended && self.0.is_empty() => (1, 1),
            3 => return Date::from_ordinal_date(year, self.number(3..=3)?).ok(),
            4 if !extended => (self.number(2..=2)?, self.number(2..=2)?),
            1 | 2 if extended => {
                let month = self.number(1..=2)?;
                (month, if self.0.is_empty() { 1 } else { self.eat('-').then(|| self.number(1..=2))?? })
            }
            _ => return None,
        };
        Date::from_calendar_date(year, u8::try_from(month).ok()?.try_into().ok()?, u8::try_from(day).ok()?).ok()
    }

    /// A time, of which all but the hour may be missing, and that where an offset follows at once; `hour` where it was read already.
    fn time(&mut self, hour: Option<u16>) -> Option<Time> {
        let hour = match hour {
            Some(hour) => hour,
            None if self.0.starts_with(['+', '-']) => 0,
            None => self.number(2..=2)?,
        };
        let (mut minute, mut second, mut millis) = (0, 0, 0);
        let extended = self.eat(':');
        if extended || self.digits() > 0 {
            minute = self.number(1..=2)?;
            if if extended { self.eat(':') } else { self.digits() > 0 } {
                second = self.number(1..=2)?;
                if self.eat('.') || self.eat(',') {
                    millis = self.fraction()?;
                }
            }
        }
        let byte = |number| u8::try_from(number).ok();
        Time::from_hms_milli(byte(hour)?, byte(minute)?, byte(second)?, millis).ok()
    }

    /// A fraction of a second in milliseconds.
    fn fraction(&mut self) -> Option<u16> {
        let digits = self.digits();
        let mut millis = self.number(1..=3)?;
        for _ in digits..3 {
            millis *= 10;
        }
        self.0 = &self.0[digits.saturating_sub(3)..];
        Some(millis)
    }

    fn offset(&mut self) -> Option<UtcOffset> {
        if self.0.is_empty() || self.eat('Z') || self.eat('z') {
            return Some(UtcOffset::UTC);
        }
        let east = self.eat('+');
        if !east && !self.eat('-') {
            return None;
        }
        let time = self.time(None).filter(|time| time.millisecond() == 0)?;
        let (hours, minutes, seconds) = time.as_hms();
        let seconds = i32::from(hours) * 3600 + i32::from(minutes) * 60 + i32::from(seconds);
        UtcOffset::from_whole_seconds(if east { seconds } else { -seconds }).ok()
    }

    fn eat(&mut self, expected: char) -> bool {
        let rest = self.0.strip_prefix(expected);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// How many digits follow.
    fn digits(&self) -> usize {
        self.0.bytes().take_while(u8::is_ascii_digit).count()
    }

    /// The number in the next so many digits, at most four.
    fn number(&mut self, digits: std::ops::RangeInclusive<usize>) -> Option<u16> {
        let count = self.digits().min(*digits.end());
        let (number, rest) = self.0.split_at(count);
        self.0 = rest;
        if digits.contains(&count) { number.parse().ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// A text and what it is read as; by which of Celery's readers, `tests/senders/celery_times.py` holds against them.
    #[derive(Deserialize)]
    struct Row {
        text: String,
        time: Option<String>,
    }

    #[test]
    fn every_form_that_celery_takes_is_read() {
        let rows: Vec<Row> = serde_json::from_str(include_str!("../../tests/celery_times.json")).unwrap();
        assert!(rows.len() > 60);
        for Row { text, time } in rows {
            assert_eq!(parse(&text).map(|time| time.to_string()), time, "{text}");
        }
    }

    #[test]
    fn what_is_empty_is_none_and_a_datetime_of_kombu_is_a_time() {
        let json = r#"{"a":"","b":{"__type__":"datetime","__value__":"2026-12-24"},"c":7,"d":"tomorrow"}"#;
        let mut fields = Fields::of(json).unwrap();
        assert_eq!(read(&mut fields, "a"), None);
        assert_eq!(read(&mut fields, "b").unwrap().to_string(), "2026-12-24T00:00:00.000Z");
        assert_eq!((read(&mut fields, "c"), read(&mut fields, "d")), (None, None));
        let told = fields.finish(Some(())).unwrap_err().to_string();
        assert!(told.starts_with("/c: expected a string, got a number; /d: expected a date"), "{told}");
    }
}
