use std::{future::Future, time::Duration};

use errand_core::{DeliveryError, Secret, Timestamp};
use futures_util::lock::Mutex;

/// A token is renewed so long before its end, so that it does not end on its way.
const MARGIN: Duration = Duration::from_secs(60);

/// A token that is called wrong sooner than this after it was issued is not asked for again: another would be as wrong.
const YOUNG: Duration = Duration::from_secs(60);

/// A token as it was issued, in the form in which it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued<T = Secret> {
    token: T,
    kept: Duration,
}

impl<T> Issued<T> {
    /// One that ends so long after it was issued: `expires_in` of OAuth (RFC 6749, section 5.1). It is renewed a minute before; one that is shorter than two minutes, halfway.
    pub fn ending_in(lifetime: Duration, token: T) -> Self {
        Self { token, kept: lifetime.saturating_sub(MARGIN).max(lifetime / 2) }
    }

    /// One that may end at any time, and is asked for again after this.
    pub const fn kept_for(kept: Duration, token: T) -> Self {
        Self { token, kept }
    }
}

/// A token that a service issues for a time. It is asked for when it is first needed, by one at a time, and again shortly before its end, or when it is said to be
/// wrong.
pub struct Token<T = Secret>(Mutex<Option<Held<T>>>);

struct Held<T> {
    token: T,
    since: Timestamp,
    until: Timestamp,
}

impl<T> Default for Token<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone + PartialEq> Token<T> {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The token, at the time `now`: the one that there is, or the one that `issue` asks for.
    ///
    /// # Errors
    /// None is issued.
    pub async fn get<F>(&self, now: Timestamp, issue: impl FnOnce() -> F + Send) -> Result<T, DeliveryError>
    where
        F: Future<Output = Result<Issued<T>, DeliveryError>> + Send,
    {
        let mut held = self.0.lock().await;
        if let Some(held) = held.as_ref().filter(|held| now < held.until) {
            return Ok(held.token.clone());
        }
        // The old one, if any, is gone when this fails or is dropped.
        *held = None;
        let Issued { token, kept } = issue().await?;
        Ok(held.insert(Held { token, since: now, until: now + kept }).token.clone())
    }

    /// Takes note that the service calls `token` wrong: it is asked for again when it is next needed. Answers whether that may help, so that the call may be made once
    /// more.
    pub async fn is_wrong(&self, token: &T, now: Timestamp) -> bool {
        let mut held = self.0.lock().await;
        match held.as_ref() {
            // Another call has had it renewed.
            Some(held) if held.token != *token => true,
            Some(held) if now.since(held.since) < YOUNG => false,
            _ => {
                *held = None;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use errand_core::ErrorKind;
    use futures_util::future::join_all;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[derive(Default)]
    struct Issuer(AtomicU32);

    impl Issuer {
        async fn issue(&self) -> Result<Issued, DeliveryError> {
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(Issued::ending_in(HOUR, Secret::new(format!("token-{number}"))))
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000) + Duration::from_secs(seconds)
    }

    async fn get(token: &Token, issuer: &Issuer, seconds: u64) -> String {
        token.get(at(seconds), || issuer.issue()).await.unwrap().expose().to_owned()
    }

    #[tokio::test]
    async fn it_is_issued_once_for_all_who_wait_and_again_before_its_end() {
        let (token, issuer) = (Token::new(), Issuer::default());
        let all = join_all((0..10).map(|_| get(&token, &issuer, 0))).await;
        assert_eq!(all, ["token-0"; 10]);
        assert_eq!(get(&token, &issuer, 3539).await, "token-0");
        assert_eq!(get(&token, &issuer, 3540).await, "token-1");
        assert_eq!(get(&token, &issuer, 3540 + 3539).await, "token-1");
        assert_eq!(Issued::ending_in(Duration::from_secs(90), ()).kept, Duration::from_secs(45));
    }

    #[tokio::test]
    async fn a_wrong_one_is_issued_again_unless_it_is_new() {
        let (token, issuer) = (Token::new(), Issuer::default());
        let first = Secret::new(get(&token, &issuer, 0).await);
        assert!(!token.is_wrong(&first, at(59)).await, "another would be as wrong");
        assert_eq!(get(&token, &issuer, 59).await, "token-0");
        assert!(token.is_wrong(&first, at(60)).await);
        assert_eq!(get(&token, &issuer, 60).await, "token-1");
        assert!(token.is_wrong(&first, at(61)).await, "who had the old one takes the new one");
        assert_eq!(get(&token, &issuer, 61).await, "token-1");
    }

    #[tokio::test]
    async fn what_fails_or_is_dropped_while_it_is_asked_for_is_asked_for_again() {
        let (token, issuer) = (Token::new(), Issuer::default());
        let failed = token.get(at(0), || async { Err(DeliveryError::new(ErrorKind::Unavailable, "no")) }).await;
        assert_eq!(failed.unwrap_err().kind, ErrorKind::Unavailable);
        let never = token.get(at(0), std::future::pending::<Result<Issued, DeliveryError>>);
        assert!(tokio::time::timeout(Duration::from_millis(10), never).await.is_err());
        assert_eq!(get(&token, &issuer, 0).await, "token-0");
        assert!(!format!("{:?}", issuer.issue().await).contains("token-1"));
    }
}
