use std::{ops::RangeInclusive, time::Duration};

use errand_core::{InvalidTimestamp, Timestamp, not_known};
use http::StatusCode;

use crate::{Operation, ProblemDocument, Request};

/// The longest that a call may wait for something to happen: API Gateway answers for a function that takes 30 seconds.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>
pub const LONGEST_WAIT: Duration = Duration::from_secs(25);

/// The parameters of a call's query, decoded. What is wrong with one is a problem of status 400 that names it.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// The query of a call.
    ///
    /// # Errors
    /// A parameter that the operation does not have: the problem names the one that was probably meant.
    pub fn of(request: &Request, operation: Operation) -> Result<Self, ProblemDocument> {
        Self::read(request.uri().query().unwrap_or_default(), operation.parameters())
    }

    /// A query that may have these parameters.
    ///
    /// # Errors
    /// It has another one.
    pub fn read(query: &str, known: &[&str]) -> Result<Self, ProblemDocument> {
        let pairs: Vec<(String, String)> = query_pairs(query).collect();
        match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(wrong(&format!("the parameter {name} {}", not_known(name, known.iter().copied())))),
            None => Ok(Self(pairs)),
        }
    }

    /// Each value of a parameter that may be there several times.
    pub fn every<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A text.
    ///
    /// # Errors
    /// It is there twice.
    pub fn text(&self, name: &str) -> Result<Option<String>, ProblemDocument> {
        let mut values = self.every(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(wrong(&format!("{name}: is there twice"))),
            (value, None) => Ok(value.map(ToOwned::to_owned)),
        }
    }

    /// What `read` makes of a text.
    ///
    /// # Errors
    /// It is there twice, or what `read` expected.
    pub fn parsed<T>(&self, name: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, ProblemDocument> {
        self.text(name)?.map(|value| read(&value)).transpose().map_err(|expected| wrong(&format!("{name}: {expected}")))
    }

    /// A time.
    ///
    /// # Errors
    /// It is there twice, or is none.
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, ProblemDocument> {
        self.parsed(name, |value| value.parse().map_err(|expected: InvalidTimestamp| expected.to_string()))
    }

    /// A whole number within `range`.
    ///
    /// # Errors
    /// It is there twice, or is none of those.
    pub fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, ProblemDocument> {
        let expected = || format!("expected a whole number from {} to {}", range.start(), range.end());
        self.parsed(name, |value| value.parse().ok().filter(|number| range.contains(number)).ok_or_else(expected))
    }

    /// `limit`: how much of a list is wanted, 1 to `most`.
    ///
    /// # Errors
    /// It is there twice, or is none of those.
    pub fn limit(&self, default: usize, most: usize) -> Result<usize, ProblemDocument> {
        Ok(self.number("limit", 1..=most as u64)?.and_then(|limit| limit.try_into().ok()).unwrap_or(default))
    }

    /// `wait`: how long to wait for something to happen, in seconds, up to [`LONGEST_WAIT`]; none when it is not there.
    ///
    /// # Errors
    /// It is there twice, or is longer than that.
    pub fn wait(&self) -> Result<Duration, ProblemDocument> {
        Ok(Duration::from_secs(self.number("wait", 0..=LONGEST_WAIT.as_secs())?.unwrap_or_default()))
    }
}

/// The names and values of a query or a form, decoded.
pub fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned()
}

fn wrong(detail: &str) -> ProblemDocument {
    ProblemDocument::new(StatusCode::BAD_REQUEST, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_and_a_wrong_one_is_told() {
        let known = ["status", "wait", "limit", "since", "id"];
        let query = Query::read("status=a+b%21&wait=25&limit=100&since=2030-01-01T00:00:00Z&id=1&id=2", &known).unwrap();
        assert_eq!(
            (query.text("status").unwrap(), query.wait().unwrap(), query.limit(20, 100).unwrap()),
            (Some("a b!".to_owned()), LONGEST_WAIT, 100)
        );
        assert_eq!(query.time("since").unwrap().unwrap().to_string(), "2030-01-01T00:00:00.000Z");
        assert_eq!(query.every("id").collect::<Vec<_>>(), ["1", "2"]);
        let none = Query::read("", &known).unwrap();
        assert_eq!((none.text("status").unwrap(), none.wait().unwrap(), none.limit(20, 100).unwrap()), (None, Duration::ZERO, 20));

        type Read = fn(&Query) -> Result<(), ProblemDocument>;
        let cases: [(&str, Read, &str); 8] = [
            ("state=x", |_| Ok(()), "the parameter state is not known here; did you mean status?"),
            ("colour=x", |_| Ok(()), "the parameter colour is not known here; known are status, wait, limit, since, id"),
            ("wait=26", |query| query.wait().map(drop), "wait: expected a whole number from 0 to 25"),
            ("wait=-1", |query| query.wait().map(drop), "wait: expected a whole number from 0 to 25"),
            ("limit=0", |query| query.limit(20, 100).map(drop), "limit: expected a whole number from 1 to 100"),
            ("limit=", |query| query.limit(20, 100).map(drop), "limit: expected a whole number from 1 to 100"),
            ("limit=1&limit=2", |query| query.limit(20, 100).map(drop), "limit: is there twice"),
            (
                "since=x",
                |query| query.time("since").map(drop),
                "since: expected an RFC 3339 date and time with an offset, such as 2026-11-20T12:00:00Z",
            ),
        ];
        for (text, read, told) in cases {
            let problem = Query::read(text, &known).and_then(|query| read(&query)).unwrap_err();
            assert_eq!((problem.status().as_u16(), problem.detail()), (400, told), "{text}");
        }
        let problem = Query::read("wait=1", &[]).unwrap_err();
        assert_eq!(problem.detail(), "the parameter wait is not known here: none is");
    }
}
