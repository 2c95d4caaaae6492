//! The API as a document (OpenAPI 3.1), made of the table of routes and of what each payload says of itself; and as a page for people.
//! <https://spec.openapis.org/oas/v3.1.1.html>

mod operations;
mod schemas;

use errand_api::{Managing, Operation, Response, answer, has_words, json, parameters, routes};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::Operations;
use operations::describe;

/// The page asks for nothing but the document and what its reader sends, all of it here.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl Operations {
    /// The document.
    pub(crate) fn document(&self) -> Response {
        let mut paths: Map<String, Value> = Map::new();
        for (method, path, operation, scope) in routes() {
            let Some(mut described) = describe(operation) else { continue };
            described["security"] = match scope {
                _ if operation == Operation::Status(Managing::ReportResult) => json!([{ "attempt": [] }]),
                Some(_) if !self.access.is_open() => json!([{ "key": [] }]),
                _ => json!([]),
            };
            if let Some(scope) = scope {
                described["x-scope"] = json!(scope.as_str());
            }
            let in_path = |name: &str| json!({ "name": name, "in": "path", "required": true, "schema": schemas::of_parameter(path, name) });
            if let Some(all) = described["parameters"].as_array_mut() {
                all.splice(0..0, parameters(path).map(in_path));
            }
            if has_words(path) {
                described["responses"]["405"] = json!({ "$ref": "#/components/responses/405" });
            }
            let entry = paths.entry(path).or_insert_with(|| json!({}));
            entry[method.as_str().to_lowercase()] = described;
        }
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Errand",
                "version": env!("CARGO_PKG_VERSION"),
                "summary": "Notifications and background tasks.",
                "description": "A task that is accepted is done once, and says how it ended. A call that is refused does nothing, and its problem document names every wrong field.",
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "servers": [{ "url": "/" }],
            "tags": operations::tags(),
            "paths": paths,
            "components": {
                "securitySchemes": {
                    "key": { "type": "http", "scheme": "bearer", "description": "An API key." },
                    "attempt": { "type": "http", "scheme": "bearer", "description": "The token that a worker was given with the task." },
                },
                "schemas": schemas::all(&self.payloads),
                "responses": schemas::responses(),
            },
        });
        json(StatusCode::OK, &document)
    }
}

/// The page.
pub(crate) fn page() -> Response {
    let mut response = answer(StatusCode::OK, "text/html; charset=utf-8", include_bytes!("page.html").to_vec());
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
