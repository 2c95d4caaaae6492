//! The caught mails as pages, rendered here and asking nothing of any other host.

use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_api::ProblemDocument;
use errand_core::StoreError;
use maud::html;
use serde::Deserialize;

use super::{Inbox, eml::eml, inbox::Kept};
use crate::web::{Page, Visitor};

const PAGE: u32 = 200;

/// What a mail's own HTML may do: show itself. No script, no form, no request, not even as a page of its own.
const CONTAINED: &str = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:";

/// `/mail` and what lies under it.
pub(crate) fn routes(inbox: Inbox) -> Router {
    Router::new()
        .route("/mail", get(list))
        .route("/mail/{id}", get(show))
        .route("/mail/{id}/html", get(html_part))
        .route("/mail/{id}/attachments/{n}", get(attachment))
        .route("/mail/{id}/message.eml", get(download))
        .with_state(inbox)
}

/// Why there is nothing to show.
struct Refusal(ProblemDocument);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        errand_api::Response::from(self.0).map(Body::from)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

fn gone() -> Refusal {
    Refusal(ProblemDocument::new(StatusCode::NOT_FOUND, "there is no such mail"))
}

#[derive(Deserialize)]
struct Before {
    before: Option<i64>,
}

async fn list(State(inbox): State<Inbox>, Extension(visitor): Extension<Visitor>, Query(query): Query<Before>) -> Result<Page, Refusal> {
    let mails = inbox.list(query.before, PAGE).await?;
    let next = mails.last().filter(|_| mails.len() == PAGE as usize).map(|kept| kept.id);
    let rows = html! {
        @if mails.is_empty() {
            p { "No mail yet." }
        } @else {
            table {
                thead { tr { th { "Received" } th { "From" } th { "To" } th { "Subject" } } }
                tbody {
                    @for Kept { id, received_at, mail } in &mails {
                        tr {
                            td { time datetime=(received_at) { (received_at) } }
                            td { (mail.from) }
                            td { (mail.to.join(", ")) }
                            td { a href={ "/mail/" (id) } { (mail.subject) } @if !mail.attachments.is_empty() { " + " (mail.attachments.len()) " file(s)" } }
                        }
                    }
                }
            }
        }
        @if let Some(next) = next { p { a href={ "/mail?before=" (next) } { "Older" } } }
    };
    Ok(Page { title: "Mail".to_owned(), signed_in: visitor.signed_in, body: rows })
}

async fn show(State(inbox): State<Inbox>, Extension(visitor): Extension<Visitor>, Path(id): Path<i64>) -> Result<Page, Refusal> {
    let Kept { received_at, mail, .. } = inbox.get(id).await?.ok_or_else(gone)?;
    let received_at = received_at.to_string();
    let mut facts = vec![("Received", received_at), ("From", mail.from)];
    facts.extend(
        [("To", mail.to), ("Cc", mail.cc), ("Bcc", mail.bcc), ("Reply-To", mail.reply_to)].map(|(name, list)| (name, list.join(", "))),
    );
    let body = html! {
        p { a href="/mail" { "All mail" } " · " a href={ "/mail/" (id) "/message.eml" } { "Download as .eml" } }
        dl {
            @for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) { dt { (name) } dd { (value) } }
            @for (name, value) in &mail.headers { dt { (name) } dd { (value) } }
        }
        @if mail.html.is_some() {
            h2 { "HTML" }
            iframe title="HTML" sandbox="" src={ "/mail/" (id) "/html" } {}
        }
        @if let Some(text) = &mail.text {
            h2 { "Text" }
            pre { (text) }
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
    Ok(Page { title: mail.subject, signed_in: visitor.signed_in, body })
}

async fn html_part(State(inbox): State<Inbox>, Path(id): Path<i64>) -> Result<Response, Refusal> {
    let Kept { mail, .. } = inbox.get(id).await?.ok_or_else(gone)?;
    let mut html = mail.html.ok_or_else(gone)?;
    // Pictures that the mail carries are put in place: the frame may ask nobody for them.
    for file in &mail.attachments {
        if let Some(content_id) = &file.content_id {
            html =
                html.replace(&format!("cid:{content_id}"), &format!("data:{};base64,{}", file.media_type, STANDARD.encode(file.bytes())));
        }
    }
    Ok(contained("text/html; charset=utf-8", None, html.into_bytes()))
}

async fn attachment(State(inbox): State<Inbox>, Path((id, n)): Path<(i64, usize)>) -> Result<Response, Refusal> {
    let Kept { mail, .. } = inbox.get(id).await?.ok_or_else(gone)?;
    let file = mail.attachments.get(n).ok_or_else(gone)?;
    Ok(contained("application/octet-stream", Some(&file.name), file.bytes()))
}

async fn download(State(inbox): State<Inbox>, Path(id): Path<i64>) -> Result<Response, Refusal> {
    let kept = inbox.get(id).await?.ok_or_else(gone)?;
    let message = eml(&kept)
        .map_err(|_| Refusal(ProblemDocument::new(StatusCode::INTERNAL_SERVER_ERROR, "the mail cannot be written as a message")))?;
    Ok(contained("message/rfc822", Some(&format!("mail-{id}.eml")), message))
}

/// Something that a sender made, so that a browser keeps it away from our pages; with a name, as a download.
fn contained(media_type: &'static str, download_as: Option<&str>, body: Vec<u8>) -> Response {
    let disposition = match download_as {
        Some(name) => format!("attachment; filename*=UTF-8''{}", errand_api::encode_segment(name)),
        None => "inline".to_owned(),
    };
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CONTENT_SECURITY_POLICY, CONTAINED.to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (HeaderName::from_static("referrer-policy"), "no-referrer".to_owned()),
    ];
    (headers, body).into_response()
}
