//! The data that is measured with: the same each time, written through the audited door. Room: bench.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    consent, consent_event, contact,
    enums::{Channel, ConsentEventKind, ConsentStatus, RequestKind, RequestStatus},
    privacy_request, subject_key,
};
use sea_orm::EntityTrait;
use uuid::Uuid;

use super::policy::PURPOSE;
use crate::{
    app::App,
    audit::{self, Author, ChangeSet, Entry, Transaction},
    base::{error::Error, identities::Reader, secret::SecretKey},
    crypto::sealing,
    domain::contacts,
    registry::{CONTACT, DataCategory},
};

/// Contacts at scale 1; each has three consents, and each fifth a request.
const CONTACTS_AT_SCALE_1: f64 = 100_000.0;
/// Contacts in one transaction.
const BATCH_SIZE: u64 = 500;
/// Rows in one statement: SQLite takes 32,766 parameters, a contact has some 35.
const INSERT_BATCH: usize = 500;
const ACTOR: &str = "cli:bench";
/// Between two looks whether another has given changes their places.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
const CHANNELS: [Channel; 3] = [Channel::Email, Channel::Phone, Channel::Post];
/// Parts of names, each with its form in an address.
const GIVEN: [(&str, &str); 8] = [
    ("Anna", "anna"),
    ("Käthe", "kaethe"),
    ("Jürgen", "juergen"),
    ("Zoë", "zoe"),
    ("Mehmet", "mehmet"),
    ("Oliver", "oliver"),
    ("Søren", "soren"),
    ("Chloé", "chloe"),
];
const FAMILY: [(&str, &str); 8] = [
    ("Größler", "groessler"),
    ("Müller", "mueller"),
    ("Becker", "becker"),
    ("O'Neill", "oneill"),
    ("Yıldız", "yildiz"),
    ("Schmidt", "schmidt"),
    ("Wagner", "wagner"),
    ("Łukasik", "lukasik"),
];
const CITIES: [(&str, &str, &str); 6] = [
    ("Stuttgart", "70173", "Germany"),
    ("Berlin", "10115", "Germany"),
    ("München", "80331", "Germany"),
    ("Paris", "75001", "France"),
    ("Utrecht", "3511 AB", "Netherlands"),
    ("Torino", "10121", "Italy"),
];
const JOBS: [&str; 5] = ["Einkauf", "Geschäftsführung", "Vertrieb", "Buchhaltung", "IT"];

/// What was written, as far as loading needs it.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// Contacts with a live consent, ordered by id.
    pub visible: Vec<Uuid>,
    /// Contacts without one.
    pub hidden: Vec<Uuid>,
    /// Live consents of the second half of the contacts. Those for letters are left out, so that a contact stays visible whatever
    /// is withdrawn. Both consents of a contact are far apart: nobody withdraws two at once, and the second would wait for the first.
    pub withdrawable: Vec<Uuid>,
    /// Consents in all.
    pub consents: u64,
    /// Requests in all.
    pub requests: u64,
}

/// What became of the consents of a contact.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Granted,
    Withdrawn,
    Pending,
    Expired,
}

impl Fate {
    /// 70 of a hundred consent, the others in equal parts not, not yet, and no longer.
    fn for_number(number: u64) -> Self {
        // 37 and 100 have no common divisor: neighbours differ, and each hundred is alike.
        match number.wrapping_mul(37) % 100 {
            0..70 => Fate::Granted,
            70..80 => Fate::Withdrawn,
            80..90 => Fate::Pending,
            _ => Fate::Expired,
        }
    }
}

/// Fills the database.
///
/// # Errors
/// From the database.
pub async fn seed(app: &App, scale: f64) -> Result<Data, Error> {
    let total = contacts_at(scale);
    let mut data = Data::default();
    let mut start = 0;
    while start < total {
        let end = (start + BATCH_SIZE).min(total);
        batch(app, start..end, total, &mut data).await?;
        start = end;
    }
    numbered(app).await?;
    let (even, odd): (Vec<_>, Vec<_>) =
        data.withdrawable.iter().enumerate().partition(|(index, _)| index % 2 == 0);
    data.withdrawable = even.into_iter().chain(odd).map(|(_, id)| *id).collect();
    Ok(data)
}

/// Waits until all changes that are committed have their place, whoever gives it to them.
pub async fn numbered(app: &App) -> Result<(), Error> {
    while audit::number_changes(app).await?.is_none() {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// How many contacts a scale means; at least one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded, and not below one")]
pub fn contacts_at(scale: f64) -> u64 {
    (CONTACTS_AT_SCALE_1 * scale).round().max(1.0) as u64
}

async fn batch(app: &App, numbers: std::ops::Range<u64>, total: u64, data: &mut Data) -> Result<(), Error> {
    let mut tx = audit::begin(app, Author::command(app, ACTOR, Some(PURPOSE))).await?;
    let mut rows = Rows::default();
    let count = numbers.end - numbers.start;
    for number in numbers {
        let contact = person(number)?;
        let fate = Fate::for_number(number);
        let list = if fate == Fate::Granted { &mut data.visible } else { &mut data.hidden };
        list.push(contact.id);
        for (index, channel) in CHANNELS.into_iter().enumerate() {
            let consent = declared(&contact, number * 3 + index as u64, channel, fate, &mut rows.events);
            if fate == Fate::Granted && channel != Channel::Post && number >= total / 2 {
                data.withdrawable.push(consent.id);
            }
            rows.consents.push(consent);
        }
        if number.is_multiple_of(5) {
            rows.requests.push(request(&contact, number));
        }
        // The key that a consent recorded in the usual way would have left.
        let key = SecretKey::random();
        let category = DataCategory::Consent.as_str();
        rows.keys.push(sealing::wrap_first(&app.keys, contact.id, category, key, tx.now())?);
        rows.contacts.push(contact);
    }
    data.consents += rows.consents.len() as u64;
    data.requests += rows.requests.len() as u64;
    rows.store(&tx).await?;
    tx.record(Entry {
        action: "seedBench",
        entity_type: CONTACT.name,
        entity_id: None,
        contact_id: None,
        changes: ChangeSet::single("Bench.contacts", DataCategory::Technical, 0.into(), count.into()),
    })
    .await?;
    tx.commit().await
}

/// Rows of one transaction.
#[derive(Default)]
struct Rows {
    contacts: Vec<contact::Model>,
    consents: Vec<consent::Model>,
    events: Vec<consent_event::Model>,
    requests: Vec<privacy_request::Model>,
    keys: Vec<subject_key::ActiveModel>,
}

impl Rows {
    async fn store(self, tx: &Transaction) -> Result<(), Error> {
        for chunk in self.contacts.chunks(INSERT_BATCH) {
            tx.insert_all::<contact::Entity>(chunk.iter().cloned()).await?;
        }
        for chunk in self.consents.chunks(INSERT_BATCH) {
            tx.insert_all::<consent::Entity>(chunk.iter().cloned()).await?;
        }
        for chunk in self.events.chunks(INSERT_BATCH) {
            tx.insert_all::<consent_event::Entity>(chunk.iter().cloned()).await?;
        }
        for chunk in self.requests.chunks(INSERT_BATCH) {
            tx.insert_all::<privacy_request::Entity>(chunk.iter().cloned()).await?;
        }
        for chunk in self.keys.chunks(INSERT_BATCH) {
            let keys = subject_key::Entity::insert_many(chunk.iter().cloned());
            keys.exec_without_returning(tx.connection()).await?;
        }
        Ok(())
    }
}

/// What an id is of: ids of different things never meet.
#[derive(Clone, Copy)]
enum Of {
    Contact,
    Consent,
    Event,
    Request,
}

/// The id of the thing with this number: a UUIDv7, in the order of the numbers, the same each time.
fn id(of: Of, number: u64) -> Uuid {
    let mut bytes = [0; 10];
    let (kind, rest) = bytes.split_at_mut(2);
    kind.copy_from_slice(&(of as u16).to_be_bytes());
    rest.copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let start = began().timestamp_millis().max(0).unsigned_abs();
    uuid::Builder::from_unix_timestamp_millis(start + number, &bytes).into_uuid()
}

/// When all of it began.
fn began() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_600_000, 0).unwrap_or_default()
}

fn at(days: i64) -> DateTime<Utc> {
    began() + TimeDelta::days(days)
}

fn pick<T: Copy + Default>(list: &[T], number: u64) -> T {
    let index = usize::try_from(number).unwrap_or_default() % list.len().max(1);
    list.get(index).copied().unwrap_or_default()
}

fn person(number: u64) -> Result<contact::Model, Error> {
    let (given_name, given_name_ascii) = pick(&GIVEN, number);
    let (family, family_ascii) = pick(&FAMILY, number / 8);
    let (city, postal_code, country) = pick(&CITIES, number / 3);
    let mut contact = contacts::blank(&Reader::default(), id(Of::Contact, number), began());
    let values = [
        ("givenName", given_name.to_owned()),
        ("familyName", family.to_owned()),
        ("email", format!("{given_name_ascii}.{family_ascii}.{number}@example.org")),
        ("phone", format!("+49 30 23125 {:03}", number % 1_000)),
        ("company", format!("Beispielwerk {} GmbH", number % 5_000)),
        ("jobTitle", pick(&JOBS, number).to_owned()),
        ("street", format!("Hauptstraße {}", number % 200 + 1)),
        ("postalCode", postal_code.to_owned()),
        ("city", city.to_owned()),
        ("country", country.to_owned()),
        ("language", "de".to_owned()),
    ];
    let field = |name| CONTACT.field(name).ok_or_else(|| Error::internal("the registry"));
    let fields = values.iter().map(|(name, value)| Ok((field(name)?, value.as_str())));
    let fields: Vec<_> = fields.collect::<Result<_, Error>>()?;
    contacts::set_all(&Reader::default(), &mut contact, fields)?;
    Ok(contact)
}

/// A consent as its events, which it adds, make it.
fn declared(
    contact: &contact::Model,
    number: u64,
    channel: Channel,
    fate: Fate,
    events: &mut Vec<consent_event::Model>,
) -> consent::Model {
    let consent_id = id(Of::Consent, number);
    let expires_at = (fate == Fate::Expired).then(|| at(-100));
    let event = |step: u64, kind, declared_at| consent_event::Model {
        id: id(Of::Event, number * 2 + step),
        consent_id,
        kind,
        declared_at: Some(declared_at),
        recorded_at: began(),
        source: Some("trade fair".to_owned()),
        actor: ACTOR.to_owned(),
        proof: (kind == ConsentEventKind::Granted).then(|| "signed_paper".to_owned()),
        consent_text_id: None,
        expires_at: expires_at.filter(|_| kind == ConsentEventKind::Granted),
        address: None,
        evidence: None,
        review_due_at: None,
    };
    let first = match fate {
        Fate::Pending => ConsentEventKind::Requested,
        _ => ConsentEventKind::Granted,
    };
    let granted_at = if fate == Fate::Expired { at(-800) } else { at(-30) };
    events.push(event(0, first, granted_at));
    let withdrawn = (fate == Fate::Withdrawn).then(|| at(-10));
    let end = withdrawn.map(|at| (ConsentEventKind::Withdrawn, at));
    let end = end.or(expires_at.map(|at| (ConsentEventKind::Expired, at)));
    events.extend(end.map(|(kind, at)| event(1, kind, at)));
    consent::Model {
        id: consent_id,
        contact_id: contact.id,
        purpose_code: PURPOSE.to_owned(),
        channel,
        status: match fate {
            Fate::Granted => ConsentStatus::Granted,
            Fate::Expired => ConsentStatus::Expired,
            Fate::Withdrawn => ConsentStatus::Withdrawn,
            Fate::Pending => ConsentStatus::Pending,
        },
        bound_address: match (fate, channel) {
            (Fate::Pending, _) => None,
            (_, Channel::Email) => contact.email_key.clone(),
            (_, Channel::Post) => contact.postal_key.clone(),
            (_, Channel::Phone | Channel::Sms) => contact.phone_key.clone(),
        },
        declared_at: Some(withdrawn.unwrap_or(granted_at)),
        granted_at: (fate != Fate::Pending).then_some(granted_at),
        confirmed_at: None,
        withdrawn_at: withdrawn,
        expires_at,
        review_due_at: None,
        source: Some("trade fair".to_owned()),
        consent_text_id: None,
        created_at: began(),
        updated_at: began(),
    }
}

fn request(contact: &contact::Model, number: u64) -> privacy_request::Model {
    let closed = number.is_multiple_of(2);
    privacy_request::Model {
        id: id(Of::Request, number),
        contact_id: Some(contact.id),
        kind: RequestKind::Access,
        status: if closed { RequestStatus::Fulfilled } else { RequestStatus::InProgress },
        purpose_code: Some(PURPOSE.to_owned()),
        received_at: began(),
        due_at: at(30),
        extended_until: None,
        identity_verified_at: Some(at(1)),
        closed_at: closed.then(|| at(20)),
        assignee: Some("privacy desk".to_owned()),
        reason: None,
        note: None,
        created_at: began(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::consents::projection::project;

    #[test]
    fn ids_are_ordered_and_the_same_each_time() {
        let ids: Vec<Uuid> = (0..1_000).map(|number| id(Of::Contact, number)).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert_eq!(ids[7].to_string(), id(Of::Contact, 7).to_string());
        assert_ne!(id(Of::Contact, 7), id(Of::Consent, 7));
    }

    #[test]
    fn seventy_of_a_hundred_consent_and_states_are_what_events_say() {
        let mut granted = 0;
        for number in 0..1_000 {
            let contact = person(number).unwrap();
            let fate = Fate::for_number(number);
            granted += u32::from(fate == Fate::Granted);
            let mut events = Vec::new();
            let row = declared(&contact, number, Channel::Email, fate, &mut events);
            let state = project(&events);
            assert_eq!(
                (row.status, row.declared_at, row.granted_at, row.withdrawn_at, row.expires_at, row.source),
                (
                    state.status,
                    state.declared_at,
                    state.granted_at,
                    state.withdrawn_at,
                    state.expires_at,
                    state.source
                )
            );
        }
        assert_eq!(granted, 700);
        assert_eq!((contacts_at(1.0), contacts_at(0.01), contacts_at(0.0)), (100_000, 1_000, 1));
    }
}
