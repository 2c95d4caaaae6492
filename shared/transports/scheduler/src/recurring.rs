//! Schedules that recur.

use aws_sdk_scheduler::{
    operation::get_schedule::GetScheduleOutput,
    primitives::DateTime,
    types::{ActionAfterCompletion, ScheduleState, Target},
};
use errand_core::{Envelope, PublishError, Recurrence, Schedule, Schedules, Timestamp};
use errand_http::aws::Failure;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    EventBridgeScheduler,
    expression::{describe, expression, recurrence},
    scheduler::{SERVICE, at_once, is},
};

/// Tells these schedules from those of delays, which are in the same group.
const PREFIX: &str = "r.";

/// What the service puts in the place of this: the time of the run, and not the time at which it is fired.
/// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html>
const TIME: &str = "<aws.scheduler.scheduled-time>";

/// Calls that are under way together.
const CONCURRENCY: usize = 16;

/// A call that says all of a schedule. The two that do have builders of their own, with the same words.
macro_rules! whole {
    ($scheduler:ident, $call:ident, $schedule:ident) => {{
        let call = $scheduler.client().$call().group_name(&$scheduler.group).name(named(&$schedule.name));
        let call = call.schedule_expression(expression(&$schedule.recurrence)).schedule_expression_timezone(&$schedule.timezone);
        let call = call
            .description(describe(&$schedule.recurrence))
            .state(state($schedule))
            .set_start_date(start($schedule, $scheduler.clock.now()));
        let call = call.action_after_completion(ActionAfterCompletion::None).set_flexible_time_window(at_once());
        call.target($scheduler.run($schedule)?)
    }};
}

impl Schedules for EventBridgeScheduler {
    async fn create(&self, schedule: &Schedule) -> Result<bool, PublishError> {
        match whole!(self, create_schedule, schedule).send().await {
            Ok(_) => Ok(true),
            Err(error) => unless(&Failure::of(&error), "ConflictException"),
        }
    }

    async fn get(&self, name: &str) -> Result<Option<Schedule>, PublishError> {
        Ok(self.find(name).await?.and_then(|found| self.read(name, &found)))
    }

    async fn list(&self, limit: usize, cursor: Option<&str>) -> Result<(Vec<Schedule>, Option<String>), PublishError> {
        let call = self.client().list_schedules().group_name(&self.group).name_prefix(PREFIX);
        let call = call.max_results(i32::try_from(limit).unwrap_or(i32::MAX)).set_next_token(cursor.map(ToOwned::to_owned));
        let page = call.send().await.map_err(|error| Failure::of(&error).to_publish(SERVICE))?;
        let names: Vec<String> =
            page.schedules().iter().filter_map(|found| found.name()?.strip_prefix(PREFIX)).map(ToOwned::to_owned).collect();
        let schedules = stream::iter(names).map(async |name| self.get(&name).await).buffered(CONCURRENCY);
        Ok((schedules.try_filter_map(async |found| Ok(found)).try_collect().await?, page.next_token))
    }

    async fn delete(&self, name: &str) -> Result<bool, PublishError> {
        match self.client().delete_schedule().group_name(&self.group).name(named(name)).send().await {
            Ok(_) => Ok(true),
            Err(error) => unless(&Failure::of(&error), "ResourceNotFoundException"),
        }
    }

    async fn update(&self, schedule: &Schedule) -> Result<bool, PublishError> {
        // It replaces everything: what is not said gets its default.
        // <https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html>
        match whole!(self, update_schedule, schedule).send().await {
            Ok(_) => Ok(true),
            Err(error) => unless(&Failure::of(&error), "ResourceNotFoundException"),
        }
    }
}

impl EventBridgeScheduler {
    /// What each run does.
    fn run(&self, schedule: &Schedule) -> Result<Target, PublishError> {
        self.target(&Envelope { id: schedule.run_id_of(TIME), ..schedule.envelope.clone() })
    }

    async fn find(&self, name: &str) -> Result<Option<GetScheduleOutput>, PublishError> {
        match self.client().get_schedule().group_name(&self.group).name(named(name)).send().await {
            Ok(found) => Ok(Some(found)),
            Err(error) => match Failure::of(&error) {
                failure if is(&failure, "ResourceNotFoundException") => Ok(None),
                failure => Err(failure.to_publish(SERVICE)),
            },
        }
    }

    /// The schedule, if it is one that we made.
    fn read(&self, name: &str, found: &GetScheduleOutput) -> Option<Schedule> {
        let recurrence = recurrence(found.description()?)?;
        let since = |time: &DateTime| Timestamp::from_millis(time.secs() * 1000);
        let since = match &recurrence {
            Recurrence::Rate(rate) => found.start_date().map(|first| since(first) - rate.interval()),
            Recurrence::Cron(_) => found.creation_date().map(since),
        };
        Some(Schedule {
            name: name.to_owned(),
            recurrence,
            timezone: found.schedule_expression_timezone().unwrap_or("UTC").to_owned(),
            since: since.unwrap_or_else(|| self.clock.now()),
            paused: found.state() == Some(&ScheduleState::Disabled),
            envelope: errand_wire::native::decode(found.target()?.input()?, name).ok()?,
        })
    }
}

fn named(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn state(schedule: &Schedule) -> ScheduleState {
    if schedule.paused { ScheduleState::Disabled } else { ScheduleState::Enabled }
}

/// The next time of a rate, since the service would begin at once, and takes no start of more than five minutes ago.
fn start(schedule: &Schedule, now: Timestamp) -> Option<DateTime> {
    match schedule.recurrence {
        Recurrence::Rate(rate) => Some(DateTime::from_secs(rate.next(schedule.since, now).seconds())),
        Recurrence::Cron(_) => None,
    }
}

/// The answer to a call that failed: `false` for the code that says why there is nothing to do.
fn unless(failure: &Failure, code: &str) -> Result<bool, PublishError> {
    match failure {
        failure if is(failure, code) => Ok(false),
        // What we send is checked before, but that the service knows each of the zones that we know.
        failure if is(failure, "ValidationException") => {
            Err(PublishError::Refused("EventBridge Scheduler refused the schedule: does it know the timezone?".to_owned()))
        }
        failure => Err(failure.to_publish(SERVICE)),
    }
}
