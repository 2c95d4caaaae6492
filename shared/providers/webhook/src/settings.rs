errand_core::settings! {
    /// What is read of the environment.
    pub const SETTINGS;
    /// What calls are signed with: the current secret, and others while receivers change over. Without it, calls whose payload brings none are not signed.
    SECRET = "ERRAND_WEBHOOK_SECRET", Secret("Standard Webhooks secrets, separated by spaces or commas"), "", [Consumer, Errand];
    /// Networks that may be called although they are not public. On one machine this machine itself, until it is set.
    ALLOW = "ERRAND_WEBHOOK_ALLOW", Text("networks as `10.1.0.0/16`, separated by commas"), "", [Consumer, Errand];
    /// How long a receiver may take: 15 when it is not set, which the specification asks for, or the consumer's time-out less 5 seconds, which is the most.
    TIMEOUT_SECONDS = "ERRAND_WEBHOOK_TIMEOUT_SECONDS", Number(1, 895), "", [Consumer, Errand];
}
