//! The document beside the code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use errand_api::routes;
use world::{call, world};

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
