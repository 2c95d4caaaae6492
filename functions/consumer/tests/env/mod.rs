use errand_core::Environment;

/// What every consumer is told, and more.
pub(crate) fn env(vars: &[(&str, &str)]) -> Environment {
    let settings = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("ERRAND_QUEUE_URL", "https://sqs/1/main"),
        ("ERRAND_DEAD_LETTER_URL", "https://sqs/1/dead"),
    ];
    settings.iter().chain(vars).copied().collect()
}
