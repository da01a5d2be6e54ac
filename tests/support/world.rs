//! A small world of persons, each with a fate of its own; ids and instants are fixed.

use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    consent, consent_event, contact, contact_point,
    enums::{
        Channel, ConsentEventKind, ConsentStatus, ContactPointKind, ContactState, RequestKind, RequestStatus,
        StopKind,
    },
    ground, objection, privacy_request, provenance,
};
use sea_orm::{ActiveValue::Set, DatabaseConnection, EntityTrait};
use uuid::Uuid;
use zweck::base::{fold::fold, identities::Reader};

use super::app::start;

/// Ids by kind and number, in ascending order of the number.
pub fn id(kind: u8, number: u128) -> Uuid {
    Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + (u128::from(kind) << 32) + number)
}

/// Purpose, channel, status, days until it expires, address it was given for.
pub type GivenConsent = (&'static str, Channel, ConsentStatus, Option<i64>, Option<&'static str>);

/// What happens to a person.
#[derive(Clone, Debug, Default)]
pub struct Person {
    pub number: u128,
    pub given_name: &'static str,
    pub family_name: &'static str,
    pub email: Option<&'static str>,
    pub phone: Option<&'static str>,
    pub city: Option<&'static str>,
    pub notes: Option<&'static str>,
    pub birth_date: Option<&'static str>,
    pub state: Option<ContactState>,
    pub consents: Vec<GivenConsent>,
    /// Days since the consents were declared, where that is known.
    pub declared: Option<i64>,
    /// Purpose, days since it holds, days until it ends.
    pub grounds: Vec<(&'static str, i64, Option<i64>)>,
    /// Purpose or group, days since it ended.
    pub objections: Vec<(&'static str, Option<i64>)>,
    pub requests: Vec<(RequestKind, i64)>,
    pub points: Vec<&'static str>,
}

/// The world that most tests live in.
pub fn persons() -> Vec<Person> {
    use ConsentStatus::{Granted, Withdrawn};
    let person = |number, given_name, family_name| Person {
        number,
        given_name,
        family_name,
        email: Some(Box::leak(format!("{}@example.org", given_name.to_lowercase()).into_boxed_str())),
        phone: Some(Box::leak(format!("+49 30 23125 {number:03}").into_boxed_str())),
        city: Some("Stuttgart"),
        birth_date: Some("1984-02-29"),
        ..Person::default()
    };
    let news = |status| vec![("newsletter", Channel::Email, status, None, None)];
    vec![
        Person {
            consents: vec![
                ("newsletter", Channel::Email, Granted, None, Some("anna@example.org")),
                ("event_invitations", Channel::Phone, Granted, Some(10), None),
            ],
            grounds: vec![("customer_care", 10, None)],
            requests: vec![(RequestKind::Access, 30), (RequestKind::Erasure, -1)],
            points: vec!["anna@work.example", "anna@home.example"],
            notes: Some("likes tea"),
            ..person(1, "Anna", "Köhler")
        },
        Person {
            consents: news(Withdrawn),
            grounds: vec![("customer_care", 10, Some(5))],
            ..person(2, "Bernd", "Öztürk")
        },
        Person {
            consents: vec![("newsletter", Channel::Email, Granted, Some(-1), None)],
            ..person(3, "Clara", "Abel")
        },
        Person {
            consents: news(Granted),
            objections: vec![("direct_marketing", None)],
            grounds: vec![("customer_care", 10, Some(-1)), ("existing_customer_mail", 10, None)],
            ..person(4, "Dora", "Zimmer")
        },
        Person {
            consents: news(Granted),
            state: Some(ContactState::Restricted),
            grounds: vec![("customer_care", 10, None), ("legal_claims", 10, None)],
            ..person(5, "Emil", "Bauer")
        },
        Person {
            consents: news(Granted),
            state: Some(ContactState::Erased),
            grounds: vec![("customer_care", 10, None)],
            requests: vec![(RequestKind::Erasure, -20)],
            ..person(6, "Fritz", "Gone")
        },
        Person {
            consents: vec![("event_invitations", Channel::Email, Granted, None, None)],
            grounds: vec![("customer_care", -3, None)],
            ..person(7, "Gina", "Köhler")
        },
        Person {
            consents: vec![("event_invitations", Channel::Phone, Granted, None, None)],
            ..person(8, "Hans", "Nolde")
        },
        Person {
            consents: vec![("newsletter", Channel::Email, Granted, None, Some("old@example.org"))],
            ..person(9, "Ida", "Moved")
        },
        // Objected, declared afresh, and took the objection back.
        Person {
            consents: news(Granted),
            declared: Some(10),
            objections: vec![("newsletter", Some(2))],
            grounds: vec![("existing_customer_mail", 10, None), ("accounting", 10, None)],
            city: None,
            ..person(10, "Jan", "de Vries")
        },
        Person {
            state: Some(ContactState::Retained),
            grounds: vec![("accounting", 10, None), ("customer_care", 10, None)],
            ..person(11, "Karl", "Kept")
        },
    ]
}

/// Puts `persons` into the database.
pub async fn seed(db: &DatabaseConnection, persons: &[Person]) {
    for person in persons {
        insert(db, person).await;
    }
}

fn days(from: DateTime<Utc>, days: i64) -> DateTime<Utc> {
    from + TimeDelta::days(days)
}

async fn insert(db: &DatabaseConnection, person: &Person) {
    let (now, number) = (start(), person.number);
    let contact_id = id(0, number);
    let text = |value: Option<&str>| Set(value.map(str::to_owned));
    let folded = |value: Option<&str>| Set(value.map(fold));
    let row = contact::ActiveModel {
        id: Set(contact_id),
        given_name: text(Some(person.given_name)),
        given_name_folded: folded(Some(person.given_name)),
        family_name: text(Some(person.family_name)),
        family_name_folded: folded(Some(person.family_name)),
        family_name_key: Set(zweck::base::identities::household(Some(person.family_name))),
        email: text(person.email),
        email_folded: folded(person.email),
        email_key: Set(person.email.map(|email| Reader::default().email_key(email))),
        phone: text(person.phone),
        phone_folded: folded(person.phone),
        phone_key: Set(person.phone.map(|phone| Reader::default().phone_key(phone))),
        key_version: Set(Reader::default().version()),
        city: text(person.city),
        city_folded: folded(person.city),
        country: text(Some("Germany")),
        country_folded: folded(Some("Germany")),
        notes: text(person.notes),
        birth_date: Set(person.birth_date.map(|date| date.parse().unwrap())),
        state: Set(person.state.unwrap_or(ContactState::Active)),
        created_at: Set(days(now, -100) + TimeDelta::hours(i64::try_from(number).unwrap())),
        updated_at: Set(now),
        version: Set(1),
        ..Default::default()
    };
    contact::Entity::insert(row).exec(db).await.unwrap();
    let sub = |index: usize| number * 100 + index as u128;
    for (index, (purpose, channel, status, expires, bound)) in person.consents.iter().enumerate() {
        let row = consent::ActiveModel {
            id: Set(id(1, sub(index))),
            contact_id: Set(contact_id),
            purpose_code: Set((*purpose).to_owned()),
            channel: Set(*channel),
            status: Set(*status),
            bound_address: text(*bound),
            declared_at: Set(person.declared.map(|declared| days(now, -declared))),
            granted_at: Set(Some(days(now, -50))),
            withdrawn_at: Set((*status == ConsentStatus::Withdrawn).then(|| days(now, -1))),
            expires_at: Set(expires.map(|expires| days(now, expires))),
            review_due_at: Set(expires.map(|expires| days(now, expires - 20))),
            created_at: Set(now),
            updated_at: Set(now),
            ..Default::default()
        };
        consent::Entity::insert(row).exec(db).await.unwrap();
        let event = consent_event::ActiveModel {
            id: Set(id(2, sub(index))),
            consent_id: Set(id(1, sub(index))),
            kind: Set(ConsentEventKind::Granted),
            recorded_at: Set(now),
            actor: Set("test".to_owned()),
            ..Default::default()
        };
        consent_event::Entity::insert(event).exec(db).await.unwrap();
    }
    for (index, (purpose, since, until)) in person.grounds.iter().enumerate() {
        let row = ground::ActiveModel {
            id: Set(id(3, sub(index))),
            contact_id: Set(contact_id),
            purpose_code: Set((*purpose).to_owned()),
            reference: Set(Some(format!("contract {number}"))),
            since: Set(days(now, -since)),
            until: Set(until.map(|until| days(now, until))),
            recorded_by: Set("test".to_owned()),
            created_at: Set(now),
        };
        ground::Entity::insert(row).exec(db).await.unwrap();
    }
    for (index, (purpose, ended)) in person.objections.iter().enumerate() {
        let row = objection::ActiveModel {
            id: Set(id(4, sub(index))),
            contact_id: Set(contact_id),
            purpose_code: Set((*purpose).to_owned()),
            objected_at: Set(days(now, -20)),
            ended_at: Set(ended.map(|ended| days(now, -ended))),
            source: Set(None),
            created_at: Set(now),
            kind: Set(StopKind::Objection),
            channel: Set(None),
            every_channel: Set(true),
        };
        objection::Entity::insert(row).exec(db).await.unwrap();
    }
    for (index, (kind, due)) in person.requests.iter().enumerate() {
        let row = privacy_request::ActiveModel {
            id: Set(id(5, sub(index))),
            contact_id: Set(Some(contact_id)),
            kind: Set(*kind),
            status: Set(RequestStatus::Received),
            received_at: Set(days(now, due - 30)),
            due_at: Set(days(now, *due)),
            created_at: Set(now),
            ..Default::default()
        };
        privacy_request::Entity::insert(row).exec(db).await.unwrap();
    }
    for (index, email) in person.points.iter().enumerate() {
        let row = contact_point::ActiveModel {
            id: Set(id(6, sub(index))),
            contact_id: Set(contact_id),
            kind: Set(ContactPointKind::Email),
            email: text(Some(email)),
            email_folded: folded(Some(email)),
            email_key: Set(Some(Reader::default().email_key(email))),
            key_version: Set(Reader::default().version()),
            created_at: Set(now),
            ..Default::default()
        };
        contact_point::Entity::insert(row).exec(db).await.unwrap();
    }
    let row = provenance::ActiveModel {
        id: Set(id(7, number)),
        contact_id: Set(contact_id),
        source: Set("test".to_owned()),
        external_id: Set(Some(number.to_string())),
        recorded_at: Set(now),
        recorded_by: Set("test".to_owned()),
        fields: Set("[\"email\"]".to_owned()),
        ..Default::default()
    };
    provenance::Entity::insert(row).exec(db).await.unwrap();
}
