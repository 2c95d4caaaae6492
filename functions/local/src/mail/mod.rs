//! Mail that is caught instead of sent: kept, shown, searched and told to tests.

mod catcher;
mod eml;
mod frame;
mod json;
mod links;
mod pages;
mod table;

pub(crate) use catcher::Catcher;
pub(crate) use pages::routes;
pub(crate) use table::{Caught, LocalMail};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use errand_api::ProblemDocument;
use errand_core::StorageError;
use http::StatusCode;
use serde::{Deserialize, Serialize};

/// A caught mail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) cc: Vec<String>,
    pub(crate) bcc: Vec<String>,
    pub(crate) reply_to: Vec<String>,
    pub(crate) subject: String,
    pub(crate) text: Option<String>,
    pub(crate) html: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) attachments: Vec<Attachment>,
}

/// A file in a caught mail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Attachment {
    pub(crate) name: String,
    pub(crate) media_type: String,
    pub(crate) content_id: Option<String>,
    /// As base64: the mail is kept as JSON.
    pub(crate) content: String,
}

impl Attachment {
    fn bytes(&self) -> Vec<u8> {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        STANDARD.decode(&self.content).unwrap_or_default()
    }
}

/// The address in `Ann <ann@example.com>`, in small letters.
pub(crate) fn address(mailbox: &str) -> String {
    let bare = mailbox.rsplit_once('<').map_or(mailbox, |(_, rest)| rest.split('>').next().unwrap_or_default());
    bare.trim().to_lowercase()
}

/// Why a call for mail is not answered with any.
struct Refusal(ProblemDocument);

impl Refusal {
    fn new(status: StatusCode, detail: &str) -> Self {
        Self(ProblemDocument::new(status, detail))
    }

    fn gone() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such mail")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        errand_api::Response::from(self.0).map(Body::from)
    }
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        Self(error.into())
    }
}
