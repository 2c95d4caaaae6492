errand_core::settings! {
    /// What is read of the environment: what Azure's own libraries read as well. What a transport's options say wins.
    pub const SETTINGS;
    /// The tenant of the application that we are: [Azure](transports/azure.md).
    TENANT_ID = "AZURE_TENANT_ID", Text("the id of a tenant"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// The application that we are, or the managed identity.
    CLIENT_ID = "AZURE_CLIENT_ID", Text("the id of an application"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// A secret of the application.
    CLIENT_SECRET = "AZURE_CLIENT_SECRET", Secret("a client secret"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// A token of another issuer that the application trusts: read again for each token of Azure's.
    FEDERATED_TOKEN_FILE = "AZURE_FEDERATED_TOKEN_FILE", Text("a file"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// Who issues Azure's tokens.
    AUTHORITY_HOST = "AZURE_AUTHORITY_HOST", Text("a URL"), "https://login.microsoftonline.com", [Enqueue, Consumer, Status, Outbox, Errand];
    /// What gives tokens of the managed identity. Azure's containers and App Service set it.
    IDENTITY_ENDPOINT = "IDENTITY_ENDPOINT", Text("a URL"), "", [Enqueue, Consumer, Status, Outbox, Errand];
    /// What that asks for.
    IDENTITY_HEADER = "IDENTITY_HEADER", Secret("a text"), "", [Enqueue, Consumer, Status, Outbox, Errand];
}
