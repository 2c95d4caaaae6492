use std::{fmt, str::FromStr};

/// Times of the calendar, to the minute, as crontab(5) writes them: minute, hour, day of the month, month, day of the week, each with `*`, lists,
/// ranges, steps and names, or `@daily` and its like. `L`, `W`, `#` and `?` are those of EventBridge Scheduler, with crontab's numbers of weekdays.
/// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    text: String,
    /// 0 to 59.
    pub minutes: Numbers,
    /// 0 to 23.
    pub hours: Numbers,
    /// Which days of these months.
    pub days: Days,
    /// 1 to 12.
    pub months: Numbers,
}

/// The days of a [`Cron`]: of the month or of the week, and not of both, since EventBridge Scheduler cannot say that either means both or either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Days {
    /// Days of the month, 1 to 31; each day, when these are all.
    OfMonth(Numbers),
    /// `L`: the last day of the month.
    Last,
    /// `LW`: the last day of the month that is one of Monday to Friday.
    LastWorkday,
    /// `15W`: the day of the same month, one of Monday to Friday, that is nearest to this day. Each of the months has this day.
    Workday(u8),
    /// Days of the week, 0 for Sunday to 6.
    OfWeek(Numbers),
    /// `5L`: the last one in the month of this day of the week.
    LastOfWeek(u8),
    /// `5#3`: of this day of the week the one with this number in the month, 1 to 5; none in a month that has no fifth.
    NthOfWeek(u8, u8),
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

/// Lines that have a name, as crontab(5) has them.
const NAMED: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl Numbers {
    const fn all_of(first: u8, last: u8) -> Self {
        Self { bits: (2 << last) - (1 << first), first, last }
    }

    /// Whether the number is among them.
    #[must_use]
    pub fn contains(self, number: u8) -> bool {
        number < 64 && self.bits >> number & 1 == 1
    }

    /// Whether all are among them.
    #[must_use]
    pub fn all(self) -> bool {
        self == Self::all_of(self.first, self.last)
    }

    /// The numbers, the smallest first.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = u8> {
        (self.first..=self.last).filter(move |number| self.contains(*number))
    }

    /// Reads a field; `names` stand for the numbers from `first` on.
    fn read(field: &str, first: u8, last: u8, names: &[&str]) -> Option<Self> {
        let number = |text: &str| number(text, first, last, names);
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

/// A number from `first` to `last`, or its name.
fn number(text: &str, first: u8, last: u8, names: &[&str]) -> Option<u8> {
    let named = names.iter().position(|name| text.eq_ignore_ascii_case(name)).and_then(|place| u8::try_from(place).ok());
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    named.map(|place| first + place).or_else(|| text.parse().ok().filter(|number| digits && (first..=last).contains(number)))
}

/// A day of the week: Sunday is 0 and 7.
fn weekday(text: &str) -> Option<u8> {
    number(text, 0, 7, &WEEKDAYS).map(|day| day % 7)
}

impl Days {
    const ALL: Self = Self::OfMonth(Numbers::all_of(1, 31));

    /// Whether a day is among them: the `day` of a month whose `last` day has that number, and its day of the week, 0 for Sunday.
    #[must_use]
    pub fn contain(self, day: u8, last: u8, of_week: u8) -> bool {
        match self {
            Self::OfMonth(days) => days.contains(day),
            Self::Last => day == last,
            Self::LastWorkday => day == nearest_workday(last, last, of_week + 35 + last - day),
            Self::Workday(wanted) => day == nearest_workday(wanted, last, of_week + 35 + wanted - day),
            Self::OfWeek(days) => days.contains(of_week),
            Self::LastOfWeek(wanted) => of_week == wanted && day + 7 > last,
            Self::NthOfWeek(wanted, nth) => of_week == wanted && day.div_ceil(7) == nth,
        }
    }

    fn read(of_month: &str, of_week: &str) -> Result<Self, &'static str> {
        let of_month = Self::of_month(of_month).ok_or("the day of the month: expected 1 to 31, or by itself L, LW or such as 15W")?;
        let of_week =
            Self::of_week(of_week).ok_or("the day of the week: expected 0 to 7 or sun to sat, or by itself such as 5L or fri#2")?;
        match (of_month, of_week) {
            (_, Self::OfWeek(days)) if days.all() => Ok(of_month),
            (Self::ALL, _) => Ok(of_week),
            _ => Err("expected * or ? as the day of the month or as the day of the week: both together cannot be scheduled"),
        }
    }

    fn of_month(field: &str) -> Option<Self> {
        let field = field.to_ascii_uppercase();
        match field.as_str() {
            "?" => Some(Self::ALL),
            "L" => Some(Self::Last),
            "LW" => Some(Self::LastWorkday),
            _ => match field.strip_suffix('W') {
                Some(day) => number(day, 1, 31, &[]).map(Self::Workday),
                None => Numbers::read(&field, 1, 31, &[]).map(Self::OfMonth),
            },
        }
    }

    fn of_week(field: &str) -> Option<Self> {
        // At the end of a range, Sunday is the seventh day.
        let field = field.to_ascii_uppercase().replace("-SUN", "-7");
        match field.as_str() {
            "?" => return Some(Self::OfWeek(Numbers::all_of(0, 6))),
            // The last day of EventBridge's week.
            "L" => return Numbers::read("6", 0, 6, &[]).map(Self::OfWeek),
            _ => {}
        }
        if let Some((day, nth)) = field.split_once('#') {
            return Some(Self::NthOfWeek(weekday(day)?, number(nth, 1, 5, &[])?));
        }
        if let Some(day) = field.strip_suffix('L') {
            return weekday(day).map(Self::LastOfWeek);
        }
        let week = Numbers::read(&field, 0, 7, &WEEKDAYS)?;
        Some(Self::OfWeek(Numbers { bits: (week.bits | week.bits >> 7) & 0x7f, first: 0, last: 6 }))
    }

    /// Whether these months have such a day.
    fn check(self, months: Numbers) -> Result<(), &'static str> {
        let longest = |month| if month == 2 { 29 } else { 30 + (month + month / 8) % 2 };
        let shortest = |month| if month == 2 { 28 } else { longest(month) };
        match self {
            Self::OfMonth(days) if !months.iter().any(|month| days.iter().any(|day| day <= longest(month))) => {
                Err("there is no such day in these months")
            }
            // What EventBridge makes of it then is not documented.
            Self::Workday(day) if months.iter().any(|month| day > shortest(month)) => {
                Err("the day of the month: not each of these months has the day before W; the last of Monday to Friday is LW")
            }
            _ => Ok(()),
        }
    }
}

/// The number of the day, one of Monday to Friday, that is nearest to a day and in the same month; `of_week` is that day's, in whole weeks more or less.
fn nearest_workday(day: u8, last: u8, of_week: u8) -> u8 {
    match of_week % 7 {
        6 if day == 1 => 3,
        6 => day - 1,
        0 if day == last => day - 2,
        0 => day + 1,
        _ => day,
    }
}

impl FromStr for Cron {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = match NAMED.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)) {
            Some((_, line)) => line,
            None if text.starts_with('@') => {
                return Err("expected @yearly, @annually, @monthly, @weekly, @daily, @midnight or @hourly, or five fields");
            }
            None => text.as_str(),
        };
        let fields: Vec<&str> = line.split(' ').collect();
        let [minutes, hours, of_month, months, of_week] = fields[..] else {
            return Err("expected five fields: minute, hour, day of the month, month, day of the week");
        };
        let cron = Self {
            minutes: Numbers::read(minutes, 0, 59, &[]).ok_or("the minute: expected 0 to 59")?,
            hours: Numbers::read(hours, 0, 23, &[]).ok_or("the hour: expected 0 to 23")?,
            months: Numbers::read(months, 1, 12, &MONTHS).ok_or("the month: expected 1 to 12 or jan to dec")?,
            days: Days::read(of_month, of_week)?,
            text,
        };
        cron.days.check(cron.months)?;
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

    fn days(line: &str) -> Days {
        line.parse::<Cron>().unwrap_or_else(|error| panic!("{line}: {error}")).days
    }

    /// The days of November 2026, which begins on a Sunday and has 30 days.
    fn november(field: &str) -> Vec<u8> {
        let days = days(field);
        (1..=30).filter(|day| days.contain(*day, 30, (day - 1) % 7)).collect()
    }

    #[test]
    fn fields_are_read_as_crontab_has_them() {
        let cron: Cron = "*/20 8-10,22  1/10 jan,Mar-apr *".parse().unwrap();
        assert_eq!(told(cron.minutes), [0, 20, 40]);
        assert_eq!(told(cron.hours), [8, 9, 10, 22]);
        assert_eq!(told(cron.months), [1, 3, 4]);
        assert!(matches!(cron.days, Days::OfMonth(days) if told(days) == [1, 11, 21, 31]));
        assert_eq!(cron.to_string(), "*/20 8-10,22 1/10 jan,Mar-apr *");
        for (field, wanted) in [
            ("fri-7", &[0, 5, 6][..]),
            ("mon-fri", &[1, 2, 3, 4, 5]),
            ("Mon-Sun", &[0, 1, 2, 3, 4, 5, 6]),
            ("sat-sun", &[0, 6]),
            ("0", &[0]),
            ("7", &[0]),
            ("L", &[6]),
        ] {
            let line = format!("0 0 ? * {field}");
            let numbers = match days(&line) {
                Days::OfWeek(days) => told(days),
                Days::OfMonth(days) if days.all() => (0..7).collect(),
                other => panic!("{field}: {other:?}"),
            };
            assert_eq!(numbers, wanted, "{field}");
        }
        assert!("0 0 29 2 *".parse::<Cron>().is_ok());
    }

    #[test]
    fn any_day_is_said_in_every_way() {
        for line in ["0 0 * * *", "0 0 ? * *", "0 0 * * ?", "0 0 ? * ?", "0 0 1-31 * 0-6", "@daily", "@MIDNIGHT"] {
            assert_eq!(days(line), Days::ALL, "{line}");
        }
    }

    #[test]
    fn a_name_stands_for_a_line_and_is_told_as_it_was_written() {
        for (name, line) in NAMED {
            let (named, written): (Cron, Cron) = (name.parse().unwrap(), line.parse().unwrap());
            assert_eq!(named.to_string(), name);
            assert_eq!(Cron { text: line.to_owned(), ..named }, written);
        }
    }

    #[test]
    fn days_that_depend_on_the_month_are_eventbridges_with_crontabs_numbers() {
        for (line, wanted) in [
            ("0 0 L * *", &[30][..]),
            ("0 0 lw * ?", &[30]),
            ("0 0 15W * *", &[16]),
            ("0 0 14w * *", &[13]),
            ("0 0 1W * *", &[2]),
            ("0 0 * * 5L", &[27]),
            ("0 0 ? * friL", &[27]),
            ("0 0 * * 0L", &[29]),
            ("0 0 * * 7L", &[29]),
            ("0 0 * * 1#1", &[2]),
            ("0 0 * * mon#5", &[30]),
            ("0 0 * * 7#2", &[8]),
            ("0 0 * * tue#5", &[]),
        ] {
            assert_eq!(november(line), wanted, "{line}");
        }
        // A month that begins on a Saturday, and one of 31 days that ends on a Sunday: the month stays the same.
        assert!(days("0 0 1W * *").contain(3, 30, 1));
        assert!(days("0 0 31W jan *").contain(29, 31, 5));
        assert!(days("0 0 LW * *").contain(29, 31, 5));
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_was_expected() {
        for (text, part) in [
            ("", "five fields"),
            ("* * * *", "five fields"),
            ("* * * * * *", "five fields"),
            ("@reboot", "@yearly"),
            ("@every 5m", "@yearly"),
            ("60 * * * *", "the minute"),
            ("? * * * *", "the minute"),
            ("+5 * * * *", "the minute"),
            ("*/0 * * * *", "the minute"),
            ("5-1 * * * *", "the minute"),
            (", * * * *", "the minute"),
            ("* 24 * * *", "the hour"),
            ("* * 0 * *", "the day of the month"),
            ("* * L-3 * *", "the day of the month"),
            ("* * 1,L * *", "the day of the month"),
            ("* * W * *", "the day of the month"),
            ("* * 1-5W * *", "the day of the month"),
            ("* * 32W * *", "the day of the month"),
            ("* * 31W * *", "not each of these months"),
            ("* * 29W feb *", "not each of these months"),
            ("* * * 13 *", "the month"),
            ("* * * * 8", "the day of the week"),
            ("* * * * 8L", "the day of the week"),
            ("* * * * 1,5L", "the day of the week"),
            ("* * * * 5#6", "the day of the week"),
            ("* * * * 5#", "the day of the week"),
            ("* * * * 5#1,3#1", "the day of the week"),
            ("* * * * fri-mon", "the day of the week"),
            ("* * 1 * mon", "both together"),
            ("* * L * 5L", "both together"),
            ("* * 30 2 *", "no such day"),
            ("* * 31 4,6,9,11 *", "no such day"),
        ] {
            let error = text.parse::<Cron>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
