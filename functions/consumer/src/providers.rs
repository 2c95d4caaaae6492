//! What this build can do: the one list of providers and runners, each with the Cargo feature that it is built with.

use errand_core::{Environment, Init, Registry, SettingsError};

macro_rules! providers {
    ($($feature:literal: $add:ident::<$provider:path>,)*) => {
        /// Adds the providers and runners of this build.
        ///
        /// # Errors
        /// A setting of one is missing or wrong.
        pub fn providers(registry: &mut Registry, env: &Environment, cx: &Init) -> Result<(), SettingsError> {
            $(
                #[cfg(feature = $feature)]
                registry.$add::<$provider>(env, cx)?;
            )*
            let _ = (registry, env, cx);
            Ok(())
        }
    };
}

providers! {
    "console": add::<console::Console>,
    "ses": add::<ses::Ses>,
    "slack": add::<slack::Slack>,
    "webhook": add::<webhook::Webhook>,
    "http": add_runner::<errand_runner_http::Http>,
    "lambda": add_runner::<errand_runner_lambda::Lambda>,
}
