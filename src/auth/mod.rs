//! Authentication: credentials, the actor with its decision table, OIDC. Room: auth.

pub mod actor;
pub mod credential;
mod known_names;
pub mod oidc;
