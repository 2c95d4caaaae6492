errand_core::settings! {
    /// What is read of the environment.
    pub const SETTINGS;
    /// A bot token, for messages that name a channel.
    TOKEN = "ERRAND_SLACK_TOKEN", Secret("a token that begins with `xoxb-`"), "", [Consumer, Errand];
    /// An incoming webhook, for messages that do not.
    WEBHOOK_URL = "ERRAND_SLACK_WEBHOOK_URL", Secret("a URL that begins with `https://hooks.slack.com/`"), "", [Consumer, Errand];
    /// The base URL of the Web API.
    URL = "ERRAND_SLACK_URL", Text("a URL"), "https://slack.com/api", [Consumer, Errand];
}
