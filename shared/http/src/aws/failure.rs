//! What AWS says of a call that failed: the codes that all its services share, in one table, whether a client of the SDK called or we did.
//! <https://docs.aws.amazon.com/awssupport/latest/APIReference/CommonErrors.html>

use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use errand_core::{DeliveryError, ErrorKind, PublishError};
use http::StatusCode;

use crate::{Answer, Meaning, Meanings, client::not_sent, is, is_code, said, stops};

/// What is said of a failure that gave no code.
const UNKNOWN: &str = "Unknown";

/// The codes of all services. What is wrong with the credentials is wrong for every call.
static CODES: Meanings = Meanings {
    codes: &[
        (
            "ExpiredToken ExpiredTokenException IncompleteSignature InvalidAccessKeyId InvalidClientTokenId InvalidSignatureException \
             MissingAuthenticationToken NotAuthorized OptInRequired SignatureDoesNotMatch UnrecognizedClientException",
            stops(ErrorKind::Misconfigured),
        ),
        // Of one call, and of another perhaps not.
        ("AccessDenied AccessDeniedException", is(ErrorKind::Misconfigured)),
        // Beside those that `throttled` knows: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
        (
            "BandwidthLimitExceeded PriorRequestNotComplete ProvisionedThroughputExceededException RequestLimitExceeded SlowDown",
            is(ErrorKind::RateLimited),
        ),
        ("InternalError RequestTimeout RequestTimeoutException TransactionInProgressException", is(ErrorKind::Unavailable)),
    ],
    statuses: &[],
};

/// Whether an error code asks to be called less often, with whatever status: `ThrottlingException`, `RequestThrottled`, `KmsThrottled`.
#[must_use]
pub fn throttled(code: &str) -> bool {
    code.contains("Throttl") || code.contains("TooManyRequests")
}

/// What a refusal of AWS means: by the service's own codes, by those of all services, by the service's own statuses, by the status.
fn judge(own: &Meanings, status: StatusCode, code: &str) -> Meaning {
    let shared = || CODES.of_code(code).or_else(|| throttled(code).then(|| is(ErrorKind::RateLimited)));
    own.of_code(code).or_else(shared).unwrap_or_else(|| own.of_status(status))
}

/// What an answer of AWS means that is no success.
pub(crate) fn meaning(answer: &Answer, own: &Meanings) -> Meaning {
    judge(own, answer.status(), &code(answer).unwrap_or_default())
}

/// The failure that an answer of AWS is.
#[must_use]
pub fn refused(answer: &Answer, own: &Meanings) -> DeliveryError {
    answer.means(meaning(answer, own), code(answer).as_deref(), &[])
}

/// The code in an answer: in its header, or in its body, which is JSON or XML. The name of its type may stand before it, and a URL after it.
/// <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization>
#[must_use]
pub fn code(answer: &Answer) -> Option<String> {
    let told = answer.told();
    let in_json = || told.get::<String>("__type").or_else(|| told.get("code"));
    let in_xml = || element(std::str::from_utf8(answer.body()).ok()?, "Code");
    let code = answer.header("x-amzn-errortype").map(ToOwned::to_owned).or_else(in_json).or_else(in_xml)?;
    let code = code.split(':').next().unwrap_or_default();
    Some(code.rsplit('#').next().unwrap_or(code).to_owned())
}

/// What it means that one message of a call was refused alone, with this code and perhaps a cause.
#[must_use]
pub fn refused_alone(service: &str, code: &str, cause: Option<&str>, own: &Meanings) -> PublishError {
    let cause = cause.map(said).filter(|cause| !cause.is_empty()).map(|cause| format!(": {cause}")).unwrap_or_default();
    let told = if is_code(code) { code } else { "an error of no known form" };
    PublishError::of(judge(own, StatusCode::BAD_REQUEST, code).kind, format!("{service}: {told}{cause}"))
}

/// The text in the first element of this name in XML as AWS answers it: without attributes.
#[must_use]
pub fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(text.to_owned(), |text, (entity, char)| text.replace(entity, char)))
}

/// What is known of a call by the SDK that failed. No text repeats what the service said of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The service answered with this error code and HTTP status.
    Answered {
        /// The service's own code, such as `ThrottlingException`; `Unknown` when it gave none.
        code: String,
        /// The HTTP status.
        status: u16,
        /// What it said. Not for logs: it may repeat the request.
        message: String,
    },
    /// Nothing left this machine. Holds why.
    NotSent(String),
    /// The request left, and no answer came or none that can be read: it may have been done.
    Unanswered,
}

impl Failure {
    /// The failure in an SDK's error.
    pub fn of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Self {
        if error.raw_response().is_some_and(|answer| answer.status().is_success()) {
            // An answer that broke off or is not the service's: what it was asked is probably done.
            return Self::Unanswered;
        }
        match error {
            SdkError::ServiceError(context) => Self::Answered {
                code: context.err().code().unwrap_or(UNKNOWN).to_owned(),
                status: context.raw().status().as_u16(),
                message: context.err().message().unwrap_or_default().to_owned(),
            },
            SdkError::ResponseError(context) => {
                Self::Answered { code: UNKNOWN.to_owned(), status: context.raw().status().as_u16(), message: String::new() }
            }
            SdkError::ConstructionFailure(_) => Self::NotSent("no request can be made of it".to_owned()),
            SdkError::DispatchFailure(failure) => failure.as_connector_error().and_then(not_sent).map_or(Self::Unanswered, Self::NotSent),
            _ => Self::Unanswered,
        }
    }

    /// What it means, `own` being what the service's own codes mean.
    #[must_use]
    pub fn meaning(&self, own: &Meanings) -> Meaning {
        match self {
            Self::NotSent(_) => is(ErrorKind::Unavailable),
            Self::Unanswered => is(ErrorKind::OutcomeUnknown),
            Self::Answered { code, status, .. } => {
                StatusCode::from_u16(*status).map_or(is(ErrorKind::Rejected), |status| judge(own, status, code))
            }
        }
    }

    /// Whether trying again later may help.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(self.meaning(&Meanings::default()).kind, ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::OutcomeUnknown)
    }

    /// What it means for who wanted to hand something over to `service`.
    #[must_use]
    pub fn to_publish(&self, service: &str) -> PublishError {
        let why = format!("{service}: {self}");
        match self {
            Self::Unanswered => PublishError::OutcomeUnknown(why),
            _ if self.passes() => PublishError::Unavailable(why),
            _ => PublishError::Misconfigured(why),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answered { code, status, .. } => write!(f, "HTTP {status} {code}"),
            Self::NotSent(why) => f.write_str(why),
            Self::Unanswered => f.write_str("the request left and no readable answer came"),
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::error::ErrorMetadata;
    use errand_core::Timestamp;

    use super::*;

    #[test]
    fn a_request_that_no_connection_can_carry_was_not_sent() {
        let failure = |error| Failure::of(&SdkError::<ErrorMetadata, _>::dispatch_failure(error));
        assert!(matches!(failure(ConnectorError::user("no".into())), Failure::NotSent(_)));
        assert_eq!(failure(ConnectorError::io("broke".into())), Failure::Unanswered);
    }

    #[test]
    fn a_code_is_read_wherever_a_service_puts_it() {
        for (header, body, expected) in [
            (Some("ThrottlingException:http://internal.amazon.com/coral/"), "", Some("ThrottlingException")),
            (
                None,
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"x"}"#,
                Some("ResourceNotFoundException"),
            ),
            (None, r#"{"__type":"ParameterNotFound""#, Some("ParameterNotFound")),
            (None, r#"{"code":"AccessDenied"}"#, Some("AccessDenied")),
            (None, "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code></Error>", Some("SlowDown")),
            (Some("A"), r#"{"__type":"B"}"#, Some("A")),
            (None, "<html>", None),
        ] {
            let response = header.iter().fold(http::Response::builder(), |response, code| response.header("x-amzn-errortype", *code));
            let answer = Answer::new("SQS", response.status(400).body(body.to_owned().into()).unwrap(), Timestamp::from_millis(0));
            assert_eq!(code(&answer).as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn an_element_is_read_with_its_entities() {
        let xml = "<a><Id>1</Id><Message>It&apos;s &lt;&quot;x&quot;&gt; &amp;lt;</Message><Id>2</Id></a>";
        assert_eq!((element(xml, "Id").as_deref(), element(xml, "Message").as_deref()), (Some("1"), Some("It's <\"x\"> &lt;")));
        assert_eq!((element(xml, "Other"), element("<Id>1", "Id")), (None, None));
    }

    #[test]
    fn what_is_refused_alone_is_told_with_its_cause() {
        const OWN: Meanings = Meanings { codes: &[("Gone", is(ErrorKind::Misconfigured))], statuses: &[] };
        let refused = |code, cause| refused_alone("SNS", code, cause, &OWN);
        assert_eq!(refused("Gone", None), PublishError::Misconfigured("SNS: Gone".to_owned()));
        assert_eq!(refused("ThrottlingException", Some("")), PublishError::Unavailable("SNS: ThrottlingException".to_owned()));
        let told = "SNS: Invalid: the value … is wrong".to_owned();
        assert_eq!(refused("Invalid", Some("the value 'hunter2' is wrong")), PublishError::Refused(told));
        assert_eq!(refused("<html>", None), PublishError::Refused("SNS: an error of no known form".to_owned()));
    }

    #[test]
    fn one_table_says_what_a_code_means_and_whether_it_passes() {
        let failure = |status, code: &str| Failure::Answered { code: code.to_owned(), status, message: String::new() };
        for (status, code, kind, stops, passes) in [
            (400, "ThrottlingException", ErrorKind::RateLimited, false, true),
            (400, "ProvisionedThroughputExceededException", ErrorKind::RateLimited, false, true),
            (400, "RequestTimeout", ErrorKind::Unavailable, false, true),
            (400, "UnrecognizedClientException", ErrorKind::Misconfigured, true, false),
            (403, "AccessDeniedException", ErrorKind::Misconfigured, false, false),
            (400, "ValidationException", ErrorKind::Rejected, false, false),
            (408, UNKNOWN, ErrorKind::Unavailable, false, true),
            (429, UNKNOWN, ErrorKind::RateLimited, false, true),
            (503, UNKNOWN, ErrorKind::Unavailable, false, true),
        ] {
            let failure = failure(status, code);
            assert_eq!((failure.meaning(&Meanings::default()), failure.passes()), (Meaning { kind, stops }, passes), "{status} {code}");
        }
        assert!(Failure::Unanswered.passes() && Failure::NotSent(String::new()).passes());
        const OWN: Meanings =
            Meanings { codes: &[("ThrottlingException", is(ErrorKind::RecipientGone))], statuses: &[(&[404], ErrorKind::Unavailable)] };
        assert_eq!(failure(400, "ThrottlingException").meaning(&OWN), is(ErrorKind::RecipientGone), "a service's own code wins");
        assert_eq!(failure(404, "Other").meaning(&OWN), is(ErrorKind::Unavailable));
    }
}
