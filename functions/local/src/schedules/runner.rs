//! Sends what schedules say when its time has come.

use std::time::Duration;

use errand_core::{Dispatch, Envelope, StorageError, Timestamp};
use tokio::{sync::watch, time::sleep};

use super::LocalSchedules;

/// How long to wait at least.
const SHORTEST: Duration = Duration::from_millis(10);

/// How long to wait when the database does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Works until `stop` says true.
pub(crate) async fn run(schedules: LocalSchedules, dispatch: Dispatch, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let next = match run_due(&schedules, &dispatch).await {
            Ok(next) => next.map_or(Duration::MAX, |at| at.since(Timestamp::now()).max(SHORTEST)),
            Err(error) => {
                tracing::error!(%error, "schedules wait: the database does not answer");
                PAUSE
            }
        };
        tokio::select! {
            () = schedules.changed() => {}
            () = sleep(next) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

/// Runs what is due; answers when the next run is. A run is sent before it is noted: one that is sent twice has the same id twice, and runs once.
pub(super) async fn run_due(schedules: &LocalSchedules, dispatch: &Dispatch) -> Result<Option<Timestamp>, StorageError> {
    let now = Timestamp::now();
    for (schedule, at) in schedules.due(now).await? {
        let mut envelope = Envelope { id: schedule.run_id(at), ..schedule.envelope };
        match dispatch.publish(&mut envelope, now).await {
            Ok(_) => {}
            Err(error) if error.passes() => return Err(StorageError(error.to_string())),
            // It would never be taken: the other schedules do not wait for it.
            Err(error) => tracing::error!(id = envelope.id, %error, "a schedule's run is left out"),
        }
        schedules.ran(&schedule.name, at).await?;
    }
    schedules.next_at().await
}
