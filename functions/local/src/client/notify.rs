use std::{collections::BTreeMap, error::Error};

use clap::Args;
use errand_core::{Environment, Json};
use http::Method;
use serde::Serialize;

use super::{
    endpoint::{Endpoint, part, path, said},
    output::Field,
    tasks::json_value,
};

const TASKS: &[Field] = &[
    Field::text("task", "/task"),
    Field::status("status", "/status"),
    Field::text("id", "/id"),
    Field::time("run after", "/run_after"),
    Field::text("refused", "/detail"),
];

const PAYLOADS: &[Field] = &[Field::text("channel", "/channel"), Field::text("payload", "/payload")];

/// Tell a user something on several channels.
#[derive(Args, Serialize)]
#[command(after_help = r##"Examples:
  errand notify --user ann --text 'Your order is on its way' --channel 'email={"to":["ann@example.com"]}' --channel 'slack={"channel":"#orders"}'
  errand notify --template shipped --locale de --variables '{"order":{"id":7}}' --user ann --channel 'email={"to":["ann@example.com"]}' --preview
  errand notify '{"user":"ann","channels":{"slack":{"channel":"#orders","text":"Shipped."}}}'"##)]
pub(crate) struct Notify {
    /// A notification: a JSON object, of which the options replace fields
    #[arg(value_parser = json_value)]
    #[serde(skip)]
    notification: Option<Json>,
    /// Where to tell it: a channel, or a channel and what its payload says; may be given more than once
    #[arg(long = "channel", value_name = "NAME[=JSON]", value_parser = channel)]
    #[serde(skip)]
    channels: Vec<(String, Json)>,
    /// Whom to tell it
    #[arg(long)]
    user: Option<String>,
    /// What to say, in few words
    #[arg(long = "text", value_name = "TEXT")]
    short_description: Option<String>,
    /// The template that says it
    #[arg(long)]
    template: Option<String>,
    /// The user's language, such as de-AT
    #[arg(long)]
    locale: Option<String>,
    /// What the template names: a JSON object
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    variables: Option<Json>,
    /// Names the notification: the same id is sent once
    #[arg(long)]
    id: Option<String>,
    /// Not earlier than in this many seconds
    #[arg(long, value_name = "SECONDS")]
    countdown: Option<f64>,
    /// Tell what it would say on each channel, and send nothing
    #[arg(long)]
    #[serde(skip)]
    preview: bool,
    #[command(flatten)]
    #[serde(skip)]
    endpoint: Endpoint,
}

fn channel(text: &str) -> Result<(String, Json), String> {
    let (name, payload) = text.split_once('=').unwrap_or((text, "{}"));
    Ok((name.to_owned(), json_value(payload)?))
}

impl Notify {
    pub(crate) async fn run(&self, env: &Environment) -> Result<(), Box<dyn Error>> {
        let (api, output) = self.endpoint.open(env).await?;
        let body = self.body()?;
        if self.preview {
            let preview = api.send(Method::POST, &path("notifications", &["preview"]), &body).await?;
            output.parts(&preview, &payloads(&preview), PAYLOADS);
            return Ok(());
        }
        let told = api.send(Method::POST, &path("notifications", &[]), &body).await?;
        let tasks: Vec<Json> = part(&told, "/tasks");
        output.parts(&told, &tasks, TASKS);
        let refused = tasks.iter().filter(|task| part::<String>(task, "/id").is_empty()).count();
        if refused > 0 { Err(format!("{refused} of {} channels refused it", tasks.len()).into()) } else { Ok(()) }
    }

    fn body(&self) -> Result<BTreeMap<String, Json>, Box<dyn Error>> {
        let mut body: BTreeMap<String, Json> = match &self.notification {
            Some(notification) => notification.read().map_err(|_| "the notification: expected a JSON object")?,
            None => BTreeMap::new(),
        };
        body.extend(said(self));
        if !self.channels.is_empty() {
            let channels: BTreeMap<&String, &Json> = self.channels.iter().map(|(name, payload)| (name, payload)).collect();
            body.insert("channels".to_owned(), Json::of(&channels));
        }
        Ok(body)
    }
}

/// A preview's payloads, each with its channel.
fn payloads(preview: &Json) -> Vec<Json> {
    #[derive(Serialize)]
    struct Payload {
        channel: String,
        payload: Json,
    }
    let channels: BTreeMap<String, Json> = part(preview, "/channels");
    channels.into_iter().map(|(channel, payload)| Json::of(&Payload { channel, payload })).collect()
}
