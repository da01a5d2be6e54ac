//! The GraphQL face: the schema, made from the register, and the engine that answers. Room: graphql.

mod answer;
mod consent_state;
mod documents;
mod engine;
mod faults;
mod inputs;
mod model;
mod mutations;
mod plans;
mod receipts;
mod schema;
mod shapes;
mod subscriptions;
mod technical;
mod views;

pub use answer::{error_body, error_list, errors_of};
pub use engine::{Answer, Engine, Meter, Outcome, Request};
pub use schema::build;
pub use subscriptions::{Subscription, Told};
