//! The template beside the code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use errand_core::{Reader, settings::all::ALL};

#[test]
fn the_gateway_has_a_route_for_every_call() {
    let template = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml")).unwrap();
    let keys = template.lines().filter_map(|line| line.trim().strip_prefix("RouteKey: "));
    let deployed: BTreeSet<String> = keys.filter(|key| *key != "$default").map(ToOwned::to_owned).collect();
    let known: BTreeSet<String> = errand_api::routes().map(|(method, path, _, _)| format!("{method} {path}")).collect();
    assert_eq!(deployed, known);
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
