//! Mail that is caught instead of sent, and the pages that show it.

mod catcher;
mod eml;
mod inbox;
mod pages;

pub(crate) use catcher::Catcher;
pub(crate) use inbox::Inbox;
pub(crate) use pages::routes;

use serde::{Deserialize, Serialize};

/// A caught mail.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Mail {
    from: String,
    to: Vec<String>,
    cc: Vec<String>,
    bcc: Vec<String>,
    reply_to: Vec<String>,
    subject: String,
    text: Option<String>,
    html: Option<String>,
    headers: Vec<(String, String)>,
    attachments: Vec<Attachment>,
}

/// A file in a caught mail.
#[derive(Clone, Serialize, Deserialize)]
struct Attachment {
    name: String,
    media_type: String,
    content_id: Option<String>,
    /// As base64: the mail is kept as JSON.
    content: String,
}

impl Attachment {
    fn bytes(&self) -> Vec<u8> {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        STANDARD.decode(&self.content).unwrap_or_default()
    }
}
