//! Governed objects: a document is normalised, planned as a whole, and then read (floor 2).
//!
//! Decisions, columns and children are known before anything is read. Rows become JSON text in a plain loop.

mod arguments;
mod bounds;
mod changes;
mod conditions;
mod costs;
mod covering;
mod cursors;
mod document;
mod existing;
mod fetched;
mod fields;
mod inputs;
mod levels;
mod linking;
mod overhear;
mod pages;
mod paging;
mod plan;
mod read;
mod receipts;
mod rows;
mod scan;
mod seeking;
mod sql;
mod standing;
mod statements;
mod states;
mod technical;
mod write;
mod writes;

pub use arguments::Variables;
pub use document::{Operation, skipped};
pub use existing::{exists, reaches};
pub use inputs::Input;
pub use overhear::overhear;
pub use plan::{Denial, Plan, PlannedRoot};
pub use read::{Reader, write_page_of};
pub use receipts::{Part, PlannedReceipt};
pub use rows::{permitted, visible};
pub use scan::scan;
pub use sql::Scope;
pub use standing::{InForce, Standing, standing};
pub use write::{Cell, Row, write_text};
pub use writes::{PlannedWrite, Written};
