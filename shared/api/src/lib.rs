//! What the HTTP functions share: requests and answers, problem documents, authorisation.
