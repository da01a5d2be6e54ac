//! Merges the consents of two contacts that are one person: what either has refused holds for both (Art. 7).
//! Room: domain/consents.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use entity::{
    consent, consent_event, contact,
    enums::{Channel, ConsentEventKind, ConsentStatus, StopKind},
    objection,
};
use sea_orm::{ActiveEnum, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};
use uuid::Uuid;

use super::events::{address_of, bare_event, events_of, now_or_later, with_projection};
use crate::{
    audit::{ChangeSet, Transaction},
    auth::actor::Actor,
    base::error::Error,
    domain::contacts::merge::Merged,
    registry::{CONSENT, CONSENT_EVENT, DataCategory},
};

/// One of the two contacts with its consents and objections.
struct Side<'m> {
    contact: &'m contact::Model,
    consents: Vec<consent::Model>,
    objections: Vec<objection::Model>,
}

/// The consents of both contacts to a purpose on a channel.
#[derive(Clone, Copy, Default)]
struct Both<'s> {
    survivor: Option<&'s consent::Model>,
    duplicate: Option<&'s consent::Model>,
}

/// Moves the consents of the duplicate to the surviving contact, with the events of both. If one contact has
/// withdrawn, refused, let expire or objected, the other's consent is invalid from now on, whatever the times:
/// nothing says which of the two the person meant to keep. So is one given for an address that is not the primary
/// one (BGH I ZR 164/09). Only a declaration after the merge counts again.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn merge(tx: &mut Transaction, actor: &Actor, merged: &Merged) -> Result<(), Error> {
    let survivor = Side::load(tx, &merged.before).await?;
    let duplicate = Side::load(tx, &merged.duplicate).await?;
    let mut all: BTreeMap<(String, String), Both<'_>> = BTreeMap::new();
    let key = |row: &consent::Model| (row.purpose_code.clone(), row.channel.to_value());
    for row in &survivor.consents {
        all.entry(key(row)).or_default().survivor = Some(row);
    }
    for row in &duplicate.consents {
        all.entry(key(row)).or_default().duplicate = Some(row);
    }
    for ((purpose, channel), pair) in all {
        let channel = Channel::try_from_value(&channel)?;
        let group = actor.policy.purpose(&purpose).and_then(|purpose| purpose.group.as_deref());
        let refuses = |side: &Side<'_>, row| side.refuses(row, (&purpose, group, channel), tx.now());
        let is_refused = match (pair.survivor, pair.duplicate) {
            // Its own opt-out already counts.
            (Some(_), None) => refuses(&duplicate, None),
            (None, Some(_)) => refuses(&survivor, None),
            _ => refuses(&survivor, pair.survivor) || refuses(&duplicate, pair.duplicate),
        };
        let bound_consents: Vec<BoundConsent<'_>> =
            [survivor.bound_consent(pair.survivor), duplicate.bound_consent(pair.duplicate)]
                .into_iter()
                .flatten()
                .collect();
        let address = address_of(&merged.after, channel);
        match (pair.survivor, pair.duplicate) {
            (Some(survivor), Some(duplicate)) => {
                combine(tx, merged, survivor, duplicate, is_refused, &bound_consents, address).await?
            }
            (Some(row), None) | (None, Some(row)) => {
                move_consent(tx, merged, row, is_refused, &bound_consents, address).await?
            }
            (None, None) => {}
        }
    }
    Ok(())
}

/// A consent with the address it was given for.
struct BoundConsent<'s> {
    row: &'s consent::Model,
    address: Option<String>,
}

impl<'m> Side<'m> {
    async fn load(tx: &Transaction, contact: &'m contact::Model) -> Result<Self, Error> {
        // Locked: `zweck consents rebuild` may have waited for the contact that disappears.
        let consents = consent::Entity::find()
            .filter(consent::Column::ContactId.eq(contact.id))
            .order_by_asc(consent::Column::Id)
            .lock_exclusive()
            .all(tx.connection())
            .await?;
        let objections = objection::Entity::find()
            .filter(objection::Column::ContactId.eq(contact.id))
            // External lists and undeliverable mail are nobody's own declaration.
            .filter(objection::Column::Kind.is_in([StopKind::Objection, StopKind::Block]))
            .all(tx.connection())
            .await?;
        Ok(Self { contact, consents, objections })
    }

    fn bound_consent<'s>(&self, row: Option<&'s consent::Model>) -> Option<BoundConsent<'s>> {
        row.map(|row| BoundConsent { row, address: self.bound_address(row) })
    }

    /// The address a consent was given for; an unbound one was given for that of the contact.
    fn bound_address(&self, row: &consent::Model) -> Option<String> {
        row.bound_address.clone().or_else(|| address_of(self.contact, row.channel))
    }

    /// Whether the contact has opted out of the purpose on the channel of `row`: its consent is not in force, or it
    /// has objected and not consented since. An unanswered request is no opt-out.
    fn refuses(
        &self,
        row: Option<&consent::Model>,
        (purpose, group, channel): (&str, Option<&str>, Channel),
        now: DateTime<Utc>,
    ) -> bool {
        let objections = || {
            let covers_purpose = |code: &str| code == purpose || Some(code) == group;
            let covers_channel = move |objection: &objection::Model| {
                objection.channel.is_none_or(|blocked| blocked == channel)
            };
            self.objections
                .iter()
                .filter(move |objection| covers_purpose(&objection.purpose_code) && covers_channel(objection))
        };
        // A block ends older consents; it is the person's own declaration only if it has a source.
        let is_own_declaration = |objection: &&objection::Model| {
            objection.kind == StopKind::Objection || objection.source.is_some()
        };
        let objected = || {
            objections()
                .filter(is_own_declaration)
                .any(|objection| objection.ended_at.is_none_or(|end| end > now))
        };
        match row {
            Some(row) if row.status != ConsentStatus::Pending => {
                let ended = objections().any(|objection| {
                    objection.ended_at.is_none_or(|end| end > objection.objected_at)
                        && row.declared_at.is_none_or(|at| objection.objected_at >= at)
                });
                let in_force = row.status == ConsentStatus::Granted
                    && row.withdrawn_at.is_none()
                    && row.expires_at.is_none_or(|end| end > now);
                !in_force || ended || self.bound_address(row) != address_of(self.contact, row.channel)
            }
            _ => objected(),
        }
    }
}

/// The surviving consent, invalidated if it was `is_refused` or not given for `address`.
async fn resolve(
    tx: &Transaction,
    mut row: consent::Model,
    is_refused: bool,
    bound_consents: &[BoundConsent<'_>],
    address: Option<&String>,
) -> Result<(consent::Model, ChangeSet), Error> {
    let in_force = matches!(row.status, ConsentStatus::Granted | ConsentStatus::Pending);
    // The consents that the state stems from; all, if that cannot be determined.
    let is_source = |bound_consents: &&BoundConsent<'_>| {
        bound_consents.row.status == row.status && bound_consents.row.granted_at == row.granted_at
    };
    let has_source = bound_consents.iter().any(|bound_consents| is_source(&bound_consents));
    let mut winners = bound_consents.iter().filter(|bound_consents| !has_source || is_source(bound_consents));
    let fits = winners.clone().all(|bound_consents| bound_consents.address.as_ref() == address);
    if !in_force || (!is_refused && fits) {
        if let Some(winner) = winners.next().filter(|_| in_force) {
            row.bound_address.clone_from(&winner.row.bound_address);
        }
        return Ok((row, ChangeSet::none()));
    }
    let mut events = events_of(tx.connection(), row.id).await?;
    let event = bare_event(tx, row.id, ConsentEventKind::Invalidated, now_or_later(tx, &events));
    let changes = tx.insert::<consent_event::Entity>(&CONSENT_EVENT, &event).await?;
    events.push(event);
    Ok((consent::Model { updated_at: tx.now(), ..with_projection(&row, &events) }, changes))
}

/// Keeps a consent that only one of the contacts has.
async fn move_consent(
    tx: &mut Transaction,
    merged: &Merged,
    before: &consent::Model,
    is_refused: bool,
    bound_consents: &[BoundConsent<'_>],
    address: Option<String>,
) -> Result<(), Error> {
    let row = consent::Model { contact_id: merged.after.id, ..before.clone() };
    let (after, event) = resolve(tx, row, is_refused, bound_consents, address.as_ref()).await?;
    if after == *before {
        return Ok(());
    }
    let changes = tx.update::<consent::Entity>(&CONSENT, before, &after).await?;
    tx.record(merged.entry(&CONSENT, before.id, changes.merge(event))).await
}

/// Combines two consents into one, with the events of both.
async fn combine(
    tx: &mut Transaction,
    merged: &Merged,
    survivor: &consent::Model,
    duplicate: &consent::Model,
    is_refused: bool,
    bound_consents: &[BoundConsent<'_>],
    address: Option<String>,
) -> Result<(), Error> {
    let moved: Vec<Uuid> =
        events_of(tx.connection(), duplicate.id).await?.into_iter().map(|event| event.id).collect();
    consent_event::Entity::update_many()
        .col_expr(consent_event::Column::ConsentId, Expr::value(survivor.id))
        .filter(consent_event::Column::ConsentId.eq(duplicate.id))
        .exec(tx.connection())
        .await?;
    let deleted = tx.delete::<consent::Entity>(&CONSENT, duplicate).await?;
    let row = consent::Model {
        updated_at: tx.now(),
        ..with_projection(survivor, &events_of(tx.connection(), survivor.id).await?)
    };
    let (after, event) = resolve(tx, row, is_refused, bound_consents, address.as_ref()).await?;
    let events = serde_json::json!(moved);
    let coordinate = "Consent.events";
    let events_added =
        ChangeSet::single(coordinate, DataCategory::Link, serde_json::Value::Null, events.clone());
    let changes = tx.update::<consent::Entity>(&CONSENT, survivor, &after).await?;
    tx.record(merged.entry(&CONSENT, survivor.id, changes.merge(event).merge(events_added))).await?;
    let events_removed = ChangeSet::single(coordinate, DataCategory::Link, events, serde_json::Value::Null);
    tx.record(merged.entry(&CONSENT, duplicate.id, deleted.merge(events_removed))).await
}
