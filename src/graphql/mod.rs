//! The GraphQL face: the schema, made from the registry, and the pipeline from text to answer. Room: graphql.
//!
//! A document that was found valid is kept as parsed (`graphql/document_cache.rs`); it is not validated again for
//! variables that surely fit what is declared for them (`graphql/input_types.rs`; in doubt validation decides). The plan
//! of a query is kept for callers with the very same table of decisions (`graphql/plan_cache.rs`): another policy, role,
//! purpose or narrowing is another table. Mutations, introspection, pages behind a cursor and what tells of the
//! caller are planned each time. No row, credential, consent or decision about a row is ever kept.

mod consent_state;
mod document_cache;
mod filter_types;
mod input_types;
mod mutations;
mod pipeline;
mod plan_cache;
mod receipts;
mod response;
mod schema;
mod schema_model;
mod schema_views;
mod subscriptions;
mod validation_errors;
mod viewer_types;

pub use pipeline::{CostMeter, Outcome, Pipeline, Request, Response};
pub use response::{error_body, error_list, errors_for};
pub use schema::build;
pub use subscriptions::{Subscription, SubscriptionEvent};
