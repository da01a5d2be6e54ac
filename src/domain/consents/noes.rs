//! The noes of a person that follow it to the addresses that it gets. Room: domain/consents.
//!
//! A no is the person's, and the addresses of the person are closed by it. An address that comes later - corrected, added, merged - is one
//! of them from then on, for every record of it.

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
        suppressions::{self, Declared, is_advertising},
    },
};

/// Lets addresses that come to a contact be closed by what the suppression list says of them, and by what the person has said.
///
/// # Errors
/// `INTERNAL` from the database, and where an identity is not locked.
pub async fn arrive(tx: &mut Transaction, reached: &NewAddresses) -> Result<(), Error> {
    suppressions::bring(tx, reached).await?;
    carry_noes(tx, reached).await
}

/// Declares what the person of a contact has said no to, and not taken back, for the addresses `reached` of it. Who brings these has locked
/// them EXCLUSIVE where the contact may say no (`contacts::lock_bringing`, `contacts::merge::lock`); SHARED says that there is none.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn carry_noes(tx: &mut Transaction, reached: &NewAddresses) -> Result<(), Error> {
    let Some(contact) = reached.owner().filter(|_| !reached.all().is_empty()) else { return Ok(()) };
    if !tx.has_locks(reached.locks(), LockMode::Exclusive) {
        return Ok(());
    }
    let standing: Vec<Declared> = of(tx, contact)
        .await?
        .into_iter()
        .filter(|no| no.is_standing && no.taken_back.is_none())
        .map(|no| no.declared)
        .collect();
    suppressions::declare(tx, &[], reached, &standing).await?;
    Ok(())
}

/// Declares what the person of a contact has ever said no to for all its addresses, and takes back on this record what the person has taken
/// back: before there was a list, noes stood on records alone, and those that a later yes has hidden count for every other record.
///
/// # Errors
/// `INTERNAL` from the database, and where an identity is not locked EXCLUSIVE.
pub(super) async fn settle(tx: &mut Transaction, reached: &NewAddresses) -> Result<(), Error> {
    let Some(contact) = reached.owner() else { return Ok(()) };
    for no in of(tx, contact).await? {
        let (purpose, channel) = (no.declared.purpose.clone(), no.declared.channel);
        suppressions::declare(tx, &[], reached, &[no.declared]).await?;
        if let Some(at) = no.taken_back {
            suppressions::lift_all(tx, contact, &purpose, channel, at).await?;
        }
    }
    Ok(())
}

/// A no to advertising.
struct No {
    declared: Declared,
    /// Whether it is the latest word of the person.
    is_standing: bool,
    /// When the person took an objection back.
    taken_back: Option<DateTime<Utc>>,
}

/// When an event was declared.
fn at(event: &consent_event::Model) -> DateTime<Utc> {
    event.declared_at.unwrap_or(event.recorded_at)
}

/// The noes of a contact to advertising: the latest of each consent, and every objection that held for any time.
async fn of(tx: &Transaction, contact: Uuid) -> Result<Vec<No>, Error> {
    let policy = tx.policy().clone();
    let mut noes = Vec::new();
    let consents = consent::Entity::find().filter(consent::Column::ContactId.eq(contact));
    let consents = consents.all(tx.connection()).await?;
    let said = consent_event::Entity::find()
        .filter(consent_event::Column::ConsentId.is_in(consents.iter().map(|consent| consent.id)))
        .all(tx.connection())
        .await?;
    let mut given: Vec<(&str, Channel, DateTime<Utc>)> = Vec::new();
    for consent in consents.iter().filter(|consent| is_advertising(&policy, &consent.purpose_code)) {
        let of = |kinds: &'static [ConsentEventKind]| {
            let own = said.iter().filter(|event| event.consent_id == consent.id);
            own.filter(|event| kinds.contains(&event.kind)).max_by_key(|event| at(event))
        };
        let no = of(&[ConsentEventKind::Withdrawn, ConsentEventKind::Refused]);
        let yes = of(&[ConsentEventKind::Granted, ConsentEventKind::Confirmed, ConsentEventKind::Renewed]);
        let ended = matches!(consent.status, ConsentStatus::Withdrawn | ConsentStatus::Refused);
        given.extend(yes.map(|yes| (consent.purpose_code.as_str(), consent.channel, at(yes))));
        let (since, source) = match no {
            Some(no) => (at(no), no.source.clone()),
            // A row without its event is for `zweck consents rebuild` to mend; the no counts.
            None if ended => {
                let told = consent.withdrawn_at.or(consent.declared_at);
                (told.unwrap_or(consent.updated_at), consent.source.clone())
            }
            None => continue,
        };
        noes.push(No {
            declared: Declared {
                purpose: consent.purpose_code.clone(),
                kind: SuppressionKind::Withdrawal,
                channel: Some(consent.channel),
                since,
                source,
            },
            // What happened to the consent besides - its end, another address - is no word of the person.
            is_standing: ended || yes.is_none_or(|yes| since >= at(yes)),
            taken_back: None,
        });
    }
    let mut objections = objection::Entity::find()
        .filter(objection::Column::ContactId.eq(contact))
        .filter(contacts::own_word())
        .all(tx.connection())
        .await?;
    objections.sort_by_key(|objection| (objection.objected_at, objection.id));
    for objection in objections {
        // One that ended when it began never held.
        let held = objection.ended_at.is_none_or(|end| end > objection.objected_at);
        if held && is_advertising(&policy, &objection.purpose_code) {
            let withdrawn = objection.kind == StopKind::Block;
            let kind = if withdrawn { SuppressionKind::Withdrawal } else { SuppressionKind::Objection };
            // A yes that the person gave later has answered a withdrawal, never an objection.
            let answered = given.iter().any(|(purpose, channel, yes)| {
                *purpose == objection.purpose_code
                    && objection.channel == Some(*channel)
                    && *yes > objection.objected_at
            });
            noes.push(No {
                declared: Declared {
                    purpose: objection.purpose_code,
                    kind,
                    channel: objection.channel,
                    since: objection.objected_at,
                    source: objection.source,
                },
                is_standing: !(withdrawn && answered),
                taken_back: objection.ended_at,
            });
        }
    }
    Ok(noes)
}
