//! The template beside the code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use errand_api::Operation;
use errand_core::{Environment, Reader, Registry, Setting, settings::all::ALL};
use errand_http::{Client, aws::sdk_config};

/// What enqueue does and what anyone may call has a route of its own; all else is the status function's, by the one that takes the rest.
#[test]
fn the_gateway_leads_each_call_to_the_function_that_does_it() {
    let template = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml")).unwrap();
    let mut deployed = BTreeSet::new();
    for route in template.split("RouteKey: ").skip(1) {
        let (key, rest) = route.split_once('\n').unwrap();
        let said = |name: &str| rest.split_once(name).unwrap().1.lines().next().unwrap().trim().to_owned();
        let enqueue = said("Target:").contains("EnqueueIntegration");
        assert!(key != "$default" || !enqueue, "the rest is the status function's");
        deployed.insert((key.to_owned(), enqueue, said("AuthorizationType:") == "NONE"));
    }
    let own = errand_api::routes().filter_map(|(method, path, operation, scope)| {
        let enqueue = matches!(operation, Operation::Enqueue(_));
        (enqueue || scope.is_none()).then(|| (format!("{method} {path}"), enqueue, scope.is_none()))
    });
    let wanted: BTreeSet<_> = own.chain([("$default".to_owned(), false, false)]).collect();
    assert_eq!(deployed, wanted);
}

/// What a function reads and the template does not set, and why.
const LEFT_OUT: [(&str, &str); 1] = [("ERRAND_SLACK_URL", "Slack has one address; another is for tests")];

/// The settings that the template gives all functions, and those that it gives each, by who reads them.
fn deployed() -> (BTreeSet<String>, Vec<(Reader, String)>) {
    let template = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml")).unwrap();
    let (mut part, mut of_all, mut of_one) = (String::new(), BTreeSet::new(), Vec::new());
    for line in template.lines() {
        let (depth, name) = (line.len() - line.trim_start().len(), line.trim().split(':').next().unwrap());
        match depth {
            0 if name == "Globals" => name.clone_into(&mut part),
            2 if part != "Globals" || name != "Function" => part = name.to_lowercase(),
            8 if part == "Globals" && name.starts_with("ERRAND_") => assert!(of_all.insert(name.to_owned()), "{name} is said twice"),
            10 if name.starts_with("ERRAND_") => {
                let reader = ALL_FUNCTIONS.into_iter().find(|reader| part.starts_with(reader.as_str()));
                of_one.push((reader.unwrap_or_else(|| panic!("{name} is given to {part}")), name.to_owned()));
            }
            _ => {}
        }
    }
    (of_all, of_one)
}

/// Those that Globals are for. The outbox, which is not always there, gets the same, whether it reads it or not.
const FUNCTIONS: [Reader; 3] = [Reader::Enqueue, Reader::Consumer, Reader::Status];

const ALL_FUNCTIONS: [Reader; 4] = [Reader::Enqueue, Reader::Consumer, Reader::Status, Reader::Outbox];

/// Every setting: core's, and those of the providers and runners of the deployed consumer.
fn settings() -> Vec<Setting> {
    let aws = [("AWS_REGION", "x"), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")].into_iter().collect();
    let cx = errand_testkit::init().with(Client::new()).with(sdk_config(&aws).unwrap());
    let mut registry = Registry::default();
    errand_consumer::providers(&mut registry, &Environment::default(), &cx).unwrap();
    [ALL, registry.settings()].concat()
}

#[test]
fn functions_are_given_the_settings_that_they_read() {
    let ((of_all, of_one), settings) = (deployed(), settings());
    let readers = |name: &str| settings.iter().find(|setting| setting.name == name).map(|setting| setting.readers);
    for name in &of_all {
        let readers = readers(name).unwrap_or_else(|| panic!("{name} is no setting"));
        assert!(FUNCTIONS.iter().all(|function| readers.contains(function)), "{name} is not read by all");
    }
    for (function, name) in &of_one {
        let readers = readers(name).unwrap_or_else(|| panic!("{name} is no setting"));
        assert!(readers.contains(function), "{} does not read {name}", function.as_str());
        assert!(!FUNCTIONS.iter().all(|function| readers.contains(function)), "{name} is read by all: it stands in Globals");
    }
}

#[test]
fn the_template_can_set_what_functions_read() {
    let ((of_all, of_one), settings) = (deployed(), settings());
    for (name, why) in LEFT_OUT {
        assert!(!why.is_empty() && settings.iter().any(|setting| setting.name == name), "{name} is no setting");
    }
    // Of AWS's, Lambda sets what is needed.
    for setting in settings.iter().filter(|setting| setting.name.starts_with("ERRAND_")) {
        for function in ALL_FUNCTIONS.into_iter().filter(|function| setting.readers.contains(function)) {
            let given = of_all.contains(setting.name) || of_one.iter().any(|(reader, name)| *reader == function && name == setting.name);
            let left_out = LEFT_OUT.iter().any(|(name, _)| *name == setting.name);
            assert!(given != left_out, "{} is given to {}: {given}, is left out: {left_out}", setting.name, function.as_str());
        }
    }
}
