//! What EventBridge Scheduler makes of an expression, read once more from its documentation alone, and held against the calendar that `errand` goes by.
//! <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based>

use errand_core::{Envelope, Recurrence, Schedule, Timestamp};
use proptest::{prelude::*, sample::select};

use crate::expression::expression;

const DAY: i64 = 24 * 60;

/// A day of the calendar: its month, its number, the last number of its month, and its day of the week, 1 for Sunday.
#[derive(Clone, Copy)]
struct Day {
    month: i64,
    number: i64,
    last: i64,
    weekday: i64,
}

/// The day so many days after 1970-01-01, which was a Thursday. <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
fn day(since_1970: i64) -> Day {
    let days = since_1970 + 719_468;
    let era = days.rem_euclid(146_097);
    let year = (era - era / 1_460 + era / 36_524 - era / 146_096) / 365;
    let of_year = era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + days.div_euclid(146_097) * 400 + i64::from(month <= 2);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    Day { month, number: of_year - (153 * shifted + 2) / 5 + 1, last, weekday: (since_1970 + 4).rem_euclid(7) + 1 }
}

/// The number that a text is, or names.
fn number(text: &str) -> i64 {
    let names = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    names.iter().position(|name| *name == text).map_or_else(|| text.parse().unwrap(), |place| i64::try_from(place).unwrap() + 1)
}

/// Whether a number is among those that a list of numbers and ranges, or `*`, says.
fn says(field: &str, value: i64) -> bool {
    field == "*"
        || field.split(',').any(|part| match part.split_once('-') {
            Some((from, to)) => (number(from)..=number(to)).contains(&value),
            None => number(part) == value,
        })
}

fn says_day(of_month: &str, of_week: &str, day: Day) -> bool {
    assert_eq!((of_month == "?") as u8 + (of_week == "?") as u8, 1, "one of them is ?, and not both");
    let workdays = (1..=day.last).filter(|number| !matches!((day.weekday - 1 + number - day.number).rem_euclid(7), 0 | 6));
    if let Some((weekday, nth)) = of_week.split_once('#') {
        return day.weekday == number(weekday) && (day.number - 1) / 7 + 1 == number(nth);
    }
    if let Some(weekday) = of_week.strip_suffix('L') {
        return day.weekday == number(weekday) && day.number + 7 > day.last;
    }
    match of_month {
        "?" => says(of_week, day.weekday),
        "L" => day.number == day.last,
        "LW" => workdays.max() == Some(day.number),
        _ => match of_month.strip_suffix('W') {
            Some(wanted) => workdays.min_by_key(|workday| (workday - number(wanted)).abs()) == Some(day.number),
            None => says(of_month, day.number),
        },
    }
}

/// The first minute after one that an expression says, both counted from 1970 in UTC; none within fifty years.
fn next(expression: &str, after: i64) -> Option<i64> {
    let fields = expression.strip_prefix("cron(").and_then(|fields| fields.strip_suffix(')')).unwrap();
    let [minute, hour, of_month, month, of_week, "*"] = fields.split(' ').collect::<Vec<_>>()[..] else { panic!("{expression}") };
    let first = after.div_euclid(DAY);
    let days = (first..first + 50 * 366).filter(|number| {
        let day = day(*number);
        says(month, day.month) && says_day(of_month, of_week, day)
    });
    days.flat_map(|day| (0..DAY).map(move |time| (day * DAY + time, time)))
        .find(|(at, time)| *at > after && says(hour, time / 60) && says(minute, time % 60))
        .map(|(at, _)| at)
}

/// A field of numbers from `first` to `last`.
fn field(first: u8, last: u8) -> impl Strategy<Value = String> {
    let number = first..=last;
    prop_oneof![
        2 => Just("*".to_owned()),
        2 => number.clone().prop_map(|number| number.to_string()),
        1 => (number.clone(), number.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (number.clone(), 1..=last).prop_map(|(from, step)| format!("{from}/{step}")),
        1 => (1..=last).prop_map(|step| format!("*/{step}")),
        1 => prop::collection::vec(number, 1..4).prop_map(|numbers| numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(",")),
    ]
}

/// The day of the month and the day of the week.
fn days() -> impl Strategy<Value = (String, String)> {
    let any = select(vec!["*", "?"]);
    let weekday =
        || prop_oneof![(0..8_u8).prop_map(|day| day.to_string()), select(vec!["sun", "Mon", "FRI", "sat"]).prop_map(str::to_owned)];
    let of_month =
        prop_oneof![field(1, 31), select(vec!["L", "LW", "lw"]).prop_map(str::to_owned), (1..=31_u8).prop_map(|day| format!("{day}W"))];
    let of_week = prop_oneof![
        field(0, 7),
        select(vec!["mon-fri", "sat-sun", "L", "?"]).prop_map(str::to_owned),
        weekday().prop_map(|day| format!("{day}L")),
        (weekday(), 1..=5_u8).prop_map(|(day, nth)| format!("{day}#{nth}")),
    ];
    prop_oneof![
        (of_month, any.clone()).prop_map(|(of_month, any)| (of_month, any.to_owned())),
        (any, of_week).prop_map(|(any, of_week)| (any.to_owned(), of_week)),
    ]
}

fn lines() -> impl Strategy<Value = String> {
    let fields = (field(0, 59), field(0, 23), days(), field(1, 12));
    let written = fields.prop_map(|(minute, hour, (of_month, of_week), month)| format!("{minute} {hour} {of_month} {month} {of_week}"));
    prop_oneof![9 => written, 1 => select(vec!["@yearly", "@monthly", "@weekly", "@daily", "@hourly"]).prop_map(str::to_owned)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn both_schedulers_run_at_the_same_times(line in lines(), after in 28_401_120_i64..40_000_000) {
        // What is refused is refused for both.
        let Ok(cron) = line.parse() else { return Ok(()) };
        let recurrence = Recurrence::Cron(cron);
        let theirs = expression(&recurrence);
        prop_assert!(theirs.len() <= 256, "{theirs}");
        let schedule = Schedule {
            name: "s".to_owned(),
            recurrence,
            timezone: "UTC".to_owned(),
            since: Timestamp::from_millis(0),
            paused: false,
            envelope: Envelope::new(String::new(), "console".to_owned()),
        };
        let ours = errand_calendar::next(&schedule, Timestamp::from_millis(after * 60_000)).map(|next| next.millis() / 60_000);
        prop_assert_eq!(ours, next(&theirs, after), "{} is {}", line, theirs);
        prop_assert!(ours.is_some(), "{} never runs", line);
    }
}
