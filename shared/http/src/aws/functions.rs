//! The user's own Lambda functions, and how they are invoked, whoever invokes them.

use bytes::Bytes;
use errand_core::{DeliveryError, ErrorKind, percent_encode};

use super::{Api, refused};
use crate::{Answer, Call, Meanings, Service, is};

/// What functions are invoked through. <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>
pub const LAMBDA: Api = Api { name: "Lambda", id: "Lambda", host: "lambda", signed_as: "lambda" };

/// How a function is invoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invoke {
    /// It is waited for, and its answer is the answer. Its event may have 6 MB.
    Waiting,
    /// Its event is kept for it, which may have [`Functions::EVENT_LIMIT`]; a function that fails is invoked twice more.
    Event,
    /// It is not: whether it is there and may be invoked.
    DryRun,
}

/// Invokes functions by [`LAMBDA`].
pub struct Functions(Service);

impl Functions {
    /// The largest event of a function that is not waited for, in bytes.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
    pub const EVENT_LIMIT: usize = 1024 * 1024;

    /// Those that this service has.
    #[must_use]
    pub const fn new(lambda: Service) -> Self {
        Self(lambda)
    }

    /// Checks what a function is called: its name or ARN, with an alias or version perhaps.
    ///
    /// # Errors
    /// What was expected.
    pub fn check(function: &str) -> Result<(), &'static str> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:$.".contains(&byte);
        let named = (1..=170).contains(&function.len()) && function.bytes().all(allowed);
        if named { Ok(()) } else { Err("expected a function's name or ARN") }
    }

    /// Invokes a function with an event, by a call that `prepare` adds to.
    ///
    /// # Errors
    /// Lambda did not invoke it, or did not answer. What the function itself failed with is an answer.
    pub async fn invoke<'a>(
        &'a self,
        function: &str,
        how: Invoke,
        event: impl Into<Bytes>,
        prepare: impl FnOnce(Call<'a>) -> Call<'a>,
    ) -> Result<Answer, DeliveryError> {
        let how = match how {
            Invoke::Waiting => "RequestResponse",
            Invoke::Event => "Event",
            Invoke::DryRun => "DryRun",
        };
        // What an ARN holds must be encoded, or the signature is another.
        let path = format!("/2015-03-31/functions/{}/invocations", percent_encode(function));
        let answer = prepare(self.0.post(&path).json_text(event).header("x-amz-invocation-type", how)).send().await?;
        if answer.success() { Ok(answer) } else { Err(refused(&answer, &MEANINGS)) }
    }
}

/// What Lambda's own refusals mean. <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors>
static MEANINGS: Meanings = Meanings {
    codes: &[
        ("InvalidRequestContentException InvalidParameterValueException", is(ErrorKind::InvalidPayload)),
        // What throttles is not Lambda, and nobody asks for less.
        ("EC2ThrottledException", is(ErrorKind::Unavailable)),
    ],
    statuses: &[
        // No such function, or it may not be invoked, or its image or network is wrong: somebody has to mend that.
        (&[400, 404, 415], ErrorKind::Misconfigured),
        // It is being changed, or is waking up.
        (&[409], ErrorKind::Unavailable),
        (&[413], ErrorKind::InvalidPayload),
    ],
};
