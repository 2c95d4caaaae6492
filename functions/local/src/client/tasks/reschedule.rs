use std::error::Error;

use clap::Args;
use errand_core::Environment;
use http::Method;
use serde::Serialize;

use super::FIELDS;
use crate::client::endpoint::{Endpoint, path, said};

/// Run a task that waits at another time.
#[derive(Args, Serialize)]
#[command(after_help = "Examples:
  errand move order-7-reminder --countdown 3600
  errand move order-7-reminder --run-after 2026-11-20T12:00:00Z
  errand move order-7-reminder --countdown 0        # now")]
pub(crate) struct Move {
    /// The task's id
    #[serde(skip)]
    id: String,
    /// In this many seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "run_after", required_unless_present = "run_after")]
    countdown: Option<f64>,
    /// At this time, as 2026-11-20T12:00:00Z
    #[arg(long, value_name = "TIME")]
    run_after: Option<String>,
    #[command(flatten)]
    #[serde(skip)]
    endpoint: Endpoint,
}

impl Move {
    pub(crate) async fn run(&self, env: &Environment) -> Result<(), Box<dyn Error>> {
        let (api, output) = self.endpoint.open(env).await?;
        output.one(&api.send(Method::PATCH, &path("tasks", &[&self.id]), &said(self)).await?, FIELDS);
        Ok(())
    }
}
