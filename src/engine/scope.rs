//! The purpose, the instant and the database that every statement depends on. Room: engine.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::DbBackend;
use uuid::Uuid;

use crate::{
    auth::actor::Actor,
    policy::{Grounds, PurposeDef},
};

/// What every statement depends on: purpose, instant, database.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The purpose of the operation; without one no row of a person is visible.
    pub purpose: Option<Arc<PurposeDef>>,
    /// The current instant of the application's clock, never of the database's.
    pub now: DateTime<Utc>,
    /// The database.
    pub backend: DbBackend,
    /// The caller's own contact records, if the caller is a person; then only their rows are visible.
    pub subject: Option<Arc<[Uuid]>>,
}

impl Scope {
    /// The scope of `actor` at the instant `now`.
    pub fn for_actor(actor: &Actor, now: DateTime<Utc>, backend: DbBackend) -> Self {
        Self { purpose: actor.purpose.clone(), now, backend, subject: actor.subject.clone() }
    }

    /// Whether fields bound to a channel need a consent for that channel.
    pub(in crate::engine) fn rests_on_consent(&self) -> bool {
        self.purpose.as_ref().is_some_and(|purpose| purpose.grounds == Grounds::Consent)
    }
}
