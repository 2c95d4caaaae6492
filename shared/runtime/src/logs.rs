use errand_core::{
    Environment, Stranger,
    settings::all::{AWS_LAMBDA_LOG_FORMAT, AWS_LAMBDA_LOG_LEVEL},
};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, Registry, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Writes this process's logs to standard output, as Lambda's advanced logging controls ask: JSON when `AWS_LAMBDA_LOG_FORMAT` says so, from
/// the level in `AWS_LAMBDA_LOG_LEVEL` on, `INFO` by default.
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html>
pub fn start_logs(env: &Environment) {
    let level = env.get(&AWS_LAMBDA_LOG_LEVEL).and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    // Below warnings, only our own crates speak: a library's details may hold a request.
    let ours = tracing_subscriber::filter::filter_fn(|metadata| {
        *metadata.level() <= tracing::Level::WARN || metadata.target().starts_with("errand")
    });
    let json = env.get(&AWS_LAMBDA_LOG_FORMAT).is_some_and(|format| format.eq_ignore_ascii_case("json"));
    let layer = if json { fmt::layer().json().boxed() } else { fmt::layer().with_ansi(false).without_time().boxed() };
    // A process that has logs already, such as a test's, keeps them.
    let _ = Registry::default().with(layer.with_filter(ours).with_filter(level)).try_init();
}

/// Logs which variables are not read. A misspelt one is for the operator to mend; a function is not stopped by it, which may be in the middle of a
/// deployment.
pub fn tell_strangers(strangers: &[Stranger]) {
    for stranger in strangers {
        if stranger.is_unknown() {
            tracing::error!(setting = stranger.name, alarm = true, "{stranger}");
        } else {
            tracing::info!(setting = stranger.name, "{stranger}");
        }
    }
}

/// Makes a panic's log say where it was and not what it said: that may be of a payload.
pub fn hide_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, alarm = true, "panicked");
    }));
}
