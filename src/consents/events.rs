//! Events of a consent: appended, then projected anew (floor 4).

use chrono::{DateTime, Days, Months, Utc};
use entity::{
    consent, consent_event, contact,
    enums::{Channel, ConsentEventKind, ConsentStatus},
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::{
    audit::{Changes, Entry, Transaction},
    declarations::project,
    error::Error,
    register::{CONSENT, CONSENT_EVENT},
};

/// What is declared, and how it is recorded.
pub(super) struct Declaration {
    pub(super) action: &'static str,
    pub(super) kind: ConsentEventKind,
    /// When; `None` for now, which is not before anything that was declared already.
    pub(super) declared_at: Option<DateTime<Utc>>,
    pub(super) source: Option<String>,
    pub(super) proof: Option<String>,
    pub(super) consent_text_id: Option<Uuid>,
    pub(super) expires_at: Option<DateTime<Utc>>,
    /// The key of the address a grant is bound to.
    pub(super) address: Option<String>,
    /// When that address became another, where it did.
    pub(super) moved_at: Option<DateTime<Utc>>,
}

impl Declaration {
    /// The end of a consent.
    pub(super) fn end(
        action: &'static str,
        kind: ConsentEventKind,
        declared_at: Option<DateTime<Utc>>,
        source: Option<String>,
    ) -> Self {
        let (proof, consent_text_id, expires_at, address, moved_at) = (None, None, None, None, None);
        Self { action, kind, declared_at, source, proof, consent_text_id, expires_at, address, moved_at }
    }
}

/// A consent, read or about to be made.
pub(super) struct Opened {
    pub(super) row: consent::Model,
    pub(super) new: bool,
}

/// The address of a contact on a channel, folded.
pub(super) fn address_of(contact: &contact::Model, channel: Channel) -> Option<String> {
    match channel {
        Channel::Email => contact.email_key.clone(),
        Channel::Phone | Channel::Sms => contact.phone_folded.clone(),
        Channel::Post => contact.address_folded.clone(),
    }
}

/// When the address of a contact on a channel last became another.
pub(super) fn moved_at(contact: &contact::Model, channel: Channel) -> Option<DateTime<Utc>> {
    match channel {
        Channel::Email => contact.email_changed_at,
        Channel::Phone | Channel::Sms => contact.phone_changed_at,
        Channel::Post => contact.address_changed_at,
    }
}

/// The consent of a locked contact for a purpose and channel, or a new one that nothing is declared for yet.
pub(super) async fn find_or_open(
    tx: &Transaction,
    contact: &contact::Model,
    purpose: &str,
    channel: Channel,
) -> Result<Opened, Error> {
    let found = consent::Entity::find()
        .filter(consent::Column::ContactId.eq(contact.id))
        .filter(consent::Column::PurposeCode.eq(purpose))
        .filter(consent::Column::Channel.eq(channel))
        .one(tx.connection())
        .await?;
    if let Some(row) = found {
        return Ok(Opened { row, new: false });
    }
    let row = consent::Model {
        id: tx.new_id(),
        contact_id: contact.id,
        purpose_code: purpose.to_owned(),
        channel,
        status: ConsentStatus::Pending,
        bound_address: None,
        declared_at: None,
        granted_at: None,
        confirmed_at: None,
        withdrawn_at: None,
        expires_at: None,
        review_due_at: None,
        source: None,
        consent_text_id: None,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    Ok(Opened { row, new: true })
}

/// The events of a consent.
pub(super) async fn of<C: ConnectionTrait>(
    connection: &C,
    consent: Uuid,
) -> Result<Vec<consent_event::Model>, Error> {
    let events = consent_event::Entity::find().filter(consent_event::Column::ConsentId.eq(consent));
    Ok(events.all(connection).await?)
}

/// The row with the state that `events` make.
pub(super) fn projected(row: &consent::Model, events: &[consent_event::Model]) -> consent::Model {
    let state = project(events);
    consent::Model {
        status: state.status,
        declared_at: state.declared_at,
        granted_at: state.granted_at,
        confirmed_at: state.confirmed_at,
        withdrawn_at: state.withdrawn_at,
        expires_at: state.expires_at,
        source: state.source,
        consent_text_id: state.consent_text_id,
        ..row.clone()
    }
}

/// Whether the declaration says nothing new.
fn is_repeat(declaration: &Declaration, at: DateTime<Utc>, events: &[consent_event::Model]) -> bool {
    events.iter().any(|event| {
        event.kind == declaration.kind
            && event.declared_at == Some(at)
            && event.consent_text_id == declaration.consent_text_id
            && event.expires_at == declaration.expires_at
    })
}

/// Appends an event, projects the consent anew and records both.
pub(super) async fn declare(
    tx: &mut Transaction,
    opened: Opened,
    declaration: &Declaration,
) -> Result<Uuid, Error> {
    let mut events = if opened.new { Vec::new() } else { of(tx.connection(), opened.row.id).await? };
    let before = &opened.row;
    let entry = |changes| Entry {
        action: declaration.action,
        entity_type: CONSENT.name,
        entity_id: Some(before.id),
        contact_id: Some(before.contact_id),
        changes,
    };
    // Another writer may have held the contact meanwhile, or have a clock that is ahead: what ends a consent now is not
    // before what was declared by then.
    let latest = events.iter().filter_map(|event| event.declared_at).max();
    let at = declaration.declared_at.unwrap_or_else(|| latest.unwrap_or(tx.now()).max(tx.now()));
    if is_repeat(declaration, at, &events) {
        tx.record(entry(Changes::none())).await?;
        return Ok(before.id);
    }
    let event = |kind, at| consent_event::Model {
        id: tx.new_id(),
        consent_id: before.id,
        kind,
        declared_at: Some(at),
        recorded_at: tx.now(),
        source: None,
        actor: tx.author().actor.clone(),
        proof: None,
        consent_text_id: None,
        expires_at: None,
    };
    let mut fresh = Vec::new();
    if let Some(moved_at) = declaration.moved_at.filter(|moved_at| at <= *moved_at) {
        // It was given for the address before, and comes in late.
        let known = |event: &consent_event::Model| {
            event.kind == ConsentEventKind::Invalidated && event.declared_at == Some(moved_at)
        };
        if !events.iter().any(known) {
            fresh.push(event(ConsentEventKind::Invalidated, moved_at));
        }
    }
    fresh.push(consent_event::Model {
        source: declaration.source.clone(),
        proof: declaration.proof.clone(),
        consent_text_id: declaration.consent_text_id,
        expires_at: declaration.expires_at,
        ..event(declaration.kind, at)
    });
    events.extend(fresh.iter().cloned());
    let mut after = projected(before, &events);
    after.updated_at = tx.now();
    // A grant is bound to the address it was given for, if it is the one that holds.
    let holds = after.status == ConsentStatus::Granted && after.granted_at == Some(at);
    if holds && declaration.kind == ConsentEventKind::Granted {
        after.bound_address.clone_from(&declaration.address);
    }
    let mut changes = match opened.new {
        true => tx.insert::<consent::Entity>(&CONSENT, &after).await?,
        false => tx.update::<consent::Entity>(&CONSENT, before, &after).await?,
    };
    for event in fresh {
        changes = changes.and(tx.insert::<consent_event::Entity>(&CONSENT_EVENT, &event).await?);
    }
    tx.record(entry(changes)).await?;
    Ok(before.id)
}

/// The instant a period like `P2Y`, `P6M`, `P4W` or `P30D` (ISO 8601) after `from`.
///
/// # Errors
/// `BAD_USER_INPUT` beyond the calendar; `INTERNAL` for a period that the policy should have refused.
pub(super) fn after(from: DateTime<Utc>, period: &str) -> Result<DateTime<Utc>, Error> {
    let number =
        |unit| period.strip_prefix('P').and_then(|rest| rest.strip_suffix(unit)?.parse::<u32>().ok());
    let end = match (number('Y'), number('M'), number('W'), number('D')) {
        (Some(years), ..) => from.checked_add_months(Months::new(years.saturating_mul(12))),
        (_, Some(months), ..) => from.checked_add_months(Months::new(months)),
        (.., Some(weeks), _) => from.checked_add_days(Days::new(u64::from(weeks) * 7)),
        (.., Some(days)) => from.checked_add_days(Days::new(u64::from(days))),
        _ => return Err(Error::internal("a period of validity that cannot be read")),
    };
    end.ok_or_else(|| Error::input("`declaredAt` is not a possible time").in_input("input.declaredAt"))
}
