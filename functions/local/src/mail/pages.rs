//! The caught mails as pages, rendered here and asking nothing of any other host.

use axum::{
    Router,
    extract::{Path, Query, State},
    http::{HeaderName, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::StoreError;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Deserialize;

use super::{Inbox, eml::eml, inbox::Kept};

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

/// An answer to a page's request that is no page.
struct Refusal(StatusCode, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Html(page(self.1, html! { p { (self.1) } }).into_string())).into_response()
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the inbox does not answer");
        Self(StatusCode::SERVICE_UNAVAILABLE, "The inbox does not answer. The log says why.")
    }
}

const GONE: Refusal = Refusal(StatusCode::NOT_FOUND, "There is no such mail.");

#[derive(Deserialize)]
struct Before {
    before: Option<i64>,
}

async fn list(State(inbox): State<Inbox>, Query(query): Query<Before>) -> Result<Html<String>, Refusal> {
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
    Ok(Html(page("Mail", rows).into_string()))
}

async fn show(State(inbox): State<Inbox>, Path(id): Path<i64>) -> Result<Html<String>, Refusal> {
    let Kept { received_at, mail, .. } = inbox.get(id).await?.ok_or(GONE)?;
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
    Ok(Html(page(&mail.subject, body).into_string()))
}

async fn html_part(State(inbox): State<Inbox>, Path(id): Path<i64>) -> Result<Response, Refusal> {
    let Kept { mail, .. } = inbox.get(id).await?.ok_or(GONE)?;
    let mut html = mail.html.ok_or(GONE)?;
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
    let Kept { mail, .. } = inbox.get(id).await?.ok_or(GONE)?;
    let file = mail.attachments.get(n).ok_or(GONE)?;
    Ok(contained("application/octet-stream", Some(&file.name), file.bytes()))
}

async fn download(State(inbox): State<Inbox>, Path(id): Path<i64>) -> Result<Response, Refusal> {
    let kept = inbox.get(id).await?.ok_or(GONE)?;
    let message = eml(&kept).map_err(|_| Refusal(StatusCode::INTERNAL_SERVER_ERROR, "The mail cannot be written as a message."))?;
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

fn page(title: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { (title) " · Errand" }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body { header { a href="/mail" { "Errand" } } main { h1 { (title) } (body) } }
        }
    }
}
