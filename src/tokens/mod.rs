//! Access tokens in their final form (floor 3).

mod bearer;

pub use bearer::BearerToken;
