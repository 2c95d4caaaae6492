use std::{error::Error, fs, io, path::PathBuf};

use clap::{Args, Subcommand};
use errand_core::Environment;
use http::Method;

use super::{
    endpoint::{Endpoint, path},
    output::Field,
    tasks::json_value,
};

const NAME: &[Field] = &[Field::text("name", "")];

const FIELDS: &[Field] = &[Field::text("name", "/name"), Field::text("channels", "/channels"), Field::text("locales", "/locales")];

/// Keep what notifications say.
#[derive(Args)]
#[command(after_help = r#"Examples:
  echo '{"channels":{"email":{"subject":"Order {{ order.id }}","body":"Hello {{ user }}, it is on its way."}}}' | errand templates put shipped -
  errand templates show shipped --json > shipped.json
  errand notify --template shipped --user ann --variables '{"order":{"id":7}}' --channel 'email={"to":["ann@example.com"]}' --preview"#)]
pub(crate) struct Templates {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    endpoint: Endpoint,
}

#[derive(Subcommand)]
enum Action {
    /// The names of all
    List,
    /// One template
    Show {
        /// Its name
        name: String,
    },
    /// Keep one, in place of one of its name
    Put {
        /// Its name
        name: String,
        /// A file with its JSON; - reads standard input
        file: PathBuf,
    },
    /// Forget one
    Delete {
        /// Its name
        name: String,
    },
}

impl Templates {
    pub(crate) async fn run(&self, env: &Environment) -> Result<(), Box<dyn Error>> {
        let (api, output) = self.endpoint.open(env).await?;
        let told = match &self.action {
            Action::List => {
                let all = api.all("templates", &format!("{}?limit=100", path("templates", &[]))).await?;
                output.list(&all, NAME, "there are no templates");
                return Ok(());
            }
            Action::Show { name } => api.get(&path("templates", &[name])).await,
            Action::Put { name, file } => {
                let text = if file.as_os_str() == "-" { io::read_to_string(io::stdin()) } else { fs::read_to_string(file) };
                let template = text.map_err(|error| error.to_string()).and_then(|text| json_value(&text));
                let template = template.map_err(|error| format!("{}: {error}", file.display()))?;
                api.send(Method::PUT, &path("templates", &[name]), &template).await
            }
            Action::Delete { name } => api.act(Method::DELETE, &path("templates", &[name])).await,
        }?;
        output.one(&told, FIELDS);
        Ok(())
    }
}
