//! What is set, and read by nobody.

use errand_core::{Environment, Reader, Setting, Stranger};

/// Refuses variables `ERRAND_…` that are no settings: whoever started this is there to mend them. Those that are others' settings are told of.
///
/// # Errors
/// All that are none.
pub(crate) fn check(env: &Environment, settings: &[Setting]) -> Result<(), String> {
    let (unknown, others): (Vec<_>, Vec<_>) =
        env.strangers(Reader::Errand, settings, &errand_payloads::providers()).into_iter().partition(Stranger::is_unknown);
    errand_runtime::tell_strangers(&others);
    let told: Vec<String> = unknown.iter().map(ToString::to_string).collect();
    if told.is_empty() { Ok(()) } else { Err(told.join("; ")) }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write, fs};

    use errand_core::{Init, Registry, settings::all};

    use super::*;
    use crate::providers::providers;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md");

    const INTRODUCTION: &str = "# Settings

Environment variables. They are read when a function starts, and again never; one that is wrong stops it with one line that names it, and an empty one is not set. A variable
`ERRAND_…` that is no setting is an error in the log, with the name that was probably meant, and stops `errand`. Secrets reach no log.

`BLESS=1 cargo test --workspace --bin errand settings` writes this page, which is made of the settings' declarations: [`all.rs`](../shared/core/src/settings/all.rs), and for providers
and runners `settings.rs` beside each.
";

    /// The settings of every provider and runner.
    fn of_providers() -> Vec<Setting> {
        let aws = [("AWS_REGION", "x"), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")].into_iter().collect();
        let env = Environment::default();
        let cx = Init::default().with(errand_http::Client::new()).with(errand_http::aws::sdk_config(&aws).unwrap());
        let mut registry = Registry::default();
        providers(&mut registry, &env, &cx).unwrap();
        registry.settings().to_vec()
    }

    fn page() -> String {
        let (aws, ours): (Vec<_>, Vec<_>) = all::ALL.iter().copied().partition(|setting| setting.name.starts_with("AWS_"));
        let mut page = INTRODUCTION.to_owned();
        for (title, settings) in [("Errand", ours), ("Providers and runners", of_providers()), ("AWS", aws)] {
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
}
