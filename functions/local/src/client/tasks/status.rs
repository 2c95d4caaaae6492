use std::error::Error;

use clap::Args;
use errand_core::Environment;

use super::{told, wait};
use crate::client::endpoint::{Endpoint, path};

/// Tell how a task stands.
#[derive(Args)]
#[command(after_help = "Ends with 1 when the task has failed, was cancelled or expired.

Examples:
  errand status order-7-shipped
  errand status order-7-shipped --wait && echo done")]
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
        let (api, output) = self.endpoint.open(env).await?;
        if self.wait { wait(&api, &output, &self.id).await } else { told(&output, &api.get(&path("tasks", &[&self.id])).await?) }
    }
}
