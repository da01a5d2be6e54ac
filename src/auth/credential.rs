//! What a credential says. Room: auth.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What a credential says: who, in which roles, for which purposes, how far narrowed.
#[derive(Clone, Debug)]
pub struct Credential {
    /// `token:<id>` or `user:<issuer>:<pseudonym>`.
    pub actor_id: String,
    /// Roles without prefix.
    pub roles: Vec<String>,
    /// Codes of the purposes it permits.
    pub purposes: Vec<String>,
    /// Coordinates it is narrowed to, if it is.
    pub fields: Option<Vec<String>>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// The recipient that uses it.
    pub recipient: Option<Uuid>,
}
