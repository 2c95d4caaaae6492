use errand_core::{Environment, SettingsError};
use http::{StatusCode, header};
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use crate::{ProblemDocument, Request};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Send tasks, and cancel them.
    Send,
    /// See how tasks stand.
    Read,
    /// Everything.
    Admin,
}

/// Marks, as an extension of a request, a caller whom API Gateway has verified (IAM or JWT). What such a caller may do is decided there.
#[derive(Clone, Copy, Debug)]
pub struct Verified;

struct Key {
    scopes: Vec<Scope>,
    sha256: [u8; 32],
}

/// Who may call.
pub struct Access {
    keys: Vec<Key>,
    open: bool,
}

const KEYS: &str = "ERRAND_API_KEYS";

impl Access {
    /// The callers that `ERRAND_API_KEYS` allows: comma-separated `name:scope+scope:sha256-hex-of-the-key`.
    ///
    /// # Errors
    /// An entry is not of that form.
    pub fn from_env(env: &Environment) -> Result<Self, SettingsError> {
        let entries = env.get(KEYS).unwrap_or_default().split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let keys = entries.enumerate().map(|(i, entry)| {
            key(entry).ok_or_else(|| {
                let expected = "name:scope+scope:sha256-hex-of-the-key, with scopes out of send, read, admin";
                SettingsError::invalid(KEYS, &format!("entry {} is not of the form {expected}", i + 1))
            })
        });
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, open: false })
    }

    /// Lets everyone call when there are no keys: for a server that only this machine reaches.
    #[must_use]
    pub fn open_without_keys(self) -> Self {
        Self { open: self.keys.is_empty(), ..self }
    }

    /// Whether everyone may call.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Lets a call pass that needs `scope`.
    ///
    /// # Errors
    /// 401 without a known key and an identity that API Gateway verified; 403 for a key without the scope.
    pub fn check(&self, request: &Request, scope: Option<Scope>) -> Result<(), ProblemDocument> {
        let Some(scope) = scope else { return Ok(()) };
        if self.open || request.extensions().get::<Verified>().is_some() {
            return Ok(());
        }
        let unknown = || {
            ProblemDocument::new(StatusCode::UNAUTHORIZED, "send a known API key, with the header authorization: Bearer <key>")
                .with_header(header::WWW_AUTHENTICATE, "Bearer")
        };
        let sent = bearer(request).ok_or_else(unknown)?;
        let sha256 = digest(&SHA256, sent.as_bytes());
        // The digests are compared, and every one of them, so that the time taken tells nothing of a key.
        let known = self.keys.iter().fold(None, |found, key| if bool::from(key.sha256.ct_eq(sha256.as_ref())) { Some(key) } else { found });
        let key = known.ok_or_else(unknown)?;
        if key.scopes.iter().any(|held| *held == scope || *held == Scope::Admin) {
            return Ok(());
        }
        let needed = format!("this key lacks the scope {}", format!("{scope:?}").to_lowercase());
        Err(ProblemDocument::new(StatusCode::FORBIDDEN, &needed))
    }
}

fn bearer(request: &Request) -> Option<&str> {
    let (scheme, key) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

fn key(entry: &str) -> Option<Key> {
    let [name, scopes, sha256] = entry.split(':').collect::<Vec<_>>()[..] else { return None };
    let scopes = scopes.split('+').map(scope).collect::<Option<Vec<_>>>()?;
    (!name.is_empty() && sha256.len() == 64 && sha256.is_ascii()).then_some(())?;
    let mut bytes = [0; 32];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&sha256[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(Key { scopes, sha256: bytes })
}

fn scope(name: &str) -> Option<Scope> {
    match name {
        "send" => Some(Scope::Send),
        "read" => Some(Scope::Read),
        "admin" => Some(Scope::Admin),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // SHA-256 of "hunter2".
    const HASH: &str = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";

    fn access(keys: &str) -> Result<Access, SettingsError> {
        Access::from_env(&[(KEYS, keys)].into_iter().collect())
    }

    fn call(authorization: Option<&str>) -> Request {
        let mut request = http::Request::builder();
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        request.body(bytes::Bytes::new()).unwrap()
    }

    fn status(access: &Access, request: &Request, scope: Scope) -> u16 {
        access.check(request, Some(scope)).map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    #[test]
    fn a_key_may_do_what_its_scopes_say() {
        let access = access(&format!("one:send:{HASH}")).unwrap();
        assert_eq!(status(&access, &call(Some("Bearer hunter2")), Scope::Send), 200);
        assert_eq!(status(&access, &call(Some("bearer hunter2")), Scope::Send), 200);
        assert_eq!(status(&access, &call(Some("Bearer hunter2")), Scope::Read), 403);
        for wrong in [None, Some("Bearer hunter3"), Some("Bearer"), Some("Basic hunter2"), Some("hunter2"), Some("Bearer ")] {
            assert_eq!(status(&access, &call(wrong), Scope::Send), 401, "{wrong:?}");
        }
    }

    #[test]
    fn without_keys_only_the_gateways_word_or_an_open_server_lets_a_caller_in() {
        let access = access("").unwrap();
        assert_eq!(status(&access, &call(Some("Bearer hunter2")), Scope::Send), 401);
        let mut verified = call(None);
        verified.extensions_mut().insert(Verified);
        assert_eq!(status(&access, &verified, Scope::Read), 200);
        assert_eq!(status(&access.open_without_keys(), &call(None), Scope::Admin), 200);
    }

    #[test]
    fn keys_keep_a_server_closed() {
        assert!(!access(&format!("one:send:{HASH}")).unwrap().open_without_keys().is_open());
    }

    #[test]
    fn a_wrong_setting_is_named_by_its_place_and_not_repeated() {
        let wrong = [
            format!("a:send:{}", &HASH[1..]),
            format!("a:fly:{HASH}"),
            format!("send:{HASH}"),
            "hunter2".to_owned(),
            format!("a:send:{}é", &HASH[2..]),
        ];
        for entry in wrong {
            let error = access(&format!("ok:read:{HASH},{entry}")).err().map(|error| error.to_string()).unwrap();
            assert!(error.starts_with("ERRAND_API_KEYS: entry 2 ") && !error.contains("hunter2"), "{error}");
        }
    }
}
