//! Errors, as SQS names them in each protocol.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>

use std::borrow::Cow;

use errand_core::StorageError;
use http::StatusCode;

/// What went wrong, for the caller.
#[derive(Debug)]
pub(super) struct Error {
    pub(super) code: Code,
    pub(super) message: Cow<'static, str>,
}

/// The names of a kind of error: in the JSON protocol, and in the older one, which clients go by in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) json: &'static str,
    pub(super) query: &'static str,
    pub(super) status: StatusCode,
}

const fn named(json: &'static str, query: &'static str) -> Code {
    Code { json, query, status: StatusCode::BAD_REQUEST }
}

pub(super) const ACCESS_DENIED: Code = Code { json: "AccessDenied", query: "AccessDenied", status: StatusCode::FORBIDDEN };
pub(super) const BATCH_ENTRY_IDS_NOT_DISTINCT: Code = named("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct");
pub(super) const BATCH_REQUEST_TOO_LONG: Code = named("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong");
pub(super) const EMPTY_BATCH_REQUEST: Code = named("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest");
pub(super) const INTERNAL_ERROR: Code = Code { json: "InternalError", query: "InternalError", status: StatusCode::INTERNAL_SERVER_ERROR };
pub(super) const INVALID_ACTION: Code = named("InvalidAction", "InvalidAction");
pub(super) const INVALID_ATTRIBUTE_NAME: Code = named("InvalidAttributeName", "InvalidAttributeName");
pub(super) const INVALID_BATCH_ENTRY_ID: Code = named("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId");
pub(super) const INVALID_MESSAGE_CONTENTS: Code = named("InvalidMessageContents", "InvalidMessageContents");
pub(super) const INVALID_PARAMETER_VALUE: Code = named("InvalidParameterValue", "InvalidParameterValue");
pub(super) const MESSAGE_NOT_INFLIGHT: Code = named("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight");
pub(super) const MISSING_PARAMETER: Code = named("MissingParameter", "MissingParameter");
pub(super) const QUEUE_DOES_NOT_EXIST: Code = named("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue");
pub(super) const RECEIPT_HANDLE_IS_INVALID: Code = named("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid");
pub(super) const SERIALIZATION: Code = named("SerializationException", "SerializationException");
pub(super) const TOO_MANY_ENTRIES: Code = named("TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest");
pub(super) const UNSUPPORTED_OPERATION: Code = named("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation");

impl Error {
    pub(super) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// A parameter that must be there is not.
    pub(super) fn missing(parameter: &str) -> Self {
        Self::new(MISSING_PARAMETER, format!("The request must contain the parameter {parameter}."))
    }

    /// A parameter has a value that it may not have.
    pub(super) fn invalid(parameter: &str, reason: &str) -> Self {
        Self::new(INVALID_PARAMETER_VALUE, format!("The value of the parameter {parameter} is invalid. Reason: {reason}"))
    }

    /// Whose fault it is, as clients decide by it whether to try again.
    pub(super) fn by_sender(&self) -> bool {
        self.code.status.is_client_error()
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        tracing::error!(%error, "the queue does not answer");
        Self::new(INTERNAL_ERROR, "the queue does not answer: try again")
    }
}
