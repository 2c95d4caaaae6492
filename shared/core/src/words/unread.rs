use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// The most fields that are told of: whoever makes up names does not fill the log, nor this process.
const MOST: usize = 100;

/// What was told of before.
static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Logs that nobody reads fields of messages, whose senders cannot be told: once for each in this process, without their values. `whose` they are is a
/// task, or `message`; `pointers` say where they stand.
pub fn tell_unread(whose: &str, pointers: &[String]) {
    for pointer in pointers {
        let field = without_places(pointer);
        let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < MOST && told.insert(format!("{whose} {field}")) {
            tracing::warn!(whose, field, "nobody reads this field: what it says is not done");
        }
    }
}

/// A pointer without the places in arrays, which are many; and without a name that is none of a field's, which may be personal.
fn without_places(pointer: &str) -> String {
    let is_name = |name: &str| name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let names = pointer.split('/').skip(1).filter(|name| name.parse::<usize>().is_err());
    names.map(|name| format!("/{}", if is_name(name) { name } else { "…" })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_told_of_by_its_name_alone() {
        for (pointer, told) in
            [("/run_at", "/run_at"), ("/attachments/3/typ", "/attachments/typ"), ("/ann@example.com", "/…"), ("/a~1b", "/…")]
        {
            assert_eq!(without_places(pointer), told);
        }
    }
}
