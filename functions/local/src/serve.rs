use std::{error::Error, net::SocketAddr, path::PathBuf, sync::Arc};

use clap::Args;
use errand_api::Access;
use errand_consumer::{Consumer, Intake, Verifier};
use errand_core::{Environment, Init, Invocation, Outbox, Registry, Routes, SettingsError, Target, settings::all::API_URL};
use errand_engine::{Circuits, Engine, Sequel};
use errand_enqueue::Enqueue;
use errand_provider_console::Console;
use errand_provider_ses::FROM;
use errand_runtime::TokioClock;
use errand_status::Operations;
use errand_store_sqlite::{Database, SqliteNotes, SqliteQueue, SqliteStore};
use tokio::{net::TcpListener, signal::unix::SignalKind, sync::watch, task::JoinSet};

use crate::{
    aws, guard,
    listen::{self, Patience, Places},
    lock::Lock,
    mail::{Catcher, Inbox},
    objects::Files,
    queues::Queues,
    schedules::{self, LocalSchedules},
    settings,
    smtp::{self, Door},
    sqs::{self, Sqs},
    web::{self, Functions},
    worker::{self, Source},
};

/// Where to serve.
#[derive(Args)]
pub(crate) struct Options {
    /// The address to listen on; other machines can only reach it when ERRAND_API_KEYS is set
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// The folder for what must survive: the queue, results, caught mail
    #[arg(long, value_name = "FOLDER", default_value = ".errand")]
    data: PathBuf,
    /// The address to take mail on by SMTP, so that it is caught; other machines can only reach it when ERRAND_API_KEYS is set, and a key is then the password
    #[arg(long, value_name = "ADDRESS:PORT")]
    smtp: Option<SocketAddr>,
    #[command(flatten)]
    patience: Patience,
}

/// Serves until SIGTERM or SIGINT; then finishes what runs.
pub(crate) async fn serve(options: &Options, env: &Environment) -> Result<(), Box<dyn Error>> {
    let env = &guard::with_this_machine(env, options.listen);
    let open = Access::new(env, None)?.open_without_keys().is_open();
    for address in [Some(options.listen), options.smtp].into_iter().flatten() {
        guard::check_address(address, open)?;
    }
    let _lock = Lock::take(&options.data)?;
    let (listener, address) = listen(options.listen).await?;
    let smtp = match options.smtp {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let smtp_connections = Places::share("smtp_connections", 8, 100);
    let connections = Places::share("connections", 2, 1000);
    let database = Database::open(&options.data.join("errand.sqlite3")).await?;
    let store = Arc::new(SqliteStore::new(database.clone()));
    let notes = Arc::new(SqliteNotes::new(database.clone()));
    let access = || Access::new(env, Some(notes.clone())).map(Access::open_without_keys);
    let Queues { ours, foreign } = Queues::from_env(env)?;
    let queue = SqliteQueue::new(database.clone(), errand_wire::encode).with_queues(ours.keys().cloned(), foreign.into_iter());
    for (name, count) in queue.left_behind().await? {
        tracing::warn!(queue = name, count, "messages wait on a queue that ERRAND_QUEUES and ERRAND_FOREIGN_QUEUES name no more");
    }
    let inbox = Inbox::open(database.clone()).await?;
    let files = Files::open(options.data.join("objects")).map_err(|error| format!("cannot use the data folder: {error}"))?;
    let invocation = Invocation::from_env(env)?;
    let mut engine = engine(env, invocation, queue.clone(), store.clone(), inbox.clone()).await?;
    settings::check(env, engine.registry.settings())?;
    engine.api_url = Some(env.get(&API_URL).map_or_else(|| format!("http://{address}"), ToOwned::to_owned));
    engine.objects = Some(Arc::new(files.clone()));
    let outbox = Outbox { soon: Arc::new(queue.clone()), late: None, objects: Some(Arc::new(files)) };
    engine.outbox = Some(outbox.clone());
    engine.sequel = Some(Sequel { follow_ups: errand_wire::celery::follow_ups, forward: Arc::new(queue.clone()), results: None });
    let intake = Intake { objects: None, verifier: Verifier::from_env(env, errand_http::Client::new())? };
    let consumer = Arc::new(Consumer { intake, engine });
    let schedules = LocalSchedules::open(database.clone()).await?;
    // Mail is caught where nothing sends it.
    let settings = env.names().chain([FROM.name]);
    let payloads = errand_catalog::payloads().with_routes(env)?.with_settings(settings).with_queues(queue.names());
    let enqueue = Enqueue {
        access: access()?,
        payloads: payloads.clone(),
        outbox: outbox.clone(),
        checks: vec![Arc::new(queue.clone()), Arc::new(connections.clone()), Arc::new(smtp_connections.clone())],
        store: Some(store.clone()),
        notes: Some(notes.clone()),
    };
    let operations = Operations {
        access: access()?,
        payloads: payloads.clone(),
        store,
        notes: notes.clone(),
        note_list: notes.clone(),
        outbox: outbox.clone(),
        schedules: Some(Arc::new(schedules.clone())),
        dead_letters: Some(Arc::new(queue.clone())),
    };
    let functions = Functions { enqueue: Arc::new(enqueue), operations: Arc::new(operations) };
    // The lock says that whoever took these messages and leases is dead.
    database.release_all().await?;
    let (stop, stopped) = watch::channel(false);
    let sqs = Sqs { queue: queue.clone(), open: access()?.is_open(), stopped: stopped.clone() };
    let mut workers = JoinSet::new();
    for (name, pace) in &ours {
        for _ in 0..pace.concurrency {
            let source = Source { queue: queue.clone(), name: name.clone(), batch_size: pace.batch_size };
            workers.spawn(worker::work(source, Arc::clone(&consumer), invocation, stopped.clone()));
        }
    }
    workers.spawn(schedules::run(schedules, outbox, stopped.clone()));
    let smtp_address = smtp.as_ref().map(|(_, address)| *address);
    if let Some((listener, _)) = smtp {
        let (door, until) = (Door { inbox: inbox.clone(), enqueue: Arc::clone(&functions.enqueue) }, stopped.clone());
        workers.spawn(listen::accept(listener, smtp_connections, stopped.clone(), move |stream, place| {
            smtp::serve(stream, place, door.clone(), until.clone())
        }));
    }
    let (router, patience, until) = (web::router(functions, inbox, sqs), options.patience, stopped.clone());
    let server = tokio::spawn(listen::accept(listener, connections, stopped, move |stream, place| {
        listen::http::serve(stream, place, router.clone(), patience, until.clone())
    }));
    greet(address, smtp_address, access()?.is_open());
    told_to_stop().await?;
    tracing::info!("stopping: finishing what runs");
    stop.send_replace(true);
    workers.join_all().await;
    server.await?;
    Ok(())
}

async fn engine(
    env: &Environment,
    invocation: Invocation,
    queue: SqliteQueue,
    store: Arc<SqliteStore>,
    inbox: Inbox,
) -> Result<Engine, SettingsError> {
    let sends_mail = env.has(&FROM);
    let is_lambda = |target: &Target| matches!(target, Target::Runner(options) if options.contains_key("lambda"));
    let invokes = Routes::from_env(env)?.iter().any(|(_, targets)| targets.iter().any(is_lambda));
    let wants_aws = if sends_mail { Some(FROM.name) } else { invokes.then_some("a Lambda function in ERRAND_ROUTES") };
    let mut cx = Init::default().with(invocation).with(errand_http::Client::new());
    if let Some(wants) = wants_aws {
        cx = cx.with(aws::sdk_config(env, wants).await?);
    }
    let providers = |registry: &mut Registry, env: &Environment, cx: &Init| {
        errand_catalog::providers(registry, env, cx)?;
        registry.add::<Console>(env, cx)?;
        if !sends_mail {
            registry.insert(Catcher(inbox));
        }
        Ok(())
    };
    Ok(Engine {
        registry: errand_consumer::registry(env, &cx, providers)?,
        store: Some(store),
        queue: Arc::new(queue),
        objects: None,
        outbox: None,
        sequel: None,
        api_url: None,
        clock: Arc::new(TokioClock),
        policy: errand_consumer::policy(env)?,
        circuits: Circuits::default(),
        worker: format!("local-{}", std::process::id()),
        backend: "local".to_owned(),
    })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Box<dyn Error>> {
    let listener = TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

#[expect(clippy::print_stdout, reason = "the one thing that is for the person who started it")]
fn greet(address: SocketAddr, smtp: Option<SocketAddr>, open: bool) {
    if let Some(smtp) = smtp {
        println!("errand takes mail by SMTP on {smtp}");
    }
    let key = if open { "" } else { "-H 'authorization: Bearer YOUR-KEY' " };
    println!("errand is ready on http://{address}, mail is shown at http://{address}/mail; send one:");
    println!(
        r#"curl {key}-H 'content-type: application/json' -d '{{"task":"email","kwargs":{{"to":["you@example.com"],"subject":"Hello","body":"It works."}}}}' http://{address}/v1/tasks"#
    );
    if open {
        println!("clients of SQS send to http://{address}/{}/default with AWS_ENDPOINT_URL_SQS=http://{address} and any key", sqs::ACCOUNT);
    } else {
        println!("clients of SQS cannot send: {}", sqs::OFF);
    }
}

async fn told_to_stop() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        told = tokio::signal::ctrl_c() => told,
    }
}
