//! The template beside the code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

#[test]
fn the_gateway_has_a_route_for_every_call() {
    let template = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml")).unwrap();
    let keys = template.lines().filter_map(|line| line.trim().strip_prefix("RouteKey: "));
    let deployed: BTreeSet<String> = keys.filter(|key| *key != "$default").map(ToOwned::to_owned).collect();
    let known: BTreeSet<String> = errand_api::routes().map(|(method, path, _, _)| format!("{method} {path}")).collect();
    assert_eq!(deployed, known);
}
