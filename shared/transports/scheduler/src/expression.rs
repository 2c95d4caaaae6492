//! Recurrences as EventBridge Scheduler writes them, and back.

use errand_core::{Numbers, Recurrence};

const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>
pub(crate) fn expression(recurrence: &Recurrence) -> String {
    let number = |number: u8| number.to_string();
    match recurrence {
        Recurrence::Rate(rate) => format!("rate({rate})"),
        Recurrence::Cron(cron) => {
            // One of the two days must be `?`. Weekdays are named, since the service counts them from 1.
            let day = if cron.weekdays.all() { list(cron.days, number) } else { "?".to_owned() };
            let weekday =
                if cron.weekdays.all() { "?".to_owned() } else { list(cron.weekdays, |day| WEEKDAYS[usize::from(day)].to_owned()) };
            let (minute, hour, month) = (list(cron.minutes, number), list(cron.hours, number), list(cron.months, number));
            format!("cron({minute} {hour} {day} {month} {weekday} *)")
        }
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
            ("rate 5 minutes", "rate(5 minutes)"),
            ("rate 1 hours", "rate(1 hours)"),
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
