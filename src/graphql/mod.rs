//! The GraphQL face: the schema, made from the register (floor 5).

mod inputs;
mod schema;

pub use schema::build;
