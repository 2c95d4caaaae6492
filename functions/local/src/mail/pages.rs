//! The caught mails as pages, rendered here and asking nothing of any other host.

use axum::{
    Extension, Router,
    extract::{Path, Query, State},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    LocalMail, Refusal,
    eml::eml,
    frame, json, links,
    table::{Entry, Kept, Search},
};
use crate::web::{Page, Visitor};

const PAGE: usize = 200;

/// `/mail` and what lies under it.
pub(crate) fn routes(caught: LocalMail) -> Router {
    Router::new()
        .route("/mail", get(list).delete(json::delete))
        .route("/mail.json", get(json::list))
        .route("/mail/delete", post(delete_all))
        .route("/mail/{id}", get(show).delete(json::delete))
        .route("/mail/{id}/delete", post(delete))
        .route("/mail/{id}/html", get(html_part))
        .route("/mail/{id}/attachments/{n}", get(attachment))
        .route("/mail/{id}/message.eml", get(download))
        .with_state(caught)
}

#[derive(Deserialize)]
struct Wanted {
    before: Option<i64>,
    #[serde(default)]
    search: String,
}

async fn list(
    State(caught): State<LocalMail>,
    Extension(visitor): Extension<Visitor>,
    Query(wanted): Query<Wanted>,
) -> Result<Page, Refusal> {
    let Wanted { before, search } = wanted;
    let entries = caught.entries(Search { words: search.clone(), before, limit: PAGE, ..Search::default() }).await?;
    let older = entries.last().filter(|_| entries.len() == PAGE).map(|entry| entry.id);
    let nothing = if search.is_empty() { "No mail yet." } else { "No mail is found." };
    let body = html! {
        div class="tools" {
            form role="search" {
                input type="search" name="search" value=(search) placeholder="Search mail" aria-label="Search sender, recipient, subject and text";
                button { "Search" }
            }
            form method="post" action="/mail/delete" data-confirm="Delete all mail?" { button { "Delete all" } }
        }
        div data-live {
            @if entries.is_empty() { p { (nothing) } }
            ol class="mails" { @for entry in &entries { (line(entry)) } }
            @if let Some(older) = older {
                form { input type="hidden" name="search" value=(search); button name="before" value=(older) { "Older" } }
            }
        }
    };
    Ok(Page { title: "Mail".to_owned(), signed_in: visitor.signed_in, body })
}

fn line(entry: &Entry) -> Markup {
    let Entry { id, received_at, head } = entry;
    html! {
        li {
            a href={ "/mail/" (id) } { @if head.subject.is_empty() { "(no subject)" } @else { (head.subject) } }
            span class="people" { (head.from) " → " (head.to.join(", ")) }
            span class="facts" {
                @if head.files > 0 { (head.files) @if head.files == 1 { " file · " } @else { " files · " } }
                time datetime=(received_at) { (received_at) }
            }
        }
    }
}

#[derive(Deserialize)]
struct Pictures {
    #[serde(default)]
    pictures: bool,
}

async fn show(
    State(caught): State<LocalMail>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<i64>,
    Query(Pictures { pictures }): Query<Pictures>,
) -> Result<Page, Refusal> {
    let Kept { received_at, task_id, mail, .. } = caught.get(id).await?.ok_or_else(Refusal::gone)?;
    let people = [
        ("From", vec![mail.from.clone()]),
        ("To", mail.to.clone()),
        ("Cc", mail.cc.clone()),
        ("Bcc", mail.bcc.clone()),
        ("Reply-To", mail.reply_to.clone()),
    ];
    let body = html! {
        div class="tools" {
            a href="/mail" { "All mail" }
            a href={ "/mail/" (id) "/message.eml" } { "Download as .eml" }
            form method="post" action={ "/mail/" (id) "/delete" } { button { "Delete" } }
        }
        dl {
            dt { "Received" } dd { time datetime=(received_at) { (received_at) } }
            @for (name, list) in people.iter().filter(|(_, list)| !list.is_empty()) { dt { (name) } dd { (list.join(", ")) } }
            @for (name, value) in &mail.headers { dt { (name) } dd { (value) } }
            @if let Some(task_id) = &task_id { dt { "Task" } dd { a href={ "/v1/tasks/" (errand_core::percent_encode(task_id)) } { (task_id) } } }
        }
        @if let Some(part) = &mail.html {
            h2 { "HTML" }
            @if frame::has_pictures_elsewhere(part) {
                p {
                    @if pictures { "Pictures of other hosts are loaded. " a href={ "/mail/" (id) } { "Do not load them" } }
                    @else { "Pictures of other hosts are not loaded. " a href={ "/mail/" (id) "?pictures=true" } { "Load them" } }
                }
            }
            iframe title="HTML" sandbox="allow-popups allow-popups-to-escape-sandbox" src={ "/mail/" (id) "/html?pictures=" (pictures) } {}
        }
        @if let Some(text) = &mail.text {
            h2 { "Text" }
            pre { (linked(text)) }
        }
        @if !mail.attachments.is_empty() {
            h2 { "Attachments" }
            ul {
                @for (n, file) in mail.attachments.iter().enumerate() {
                    li { a href={ "/mail/" (id) "/attachments/" (n) } { (file.name) } " " (file.media_type) ", " (file.bytes().len()) " bytes" }
                }
            }
        }
    };
    let title = if mail.subject.is_empty() { "(no subject)".to_owned() } else { mail.subject };
    Ok(Page { title, signed_in: visitor.signed_in, body })
}

/// A text whose links can be followed.
fn linked(text: &str) -> Markup {
    let mut end = 0;
    html! {
        @for range in links::ranges(text) {
            (text[std::mem::replace(&mut end, range.end)..range.start])
            a href=(text[range.clone()]) target="_blank" rel="noopener noreferrer" { (text[range]) }
        }
        (text[end..])
    }
}

async fn delete(State(caught): State<LocalMail>, Path(id): Path<i64>) -> Result<Redirect, Refusal> {
    caught.delete(Some(id)).await?;
    Ok(Redirect::to("/mail"))
}

async fn delete_all(State(caught): State<LocalMail>) -> Result<Redirect, Refusal> {
    caught.delete(None).await?;
    Ok(Redirect::to("/mail"))
}

async fn html_part(
    State(caught): State<LocalMail>,
    Path(id): Path<i64>,
    Query(Pictures { pictures }): Query<Pictures>,
) -> Result<Response, Refusal> {
    let Kept { mail, .. } = caught.get(id).await?.ok_or_else(Refusal::gone)?;
    let html = mail.html.as_ref().ok_or_else(Refusal::gone)?;
    Ok(contained("text/html; charset=utf-8", None, frame::policy(pictures), frame::document(html, &mail).into_bytes()))
}

async fn attachment(State(caught): State<LocalMail>, Path((id, n)): Path<(i64, usize)>) -> Result<Response, Refusal> {
    let Kept { mail, .. } = caught.get(id).await?.ok_or_else(Refusal::gone)?;
    let file = mail.attachments.get(n).ok_or_else(Refusal::gone)?;
    Ok(contained("application/octet-stream", Some(&file.name), frame::policy(false), file.bytes()))
}

async fn download(State(caught): State<LocalMail>, Path(id): Path<i64>) -> Result<Response, Refusal> {
    let kept = caught.get(id).await?.ok_or_else(Refusal::gone)?;
    let message = match caught.source(id).await? {
        Some(source) => source,
        None => eml(&kept).map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the mail cannot be written as a message"))?,
    };
    Ok(contained("message/rfc822", Some(&format!("mail-{id}.eml")), frame::policy(false), message))
}

/// Something that a sender made, so that a browser keeps it away from our pages; with a name, as a download.
fn contained(media_type: &'static str, download_as: Option<&str>, policy: String, body: Vec<u8>) -> Response {
    let disposition = match download_as {
        Some(name) => format!("attachment; filename*=UTF-8''{}", errand_core::percent_encode(name)),
        None => "inline".to_owned(),
    };
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (HeaderName::from_static("referrer-policy"), "no-referrer".to_owned()),
    ];
    (headers, body).into_response()
}
