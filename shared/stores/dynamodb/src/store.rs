use aws_sdk_dynamodb::{
    Client,
    operation::{
        put_item::PutItemError,
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use errand_core::{
    Begin, Change, Claim, Envelope, Environment, Filter, Finish, Header, Json, Outcome, Page, Report, Status, Store, StoreError, TaskError,
    TaskResult, Timestamp, settings::all::TABLE,
};
use errand_http::aws::{Failure, SdkConfig};

use crate::item::{self, Conditions, Item, Reader, number, text, time};

/// What no attempt holds: it waits, or whoever had it was not heard of in time.
const FREE: &str = "#status IN (:ready, :scheduled) OR (#status = :running AND lease_until <= :now)";

/// Appends failures.
const ERRORS: &str = ", errors = list_append(if_not_exists(errors, :none), :errors)";

/// What is known of an id.
type Known = (TaskResult, Header);

/// The store in a table. Clones share a client.
#[derive(Clone)]
pub struct DynamoStore {
    pub(crate) client: Client,
    pub(crate) table: String,
}

/// A conditional write: done, or the item that stood in its way, if there is one.
type Written = Result<Item, Option<Item>>;

impl DynamoStore {
    /// The store in the table of this name.
    #[must_use]
    pub fn new(sdk: &SdkConfig, table: &str) -> Self {
        Self { client: Client::new(sdk), table: table.to_owned() }
    }

    /// The store that `ERRAND_TABLE` names, if it is set.
    #[must_use]
    pub fn from_env(env: &Environment, sdk: &SdkConfig) -> Option<Self> {
        Some(Self::new(sdk, env.get(&TABLE)?))
    }

    async fn item(&self, id: &str) -> Result<Option<Item>, StoreError> {
        let told = self.client.get_item().table_name(&self.table).key("id", text(id)).consistent_read(true).send().await;
        Ok(told.map_err(|error| failed(&Failure::of(&error)))?.item)
    }

    fn update(&self, id: &str, set: &str, condition: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("id", text(id))
            .update_expression(set)
            .condition_expression(condition)
            .expression_attribute_names("#status", "status")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// The write that notes an outcome where the condition holds.
    fn outcome(&self, id: &str, outcome: &Outcome, condition: &str, now: Timestamp) -> UpdateItemFluentBuilder {
        let mut set = "SET #status = :status, #ttl = :ttl".to_owned();
        if outcome.status().ended() {
            set.push_str(", finished_at = :now");
        }
        match outcome {
            Outcome::Succeeded(_) => set.push_str(", return_value = :value"),
            Outcome::Retry { .. } => {
                set.push_str(ERRORS);
                set.push_str(", done = :done, spared = spared + :spared, next_attempt_at = :at");
            }
            Outcome::Failed { .. } => {
                set.push_str(ERRORS);
                set.push_str(", done = :done");
            }
            Outcome::Expired => {}
            Outcome::Handed { .. } => set.push_str(", lease_until = :until"),
            Outcome::Started { .. } => set.push_str(", workers = list_append(workers, :worker)"),
        }
        let mut update = self
            .update(id, &set, condition)
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":status", status(outcome.status()))
            .expression_attribute_values(":running", status(Status::Running))
            .expression_attribute_values(":ttl", item::ttl(now));
        if outcome.status().ended() {
            update = update.expression_attribute_values(":now", time(now));
        }
        let errors = match outcome {
            Outcome::Retry { error, .. } => error.as_slice(),
            Outcome::Failed { errors, .. } => errors,
            _ => &[],
        };
        if matches!(outcome, Outcome::Retry { .. } | Outcome::Failed { .. }) {
            update =
                update.expression_attribute_values(":errors", item::errors(errors)).expression_attribute_values(":none", item::nothing());
        }
        match outcome {
            Outcome::Succeeded(value) => update.expression_attribute_values(":value", text(value.get())),
            Outcome::Retry { progress, counts, at, .. } => update
                .expression_attribute_values(":at", time(*at))
                .expression_attribute_values(":done", item::progress(progress))
                .expression_attribute_values(":spared", number(u32::from(!counts))),
            Outcome::Handed { until } => update.expression_attribute_values(":until", time(*until)),
            Outcome::Started { worker } => update.expression_attribute_values(":worker", item::workers(worker)),
            Outcome::Failed { progress, .. } => update.expression_attribute_values(":done", item::progress(&progress.at_the_end())),
            Outcome::Expired => update,
        }
    }
}

/// Changes what may be changed; `alive` is the time from which on the record is kept for long enough.
async fn change(update: UpdateItemFluentBuilder, alive: Timestamp) -> Result<Change, StoreError> {
    let update = update
        .expression_attribute_names("#ttl", "ttl")
        .expression_attribute_values(":ttl", item::ttl(alive))
        .return_values(ReturnValue::AllNew);
    match write(update).await? {
        Ok(new) => Ok(Change::Changed(Reader(&new).result()?)),
        Err(Some(old)) => Ok(Change::Refused(Reader(&old).result()?)),
        Err(None) => Ok(Change::Unknown),
    }
}

async fn write(update: UpdateItemFluentBuilder) -> Result<Written, StoreError> {
    // On the heap: the call's state takes kilobytes, which would be moved with every future around it.
    match Box::pin(update.send()).await {
        Ok(told) => Ok(Ok(told.attributes.unwrap_or_default())),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(stood)) => Ok(Err(stood.item.clone().filter(|item| !item.is_empty()))),
            _ => Err(failed(&Failure::of(&error))),
        },
    }
}

pub(crate) fn failed(failure: &Failure) -> StoreError {
    StoreError(format!("DynamoDB: {failure}"))
}

fn status(status: Status) -> AttributeValue {
    text(status.as_str())
}

/// The values that [`FREE`] compares with.
fn free(update: UpdateItemFluentBuilder, now: Timestamp) -> UpdateItemFluentBuilder {
    update
        .expression_attribute_values(":ready", status(Status::Ready))
        .expression_attribute_values(":scheduled", status(Status::Scheduled))
        .expression_attribute_values(":running", status(Status::Running))
        .expression_attribute_values(":now", time(now))
}

impl Store for DynamoStore {
    async fn register(&self, envelope: &Envelope, state: Status, backend: &str, now: Timestamp) -> Result<Option<Known>, StoreError> {
        let mut put = self.client.put_item().table_name(&self.table);
        put = put
            .condition_expression("attribute_not_exists(id) OR (unsent = :true AND fingerprint <> :fingerprint)")
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .expression_attribute_values(":fingerprint", text(envelope.content().to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .item("id", text(&envelope.id))
            .item("status", status(state))
            .item("ttl", item::ttl(envelope.run_after.unwrap_or(now).max(now)));
        for (name, value) in item::lasting(envelope, &TaskResult::new(envelope, state, backend, now)) {
            put = put.item(name, value);
        }
        match put.send().await {
            Ok(_) => Ok(None),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(stood)) => match &stood.item {
                    Some(item) => Reader(item).known().map(Some),
                    None => Err(StoreError("DynamoDB: a record is there and not told".to_owned())),
                },
                _ => Err(failed(&Failure::of(&error))),
            },
        }
    }

    async fn sent(&self, envelope: &Envelope, failed: Option<&TaskError>) -> Result<(), StoreError> {
        const WAITS: &str = "fingerprint = :fingerprint AND NOT #status IN (:successful, :failed, :cancelled, :expired)";
        let id = &envelope.id;
        let update = match failed {
            Some(error) => self
                .update(id, &format!("SET unsent = :true{ERRORS}"), &format!("{WAITS} AND attribute_not_exists(attempts)"))
                .expression_attribute_values(":true", AttributeValue::Bool(true))
                .expression_attribute_values(":errors", item::errors(std::slice::from_ref(error)))
                .expression_attribute_values(":none", item::nothing()),
            None => self
                .update(id, "SET header = :header REMOVE unsent", WAITS)
                .expression_attribute_values(":header", text(Conditions::of(envelope))),
        };
        let ended = [Status::Successful, Status::Failed, Status::Cancelled, Status::Expired];
        let update = ended
            .into_iter()
            .fold(update, |update, ended| update.expression_attribute_values(format!(":{}", ended.as_str().to_lowercase()), status(ended)));
        write(update.expression_attribute_values(":fingerprint", text(envelope.content().to_string()))).await.map(drop)
    }

    async fn begin(&self, claim: &Claim<'_>) -> Result<Begin, StoreError> {
        let mut set = "SET #status = :running, lease_until = :lease, attempts = if_not_exists(attempts, :zero) + :one, \
                       started_at = if_not_exists(started_at, :now), last_attempted_at = :now, #ttl = :ttl, \
                       workers = list_append(if_not_exists(workers, :none), :worker), \
                       spared = if_not_exists(spared, :zero), done = if_not_exists(done, :none)"
            .to_owned();
        let lasting = item::lasting(claim.envelope, &TaskResult::new(claim.envelope, Status::Running, claim.backend, claim.now));
        for (name, _) in &lasting {
            set.push_str(&format!(", #{name} = if_not_exists(#{name}, :{name})"));
        }
        // What the attempt before gave away is good no more.
        set.push_str(if claim.token.is_some() {
            ", #token = :token REMOVE unsent, next_attempt_at"
        } else {
            " REMOVE unsent, next_attempt_at, #token"
        });
        // What is not known, or of the same content, free and not moved to a later time.
        let due = format!(
            "attribute_not_exists(id) OR ((attribute_not_exists(fingerprint) OR fingerprint = :fingerprint) AND ({FREE}) \
             AND (attribute_not_exists(run_after) OR run_after <= :due))"
        );
        let mut update = free(self.update(&claim.envelope.id, &set, &due), claim.now)
            .expression_attribute_values(":due", time(claim.due()))
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":ttl", item::ttl(claim.now))
            .expression_attribute_values(":lease", time(claim.lease_until))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":none", item::nothing())
            .expression_attribute_values(":worker", item::workers(claim.worker))
            .return_values(ReturnValue::UpdatedOld);
        update = update.expression_attribute_names("#token", "token");
        if let Some(token) = claim.token {
            update = update.expression_attribute_values(":token", text(token));
        }
        for (name, value) in lasting {
            update = update.expression_attribute_names(format!("#{name}"), name).expression_attribute_values(format!(":{name}"), value);
        }
        match write(update).await? {
            Ok(old) => {
                let old = Reader(&old);
                let attempt = old.count("attempts")? + 1;
                Ok(Begin::Claimed { attempt, tries: attempt - old.count("spared")?, died: old.was_running(), progress: old.progress()? })
            }
            Err(Some(stood)) if Reader(&stood).fingerprint()?.is_some_and(|known| known != claim.envelope.content()) => {
                Ok(Begin::Other(Reader(&stood).status()?))
            }
            Err(Some(stood)) => {
                let (stood, until) = (Reader(&stood), Reader(&stood).time("lease_until")?.unwrap_or(claim.now));
                match stood.status()? {
                    Status::Running if until > claim.now => Ok(Begin::Held { until }),
                    // One whose attempt died can be moved as well.
                    Status::Running | Status::Ready | Status::Scheduled => {
                        Ok(Begin::Moved { until: stood.time("run_after")?.unwrap_or(claim.now) })
                    }
                    ended => Ok(Begin::Ended(ended)),
                }
            }
            Err(None) => Err(StoreError("DynamoDB: a claim failed without telling why".to_owned())),
        }
    }

    async fn finish(&self, id: &str, attempt: u32, outcome: &Outcome, now: Timestamp) -> Result<Finish, StoreError> {
        let update = self.outcome(id, outcome, "#status = :running AND attempts = :attempt", now);
        let update = update.expression_attribute_values(":attempt", number(attempt));
        Ok(if write(update).await?.is_ok() { Finish::Recorded } else { Finish::Stale })
    }

    async fn report(&self, id: &str, token: &str, outcome: &Outcome, now: Timestamp) -> Result<Report, StoreError> {
        let update = self
            .outcome(id, outcome, "#status = :running AND #token = :token", now)
            .expression_attribute_names("#token", "token")
            .expression_attribute_values(":token", text(token))
            .return_values(ReturnValue::AllNew);
        match write(update).await? {
            Ok(new) => Ok(Report::Recorded(Reader(&new).result()?)),
            Err(Some(stood)) if Reader(&stood).text("token").is_ok_and(|known| known == token) => {
                Ok(Report::Ended(Reader(&stood).result()?))
            }
            Err(_) => Ok(Report::Unknown),
        }
    }

    async fn get(&self, id: &str) -> Result<Option<Known>, StoreError> {
        self.item(id).await?.map(|item| Reader(&item).known()).transpose()
    }

    async fn list(&self, filter: &Filter) -> Result<Page, StoreError> {
        self.page(filter).await
    }

    async fn cancel(&self, id: &str, now: Timestamp) -> Result<Change, StoreError> {
        let update = free(self.update(id, "SET #status = :cancelled, finished_at = :now, #ttl = :ttl REMOVE next_attempt_at", FREE), now)
            .expression_attribute_values(":cancelled", status(Status::Cancelled));
        change(update, now).await
    }

    async fn reschedule(&self, id: &str, run_after: Timestamp, now: Timestamp) -> Result<Change, StoreError> {
        let state = if run_after > now { Status::Scheduled } else { Status::Ready };
        let update = free(self.update(id, "SET #status = :status, run_after = :at, #ttl = :ttl REMOVE next_attempt_at, unsent", FREE), now)
            .expression_attribute_values(":status", status(state))
            .expression_attribute_values(":at", time(run_after));
        change(update, run_after.max(now)).await
    }

    /// What is replaced is read before: it may not change until it is written.
    async fn reopen(&self, envelope: &Envelope, now: Timestamp) -> Result<Change, StoreError> {
        let Some(item) = self.item(&envelope.id).await? else { return Ok(Change::Unknown) };
        let mut record = Reader(&item).record()?;
        let (was, attempts) = (record.result.status, record.result.attempts);
        let Change::Changed(task) = record.reopen(envelope, now) else { return Ok(Change::Refused(record.result)) };
        let begun = if attempts == 0 { "attribute_not_exists(attempts)" } else { "attempts = :attempts" };
        let values = vec![
            ("status", status(task.status)),
            ("task", text(&task.task)),
            ("args", text(task.args.get())),
            ("kwargs", text(task.kwargs.get())),
            ("fingerprint", text(envelope.content().to_string())),
            ("spared", number(attempts)),
            ("done", item::progress(&record.progress)),
            ("replaced", text(Json::of(&task.replaced).get())),
            ("header", text(Conditions::of(envelope))),
            ("run_after", item::run_after(task.run_after)),
        ];
        let gone = "REMOVE finished_at, next_attempt_at, unsent, return_value";
        let set: Vec<String> = values.iter().map(|(name, _)| format!("#{name} = :{name}")).collect();
        let mut update = self
            .update(&envelope.id, &format!("SET #ttl = :ttl, {} {gone}", set.join(", ")), &format!("#status = :was AND {begun}"))
            .expression_attribute_values(":was", status(was));
        if attempts > 0 {
            update = update.expression_attribute_values(":attempts", number(attempts));
        }
        for (name, value) in values {
            update = update.expression_attribute_values(format!(":{name}"), value);
            if name != "status" {
                update = update.expression_attribute_names(format!("#{name}"), name);
            }
        }
        change(update, now).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        // An id that no envelope can have.
        let told = self.client.get_item().table_name(&self.table).key("id", text(" ")).projection_expression("id").send().await;
        told.map(drop).map_err(|error| failed(&Failure::of(&error)))
    }
}
