errand_core::settings! {
    /// What is read of the environment.
    pub const SETTINGS;
    /// The sender of mails that name none. On one machine mail is caught until it is set.
    FROM = "ERRAND_SES_FROM", Text("an address, such as `Shop <shop@example.com>`"), "", [Consumer, Errand];
    /// The configuration set of mails that name none.
    CONFIGURATION_SET = "ERRAND_SES_CONFIGURATION_SET", Text("the name of a configuration set"), "", [Consumer, Errand];
}
