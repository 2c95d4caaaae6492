use std::sync::LazyLock;

use errand_core::{Begin, Claim, Claims, Finish, Outcome, Status, StorageError, TaskError, TaskResult, Timestamp};

use super::{ERRORS, FREE, free, status};
use crate::{
    DynamoStore,
    item::{self, Reader, number, text, time},
    table::Request,
};

/// What is not known, or of the same content, free and not moved to a later time.
static CLAIMABLE: LazyLock<String> = LazyLock::new(|| claimable(""));

/// The same of what nobody has attempted.
pub(super) static REFUSABLE: LazyLock<String> = LazyLock::new(|| claimable("attribute_not_exists(attempts) AND "));

fn claimable(also: &str) -> String {
    format!(
        "attribute_not_exists(id) OR ({also}(attribute_not_exists(fingerprint) OR fingerprint = :fingerprint) AND ({}) \
         AND (attribute_not_exists(run_after) OR run_after <= :due))",
        *FREE
    )
}

/// What a claim writes, by whether it ends the id at once and whether it has a token: always the same attributes, so that it is said once.
static SETS: LazyLock<[[String; 2]; 2]> = LazyLock::new(|| [false, true].map(|refused| [false, true].map(|token| set(refused, token))));

fn set(refused: bool, token: bool) -> String {
    let mut set = if refused { "SET #status = :FAILED, finished_at = :now" } else { "SET #status = :RUNNING" }.to_owned();
    set.push_str(
        ", lease_until = :lease, attempts = if_not_exists(attempts, :zero) + :one, \
         started_at = if_not_exists(started_at, :now), last_attempted_at = :now, #ttl = :ttl, \
         workers = list_append(if_not_exists(workers, :none), :worker), \
         spared = if_not_exists(spared, :zero), done = if_not_exists(done, :none)",
    );
    if refused {
        set.push_str(", ");
        set.push_str(ERRORS);
    }
    set.extend(item::LASTING.map(|name| format!(", #{name} = if_not_exists(#{name}, :{name})")));
    // What the attempt before gave away is good no more.
    let gone = " REMOVE unsent, handed_on, next_attempt_at";
    set.push_str(&if token { format!(", #token = :token{gone}") } else { format!("{gone}, #token") });
    set
}

impl DynamoStore {
    /// The write that claims an id; with a failure, that ends it at once, where nobody has attempted it.
    pub(super) fn claiming<'a>(&'a self, claim: &Claim<'a>, refused: Option<&'a TaskError>) -> Request<'a> {
        let set = &SETS[usize::from(refused.is_some())][usize::from(claim.token.is_some())];
        let lasting = item::lasting(claim.envelope, TaskResult::new(claim.envelope, Status::Running, claim.backend, claim.now));
        let mut update = free(self.update(&claim.envelope.id, set, if refused.is_some() { &REFUSABLE } else { &CLAIMABLE }), claim.now)
            .value("due", time(claim.due()))
            .pair("ttl", item::ttl(claim.now))
            .value("lease", time(claim.lease_until))
            .value("zero", number(0))
            .value("one", number(1))
            .value("none", item::nothing())
            .value("worker", item::workers(claim.worker))
            .named("token");
        if let Some(error) = refused {
            update =
                update.value(Status::Failed.as_str(), status(Status::Failed)).value("errors", item::errors(std::slice::from_ref(error)));
        }
        if let Some(token) = claim.token {
            update = update.value("token", text(token));
        }
        lasting.fold(update, |update, (name, value)| update.pair(name, value))
    }
}

impl Claims for DynamoStore {
    async fn begin(&self, claim: &Claim<'_>) -> Result<Begin, StorageError> {
        let claiming = Request { return_values: Some("UPDATED_OLD"), ..self.claiming(claim, None) };
        match self.write(claiming).await? {
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
                match (stood.status()?, stood.handed_on()?) {
                    (ended, _) if ended.ended() => Ok(Begin::Ended(ended)),
                    (Status::Running, Some(to)) => Ok(Begin::HandedOn { attempt: stood.count("attempts")?, to }),
                    (Status::Running, None) if until > claim.now => Ok(Begin::Held { until }),
                    // One whose attempt died can be moved as well.
                    _ => Ok(Begin::Moved { until: stood.time("run_after")?.unwrap_or(claim.now) }),
                }
            }
            Err(None) => Err(StorageError("DynamoDB: a claim failed without telling why".to_owned())),
        }
    }

    async fn refuse(&self, claim: &Claim<'_>, error: &TaskError) -> Result<Finish, StorageError> {
        Ok(if self.write(self.claiming(claim, Some(error))).await?.is_ok() { Finish::Recorded } else { Finish::Stale })
    }

    async fn finish(&self, id: &str, attempt: u32, outcome: &Outcome, now: Timestamp) -> Result<Finish, StorageError> {
        let update = self.outcome(id, outcome, "#status = :RUNNING AND attempts = :attempt", now);
        let update = update.value("attempt", number(attempt));
        Ok(if self.write(update).await?.is_ok() { Finish::Recorded } else { Finish::Stale })
    }
}
