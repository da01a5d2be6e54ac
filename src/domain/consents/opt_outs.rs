//! Applies the opt-outs of a person to addresses that the person gets later. Room: domain/consents.
//!
//! An opt-out belongs to the person and closes all the person's addresses. An address that comes later - corrected,
//! added, merged - is closed from then on, on every record of it.

use chrono::{DateTime, Utc};
use entity::{
    consent, consent_event,
    enums::{Channel, ConsentEventKind, ConsentStatus, StopKind, SuppressionKind},
    objection,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::{
    audit::{LockMode, Transaction},
    base::error::Error,
    domain::{
        contacts::{self, NewAddresses},
        suppressions::{self, OptOutDeclaration, is_advertising},
    },
};

/// Closes new addresses of a contact as the suppression list and the person's own opt-outs say.
///
/// # Errors
/// `INTERNAL` from the database, and if an identity is not locked.
pub async fn apply_to_new_addresses(tx: &mut Transaction, addresses: &NewAddresses) -> Result<(), Error> {
    suppressions::apply_to_new_addresses(tx, addresses).await?;
    spread_opt_outs(tx, addresses).await
}

/// Declares the opt-outs of a contact that are in force for its new `addresses`. The caller has locked these
/// EXCLUSIVE if the contact may have opt-outs (`contacts::lock_with_new_addresses`, `contacts::merge::lock`);
/// SHARED means that it has none.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn spread_opt_outs(tx: &mut Transaction, addresses: &NewAddresses) -> Result<(), Error> {
    let Some(contact) = addresses.owner().filter(|_| !addresses.all().is_empty()) else { return Ok(()) };
    if !tx.has_locks(addresses.locks(), LockMode::Exclusive) {
        return Ok(());
    }
    let in_force: Vec<OptOutDeclaration> = opt_outs_of(tx, contact)
        .await?
        .into_iter()
        .filter(|opt_out| opt_out.is_in_force && opt_out.revoked_at.is_none())
        .map(|opt_out| opt_out.declared)
        .collect();
    suppressions::declare(tx, &[], addresses, &in_force).await?;
    Ok(())
}

/// Declares every opt-out that a contact ever made for all its addresses, and revokes on this record what the
/// person revoked: before there was a list, opt-outs were kept on records only, and those that a later consent has
/// hidden still count for other records.
///
/// # Errors
/// `INTERNAL` from the database, and if an identity is not locked EXCLUSIVE.
pub(super) async fn declare_past_opt_outs(
    tx: &mut Transaction,
    addresses: &NewAddresses,
) -> Result<(), Error> {
    let Some(contact) = addresses.owner() else { return Ok(()) };
    for opt_out in opt_outs_of(tx, contact).await? {
        let (purpose, channel) = (opt_out.declared.purpose.clone(), opt_out.declared.channel);
        suppressions::declare(tx, &[], addresses, &[opt_out.declared]).await?;
        if let Some(at) = opt_out.revoked_at {
            suppressions::lift_blocks(tx, contact, &purpose, channel, at).await?;
        }
    }
    Ok(())
}

/// An opt-out of advertising.
struct OptOut {
    declared: OptOutDeclaration,
    /// Whether it is the person's latest declaration.
    is_in_force: bool,
    /// When the person revoked the objection.
    revoked_at: Option<DateTime<Utc>>,
}

/// When an event was declared.
fn declared_at(event: &consent_event::Model) -> DateTime<Utc> {
    event.declared_at.unwrap_or(event.recorded_at)
}

/// The opt-outs of a contact: the latest of each consent, and every objection that ever had effect.
async fn opt_outs_of(tx: &Transaction, contact: Uuid) -> Result<Vec<OptOut>, Error> {
    let policy = tx.policy().clone();
    let mut opt_outs = Vec::new();
    let consents = consent::Entity::find().filter(consent::Column::ContactId.eq(contact));
    let consents = consents.all(tx.connection()).await?;
    let events = consent_event::Entity::find()
        .filter(consent_event::Column::ConsentId.is_in(consents.iter().map(|consent| consent.id)))
        .all(tx.connection())
        .await?;
    let mut grants: Vec<(&str, Channel, DateTime<Utc>)> = Vec::new();
    for consent in consents.iter().filter(|consent| is_advertising(&policy, &consent.purpose_code)) {
        let latest_of = |kinds: &'static [ConsentEventKind]| {
            let of_consent = events.iter().filter(|event| event.consent_id == consent.id);
            of_consent.filter(|event| kinds.contains(&event.kind)).max_by_key(|event| declared_at(event))
        };
        let opt_out = latest_of(&[ConsentEventKind::Withdrawn, ConsentEventKind::Refused]);
        let yes =
            latest_of(&[ConsentEventKind::Granted, ConsentEventKind::Confirmed, ConsentEventKind::Renewed]);
        let ended = matches!(consent.status, ConsentStatus::Withdrawn | ConsentStatus::Refused);
        grants.extend(yes.map(|yes| (consent.purpose_code.as_str(), consent.channel, declared_at(yes))));
        let (since, source) = match opt_out {
            Some(opt_out) => (declared_at(opt_out), opt_out.source.clone()),
            // A row without its event is repaired by `zweck consents rebuild`; the opt-out counts.
            None if ended => {
                let recorded = consent.withdrawn_at.or(consent.declared_at);
                (recorded.unwrap_or(consent.updated_at), consent.source.clone())
            }
            None => continue,
        };
        opt_outs.push(OptOut {
            declared: OptOutDeclaration {
                purpose: consent.purpose_code.clone(),
                kind: SuppressionKind::Withdrawal,
                channel: Some(consent.channel),
                since,
                source,
            },
            // Other ends of the consent, such as expiry or another address, are no declaration of the person.
            is_in_force: ended || yes.is_none_or(|yes| since >= declared_at(yes)),
            revoked_at: None,
        });
    }
    let mut objections = objection::Entity::find()
        .filter(objection::Column::ContactId.eq(contact))
        .filter(contacts::own_opt_outs())
        .all(tx.connection())
        .await?;
    objections.sort_by_key(|objection| (objection.objected_at, objection.id));
    for objection in objections {
        // One that ended when it began never had effect.
        let had_effect = objection.ended_at.is_none_or(|end| end > objection.objected_at);
        if had_effect && is_advertising(&policy, &objection.purpose_code) {
            let withdrawn = objection.kind == StopKind::Block;
            let kind = if withdrawn { SuppressionKind::Withdrawal } else { SuppressionKind::Objection };
            // A later consent supersedes a withdrawal, never an objection.
            let is_answered = grants.iter().any(|(purpose, channel, yes)| {
                *purpose == objection.purpose_code
                    && objection.channel == Some(*channel)
                    && *yes > objection.objected_at
            });
            opt_outs.push(OptOut {
                declared: OptOutDeclaration {
                    purpose: objection.purpose_code,
                    kind,
                    channel: objection.channel,
                    since: objection.objected_at,
                    source: objection.source,
                },
                is_in_force: !(withdrawn && is_answered),
                revoked_at: objection.ended_at,
            });
        }
    }
    Ok(opt_outs)
}
