//! Relays the events that an application writes into a table of its own database, as the function `outbox` relays those of a stream.

#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;
mod table;

use std::{error::Error, io::IsTerminal, iter::zip, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use errand_core::{
    Clock, Dispatch, DynQueue, Environment, Init, Invocation, Queues, Secret, Timestamp, Transport,
    settings::all::{OUTBOX_DATABASE, QUEUE_URL},
};
use errand_http::Client;
use errand_relay::{Event, Fate, Holds, Patience, Relay};
use errand_runtime::TokioClock;
use errand_store_sqlite::{Database, SqliteQueue};
use errand_transport_sqs::{SqsQueue, SqsTransport};
use tokio::{sync::watch, time::sleep};

use self::table::{Held, Part, Row, Table, TableName};
use crate::{
    backends::backends,
    client::{say, tell},
    queues, serve, settings, system,
};

/// How long a batch may take.
const LONGEST: Duration = Duration::from_secs(60);

/// How often to look for events where there are none.
const PAUSE: Duration = Duration::from_secs(1);

/// How long to wait at most before what waits is tried again; doubling from [`PAUSE`].
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Publish the events that an application writes into a table of its database.
///
/// In order per key, at least once: a row is deleted when the transport has taken it, or when it is a dead letter. They go to the transport that a route of their type says, else to ERRAND_TRANSPORT,
/// and without that to our own queue: SQS where ERRAND_QUEUE_URL names it, else the one in the data folder. An event that cannot be published waits and holds its key, or is buried at once: ERRAND_OUTBOX_FAILURE says which.
#[derive(Args)]
#[command(
    after_help = r#"Where nothing says otherwise it goes on until it is told to stop. With --once it ends with 1 when an event waits.

Examples:
  errand outbox shop.sqlite3 --create                                # the table, once
  errand outbox shop.sqlite3
  ERRAND_OUTBOX_DATABASE=postgres://shop@db/shop errand outbox --part 1/2
  ERRAND_OUTBOX_DATABASE=secretsmanager:shop/db#url ERRAND_TRANSPORT=partner errand outbox --once"#
)]
pub(crate) struct Outbox {
    /// The file of a SQLite database; without it ERRAND_OUTBOX_DATABASE, which may be a postgres:// URL. That is no option: options are seen by everybody on the machine
    database: Option<String>,
    /// The table
    #[arg(long, value_name = "TABLE", default_value = "errand_outbox")]
    table: TableName,
    /// Of several relays of a table, which keys this one is for: 1/2 and 2/2 have all keys between them. Another one for the same waits, and takes over
    #[arg(long, value_name = "PART/PARTS", default_value = "1/1")]
    part: Part,
    /// Publish what there is, and end
    #[arg(long)]
    once: bool,
    /// Make the table, if it is not there, and end
    #[arg(long, conflicts_with = "once")]
    create: bool,
    /// The folder of the queue and of dead letters, where they are on this machine
    #[arg(long, value_name = "FOLDER", default_value = ".errand")]
    data: PathBuf,
}

/// How many events ended, and wait.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    published: usize,
    buried: usize,
    waiting: usize,
}

impl Outbox {
    pub(crate) async fn run(&self, env: &Environment) -> Result<(), Box<dyn Error>> {
        let env = &settings::whole(env).await?;
        settings::check_own(env)?;
        let database = match &self.database {
            Some(file) => Secret::new(file.as_str()),
            None => settings::secret(env, &OUTBOX_DATABASE, |database| Ok(database.clone()))
                .await?
                .ok_or("which database? Name the file of one, or set ERRAND_OUTBOX_DATABASE")?,
        };
        if self.create {
            return Ok(Table::open(&database, &self.table).await?.create().await?);
        }
        let relay = self.relay(env).await?;
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            let _ = serve::told_to_stop().await;
            stop.send_replace(true);
        });
        let mut first = true;
        while !*stopped.borrow() {
            match self.work(&database, &relay, stopped.clone()).await {
                Ok(()) => return Ok(()),
                // What was never there is for who started it to mend; what is gone may come back.
                Err(error) if first || self.once => return Err(error.into()),
                Err(error) => tell(&format!("{error}: opening it again")),
            }
            first = false;
            pause(LONGEST_PAUSE / 6, &stopped).await;
        }
        Ok(())
    }

    /// Relays until it is told to stop, or the database fails.
    async fn work(&self, database: &Secret, relay: &Relay, stopped: watch::Receiver<bool>) -> Result<(), String> {
        let mut table = Table::open(database, &self.table).await?;
        let slots = self.part.slots();
        // Whether there is such a table, before anything waits for another relay of it.
        table.take(&[], &Held::default()).await.map_err(|error| format!("{error}: --create makes the table {}", self.table))?;
        for slot in &slots {
            self.lock(&mut table, *slot, &stopped).await?;
        }
        let (mut wait, mut told) = (PAUSE, Counts::default());
        while !*stopped.borrow() {
            let counts = pass(&table, relay, &slots, &stopped).await?;
            if counts.published + counts.buried > 0 || counts != told {
                report(counts);
            }
            told = Counts { published: 0, buried: 0, ..counts };
            if self.once {
                return if counts.waiting == 0 { Ok(()) } else { Err(format!("{} wait", counts.waiting)) };
            }
            wait = if counts.waiting > 0 { (wait * 2).min(LONGEST_PAUSE) } else { PAUSE };
            pause(wait, &stopped).await;
        }
        Ok(())
    }

    /// Takes a group of keys, as soon as no other relay has it.
    async fn lock(&self, table: &mut Table, slot: u8, stopped: &watch::Receiver<bool>) -> Result<(), String> {
        let mut told = false;
        while !*stopped.borrow() && !table.lock(slot).await? {
            if self.once {
                return Err("another relay has keys of this part".to_owned());
            }
            if !std::mem::replace(&mut told, true) {
                tell("another relay has keys of this part: waiting until it ends");
            }
            pause(PAUSE, stopped).await;
        }
        Ok(())
    }

    /// What hands events over: to the queues and dead letters of a deployment, or to those of this machine.
    async fn relay(&self, env: &Environment) -> Result<Relay, Box<dyn Error>> {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock);
        let cx = Init::default().with(Invocation::from_env(env)?).with(Client::new());
        let (dispatch, queue): (Dispatch, Arc<dyn DynQueue>) = if env.has(&QUEUE_URL) {
            let cx = system::init(env, cx.with(Queues::from_env(env)?), Some(QUEUE_URL.name)).await?;
            let queue = SqsQueue::new(env, cx.shared()?)?;
            (Dispatch::from_env(env, backends, SqsTransport::BACKEND, &cx)?, Arc::new(queue))
        } else {
            std::fs::create_dir_all(&self.data).map_err(|error| format!("cannot use the data folder {}: {error}", self.data.display()))?;
            let database = Database::open(&self.data.join("errand.sqlite3")).await?;
            let queues::Queues { ours, foreign } = queues::Queues::from_env(env)?;
            let queue = SqliteQueue::new(database).with_queues(ours.into_keys(), foreign.into_iter());
            let cx = system::init(env, cx.with(queue.clone()), None).await?;
            (Dispatch::from_env(env, backends, SqliteQueue::BACKEND, &cx)?, Arc::new(queue))
        };
        let payloads = errand_payloads::payloads().with_transports(dispatch.transports()).with_routes(env)?;
        Ok(Relay { dispatch, payloads, queue, clock, patience: Patience::from_env(env)? })
    }
}

/// Publishes all that can be published now; what waits holds its key.
async fn pass(table: &Table, relay: &Relay, slots: &[u8], stopped: &watch::Receiver<bool>) -> Result<Counts, String> {
    let (mut counts, mut held) = (Counts::default(), Held::default());
    while !*stopped.borrow() {
        let rows = table.take(slots, &held).await?;
        let events: Vec<Event> = rows.iter().map(Row::event).collect();
        let fates = relay.relay(&events, Holds::Key, Timestamp::now() + LONGEST).await;
        let ended: Vec<i64> = zip(&rows, &fates).filter(|(_, fate)| fate.ended()).map(|(row, _)| row.position).collect();
        table.forget(&ended).await?;
        let count = |wanted: Fate| fates.iter().filter(|fate| **fate == wanted).count();
        counts.published += count(Fate::Published);
        counts.buried += count(Fate::Buried);
        counts.waiting += count(Fate::Waits);
        zip(&rows, &fates).filter(|(_, fate)| **fate == Fate::Waits).for_each(|(row, _)| held.add(row));
        // Where nothing at all moves, others would not either.
        if ended.is_empty() {
            break;
        }
    }
    Ok(counts)
}

async fn pause(duration: Duration, stopped: &watch::Receiver<bool>) {
    let mut stopped = stopped.clone();
    tokio::select! {
        () = sleep(duration) => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

fn report(Counts { published, buried, waiting }: Counts) {
    if std::io::stdout().is_terminal() {
        say(&format!("{published} published, {buried} dead letters, {waiting} wait"));
    } else {
        say(&format!(r#"{{"published":{published},"buried":{buried},"waiting":{waiting}}}"#));
    }
}
