errand_core::settings! {
    /// What is read of the environment.
    pub const SETTINGS;
    /// What calls of your application are signed with, as webhooks are. Without it they are not signed.
    SECRET = "ERRAND_HTTP_SECRET", Secret("Standard Webhooks secrets, separated by spaces or commas"), "", [Consumer, Errand];
}
