//! Takes mail by SMTP, as a mail server would, so that what any application sends is caught. [RFC 5321](https://www.rfc-editor.org/rfc/rfc5321), with SIZE
//! (RFC 1870), PIPELINING (RFC 2920), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531) and AUTH (RFC 4954). There is no STARTTLS.

mod connection;
mod message;
mod session;

pub(crate) use connection::{Door, serve};
