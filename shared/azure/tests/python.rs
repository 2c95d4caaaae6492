//! Signatures beside those of Azure's own SDK.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{env, process::Command};

use errand_azure::service_bus;
use errand_core::Secret;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/workers/azure_receive.py");

#[test]
#[ignore = "needs the environment worker-azure of TEST_WORKERS"]
fn a_shared_access_signature_is_the_sdks_byte_for_byte() {
    let resources = [
        "https://shop.servicebus.windows.net/tasks",
        "sb://shop.servicebus.windows.net/a/b.c-d_e~f",
        "http://127.0.0.1:5300/x",
        "https://é.example/ö",
    ];
    let policies = ["RootManageSharedAccessKey", "a.b-c_d"];
    let keys = ["c2VjcmV0", "a+b/c==", "not base64 at all", "ключ"];
    for (resource, (policy, key)) in resources.iter().zip(policies.iter().cycle().zip(keys)) {
        let theirs = Command::new(format!("{}/worker-azure/bin/python", env::var("TEST_WORKERS").unwrap()))
            .args([SCRIPT, "sign", resource, policy, key, "1800000300"])
            .output()
            .unwrap();
        let theirs = String::from_utf8(theirs.stdout).unwrap();
        assert_eq!(service_bus::sign(resource, policy, &Secret::new(key), 1_800_000_300).expose(), theirs.trim_end());
    }
}
