//! The GraphQL face: the schema, made from the registry, and the engine that answers. Room: graphql.

mod consent_state;
mod document_cache;
mod faults;
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
mod viewer_types;

pub use pipeline::{Answer, CostMeter, Outcome, Pipeline, Request};
pub use response::{error_body, error_list, errors_of};
pub use schema::build;
pub use subscriptions::{Subscription, Told};
