use errand_api::{
    LONGEST_WAIT, Managing,
    Operation::{self, Enqueue, Status as Manage},
    Sending,
};
use errand_core::Status;
use serde_json::{Map, Value, json};

/// What a call does, takes and answers; `None` for the page, which is for people.
pub(super) fn describe(operation: Operation) -> Option<Value> {
    let call = match operation {
        Enqueue(Sending::Task) => Call::new("sendTask", "Tasks", "Send a task")
            .takes("Task", json!({ "task": "email", "kwargs": { "to": ["you@example.com"], "subject": "Hello", "body": "It works." } }))
            .idempotent()
            .answers(200, "It was run before this answer, and has ended: its backend is of the kind inline.", "TaskResult")
            .answers(202, "It is on its way.", "TaskResult")
            .leads_to(202, "$response.body#/id", &["getTask", "moveTask", "cancelTask"])
            .located()
            .refuses(&[409, 413, 415, 422, 501]),
        Enqueue(Sending::Batch) => Call::new("sendTasks", "Tasks", "Send up to 1,000 tasks")
            .takes("Batch", json!({ "tasks": [{ "task": "webhook", "kwargs": { "url": "https://example.com/hook", "body": { "order": 7 } } }] }))
            .idempotent()
            .answers(202, "All are on their way.", "BatchAnswer")
            .leads_to(202, "$response.body#/tasks/0/id", &["getTask"])
            .answers(207, "Some are on their way: each has its task result or its problem, in the order of the call.", "BatchAnswer")
            .refuses(&[409, 413, 415, 422, 501]),
        Enqueue(Sending::Notification) => Call::new("notify", "Notifications", "Tell a user something on several channels")
            .takes("Notification", notification())
            .idempotent()
            .answers(202, "A task for each channel is on its way.", "NotificationAnswer")
            .leads_to(202, "$response.body#/tasks/0/id", &["getTask"])
            .answers(207, "Some channels are on their way.", "NotificationAnswer")
            .refuses(&[409, 413, 415, 422, 501]),
        Enqueue(Sending::Events) => Call::new("sendEvents", "Tasks", "Send the tasks that CloudEvents are")
            .says("An event's type names the task, its data is the payload, and its source and id together are the id: an event that is sent twice is done once. An event in binary mode, with its attributes in headers ce-…, is taken as well.")
            .takes_as("application/cloudevents+json", "CloudEvent", event())
            .takes_as("application/cloudevents-batch+json", "CloudEvents", json!([event()]))
            .idempotent()
            .answers(202, "They are on their way: a task result, or for a batch one for each event.", "EventsAnswer")
            .located()
            .answers(207, "Some are on their way: each has its task result or its problem, in the order of the call.", "BatchAnswer")
            .refuses(&[409, 413, 415, 422, 501]),
        Enqueue(Sending::Preview) => Call::new("previewNotification", "Notifications", "Tell what a notification would say, and send nothing")
            .takes("Notification", notification())
            .answers(200, "The payload of each channel.", "Preview")
            .refuses(&[413, 415, 422]),
        Manage(Managing::ListTasks) => Call::new("listTasks", "Tasks", "List tasks, the newest first")
            .query("status", json!({ "type": "string", "enum": Status::ALL.map(Status::as_str) }))
            .query("task", json!({ "type": "string" }))
            .query("queue", json!({ "type": "string" }))
            .query("user", json!({ "type": "string" }))
            .query("notification", json!({ "type": "string" }))
            .query("since", time())
            .query("until", time())
            .page(100)
            .answers(200, "A page.", "TaskList"),
        Manage(Managing::GetTask) => Call::new("getTask", "Tasks", "Tell how a task stands")
            .query("wait", json!({ "type": "integer", "minimum": 0, "maximum": LONGEST_WAIT.as_secs(), "default": 0, "description": "Seconds to wait for it to end." }))
            .answers(200, "The task's result.", "TaskResult")
            .refuses(&[404]),
        Manage(Managing::MoveTask) => Call::new("moveTask", "Tasks", "Run a task that waits at another time")
            .takes("Time", json!({ "countdown": 3600 }))
            .answers(200, "The task's result.", "TaskResult")
            .refuses(&[404, 409, 413, 415, 422]),
        Manage(Managing::CancelTask) => Call::new("cancelTask", "Tasks", "Do not run a task that waits")
            .answers(200, "The task's result.", "TaskResult")
            .refuses(&[404, 409]),
        Manage(Managing::ReportResult) => Call::new("reportResult", "Tasks", "Report how a task stands, as the worker that it was handed to")
            .takes("Report", json!({ "status": "SUCCESSFUL", "return_value": { "shipped": true }, "worker_id": "worker-1" }))
            .says("Authorised by the token that came with the task, as a bearer token. What is reported again, or late, changes nothing.")
            .answers(200, "The task's result.", "TaskResult")
            .refuses(&[401, 404, 409, 413, 415, 422]),
        Manage(Managing::CreateSchedule) => Call::new("createSchedule", "Schedules", "Run a task again and again")
            .takes("Schedule", json!({ "name": "report", "cron": "0 9 * * mon-fri", "timezone": "Europe/Berlin", "task": "console", "kwargs": { "text": "Good morning" } }))
            .answers(201, "It is kept.", "ScheduleAnswer")
            .leads_to(201, "$response.body#/name", &["getSchedule", "changeSchedule", "pauseSchedule", "resumeSchedule", "runSchedule", "deleteSchedule"])
            .located()
            .answers(200, "The same schedule was there.", "ScheduleAnswer")
            .refuses(&[409, 413, 415, 422, 501]),
        Manage(Managing::ListSchedules) => Call::new("listSchedules", "Schedules", "List schedules by name")
            .page(100)
            .answers(200, "A page.", "ScheduleList")
            .refuses(&[501]),
        Manage(Managing::GetSchedule) => Call::new("getSchedule", "Schedules", "Tell of a schedule").schedule(),
        Manage(Managing::ChangeSchedule) => Call::new("changeSchedule", "Schedules", "Change what a schedule says")
            .says("The body is a JSON merge patch (RFC 7396) of the schedule's fields. Of cron and rate, what is given takes the place of the other. It stays paused if it is.")
            .takes("ScheduleChange", json!({ "cron": "0 10 * * mon-fri", "kwargs": { "text": "Good late morning" } }))
            .schedule()
            .refuses(&[413, 415, 422]),
        Manage(Managing::DeleteSchedule) => Call::new("deleteSchedule", "Schedules", "End a schedule").schedule(),
        Manage(Managing::PauseSchedule) => Call::new("pauseSchedule", "Schedules", "Let a schedule rest").schedule(),
        Manage(Managing::ResumeSchedule) => Call::new("resumeSchedule", "Schedules", "Let a schedule go on").schedule(),
        Manage(Managing::RunSchedule) => Call::new("runSchedule", "Schedules", "Run now what a schedule runs")
            .says("Beside the runs that are due, and also while it is paused.")
            .answers(202, "It is on its way.", "TaskResult")
            .located()
            .refuses(&[404, 413, 422, 501]),
        Manage(Managing::ListDeadLetters) => Call::new("listDeadLetters", "Dead letters", "List what was given up")
            .query("id", json!({ "type": "string" }))
            .query("task", json!({ "type": "string" }))
            .query("queue", json!({ "type": "string" }))
            .query("kind", json!({ "type": "string" }))
            .query("reason", json!({ "type": "string" }))
            .query("since", time())
            .query("until", time())
            .query("limit", json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 }))
            .answers(200, "What was seen.", "DeadLetterList")
            .leads_to(200, "$response.body#/dead_letters/0/key", &["getDeadLetter", "dropDeadLetter"])
            .refuses(&[501]),
        Manage(Managing::GetDeadLetter) => Call::new("getDeadLetter", "Dead letters", "Tell of a dead letter, with its body")
            .answers(200, "The letter.", "DeadLetter")
            .refuses(&[404, 501]),
        Manage(Managing::DropDeadLetter) => Call::new("dropDeadLetter", "Dead letters", "Forget a dead letter")
            .answers(200, "The letter that was forgotten.", "DeadLetter")
            .refuses(&[404, 501]),
        Manage(Managing::DropDeadLetters) => Call::new("dropDeadLetters", "Dead letters", "Forget some dead letters")
            .takes("Drop", json!({ "kind": "rejected" }))
            .answers(200, "What was forgotten.", "Dropped")
            .refuses(&[413, 415, 422, 501]),
        Manage(Managing::ReplayDeadLetters) => Call::new("replayDeadLetters", "Dead letters", "Run again what was given up")
            .takes("Replay", json!({ "ids": ["order-7"], "edit": { "max_attempts": 20 } }))
            .answers(200, "What was sent.", "Replayed")
            .refuses(&[413, 415, 422, 501]),
        Manage(Managing::ListTemplates) => Call::new("listTemplates", "Templates", "List the names of templates")
            .page(100)
            .answers(200, "A page.", "TemplateList"),
        Manage(Managing::GetTemplate) => Call::new("getTemplate", "Templates", "Tell of a template").answers(200, "The template.", "TemplateAnswer").refuses(&[404, 503]),
        Manage(Managing::PutTemplate) => Call::new("putTemplate", "Templates", "Keep a template, in place of one of its name")
            .takes("Template", json!({ "channels": { "email": { "subject": "Order {{ order.id }}", "body": "Hello {{ user }}, it is on its way." } }, "locales": { "de": { "email": { "subject": "Bestellung {{ order.id }}", "body": "Hallo {{ user }}, sie ist unterwegs." } } } }))
            .answers(200, "The template.", "TemplateAnswer")
            .leads_to(200, "$response.body#/name", &["getTemplate", "deleteTemplate"])
            .refuses(&[413, 415, 422]),
        Manage(Managing::DeleteTemplate) => Call::new("deleteTemplate", "Templates", "Forget a template")
            .answers(200, "It is forgotten.", "Name")
            .refuses(&[404]),
        Manage(Managing::ListKeys) => Call::new("listKeys", "Keys", "Tell who may call").answers(200, "All keys, without the keys themselves.", "KeyList"),
        Manage(Managing::CreateKey) => Call::new("createKey", "Keys", "Make an API key")
            .takes("NewKey", json!({ "name": "shop", "scopes": ["send", "read"], "rate": 600 }))
            .answers(201, "The key, which no other answer tells.", "Key")
            .leads_to(201, "$response.body#/name", &["revokeKey"])
            .refuses(&[409, 413, 415, 422, 503]),
        Manage(Managing::RevokeKey) => Call::new("revokeKey", "Keys", "Let a key's holder call no more")
            .answers(200, "The key that was.", "Key")
            .refuses(&[404, 409]),
        Enqueue(Sending::Health) => Call::new("health", "Service", "Tell whether each part works")
            .answers(200, "Every part works.", "Health")
            .answers(503, "A part does not.", "Health")
            .open(),
        Enqueue(Sending::HealthStatus) => Call::new("healthStatus", "Service", "Tell by the status alone whether each part works")
            .says_by_status(200, "Every part works.")
            .says_by_status(503, "A part does not.")
            .says_by_status(400, "There are parameters: it has none.")
            .open(),
        Manage(Managing::OpenApi) => Call::new("openapi", "Service", "This document").answers(200, "This document.", "Document").open(),
        Manage(Managing::Docs) => return None,
    };
    Some(call.0)
}

/// The groups of calls, in the order in which they are told.
pub(super) fn tags() -> Value {
    json!([
        { "name": "Tasks", "description": "Pieces of work: sent, asked about, moved and cancelled." },
        { "name": "Notifications", "description": "One message to one user on several channels." },
        { "name": "Schedules", "description": "Tasks that are run again and again." },
        { "name": "Dead letters", "description": "What was given up: looked at, mended, run again or forgotten." },
        { "name": "Templates", "description": "What notifications say." },
        { "name": "Keys", "description": "Who may call." },
        { "name": "Service", "description": "Whether it works, and this document." },
    ])
}

/// A call that is being described.
struct Call(Value);

impl Call {
    fn new(id: &str, tag: &str, summary: &str) -> Self {
        let problems = [400, 401, 403, 429, 503].map(problem);
        let responses: Map<String, Value> = problems.into_iter().collect();
        Self(json!({ "operationId": id, "tags": [tag], "summary": summary, "parameters": [], "responses": responses }))
    }

    fn says(mut self, description: &str) -> Self {
        self.0["description"] = json!(description);
        self
    }

    fn takes(self, schema: &str, example: Value) -> Self {
        self.takes_as("application/json", schema, example)
    }

    fn takes_as(mut self, media_type: &str, schema: &str, example: Value) -> Self {
        self.0["requestBody"]["required"] = json!(true);
        self.0["requestBody"]["content"][media_type] = json!({ "schema": reference(schema), "example": example });
        self
    }

    fn parameter(mut self, parameter: Value) -> Self {
        self.0["parameters"].as_array_mut().into_iter().for_each(|parameters| parameters.push(parameter.clone()));
        self
    }

    fn query(self, name: &str, schema: Value) -> Self {
        self.parameter(json!({ "name": name, "in": "query", "schema": schema }))
    }

    fn page(self, most: u32) -> Self {
        self.query("limit", json!({ "type": "integer", "minimum": 1, "maximum": most, "default": 20 }))
            .query("cursor", json!({ "type": "string", "description": "Where the page before ended." }))
    }

    fn idempotent(self) -> Self {
        self.parameter(json!({
            "name": "idempotency-key", "in": "header", "description": "The same call with the same key is done once, and answered alike for a day.",
            "schema": { "type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$" }, "example": "order-7-shipped",
        }))
    }

    fn answers(mut self, status: u16, description: &str, schema: &str) -> Self {
        self.0["responses"][status.to_string()] =
            json!({ "description": description, "content": { "application/json": { "schema": reference(schema) } } });
        self
    }

    fn says_by_status(mut self, status: u16, description: &str) -> Self {
        self.0["responses"][status.to_string()] = json!({ "description": description });
        self
    }

    /// With the path of what was made.
    fn located(mut self) -> Self {
        for status in ["201", "202"] {
            if let Some(answer) = self.0["responses"].get_mut(status) {
                answer["headers"] = json!({ "location": { "description": "Where to ask for it.", "schema": { "type": "string" } } });
            }
        }
        self
    }

    fn refuses(mut self, statuses: &[u16]) -> Self {
        for (status, problem) in statuses.iter().map(|status| problem(*status)) {
            self.0["responses"][status] = problem;
        }
        self
    }

    /// Of a call that anyone may make.
    fn open(mut self) -> Self {
        if let Some(responses) = self.0["responses"].as_object_mut() {
            responses.retain(|status, _| !["401", "403", "429"].contains(&status.as_str()));
        }
        self
    }

    /// With the calls that go on from its answer, each with the part of it that is the other's `{id}`.
    fn leads_to(mut self, status: u16, id: &str, calls: &[&str]) -> Self {
        let links: Map<String, Value> =
            calls.iter().map(|call| ((*call).to_owned(), json!({ "operationId": call, "parameters": { "id": id } }))).collect();
        self.0["responses"][status.to_string()]["links"] = Value::from(links);
        self
    }

    fn schedule(self) -> Self {
        self.answers(200, "The schedule.", "ScheduleAnswer").refuses(&[404, 501])
    }
}

fn notification() -> Value {
    json!({ "user": "ann", "short_description": "Your order is on its way", "url": "https://example.com/orders/7", "channels": { "email": { "to": ["ann@example.com"] }, "webhook": { "url": "https://example.com/hook" } } })
}

fn event() -> Value {
    json!({ "specversion": "1.0", "id": "7", "source": "/shop/orders", "type": "webhook", "data": { "url": "https://example.com/hook", "body": { "order": 7 } } })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

pub(super) fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn problem(status: u16) -> (String, Value) {
    (status.to_string(), json!({ "$ref": format!("#/components/responses/{status}") }))
}
