//! What an HTTP answer that is no success means, unless the service says better.

use std::time::Duration;

use aws_smithy_types::{DateTime, date_time::Format};
use errand_core::{ErrorKind, Timestamp};
use http::{HeaderMap, StatusCode, header};

/// The longest delay that is taken from a service: as long as a queue can hide a message.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Its kind.
    pub kind: ErrorKind,
    /// Whether it concerns everything that is asked of the service, and not what was asked alone: see [`DeliveryError::stops`](errand_core::DeliveryError::stops).
    pub stops: bool,
}

/// What concerns what was asked alone.
#[must_use]
pub const fn is(kind: ErrorKind) -> Meaning {
    Meaning { kind, stops: false }
}

/// What concerns all that is asked.
#[must_use]
pub const fn stops(kind: ErrorKind) -> Meaning {
    Meaning { kind, stops: true }
}

/// What a service's refusals mean, where that is not what [`kind_of`] their status says: its table of codes, which wins, and its table of statuses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meanings {
    /// By the service's own error codes; those that mean the same are one row, with spaces between.
    pub codes: &'static [(&'static str, Meaning)],
    /// By HTTP status, in rows as well.
    pub statuses: &'static [(&'static [u16], ErrorKind)],
}

impl Meanings {
    /// What a refusal with this status means, and with this code where the service gave one.
    #[must_use]
    pub fn of(&self, status: StatusCode, code: Option<&str>) -> Meaning {
        code.and_then(|code| self.of_code(code)).unwrap_or_else(|| self.of_status(status))
    }

    pub(crate) fn of_code(&self, code: &str) -> Option<Meaning> {
        self.codes.iter().find(|(codes, _)| codes.split(' ').any(|known| known == code)).map(|(_, meaning)| *meaning)
    }

    pub(crate) fn of_status(&self, status: StatusCode) -> Meaning {
        let own = self.statuses.iter().find(|(statuses, _)| statuses.contains(&status.as_u16())).map(|(_, kind)| *kind);
        is(own.unwrap_or_else(|| kind_of(status)))
    }
}

/// The kind of failure that a status stands for (RFC 9110, section 15; RFC 6585; RFC 8470).
#[must_use]
pub fn kind_of(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        429 => ErrorKind::RateLimited,
        401 | 403 | 407 => ErrorKind::Misconfigured,
        408 | 425 | 500..=599 => ErrorKind::Unavailable,
        _ => ErrorKind::Rejected,
    }
}

/// How long the service asks to wait: `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3), or the time at which its rate limit is
/// reset, in the header names that are in use. Twelve hours at most.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let delay = text(header::RETRY_AFTER.as_str())
        .and_then(|value| seconds(value).or_else(|| until_date(value, now)))
        .or_else(|| text("x-ratelimit-reset-after").and_then(seconds))
        .or_else(|| ["ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset"].into_iter().find_map(|name| reset(text(name)?, now)))?;
    Some(delay.min(LONGEST))
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

fn until_date(text: &str, now: Timestamp) -> Option<Duration> {
    http_date(text).map(|date| date.since(now))
}

/// A date as HTTP has it (RFC 9110, section 5.6.7).
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    DateTime::from_str(text, Format::HttpDate).ok()?.to_millis().ok().map(Timestamp::from_millis)
}

/// Services disagree whether a reset is seconds from now or since 1970; no one means a wait of thirty years.
fn reset(text: &str, now: Timestamp) -> Option<Duration> {
    let delay = seconds(text)?;
    if delay.as_secs() < 1_000_000_000 {
        Some(delay)
    } else {
        Some(Timestamp::from_millis(i64::try_from(delay.as_millis()).ok()?).since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &'static str, value: &str) -> Option<u64> {
        let now = Timestamp::from_millis(1_700_000_000_000);
        retry_after(&[(http::HeaderName::from_static(name), value.parse().unwrap())].into_iter().collect(), now)
            .map(|delay| delay.as_secs())
    }

    #[test]
    fn a_delay_is_read_in_every_form_that_services_use() {
        assert_eq!(told("retry-after", "7"), Some(7));
        assert_eq!(told("retry-after", "Tue, 14 Nov 2023 22:14:20 GMT"), Some(60));
        assert_eq!(told("retry-after", "Tue, 14 Nov 2023 22:00:00 GMT"), Some(0));
        assert_eq!(told("retry-after", "999999999"), Some(12 * 60 * 60));
        assert_eq!(told("x-ratelimit-reset-after", "1.5"), Some(1));
        assert_eq!(told("ratelimit-reset", "30"), Some(30));
        assert_eq!(told("x-rate-limit-reset", "1700000042"), Some(42));
        for nothing in ["soon", "-1", "NaN", ""] {
            assert_eq!(told("retry-after", nothing), None, "{nothing}");
        }
    }

    #[test]
    fn each_status_has_its_kind() {
        let table = [
            (301, ErrorKind::Rejected),
            (400, ErrorKind::Rejected),
            (401, ErrorKind::Misconfigured),
            (403, ErrorKind::Misconfigured),
            (404, ErrorKind::Rejected),
            (408, ErrorKind::Unavailable),
            (425, ErrorKind::Unavailable),
            (429, ErrorKind::RateLimited),
            (500, ErrorKind::Unavailable),
            (503, ErrorKind::Unavailable),
        ];
        for (status, kind) in table {
            assert_eq!(kind_of(StatusCode::from_u16(status).unwrap()), kind, "{status}");
        }
    }
}
