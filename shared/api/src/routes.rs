use http::{Method, StatusCode, header};
use percent_encoding::percent_decode_str;

use Operation::{Enqueue, Status};

use crate::{ProblemDocument, Scope};

/// What a call asks for, by the function that does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `enqueue` does it.
    Enqueue(Sending),
    /// `status` does it.
    Status(Managing),
}

/// What `enqueue` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// Run a task.
    Task,
    /// Run many tasks.
    Batch,
    /// Tell a user something on several channels.
    Notification,
    /// Run the tasks that CloudEvents are.
    Events,
    /// Tell what a notification would say.
    Preview,
    /// Tell whether the parts work.
    Health,
    /// Tell by the status alone whether the parts work.
    HealthStatus,
}

/// What `status` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Managing {
    /// Tell how tasks stand.
    ListTasks,
    /// Tell how a task stands.
    GetTask,
    /// Run a task at another time.
    MoveTask,
    /// Do not run a task.
    CancelTask,
    /// Note what a remote worker tells of a task.
    ReportResult,
    /// Run a task again and again.
    CreateSchedule,
    /// Tell what is run again and again.
    ListSchedules,
    /// Tell of one schedule.
    GetSchedule,
    /// Change what a schedule says.
    ChangeSchedule,
    /// End a schedule.
    DeleteSchedule,
    /// Let a schedule rest.
    PauseSchedule,
    /// Let a schedule go on.
    ResumeSchedule,
    /// Run now what a schedule runs.
    RunSchedule,
    /// Tell what was given up.
    ListDeadLetters,
    /// Tell of one dead letter, with its body.
    GetDeadLetter,
    /// Forget a dead letter.
    DropDeadLetter,
    /// Forget some dead letters.
    DropDeadLetters,
    /// Run what was given up.
    ReplayDeadLetters,
    /// Tell which templates there are.
    ListTemplates,
    /// Tell of one template.
    GetTemplate,
    /// Keep a template.
    PutTemplate,
    /// Forget a template.
    DeleteTemplate,
    /// Tell who may call.
    ListKeys,
    /// Let someone call.
    CreateKey,
    /// Let someone call no more.
    RevokeKey,
    /// Tell all of this as a document.
    OpenApi,
    /// Show that document to people.
    Docs,
}

impl Operation {
    /// The parameters that its query may have.
    #[must_use]
    pub fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Status(Managing::ListTasks) => &["status", "task", "queue", "user", "notification", "since", "until", "limit", "cursor"],
            Self::Status(Managing::GetTask) => &["wait"],
            Self::Status(Managing::ListDeadLetters) => &["id", "task", "queue", "kind", "reason", "since", "until", "limit"],
            Self::Status(Managing::ListSchedules | Managing::ListTemplates) => &["limit", "cursor"],
            _ => &[],
        }
    }
}

/// The whole API. `None` as a scope: anyone may call.
const ROUTES: [(Method, &str, Operation, Option<Scope>); 34] = [
    (Method::POST, "/v1/tasks", Enqueue(Sending::Task), Some(Scope::Send)),
    (Method::POST, "/v1/tasks/batch", Enqueue(Sending::Batch), Some(Scope::Send)),
    (Method::POST, "/v1/notifications", Enqueue(Sending::Notification), Some(Scope::Send)),
    (Method::POST, "/v1/notifications/preview", Enqueue(Sending::Preview), Some(Scope::Send)),
    (Method::POST, "/v1/events", Enqueue(Sending::Events), Some(Scope::Send)),
    (Method::GET, "/v1/tasks", Status(Managing::ListTasks), Some(Scope::Read)),
    (Method::GET, "/v1/tasks/{id}", Status(Managing::GetTask), Some(Scope::Read)),
    (Method::PATCH, "/v1/tasks/{id}", Status(Managing::MoveTask), Some(Scope::Send)),
    (Method::DELETE, "/v1/tasks/{id}", Status(Managing::CancelTask), Some(Scope::Send)),
    // Let in by the token that the worker was given.
    (Method::POST, "/v1/tasks/{id}/result", Status(Managing::ReportResult), None),
    (Method::POST, "/v1/schedules", Status(Managing::CreateSchedule), Some(Scope::Send)),
    (Method::GET, "/v1/schedules", Status(Managing::ListSchedules), Some(Scope::Read)),
    (Method::GET, "/v1/schedules/{id}", Status(Managing::GetSchedule), Some(Scope::Read)),
    (Method::PATCH, "/v1/schedules/{id}", Status(Managing::ChangeSchedule), Some(Scope::Send)),
    (Method::DELETE, "/v1/schedules/{id}", Status(Managing::DeleteSchedule), Some(Scope::Send)),
    (Method::POST, "/v1/schedules/{id}/pause", Status(Managing::PauseSchedule), Some(Scope::Send)),
    (Method::POST, "/v1/schedules/{id}/resume", Status(Managing::ResumeSchedule), Some(Scope::Send)),
    (Method::POST, "/v1/schedules/{id}/run", Status(Managing::RunSchedule), Some(Scope::Send)),
    (Method::GET, "/v1/dead-letters", Status(Managing::ListDeadLetters), Some(Scope::Read)),
    (Method::POST, "/v1/dead-letters/replay", Status(Managing::ReplayDeadLetters), Some(Scope::Admin)),
    (Method::POST, "/v1/dead-letters/drop", Status(Managing::DropDeadLetters), Some(Scope::Admin)),
    (Method::GET, "/v1/dead-letters/{id}", Status(Managing::GetDeadLetter), Some(Scope::Read)),
    (Method::DELETE, "/v1/dead-letters/{id}", Status(Managing::DropDeadLetter), Some(Scope::Admin)),
    (Method::GET, "/v1/templates", Status(Managing::ListTemplates), Some(Scope::Read)),
    (Method::GET, "/v1/templates/{id}", Status(Managing::GetTemplate), Some(Scope::Read)),
    (Method::PUT, "/v1/templates/{id}", Status(Managing::PutTemplate), Some(Scope::Admin)),
    (Method::DELETE, "/v1/templates/{id}", Status(Managing::DeleteTemplate), Some(Scope::Admin)),
    (Method::GET, "/v1/keys", Status(Managing::ListKeys), Some(Scope::Admin)),
    (Method::POST, "/v1/keys", Status(Managing::CreateKey), Some(Scope::Admin)),
    (Method::DELETE, "/v1/keys/{id}", Status(Managing::RevokeKey), Some(Scope::Admin)),
    (Method::GET, "/v1/health", Enqueue(Sending::Health), None),
    // Monitors ask so.
    (Method::HEAD, "/v1/health", Enqueue(Sending::HealthStatus), None),
    (Method::GET, "/v1/openapi.json", Status(Managing::OpenApi), None),
    (Method::GET, "/docs", Status(Managing::Docs), None),
];

/// The words that stand in paths where others have a task's id, and so are no ids: what has one could not be asked about.
pub const WORDS_OF_PATHS: [&str; 3] = ["batch", "drop", "replay"];

/// Checks that a task could be asked about by this id.
///
/// # Errors
/// It is one of [`WORDS_OF_PATHS`]: what was expected.
pub fn check_id(id: &str) -> Result<(), String> {
    if WORDS_OF_PATHS.contains(&id) {
        return Err(format!("expected another id than {}, which are words of paths", WORDS_OF_PATHS.join(", ")));
    }
    Ok(())
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What it asks for.
    pub operation: Operation,
    /// The scope that it needs; `None`: anyone may call.
    pub scope: Option<Scope>,
    parameters: Parameters,
}

/// What a path says for each name of its pattern, decoded.
type Parameters = Vec<(&'static str, String)>;

impl Route {
    /// What the path says for `{name}` in its pattern; empty where that has none of the name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }
}

/// Every call of the API: its method, the pattern of its path, what it asks for, and the scope that it needs.
pub fn routes() -> impl Iterator<Item = (&'static Method, &'static str, Operation, Option<Scope>)> {
    static ALL: [(Method, &str, Operation, Option<Scope>); ROUTES.len()] = ROUTES;
    ALL.iter().map(|(method, pattern, operation, scope)| (method, *pattern, *operation, *scope))
}

/// Whether a word of another path can stand where this pattern has an id, as `batch` can in `/v1/tasks/{id}`.
#[must_use]
pub fn has_words(pattern: &'static str) -> bool {
    parameters(pattern).next().is_some() && ROUTES.iter().any(|(_, other, ..)| *other != pattern && matches(pattern, other).is_some())
}

/// Finds where a call goes.
///
/// # Errors
/// 404 for an unknown path, 405 with `Allow` for a method that its path does not have.
pub fn route(method: &Method, path: &str) -> Result<Route, ProblemDocument> {
    let mut allowed = Vec::new();
    // A word of a path is no id: what answers at `/v1/tasks/batch` is told by its own rows alone.
    let is_word = ROUTES.iter().any(|(_, pattern, ..)| *pattern == path);
    for (known, pattern, operation, scope) in &ROUTES {
        let Some(parameters) = matches(pattern, path).filter(|_| !is_word || *pattern == path) else { continue };
        if known == method {
            return Ok(Route { operation: *operation, scope: *scope, parameters });
        }
        allowed.push(known.as_str());
    }
    if allowed.is_empty() {
        return Err(ProblemDocument::new(StatusCode::NOT_FOUND, "there is nothing at this path"));
    }
    let allow = allowed.join(", ");
    Err(ProblemDocument::new(StatusCode::METHOD_NOT_ALLOWED, &format!("this path answers {allow}")).with_header(header::ALLOW, &allow))
}

/// The names of a pattern's parameters, in order.
pub fn parameters(pattern: &'static str) -> impl Iterator<Item = &'static str> {
    pattern.split('/').filter_map(parameter)
}

/// The name in a part of a pattern, as in `{id}`.
fn parameter(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

/// The path's parameters if the path fits the pattern: each is one part of the path, and not empty.
fn matches(pattern: &'static str, path: &str) -> Option<Parameters> {
    if pattern.split('/').count() != path.split('/').count() {
        return None;
    }
    let mut found = Parameters::new();
    for (wanted, said) in pattern.split('/').zip(path.split('/')) {
        match parameter(wanted) {
            Some(name) if !said.is_empty() => found.push((name, percent_decode_str(said).decode_utf8().ok()?.into_owned())),
            None if wanted == said => {}
            _ => return None,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_method_find_their_operation() {
        let found = |method, path: &str| {
            route(&method, path)
                .map(|route| (route.operation, route.parameter("id").to_owned()))
                .map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(found(Method::POST, "/v1/tasks"), Ok((Enqueue(Sending::Task), String::new())));
        assert_eq!(found(Method::GET, "/v1/tasks/a%2Fb"), Ok((Status(Managing::GetTask), "a/b".to_owned())));
        assert_eq!(found(Method::DELETE, "/v1/tasks/x"), Ok((Status(Managing::CancelTask), "x".to_owned())));
        assert_eq!(found(Method::POST, "/v1/schedules/x.y/pause"), Ok((Status(Managing::PauseSchedule), "x.y".to_owned())));
        assert_eq!(found(Method::POST, "/v1/dead-letters/replay"), Ok((Status(Managing::ReplayDeadLetters), String::new())));
        assert_eq!(found(Method::PUT, "/v1/tasks"), Err(405));
        for path in ["/", "/v1", "/v1/tasks/", "/v1/tasks/a/b", "/v1/tasksx", "/v1/nothing"] {
            assert_eq!(found(Method::GET, path), Err(404), "{path}");
        }
    }

    #[test]
    fn a_pattern_can_have_several_parameters() {
        const PATTERN: &str = "/v1/users/{user}/notifications/{id}";
        assert_eq!(parameters(PATTERN).collect::<Vec<_>>(), ["user", "id"]);
        let found = |path: &str| matches(PATTERN, path).map(|found| found.into_iter().map(|(_, value)| value).collect::<Vec<_>>());
        assert_eq!(found("/v1/users/ann%2Fb/notifications/7"), Some(vec!["ann/b".to_owned(), "7".to_owned()]));
        for path in [
            "/v1/users/ann/notifications",
            "/v1/users/ann/notifications/",
            "/v1/users//notifications/7",
            "/v1/users/ann/tasks/7",
            "/v1/users/ann/b/notifications/7",
            "/v1/users/ann/notifications/7/",
            "/v1/users/%FF/notifications/7",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        for (path, allow) in [
            ("/v1/tasks", "POST, GET"),
            ("/v1/tasks/batch", "POST"),
            ("/v1/dead-letters/drop", "POST"),
            ("/v1/tasks/x", "GET, PATCH, DELETE"),
        ] {
            let response: crate::Response = route(&Method::PUT, path).unwrap_err().into();
            assert_eq!(response.headers()[header::ALLOW], allow, "{path}");
        }
    }

    #[test]
    fn every_word_beside_an_id_is_known_as_one() {
        let parents: Vec<&str> =
            routes().filter(|(_, pattern, ..)| has_words(pattern)).filter_map(|(_, pattern, ..)| pattern.strip_suffix("{id}")).collect();
        let words = routes().filter_map(|(_, pattern, ..)| parents.iter().find_map(|parent| pattern.strip_prefix(parent)));
        let words: Vec<&str> = words.filter(|word| !word.contains('/') && !word.contains("{id}")).collect();
        assert_eq!(words, ["batch", "replay", "drop"]);
        assert!(words.iter().all(|word| WORDS_OF_PATHS.contains(word)));
    }
}
