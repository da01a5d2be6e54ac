//! What a credential grants. Room: auth.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What a credential grants: actor, roles, purposes and the fields it is restricted to.
#[derive(Clone, Debug)]
pub struct Credential {
    /// `token:<id>` or `user:<issuer>:<pseudonym>`.
    pub actor_id: String,
    /// Role codes, without prefix.
    pub roles: Vec<String>,
    /// Codes of the purposes that it permits.
    pub purposes: Vec<String>,
    /// Coordinates to which it is restricted, if it is.
    pub fields: Option<Vec<String>>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// The recipient that uses it.
    pub recipient: Option<Uuid>,
}
