use std::{
    collections::{HashMap, HashSet},
    error::Error,
    time::Duration,
};

use clap::Args;
use errand_core::{Environment, Timestamp, percent_encode};

use crate::client::{
    endpoint::{Endpoint, part},
    output::{Field, tell},
};

/// Between two looks at the list.
const PAUSE: Duration = Duration::from_secs(1);

/// How far back a look goes: a task that was enqueued then can still change.
const LOOK_BACK: Duration = Duration::from_secs(600);

const COLUMNS: &[Field] = &[
    Field::time("enqueued", "/enqueued_at"),
    Field::status("status", "/status"),
    Field::text("attempts", "/attempts"),
    Field::text("task", "/task"),
    Field::text("id", "/id"),
];

/// Tell of tasks as they come and change, until it is stopped.
#[derive(Args)]
#[command(after_help = "Examples:
  errand tail
  errand tail --task email --status FAILED")]
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
        let (api, output) = self.endpoint.open(env).await?;
        let filter: String = [("task", &self.task), ("status", &self.status), ("user", &self.user)]
            .into_iter()
            .filter_map(|(name, value)| Some(format!("&{name}={}", percent_encode(value.as_ref()?))))
            .collect();
        tell("tasks of the last ten minutes, and then as they come and change; Ctrl-C ends it");
        let mut seen: HashMap<String, (String, u64)> = HashMap::new();
        loop {
            let since = percent_encode(&(Timestamp::now() - LOOK_BACK).to_string());
            let tasks = api.all("tasks", &format!("/v1/tasks?limit=100&since={since}{filter}")).await?;
            let mut ids = HashSet::new();
            // The lists have the newest first.
            for task in tasks.iter().rev() {
                let (id, state): (String, _) = (part(task, "/id"), (part(task, "/status"), part(task, "/attempts")));
                if seen.insert(id.clone(), state.clone()).as_ref() != Some(&state) {
                    output.next(task, COLUMNS);
                }
                ids.insert(id);
            }
            seen.retain(|id, _| ids.contains(id));
            tokio::time::sleep(PAUSE).await;
        }
    }
}
