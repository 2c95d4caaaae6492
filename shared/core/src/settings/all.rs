//! Every setting, but those of providers and runners, which are declared beside them. Nothing that is not declared can be read.

crate::settings! {
    /// All of them.
    pub const ALL;

    /// More settings by their names, each a text or a reference, where it is not set by itself: [Many settings](deploy.md#many-settings).
    SETTINGS = "ERRAND_SETTINGS", Json("settings, by their names"), "", [Consumer, Errand];
    /// The queue that tasks go to and come from.
    QUEUE_URL = "ERRAND_QUEUE_URL", Text("the URL of an SQS queue"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// More queues by their names: [SQS](transports/sqs.md).
    QUEUES = "ERRAND_QUEUES", Json("where queues are, by their names; on one machine how they are worked on"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// Others' queues, which only [what follows on a task of Celery](senders.md#celery) is sent to.
    FOREIGN_QUEUES = "ERRAND_FOREIGN_QUEUES", Json("where queues are, by their names"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// The queue of what was given up: [dead letters](dead-letters.md).
    DEAD_LETTER_URL = "ERRAND_DEAD_LETTER_URL", Text("the URL of an SQS queue"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// The queue as EventBridge Scheduler names it, for delays over 15 minutes and for schedules: [Scheduler](transports/scheduler.md).
    QUEUE_ARN = "ERRAND_QUEUE_ARN", Text("the ARN of an SQS queue"), "", [Enqueue, Status];
    /// The role with which EventBridge Scheduler sends to the queue.
    SCHEDULER_ROLE_ARN = "ERRAND_SCHEDULER_ROLE_ARN", Text("the ARN of an IAM role"), "", [Enqueue, Status];
    /// The group of its schedules.
    SCHEDULER_GROUP = "ERRAND_SCHEDULER_GROUP", Text("a name"), "default", [Enqueue, Status];
    /// The DynamoDB table. Without it delivery is at least once, and there are no results; `status` needs it.
    TABLE = "ERRAND_TABLE", Text("the name of a DynamoDB table"), "", [Enqueue, Consumer, Status];
    /// Where arguments go that no queue can carry: [large tasks](deploy.md#large-tasks).
    BUCKET = "ERRAND_BUCKET", Text("the name of an S3 bucket"), "", [Enqueue, Consumer, Status];
    /// The transport of tasks that name none and have no route: [Transports](transports/README.md). Without it what the consumer works off: `sqs`, and on one machine `local`.
    TRANSPORT = "ERRAND_TRANSPORT", Text("the name of a transport"), "", [Enqueue, Status, Outbox, Errand];
    /// More transports by their names: [Transports](transports/README.md).
    TRANSPORTS = "ERRAND_TRANSPORTS", Json("of each its `backend`, `queues` and `options`"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// Who may call, separated by commas: [Who may call](api.md#who-may-call). Without it, and without keys in the table, nobody; on one machine, everybody there.
    API_KEYS = "ERRAND_API_KEYS", Text("`name:scope+scope:sha256-hex-of-the-key`, with scopes out of `send`, `read`, `admin`"), "", [Enqueue, Status, Errand];
    /// The key with which `errand`'s commands call.
    API_KEY = "ERRAND_API_KEY", Secret("an API key"), "", [Errand];
    /// The API that `errand`'s commands call: a deployed stack's `ApiUrl`, or what runs on this machine.
    URL = "ERRAND_URL", Text("a URL"), "http://127.0.0.1:3000", [Errand];
    /// Which tasks run where: [Your own code](tasks.md).
    ROUTES = "ERRAND_ROUTES", Json("what does a task, by its name, `prefix.*` or `*`"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// The names of the settings that the consumer has, separated by commas, as the template sets it: what lacks one is refused when it is sent. The consumer is given it with what all are
    /// given, and knows better itself.
    CONSUMER_SETTINGS = "ERRAND_CONSUMER_SETTINGS", Text("names of settings"), "", [Enqueue, Consumer, Status];
    /// The consumer's own time-out, as the template sets both: no call of a provider may take longer than that less 5 seconds.
    TIMEOUT_SECONDS = "ERRAND_TIMEOUT_SECONDS", Number(6, 900), "30", [Consumer, Errand];
    /// `on`: what SNS wraps is taken with its signature alone: [SNS](senders.md#sns).
    SNS_VERIFY = "ERRAND_SNS_VERIFY", OneOf(&["on", "off"]), "off", [Consumer, Errand];
    /// Where Celery's clients look for results, with the feature `celery-results`: [Celery](senders.md#celery).
    CELERY_RESULT_BACKEND = "ERRAND_CELERY_RESULT_BACKEND", Secret("a `redis://` or `rediss://` URL"), "", [Consumer];
    /// How long results are kept there: a day, as Celery's default is.
    CELERY_RESULT_EXPIRES_SECONDS = "ERRAND_CELERY_RESULT_EXPIRES_SECONDS", Number(1, 31_622_400), "86400", [Consumer];
    /// How the names of results begin there: Celery's `global_keyprefix`.
    CELERY_RESULT_PREFIX = "ERRAND_CELERY_RESULT_PREFIX", Text("a text"), "", [Consumer];
    /// Where workers elsewhere report: the API's address. `errand` takes its own when it is not set.
    API_URL = "ERRAND_API_URL", Text("a URL"), "", [Consumer, Errand];
    /// How long the first retry waits; each further one waits twice as long.
    RETRY_BASE_SECONDS = "ERRAND_RETRY_BASE_SECONDS", Number(1, 3600), "5", [Consumer, Errand];
    /// How often a task is attempted that does not say so itself.
    MAX_ATTEMPTS = "ERRAND_MAX_ATTEMPTS", Number(1, 100), "6", [Consumer, Errand];
    /// What becomes of what may have been delivered: another attempt, or a dead letter: [Reliability](reliability.md).
    OUTCOME_UNKNOWN = "ERRAND_OUTCOME_UNKNOWN", OneOf(&["retry", "hold"]), "retry", [Consumer, Errand];
    /// How long the queue keeps a message, as it is set there.
    RETENTION_SECONDS = "ERRAND_RETENTION_SECONDS", Number(60, 1_209_600), "345600", [Consumer, Errand];
    /// What becomes of an [outbox](outbox.md)'s event that cannot be published: it waits, and holds what is behind it, or it is a dead letter at once.
    OUTBOX_FAILURE = "ERRAND_OUTBOX_FAILURE", OneOf(&["wait", "bury"]), "wait", [Outbox, Errand];
    /// How long it may have waited since it was written before it is a dead letter all the same: 22 hours, since a stream of DynamoDB forgets it after 24.
    OUTBOX_HOLD_SECONDS = "ERRAND_OUTBOX_HOLD_SECONDS", Number(1, 84_600), "79200", [Outbox, Errand];
    /// The database whose table [`errand outbox`](outbox.md#a-table-of-sql) relays, where none is named.
    OUTBOX_DATABASE = "ERRAND_OUTBOX_DATABASE", Secret("the file of a SQLite database, or a `postgres://` URL"), "", [Errand];
    /// Anything: `errand` says nothing in colours (<https://no-color.org>).
    NO_COLOR = "NO_COLOR", Text("anything"), "", [Errand];
    /// `dumb`: the same, as terminals say it.
    TERM = "TERM", Text("the name of a terminal"), "", [Errand];

    /// The region. Lambda sets it.
    AWS_REGION = "AWS_REGION", Text("a region"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// The same, where `AWS_REGION` is not set.
    AWS_DEFAULT_REGION = "AWS_DEFAULT_REGION", Text("a region"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// The profile of this machine's AWS configuration that gives region and credentials.
    AWS_PROFILE = "AWS_PROFILE", Text("a name"), "default", [Errand];
    /// The credentials. Lambda sets them; `errand` also takes profiles, single sign-on, and the role of a container or an instance.
    AWS_ACCESS_KEY_ID = "AWS_ACCESS_KEY_ID", Text("the id of an access key"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// The key of that id.
    AWS_SECRET_ACCESS_KEY = "AWS_SECRET_ACCESS_KEY", Secret("an access key"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// The token that temporary credentials have.
    AWS_SESSION_TOKEN = "AWS_SESSION_TOKEN", Secret("a token"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// Another endpoint than AWS's, for emulators; of one service as `AWS_ENDPOINT_URL_<SERVICE>`, which wins.
    AWS_ENDPOINT_URL = "AWS_ENDPOINT_URL", Text("a URL"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// The endpoint that SNS's certificates may be at, beside its own.
    AWS_ENDPOINT_URL_SNS = "AWS_ENDPOINT_URL_SNS", Text("a URL"), "", [Consumer, Errand];
    /// What the names of SNS's topics are put behind, where a [transport](transports/sns.md) does not say it itself.
    AWS_SNS_ARN_PREFIX = "AWS_SNS_ARN_PREFIX", Text("what ARNs of topics begin with"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// The topic of SNS for tasks that name none, where a [transport](transports/sns.md) does not say it itself.
    AWS_DEFAULT_TOPIC_NAME = "AWS_DEFAULT_TOPIC_NAME", Text("a topic's name or ARN"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// `true`: endpoints are AWS's own, whatever else is set.
    AWS_IGNORE_CONFIGURED_ENDPOINT_URLS = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", Text("`true`"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// Certificates to trust for AWS beside Amazon's own.
    AWS_CA_BUNDLE = "AWS_CA_BUNDLE", Text("a file"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// What is logged.
    AWS_LAMBDA_LOG_LEVEL = "AWS_LAMBDA_LOG_LEVEL", Text("`ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`"), "INFO", [Enqueue, Consumer, Status, Outbox, Errand];
    /// `JSON`: each line of the log is an object.
    AWS_LAMBDA_LOG_FORMAT = "AWS_LAMBDA_LOG_FORMAT", Text("`JSON` or `Text`"), "Text", [Enqueue, Consumer, Status, Outbox, Errand];
    /// The name of the worker in results. Lambda sets it.
    AWS_LAMBDA_LOG_STREAM_NAME = "AWS_LAMBDA_LOG_STREAM_NAME", Text("a name"), "local", [Consumer];
}
