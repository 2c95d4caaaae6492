//! Schedules that recur.

use aws_sdk_scheduler::{
    operation::get_schedule::GetScheduleOutput,
    primitives::DateTime,
    types::{ActionAfterCompletion, ScheduleState},
};
use errand_core::{PublishError, Recurrence, Schedule, Schedules, Timestamp};
use errand_http::aws::Failure;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    EventBridgeScheduler,
    expression::{describe, expression, recurrence},
    scheduler::{at_once, is, publish_error},
};

/// Tells these schedules from those of delays, which are in the same group.
const PREFIX: &str = "r.";

/// What the service puts in the place of this: the time of the run, and not the time at which it is fired.
/// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html>
const TIME: &str = "<aws.scheduler.scheduled-time>";

/// Calls that are under way together.
const CONCURRENCY: usize = 16;

impl Schedules for EventBridgeScheduler {
    async fn create(&self, schedule: &Schedule) -> Result<bool, PublishError> {
        let mut envelope = schedule.envelope.clone();
        envelope.id = Schedule::run_id(&schedule.name, TIME);
        let call = self.client.create_schedule().group_name(&self.group).name(named(&schedule.name));
        let call = call.schedule_expression(expression(&schedule.recurrence)).schedule_expression_timezone(&schedule.timezone);
        let call =
            call.description(describe(&schedule.recurrence)).state(state(schedule.paused)).set_start_date(start(&schedule.recurrence));
        let call = call.action_after_completion(ActionAfterCompletion::None).set_flexible_time_window(at_once());
        match call.target(self.target(&envelope)?).send().await {
            Ok(_) => Ok(true),
            Err(error) => match Failure::of(&error) {
                failure if is(&failure, "ConflictException") => Ok(false),
                // What we send is checked before, but for the name of the zone, which only the service knows.
                failure if is(&failure, "ValidationException") => Err(PublishError::Refused(
                    "EventBridge Scheduler refused the schedule: is the timezone one that the IANA names?".to_owned(),
                )),
                failure => Err(publish_error(&failure)),
            },
        }
    }

    async fn get(&self, name: &str) -> Result<Option<Schedule>, PublishError> {
        Ok(self.find(name).await?.and_then(|found| self.read(name, &found)))
    }

    async fn list(&self, limit: usize, cursor: Option<&str>) -> Result<(Vec<Schedule>, Option<String>), PublishError> {
        let call = self.client.list_schedules().group_name(&self.group).name_prefix(PREFIX);
        let call = call.max_results(i32::try_from(limit).unwrap_or(i32::MAX)).set_next_token(cursor.map(ToOwned::to_owned));
        let page = call.send().await.map_err(|error| publish_error(&Failure::of(&error)))?;
        let names: Vec<String> =
            page.schedules().iter().filter_map(|found| found.name()?.strip_prefix(PREFIX)).map(ToOwned::to_owned).collect();
        let schedules = stream::iter(names).map(async |name| self.get(&name).await).buffered(CONCURRENCY);
        Ok((schedules.try_filter_map(async |found| Ok(found)).try_collect().await?, page.next_token))
    }

    async fn delete(&self, name: &str) -> Result<bool, PublishError> {
        match self.client.delete_schedule().group_name(&self.group).name(named(name)).send().await {
            Ok(_) => Ok(true),
            Err(error) => match Failure::of(&error) {
                failure if is(&failure, "ResourceNotFoundException") => Ok(false),
                failure => Err(publish_error(&failure)),
            },
        }
    }

    async fn pause(&self, name: &str, paused: bool) -> Result<bool, PublishError> {
        let Some(found) = self.find(name).await? else { return Ok(false) };
        let recurrence = found.description().and_then(recurrence);
        let start = found.start_date().copied().map(|start| ahead(start, recurrence.as_ref(), Timestamp::now()));
        // An update replaces everything.
        let call = self.client.update_schedule().group_name(&self.group).name(named(name)).state(state(paused));
        let call =
            call.set_schedule_expression(found.schedule_expression).set_schedule_expression_timezone(found.schedule_expression_timezone);
        let call = call.set_description(found.description).set_start_date(start).set_target(found.target);
        let call = call.set_flexible_time_window(at_once()).set_action_after_completion(found.action_after_completion);
        call.send().await.map(|_| true).map_err(|error| publish_error(&Failure::of(&error)))
    }
}

impl EventBridgeScheduler {
    async fn find(&self, name: &str) -> Result<Option<GetScheduleOutput>, PublishError> {
        match self.client.get_schedule().group_name(&self.group).name(named(name)).send().await {
            Ok(found) => Ok(Some(found)),
            Err(error) => match Failure::of(&error) {
                failure if is(&failure, "ResourceNotFoundException") => Ok(None),
                failure => Err(publish_error(&failure)),
            },
        }
    }

    /// The schedule, if it is one that we made.
    fn read(&self, name: &str, found: &GetScheduleOutput) -> Option<Schedule> {
        Some(Schedule {
            name: name.to_owned(),
            recurrence: recurrence(found.description()?)?,
            timezone: found.schedule_expression_timezone().unwrap_or("UTC").to_owned(),
            paused: found.state() == Some(&ScheduleState::Disabled),
            envelope: (self.decode)(found.target()?.input()?, name).ok()?,
        })
    }
}

fn named(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn state(paused: bool) -> ScheduleState {
    if paused { ScheduleState::Disabled } else { ScheduleState::Enabled }
}

/// A rate's first run is one interval from now, as on one machine; the service would begin at once.
fn start(recurrence: &Recurrence) -> Option<DateTime> {
    match recurrence {
        Recurrence::Rate(rate) => Some(DateTime::from_secs((Timestamp::now() + rate.interval()).seconds())),
        Recurrence::Cron(_) => None,
    }
}

/// A start that is over, moved by whole intervals to the next time that it stands for: the service takes no start of more than five minutes ago.
fn ahead(start: DateTime, recurrence: Option<&Recurrence>, now: Timestamp) -> DateTime {
    let Some(Recurrence::Rate(rate)) = recurrence else { return start };
    let interval = i64::try_from(rate.interval().as_secs()).unwrap_or(i64::MAX);
    let over = now.seconds() - start.secs();
    if over < 0 { start } else { DateTime::from_secs(start.secs() + (over / interval + 1) * interval) }
}
