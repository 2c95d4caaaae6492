use std::{
    fmt,
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use errand_core::{
    DeliveryError, Environment, ErrorKind, Init, OptionError, Problems, Reference, Secret, Setting, SettingsError, Timestamp,
};
use tokio::time::{Instant, timeout};

use crate::{Issued, References, Token, references::late};

/// How long what was read is kept.
const KEPT: Duration = Duration::from_secs(5 * 60);

/// How long it goes on being used where it cannot be read again, before that is tried once more.
const RESPITE: Duration = Duration::from_secs(60);

/// How much longer than a reading who waits for another's waits: that may still end well.
const GRACE: Duration = Duration::from_millis(200);

/// A call that is refused later than this is not made again at once.
const SOON: Duration = Duration::from_millis(800);

/// A secret setting in the form in which it is used: its value, or what it refers to. What it refers to is read at the first use and kept for five minutes, and it is
/// read again when the service says that it is wrong. A value needs no waiting, ever.
pub struct Credential<T = Secret>(Source<T>);

enum Source<T> {
    Value(T),
    Elsewhere(Box<Elsewhere<T>>),
}

struct Elsewhere<T> {
    setting: &'static str,
    form: fn(&Secret) -> Result<T, String>,
    reference: Reference,
    references: References,
    held: Token<Formed<T>>,
    /// What was read last, unless a service has called it wrong.
    last: Mutex<Option<Formed<T>>>,
}

/// A secret and what was made of it. The secret tells it from another.
#[derive(Clone)]
struct Formed<T> {
    secret: Secret,
    credential: T,
}

impl<T> PartialEq for Formed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.secret == other.secret
    }
}

impl<T: Clone + Send + Sync> Credential<T> {
    /// What a setting has, if it is set. `form` makes of a secret what is used, or says what is wrong with it, without repeating it.
    ///
    /// # Errors
    /// The value is of another form, or the reference is none; or the function that is starting has nothing that reads references.
    pub fn from_env(
        env: &Environment,
        setting: &Setting,
        cx: &Init,
        form: fn(&Secret) -> Result<T, String>,
    ) -> Result<Option<Self>, SettingsError> {
        let Some(value) = env.get(setting) else { return Ok(None) };
        let Some(reference) = env.reference(setting)? else {
            let value = form(&Secret::new(value)).map_err(|problem| SettingsError::invalid(setting.name, &problem))?;
            return Ok(Some(Self::of(value)));
        };
        Self::elsewhere(setting.name, reference, cx, form).map(Some)
    }

    /// What an option of a transport has, by its name: a value, or a reference to it.
    ///
    /// # Errors
    /// As [`Credential::from_env`].
    pub fn from_option(
        option: &'static str,
        value: &Secret,
        cx: &Init,
        form: fn(&Secret) -> Result<T, String>,
    ) -> Result<Self, OptionError> {
        let wrong = |problem: &str| Problems::at(&format!("/{option}"), problem);
        match Reference::read(value.expose()).map_err(|expected| wrong(&format!("expected {expected}")))? {
            None => Ok(Self::of(form(value).map_err(|problem| wrong(&problem))?)),
            Some(reference) => Ok(Self::elsewhere(option, reference, cx, form)?),
        }
    }

    fn elsewhere(
        setting: &'static str,
        reference: Reference,
        cx: &Init,
        form: fn(&Secret) -> Result<T, String>,
    ) -> Result<Self, SettingsError> {
        let references = cx.shared::<References>()?.clone();
        let elsewhere = Elsewhere { setting, form, reference, references, held: Token::new(), last: Mutex::default() };
        Ok(Self(Source::Elsewhere(Box::new(elsewhere))))
    }

    /// One that is known.
    #[must_use]
    pub const fn of(value: T) -> Self {
        Self(Source::Value(value))
    }

    /// The most that having it may add to the time that a call takes: nothing, unless it is kept elsewhere.
    #[must_use]
    pub fn patience(&self) -> Duration {
        match &self.0 {
            Source::Value(_) => Duration::ZERO,
            Source::Elsewhere(elsewhere) => elsewhere.limit() + SOON,
        }
    }

    /// The credential as it is now. Where calls can be refused for it, [`Credential::with`] is better.
    ///
    /// # Errors
    /// It cannot be read, or is of another form: the message names the setting and never what it holds. The service that it is for was asked nothing.
    pub async fn get(&self) -> Result<T, DeliveryError> {
        match &self.0 {
            Source::Value(value) => Ok(value.clone()),
            Source::Elsewhere(elsewhere) => Ok(elsewhere.get(elsewhere.references.now()).await?.credential),
        }
    }

    /// Does `work` with the credential. Where that is refused as [misconfigured](ErrorKind::Misconfigured), and the credential was read more than a minute ago, it is read
    /// again, and with another one the work is done once more.
    ///
    /// # Errors
    /// The credential cannot be read, as [`Credential::get`] says, or the work fails.
    pub async fn with<R, W>(&self, work: impl Fn(T) -> W + Send + Sync) -> Result<R, DeliveryError>
    where
        W: Future<Output = Result<R, DeliveryError>> + Send,
        R: Send,
    {
        match &self.0 {
            Source::Value(value) => work(value.clone()).await,
            Source::Elsewhere(elsewhere) => elsewhere.with(elsewhere.references.now(), work).await,
        }
    }
}

impl<T: Clone + Send + Sync> Elsewhere<T> {
    /// How long to wait for it.
    fn limit(&self) -> Duration {
        self.references.timeout() + GRACE
    }

    async fn with<R, W>(&self, now: Timestamp, work: impl Fn(T) -> W + Send + Sync) -> Result<R, DeliveryError>
    where
        W: Future<Output = Result<R, DeliveryError>> + Send,
        R: Send,
    {
        let first = self.get(now).await?;
        let begun = Instant::now();
        let done = work(first.credential.clone()).await;
        if !done.as_ref().is_err_and(|error| error.kind == ErrorKind::Misconfigured) || !self.is_wrong(&first, now).await {
            return done;
        }
        if begun.elapsed() > SOON {
            return done;
        }
        match self.get(now).await {
            Ok(fresh) if fresh != first => work(fresh.credential).await,
            // The refusal says more than that nothing else is to be had.
            _ => done,
        }
    }

    async fn get(&self, now: Timestamp) -> Result<Formed<T>, DeliveryError> {
        let got = timeout(self.limit(), self.held.get(now, || self.read())).await;
        got.unwrap_or_else(|_| Err(late(self.references.timeout()))).map_err(|mut error| {
            error.message = format!("{}: {}", self.setting, error.message);
            error
        })
    }

    async fn read(&self) -> Result<Issued<Formed<T>>, DeliveryError> {
        let read = self.references.read(&self.reference).await;
        let read = read.and_then(|secret| self.formed(secret));
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match (read, &*last) {
            (Ok(formed), _) => {
                *last = Some(formed.clone());
                Ok(Issued::kept_for(KEPT, formed))
            }
            (Err(error), Some(last)) if error.kind == ErrorKind::Unavailable => {
                tracing::warn!(setting = self.setting, error = error.message, "what was read before is used");
                Ok(Issued::kept_for(RESPITE, last.clone()))
            }
            (Err(error), _) => Err(error),
        }
    }

    fn formed(&self, secret: Secret) -> Result<Formed<T>, DeliveryError> {
        let wrong = |problem| DeliveryError::new(ErrorKind::Misconfigured, format!("what it refers to is wrong: {problem}")).stopping();
        let credential = (self.form)(&secret).map_err(wrong)?;
        Ok(Formed { secret, credential })
    }

    /// Takes note that a service has refused it. Answers whether it may be another one by now.
    async fn is_wrong(&self, formed: &Formed<T>, now: Timestamp) -> bool {
        let is_wrong = self.held.is_wrong(formed, now).await;
        if is_wrong {
            self.last.lock().unwrap_or_else(PoisonError::into_inner).take_if(|last| last == formed);
        }
        is_wrong
    }
}

impl<T> fmt::Debug for Credential<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The form of a token or key that is sent in a header.
///
/// # Errors
/// No header can hold it.
pub fn token(secret: &Secret) -> Result<Secret, String> {
    if secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(secret.clone())
    } else {
        Err("holds a character that no token has".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
    };

    use errand_core::CallTimeout;
    use errand_testkit::{Answer, Stub};
    use futures_util::future::join_all;
    use serde_json::json;

    use super::*;
    use crate::aws;

    errand_core::settings! {
        const SETTINGS;
        /// Its token.
        TOKEN = "ERRAND_SHOP_TOKEN", Secret("a token"), "", [Consumer];
    }

    thread_local! {
        /// How often this test has made a credential of a secret.
        static FORMED: Cell<usize> = const { Cell::new(0) };
    }

    fn counted(secret: &Secret) -> Result<Secret, String> {
        FORMED.set(FORMED.get() + 1);
        token(secret)
    }

    /// A parameter, and a service that takes its value of now alone.
    struct World {
        stub: Stub,
        value: Arc<AtomicU32>,
        fails: Arc<AtomicU32>,
        token: Elsewhere<Secret>,
        calls: AtomicU32,
    }

    impl World {
        async fn new() -> Self {
            let (value, fails) = (Arc::new(AtomicU32::new(1)), Arc::new(AtomicU32::new(0)));
            let (now, failing) = (Arc::clone(&value), Arc::clone(&fails));
            let stub = Stub::start(move |_| match failing.load(Ordering::Relaxed) {
                0 => Answer::json(200, &json!({ "Parameter": { "Value": format!("hunter{}", now.load(Ordering::Relaxed)) } }).to_string()),
                1 => Answer::Silence,
                status => Answer::json(u16::try_from(status).unwrap(), r#"{"__type":"ParameterNotFound","message":"hunter"}"#),
            })
            .await;
            let env: Environment = [
                ("AWS_REGION", "eu-west-1"),
                ("AWS_ACCESS_KEY_ID", "AKID"),
                ("AWS_SECRET_ACCESS_KEY", "key"),
                ("AWS_ENDPOINT_URL", stub.url()),
                (TOKEN.name, "ssm:/shop/token"),
            ]
            .into_iter()
            .collect();
            let cx = errand_testkit::init().with(aws::sdk_config(&env).unwrap()).with(CallTimeout(Duration::from_millis(300)));
            let references = References::new(&env, &cx).unwrap();
            let token = Credential::from_env(&env, &TOKEN, &cx.with(references), counted).unwrap().unwrap();
            assert!(!format!("{token:?}").contains("ssm") && SETTINGS.len() == 1);
            let Source::Elsewhere(token) = token.0 else { panic!("it is a reference") };
            assert!(stub.requests().is_empty(), "nothing is read at the start");
            Self { stub, value, fails, token: *token, calls: AtomicU32::new(0) }
        }

        async fn get(&self, seconds: u64) -> Result<String, String> {
            let got = self.token.get(at(seconds)).await;
            got.map(|formed| formed.credential.expose().to_owned()).map_err(|error| error.message)
        }

        /// A call of the service, which takes the value as it is now.
        async fn call(&self, seconds: u64) -> Result<(), ErrorKind> {
            let called = self.token.with(at(seconds), |token| async move {
                self.calls.fetch_add(1, Ordering::Relaxed);
                let taken = token.expose() == format!("hunter{}", self.value.load(Ordering::Relaxed));
                taken.then_some(()).ok_or_else(|| DeliveryError::new(ErrorKind::Misconfigured, "Shop answered HTTP 401"))
            });
            called.await.map_err(|error| error.kind)
        }

        /// How often the service was called, and the parameter read.
        fn counts(&self) -> (u32, usize) {
            (self.calls.load(Ordering::Relaxed), self.stub.requests().len())
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000) + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn it_is_read_once_for_all_who_wait_and_again_after_five_minutes() {
        let world = World::new().await;
        assert_eq!(join_all((0..10).map(|_| world.get(0))).await, vec![Ok("hunter1".to_owned()); 10]);
        world.value.store(2, Ordering::Relaxed);
        assert_eq!((world.get(299).await.unwrap().as_str(), world.counts().1), ("hunter1", 1));
        assert_eq!((world.get(300).await.unwrap().as_str(), world.counts().1), ("hunter2", 2));
        assert_eq!(FORMED.get(), 2, "what is costly to make is made of each reading once");
    }

    #[tokio::test]
    async fn what_is_refused_is_read_again_and_tried_once_more() {
        let world = World::new().await;
        assert_eq!((world.call(0).await, world.counts()), (Ok(()), (1, 1)));
        world.value.store(2, Ordering::Relaxed);
        assert_eq!((world.call(60).await, world.counts()), (Ok(()), (3, 2)), "the old one, and the new one");
        assert_eq!((world.call(61).await, world.counts()), (Ok(()), (4, 2)), "the new one alone");
    }

    #[tokio::test]
    async fn what_is_refused_while_it_is_new_is_not_read_again() {
        let world = World::new().await;
        assert!(world.get(0).await.is_ok());
        world.value.store(2, Ordering::Relaxed);
        assert_eq!((world.call(59).await, world.counts()), (Err(ErrorKind::Misconfigured), (1, 1)));
        assert_eq!((world.call(60).await, world.counts()), (Ok(()), (3, 2)));
    }

    #[tokio::test]
    async fn the_same_again_is_not_tried_again() {
        // Rotated at the service and not yet where it is kept; Secrets Manager may also tell an old one for a while.
        let world = World::new().await;
        assert_eq!(world.call(0).await, Ok(()));
        let wrong = |_| async { Err::<(), _>(DeliveryError::new(ErrorKind::Misconfigured, "Shop answered HTTP 401")) };
        let refused = world.token.with(at(60), wrong).await.unwrap_err();
        assert_eq!((refused.message.as_str(), world.counts().1), ("Shop answered HTTP 401", 2));
        world.token.with(at(61), wrong).await.unwrap_err();
        assert_eq!(world.counts().1, 2, "once a minute at most");
        // Another kind of failure is none of the credential's.
        let tries = AtomicU32::new(0);
        let fails = |_| async {
            tries.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(DeliveryError::new(ErrorKind::Rejected, "no"))
        };
        world.token.with(at(200), fails).await.unwrap_err();
        assert_eq!((tries.load(Ordering::Relaxed), world.counts().1), (1, 2));
    }

    #[tokio::test]
    async fn a_refusal_is_told_where_nothing_else_is_to_be_had() {
        let world = World::new().await;
        assert_eq!(world.call(0).await, Ok(()));
        world.value.store(2, Ordering::Relaxed);
        world.fails.store(400, Ordering::Relaxed);
        assert_eq!((world.call(60).await, world.counts()), (Err(ErrorKind::Misconfigured), (2, 2)));
        let told = world.get(60).await.unwrap_err();
        assert!(
            told.starts_with("ERRAND_SHOP_TOKEN: what it refers to cannot be read: Parameter Store answered HTTP 400 ParameterNotFound"),
            "{told}"
        );
        world.fails.store(0, Ordering::Relaxed);
        assert_eq!(world.call(61).await, Ok(()));
    }

    #[tokio::test]
    async fn what_was_read_before_is_used_while_it_cannot_be_read_again() {
        for failure in [1, 503] {
            let world = World::new().await;
            assert_eq!(world.get(0).await.unwrap(), "hunter1");
            world.fails.store(failure, Ordering::Relaxed);
            assert_eq!(world.get(300).await.unwrap(), "hunter1");
            let read = world.counts().1;
            assert_eq!(
                (world.get(359).await.unwrap().as_str(), world.counts().1),
                ("hunter1", read),
                "and it is not tried for every message"
            );
            world.value.store(2, Ordering::Relaxed);
            world.fails.store(0, Ordering::Relaxed);
            assert_eq!(world.get(360).await.unwrap(), "hunter2");
        }
    }

    #[tokio::test]
    async fn who_waits_waits_no_longer_than_for_one_reading() {
        let world = World::new().await;
        world.fails.store(1, Ordering::Relaxed);
        let begun = Instant::now();
        let all = join_all((0..10).map(|_| world.token.get(at(0)))).await;
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        for failed in all {
            let error = failed.err().unwrap();
            assert_eq!((error.kind, error.stops), (ErrorKind::Unavailable, false), "nothing was sent to the service");
            assert!(error.message.starts_with("ERRAND_SHOP_TOKEN: what it refers to "), "{}", error.message);
        }
        world.fails.store(0, Ordering::Relaxed);
        assert_eq!(world.get(0).await.unwrap(), "hunter1");
    }
}
