//! Entries of the audit log. Room: audit.

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

/// The author of an entry: actor, roles, purpose, policy revision and request.
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
    /// An operator's command.
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

/// One action on one object.
#[derive(Debug)]
pub struct Entry {
    /// The action, e.g. `updateContact`.
    pub action: &'static str,
    /// Type of the object.
    pub entity_type: &'static str,
    /// Its id, if it has one.
    pub entity_id: Option<Uuid>,
    /// The contact it is about.
    pub contact_id: Option<Uuid>,
    /// The changes; empty if nothing had to change.
    pub changes: ChangeSet,
}

impl Entry {
    /// The subject whose keys seal it: the person, or the object itself.
    pub(super) fn subject(&self) -> Uuid {
        self.contact_id.or(self.entity_id).unwrap_or(Uuid::nil())
    }
}

/// When the entries of a write reach the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryTiming {
    /// In the same transaction.
    Immediate,
    /// Later, from the table of deferred entries.
    Deferred,
}

/// What all entries of a transaction share: author, time, ordered ids.
#[derive(Clone)]
pub(super) struct Stamp {
    pub author: Author,
    pub now: DateTime<Utc>,
    /// The number of ids issued, shared with clones, which keeps them ordered.
    ids: Arc<AtomicU32>,
}

impl Stamp {
    pub fn new(author: Author, now: DateTime<Utc>) -> Self {
        Self { author, now, ids: Arc::default() }
    }

    /// A new id; later ones are greater.
    pub fn new_id(&self) -> Uuid {
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        id_at(self.now + TimeDelta::microseconds(number.into()))
    }

    /// The row of `entry` with its `sealed` values.
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

    /// The row of an entry without values: `contact` changed at `coordinate`.
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
