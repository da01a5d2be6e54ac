//! Updates of a contact by a later import from its source. Room: domain/contacts/source_updates.
//!
//! An import may only change what imports brought: a value that a person or an application has recorded stays, and the
//! difference is reported. `snapshot.rs` reads what a contact has, `comparison.rs` decides, `writes.rs` decides again
//! behind the locks and writes.

mod comparison;
mod finder;
mod former_addresses;
mod records;
mod snapshot;
mod writes;

pub use comparison::{Comparison, Difference, Refusal};
pub use finder::compare;
pub use records::{ACTION, SourceRecord, UpdateMode, UpdateSource, View};
pub use writes::{WrittenUpdate, write};
