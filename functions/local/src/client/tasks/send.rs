use std::error::Error;

use clap::Args;
use errand_core::{Environment, Json};
use http::Method;
use serde::Serialize;

use super::{Conditions, json_value, told, wait};
use crate::client::endpoint::{Endpoint, part, path, said};

/// Send a task.
#[derive(Args, Serialize)]
#[command(after_help = r##"Examples:
  errand send email '{"to":["you@example.com"],"subject":"Hello","body":"It works."}' --wait
  errand send slack '{"channel":"#general","text":"Deployed."}' --countdown 60
  errand send shop.tasks.ship --args '[7]' --id order-7-shipped"##)]
pub(crate) struct Send {
    /// What to do, such as email
    task: String,
    /// Its payload: a JSON object
    #[arg(default_value = "{}", value_parser = json_value)]
    kwargs: Json,
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
    #[command(flatten)]
    #[serde(flatten)]
    conditions: Conditions,
    /// Wait until it has ended
    #[arg(long)]
    #[serde(skip)]
    wait: bool,
    #[command(flatten)]
    #[serde(skip)]
    endpoint: Endpoint,
}

impl Send {
    pub(crate) async fn run(&self, env: &Environment) -> Result<(), Box<dyn Error>> {
        let (api, output) = self.endpoint.open(env).await?;
        let task = api.send(Method::POST, &path("tasks", &[]), &said(self)).await?;
        if self.wait { wait(&api, &output, &part::<String>(&task, "/id")).await } else { told(&output, &task) }
    }
}
