//! Data-subject requests (Art. 15 to 21): opened with their deadline, cancelled if the person withdraws them.
//! Room: domain/requests.

mod deadlines;

use chrono::{DateTime, Utc};
use entity::{
    enums::{RequestKind, RequestStatus},
    privacy_request::{Entity, Model},
};
use sea_orm::{EntityTrait, QuerySelect};
use uuid::Uuid;

pub use deadlines::due_at;

use crate::{
    audit::{ChangeSet, Entry, Transaction},
    auth::actor::Actor,
    base::error::{Code, Error},
    domain::{
        contacts,
        objections::{self, NewObjection},
        suppressions,
    },
    engine::Input,
    registry::PRIVACY_REQUEST,
};

/// A new request.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// The contact.
    pub contact_id: Uuid,
    /// The right that is exercised.
    pub kind: RequestKind,
    /// When it was received; now by default.
    pub received_at: Option<DateTime<Utc>>,
    /// The purpose it is about.
    pub purpose: Option<String>,
    /// A note.
    pub note: Option<String>,
}

impl NewRequest {
    /// The request that an `OpenRequestInput` describes.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`; the schema has already ruled it out.
    pub fn from_input(input: &Input) -> Result<Self, Error> {
        Ok(Self {
            contact_id: input.require_id("contactId")?,
            kind: input.require_enum("kind")?,
            received_at: input.time("receivedAt"),
            purpose: input.optional_string("purpose"),
            note: input.optional_string("note"),
        })
    }
}

/// Opens a request; its deadline counts from the receipt (Art. 12(3)). An objection to advertising takes effect
/// with the next read.
///
/// # Errors
/// `NOT_FOUND`; `BAD_USER_INPUT` for a receipt in the future and an unknown purpose.
pub async fn open(tx: &mut Transaction, actor: &Actor, new: &NewRequest) -> Result<Uuid, Error> {
    let received_at = new.received_at.unwrap_or(tx.now());
    if received_at > tx.now() {
        return Err(Error::bad_input("`receivedAt` is in the future").with_input_path("input.receivedAt"));
    }
    if new.purpose.as_ref().is_some_and(|code| actor.policy.purpose(code).is_none()) {
        return Err(Error::bad_input("there is no such purpose").with_input_path("input.purpose"));
    }
    let is_other_purpose = actor.purpose.as_ref().is_some_and(|purpose| {
        !purpose.sees_all && new.purpose.as_ref().is_some_and(|code| *code != purpose.code)
    });
    if is_other_purpose {
        let message = "requests about other purposes may not be opened for this purpose";
        return Err(Error::new(Code::Forbidden, message).with_input_path("input.purpose"));
    }
    // An objection to advertising ends it at once (Art. 21(3)); everything else about the request may take its
    // time.
    let ends = new.purpose.as_ref().filter(|code| {
        new.kind == RequestKind::Objection && suppressions::is_advertising(&actor.policy, code)
    });
    match ends {
        Some(purpose) => {
            let objection = NewObjection {
                contact_id: Some(new.contact_id),
                address: None,
                purpose: purpose.clone(),
                channel: None,
                at: new.received_at,
                source: None,
            };
            objections::record(tx, actor, &objection).await?;
        }
        None => {
            contacts::lock(tx, actor, new.contact_id).await?;
        }
    }
    let due_at = due_at(received_at).ok_or_else(|| {
        Error::bad_input("`receivedAt` is not a possible time").with_input_path("input.receivedAt")
    })?;
    let model = Model {
        id: tx.new_id(),
        contact_id: Some(new.contact_id),
        kind: new.kind,
        status: RequestStatus::Received,
        purpose_code: new.purpose.clone(),
        received_at,
        due_at,
        extended_until: None,
        identity_verified_at: None,
        closed_at: None,
        assignee: None,
        reason: None,
        note: new.note.clone(),
        created_at: tx.now(),
    };
    let changes = tx.insert::<Entity>(&PRIVACY_REQUEST, &model).await?;
    tx.record(entry("openRequest", &model, changes)).await?;
    Ok(model.id)
}

/// Cancels a request that the person withdraws. A cancelled one is not changed.
///
/// # Errors
/// `NOT_FOUND`; `CONFLICT` for a request that was answered.
pub async fn cancel(
    tx: &mut Transaction,
    actor: &Actor,
    id: Uuid,
    reason: Option<String>,
) -> Result<(), Error> {
    let not_found = || Error::new(Code::NotFound, "there is no such request");
    // The request itself is locked: it may outlive its contact.
    let found = Entity::find_by_id(id).lock_exclusive().one(tx.connection()).await?;
    let before = found.ok_or_else(not_found)?;
    if !tx.can_see(actor, &PRIVACY_REQUEST, id).await? {
        return Err(not_found());
    }
    match before.status {
        RequestStatus::Cancelled => {
            return tx.record(entry("cancelRequest", &before, ChangeSet::none())).await;
        }
        RequestStatus::Fulfilled | RequestStatus::PartlyFulfilled | RequestStatus::Refused => {
            return Err(Error::new(Code::Conflict, "the request has already been answered"));
        }
        RequestStatus::Received | RequestStatus::AwaitingIdentity | RequestStatus::InProgress => {}
    }
    let after = Model {
        status: RequestStatus::Cancelled,
        closed_at: Some(tx.now()),
        reason: reason.or_else(|| before.reason.clone()),
        ..before.clone()
    };
    let changes = tx.update::<Entity>(&PRIVACY_REQUEST, &before, &after).await?;
    tx.record(entry("cancelRequest", &after, changes)).await
}

fn entry(action: &'static str, request: &Model, changes: ChangeSet) -> Entry {
    Entry {
        action,
        entity_type: PRIVACY_REQUEST.name,
        entity_id: Some(request.id),
        contact_id: request.contact_id,
        changes,
    }
}
