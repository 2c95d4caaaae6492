//! The functions of a deployment in one process, over one database.

use std::{collections::BTreeMap, error::Error, net::SocketAddr, path::Path, sync::Arc};

use axum::Router;
use errand_api::Access;
use errand_consumer::{Consumer, Intake};
use errand_core::{Environment, Init, Invocation, Outbox, Registry, Routes, SettingsError, Target, settings::all::API_URL};
use errand_engine::{Circuits, Engine, Log, Sequel};
use errand_enqueue::Enqueue;
use errand_http::{Client, sns::Verifier};
use errand_runtime::TokioClock;
use errand_status::Operations;
use errand_store_sqlite::{Database, SqliteNotes, SqliteQueue, SqliteStore};
use ses::FROM;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    aws,
    listen::Places,
    mail::{Catcher, LocalMail},
    objects::Files,
    providers::providers,
    queues::{Pace, Queues},
    schedules::{self, LocalSchedules},
    settings,
    smtp::Door,
    sqs::Sqs,
    web::{self, Functions},
    worker::{self, Source},
};

/// All that answers and works.
pub(crate) struct System {
    functions: Functions,
    consumer: Arc<Consumer>,
    invocation: Invocation,
    queue: SqliteQueue,
    /// The queues that are worked off.
    ours: BTreeMap<String, Pace>,
    outbox: Outbox,
    schedules: LocalSchedules,
    caught: LocalMail,
}

impl System {
    /// Opens a data folder. Whoever took messages or leases there before is dead: the folder's lock says so.
    ///
    /// # Errors
    /// A setting is wrong, or the folder cannot be used.
    pub(crate) async fn open(
        env: &Environment,
        data: &Path,
        address: SocketAddr,
        [connections, smtp_connections]: [Places; 2],
    ) -> Result<Self, Box<dyn Error>> {
        let database = Database::open(&data.join("errand.sqlite3")).await?;
        let store = Arc::new(SqliteStore::new(database.clone()));
        let notes = Arc::new(SqliteNotes::new(database.clone()));
        let Queues { ours, foreign } = Queues::from_env(env)?;
        let queue = SqliteQueue::new(database.clone(), errand_wire::encode).with_queues(ours.keys().cloned(), foreign.into_iter());
        for (name, count) in queue.left_behind().await? {
            tracing::warn!(queue = name, count, "messages wait on a queue that ERRAND_QUEUES and ERRAND_FOREIGN_QUEUES name no more");
        }
        let caught = LocalMail::new(database.clone());
        let files = Arc::new(Files::open(data.join("objects")).map_err(|error| format!("cannot use the data folder: {error}"))?);
        let outbox = Outbox { soon: Arc::new(queue.clone()), late: None, objects: Some(files.clone()) };
        let invocation = Invocation::from_env(env)?;
        let registry = registry(env, invocation, caught.clone()).await?;
        settings::check(env, registry.settings())?;
        let engine = Engine {
            registry,
            store: Some(store.clone()),
            queue: Arc::new(queue.clone()),
            objects: Some(files),
            outbox: Some(outbox.clone()),
            sequel: Some(Sequel { follow_ups: errand_wire::celery::follow_ups, forward: Arc::new(queue.clone()), results: None }),
            api_url: Some(env.get(&API_URL).map_or_else(|| format!("http://{address}"), ToOwned::to_owned)),
            clock: Arc::new(TokioClock),
            policy: errand_consumer::policy(env)?,
            watchers: vec![Box::new(Log)],
            circuits: Circuits::default(),
            worker: format!("local-{}", std::process::id()),
            backend: "local".to_owned(),
        };
        let intake = Intake { objects: None, verifier: Verifier::from_env(env, &Init::default().with(Client::new()))? };
        let schedules = LocalSchedules::new(database.clone());
        let access = || Access::new(env, Some(notes.clone())).map(Access::open_without_keys);
        // Mail is caught where nothing sends it.
        let settings = env.names().chain([FROM.name]);
        let payloads = errand_payloads::payloads().with_routes(env)?.with_settings(settings).with_queues(queue.names());
        let enqueue = Enqueue {
            access: access()?,
            payloads: payloads.clone(),
            outbox: outbox.clone(),
            checks: vec![Arc::new(queue.clone()), Arc::new(connections), Arc::new(smtp_connections)],
            store: Some(store.clone()),
            notes: Some(notes.clone()),
        };
        let operations = Operations {
            access: access()?,
            payloads,
            store,
            notes: notes.clone(),
            note_list: notes,
            outbox: outbox.clone(),
            schedules: Some(Arc::new(schedules.clone())),
            dead_letters: Some(Arc::new(queue.clone())),
        };
        database.release_all().await?;
        let functions = Functions { enqueue: Arc::new(enqueue), operations: Arc::new(operations) };
        Ok(Self { functions, consumer: Arc::new(Consumer { intake, engine }), invocation, queue, ours, outbox, schedules, caught })
    }

    /// Begins to work off the queues, and to run what is due, until it is stopped.
    pub(crate) fn work(&self, workers: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
        for (name, pace) in &self.ours {
            for _ in 0..pace.concurrency {
                let source = Source { queue: self.queue.clone(), name: name.clone(), batch_size: pace.batch_size };
                workers.spawn(worker::work(source, Arc::clone(&self.consumer), self.invocation, stopped.clone()));
            }
        }
        workers.spawn(schedules::run(self.schedules.clone(), self.outbox.clone(), stopped.clone()));
    }

    /// What answers over HTTP; SQS's clients as well, where anyone may call.
    pub(crate) fn router(&self, open: bool, stopped: &watch::Receiver<bool>) -> Router {
        let sqs = Sqs { queue: self.queue.clone(), open, stopped: stopped.clone() };
        web::router(self.functions.clone(), self.caught.clone(), sqs)
    }

    /// What takes mail.
    pub(crate) fn door(&self) -> Door {
        Door { caught: self.caught.clone(), enqueue: Arc::clone(&self.functions.enqueue) }
    }
}

/// The providers, the runners and the catcher of mail.
async fn registry(env: &Environment, invocation: Invocation, caught: LocalMail) -> Result<Registry, SettingsError> {
    let sends_mail = env.has(&FROM);
    let is_lambda = |target: &Target| matches!(target, Target::Runner(options) if options.contains_key("lambda"));
    let invokes = Routes::from_env(env)?.iter().any(|(_, targets)| targets.iter().any(is_lambda));
    let wants_aws = if sends_mail { Some(FROM.name) } else { invokes.then_some("a Lambda function in ERRAND_ROUTES") };
    let mut cx = Init::default().with(invocation).with(Client::new());
    if let Some(wants) = wants_aws {
        cx = cx.with(aws::sdk_config(env, wants).await?);
    }
    errand_consumer::registry(env, &cx, |registry: &mut Registry, env: &Environment, cx: &Init| {
        providers(registry, env, cx)?;
        if !sends_mail {
            registry.insert(Catcher(caught));
        }
        Ok(())
    })
}
