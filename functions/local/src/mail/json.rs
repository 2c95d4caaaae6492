//! The caught mails for programs: tests wait for a mail and read it.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, RawQuery, State},
};
use errand_api::{ProblemDocument, Query};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::{
    LocalMail, Refusal,
    links::links,
    table::{Kept, Search},
};

const MOST: usize = 100;

/// `GET /mail.json`: the mails that are searched for, the newest first; where there is none, and `wait` says so, the first that comes.
pub(super) async fn list(State(caught): State<LocalMail>, RawQuery(query): RawQuery) -> Result<Json<Value>, Refusal> {
    let (search, wait) = read(query.as_deref().unwrap_or_default()).map_err(Refusal)?;
    let (until, mut arrivals) = (Instant::now() + wait, caught.arrivals());
    loop {
        let mails = caught.mails(search.clone()).await?;
        if !mails.is_empty() || !matches!(timeout_at(until, arrivals.changed()).await, Ok(Ok(()))) {
            return Ok(Json(json!({ "mails": mails.iter().map(told).collect::<Vec<_>>() })));
        }
    }
}

/// `DELETE /mail` and `DELETE /mail/{id}`.
pub(super) async fn delete(State(caught): State<LocalMail>, id: Option<Path<i64>>) -> Result<Json<Value>, Refusal> {
    let id = id.map(|Path(id)| id);
    match caught.delete(id).await? {
        0 if id.is_some() => Err(Refusal::gone()),
        deleted => Ok(Json(json!({ "deleted": deleted }))),
    }
}

fn read(query: &str) -> Result<(Search, Duration), ProblemDocument> {
    let query = Query::read(query, &["to", "search", "after", "before", "limit", "wait"])?;
    let id = |name| query.parsed(name, |value| value.parse().map_err(|_| "expected the id of a mail".to_owned()));
    let search = Search {
        to: query.text("to")?,
        words: query.text("search")?.unwrap_or_default(),
        after: id("after")?,
        before: id("before")?,
        limit: query.limit(20, MOST)?,
    };
    Ok((search, query.wait()?))
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
