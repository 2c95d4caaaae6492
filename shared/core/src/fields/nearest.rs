//! Which known name was probably meant.

/// What others call what we have under another name, where letters do not tell.
const ELSEWHERE: [(&str, &str); 12] = [
    ("delay", "countdown"),
    ("delay_seconds", "countdown"),
    ("eta", "run_after"),
    ("scheduled_at", "run_after"),
    ("send_at", "run_after"),
    ("max_retries", "max_attempts"),
    ("retries", "max_attempts"),
    ("tz", "timezone"),
    ("time_zone", "timezone"),
    ("payload", "kwargs"),
    ("data", "kwargs"),
    ("params", "kwargs"),
];

/// The known name that is nearest to one that is not known, unless none is near: one in three letters may be wrong.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let plain = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    let name = plain(name);
    let elsewhere = ELSEWHERE.iter().find(|(other, _)| *other == name).and_then(|(_, ours)| known.clone().find(|known| known == ours));
    let near = |known: &'a str| {
        let (distance, longest) = (distance(&name, &plain(known)), name.len().max(known.len()));
        (distance <= (longest / 3).max(1)).then_some((distance, known))
    };
    elsewhere.or_else(|| known.filter_map(near).min_by_key(|(distance, _)| *distance).map(|(_, known)| known))
}

/// What is said of a name that is not known: the one that was probably meant, else those that are.
#[must_use]
pub fn not_known<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(meant) => format!("is not known here; did you mean {meant}?"),
        None => match known.collect::<Vec<_>>().as_slice() {
            [] => "is not known here: none is".to_owned(),
            known => format!("is not known here; known are {}", known.join(", ")),
        },
    }
}

/// How many letters must be put in, taken out or changed to make one of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let cost = (diagonal + usize::from(a != *b)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = cost;
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keys_and_the_words_of_others_are_known() {
        let known = ["task", "kwargs", "run_after", "countdown", "max_attempts", "timezone", "attachments", "locale", "id"];
        for (name, meant) in [
            ("kwarg", Some("kwargs")),
            ("KWARGS", Some("kwargs")),
            ("run_at", Some("run_after")),
            ("run-after", Some("run_after")),
            ("attachment", Some("attachments")),
            ("max_attempt", Some("max_attempts")),
            ("max_retries", Some("max_attempts")),
            ("delay", Some("countdown")),
            ("tz", Some("timezone")),
            ("local", Some("locale")),
            ("ids", Some("id")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), meant, "{name}");
        }
        assert_eq!(nearest("delay", ["x"].into_iter()), None, "a word of others for what is not read here");
    }
}
