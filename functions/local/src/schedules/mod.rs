//! Schedules on one machine, with the rules of EventBridge Scheduler.

mod runner;
mod table;

pub(crate) use runner::run;
pub(crate) use table::LocalSchedules;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use errand_core::{Dispatch, Lookup as _, Recurrence, Schedules as _, Timestamp};
    use errand_store_sqlite::{Database, SqliteQueue};
    use errand_testkit::schedules::{conformance, schedule};

    use super::*;

    struct World {
        _folder: tempfile::TempDir,
        database: Database,
        queue: SqliteQueue,
        schedules: LocalSchedules,
        dispatch: Dispatch,
    }

    async fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("errand.sqlite3")).await.unwrap();
        let queue = SqliteQueue::new(database.clone());
        let schedules = LocalSchedules::new(database.clone());
        let dispatch = Dispatch::of("local", Arc::new(queue.clone()));
        World { _folder: folder, database, queue, schedules, dispatch }
    }

    impl World {
        async fn set_next(&self, at: Timestamp) {
            let set = move |connection: &rusqlite::Connection| {
                connection.execute("UPDATE schedules SET next_at = ?1 WHERE next_at IS NOT NULL", [at.millis()])
            };
            self.database.write(set).await.unwrap();
        }

        async fn sent(&self) -> Vec<String> {
            let messages = self.queue.receive("default", 100, std::time::Duration::from_secs(60)).await.unwrap();
            messages.iter().map(|message| errand_wire::native::decode(&message.body, "x").unwrap().id).collect()
        }
    }

    #[tokio::test]
    async fn it_keeps_the_contract_of_schedules() {
        conformance(&world().await.schedules, 2).await;
    }

    #[tokio::test]
    async fn each_run_has_an_id_made_of_schedule_and_time_and_is_sent_once() {
        let world = world().await;
        let minutely = || Recurrence::Cron("* * * * *".parse().unwrap());
        world.schedules.create(&schedule("pulse", minutely())).await.unwrap();
        world.schedules.create(&errand_core::Schedule { paused: true, ..schedule("resting", minutely()) }).await.unwrap();
        let next = runner::run_due(&world.schedules, &world.dispatch).await.unwrap().unwrap();
        assert!(next > Timestamp::now() && next.seconds() % 60 == 0);
        assert!(world.sent().await.is_empty(), "nothing is due yet");
        let due = Timestamp::from_millis(next.millis() - 60_000);
        world.set_next(due).await;
        assert_eq!(runner::run_due(&world.schedules, &world.dispatch).await.unwrap(), Some(next));
        let id = format!("pulse@{}", due.to_string().replace(".000Z", "Z"));
        assert_eq!(world.sent().await, std::slice::from_ref(&id));
        assert!(errand_core::limits::id(&id).is_ok());
        // A process that dies between sending and noting sends again, under the same id.
        world.set_next(due).await;
        runner::run_due(&world.schedules, &world.dispatch).await.unwrap();
        assert_eq!(world.sent().await, [id]);
        let store = errand_store_sqlite::SqliteStore::new(world.database.clone());
        assert_eq!(store.get("resting").await.map(|known| known.is_none()), Ok(true));
    }

    #[tokio::test]
    async fn what_went_by_while_nothing_ran_is_one_run() {
        let world = world().await;
        world.schedules.create(&schedule("pulse", Recurrence::Cron("* * * * *".parse().unwrap()))).await.unwrap();
        let next = runner::run_due(&world.schedules, &world.dispatch).await.unwrap().unwrap();
        world.set_next(Timestamp::from_millis(next.millis() - 366 * 24 * 60 * 60_000)).await;
        runner::run_due(&world.schedules, &world.dispatch).await.unwrap();
        let last = Timestamp::from_millis(next.millis() - 60_000).to_string().replace(".000Z", "Z");
        assert_eq!(world.sent().await, [format!("pulse@{last}")]);
    }

    #[tokio::test]
    async fn a_change_of_what_is_run_loses_no_run_and_one_of_when_begins_anew() {
        let world = world().await;
        let pulse = schedule("pulse", Recurrence::Cron("* * * * *".parse().unwrap()));
        world.schedules.create(&pulse).await.unwrap();
        let next = runner::run_due(&world.schedules, &world.dispatch).await.unwrap().unwrap();
        let due = Timestamp::from_millis(next.millis() - 60_000);
        let more = errand_core::Envelope { max_attempts: Some(9), ..pulse.envelope.clone() };
        for (change, sent) in [
            (errand_core::Schedule { envelope: more, ..pulse.clone() }, vec![pulse.run_id(due)]),
            (errand_core::Schedule { recurrence: Recurrence::Cron("@yearly".parse().unwrap()), ..pulse.clone() }, vec![]),
            (errand_core::Schedule { paused: true, ..pulse.clone() }, vec![]),
            (pulse.clone(), vec![]),
        ] {
            world.set_next(due).await;
            world.schedules.update(&change).await.unwrap();
            runner::run_due(&world.schedules, &world.dispatch).await.unwrap();
            assert_eq!(world.sent().await, sent, "{change:?}");
        }
    }
}
