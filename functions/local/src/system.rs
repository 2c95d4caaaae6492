//! The functions of a deployment in one process, over one database.

use std::{collections::BTreeMap, error::Error, net::SocketAddr, path::Path, sync::Arc};

use axum::Router;
use errand_api::Access;
use errand_consumer::{Consumer, Intake};
use errand_core::{
    Dispatch, DynCheck, Environment, Init, Invocation, Reader, Registry, Routes, SettingsError, Target, Transport, backends_of,
    settings::all::{API_URL, TRANSPORTS},
};
use errand_engine::{Circuits, Engine, Log, Sequel};
use errand_enqueue::{Enqueue, Health};
use errand_http::{Client, sns::Verifier};
use errand_inline::Inline;
use errand_runtime::TokioClock;
use errand_status::Operations;
use errand_store_sqlite::{Database, SqliteNotes, SqliteQueue, SqliteStore};
use errand_transport_celery::Celery;
use ses::FROM;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    backends::{OF_AWS, backends},
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
    dispatch: Dispatch,
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
        let queue = SqliteQueue::new(database.clone()).with_queues(ours.keys().cloned(), foreign.into_iter());
        for (name, count) in queue.left_behind().await? {
            tracing::warn!(queue = name, count, "messages wait on a queue that ERRAND_QUEUES and ERRAND_FOREIGN_QUEUES name no more");
        }
        let caught = LocalMail::new(database.clone());
        let files = Arc::new(Files::open(data.join("objects")).map_err(|error| format!("cannot use the data folder: {error}"))?);
        let invocation = Invocation::from_env(env)?;
        let inline = Inline::default();
        let cx = Init::default().with(invocation).with(Client::new()).with(queue.clone()).with(inline.clone());
        let cx = init(env, cx, None).await?;
        let dispatch = Dispatch::from_env(env, backends, SqliteQueue::BACKEND, &cx)?;
        let dispatch = dispatch.with_hold(Some(Arc::new(queue.clone()))).with_objects(Some(files.clone()));
        let registry = registry(env, &cx, &dispatch, caught.clone())?;
        settings::check(env, registry.settings())?;
        let worker = format!("local-{}", std::process::id());
        let policy = errand_consumer::policy(env)?;
        if backends_of(env)?.iter().any(|kind| kind == Inline::BACKEND) {
            let registry = self::registry(env, &cx, &dispatch, caught.clone())?;
            let at_once = Inline::engine(registry, Some(store.clone()), &dispatch, policy, &worker, Arc::new(TokioClock));
            inline.run_by(at_once, invocation.length());
        }
        let engine = Engine {
            registry,
            store: Some(store.clone()),
            queue: Arc::new(queue.clone()),
            objects: Some(files),
            dispatch: Some(dispatch.clone()),
            sequel: Some(Sequel { follow_ups: errand_wire::celery::follow_ups, forward: Arc::new(queue.clone()), results: None }),
            api_url: Some(env.get(&API_URL).map_or_else(|| format!("http://{address}"), ToOwned::to_owned)),
            clock: Arc::new(TokioClock),
            policy,
            watchers: vec![Box::new(Log)],
            circuits: Circuits::default(),
            worker,
            backend: SqliteQueue::BACKEND.to_owned(),
        };
        let intake = Intake { objects: None, verifier: Verifier::from_env(env, &cx)? };
        let schedules = LocalSchedules::new(database.clone());
        let access = || Access::new(env, Some(notes.clone())).map(Access::open_without_keys);
        // Mail is caught where nothing sends it.
        let settings = env.names().chain([FROM.name]);
        let payloads = errand_payloads::payloads()
            .with_transports(dispatch.transports())
            .with_routes(env)?
            .with_settings(settings)
            .with_queues(queue.names());
        let mut checks: Vec<(String, Arc<dyn DynCheck>)> = dispatch.checks().map(|(name, check)| (name.to_owned(), check)).collect();
        checks.extend([connections, smtp_connections].map(|places| (places.name().to_owned(), Arc::new(places) as _)));
        let enqueue = Enqueue {
            access: access()?,
            payloads: payloads.clone(),
            dispatch: dispatch.clone(),
            health: Health::of(checks),
            store: Some(store.clone()),
            notes: Some(notes.clone()),
        };
        let operations = Operations {
            access: access()?,
            payloads,
            store,
            notes: notes.clone(),
            note_list: notes,
            dispatch: dispatch.clone(),
            schedules: Some(Arc::new(schedules.clone())),
            dead_letters: Some(Arc::new(queue.clone())),
        };
        database.release_all().await?;
        let functions = Functions { enqueue: Arc::new(enqueue), operations: Arc::new(operations) };
        Ok(Self { functions, consumer: Arc::new(Consumer { intake, engine }), invocation, queue, ours, dispatch, schedules, caught })
    }

    /// Begins to work off the queues, and to run what is due, until it is stopped.
    pub(crate) fn work(&self, workers: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
        for (name, pace) in &self.ours {
            for _ in 0..pace.concurrency {
                let source = Source { queue: self.queue.clone(), name: name.clone(), batch_size: pace.batch_size };
                workers.spawn(worker::work(source, Arc::clone(&self.consumer), self.invocation, stopped.clone()));
            }
        }
        workers.spawn(schedules::run(self.schedules.clone(), self.dispatch.clone(), stopped.clone()));
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

/// What providers, runners and transports share, with that of `cx`; AWS's clients' settings where something `wants` them.
///
/// # Errors
/// A setting is wrong.
pub(crate) async fn init(env: &Environment, cx: Init, wants: Option<&str>) -> Result<Init, SettingsError> {
    let is_lambda = |target: &Target| matches!(target, Target::Runner(options) if options.contains_key("lambda"));
    let invokes = Routes::from_env(env)?.iter().any(|(_, targets)| targets.iter().any(is_lambda));
    let wants_aws = [
        (env.has(&FROM), FROM.name),
        (invokes, "a Lambda function in ERRAND_ROUTES"),
        (backends_of(env)?.iter().any(|backend| OF_AWS.contains(&backend.as_str())), "a transport of AWS in ERRAND_TRANSPORTS"),
        (env.get(&TRANSPORTS).is_some_and(|said| said.contains(Celery::ON_SQS)), "Celery's workers on SQS in ERRAND_TRANSPORTS"),
        (
            env.get(&TRANSPORTS).is_some_and(|said| ["\"ssm:/", "\"secretsmanager:"].iter().any(|of_aws| said.contains(of_aws))),
            "a reference in ERRAND_TRANSPORTS",
        ),
    ];
    let wants_aws = wants.or_else(|| wants_aws.into_iter().find_map(|(wants, what)| wants.then_some(what)));
    let wants_aws = wants_aws.or_else(|| env.refers_to_aws(Reader::Errand));
    settings::with_references(env, cx.with(env.clone()), wants_aws).await
}

/// The providers, the runners and the catcher of mail.
fn registry(env: &Environment, cx: &Init, dispatch: &Dispatch, caught: LocalMail) -> Result<Registry, SettingsError> {
    errand_consumer::registry(env, cx, dispatch, |registry: &mut Registry, env: &Environment, cx: &Init| {
        providers(registry, env, cx)?;
        if !env.has(&FROM) {
            registry.insert(Catcher(caught));
        }
        Ok(())
    })
}
