//! Names of tasks that are made of what others call their events.

/// The name of a task in a text: what a name cannot hold becomes `_`, and what is too long is cut off.
pub(crate) fn task(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    text.chars().take(200).map(|c| if allowed(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_becomes_a_name() {
        assert_eq!(task("Object Created"), "Object_Created");
        assert_eq!(task("com.example/order:shipped"), "com.example_order:shipped");
        assert!(errand_core::limits::task(&task(&"é".repeat(300))).is_ok());
    }
}
