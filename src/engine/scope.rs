//! The purpose, the instant and the database that every statement is about. Room: engine.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::DbBackend;
use uuid::Uuid;

use crate::{
    auth::actor::Actor,
    policy::{Grounds, PurposeDef},
};

/// What every statement is about: the purpose, the instant, the database.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The purpose of the operation; without one no row of a person is visible.
    pub purpose: Option<Arc<PurposeDef>>,
    /// Now, by the application's clock; never the database's.
    pub now: DateTime<Utc>,
    /// The database.
    pub backend: DbBackend,
    /// The records of the person who calls, where it is one: nobody else's rows are visible then.
    pub subject: Option<Arc<[Uuid]>>,
}

impl Scope {
    /// The scope of `actor` at the instant `now`.
    pub fn for_actor(actor: &Actor, now: DateTime<Utc>, backend: DbBackend) -> Self {
        Self { purpose: actor.purpose.clone(), now, backend, subject: actor.subject.clone() }
    }

    /// Whether fields of a channel need a consent for it.
    pub(in crate::engine) fn rests_on_consent(&self) -> bool {
        self.purpose.as_ref().is_some_and(|purpose| purpose.grounds == Grounds::Consent)
    }
}
