//! Governed reads: a GraphQL document is normalised, planned as a whole and then executed. Room: engine.
//!
//! Decisions, columns and child rows are fixed before anything is read. Rows become JSON text in one plain loop.
//!
//! Plain data lies below the code that makes it and the code that runs it, so that no two files import each other:
//! `document` is the request as received, `plan` is data only, `planner` builds the plan, `sql` and `executor` run
//! it. `planner` imports neither `sql` nor `executor`; these import neither `planner` nor `document`.

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
    lookup::{exists, is_reachable_mailbox},
    write_page_from_rows,
};
pub use json::write_text;
pub use plan::{
    AnsweredBy, Denial, MutationResult, Plan, PlannedConsentState, PlannedMutation, PlannedReceipt,
    PlannedRoot, ReceiptPart,
};
pub use scope::Scope;
pub use sql::row_rules::row_condition;
pub use statement_log::record_statements;
