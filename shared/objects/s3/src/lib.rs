//! Arguments that no queue can carry, in one S3 bucket. The bucket's lifecycle rules forget what nobody deletes: objects under `soon/` and under `late/`,
//! each after its own time (see the deployment template).

use aws_sdk_s3::{Client, primitives::ByteStream, types::ServerSideEncryption};
use errand_core::{Environment, ForeignObjects, OBJECT_LIMIT, Objects, StorageError, settings::all::BUCKET};
use errand_http::aws::{Failure, SdkConfig};

/// Any bucket that may be read.
pub struct S3ForeignObjects {
    client: Client,
}

/// One bucket.
pub struct S3Objects {
    client: Client,
    bucket: String,
}

impl S3Objects {
    /// The bucket of this name.
    #[must_use]
    pub fn new(sdk: &SdkConfig, bucket: &str) -> Self {
        Self { client: client(sdk), bucket: bucket.to_owned() }
    }

    /// The bucket that `ERRAND_BUCKET` names, if it is set.
    #[must_use]
    pub fn from_env(env: &Environment, sdk: &SdkConfig) -> Option<Self> {
        Some(Self::new(sdk, env.get(&BUCKET)?))
    }
}

impl S3ForeignObjects {
    /// Those that the function's role may read.
    #[must_use]
    pub fn new(sdk: &SdkConfig) -> Self {
        Self { client: client(sdk) }
    }
}

fn client(sdk: &SdkConfig) -> Client {
    // A custom endpoint, such as an emulator's, has no name for each bucket.
    Client::from_conf(aws_sdk_s3::config::Builder::from(sdk).force_path_style(sdk.endpoint_url().is_some()).build())
}

impl ForeignObjects for S3ForeignObjects {
    async fn fetch(&self, bucket: &str, key: &str) -> Result<Option<String>, StorageError> {
        read(&self.client, bucket, key).await
    }
}

async fn read(client: &Client, bucket: &str, key: &str) -> Result<Option<String>, StorageError> {
    let found = match client.get_object().bucket(bucket).key(key).send().await {
        Ok(found) => found,
        Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => return Ok(None),
        Err(error) => return Err(failed(&Failure::of(&error))),
    };
    if found.content_length().is_some_and(|length| usize::try_from(length).map_or(true, |length| length > OBJECT_LIMIT)) {
        return Err(StorageError(format!("S3: the object is larger than {OBJECT_LIMIT} bytes")));
    }
    let bytes = found.body.collect().await.map_err(|_| StorageError("S3: the object broke off".to_owned()))?;
    String::from_utf8(bytes.to_vec()).map(Some).map_err(|_| StorageError("S3: the object is not what was kept there".to_owned()))
}

impl Objects for S3Objects {
    async fn put(&self, key: &str, content: String) -> Result<(), StorageError> {
        let call = self.client.put_object().bucket(&self.bucket).key(key).content_type("application/json");
        let call = call.server_side_encryption(ServerSideEncryption::Aes256).body(ByteStream::from(content.into_bytes()));
        call.send().await.map(drop).map_err(|error| failed(&Failure::of(&error)))
    }

    async fn get(&self, key: &str) -> Result<Option<String>, StorageError> {
        read(&self.client, &self.bucket, key).await
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        self.client.delete_object().bucket(&self.bucket).key(key).send().await.map(drop).map_err(|error| failed(&Failure::of(&error)))
    }
}

fn failed(failure: &Failure) -> StorageError {
    StorageError(format!("S3: {failure}"))
}
