//! Objects in a real bucket.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use aws_sdk_s3::Client;
use errand_core::{Environment, Objects};
use errand_http::aws::sdk_config;
use errand_object_s3::S3Objects;

#[tokio::test]
#[ignore = "needs S3 at TEST_AWS_ENDPOINT"]
async fn it_keeps_the_contract_of_an_object_store() {
    let endpoint = std::env::var("TEST_AWS_ENDPOINT").unwrap();
    let vars =
        [("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_ENDPOINT_URL", &endpoint)];
    let env: Environment = vars.into_iter().collect();
    let sdk = sdk_config(&env).unwrap();
    let bucket = format!("errand-objects-{}", std::process::id());
    let config = aws_sdk_s3::config::Builder::from(&sdk).force_path_style(true).build();
    Client::from_conf(config).create_bucket().bucket(&bucket).send().await.unwrap();
    errand_testkit::objects::conformance(&S3Objects::new(&sdk, &bucket)).await;
    let nowhere = S3Objects::new(&sdk, "errand-no-such-bucket").put("soon/x", "{}".to_owned()).await.unwrap_err();
    assert_eq!(nowhere.to_string(), "S3: HTTP 404 NoSuchBucket");
}
