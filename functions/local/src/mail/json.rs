//! The caught mails for programs: tests wait for a mail and read it.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, RawQuery, State},
};
use errand_api::query_pairs;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::{
    Inbox, Refusal,
    inbox::{Kept, Search},
    links::links,
};

/// The longest `wait`, in seconds: less than an answer may take elsewhere.
const LONGEST_WAIT: u64 = 30;

const MOST: u32 = 100;

/// `GET /mail.json`: the mails that are searched for, the newest first; where there is none, and `wait` says so, the first that comes.
pub(super) async fn list(State(inbox): State<Inbox>, RawQuery(query): RawQuery) -> Result<Json<Value>, Refusal> {
    let (search, wait) = read(query.as_deref().unwrap_or_default()).map_err(|detail| Refusal::new(StatusCode::BAD_REQUEST, &detail))?;
    let (until, mut arrivals) = (Instant::now() + wait, inbox.arrivals());
    loop {
        let mails = inbox.mails(search.clone()).await?;
        if !mails.is_empty() || !matches!(timeout_at(until, arrivals.changed()).await, Ok(Ok(()))) {
            return Ok(Json(json!({ "mails": mails.iter().map(told).collect::<Vec<_>>() })));
        }
    }
}

/// `DELETE /mail` and `DELETE /mail/{id}`.
pub(super) async fn delete(State(inbox): State<Inbox>, id: Option<Path<i64>>) -> Result<Json<Value>, Refusal> {
    let id = id.map(|Path(id)| id);
    match inbox.delete(id).await? {
        0 if id.is_some() => Err(Refusal::gone()),
        deleted => Ok(Json(json!({ "deleted": deleted }))),
    }
}

fn read(query: &str) -> Result<(Search, Duration), String> {
    let mut search = Search { limit: 20, ..Search::default() };
    let mut wait = Duration::ZERO;
    for (name, value) in query_pairs(query) {
        let id = || value.parse().map(Some).map_err(|_| format!("{name}: expected the id of a mail"));
        match name.as_str() {
            "to" => search.to = Some(value),
            "search" => search.words = value,
            "after" => search.after = id()?,
            "before" => search.before = id()?,
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                search.limit = limit.ok_or_else(|| format!("limit: expected 1 to {MOST}"))?;
            }
            "wait" => {
                let seconds = value.parse().ok().filter(|seconds| *seconds <= LONGEST_WAIT);
                wait = Duration::from_secs(seconds.ok_or_else(|| format!("wait: expected 0 to {LONGEST_WAIT} seconds"))?);
            }
            _ => return Err("expected no other parameters than to, search, after, before, limit, wait".to_owned()),
        }
    }
    Ok((search, wait))
}

fn told(kept: &Kept) -> Value {
    let Kept { id, received_at, task_id, mail } = kept;
    let headers: Vec<Value> = mail.headers.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let file = |(n, file): (usize, &super::Attachment)| {
        json!({
            "name": file.name, "media_type": file.media_type, "content_id": file.content_id, "size": file.bytes().len(),
            "url": format!("/mail/{id}/attachments/{n}"),
        })
    };
    json!({
        "id": id, "received_at": received_at, "task_id": task_id,
        "from": mail.from, "to": mail.to, "cc": mail.cc, "bcc": mail.bcc, "reply_to": mail.reply_to,
        "subject": mail.subject, "text": mail.text, "html": mail.html,
        "links": links(mail.html.as_deref(), mail.text.as_deref()),
        "headers": headers,
        "attachments": mail.attachments.iter().enumerate().map(file).collect::<Vec<_>>(),
        "url": format!("/mail/{id}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_and_a_wrong_one_is_told() {
        let wanted = Search { to: Some("a@b.c".to_owned()), words: "x y".to_owned(), before: None, after: Some(7), limit: 20 };
        assert_eq!(read("to=a%40b.c&search=x+y&after=7&wait=10"), Ok((wanted, Duration::from_secs(10))));
        for wrong in ["limit=0", "limit=101", "wait=31", "wait=-1", "after=x", "recipient=x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
