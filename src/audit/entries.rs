//! What an entry of the audit log says. Room: audit.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use entity::{audit_entry, enums::AuditOutcome};
use sea_orm::ActiveValue::Set;
use uuid::Uuid;

use super::ChangeSet;
use crate::{app::App, auth::actor::Actor, base::ids::id_at};

/// Who writes, for what, under which policy: what every entry says of its author.
#[derive(Clone, Debug)]
pub struct Author {
    /// `token:<id>`, `user:<issuer>:<pseudonym>` or `cli:<command>`.
    pub actor: String,
    /// Roles without prefix.
    pub roles: Vec<String>,
    /// Code of the purpose.
    pub purpose: Option<String>,
    /// Revision of the policy in force.
    pub policy_revision: String,
    /// Id of the request.
    pub request_id: Option<String>,
}

impl Author {
    /// A command of the operator.
    pub fn command(app: &App, actor: &str, purpose: Option<&str>) -> Self {
        Self {
            actor: actor.to_owned(),
            roles: Vec::new(),
            purpose: purpose.map(str::to_owned),
            policy_revision: app.policy.current().revision().to_owned(),
            request_id: None,
        }
    }
}

impl From<&Actor> for Author {
    fn from(actor: &Actor) -> Self {
        Self {
            actor: actor.id.clone(),
            roles: actor.roles.clone(),
            purpose: actor.purpose.as_ref().map(|purpose| purpose.code.clone()),
            policy_revision: actor.policy.revision().to_owned(),
            request_id: Some(actor.request_id.clone()),
        }
    }
}

/// What was done to one thing.
#[derive(Debug)]
pub struct Entry {
    /// What was done, e.g. `updateContact`.
    pub action: &'static str,
    /// Type of the thing.
    pub entity_type: &'static str,
    /// Its id, where it has one.
    pub entity_id: Option<Uuid>,
    /// The person it is about.
    pub contact_id: Option<Uuid>,
    /// What changed; empty where everything was as asked for already.
    pub changes: ChangeSet,
}

impl Entry {
    /// Whose keys seal it: those of the person, or of the thing itself.
    pub(super) fn subject(&self) -> Uuid {
        self.contact_id.or(self.entity_id).unwrap_or(Uuid::nil())
    }
}

/// What was written, and whether its entries are in the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryTiming {
    /// They are.
    Immediate,
    /// They follow.
    Deferred,
}

/// What all entries of a transaction have in common: who, when, and ids in order.
#[derive(Clone)]
pub(super) struct Stamp {
    pub author: Author,
    pub now: DateTime<Utc>,
    /// Ids given out so far, by clones too, which keeps them in order.
    ids: Arc<AtomicU32>,
}

impl Stamp {
    pub fn new(author: Author, now: DateTime<Utc>) -> Self {
        Self { author, now, ids: Arc::default() }
    }

    /// A fresh id; later ones are greater.
    pub fn new_id(&self) -> Uuid {
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        id_at(self.now + TimeDelta::microseconds(number.into()))
    }

    /// The row of `entry`, whose values are `sealed`.
    pub fn row(&self, id: Uuid, entry: &Entry, sealed: String) -> audit_entry::ActiveModel {
        let outcome = if entry.changes.is_empty() { AuditOutcome::Unchanged } else { AuditOutcome::Changed };
        audit_entry::ActiveModel {
            entity_id: Set(entry.entity_id),
            contact_id: Set(entry.contact_id),
            subject_id: Set(entry.subject()),
            changed_fields: Set(serde_json::json!(entry.changes.coordinates()).to_string()),
            sealed: Set(sealed),
            ..self.empty_row(id, entry.action, entry.entity_type, outcome)
        }
    }

    /// The row of an entry that tells no values: something was done to `contact` at `coordinate`.
    pub fn bare_row(
        &self,
        action: &'static str,
        entity_type: &'static str,
        contact: Uuid,
        coordinate: &str,
    ) -> audit_entry::ActiveModel {
        audit_entry::ActiveModel {
            contact_id: Set(Some(contact)),
            subject_id: Set(contact),
            changed_fields: Set(serde_json::json!([coordinate]).to_string()),
            ..self.empty_row(self.new_id(), action, entity_type, AuditOutcome::Changed)
        }
    }

    fn empty_row(
        &self,
        id: Uuid,
        action: &'static str,
        entity_type: &'static str,
        outcome: AuditOutcome,
    ) -> audit_entry::ActiveModel {
        audit_entry::ActiveModel {
            id: Set(id),
            at: Set(self.now),
            actor: Set(self.author.actor.clone()),
            roles: Set(serde_json::json!(self.author.roles).to_string()),
            purpose_code: Set(self.author.purpose.clone()),
            action: Set(action.to_owned()),
            outcome: Set(outcome),
            entity_type: Set(entity_type.to_owned()),
            entity_id: Set(None),
            contact_id: Set(None),
            subject_id: Set(Uuid::nil()),
            changed_fields: Set("[]".to_owned()),
            sealed: Set("{}".to_owned()),
            policy_revision: Set(self.author.policy_revision.clone()),
            request_id: Set(self.author.request_id.clone()),
        }
    }
}
