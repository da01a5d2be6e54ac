//! Events of a consent: appends them and projects the consent again. Room: domain/consents.

use chrono::{DateTime, Days, Months, Utc};
use entity::{
    consent, consent_event, contact,
    enums::{Channel, ConsentEventKind, ConsentStatus},
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::domain::consents::loaded::LoadedConsent;
use crate::{
    audit::{ChangeSet, Entry, RowBatch, Transaction},
    auth::actor::Actor,
    base::error::Error,
    domain::consents::projection::project,
    policy::Policy,
    registry::{CONSENT, CONSENT_EVENT},
};

/// A declaration and how it is recorded.
pub(super) struct Declaration {
    pub(super) action: &'static str,
    pub(super) kind: ConsentEventKind,
    /// When; `None` for now, but not before any earlier declaration.
    pub(super) declared_at: Option<DateTime<Utc>>,
    pub(super) source: Option<String>,
    pub(super) proof: Option<String>,
    pub(super) consent_text_id: Option<Uuid>,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) review_due_at: Option<DateTime<Utc>>,
    /// Where the proof is kept.
    pub(super) evidence: Option<String>,
    /// The address it is declared for, as written, and its key, which a grant is bound to.
    pub(super) address: Option<Address>,
    /// When that address changed, if it did.
    pub(super) address_changed_at: Option<DateTime<Utc>>,
}

impl Declaration {
    /// A declaration that ends a consent.
    pub(super) fn end(
        action: &'static str,
        kind: ConsentEventKind,
        declared_at: Option<DateTime<Utc>>,
        source: Option<String>,
    ) -> Self {
        Self {
            action,
            kind,
            declared_at,
            source,
            proof: None,
            consent_text_id: None,
            expires_at: None,
            review_due_at: None,
            evidence: None,
            address: None,
            address_changed_at: None,
        }
    }
}

/// An address of a contact.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// As written.
    pub(super) text: String,
    /// Its key, which consents are bound to.
    pub(super) key: String,
}

/// The key of the address of a contact on a channel.
pub(super) fn address_of(contact: &contact::Model, channel: Channel) -> Option<String> {
    match channel {
        Channel::Email => contact.email_key.clone(),
        Channel::Phone | Channel::Sms => contact.phone_key.clone(),
        Channel::Post => contact.postal_key.clone(),
    }
}

/// The address of a contact on a channel, as written, with the key that consents are bound to.
pub(super) fn written_address(contact: &contact::Model, channel: Channel) -> Option<Address> {
    let text = match channel {
        Channel::Email => contact.email.clone(),
        Channel::Phone | Channel::Sms => contact.phone.clone(),
        Channel::Post => {
            let parts = [&contact.street, &contact.postal_code, &contact.city, &contact.country];
            let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
            Some(parts.join(", "))
        }
    };
    Some(Address { text: text?, key: address_of(contact, channel)? })
}

/// When the address of a contact on a channel last changed.
pub(super) fn address_changed_at(contact: &contact::Model, channel: Channel) -> Option<DateTime<Utc>> {
    match channel {
        Channel::Email => contact.email_changed_at,
        Channel::Phone | Channel::Sms => contact.phone_changed_at,
        Channel::Post => contact.address_changed_at,
    }
}

/// The events of a consent.
pub(super) async fn events_of<C: ConnectionTrait>(
    connection: &C,
    consent: Uuid,
) -> Result<Vec<consent_event::Model>, Error> {
    let events = consent_event::Entity::find().filter(consent_event::Column::ConsentId.eq(consent));
    Ok(events.all(connection).await?)
}

/// The row with the state that `events` project to.
pub(super) fn with_projection(row: &consent::Model, events: &[consent_event::Model]) -> consent::Model {
    let state = project(events);
    consent::Model {
        status: state.status,
        declared_at: state.declared_at,
        granted_at: state.granted_at,
        confirmed_at: state.confirmed_at,
        withdrawn_at: state.withdrawn_at,
        expires_at: state.expires_at,
        review_due_at: state.review_due_at,
        source: state.source,
        consent_text_id: state.consent_text_id,
        ..row.clone()
    }
}

/// An event with a kind and an instant, and nothing else.
pub(super) fn bare_event(
    tx: &Transaction,
    consent_id: Uuid,
    kind: ConsentEventKind,
    at: DateTime<Utc>,
) -> consent_event::Model {
    consent_event::Model {
        id: tx.new_id(),
        consent_id,
        kind,
        declared_at: Some(at),
        recorded_at: tx.now(),
        source: None,
        actor: tx.author().actor.clone(),
        proof: None,
        consent_text_id: None,
        expires_at: None,
        address: None,
        evidence: None,
        review_due_at: None,
    }
}

/// Now, but not before any earlier declaration: another writer may have held the contact meanwhile, or have a clock
/// that is ahead.
pub(super) fn now_or_later(tx: &Transaction, events: &[consent_event::Model]) -> DateTime<Utc> {
    let latest = events.iter().filter_map(|event| event.declared_at).max();
    latest.unwrap_or(tx.now()).max(tx.now())
}

/// Whether the declaration repeats a recorded one.
fn is_repeat(declaration: &Declaration, at: DateTime<Utc>, events: &[consent_event::Model]) -> bool {
    events.iter().any(|event| {
        event.kind == declaration.kind
            && event.declared_at == Some(at)
            && event.consent_text_id == declaration.consent_text_id
            && event.expires_at == declaration.expires_at
            && event.review_due_at == declaration.review_due_at
    })
}

/// Appends an event, projects the consent again and records both.
pub(super) async fn declare(
    tx: &mut Transaction,
    loaded: LoadedConsent,
    declaration: &Declaration,
) -> Result<Uuid, Error> {
    let LoadedConsent { row: before, mut events, keys, new } = loaded;
    let before = &before;
    tx.preload_keys(before.contact_id, &keys)?;
    let at = declaration.declared_at.unwrap_or_else(|| now_or_later(tx, &events));
    if is_repeat(declaration, at, &events) {
        return record_repeat(tx, before, declaration.action).await;
    }
    let mut new_events = Vec::new();
    if let Some(address_changed_at) =
        declaration.address_changed_at.filter(|address_changed_at| at <= *address_changed_at)
    {
        // It was given for the previous address and is recorded late.
        let is_recorded = |event: &consent_event::Model| {
            event.kind == ConsentEventKind::Invalidated && event.declared_at == Some(address_changed_at)
        };
        if !events.iter().any(is_recorded) {
            new_events.push(bare_event(tx, before.id, ConsentEventKind::Invalidated, address_changed_at));
        }
    }
    new_events.push(consent_event::Model {
        source: declaration.source.clone(),
        proof: declaration.proof.clone(),
        consent_text_id: declaration.consent_text_id,
        expires_at: declaration.expires_at,
        review_due_at: declaration.review_due_at,
        evidence: declaration.evidence.clone(),
        address: declaration.address.as_ref().map(|address| address.text.clone()),
        ..bare_event(tx, before.id, declaration.kind, at)
    });
    events.extend(new_events.iter().cloned());
    let mut after = with_projection(before, &events);
    after.updated_at = tx.now();
    // A grant that is in force is bound to the address it was given for.
    let holds = after.status == ConsentStatus::Granted && after.granted_at == Some(at);
    let grants = matches!(
        declaration.kind,
        ConsentEventKind::Granted | ConsentEventKind::Confirmed | ConsentEventKind::Renewed
    );
    if holds && grants {
        after.bound_address = declaration.address.as_ref().map(|address| address.key.clone());
    }
    let mut rows = match new {
        true => RowBatch::default().insert::<consent::Entity>(&CONSENT, &after),
        false => RowBatch::default().update::<consent::Entity>(&CONSENT, before, &after)?,
    };
    for event in &new_events {
        rows = rows.insert::<consent_event::Entity>(&CONSENT_EVENT, event);
    }
    let changes = tx.write(rows).await?;
    tx.record(entry(before, declaration.action, changes)).await?;
    Ok(before.id)
}

/// Records a repeated declaration, which changes nothing.
pub(super) async fn record_repeat(
    tx: &mut Transaction,
    row: &consent::Model,
    action: &'static str,
) -> Result<Uuid, Error> {
    tx.record(entry(row, action, ChangeSet::none())).await?;
    Ok(row.id)
}

fn entry(row: &consent::Model, action: &'static str, changes: ChangeSet) -> Entry {
    Entry {
        action,
        entity_type: CONSENT.name,
        entity_id: Some(row.id),
        contact_id: Some(row.contact_id),
        changes,
    }
}

/// When a consent that ends at `end` is to be reviewed: as long before as the purpose says.
pub(super) fn review_date(
    actor: &Actor,
    purpose: &str,
    end: Option<DateTime<Utc>>,
) -> Result<Option<DateTime<Utc>>, Error> {
    review_date_by_policy(&actor.policy, purpose, end)
}

/// The review date by a policy.
pub(super) fn review_date_by_policy(
    policy: &Policy,
    purpose: &str,
    end: Option<DateTime<Utc>>,
) -> Result<Option<DateTime<Utc>>, Error> {
    let lead = policy.purpose(purpose).and_then(|purpose| purpose.review.as_deref());
    let (Some(end), Some(lead)) = (end, lead) else { return Ok(None) };
    let (months, days) = parse_period(lead)?;
    Ok(end.checked_sub_months(months).and_then(|start| start.checked_sub_days(days)))
}

/// A period like `P2Y`, `P6M`, `P4W` or `P30D` (ISO 8601) as months and days.
fn parse_period(period: &str) -> Result<(Months, Days), Error> {
    let number =
        |unit| period.strip_prefix('P').and_then(|rest| rest.strip_suffix(unit)?.parse::<u32>().ok());
    match (number('Y'), number('M'), number('W'), number('D')) {
        (Some(years), ..) => Ok((Months::new(years.saturating_mul(12)), Days::new(0))),
        (_, Some(months), ..) => Ok((Months::new(months), Days::new(0))),
        (.., Some(weeks), _) => Ok((Months::new(0), Days::new(u64::from(weeks) * 7))),
        (.., Some(days)) => Ok((Months::new(0), Days::new(u64::from(days)))),
        _ => Err(Error::internal("a period cannot be parsed")),
    }
}

/// The instant `period` after `from`.
///
/// # Errors
/// `BAD_USER_INPUT` beyond the calendar; `INTERNAL` for a period that the policy should have refused.
pub fn add_period(from: DateTime<Utc>, period: &str) -> Result<DateTime<Utc>, Error> {
    let (months, days) = parse_period(period)?;
    let end = from.checked_add_months(months).and_then(|end| end.checked_add_days(days));
    end.ok_or_else(|| {
        Error::bad_input("`declaredAt` is not a possible time").with_input_path("input.declaredAt")
    })
}
