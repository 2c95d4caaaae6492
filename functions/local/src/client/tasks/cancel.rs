use std::error::Error;

use clap::Args;
use errand_core::Environment;
use http::Method;

use super::FIELDS;
use crate::client::endpoint::{Endpoint, path};

/// Do not run a task that waits.
#[derive(Args)]
#[command(after_help = "Examples:
  errand cancel order-7-reminder")]
pub(crate) struct Cancel {
    /// The task's id
    id: String,
    #[command(flatten)]
    endpoint: Endpoint,
}

impl Cancel {
    pub(crate) async fn run(&self, env: &Environment) -> Result<(), Box<dyn Error>> {
        let (api, output) = self.endpoint.open(env).await?;
        output.one(&api.act(Method::DELETE, &path("tasks", &[&self.id])).await?, FIELDS);
        Ok(())
    }
}
