//! Fills an empty database with invented people through audited transactions, and creates a token for each role.
//! Room: demo.

mod people;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    enums::{Channel, RequestKind, RequestStatus, RestrictionLimb},
    privacy_request,
};
use sea_orm::EntityTrait;
use uuid::Uuid;

use crate::{
    app::App,
    audit::{self, Author, Entry, Transaction},
    auth::{actor::Actor, credential::Credential},
    base::error::Error,
    domain::{
        access_tokens::{self, BearerToken, NewToken},
        consents::{self, Agreement, NewConsent, Withdrawal},
        contacts::{self, Address, NewAddresses, NewRestriction, Rectification, Source},
        grounds::{self, NewGround},
        objections::{self, NewObjection},
        operations::{self, NewContact},
        requests::{self, NewRequest},
    },
    policy::Policy,
    registry::{CONTACT, PRIVACY_REQUEST},
};
use people::People;

const ACTOR: &str = "cli:demo";

/// The tokens of the demo: a role, what it does, and the purposes it does it for.
const TOKENS: &[(&str, &str, &[&str])] = &[
    (
        "marketing",
        "sends newsletters, records consents",
        &[
            "newsletter",
            "event_invitations",
            "phone_marketing",
            "existing_customer_mail",
            "direct_mail",
            "consent_management",
        ],
    ),
    ("support", "helps customers", &["customer_care"]),
    ("sales", "talks to leads and partners", &["pre_contract", "business_contact"]),
    ("accounting", "writes invoices", &["accounting"]),
    ("partner", "a mailing house", &["newsletter"]),
    ("privacy_desk", "does the work on requests", &["rights_fulfilment"]),
    ("dpo", "watches, decides nothing", &["rights_fulfilment"]),
    ("auditor", "reads the audit log", &["security_audit"]),
    ("admin", "manages tokens and recipients", &["administration"]),
];

/// A token of the demo.
#[derive(Debug)]
pub struct DemoToken {
    /// Its role.
    pub role: &'static str,
    /// What it does.
    pub does: &'static str,
    /// Its purposes.
    pub purposes: &'static [&'static str],
    /// The token itself.
    pub token: BearerToken,
}

/// The data of the demo.
#[derive(Debug)]
pub struct Demo {
    /// A token for each role.
    pub tokens: Vec<DemoToken>,
    /// A person who consents to the newsletter.
    pub consenting: Option<Uuid>,
    /// The number of people.
    pub people: usize,
}

/// Fills the database with `people` and creates the tokens.
///
/// # Errors
/// From the functions that write; what was written before stays.
pub async fn seed(app: &App, people: usize) -> Result<Demo, Error> {
    let policy = app.policy.current();
    let desk = clerk(app, &policy)?;
    let mut made = People::new();
    let (mut consenting, mut left) = (None, people);
    while left > 0 {
        // Each in a transaction of its own: addresses are locked before contacts are.
        let mut tx = audit::begin(app, Author { actor: ACTOR.to_owned(), ..Author::from(&desk) }).await?;
        let fate = person(&mut tx, &desk, &mut made).await?;
        consenting = consenting.or(fate);
        tx.commit().await?;
        left -= 1;
    }
    let mut tokens = Vec::with_capacity(TOKENS.len());
    let mut tx = audit::begin(app, Author::command(app, ACTOR, None)).await?;
    for (role, does, purposes) in TOKENS {
        let new = NewToken {
            name: format!("demo {role}"),
            roles: vec![(*role).to_owned()],
            purposes: purposes.iter().map(|code| (*code).to_owned()).collect(),
            fields: None,
            expires_at: app.now() + TimeDelta::days(1),
            recipient_id: None,
        };
        let (_, token) = access_tokens::create(&mut tx, &policy, new).await?;
        tokens.push(DemoToken { role, does, purposes, token });
    }
    tx.commit().await?;
    Ok(Demo { tokens, consenting, people })
}

/// The author of the data: the privacy desk, which may write all of it.
fn clerk(app: &App, policy: &Arc<Policy>) -> Result<Actor, Error> {
    let credential = Credential {
        actor_id: ACTOR.to_owned(),
        roles: vec!["privacy_desk".to_owned()],
        purposes: vec!["rights_fulfilment".to_owned()],
        fields: None,
        expires_at: app.now() + TimeDelta::days(1),
        recipient: None,
    };
    Actor::new(policy.clone(), &credential, None, ACTOR.to_owned())
}

/// Creates one person with a history; the id if the person consents to the newsletter in the end.
async fn person(tx: &mut Transaction, desk: &Actor, made: &mut People) -> Result<Option<Uuid>, Error> {
    let now = tx.now();
    let ago = |days: i64| now - TimeDelta::days(days);
    let source = Source {
        name: if made.chance(50) { "web shop" } else { "trade fair" }.to_owned(),
        collected_at: Some(ago(made.between(30, 900))),
        informed_at: Some(ago(29)),
        notice_version: Some("2026-1".to_owned()),
    };
    let values = made.next();
    let reasons = reasons(made);
    let mut grounds = reasons.into_iter().map(|(purpose, reference)| NewGround {
        purpose: purpose.to_owned(),
        reference: Some(reference.to_owned()),
        since: Some(ago(made.between(1, 800))),
        until: None,
        input_path: "ground",
    });
    let ground = grounds.next();
    let further: Vec<NewGround> = grounds.collect();
    let id = operations::create_contact(tx, desk, &NewContact { values, source, ground }).await?;
    // Much happens to it in one transaction: all that is to be locked is locked before the contact is.
    let addresses = contacts::addresses_of(tx.connection(), tx.reader(), id).await?;
    let moved = Address::email(tx.reader(), &moved_to(id))?;
    let locks = addresses.iter().flat_map(NewAddresses::locks).chain(moved.addresses().locks());
    let locks: Vec<u64> = locks.collect();
    tx.lock_identities(locks, audit::LockMode::Exclusive).await?;
    for ground in &further {
        grounds::record(tx, desk, id, ground).await?;
    }
    let mut consents = false;
    if made.chance(50) {
        // Some so long ago that they have ended by themselves.
        let declared = ago(made.between(1, 820));
        consents = declare(tx, desk, id, "newsletter", Channel::Email, declared).await?;
        if made.chance(20) {
            withdraw(tx, desk, id, "newsletter", declared + TimeDelta::hours(made.between(1, 24))).await?;
            consents = false;
        }
    }
    if made.chance(20) {
        declare(tx, desk, id, "event_invitations", Channel::Email, ago(made.between(1, 300))).await?;
    }
    if made.chance(10) {
        declare(tx, desk, id, "phone_marketing", Channel::Phone, ago(made.between(1, 300))).await?;
    }
    if made.chance(5) {
        object(tx, desk, id).await?;
        consents = false;
    }
    if made.chance(4) {
        move_away(tx, desk, id).await?;
        consents = false;
    }
    if made.chance(8) {
        request(tx, desk, id, made).await?;
    }
    if made.chance(3) {
        let restriction = NewRestriction {
            id,
            limb: RestrictionLimb::A,
            reason: "the person contests the address".to_owned(),
            planned_until: Some(now + TimeDelta::days(30)),
        };
        contacts::restrict(tx, desk, &restriction).await?;
        consents = false;
    }
    Ok(consents.then_some(id))
}

/// The grounds of a person: a customer, a lead, or somebody at a business partner.
fn reasons(made: &mut People) -> Vec<(&'static str, &'static str)> {
    let mut reasons = match made.between(0, 10) {
        0..6 => vec![("customer_care", "contract")],
        6..8 => vec![("pre_contract", "enquiry")],
        _ => vec![("business_contact", "balancing test 2026-02")],
    };
    if reasons.first().is_some_and(|(purpose, _)| *purpose == "customer_care") {
        if made.chance(60) {
            reasons.push(("accounting", "HGB section 257"));
        }
        if made.chance(40) {
            reasons.push(("existing_customer_mail", "UWG section 7(3), all four conditions"));
        }
    }
    reasons
}

/// Records a consent; returns whether it is in force now.
async fn declare(
    tx: &mut Transaction,
    desk: &Actor,
    contact_id: Uuid,
    purpose: &str,
    channel: Channel,
    declared_at: DateTime<Utc>,
) -> Result<bool, Error> {
    let new = NewConsent {
        contact_id,
        purpose: purpose.to_owned(),
        channel,
        agreement: Agreement {
            text_version: "2026-1".to_owned(),
            language: "de".to_owned(),
            proof: "signed_paper".to_owned(),
            declared_at,
            source: "sign-up sheet".to_owned(),
            expires_at: None,
            evidence: None,
        },
    };
    consents::record(tx, desk, &new).await?;
    Ok(declared_at > tx.now() - TimeDelta::days(700))
}

async fn withdraw(
    tx: &mut Transaction,
    desk: &Actor,
    contact_id: Uuid,
    purpose: &str,
    at: DateTime<Utc>,
) -> Result<(), Error> {
    let withdrawal = Withdrawal {
        id: None,
        contact_id: Some(contact_id),
        address: None,
        purpose: Some(purpose.to_owned()),
        channel: None,
        at: Some(at.min(tx.now())),
        source: Some("phone call".to_owned()),
    };
    consents::withdraw(tx, desk, &withdrawal).await?;
    Ok(())
}

async fn object(tx: &mut Transaction, desk: &Actor, contact_id: Uuid) -> Result<(), Error> {
    let new = NewObjection {
        contact_id: Some(contact_id),
        address: None,
        purpose: "direct_marketing".to_owned(),
        channel: None,
        at: None,
        source: Some("letter".to_owned()),
    };
    objections::record(tx, desk, &new).await?;
    Ok(())
}

/// The new address of a person.
fn moved_to(id: Uuid) -> String {
    format!("moved.{}@example.org", id.simple())
}

/// Changes the e-mail address, which invalidates consents for the old one.
async fn move_away(tx: &mut Transaction, desk: &Actor, id: Uuid) -> Result<(), Error> {
    let email = CONTACT.field("email").ok_or_else(|| Error::internal("the registry"))?;
    let moved = moved_to(id);
    let change = Rectification {
        id,
        expected_version: None,
        values: vec![(email, Some(moved))],
        source: Some(Source { name: "letter".to_owned(), ..Source::default() }),
    };
    operations::rectify_contact(tx, desk, &change).await.map(|_| ())
}

/// Opens a request and sets one of its later states, which no mutation sets yet.
async fn request(
    tx: &mut Transaction,
    desk: &Actor,
    contact_id: Uuid,
    made: &mut People,
) -> Result<(), Error> {
    let kinds = [
        RequestKind::Access,
        RequestKind::Rectification,
        RequestKind::Erasure,
        RequestKind::Restriction,
        RequestKind::Portability,
        RequestKind::Objection,
    ];
    let states = [
        RequestStatus::Received,
        RequestStatus::AwaitingIdentity,
        RequestStatus::InProgress,
        RequestStatus::Fulfilled,
        RequestStatus::PartlyFulfilled,
        RequestStatus::Refused,
        RequestStatus::Cancelled,
    ];
    let pick = usize::try_from(made.between(0, 42)).unwrap_or_default();
    let new = NewRequest {
        contact_id,
        kind: kinds.get(pick % kinds.len()).copied().unwrap_or(RequestKind::Access),
        received_at: Some(tx.now() - TimeDelta::days(made.between(1, 60))),
        purpose: None,
        note: None,
    };
    let id = requests::open(tx, desk, &new).await?;
    let status = states.get(pick / kinds.len()).copied().unwrap_or(RequestStatus::Received);
    let before = privacy_request::Entity::find_by_id(id).one(tx.connection()).await?;
    let before = before.ok_or_else(|| Error::internal("a request that was just opened"))?;
    let closed = !matches!(
        status,
        RequestStatus::Received | RequestStatus::AwaitingIdentity | RequestStatus::InProgress
    );
    let after = privacy_request::Model {
        status,
        identity_verified_at: (status != RequestStatus::AwaitingIdentity).then(|| tx.now()),
        closed_at: closed.then(|| tx.now()),
        assignee: Some("privacy desk".to_owned()),
        ..before.clone()
    };
    let changes = tx.update::<privacy_request::Entity>(&PRIVACY_REQUEST, &before, &after).await?;
    tx.record(Entry {
        action: "seedRequest",
        entity_type: PRIVACY_REQUEST.name,
        entity_id: Some(id),
        contact_id: Some(contact_id),
        changes,
    })
    .await
}
