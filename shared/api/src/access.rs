use std::{sync::Arc, time::Duration};

use errand_core::{Digest, DynNotes, Environment, Note, NoteKind, SettingsError, Timestamp};
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::{ApiKey, ProblemDocument, Request, Response, Scope, keys::Keys};

/// Marks, as an extension of a request, a caller whom API Gateway has verified (IAM or JWT), by the name that it knows. What such a caller may do is
/// decided there.
#[derive(Clone, Debug)]
pub struct Verified(pub String);

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The name of the key, or what API Gateway knows the caller by. Empty where anyone may call.
    pub name: String,
    allowance: Option<Allowance>,
}

/// What is left of a key's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Allowance {
    limit: u32,
    used: u64,
    resets_in: u64,
}

/// The window in which calls are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// Who may call.
pub struct Access {
    keys: Keys,
    notes: Option<Arc<dyn DynNotes>>,
    open: bool,
}

impl Access {
    /// The callers that `ERRAND_API_KEYS` allows, comma-separated `name:scope+scope:sha256-hex-of-the-key`, and those with keys among the notes, where
    /// calls are counted as well.
    ///
    /// # Errors
    /// An entry is not of that form.
    pub fn new(env: &Environment, notes: Option<Arc<dyn DynNotes>>) -> Result<Self, SettingsError> {
        Ok(Self { keys: Keys::from_env(env)?, notes, open: false })
    }

    /// Lets everyone call when there are no keys in the settings: for a server that only this machine reaches.
    #[must_use]
    pub fn open_without_keys(self) -> Self {
        Self { open: self.keys.is_empty(), ..self }
    }

    /// Whether everyone may call.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The keys of the settings.
    pub fn keys(&self) -> impl Iterator<Item = &ApiKey> {
        self.keys.iter()
    }

    /// Lets a call pass that needs `scope`, and counts it.
    ///
    /// # Errors
    /// 401 without a known key and an identity that API Gateway verified, and for a key that has expired; 403 for a key without the scope; 429 for one
    /// that has called too often.
    pub async fn admit(&self, request: &Request, scope: Option<Scope>, now: Timestamp) -> Result<Caller, ProblemDocument> {
        let caller = |name: &str| Caller { name: name.to_owned(), allowance: None };
        let Some(scope) = scope else { return Ok(caller("")) };
        if let Some(Verified(name)) = request.extensions().get() {
            return Ok(caller(name));
        }
        if self.open {
            return Ok(caller("local"));
        }
        let key = match bearer(request) {
            Some(sent) => self.find(sent, now).await?,
            None => None,
        };
        let key = key.ok_or_else(|| unauthorised("send a known API key, with the header authorization: Bearer <key>"))?;
        if key.expires.is_some_and(|expires| expires <= now) {
            return Err(unauthorised("this key has expired"));
        }
        if !key.may(scope) {
            return Err(ProblemDocument::new(StatusCode::FORBIDDEN, &format!("this key lacks the scope {}", scope.as_str())));
        }
        let allowance = self.count(&key, now).await?;
        match &allowance {
            Some(allowance) if allowance.used > u64::from(allowance.limit) => {
                let detail = format!("this key may make {} calls in a minute", allowance.limit);
                let problem = ProblemDocument::new(StatusCode::TOO_MANY_REQUESTS, &detail)
                    .with_header(header::RETRY_AFTER, &allowance.resets_in.to_string());
                Err(allowance.headers().into_iter().fold(problem, |problem, (name, value)| problem.with_header(name, &value)))
            }
            _ => Ok(Caller { name: key.name, allowance }),
        }
    }

    /// Whether the caller has a key of any scope, or was verified by API Gateway. It counts as no call, and who cannot be found is not known.
    pub async fn knows(&self, request: &Request, now: Timestamp) -> bool {
        if request.extensions().get::<Verified>().is_some() {
            return true;
        }
        match bearer(request) {
            Some(sent) => {
                self.find(sent, now).await.is_ok_and(|key| key.is_some_and(|key| key.expires.is_none_or(|expires| expires > now)))
            }
            None => false,
        }
    }

    async fn find(&self, sent: &str, now: Timestamp) -> Result<Option<ApiKey>, ProblemDocument> {
        let hash = Digest::of(sent.as_bytes());
        match (self.keys.find(&hash), &self.notes) {
            (Some(key), _) => Ok(Some(key.clone())),
            (None, Some(notes)) => {
                Ok(notes.get(NoteKind::Key, &hash.to_string(), now).await?.and_then(|text| serde_json::from_str(&text).ok()))
            }
            (None, None) => Ok(None),
        }
    }

    /// Counts a call of a key that may not make any number. Where nothing can be counted, nothing is limited.
    async fn count(&self, key: &ApiKey, now: Timestamp) -> Result<Option<Allowance>, ProblemDocument> {
        let (Some(limit), Some(notes)) = (key.rate, &self.notes) else { return Ok(None) };
        let window = i64::try_from(WINDOW.as_secs()).unwrap_or(i64::MAX);
        let begins = now.seconds() - now.seconds().rem_euclid(window);
        let ends = Timestamp::from_millis((begins + window) * 1000);
        let used = notes.count(NoteKind::Rate, &format!("{} {begins}", key.name), ends).await?;
        Ok(Some(Allowance { limit, used, resets_in: ends.since(now).as_secs().max(1) }))
    }
}

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

impl Allowance {
    /// `RateLimit-Policy` and `RateLimit`: <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>
    fn headers(&self) -> [(HeaderName, String); 2] {
        let left = u64::from(self.limit).saturating_sub(self.used);
        [
            (RATE_LIMIT_POLICY, format!(r#""key";q={};w={}"#, self.limit, WINDOW.as_secs())),
            (RATE_LIMIT, format!(r#""key";r={left};t={}"#, self.resets_in)),
        ]
    }
}

impl Caller {
    /// An answer to this caller, which also tells what is left of the key's calls.
    #[must_use]
    pub fn answer(&self, answer: Result<Response, ProblemDocument>) -> Response {
        let mut response = answer.unwrap_or_else(Response::from);
        for (name, value) in self.allowance.iter().flat_map(Allowance::headers) {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

fn unauthorised(detail: &str) -> ProblemDocument {
    ProblemDocument::new(StatusCode::UNAUTHORIZED, detail).with_header(header::WWW_AUTHENTICATE, "Bearer")
}

/// The bearer token of a call.
#[must_use]
pub fn bearer(request: &Request) -> Option<&str> {
    let (scheme, key) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// The note of a key, by its SHA-256 in hexadecimal.
#[must_use]
pub fn key_note(key: &ApiKey, sha256_hex: &str) -> Note {
    Note { kind: NoteKind::Key, name: sha256_hex.to_owned(), text: serde_json::to_string(key).unwrap_or_default(), until: None }
}

#[cfg(test)]
mod tests {
    use errand_store_memory::MemoryNotes;

    use super::*;
    use crate::{generate_key, keys::SETTING};

    // SHA-256 of "hunter2".
    const HASH: &str = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";
    const NOW: Timestamp = Timestamp::from_millis(1_800_000_030_000);

    fn access(keys: &str) -> Result<Access, SettingsError> {
        Access::new(&[(SETTING, keys)].into_iter().collect(), Some(Arc::new(MemoryNotes::default())))
    }

    fn call(authorization: Option<&str>) -> Request {
        let mut request = http::Request::builder();
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        request.body(bytes::Bytes::new()).unwrap()
    }

    async fn status_at(access: &Access, request: &Request, scope: Scope, now: Timestamp) -> u16 {
        access.admit(request, Some(scope), now).await.map_or_else(|problem| problem.status().as_u16(), |_| 200)
    }

    async fn status(access: &Access, request: &Request, scope: Scope) -> u16 {
        status_at(access, request, scope, NOW).await
    }

    #[tokio::test]
    async fn a_key_may_do_what_its_scopes_say() {
        let access = access(&format!("one:send:{HASH}")).unwrap();
        assert_eq!(status(&access, &call(Some("Bearer hunter2")), Scope::Send).await, 200);
        assert_eq!(status(&access, &call(Some("bearer hunter2")), Scope::Send).await, 200);
        assert_eq!(status(&access, &call(Some("Bearer hunter2")), Scope::Read).await, 403);
        for wrong in [None, Some("Bearer hunter3"), Some("Bearer"), Some("Basic hunter2"), Some("hunter2"), Some("Bearer ")] {
            assert_eq!(status(&access, &call(wrong), Scope::Send).await, 401, "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn without_keys_only_the_gateways_word_or_an_open_server_lets_a_caller_in() {
        let access = access("").unwrap();
        assert_eq!(status(&access, &call(Some("Bearer hunter2")), Scope::Send).await, 401);
        let mut verified = call(None);
        verified.extensions_mut().insert(Verified("arn:aws:iam::1:user/x".to_owned()));
        assert_eq!(access.admit(&verified, Some(Scope::Read), NOW).await.unwrap().name, "arn:aws:iam::1:user/x");
        assert_eq!(status(&access.open_without_keys(), &call(None), Scope::Admin).await, 200);
    }

    #[test]
    fn keys_keep_a_server_closed() {
        assert!(!access(&format!("one:send:{HASH}")).unwrap().open_without_keys().is_open());
    }

    #[tokio::test]
    async fn a_key_ends_when_it_says() {
        let access = access(&format!("one:send:{HASH}:expires={NOW}")).unwrap();
        let call = call(Some("Bearer hunter2"));
        assert_eq!(status_at(&access, &call, Scope::Send, NOW - Duration::from_millis(1)).await, 200);
        assert_eq!(status(&access, &call, Scope::Send).await, 401);
    }

    #[tokio::test]
    async fn a_key_among_the_notes_is_as_good_until_it_is_revoked() {
        let access = access("").unwrap();
        let (key, hash) = generate_key().unwrap();
        let granted = ApiKey { name: "app".to_owned(), scopes: vec![Scope::Send], expires: None, rate: None };
        let (notes, call) = (access.notes.clone().unwrap(), call(Some(&format!("Bearer {key}"))));
        assert_eq!(status(&access, &call, Scope::Send).await, 401);
        notes.put(&key_note(&granted, &hash)).await.unwrap();
        assert_eq!((status(&access, &call, Scope::Send).await, status(&access, &call, Scope::Admin).await), (200, 403));
        notes.delete(NoteKind::Key, &hash).await.unwrap();
        assert_eq!(status(&access, &call, Scope::Send).await, 401);
    }

    #[tokio::test]
    async fn a_key_with_a_rate_is_told_what_is_left_and_refused_when_nothing_is() {
        let access = access(&format!("one:admin:{HASH}:rate=2")).unwrap();
        let call = call(Some("Bearer hunter2"));
        let caller = access.admit(&call, Some(Scope::Send), NOW).await.unwrap();
        let response = caller.answer(Ok(Response::default()));
        assert_eq!(response.headers()[RATE_LIMIT_POLICY], r#""key";q=2;w=60"#);
        assert_eq!(response.headers()[RATE_LIMIT], r#""key";r=1;t=30"#);
        assert_eq!(status(&access, &call, Scope::Read).await, 200);
        let refused: Response = access.admit(&call, Some(Scope::Send), NOW).await.unwrap_err().into();
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()[header::RETRY_AFTER], "30");
        assert_eq!(refused.headers()[RATE_LIMIT], r#""key";r=0;t=30"#);
        assert_eq!(status_at(&access, &call, Scope::Send, NOW + WINDOW).await, 200, "the next minute is another");
    }

    #[test]
    fn a_wrong_setting_is_named_by_its_place_and_not_repeated() {
        let wrong = [
            format!("a:send:{}", &HASH[1..]),
            format!("a:fly:{HASH}"),
            format!("send:{HASH}"),
            "hunter2".to_owned(),
            format!("a:send:{}é", &HASH[2..]),
            format!("a:send:{HASH}:expires=tomorrow"),
            format!("a:send:{HASH}:rate=0"),
            format!("a:send:{HASH}:color=red"),
            format!("a b:send:{HASH}"),
        ];
        for entry in wrong {
            let error = access(&format!("ok:read:{HASH},{entry}")).err().map(|error| error.to_string()).unwrap();
            assert!(error.starts_with("ERRAND_API_KEYS: entry 2 ") && !error.contains("hunter2"), "{error}");
        }
    }
}
