//! Restriction of processing (Art. 18): only purposes that may see restricted contacts still see the contact.
//! Room: domain/contacts.

use chrono::{DateTime, Utc};
use entity::{
    contact,
    enums::{ContactState, RestrictionLimb},
    restriction,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::lock;
use crate::{
    audit::{ChangeSet, Entry, Transaction},
    auth::actor::Actor,
    base::error::{Code, Error},
    registry::{CONTACT, RESTRICTION},
};

/// A restriction to record.
#[derive(Clone, Debug)]
pub struct NewRestriction {
    /// The contact.
    pub id: Uuid,
    /// Point of Art. 18(1).
    pub limb: RestrictionLimb,
    /// Why.
    pub reason: String,
    /// When it is to be reviewed.
    pub planned_until: Option<DateTime<Utc>>,
}

async fn save(tx: &Transaction, before: &contact::Model, state: ContactState) -> Result<ChangeSet, Error> {
    let after = contact::Model {
        state,
        restricted_at: (state == ContactState::Restricted).then(|| tx.now()),
        version: before.version + 1,
        updated_at: tx.now(),
        ..before.clone()
    };
    tx.update::<contact::Entity>(&CONTACT, before, &after).await
}

fn entry(action: &'static str, contact: Uuid, changes: ChangeSet) -> Entry {
    Entry { action, entity_type: CONTACT.name, entity_id: Some(contact), contact_id: Some(contact), changes }
}

/// Restricts the processing of a contact. A further restriction on another ground is recorded too; repeating one
/// changes nothing.
///
/// # Errors
/// `NOT_FOUND`; `CONFLICT` for a contact that is only retained; `BAD_USER_INPUT` for an end in the past.
pub async fn restrict(tx: &mut Transaction, actor: &Actor, new: &NewRestriction) -> Result<(), Error> {
    if new.planned_until.is_some_and(|until| until <= tx.now()) {
        return Err(Error::bad_input("`plannedUntil` is in the past").with_input_path("input.plannedUntil"));
    }
    let before = lock(tx, actor, new.id).await?;
    if before.state == ContactState::Retained {
        return Err(Error::new(Code::Conflict, "the contact is retained only because a law demands it"));
    }
    let in_force = restriction::Entity::find()
        .filter(restriction::Column::ContactId.eq(new.id))
        .filter(restriction::Column::LiftedAt.is_null())
        .all(tx.connection())
        .await?;
    let is_same = |existing: &restriction::Model| {
        existing.limb == new.limb
            && existing.reason.as_ref() == Some(&new.reason)
            && existing.planned_until == new.planned_until
    };
    if in_force.iter().any(is_same) && before.state == ContactState::Restricted {
        return tx.record(entry("restrictContact", new.id, ChangeSet::none())).await;
    }
    let model = restriction::Model {
        id: tx.new_id(),
        contact_id: new.id,
        limb: new.limb,
        reason: Some(new.reason.clone()),
        restricted_at: tx.now(),
        planned_until: new.planned_until,
        informed_at: None,
        lifted_at: None,
        recorded_by: tx.author().actor.clone(),
        created_at: tx.now(),
    };
    let mut changes = tx.insert::<restriction::Entity>(&RESTRICTION, &model).await?;
    if before.state != ContactState::Restricted {
        changes = changes.merge(save(tx, &before, ContactState::Restricted).await?);
    }
    tx.record(entry("restrictContact", new.id, changes)).await
}

/// Lifts every restriction of a contact. Without a restriction it changes nothing.
///
/// # Errors
/// `NOT_FOUND`; `BAD_USER_INPUT` if the person was not informed before (Art. 18(3)).
pub async fn lift(
    tx: &mut Transaction,
    actor: &Actor,
    id: Uuid,
    informed_at: DateTime<Utc>,
) -> Result<(), Error> {
    if informed_at > tx.now() {
        let message = "the person must be informed before the restriction is lifted (Art. 18(3))";
        return Err(Error::bad_input(message).with_input_path("input.informedAt"));
    }
    let before = lock(tx, actor, id).await?;
    if before.restricted_at.is_some_and(|since| informed_at < since) {
        let message =
            "the person must be informed after the restriction began and before it is lifted (Art. 18(3))";
        return Err(Error::bad_input(message).with_input_path("input.informedAt"));
    }
    if before.state != ContactState::Restricted {
        return tx.record(entry("liftRestriction", id, ChangeSet::none())).await;
    }
    let mut changes = save(tx, &before, ContactState::Active).await?;
    let in_force = restriction::Entity::find()
        .filter(restriction::Column::ContactId.eq(id))
        .filter(restriction::Column::LiftedAt.is_null())
        .all(tx.connection())
        .await?;
    for model in in_force {
        let lifted =
            restriction::Model { informed_at: Some(informed_at), lifted_at: Some(tx.now()), ..model.clone() };
        changes = changes.merge(tx.update::<restriction::Entity>(&RESTRICTION, &model, &lifted).await?);
    }
    tx.record(entry("liftRestriction", id, changes)).await
}
