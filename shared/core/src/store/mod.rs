//! What is remembered: of each envelope, and beside them.

mod contract;
mod header;
mod notes;
mod record;

pub use contract::{Begin, Change, Claim, DynClaims, DynRegister, DynResults, Filter, Finish, Outcome, Page, Report, Store, StoreError};
pub use header::Header;
pub use notes::{DynNoteList, DynNotes, Note, NoteKind, Notes};
pub use record::{Record, position};
