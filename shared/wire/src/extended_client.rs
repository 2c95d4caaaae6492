//! The Amazon SQS Extended Client Library, of Java and of Python: a body that is too large for a queue is in S3, and the message holds where.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-managing-large-messages.html>

use errand_core::{Fields, Sender};
use serde_json::value::RawValue;

use crate::{Content, Decoded, Layer, Refused};

/// How the name of the pointer's class ends, in every version: <https://github.com/awslabs/payload-offloading-java-common-lib-for-aws>.
const CLASS: &str = "PayloadS3Pointer";

/// Where a body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// The bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
}

/// The pointer in an array, if it is one.
pub(crate) fn read(layer: &Layer<'_>) -> Option<Result<Decoded, Refused>> {
    let parts: Vec<&RawValue> = serde_json::from_str(layer.body).ok()?;
    let [class, pointer] = parts[..] else { return None };
    let class: String = serde_json::from_str(class.get()).ok()?;
    class.ends_with(CLASS).then(|| {
        let mut fields = Fields::of(pointer.get()).map_err(|problems| Refused::by(Sender::ExtendedClient, problems.under("/1")))?;
        let (bucket, key) = (fields.required("s3BucketName"), fields.required("s3Key"));
        let pointer = fields.finish(bucket.zip(key)).map_err(|problems| Refused::by(Sender::ExtendedClient, problems.under("/1")))?;
        let content = Content::Elsewhere(Pointer { bucket: pointer.0, key: pointer.1 });
        Ok(Decoded::new(Sender::ExtendedClient, content))
    })
}
