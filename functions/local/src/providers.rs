//! What one machine can do: the one list of providers and runners.

use errand_core::{Environment, Init, Registry, SettingsError};
use errand_http::aws::SdkConfig;

/// Adds the providers and runners.
///
/// # Errors
/// A setting of one is missing or wrong.
pub(crate) fn providers(registry: &mut Registry, env: &Environment, cx: &Init) -> Result<(), SettingsError> {
    registry.add::<console::Console>(env, cx)?;
    registry.add::<ses::Ses>(env, cx)?;
    registry.add::<slack::Slack>(env, cx)?;
    registry.add::<webhook::Webhook>(env, cx)?;
    registry.add_runner::<errand_runner_http::Http>(env, cx)?;
    // One machine need not know AWS.
    if cx.shared::<SdkConfig>().is_ok() {
        registry.add_runner::<errand_runner_lambda::Lambda>(env, cx)?;
    }
    Ok(())
}
