//! Who we are in Azure, against what speaks as Entra, as a managed identity and as AWS's STS do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use errand_azure::{Access, Account, DefaultAzureCredential, Login, TokenCredential, service_bus};
use errand_core::{BoxFuture, Clock, DeliveryError, Environment, ErrorKind, Init, Secret, Timestamp};
use errand_http::{Issued, References, aws};
use errand_testkit::{Answer, Request, Stopped, Stub};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const SCOPE: &str = "https://servicebus.azure.net/.default";
const NAMESPACE: &str = "https://shop.servicebus.windows.net";

/// What a function has that is starting with these settings; with AWS, where it has keys.
fn cx(vars: &[(&str, &str)]) -> Init {
    let env: Environment = vars.iter().copied().collect();
    let cx = Stopped(NOW).init().with(env.clone());
    let cx = match aws::sdk_config(&env) {
        Ok(sdk) => cx.with(sdk),
        Err(_) => cx,
    };
    let references = References::new(&env, &cx).unwrap();
    cx.with(references)
}

async fn token(vars: &[(&str, &str)]) -> Result<Issued, DeliveryError> {
    DefaultAzureCredential::new(&Login::default(), &cx(vars)).unwrap().token(SCOPE).await
}

fn ending(token: &str, seconds: u64) -> Issued {
    Issued::ending_in(Duration::from_secs(seconds), Secret::new(token))
}

/// Gives tokens that are numbered from 1.
async fn entra() -> Stub {
    let number = AtomicUsize::new(0);
    Stub::start(move |_| {
        let number = number.fetch_add(1, Ordering::SeqCst) + 1;
        Answer::json(200, &format!(r#"{{"token_type":"Bearer","expires_in":3599,"access_token":"token-{number}"}}"#))
    })
    .await
}

fn form(request: &Request) -> BTreeMap<String, String> {
    let body = String::from_utf8(request.body.to_vec()).unwrap();
    let decoded = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            let two = |rest: &mut std::str::Bytes<'_>| [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(if byte == b'%' { u8::from_str_radix(std::str::from_utf8(&two(&mut rest)).unwrap(), 16).unwrap() } else { byte });
        }
        String::from_utf8(bytes).unwrap()
    };
    body.split('&').map(|pair| pair.split_once('=').unwrap()).map(|(name, value)| (decoded(name), decoded(value))).collect()
}

#[tokio::test]
async fn a_client_secret_is_changed_for_a_token() {
    let entra = entra().await;
    let vars = [
        ("AZURE_TENANT_ID", "shop"),
        ("AZURE_CLIENT_ID", "me"),
        ("AZURE_CLIENT_SECRET", "hunter2+&"),
        ("AZURE_AUTHORITY_HOST", entra.url()),
    ];
    let issued = token(&vars).await.unwrap();
    assert_eq!(issued, ending("token-1", 3599));
    let request = &entra.requests()[0];
    assert_eq!((request.method.as_str(), request.uri.path()), ("POST", "/shop/oauth2/v2.0/token"));
    assert_eq!(request.headers["content-type"], "application/x-www-form-urlencoded");
    let form = form(request);
    let expected = [("client_id", "me"), ("client_secret", "hunter2+&"), ("grant_type", "client_credentials"), ("scope", SCOPE)];
    assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    // What options say wins over the environment.
    let login = Login { tenant_id: Some("theirs"), client_id: Some("them"), client_secret: Some("s"), ..Login::default() };
    DefaultAzureCredential::new(&login, &cx(&vars)).unwrap().token(SCOPE).await.unwrap();
    assert_eq!(entra.requests()[1].uri.path(), "/theirs/oauth2/v2.0/token");
    assert!(self::form(&entra.requests()[1])["client_secret"] == "s");
}

#[tokio::test]
async fn a_secret_may_be_a_reference() {
    let (entra, folder) = (entra().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("secret");
    std::fs::write(&file, "from-a-file\n").unwrap();
    let reference = format!("file:{}", file.display());
    let vars = [
        ("AZURE_TENANT_ID", "shop"),
        ("AZURE_CLIENT_ID", "me"),
        ("AZURE_CLIENT_SECRET", &reference),
        ("AZURE_AUTHORITY_HOST", entra.url()),
    ];
    token(&vars).await.unwrap();
    let login = Login { client_secret: Some(&reference), ..Login::default() };
    DefaultAzureCredential::new(&login, &cx(&vars)).unwrap().token(SCOPE).await.unwrap();
    assert!(entra.requests().iter().all(|request| form(request)["client_secret"] == "from-a-file"));
}

#[tokio::test]
async fn a_federated_token_is_read_again_for_each_token() {
    let (entra, folder) = (entra().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("token");
    let path = file.display().to_string();
    let vars = [
        ("AZURE_TENANT_ID", "shop"),
        ("AZURE_CLIENT_ID", "me"),
        ("AZURE_FEDERATED_TOKEN_FILE", &path),
        ("AZURE_AUTHORITY_HOST", entra.url()),
    ];
    let credential = DefaultAzureCredential::new(&Login::default(), &cx(&vars)).unwrap();
    for written in ["first\n", "second"] {
        std::fs::write(&file, written).unwrap();
        credential.token(SCOPE).await.unwrap();
        let form = form(entra.requests().last().unwrap());
        assert_eq!((form["client_assertion"].as_str(), form.contains_key("client_secret")), (written.trim(), false));
        assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    }
    std::fs::remove_file(&file).unwrap();
    let error = credential.token(SCOPE).await.unwrap_err();
    assert!(
        error.message.contains("workload identity: AZURE_FEDERATED_TOKEN_FILE names a file that cannot be read: entity not found"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn on_aws_the_functions_own_role_is_changed_for_a_token() {
    let entra = entra().await;
    let sts = Stub::start(|_| {
        let xml = "<GetWebIdentityTokenResponse><GetWebIdentityTokenResult><Expiration>2027</Expiration><WebIdentityToken>aws.jwt.here</WebIdentityToken></GetWebIdentityTokenResult></GetWebIdentityTokenResponse>";
        Answer::Reply(200, vec![("content-type".to_owned(), "text/xml".to_owned())], xml.to_owned())
    })
    .await;
    let aws =
        [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "key"), ("AWS_ENDPOINT_URL_STS", sts.url())];
    let mut vars = vec![("AZURE_TENANT_ID", "shop"), ("AZURE_CLIENT_ID", "me"), ("AZURE_AUTHORITY_HOST", entra.url())];
    vars.extend(aws);
    assert_eq!(token(&vars).await.unwrap(), ending("token-1", 3599));
    let asked = &sts.requests()[0];
    let form_ = form(asked);
    assert_eq!((form_["Action"].as_str(), form_["Audience.member.1"].as_str()), ("GetWebIdentityToken", "api://AzureADTokenExchange"));
    assert!(asked.headers["authorization"].to_str().unwrap().contains("/eu-west-1/sts/aws4_request"));
    assert_eq!(form(&entra.requests()[0])["client_assertion"], "aws.jwt.here");
    let refuses = Stub::always(&Answer::Reply(
        400,
        Vec::new(),
        "<ErrorResponse><Error><Code>OutboundWebIdentityFederationDisabled</Code></Error></ErrorResponse>".to_owned(),
    ))
    .await;
    vars.push(("AWS_ENDPOINT_URL_STS", refuses.url()));
    let error = token(&vars).await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Misconfigured
            && error.message.contains("AWS role: STS answered HTTP 400 OutboundWebIdentityFederationDisabled"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_managed_identity_is_asked_where_it_is() {
    let until = (NOW + Duration::from_secs(86_400)).seconds();
    for expires_on in [format!("\"{until}\""), until.to_string()] {
        let told = format!(r#"{{"access_token":"managed","expires_on":{expires_on},"resource":"x","token_type":"Bearer"}}"#);
        let identity = Stub::always(&Answer::json(200, &told)).await;
        let endpoint = format!("{}/msi/token", identity.url());
        let mut vars = vec![("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", "hunter2")];
        let issued = token(&vars).await.unwrap();
        assert_eq!(issued, ending("managed", 86_400));
        vars.push(("AZURE_CLIENT_ID", "one of several"));
        token(&vars).await.unwrap();
        let uris = identity.requests().iter().map(|request| request.uri.to_string()).collect::<Vec<_>>();
        let first = "/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fservicebus.azure.net";
        assert_eq!(uris, [first.to_owned(), format!("{first}&client_id=one%20of%20several")]);
        assert_eq!(identity.requests()[0].headers["x-identity-header"], "hunter2");
    }
}

#[tokio::test]
async fn ways_are_tried_in_the_order_of_azures_libraries_and_all_are_named_when_none_works() {
    let refuses = Stub::always(&Answer::json(
        401,
        r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided for app 'hunter2'. Trace ID: x","error_codes":[7000215]}"#,
    ))
    .await;
    let identity = Stub::always(&Answer::json(200, r#"{"access_token":"managed","expires_on":1800003600}"#)).await;
    let mut vars = vec![
        ("AZURE_TENANT_ID", "shop"),
        ("AZURE_CLIENT_ID", "me"),
        ("AZURE_CLIENT_SECRET", "hunter2"),
        ("AZURE_AUTHORITY_HOST", refuses.url()),
        ("IDENTITY_ENDPOINT", identity.url()),
        ("IDENTITY_HEADER", "hunter2"),
    ];
    assert_eq!(token(&vars).await.unwrap(), ending("managed", 3600));
    assert_eq!((refuses.requests().len(), identity.requests().len()), (1, 1), "the secret comes first");
    vars.truncate(4);
    let error = token(&vars).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    let clock = error.message.split("; this machine's clock is ").nth(1).and_then(|rest| rest.split(';').next()).unwrap();
    assert_eq!(
        error.message.replace(&format!("; this machine's clock is {clock}"), ""),
        "no credential for Azure works: client secret: Entra answered HTTP 401 AADSTS7000215: invalid_client; workload identity: AZURE_FEDERATED_TOKEN_FILE is not set; \
         AWS role: there is no AWS configuration; managed identity: IDENTITY_ENDPOINT and IDENTITY_HEADER are not set"
    );
    assert!(clock.ends_with("the service's"), "{clock}");
    // What may pass is tried again.
    let fails = Stub::always(&Answer::json(503, "")).await;
    vars[3].1 = fails.url();
    assert_eq!(token(&vars).await.unwrap_err().kind, ErrorKind::Unavailable);
    vars[3].1 = "http://127.0.0.1:1";
    assert_eq!(token(&vars).await.unwrap_err().kind, ErrorKind::Unavailable);
}

#[test]
fn where_there_is_no_way_at_all_the_function_does_not_start() {
    let told = |vars: &[(&str, &str)], url: Option<(&'static str, String)>| {
        let login = Login { url, ..Login::default() };
        Account::<service_bus::Key>::new(&login, None, &cx(vars)).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let namespace = || Some(("namespace", NAMESPACE.to_owned()));
    assert_eq!(
        told(&[("AZURE_CLIENT_SECRET", "s")], namespace()),
        "/namespace: there is no credential for it: client secret: AZURE_TENANT_ID and AZURE_CLIENT_ID, or tenant_id and client_id, are not set; \
         workload identity: AZURE_FEDERATED_TOKEN_FILE is not set; AWS role: there is no AWS configuration; \
         managed identity: IDENTITY_ENDPOINT and IDENTITY_HEADER are not set"
    );
    assert_eq!(told(&[("AZURE_CLIENT_SECRET", "s"), ("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c")], namespace()), "");
    assert_eq!(told(&[], None), "/connection_string: is required");
    let both = Login { connection_string: Some("x"), url: namespace(), ..Login::default() };
    let told = |login: &Login<'_>| {
        Account::<service_bus::Key>::new(login, None, &cx(&[])).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(told(&both), "/namespace: expected either it or connection_string, got both");
    let wrong = Login { connection_string: Some("hunter2"), ..Login::default() };
    assert_eq!(told(&wrong), "/connection_string: expected a connection string: Name=value;Name=value");
    let wrong = Login { connection_string: Some("ssm:hunter2"), ..Login::default() };
    assert!(told(&wrong).starts_with("/connection_string: expected ssm:/"), "{}", told(&wrong));
}

/// Credentials of somebody's own.
struct Own(AtomicUsize);

impl TokenCredential for Own {
    fn token<'a>(&'a self, scope: &'a str) -> BoxFuture<'a, Result<Issued, DeliveryError>> {
        let number = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        Box::pin(async move { Ok(Issued::ending_in(Duration::from_secs(3600), Secret::new(format!("own-{number}-{scope}")))) })
    }
}

/// A clock that is set.
struct Set(AtomicUsize);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        NOW + Duration::from_secs(u64::try_from(self.0.load(Ordering::SeqCst)).unwrap())
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

#[tokio::test]
async fn a_token_is_kept_until_shortly_before_its_end_and_renewed_when_it_is_refused() {
    let clock = Arc::new(Set(AtomicUsize::new(0)));
    let cx = Init::default().with(Arc::clone(&clock) as Arc<dyn Clock>);
    let login = Login { url: Some(("namespace", NAMESPACE.to_owned())), ..Login::default() };
    let account = Account::<service_bus::Key>::new(&login, Some(Arc::new(Own(AtomicUsize::new(0)))), &cx).unwrap();
    let taken = async |refused: &'static str| {
        let work = |access: Access<service_bus::Key>| async move {
            let Access::Token(url, token) = access else { panic!("there is no connection string") };
            assert_eq!(&*url, NAMESPACE);
            let number = token.expose().split('-').nth(1).unwrap().to_owned();
            if number == refused { Err(DeliveryError::new(ErrorKind::Misconfigured, "HTTP 401")) } else { Ok(number) }
        };
        account.with(work).await.map_err(|error| error.kind)
    };
    let at = |seconds| clock.0.store(seconds, Ordering::SeqCst);
    assert_eq!(taken("").await.unwrap(), "1");
    assert_eq!(taken("1").await, Err(ErrorKind::Misconfigured), "a new one would be as wrong");
    at(61);
    assert_eq!(taken("1").await.unwrap(), "2");
    at(61 + 3539);
    assert_eq!(taken("").await.unwrap(), "2");
    at(61 + 3540);
    assert_eq!(taken("").await.unwrap(), "3");
}
