use std::future::Future;

use crate::{Envelope, PublishError, Recurrence, Timestamp};

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
    /// From when a [`Recurrence::Rate`] counts, to the second: its first run is one interval later.
    pub since: Timestamp,
    /// Whether it runs nothing until it is resumed.
    pub paused: bool,
    /// What is run. Each run's id is made of the schedule's name and the run's time, so that one that fires twice runs once.
    pub envelope: Envelope,
}

impl Schedule {
    /// The id of the run that was due at a time, to the second.
    #[must_use]
    pub fn run_id(&self, at: Timestamp) -> String {
        let time = at.to_string();
        self.run_id_of(&format!("{}Z", time.split('.').next().unwrap_or_default()))
    }

    /// The id of the run at a time that is text: RFC 3339, to the second for a run that was due.
    #[must_use]
    pub fn run_id_of(&self, time: &str) -> String {
        format!("{}@{time}", self.name)
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
    /// Puts a schedule in the place of the one of its name; what was due in a pause is not made up for. Answers whether there is one.
    fn update(&self, schedule: &Schedule) -> impl Future<Output = Result<bool, PublishError>> + Send;
}

crate::erased! {
    /// [`Schedules`] with its type erased.
    DynSchedules of Schedules {
        fn create(schedule: &'a Schedule) -> Result<bool, PublishError>;
        fn get(name: &'a str) -> Result<Option<Schedule>, PublishError>;
        fn list(limit: usize, cursor: Option<&'a str>) -> Result<(Vec<Schedule>, Option<String>), PublishError>;
        fn delete(name: &'a str) -> Result<bool, PublishError>;
        fn update(schedule: &'a Schedule) -> Result<bool, PublishError>;
    }
}
