//! What an HTTP answer that is no success means, unless the service says better.

use std::time::Duration;

use aws_smithy_types::{DateTime, date_time::Format};
use errand_core::{DeliveryError, ErrorKind, Timestamp};
use http::{HeaderMap, StatusCode, header};

/// The longest delay that is taken from a service: as long as a queue can hide a message.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);

/// The failure that an answer stands for: kind by status, delay by headers. The message names the service and the status.
#[must_use]
pub fn failure(service: &str, response: &http::Response<bytes::Bytes>, now: Timestamp) -> DeliveryError {
    let status = response.status();
    DeliveryError::new(kind_of(status), format!("{service} answered HTTP {}", status.as_u16()))
        .retry_after(retry_after(response.headers(), now))
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
    let date = DateTime::from_str(text, Format::HttpDate).ok()?;
    Some(Timestamp::from_millis(date.to_millis().ok()?).since(now))
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
