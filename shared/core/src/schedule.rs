use std::future::Future;

use crate::{Envelope, PublishError, Recurrence};

/// What is to be run again and again.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its name: see [`limits::schedule`](crate::limits::schedule).
    pub name: String,
    /// When.
    pub recurrence: Recurrence,
    /// The zone whose clock a [`Recurrence::Cron`] goes by, as the IANA names it: `Europe/Berlin`. A time that does not exist on the day that the
    /// clock is put forward is left out; one that exists twice when it is put back runs once, the first time.
    /// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#daylist-savings-time>
    pub timezone: String,
    /// Whether it runs nothing until it is resumed.
    pub paused: bool,
    /// What is run. Each run's id is made of the schedule's name and the run's time, so that one that fires twice runs once.
    pub envelope: Envelope,
}

impl Schedule {
    /// The id of the run at a time, as RFC 3339 to the second.
    #[must_use]
    pub fn run_id(name: &str, time: &str) -> String {
        format!("{name}@{time}")
    }
}

/// Keeps schedules and runs them.
pub trait Schedules: Send + Sync + 'static {
    /// Begins a schedule; answers whether there was none of this name, in which case nothing is changed.
    fn create(&self, schedule: &Schedule) -> impl Future<Output = Result<bool, PublishError>> + Send;
    /// The schedule of this name.
    fn get(&self, name: &str) -> impl Future<Output = Result<Option<Schedule>, PublishError>> + Send;
    /// Up to `limit` schedules by name, from `cursor` on; and where to go on.
    fn list(
        &self,
        limit: usize,
        cursor: Option<&str>,
    ) -> impl Future<Output = Result<(Vec<Schedule>, Option<String>), PublishError>> + Send;
    /// Ends a schedule; answers whether there was one.
    fn delete(&self, name: &str) -> impl Future<Output = Result<bool, PublishError>> + Send;
    /// Pauses or resumes a schedule; what was due in a pause is not made up for. Answers whether there is one.
    fn pause(&self, name: &str, paused: bool) -> impl Future<Output = Result<bool, PublishError>> + Send;
}
