//! Recurrences as EventBridge Scheduler writes them, and back.

use errand_core::{Cron, Days, Numbers, Recurrence};

const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>
pub(crate) fn expression(recurrence: &Recurrence) -> String {
    match recurrence {
        Recurrence::Rate(rate) => format!("rate({rate})"),
        Recurrence::Cron(cron) => {
            let number = |number: u8| number.to_string();
            let (minute, hour, month) = (list(cron.minutes, number), list(cron.hours, number), list(cron.months, number));
            let (day, weekday) = days(cron);
            format!("cron({minute} {hour} {day} {month} {weekday} *)")
        }
    }
}

/// The day of the month and the day of the week, one of which must be `?`. The service counts weekdays from 1: they are named where they can be.
fn days(cron: &Cron) -> (String, String) {
    let of_month = |day| (day, "?".to_owned());
    let of_week = |day| ("?".to_owned(), day);
    match cron.days {
        Days::OfMonth(days) => of_month(list(days, |day| day.to_string())),
        Days::Last => of_month("L".to_owned()),
        Days::LastWorkday => of_month("LW".to_owned()),
        Days::Workday(day) => of_month(format!("{day}W")),
        Days::OfWeek(days) => of_week(list(days, |day| WEEKDAYS[usize::from(day)].to_owned())),
        Days::LastOfWeek(day) => of_week(format!("{}L", day + 1)),
        Days::NthOfWeek(day, nth) => of_week(format!("{}#{nth}", day + 1)),
    }
}

/// The numbers as a list of numbers and ranges; `*` for all.
fn list(numbers: Numbers, write: impl Fn(u8) -> String) -> String {
    if numbers.all() {
        return "*".to_owned();
    }
    let mut ranges: Vec<(u8, u8)> = Vec::new();
    for number in numbers.iter() {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let ranges =
        ranges.into_iter().map(|(first, last)| if first == last { write(first) } else { format!("{}-{}", write(first), write(last)) });
    ranges.collect::<Vec<_>>().join(",")
}

/// The recurrence as the caller wrote it: kept as the schedule's description.
pub(crate) fn describe(recurrence: &Recurrence) -> String {
    match recurrence {
        Recurrence::Cron(cron) => format!("cron {cron}"),
        Recurrence::Rate(rate) => format!("rate {rate}"),
    }
}

/// The recurrence of a description, if it is one of ours.
pub(crate) fn recurrence(description: &str) -> Option<Recurrence> {
    match description.split_once(' ')? {
        ("cron", cron) => cron.parse().ok().map(Recurrence::Cron),
        ("rate", rate) => rate.parse().ok().map(Recurrence::Rate),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crontab_line_becomes_the_services_form() {
        for (ours, theirs) in [
            ("cron * * * * *", "cron(* * * * ? *)"),
            ("cron */15 9-17 * * mon-fri", "cron(0,15,30,45 9-17 ? * MON-FRI *)"),
            ("cron 0 0 1,15 jan-mar *", "cron(0 0 1,15 1-3 ? *)"),
            ("cron 30 6 * * 0,6", "cron(30 6 ? * SUN,SAT *)"),
            ("cron 30 6 * * 5-7", "cron(30 6 ? * SUN,FRI-SAT *)"),
            ("cron @weekly", "cron(0 0 ? * SUN *)"),
            ("cron 0 0 ? * ?", "cron(0 0 * * ? *)"),
            ("cron 0 0 L * *", "cron(0 0 L * ? *)"),
            ("cron 0 0 lw * *", "cron(0 0 LW * ? *)"),
            ("cron 0 0 15W * ?", "cron(0 0 15W * ? *)"),
            ("cron 0 0 * * L", "cron(0 0 ? * SAT *)"),
            ("cron 0 0 * * 5L", "cron(0 0 ? * 6L *)"),
            ("cron 0 0 * * 7L", "cron(0 0 ? * 1L *)"),
            ("cron 0 0 * * fri#2", "cron(0 0 ? * 6#2 *)"),
            ("cron 0 0 * * 0#5", "cron(0 0 ? * 1#5 *)"),
            ("rate 5 minutes", "rate(5 minutes)"),
            ("rate 1 hour", "rate(1 hour)"),
        ] {
            let recurrence = recurrence(ours).unwrap();
            assert_eq!(expression(&recurrence), theirs);
            assert_eq!(describe(&recurrence), ours);
        }
        assert_eq!(recurrence("somebody else's"), None);
    }

    #[test]
    fn the_longest_expression_fits() {
        // 256 characters: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
        let longest = recurrence("cron 1-59/2 1-23/2 1-31/2 1-11/2 *").unwrap();
        assert!(expression(&longest).len() <= 256);
    }
}
