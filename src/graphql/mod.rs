//! The GraphQL interface: the schema, derived from the registry, and the pipeline from request to response.
//! Room: graphql.
//!
//! Validated documents are cached in parsed form (`graphql/document_cache.rs`). They are not validated again for
//! variables that certainly match their declared types (`graphql/input_types.rs`; in doubt, validation decides). The
//! plan of a query is cached for callers with the same decision table (`graphql/plan_cache.rs`): another policy, role,
//! purpose or field restriction has another table. Mutations, introspection, pages after a cursor and fields about the
//! caller are planned each time. No row, credential, consent or decision about a row is ever cached.

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
