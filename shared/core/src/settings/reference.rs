//! Values that are kept elsewhere.

use std::fmt;

use super::{Environment, PREFIX, Reader, Setting, SettingsError, Takes, all};

/// What a setting's value may be in place of the value itself: where that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `ssm:/name`: a parameter of AWS Systems Manager's Parameter Store, in the function's own region and account.
    /// <https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html#sysman-parameter-name-constraints>
    Parameter(String),
    /// `secretsmanager:name#key`: a secret of AWS Secrets Manager, there too; with a key, that field of the JSON object that it is.
    /// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html#API_CreateSecret_RequestParameters>
    Secret {
        /// Its name.
        name: String,
        /// The field.
        key: Option<String>,
    },
    /// `file:/path`: a file of the machine, such as a mounted secret.
    File(String),
}

impl Reference {
    /// Reads a value that is a reference; `None` for the value itself.
    ///
    /// # Errors
    /// It begins as a reference and is none: what was expected.
    pub fn read(text: &str) -> Result<Option<Self>, &'static str> {
        // A version, a label or an ARN would need another permission than the template gives, and a version never changes.
        let (kind, rest) = match text.split_once(':') {
            // A list of API keys may begin with one that is called as a kind of reference.
            Some((_, rest)) if rest.contains(':') && !rest.starts_with(['/']) && !rest.starts_with("arn:") => return Ok(None),
            Some(split) => split,
            None => return Ok(None),
        };
        match kind {
            "ssm" if is_path(rest) && !rest.contains("//") && is_made_of(rest, "/_.-") => Ok(Some(Self::Parameter(rest.to_owned()))),
            "ssm" => Err("ssm:/ and the name of a parameter, without a version, such as ssm:/errand/slack-token"),
            "secretsmanager" => {
                let (name, key) = rest.split_once('#').map_or((rest, None), |(name, key)| (name, Some(key)));
                let is_right = is_made_of(name, "/_+=.@!-") && key.is_none_or(|key| is_made_of(key, "_.-"));
                let secret = || Self::Secret { name: name.to_owned(), key: key.map(ToOwned::to_owned) };
                let expected = "secretsmanager: and the name of a secret, no ARN, with # and a field where it is JSON, such as secretsmanager:errand/slack#token";
                is_right.then(|| Some(secret())).ok_or(expected)
            }
            "file" if is_path(rest) => Ok(Some(Self::File(rest.to_owned()))),
            "file" => Err("file:/ and the path of a file, such as file:/run/secrets/slack-token"),
            _ => Ok(None),
        }
    }

    /// Whether it takes AWS to read it.
    #[must_use]
    pub const fn is_of_aws(&self) -> bool {
        !matches!(self, Self::File(_))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(name) => write!(f, "ssm:{name}"),
            Self::Secret { name, key: None } => write!(f, "secretsmanager:{name}"),
            Self::Secret { name, key: Some(key) } => write!(f, "secretsmanager:{name}#{key}"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

/// Whether a text is the absolute path of something.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.ends_with('/')
}

fn is_made_of(text: &str, more: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
}

impl Environment {
    /// What a setting's value refers to, if it is a reference.
    ///
    /// # Errors
    /// It begins as one and is none.
    pub fn reference(&self, setting: &Setting) -> Result<Option<Reference>, SettingsError> {
        let wrong = |expected: &str| SettingsError::invalid(setting.name, &format!("expected {expected}"));
        self.get(setting).map_or(Ok(None), |text| Reference::read(text).map_err(wrong))
    }

    /// The settings of `reader` that are whole by reference: all of Errand's own that are no secrets.
    ///
    /// # Errors
    /// One begins as a reference and is none.
    pub fn whole_references(&self, reader: Reader) -> Result<Vec<(Setting, Reference)>, SettingsError> {
        let is_whole = |setting: &&Setting| setting.name.starts_with(PREFIX) && !matches!(setting.takes, Takes::Secret(_));
        let whole = all::ALL.iter().filter(is_whole).filter(|setting| setting.readers.contains(&reader));
        whole.filter_map(|setting| Some(self.reference(setting).transpose()?.map(|reference| (*setting, reference)))).collect()
    }

    /// The name of a setting that refers to AWS and that `reader` may read, if there is one.
    #[must_use]
    pub fn refers_to_aws(&self, reader: Reader) -> Option<&str> {
        let is_others = |name: &str| all::ALL.iter().any(|setting| setting.name == name && !setting.readers.contains(&reader));
        let refers = |value: &str| Reference::read(value).ok().flatten().is_some_and(|reference| reference.is_of_aws());
        let mut ours = self.0.iter().filter(|(name, _)| name.starts_with(PREFIX) && !is_others(name));
        ours.find(|(_, value)| refers(value)).map(|(name, _)| name.as_str())
    }

    /// Refuses references in what is read as it stands.
    ///
    /// # Errors
    /// One of `settings` is no secret, and refers to its value.
    pub(crate) fn check_no_references(&self, settings: &[Setting]) -> Result<(), SettingsError> {
        let open = settings.iter().filter(|setting| !matches!(setting.takes, Takes::Secret(_)));
        let mut referring = open.filter(|setting| self.get(setting).is_some_and(|text| !matches!(Reference::read(text), Ok(None))));
        match referring.next() {
            Some(setting) => {
                let problem = format!("takes no reference, since it is no secret: expected {}", setting.takes);
                Err(SettingsError::invalid(setting.name, &problem))
            }
            None => Ok(()),
        }
    }

    /// The same settings with another value for one.
    #[must_use]
    pub fn with_value(&self, setting: &Setting, value: &str) -> Self {
        let mut variables = self.0.clone();
        variables.insert(setting.name.to_owned(), value.to_owned());
        Self(variables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::settings! {
        const OWN;
        /// A token.
        TOKEN = "ERRAND_SHIP_TOKEN", Secret("a token"), "", [Consumer];
        /// A name.
        NAME = "ERRAND_SHIP_NAME", Text("a name"), "", [Consumer];
    }

    fn env(vars: &[(&str, &str)]) -> Environment {
        vars.iter().copied().collect()
    }

    #[test]
    fn a_reference_is_told_from_a_value_and_written_as_it_was_read() {
        for text in [
            "ssm:/a",
            "ssm:/errand/prod/slack_token.v-1",
            "secretsmanager:slack",
            "secretsmanager:errand/slack#token",
            "secretsmanager:rds!db-0b1c#password",
            "file:/run/secrets/a b:c",
            "file:///run/secrets/token",
        ] {
            assert_eq!(Reference::read(text).unwrap().unwrap().to_string(), text);
        }
        let key = "ssm:send:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        for value in
            ["", "xoxb-1", "https://hooks.slack.com/x", "redis://ssm:hunter2@host/0", key, "{\"a\":{\"http\":\"https://x\"}}", "SSM:/a"]
        {
            assert_eq!(Reference::read(value), Ok(None), "{value}");
        }
    }

    #[test]
    fn what_is_meant_as_a_reference_and_is_none_is_refused() {
        for (expected, wrong) in [
            (
                "ssm:/",
                [
                    "ssm:",
                    "ssm:name",
                    "ssm:/",
                    "ssm:/a/",
                    "ssm:/a:3",
                    "ssm:/a b",
                    "ssm://a",
                    "ssm:/*",
                    "ssm:arn:aws:ssm:eu-west-1:1:parameter/a",
                ]
                .as_slice(),
            ),
            (
                "secretsmanager:",
                &[
                    "secretsmanager:",
                    "secretsmanager:#a",
                    "secretsmanager:a#",
                    "secretsmanager:a#b c",
                    "secretsmanager:a*",
                    "secretsmanager:arn:aws:secretsmanager:eu-west-1:1:secret:a-123456",
                ],
            ),
            ("file:/", &["file:", "file:token", "file:/run/"]),
        ] {
            for text in wrong {
                assert!(Reference::read(text).unwrap_err().starts_with(expected), "{text}");
            }
        }
        let error = env(&[(TOKEN.name, "ssm:hunter2")]).reference(&TOKEN).unwrap_err().to_string();
        assert_eq!(
            error,
            "ERRAND_SHIP_TOKEN: expected ssm:/ and the name of a parameter, without a version, such as ssm:/errand/slack-token"
        );
    }

    #[test]
    fn what_is_whole_by_reference_is_told_to_who_reads_it() {
        let (routes, keys) = (all::ROUTES, all::API_KEYS);
        let settings = env(&[
            (routes.name, "ssm:/routes"),
            (keys.name, "file:/keys"),
            (TOKEN.name, "ssm:/token"),
            (all::AWS_REGION.name, "ssm:/region"),
        ]);
        let names = |reader| settings.whole_references(reader).unwrap().iter().map(|(setting, _)| setting.name).collect::<Vec<_>>();
        assert_eq!((names(Reader::Status), names(Reader::Consumer)), (vec![keys.name, routes.name], vec![routes.name]));
        assert_eq!(settings.with_value(&routes, "{}").get(&routes), Some("{}"));
        assert!(env(&[(routes.name, "ssm:routes")]).whole_references(Reader::Status).is_err());
        let refers = |vars: &[(&str, &str)]| env(vars).refers_to_aws(Reader::Errand).map(ToOwned::to_owned);
        assert_eq!(refers(&[(keys.name, "file:/keys"), (TOKEN.name, "ssm:/token")]).as_deref(), Some(TOKEN.name));
        assert_eq!(refers(&[(keys.name, "file:/keys"), (all::TABLE.name, "ssm:/table"), ("PATH", "ssm:/path")]), None);
    }

    #[test]
    fn what_is_no_secret_of_a_provider_takes_none() {
        assert_eq!(env(&[(TOKEN.name, "ssm:/token"), (NAME.name, "ssm")]).check_no_references(OWN), Ok(()));
        for reference in ["ssm:/name", "ssm:name"] {
            let error = env(&[(NAME.name, reference)]).check_no_references(OWN).unwrap_err().to_string();
            assert_eq!(error, "ERRAND_SHIP_NAME: takes no reference, since it is no secret: expected a name");
        }
    }
}
