//! The document beside the code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::collections::BTreeSet;

use errand_api::routes;
use errand_core::Fields;
use errand_wire::native;
use world::{call, world};

/// What is read of an envelope and is none of a caller's.
const UNTOLD: [&str; 2] = ["claim_check", "fingerprint"];

/// What a run of a schedule has of its own, which its schedule cannot say.
const OF_A_RUN: [&str; 4] = ["id", "run_after", "countdown", "expires"];

/// What a schedule says beside the fields of its runs.
const OF_A_SCHEDULE: [&str; 5] = ["name", "cron", "rate", "timezone", "paused"];

/// What each channel of a notification has of its own.
const OF_A_CHANNEL: [&str; 4] = ["task", "args", "kwargs", "notification_id"];

fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    names.into_iter().collect()
}

/// A field that is new is told in each schema and in the README, or stands in one of the lists above.
#[tokio::test]
async fn the_document_has_the_fields_that_are_read_of_a_task() {
    let mut fields = Fields::of("{}").unwrap().strict();
    native::read(&mut fields, String::new);
    native::countdown(&mut fields);
    let read = &of(fields.known()) - &of(UNTOLD);
    let (_, document) = call(&world(&[]).await, "GET", "/v1/openapi.json").await;
    let told = |schema: &str| of(document["components"]["schemas"][schema]["properties"].as_object().unwrap().keys().map(String::as_str));
    assert_eq!(told("Task.console"), read);
    assert_eq!(told("Schedule.console"), &(&read - &of(OF_A_RUN)) | &of(OF_A_SCHEDULE));
    let of_notifications = &read - &of(OF_A_CHANNEL);
    assert_eq!(&told("Notification") & &read, of_notifications);

    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let table = readme.split("\n## A task\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let names = table.lines().filter_map(|row| row.strip_prefix("| `")?.split(" |").next());
    assert_eq!(of(names.flat_map(|names| names.split('`').step_by(2))), read, "README.md, A task");
}

#[tokio::test]
async fn the_document_has_the_parameters_that_are_read() {
    let (_, document) = call(&world(&[]).await, "GET", "/v1/openapi.json").await;
    let mut parameters = 0;
    for (method, path, operation, _) in routes() {
        let Some(described) = document["paths"][path].get(method.as_str().to_lowercase()) else { continue };
        let described = described["parameters"].as_array().unwrap().iter().filter(|parameter| parameter["in"] == "query");
        let described: Vec<&str> = described.map(|parameter| parameter["name"].as_str().unwrap()).collect();
        assert_eq!(described, operation.parameters(), "{method} {path}");
        parameters += described.len();
    }
    assert!(parameters > 20, "{parameters} parameters");
}

#[tokio::test]
async fn a_parameter_that_nobody_reads_is_refused_with_what_was_meant() {
    let operations = world(&[]).await;
    for (path, told) in [
        ("/v1/tasks?state=READY", "the parameter state is not known here; did you mean status?"),
        ("/v1/tasks/a?timeout=5", "the parameter timeout is not known here; known are wait"),
        ("/v1/templates/a?locale=de", "the parameter locale is not known here: none is"),
        ("/v1/tasks/a?wait=26", "wait: expected a whole number from 0 to 25"),
    ] {
        let (status, problem) = call(&operations, "GET", path).await;
        assert_eq!((status, problem["detail"].as_str().unwrap()), (400, told), "{path}");
    }
}
