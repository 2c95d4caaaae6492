//! Dead letters: what was given up, for those who look after it.
//!
//! A dead-letter queue cannot be searched: letters are taken, looked at, and shown again. A call does so for some seconds at most, and says whether it
//! has seen them all. What a replay or a drop passed over stays hidden for a minute, so that the next call goes on with others.

mod replay;
mod selection;

use std::{sync::Arc, time::Duration};

use errand_api::{ProblemDocument, Query, Request, Response, json, json_body};
use errand_core::{BODY_LIMIT, Buried, DynDeadLetters, StorageError, Timestamp};
use futures_util::future::join_all;
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::Operations;
use selection::Selection;

/// How long one call looks for letters.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long one call replays letters. Both together are less than the function's timeout.
const REPLAYING: Duration = Duration::from_secs(15);

/// Letters that are replayed together.
const CONCURRENCY: usize = 16;

/// How long letters are hidden that a call has taken.
const LEASE: Duration = Duration::from_secs(60);

/// What a call has seen.
struct Seen {
    chosen: Vec<Buried>,
    others: Vec<Buried>,
    /// Whether those were all.
    complete: bool,
}

impl Operations {
    pub(crate) async fn list_dead_letters(&self, query: &Query) -> Result<Response, ProblemDocument> {
        let letters = self.dead_letters()?;
        let Seen { chosen, others, complete } = look(letters, &Selection::of_query(query)?).await?;
        show_again(letters, &[chosen.clone(), others].concat()).await;
        let total = letters.count().await.map_err(silent)?;
        let told: Vec<Value> = chosen.iter().map(told).collect();
        Ok(json(StatusCode::OK, &json!({ "dead_letters": told, "complete": complete, "total": total })))
    }

    pub(crate) async fn dead_letter(&self, id: &str) -> Result<Response, ProblemDocument> {
        let letters = self.dead_letters()?;
        let Seen { chosen, others, .. } = look(letters, &Selection::of_id(id)).await?;
        show_again(letters, &[chosen.clone(), others].concat()).await;
        let letter = chosen.first().ok_or_else(unknown)?;
        let mut whole = told(letter);
        whole["body"] = json!(letter.body);
        Ok(json(StatusCode::OK, &whole))
    }

    pub(crate) async fn drop_dead_letter(&self, id: &str) -> Result<Response, ProblemDocument> {
        let letters = self.dead_letters()?;
        let Seen { chosen, others, .. } = look(letters, &Selection::of_id(id)).await?;
        show_again(letters, &others).await;
        let letter = chosen.first().ok_or_else(unknown)?;
        letters.remove(&chosen).await.map_err(silent)?;
        Ok(json(StatusCode::OK, &told(letter)))
    }

    pub(crate) async fn drop_dead_letters(&self, request: &Request) -> Result<Response, ProblemDocument> {
        let letters = self.dead_letters()?;
        let selection = Selection::of_body(json_body(request, BODY_LIMIT)?, false).map_err(ProblemDocument::of_body)?;
        let Seen { chosen, others, complete } = look(letters, &selection).await?;
        letters.remove(&chosen).await.map_err(silent)?;
        if complete {
            show_again(letters, &others).await;
        }
        let dropped: Vec<Value> = chosen.iter().map(told).collect();
        Ok(json(StatusCode::OK, &json!({ "dropped": dropped, "complete": complete })))
    }

    pub(crate) async fn replay_dead_letters(&self, request: &Request) -> Result<Response, ProblemDocument> {
        let letters = self.dead_letters()?;
        let selection = Selection::of_body(json_body(request, BODY_LIMIT)?, true).map_err(ProblemDocument::of_body)?;
        let Seen { chosen, others, complete } = look(letters, &selection).await?;
        let (mut replayed, mut refused, mut passed_over) = (Vec::new(), Vec::new(), others);
        let (until, mut left) = (Timestamp::now() + REPLAYING, chosen.into_iter());
        while left.len() > 0 && Timestamp::now() < until {
            let some: Vec<Buried> = left.by_ref().take(CONCURRENCY).collect();
            let outcomes = join_all(some.iter().map(|letter| self.replay(letter, selection.edit.as_ref()))).await;
            let mut sent = Vec::new();
            for (letter, outcome) in some.into_iter().zip(outcomes) {
                match outcome {
                    Ok(id) => {
                        replayed.push(json!({ "key": letter.key, "id": id }));
                        sent.push(letter);
                    }
                    Err(detail) => {
                        refused.push(json!({ "key": letter.key, "id": letter.letter.id, "detail": detail }));
                        passed_over.push(letter);
                    }
                }
            }
            // Sent before they are removed: one that is sent twice is delivered once.
            letters.remove(&sent).await.map_err(silent)?;
        }
        let complete = complete && left.len() == 0;
        if left.len() > 0 {
            show_again(letters, left.as_slice()).await;
        }
        if complete {
            show_again(letters, &passed_over).await;
        }
        Ok(json(StatusCode::OK, &json!({ "replayed": replayed, "refused": refused, "complete": complete })))
    }

    fn dead_letters(&self) -> Result<&Arc<dyn DynDeadLetters>, ProblemDocument> {
        let detail = "there is no dead-letter queue here: the operator sets ERRAND_DEAD_LETTER_URL";
        self.dead_letters.as_ref().ok_or_else(|| ProblemDocument::new(StatusCode::NOT_IMPLEMENTED, detail))
    }
}

/// Takes letters until there are no more, enough are chosen, or the time is over.
async fn look(letters: &Arc<dyn DynDeadLetters>, selection: &Selection) -> Result<Seen, ProblemDocument> {
    let until = Timestamp::now() + PATIENCE;
    let mut seen = Seen { chosen: Vec::new(), others: Vec::new(), complete: false };
    while !selection.satisfied(&seen.chosen) && Timestamp::now() < until {
        let taken = letters.take(LEASE).await.map_err(silent)?;
        if taken.is_empty() {
            seen.complete = true;
            break;
        }
        for letter in taken {
            let wanted = selection.wants(&letter) && !selection.satisfied(&seen.chosen);
            if wanted { seen.chosen.push(letter) } else { seen.others.push(letter) }
        }
    }
    Ok(seen)
}

/// Shows letters again at once; where that fails, they are when their lease ends.
async fn show_again(letters: &Arc<dyn DynDeadLetters>, hidden: &[Buried]) {
    if let Err(error) = letters.release(hidden).await {
        tracing::warn!(%error, "dead letters stay hidden for a minute");
    }
}

/// A letter without its body, which may be personal.
fn told(Buried { key, buried_at, queue, letter, .. }: &Buried) -> Value {
    json!({
        "key": key, "id": letter.id, "task": letter.task, "queue": queue, "kind": letter.kind, "reason": letter.reason, "attempts": letter.attempts,
        "buried_at": buried_at,
    })
}

/// For the caller that the dead-letter queue does not answer; for the operator, in the log, why.
fn silent(error: StorageError) -> ProblemDocument {
    tracing::error!(%error, "the dead-letter queue does not answer");
    let detail = "the dead-letter queue does not answer. Try again";
    ProblemDocument::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_header(header::RETRY_AFTER, "1")
}

fn unknown() -> ProblemDocument {
    ProblemDocument::new(
        StatusCode::NOT_FOUND,
        "there is no dead letter with this id or key, or it is being looked at: try again in a minute",
    )
}
