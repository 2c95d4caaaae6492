//! What each channel of a notification is given: what its template says, and over it what the caller says.

use errand_api::ProblemDocument;
use errand_core::{Fields, Problems, Refusal, Texts, json::Object};
use errand_templates::Renderer;
use http::StatusCode;
use serde_json::{Map, Value, value::RawValue};
use tokio::sync::Semaphore;

use crate::call::Call;

/// Calls that are rendered at a time. Others wait, and all that is no rendering goes on.
static RENDERINGS: Semaphore = Semaphore::const_new(2);

/// What a channel is to be given.
pub(crate) struct Channel<'a> {
    /// The task.
    pub(crate) name: String,
    /// The payload, or a part of it, that the caller gave.
    pub(crate) given: Option<&'a RawValue>,
    /// What a template says.
    pub(crate) template: Map<String, Value>,
}

/// What is to be rendered of a channel: what is given need not be.
struct Job {
    template: Map<String, Value>,
    given: Map<String, Value>,
    texts: Texts,
}

impl Call<'_> {
    /// The payload of each channel, in their order.
    pub(crate) async fn channel_payloads(
        &self,
        channels: Vec<Channel<'_>>,
        variables: Map<String, Value>,
        bulk: bool,
    ) -> Result<Vec<(String, Box<RawValue>)>, ProblemDocument> {
        let job = |Channel { name, given, template }: &Channel<'_>| {
            let texts = self.payloads.texts(name);
            let template = self.payloads.with_own_names(name, template.clone());
            let Some(given) = given else { return Job { template, given: Map::new(), texts } };
            if bulk {
                return Job { template: Map::new(), given: Map::new(), texts };
            }
            let given = self.payloads.with_own_names(name, serde_json::from_str(given.get()).unwrap_or_default());
            Job { template: template.into_iter().filter(|(name, _)| !given.contains_key(name)).collect(), given, texts }
        };
        let rendered = render(channels.iter().map(job).collect(), variables).await?;
        let (mut payloads, mut problems) = (Vec::new(), Vec::new());
        for (channel, rendered) in channels.into_iter().zip(rendered) {
            let payload = rendered.and_then(|rendered| payload(&rendered, channel.given));
            match payload.and_then(|payload| self.check(&channel.name, &payload, bulk).map(|()| payload)) {
                Ok(payload) => payloads.push((channel.name, payload)),
                Err(wrong) => problems.extend(wrong.under(&format!("/channels/{}", channel.name)).0),
            }
        }
        if problems.is_empty() { Ok(payloads) } else { Err(ProblemDocument::of_body(Problems(problems))) }
    }

    fn check(&self, channel: &str, payload: &RawValue, bulk: bool) -> Result<(), Problems> {
        self.payloads.check(channel, payload.get(), bulk).map_err(|refusal| match refusal {
            Refusal::Payload(problems) => problems,
            refusal => Problems::whole(self.payloads.told(&refusal).unwrap_or_default()),
        })
    }
}

/// Renders what is to be rendered, beside the executor: a template may take as long as its limits allow, and others are to be answered meanwhile.
async fn render(jobs: Vec<Job>, variables: Map<String, Value>) -> Result<Vec<Result<Map<String, Value>, Problems>>, ProblemDocument> {
    if jobs.iter().all(|job| job.template.is_empty()) {
        return Ok(jobs.iter().map(|_| Ok(Map::new())).collect());
    }
    let failed = || ProblemDocument::new(StatusCode::SERVICE_UNAVAILABLE, "the notification could not be rendered");
    let turn = RENDERINGS.acquire().await.map_err(|_| failed())?;
    let work = move || {
        // Held until the work is done, whether or not anyone waits for it.
        let _turn = turn;
        let mut renderer = Renderer::new(&variables).map_err(|problems| problems.under("/variables"))?;
        Ok(jobs.into_iter().map(|Job { template, given, texts }| renderer.render(&template, &given, texts)).collect())
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| failed())?.map_err(ProblemDocument::of_body)
}

/// A channel's payload: what was rendered, and what was given, as that was written.
fn payload(rendered: &Map<String, Value>, given: Option<&RawValue>) -> Result<Box<RawValue>, Problems> {
    let given = match given {
        // With `context.bulk` this is a list.
        Some(given) if rendered.is_empty() => return Ok(given.to_owned()),
        given => Fields::of(given.map_or("{}", RawValue::get))?.into_entries(),
    };
    let mut payload = Object::new();
    rendered.iter().for_each(|(name, value)| payload.field(name, &value.to_string()));
    given.iter().for_each(|(name, value)| payload.field(name, value.get()));
    payload.raw().ok_or_else(|| Problems::whole("cannot be written as JSON"))
}
