use std::{collections::BTreeMap, error::Error, time::Duration};

use bytes::Bytes;
use clap::Args;
use errand_core::{Environment, Json, Secret, json, percent_encode, settings::all::URL};
use errand_http::Client;
use http::{Method, header};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::output::Output;
use crate::settings;

/// Larger than any answer of a function.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// Longer than API Gateway waits for a function.
const TIMEOUT: Duration = Duration::from_secs(35);

/// Which endpoint to call, and how to say what it answers.
#[derive(Args)]
pub(crate) struct Endpoint {
    /// The API's address: of `errand` on this machine, or ApiUrl of a deployed stack [default: ERRAND_URL, or http://127.0.0.1:3000]. The key, where one is
    /// needed, is taken from ERRAND_API_KEY
    #[arg(long, value_name = "URL", global = true)]
    url: Option<String>,
    /// Say one line of JSON for each thing, as is done where the output is no terminal
    #[arg(long, global = true)]
    json: bool,
}

/// Calls an endpoint.
pub(crate) struct Api {
    client: Client,
    url: String,
    key: Option<Secret>,
}

impl Endpoint {
    /// # Errors
    /// The key is none, or cannot be read.
    pub(super) async fn open(&self, env: &Environment) -> Result<(Api, Output), Box<dyn Error>> {
        let url = self.url.as_deref().or(env.get(&URL)).unwrap_or_default();
        let key = settings::key(env).await?;
        Ok((Api { client: Client::new(), url: url.trim_end_matches('/').to_owned(), key }, Output::new(self.json, env)))
    }
}

/// The path of what there is many of, and of what is under it.
pub(super) fn path(many: &'static str, under: &[&str]) -> String {
    under.iter().fold(format!("/v1/{many}"), |path, segment| format!("{path}/{}", percent_encode(segment)))
}

/// Those fields of a body that are said.
pub(super) fn said(of: &impl Serialize) -> BTreeMap<String, Json> {
    let all = serde_json::to_string(of).ok().and_then(|json| serde_json::from_str(&json).ok());
    let mut said: BTreeMap<String, Json> = all.unwrap_or_default();
    said.retain(|_, value| value.get() != "null");
    said
}

/// A part of an answer; empty where it is not there.
pub(super) fn part<T: DeserializeOwned + Default>(answer: &Json, pointer: &str) -> T {
    json::at(answer.get(), pointer).and_then(|part| serde_json::from_str(part.get()).ok()).unwrap_or_default()
}

impl Api {
    /// What is at a path.
    pub(super) async fn get(&self, path: &str) -> Result<Json, Box<dyn Error>> {
        self.act(Method::GET, path).await
    }

    /// All of a list that is told in pages: the field of this name, of the list at a path with a query.
    pub(super) async fn all(&self, name: &str, path: &str) -> Result<Vec<Json>, Box<dyn Error>> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}{cursor}")).await?;
            all.extend(part::<Vec<Json>>(&page, &format!("/{name}")));
            match part::<Option<String>>(&page, "/cursor") {
                Some(next) => cursor = format!("&cursor={}", percent_encode(&next)),
                None => return Ok(all),
            }
        }
    }

    /// Sends a body to a path.
    pub(super) async fn send(&self, method: Method, path: &str, body: &impl Serialize) -> Result<Json, Box<dyn Error>> {
        self.call(method, path, serde_json::to_vec(body)?.into()).await
    }

    /// Has something done that takes no body.
    pub(super) async fn act(&self, method: Method, path: &str) -> Result<Json, Box<dyn Error>> {
        self.call(method, path, Bytes::new()).await
    }

    /// Makes a call; answers the JSON of its answer, as it was written.
    ///
    /// # Errors
    /// There is no answer, or it is a problem: the text says which, and what to do.
    async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Json, Box<dyn Error>> {
        let mut request = http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", key.expose()));
        }
        let request = request
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|_| format!("{}: expected a URL such as {}", self.url, URL.default))?;
        let response = self
            .client
            .send_for(request, TIMEOUT, ANSWER_LIMIT)
            .await
            .map_err(|error| format!("{}: {error}; is it running there?", self.url))?;
        let answer: Json =
            serde_json::from_slice(response.body()).map_err(|_| format!("{}: the answer is not JSON; is it Errand's API?", self.url))?;
        if response.status().is_success() {
            return Ok(answer);
        }
        let answer: Value = answer.read()?;
        let told = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        let wrong = answer["errors"].as_array().into_iter().flatten();
        let wrong: String = wrong
            .map(|error| format!("\n  {}: {}", error["pointer"].as_str().unwrap_or_default(), error["detail"].as_str().unwrap_or_default()))
            .collect();
        let hint = if response.status() == http::StatusCode::UNAUTHORIZED { "; set ERRAND_API_KEY" } else { "" };
        Err(format!("{}: {}{hint}{wrong}", told("title"), told("detail")).into())
    }
}
