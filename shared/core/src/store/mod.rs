//! What is remembered: of each envelope, and beside them.
//!
//! A store is who implements the roles: [`Claims`] for the engine, [`Register`] for who sends, [`Results`] for who asks. It keeps one contract, which
//! `errand-testkit` tests: every change is one conditional write; of two that claim an id, one gets it; a lease is compared with the claim's own `now` in that
//! condition, and its end is no deletion; what a stale attempt says is not written; only clean-up of ended records is left to an expiry time.

mod claims;
mod header;
mod lookup;
mod notes;
mod record;
mod register;
mod results;

pub use claims::{Begin, Claim, Claims, DynClaims, Finish, Outcome};
pub use header::Header;
pub use lookup::{Known, Lookup};
pub use notes::{DynNoteList, DynNotes, Note, NoteKind, Notes};
pub use record::{Record, position};
pub use register::{DynRegister, Register};
pub use results::{Change, DynResults, Filter, Page, Report, Results};
