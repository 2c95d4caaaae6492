//! API keys: who holds them, what they may do, for how long and how often.

use errand_core::{Digest, Environment, SettingsError, Timestamp, hex, settings::all::API_KEYS};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

errand_core::named! {
    /// What a key may do.
    pub enum Scope {
        /// Send tasks, and cancel them.
        Send = "send",
        /// See how tasks stand.
        Read = "read",
        /// Everything.
        Admin = "admin",
    }
}

impl Scope {
    /// All of them, for people.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

/// A key without the key itself, of which only the SHA-256 is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Who holds it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it ends.
    #[serde(default)]
    pub expires: Option<Timestamp>,
    /// Calls that it may make in a minute.
    #[serde(default)]
    pub rate: Option<u32>,
}

pub(crate) const SETTING: &str = API_KEYS.name;

/// The most calls in a minute that a key can be given.
pub const RATE_LIMIT: u32 = 1_000_000;

impl ApiKey {
    /// 1 to 64 of `[A-Za-z0-9_.-]`.
    ///
    /// # Errors
    /// The text is none.
    pub fn check_name(text: &str) -> Result<(), &'static str> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(())
        } else {
            Err("1 to 64 of the characters A-Z a-z 0-9 _ . -")
        }
    }

    /// Whether it may make a call that needs `scope`.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|held| *held == scope || *held == Scope::Admin)
    }

    /// An entry of the setting: `name:scope+scope:sha256-hex-of-the-key`, and after one more `:` options with `;` between: `expires=` a time, `rate=`
    /// calls in a minute.
    fn parse(entry: &str) -> Option<(Self, Digest)> {
        let mut parts = entry.splitn(4, ':');
        let (name, scopes, hash) = (parts.next()?, parts.next()?, parts.next()?);
        Self::check_name(name).ok()?;
        let scopes = scopes.split('+').map(Scope::named).collect::<Option<Vec<_>>>()?;
        let mut key = Self { name: name.to_owned(), scopes, expires: None, rate: None };
        for option in parts.next().unwrap_or_default().split(';').filter(|option| !option.is_empty()) {
            match option.split_once('=')? {
                ("expires", time) => key.expires = Some(time.parse().ok()?),
                ("rate", count) => key.rate = Some(count.parse().ok().filter(|count| (1..=RATE_LIMIT).contains(count))?),
                _ => return None,
            }
        }
        Some((key, hash.parse().ok()?))
    }
}

/// The keys of a function's settings.
pub(crate) struct Keys(Vec<(ApiKey, Digest)>);

impl Keys {
    pub(crate) fn from_env(env: &Environment) -> Result<Self, SettingsError> {
        let entries = env.get(&API_KEYS).unwrap_or_default().split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let keys = entries.enumerate().map(|(i, entry)| {
            ApiKey::parse(entry).ok_or_else(|| {
                let (form, scopes) = ("name:scope+scope:sha256-hex-of-the-key", Scope::names());
                let expected = format!("{form}, with scopes out of {scopes}, and perhaps :expires=2027-01-01T00:00:00Z;rate=600");
                SettingsError::invalid(SETTING, &format!("entry {} is not of the form {expected}", i + 1))
            })
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ApiKey> {
        self.0.iter().map(|(key, _)| key)
    }

    /// The key with this hash. All are compared, each in constant time, so that the time taken tells nothing.
    pub(crate) fn find(&self, sha256: &Digest) -> Option<&ApiKey> {
        self.0.iter().fold(None, |found, (key, hash)| if bool::from(hash.bytes().ct_eq(sha256.bytes())) { Some(key) } else { found })
    }
}

/// A new key of 256 random bits, and its SHA-256 in hexadecimal.
#[must_use]
pub fn generate_key() -> Option<(String, String)> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    let key = format!("errand_{}", hex(&bytes));
    let hash = Digest::of(key.as_bytes()).to_string();
    Some((key, hash))
}
