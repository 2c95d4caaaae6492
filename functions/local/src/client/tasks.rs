use std::{collections::HashMap, error::Error, time::Duration};

use clap::Args;
use errand_api::encode_segment;
use errand_core::{Environment, Timestamp};
use http::Method;
use serde_json::{Map, Value, json};

use super::{
    endpoint::{Api, Endpoint},
    output::{say, tell},
};

/// How long one call waits for a task.
const WAIT_SECONDS: u64 = 25;

/// Between two looks at the list.
const PAUSE: Duration = Duration::from_secs(1);

/// How far back a look goes: a task that was enqueued then can still change.
const LOOK_BACK: Duration = Duration::from_secs(600);

/// Send a task.
#[derive(Args)]
pub(crate) struct Send {
    /// What to do, such as email
    task: String,
    /// Its payload: a JSON object
    #[arg(default_value = "{}", value_parser = json_value)]
    kwargs: Value,
    /// Positional arguments: a JSON array
    #[arg(long, value_parser = json_value)]
    args: Option<Value>,
    /// Names the piece of work: the same id is done once
    #[arg(long)]
    id: Option<String>,
    /// Not earlier than in this many seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "run_after")]
    countdown: Option<f64>,
    /// Not earlier than, as 2026-11-20T12:00:00Z
    #[arg(long, value_name = "TIME")]
    run_after: Option<String>,
    /// Not later than, as 2026-11-20T12:00:00Z
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Attempts before it is given up
    #[arg(long, value_name = "COUNT")]
    max_attempts: Option<u32>,
    /// The queue
    #[arg(long)]
    queue: Option<String>,
    /// Where its result is to be sent
    #[arg(long, value_name = "URL")]
    callback_url: Option<String>,
    /// Wait until it has ended
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    endpoint: Endpoint,
}

impl Send {
    pub(crate) async fn run(&self, env: &Environment) -> Result<(), Box<dyn Error>> {
        let api = self.endpoint.api(env);
        let said = json!({
            "task": self.task, "kwargs": self.kwargs, "args": self.args, "id": self.id, "countdown": self.countdown, "run_after": self.run_after,
            "expires": self.expires, "max_attempts": self.max_attempts, "queue": self.queue, "callback_url": self.callback_url,
        });
        let said: Map<String, Value> =
            said.as_object().cloned().unwrap_or_default().into_iter().filter(|(_, value)| !value.is_null()).collect();
        let task = api.call(Method::POST, "/v1/tasks", Some(&Value::Object(said))).await?;
        if self.wait { wait(&api, task["id"].as_str().unwrap_or_default()).await } else { told(&task) }
    }
}

/// Tell how a task stands.
#[derive(Args)]
pub(crate) struct Status {
    /// The task's id
    id: String,
    /// Wait until it has ended
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    endpoint: Endpoint,
}

impl Status {
    pub(crate) async fn run(&self, env: &Environment) -> Result<(), Box<dyn Error>> {
        let api = self.endpoint.api(env);
        if self.wait { wait(&api, &self.id).await } else { told(&api.call(Method::GET, &path(&self.id), None).await?) }
    }
}

/// Do not run a task that waits.
#[derive(Args)]
pub(crate) struct Cancel {
    /// The task's id
    id: String,
    #[command(flatten)]
    endpoint: Endpoint,
}

impl Cancel {
    pub(crate) async fn run(&self, env: &Environment) -> Result<(), Box<dyn Error>> {
        say(&self.endpoint.api(env).call(Method::DELETE, &path(&self.id), None).await?);
        Ok(())
    }
}

/// Tell of tasks as they come and change, until it is stopped.
#[derive(Args)]
pub(crate) struct Tail {
    /// Only of this task's name
    #[arg(long)]
    task: Option<String>,
    /// Only when it has this status, such as FAILED
    #[arg(long)]
    status: Option<String>,
    /// Only of this recipient
    #[arg(long)]
    user: Option<String>,
    #[command(flatten)]
    endpoint: Endpoint,
}

impl Tail {
    pub(crate) async fn run(&self, env: &Environment) -> Result<(), Box<dyn Error>> {
        let api = self.endpoint.api(env);
        let filter: String = [("task", &self.task), ("status", &self.status), ("user", &self.user)]
            .into_iter()
            .filter_map(|(name, value)| Some(format!("&{name}={}", encode_segment(value.as_ref()?))))
            .collect();
        tell("tasks of the last ten minutes, and then as they come and change; Ctrl-C ends it");
        let mut seen: HashMap<String, String> = HashMap::new();
        loop {
            let since = Timestamp::now() - LOOK_BACK;
            let mut new = Vec::new();
            let mut cursor = String::new();
            loop {
                let since = encode_segment(&since.to_string());
                let page = api.call(Method::GET, &format!("/v1/tasks?limit=100&since={since}{filter}{cursor}"), None).await?;
                new.extend(page["tasks"].as_array().cloned().unwrap_or_default());
                match page["cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={}", encode_segment(next)),
                    None => break,
                }
            }
            // The lists have the newest first.
            for task in new.iter().rev() {
                let (id, state) = (task["id"].as_str().unwrap_or_default().to_owned(), format!("{} {}", task["status"], task["attempts"]));
                if seen.insert(id, state.clone()).as_ref() != Some(&state) {
                    say(task);
                }
            }
            seen.retain(|id, _| new.iter().any(|task| task["id"] == id.as_str()));
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// A value that a command line gives as JSON.
fn json_value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("expected JSON: {error}"))
}

fn path(id: &str) -> String {
    format!("/v1/tasks/{}", encode_segment(id))
}

/// Waits until a task has ended.
async fn wait(api: &Api, id: &str) -> Result<(), Box<dyn Error>> {
    loop {
        let task = api.call(Method::GET, &format!("{}?wait={WAIT_SECONDS}", path(id)), None).await?;
        let status = task["status"].as_str().unwrap_or_default();
        if ["SUCCESSFUL", "FAILED", "CANCELLED", "EXPIRED"].contains(&status) {
            return told(&task);
        }
        tell(&format!("{id} is {status}"));
    }
}

/// Prints a task. One that was given up is the command's failure as well.
fn told(task: &Value) -> Result<(), Box<dyn Error>> {
    say(task);
    let last = task["errors"].as_array().and_then(|errors| errors.last());
    match (task["status"].as_str(), last) {
        (Some("FAILED"), Some(error)) => {
            let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
            Err(format!("the task has failed: {} {}", text("exception_class_path"), text("traceback")).into())
        }
        (Some("FAILED"), None) => Err("the task has failed".into()),
        _ => Ok(()),
    }
}
