//! Recorded grounds: the facts that make a purpose lawful for one contact (Art. 6(1)). Room: domain.

use chrono::{DateTime, Utc};
use entity::ground::{self, Entity, Model};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::{
    audit::{ChangeSet, Entry, Transaction},
    auth::actor::Actor,
    base::error::{Code, Error},
    domain::contacts,
    engine::Input,
    policy::{Action, Grounds},
    registry::GROUND,
};

/// A ground to record.
#[derive(Clone, Debug)]
pub struct NewGround {
    /// Code of the purpose.
    pub purpose: String,
    /// Contract number, duty or balancing test.
    pub reference: Option<String>,
    /// When it begins; now by default.
    pub since: Option<DateTime<Utc>>,
    /// When it ends.
    pub until: Option<DateTime<Utc>>,
    /// The path of the ground in the input, for errors.
    pub input_path: &'static str,
}

impl NewGround {
    /// The ground that a `GroundInput` or a `ContactGroundInput` at `path` describes.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`; the schema has already ruled it out.
    pub fn from_input(input: &Input, path: &'static str) -> Result<Self, Error> {
        Ok(Self {
            purpose: input.require_string("purpose")?,
            reference: input.optional_string("reference"),
            since: input.time("since"),
            until: input.time("until"),
            input_path: path,
        })
    }

    /// Its row, not written yet.
    pub fn row(&self, tx: &Transaction, contact_id: Uuid) -> Model {
        Model {
            id: tx.new_id(),
            contact_id,
            purpose_code: self.purpose.clone(),
            reference: self.reference.clone(),
            since: self.since.unwrap_or(tx.now()),
            until: self.until,
            recorded_by: tx.author().actor.clone(),
            created_at: tx.now(),
        }
    }

    fn invalid(&self, name: &str, message: impl Into<String>) -> Error {
        Error::bad_input(message).with_input_path(format!("{}.{name}", self.input_path))
    }

    /// Checks that the caller may record it: a ground makes the contact visible for its purpose.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a purpose without recorded grounds; `FORBIDDEN` for one that the caller may not grant.
    pub fn check(&self, actor: &Actor, now: DateTime<Utc>) -> Result<(), Error> {
        let Some(purpose) = actor.policy.purpose(&self.purpose) else {
            return Err(self.invalid("purpose", "there is no such purpose"));
        };
        if purpose.is_group {
            return Err(self.invalid("purpose", "a group has no grounds; name one of its purposes"));
        }
        let object = format!("ground:purpose:{}", purpose.code);
        if purpose.grounds != Grounds::Recorded {
            return Err(self.invalid("purpose", "this purpose does not use recorded grounds"));
        }
        if !actor.can(&object, Action::Grant) {
            let message = "a ground for this purpose may not be recorded here";
            return Err(Error::new(Code::Forbidden, message)
                .with_coordinate(object)
                .with_input_path(format!("{}.purpose", self.input_path)));
        }
        let since = self.since.unwrap_or(now);
        if self.until.is_some_and(|until| until <= since) {
            return Err(self.invalid("until", "a ground must end after it begins"));
        }
        Ok(())
    }
}

/// Records a ground of an existing contact. Repeating one changes nothing.
///
/// # Errors
/// As [`NewGround::check`].
pub async fn record(
    tx: &mut Transaction,
    actor: &Actor,
    contact_id: Uuid,
    new: &NewGround,
) -> Result<Uuid, Error> {
    new.check(actor, tx.now())?;
    let existing = Entity::find()
        .filter(ground::Column::ContactId.eq(contact_id))
        .filter(ground::Column::PurposeCode.eq(&new.purpose))
        .all(tx.connection())
        .await?;
    let same = existing.into_iter().find(|existing| {
        existing.reference == new.reference
            && existing.until == new.until
            && new.since.map_or(existing.since <= tx.now(), |since| since == existing.since)
    });
    let (id, changes) = match same {
        Some(existing) => (existing.id, ChangeSet::none()),
        None => {
            let model = new.row(tx, contact_id);
            (model.id, tx.insert::<Entity>(&GROUND, &model).await?)
        }
    };
    tx.record(entry("recordGround", id, contact_id, changes)).await?;
    Ok(id)
}

/// Ends a ground. One that already ends earlier is not changed.
///
/// # Errors
/// `NOT_FOUND`; `BAD_USER_INPUT` for an end before the beginning.
pub async fn end(
    tx: &mut Transaction,
    actor: &Actor,
    id: Uuid,
    at: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    let not_found = || Error::new(Code::NotFound, "there is no such ground");
    let before =
        contacts::lock_with_contact::<Entity>(tx, actor, &GROUND, id, ground::Column::ContactId, not_found)
            .await?;
    let contact_id = before.contact_id;
    let at = at.unwrap_or(tx.now());
    if at < before.since {
        return Err(Error::bad_input("a ground cannot end before it begins").with_input_path("input.endedAt"));
    }
    if before.until.is_some_and(|until| until <= at) {
        return tx.record(entry("endGround", id, contact_id, ChangeSet::none())).await;
    }
    let after = Model { until: Some(at), ..before.clone() };
    let changes = tx.update::<Entity>(&GROUND, &before, &after).await?;
    tx.record(entry("endGround", id, contact_id, changes)).await
}

fn entry(action: &'static str, id: Uuid, contact_id: Uuid, changes: ChangeSet) -> Entry {
    Entry { action, entity_type: GROUND.name, entity_id: Some(id), contact_id: Some(contact_id), changes }
}
