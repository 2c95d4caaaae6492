use std::{fmt, str::FromStr, time::Duration};

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
        write!(f, "{} {}", self.count, self.unit.as_str())
    }
}

/// Times of the calendar, to the minute, as crontab(5) writes them: minute, hour, day of the month, month, day of the week, each with `*`, lists,
/// ranges, steps and names. A day of the month and a day of the week are not allowed together: EventBridge Scheduler cannot say that either means
/// both or either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    text: String,
    /// 0 to 59.
    pub minutes: Numbers,
    /// 0 to 23.
    pub hours: Numbers,
    /// 1 to 31.
    pub days: Numbers,
    /// 1 to 12.
    pub months: Numbers,
    /// 0 for Sunday to 6.
    pub weekdays: Numbers,
}

/// Some of the numbers that a field of a [`Cron`] can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    bits: u64,
    first: u8,
    last: u8,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Numbers {
    /// Whether the number is among them.
    #[must_use]
    pub fn contains(self, number: u8) -> bool {
        number < 64 && self.bits >> number & 1 == 1
    }

    /// Whether all are among them.
    #[must_use]
    pub fn all(self) -> bool {
        (self.first..=self.last).all(|number| self.contains(number))
    }

    /// The numbers, the smallest first.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (self.first..=self.last).filter(move |number| self.contains(*number))
    }

    /// Reads a field; `names` stand for the numbers from `first` on.
    fn read(field: &str, first: u8, last: u8, names: &[&str]) -> Option<Self> {
        let number = |text: &str| {
            let named = names.iter().position(|name| text.eq_ignore_ascii_case(name)).and_then(|place| u8::try_from(place).ok());
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            named.map(|place| first + place).or_else(|| text.parse().ok().filter(|number| digits && (first..=last).contains(number)))
        };
        let mut bits = 0;
        for part in field.split(',') {
            let (range, step) =
                part.split_once('/').map_or((part, Some(1)), |(range, step)| (range, step.parse().ok().filter(|step| *step > 0)));
            let (from, to) = match range.split_once('-') {
                _ if range == "*" => (first, last),
                Some((from, to)) => (number(from)?, number(to)?),
                // A start with a step goes on to the end, as Vixie's cron has it.
                None if part.contains('/') => (number(range)?, last),
                None => (number(range)?, number(range)?),
            };
            if from > to {
                return None;
            }
            bits |= (from..=to).step_by(step?).fold(0_u64, |bits, number| bits | 1 << number);
        }
        Some(Self { bits, first, last })
    }
}

impl FromStr for Cron {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err("expected five fields: minute, hour, day of the month, month, day of the week");
        };
        // Sunday is 0 and 7.
        let mut week = Numbers::read(weekdays, 0, 7, &WEEKDAYS).ok_or("the day of the week: expected 0 to 7 or sun to sat")?;
        week = Numbers { bits: (week.bits | week.bits >> 7) & 0x7f, first: 0, last: 6 };
        let cron = Self {
            text: fields.join(" "),
            minutes: Numbers::read(minutes, 0, 59, &[]).ok_or("the minute: expected 0 to 59")?,
            hours: Numbers::read(hours, 0, 23, &[]).ok_or("the hour: expected 0 to 23")?,
            days: Numbers::read(days, 1, 31, &[]).ok_or("the day of the month: expected 1 to 31")?,
            months: Numbers::read(months, 1, 12, &MONTHS).ok_or("the month: expected 1 to 12 or jan to dec")?,
            weekdays: week,
        };
        if !cron.days.all() && !cron.weekdays.all() {
            return Err("expected * as the day of the month or as the day of the week: both together cannot be scheduled");
        }
        let days_of = |month| if month == 2 { 29 } else { 30 + (month + month / 8) % 2 };
        if !cron.months.iter().any(|month| cron.days.iter().any(|day| day <= days_of(month))) {
            return Err("there is no such day in these months");
        }
        Ok(cron)
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(numbers: Numbers) -> Vec<u8> {
        numbers.iter().collect()
    }

    #[test]
    fn fields_are_read_as_crontab_has_them() {
        let cron: Cron = "*/20 8-10,22  1/10 jan,Mar-apr *".parse().unwrap();
        assert_eq!(told(cron.minutes), [0, 20, 40]);
        assert_eq!(told(cron.hours), [8, 9, 10, 22]);
        assert_eq!(told(cron.days), [1, 11, 21, 31]);
        assert_eq!(told(cron.months), [1, 3, 4]);
        assert!(cron.weekdays.all());
        assert_eq!(cron.to_string(), "*/20 8-10,22 1/10 jan,Mar-apr *");
        assert_eq!(told("0 0 * * fri-7".parse::<Cron>().unwrap().weekdays), [0, 5, 6]);
        assert_eq!(told("0 0 * * mon-fri".parse::<Cron>().unwrap().weekdays), [1, 2, 3, 4, 5]);
        assert!("0 0 29 2 *".parse::<Cron>().is_ok());
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_was_expected() {
        for (text, part) in [
            ("", "five fields"),
            ("* * * *", "five fields"),
            ("* * * * * *", "five fields"),
            ("60 * * * *", "the minute"),
            ("+5 * * * *", "the minute"),
            ("*/0 * * * *", "the minute"),
            ("5-1 * * * *", "the minute"),
            (", * * * *", "the minute"),
            ("* 24 * * *", "the hour"),
            ("* * 0 * *", "the day of the month"),
            ("* * * 13 *", "the month"),
            ("* * * * 8", "the day of the week"),
            ("* * * * mon-sun", "the day of the week"),
            ("* * 1 * mon", "both together"),
            ("* * 30 2 *", "no such day"),
            ("* * 31 4,6,9,11 *", "no such day"),
        ] {
            let error = text.parse::<Cron>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_rate_is_a_number_and_a_unit() {
        for (text, seconds, written) in
            [("1 minute", 60, "1 minutes"), ("36 hours", 129_600, "36 hours"), ("366 days", 31_622_400, "366 days")]
        {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.interval().as_secs(), rate.to_string().as_str()), (seconds, written));
        }
        for text in
            ["", "5", "minutes", "0 minutes", "-1 hours", "+1 hours", "1 week", "367 days", "5  minutes", "1 minutess", "99999999999 days"]
        {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
