use std::{fmt, str::FromStr, time::Duration};

use crate::{Cron, Timestamp};

/// When something is done again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recurrence {
    /// At times of the calendar.
    Cron(Cron),
    /// At an even pace.
    Rate(Rate),
}

/// A pace: `5 minutes`, `1 hour`, `2 days`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many units.
    pub count: u32,
    /// Of what.
    pub unit: Unit,
}

/// The unit of a [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 60 seconds.
    Minutes,
    /// 60 minutes.
    Hours,
    /// 24 hours, whatever the calendar says.
    Days,
}

impl Unit {
    /// Its name, in the plural.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::Days => "days",
        }
    }
}

impl Rate {
    /// From one time to the next.
    #[must_use]
    pub fn interval(self) -> Duration {
        let seconds = match self.unit {
            Unit::Minutes => 60,
            Unit::Hours => 3600,
            Unit::Days => 86400,
        };
        Duration::from_secs(seconds * u64::from(self.count))
    }

    /// The first time after `after` of those that follow `since` at this pace.
    #[must_use]
    pub fn next(self, since: Timestamp, after: Timestamp) -> Timestamp {
        self.last(since, after) + self.interval()
    }

    /// The last time up to `until` of those at this pace to which `since` belongs.
    #[must_use]
    pub fn last(self, since: Timestamp, until: Timestamp) -> Timestamp {
        let interval = i64::try_from(self.interval().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(until.millis() - (until.millis() - since.millis()).rem_euclid(interval))
    }
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a number of minutes, hours or days up to a year, such as 5 minutes";
        let (count, unit) = text.split_once(' ').ok_or(EXPECTED)?;
        let unit = [Unit::Minutes, Unit::Hours, Unit::Days].into_iter().find(|known| {
            let plural = known.as_str();
            unit == plural || unit == &plural[..plural.len() - 1]
        });
        let count = Some(count).filter(|count| count.bytes().all(|byte| byte.is_ascii_digit())).and_then(|count| count.parse().ok());
        let rate = Self { count: count.ok_or(EXPECTED)?, unit: unit.ok_or(EXPECTED)? };
        let year = Duration::from_secs(366 * 86400);
        if rate.count > 0 && rate.interval() <= year { Ok(rate) } else { Err(EXPECTED) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.unit.as_str();
        write!(f, "{} {}", self.count, if self.count == 1 { &unit[..unit.len() - 1] } else { unit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_unit() {
        for (text, seconds, written) in [
            ("1 minute", 60, "1 minute"),
            ("1 hours", 3600, "1 hour"),
            ("5 minutes", 300, "5 minutes"),
            ("36 hours", 129_600, "36 hours"),
            ("366 days", 31_622_400, "366 days"),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.interval().as_secs(), rate.to_string().as_str()), (seconds, written));
        }
        for text in
            ["", "5", "minutes", "0 minutes", "-1 hours", "+1 hours", "1 week", "367 days", "5  minutes", "1 minutess", "99999999999 days"]
        {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_keeps_its_pace() {
        let (since, rate) = (Timestamp::from_millis(1_800_000_000_000), "5 minutes".parse::<Rate>().unwrap());
        let minutes = |count: i64| Timestamp::from_millis(since.millis() + 60_000 * count);
        assert_eq!([0, 5, 13].map(|now| rate.next(since, minutes(now))), [5, 10, 15].map(minutes));
        assert_eq!([-1, 0, 4, 5, 13].map(|now| rate.last(since, minutes(now))), [-5, 0, 0, 5, 10].map(minutes));
    }
}
