use std::{error::Error, time::Duration};

use bytes::Bytes;
use clap::Args;
use errand_core::{Environment, Secret};
use errand_http::Client;
use http::{Method, header};
use serde_json::Value;

/// Larger than any answer of a function.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// Longer than API Gateway waits for a function.
const TIMEOUT: Duration = Duration::from_secs(35);

/// Which endpoint to call.
#[derive(Args)]
pub(crate) struct Endpoint {
    /// The API's address: of `errand` on this machine, or ApiUrl of a deployed stack. The key, where one is needed, is taken from ERRAND_API_KEY
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000", global = true)]
    url: String,
}

/// Calls an endpoint.
pub(crate) struct Api {
    client: Client,
    url: String,
    key: Option<Secret>,
}

impl Endpoint {
    pub(crate) fn api(&self, env: &Environment) -> Api {
        Api { client: Client::new(), url: self.url.trim_end_matches('/').to_owned(), key: env.get("ERRAND_API_KEY").map(Secret::new) }
    }
}

impl Api {
    /// Makes a call; answers the JSON of its answer.
    ///
    /// # Errors
    /// There is no answer, or it is a problem: the text says which, and what to do.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Box<dyn Error>> {
        let mut request = http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", key.expose()));
        }
        let request = request
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Bytes::new, |body| body.to_string().into()))
            .map_err(|_| format!("{}: expected a URL such as http://127.0.0.1:3000", self.url))?;
        let response = self
            .client
            .send_for(request, TIMEOUT, ANSWER_LIMIT)
            .await
            .map_err(|error| format!("{}: {error}; is it running there?", self.url))?;
        let answer: Value =
            serde_json::from_slice(response.body()).map_err(|_| format!("{}: the answer is not JSON; is it Errand's API?", self.url))?;
        if response.status().is_success() {
            return Ok(answer);
        }
        let told = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        let wrong = answer["errors"].as_array().into_iter().flatten();
        let wrong: String = wrong
            .map(|error| format!("\n  {}: {}", error["pointer"].as_str().unwrap_or_default(), error["detail"].as_str().unwrap_or_default()))
            .collect();
        let hint = if response.status() == http::StatusCode::UNAUTHORIZED { "; set ERRAND_API_KEY" } else { "" };
        Err(format!("{} {}{hint}{wrong}", told("title"), told("detail")).into())
    }
}
