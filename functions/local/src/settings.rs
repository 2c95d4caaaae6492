//! What is set: what it refers to, and what is read by nobody.

use std::{error::Error, sync::Arc};

use errand_core::{Clock, Environment, Init, Reader, Reference, Secret, Setting, SettingsError, Stranger, settings::all::API_KEY};
use errand_http::{Credential, References, token};
use errand_runtime::TokioClock;

use crate::aws;

/// The settings, those that are whole by reference with what they refer to.
///
/// # Errors
/// One cannot be read.
pub(crate) async fn whole(env: &Environment) -> Result<Environment, SettingsError> {
    let env = &env.with_more(Reader::Errand)?;
    let whole = env.whole_references(Reader::Errand)?;
    let of_aws = whole.iter().find(|(_, reference)| reference.is_of_aws());
    let cx = with_references(env, Init::default(), of_aws.map(|(setting, _)| setting.name)).await?;
    cx.shared::<References>()?.whole(env, Reader::Errand).await
}

/// The key with which commands call.
///
/// # Errors
/// It is none, or cannot be read.
pub(crate) async fn key(env: &Environment) -> Result<Option<Secret>, Box<dyn Error>> {
    secret(env, &API_KEY, token).await
}

/// A secret that a command has use for once.
///
/// # Errors
/// It is of another form, or cannot be read.
pub(crate) async fn secret(
    env: &Environment,
    setting: &Setting,
    form: fn(&Secret) -> Result<Secret, String>,
) -> Result<Option<Secret>, Box<dyn Error>> {
    let of_aws = env.reference(setting)?.filter(Reference::is_of_aws);
    let cx = with_references(env, Init::default(), of_aws.map(|_| setting.name)).await?;
    match Credential::from_env(env, setting, &cx, form)? {
        Some(secret) => Ok(Some(secret.get().await.map_err(|error| error.message)?)),
        None => Ok(None),
    }
}

/// What is started with, with the clock and what reads references; with AWS where anything `wants` it.
///
/// # Errors
/// This machine has no AWS.
pub(crate) async fn with_references(env: &Environment, cx: Init, wants: Option<&str>) -> Result<Init, SettingsError> {
    let cx = cx.with(Arc::new(TokioClock) as Arc<dyn Clock>);
    let cx = match wants {
        Some(wants) => cx.with(aws::sdk_config(env, wants).await?),
        None => cx,
    };
    let references = References::new(env, &cx)?;
    Ok(cx.with(references))
}

/// Refuses variables `ERRAND_…` that are no settings: whoever started this is there to mend them. Those that are others' settings are told of.
///
/// # Errors
/// All that are none.
pub(crate) fn check(env: &Environment, settings: &[Setting]) -> Result<(), String> {
    let (unknown, others): (Vec<_>, Vec<_>) =
        env.strangers(Reader::Errand, settings, &errand_payloads::providers()).into_iter().partition(Stranger::is_unknown);
    errand_runtime::tell_strangers(&others);
    refuse(&unknown)
}

/// The same for who has no providers, whose settings are then nobody's.
///
/// # Errors
/// All that are none.
pub(crate) fn check_own(env: &Environment) -> Result<(), String> {
    let strangers = env.strangers(Reader::Errand, &[], &errand_payloads::providers());
    refuse(&strangers.into_iter().filter(Stranger::is_unknown).collect::<Vec<_>>())
}

fn refuse(unknown: &[Stranger]) -> Result<(), String> {
    let told: Vec<String> = unknown.iter().map(ToString::to_string).collect();
    if told.is_empty() { Ok(()) } else { Err(told.join("; ")) }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write, fs};

    use errand_core::{Payload, Refusal, Registry, Taker, settings::all};
    use errand_payloads::Visit;

    use super::*;
    use crate::providers::providers;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md");

    const INTRODUCTION: &str = "# Settings

Environment variables. They are read when a function starts, and again never; one that is wrong stops it with one line that names it, and an empty one is not set. A variable
`ERRAND_…` that is no setting is an error in the log, with the name that was probably meant, and stops `errand`. Secrets reach no log.

In place of its value, a setting may have a reference to it:

| reference | is |
|---|---|
| `ssm:/name` | a parameter of AWS Systems Manager, encrypted (`SecureString`) or not, as it is now: no version, no label |
| `secretsmanager:name`, `secretsmanager:name#field` | a secret of AWS Secrets Manager, all of its text, or the field of this name where it is a JSON object; no ARN |
| `file:/path` | a file: on one machine, or a mounted secret |

The end of a line at the end of what is read is left out. Parameters and secrets are those of the region and account of what reads them.

- **Secrets**, which are so marked below, are read at their first use, kept for five minutes, and read again when the service refuses them: to rotate one is to put the new one where it is kept. A start does not wait for them. Where one cannot be read in 2 seconds nothing is sent, and
  its tasks wait; what was read before goes on being used meanwhile.
- **Errand's own settings that are no secrets**, such as `ERRAND_ROUTES` and `ERRAND_API_KEYS`, are read whole, once, when a function starts: it waits for that, and does not start without. They are for what is too long for a function's environment, which holds 4 KB. A new value is
  taken by functions that start from then on.
- Providers', runners' and Azure's other settings, and those of AWS, take none.

[Secrets](deploy.md#secrets-and-long-settings) tells what a deployment needs for it.

`BLESS=1 cargo test --workspace --bin errand settings` writes this page, which is made of the settings' declarations: [`all.rs`](../shared/core/src/settings/all.rs), and for providers,
runners and Azure `settings.rs` beside each.
";

    /// Every provider and runner, with no setting.
    fn registry() -> Registry {
        let aws = [("AWS_REGION", "x"), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")].into_iter().collect();
        let env = Environment::default();
        let cx = errand_testkit::init().with(errand_http::Client::new()).with(errand_http::aws::sdk_config(&aws).unwrap());
        let mut registry = Registry::default();
        providers(&mut registry, &env, &cx).unwrap();
        registry
    }

    /// The settings of every provider and runner.
    fn of_providers() -> Vec<Setting> {
        registry().settings().to_vec()
    }

    fn page() -> String {
        let (aws, ours): (Vec<_>, Vec<_>) = all::ALL.iter().copied().partition(|setting| setting.name.starts_with("AWS_"));
        let mut page = INTRODUCTION.to_owned();
        for (title, settings) in
            [("Errand", ours), ("Providers and runners", of_providers()), ("AWS", aws), ("Azure", errand_azure::SETTINGS.to_vec())]
        {
            write!(page, "\n## {title}\n\n| name | is | default | read by | |\n|---|---|---|---|---|\n").unwrap();
            for Setting { name, takes, default, readers, about } in settings {
                let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
                let readers: Vec<&str> = readers.iter().map(|reader| reader.as_str()).collect();
                writeln!(page, "| `{name}` | {takes} | {default} | {} | {} |", readers.join(", "), about.trim()).unwrap();
            }
        }
        page
    }

    #[test]
    fn the_page_of_settings_is_made_of_their_declarations() {
        if option_env!("BLESS").is_some() {
            fs::write(PAGE, page()).unwrap();
        }
        assert!(fs::read_to_string(PAGE).unwrap_or_default() == page(), "docs/settings.md is stale: run this test with BLESS=1");
    }

    #[test]
    fn what_is_no_setting_stops_it_and_what_is_anothers_does_not() {
        let check = |vars: &[(&str, &str)]| check(&vars.iter().copied().collect(), &of_providers());
        assert_eq!(check(&[("ERRAND_API_KEYS", "x"), ("ERRAND_SLACK_TOKEN", "x"), ("ERRAND_TABLE", "x"), ("PATH", "x")]), Ok(()));
        assert_eq!(
            check(&[("ERRAND_SLAK_TOKEN", "hunter2"), ("ERRAND_API_KEY_S", "x")]).unwrap_err(),
            "ERRAND_API_KEY_S: is no setting; did you mean ERRAND_API_KEYS?; ERRAND_SLAK_TOKEN: is no setting; did you mean ERRAND_SLACK_TOKEN?"
        );
    }

    /// The first example of each task's payload.
    #[derive(Default)]
    struct Examples(Vec<(&'static str, String)>);

    impl Visit for Examples {
        fn payload<P: Payload>(&mut self, task: &'static str, _: Vec<Taker<P>>) {
            let schema: serde_json::Value = serde_json::from_str(P::SCHEMA).unwrap();
            self.0.push((task, schema["examples"][0].to_string()));
        }
    }

    /// A provider that needs a setting says so to who checks calls.
    #[test]
    fn what_would_be_off_is_refused_when_it_is_sent() {
        let (registry, mut examples) = (registry(), Examples::default());
        let off: Vec<&str> = registry.off().map(|(task, _)| task).collect();
        errand_payloads::each(&mut examples);
        let payloads = errand_payloads::payloads().with_settings([]);
        for (task, example) in examples.0 {
            let refused = matches!(payloads.check(task, &example, false), Err(Refusal::Off(_)));
            assert_eq!(refused, off.contains(&task), "{task}");
        }
    }
}
