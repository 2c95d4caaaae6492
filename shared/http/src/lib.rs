//! The one HTTP client of the providers, and the AWS clients' settings.
