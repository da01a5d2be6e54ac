//! Governed reading: a document is normalised, planned as a whole, and then read. Room: engine.
//!
//! Decisions, columns and children are known before anything is read. Rows become JSON text in a plain loop.
//!
//! Plain data lies below what makes it and what runs it, so that no two files import each other: `document` is a request as it came, `plan`
//! is data alone, `planner` makes it, `sql` and `executor` run it. `planner` knows neither `sql` nor `executor`, and these know neither
//! `planner` nor a document.

mod cell;
mod cursor;
mod document;
mod executor;
mod json;
mod plan;
mod planner;
mod scope;
mod sql;
mod statement_log;

pub use cell::{Cell, Row};
pub use document::{
    arguments::Variables,
    input::Input,
    lexer_limits::check_source,
    operation::{Operation, skip_all_fields},
};
pub use executor::{
    consents_in_force::{ConsentMark, InForce, consents_in_force},
    context::Executor,
    lookup::{exists, reaches},
    write_page_of,
};
pub use json::write_text;
pub use plan::{
    AnsweredBy, Denial, MutationResult, Plan, PlannedConsentState, PlannedMutation, PlannedReceipt,
    PlannedRoot, ReceiptPart,
};
pub use scope::Scope;
pub use sql::row_rules::row_condition;
pub use statement_log::record_statements;
