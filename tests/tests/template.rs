//! The template beside the code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use errand_api::Operation;
use errand_core::{Reader, settings::all::ALL};

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

#[test]
fn functions_are_given_the_settings_that_they_read() {
    let template = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml")).unwrap();
    let (mut reader, mut seen) = (None, 0);
    for line in template.lines() {
        if line.starts_with("  ") && !line.starts_with("   ") {
            let name = line.trim().trim_end_matches(':').to_lowercase();
            reader = [Reader::Enqueue, Reader::Consumer, Reader::Status].into_iter().find(|reader| name.starts_with(reader.as_str()));
        }
        let name = line.trim().split(':').next().unwrap();
        let (Some(reader), true) = (reader, line.starts_with("          ERRAND_")) else { continue };
        seen += 1;
        match ALL.iter().find(|setting| setting.name == name) {
            Some(setting) => assert!(setting.readers.contains(&reader), "{} does not read {name}", reader.as_str()),
            // A provider's.
            None => assert_eq!(reader, Reader::Consumer, "{name}"),
        }
    }
    assert!(seen >= 40, "{seen} settings were found");
}
