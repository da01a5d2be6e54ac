//! Runs mutations: one transaction each, tried again where other writers were in the way. Room: graphql.
//!
//! The match below is the only way from a declared mutation to a function that writes; it names every one.

use chrono::{DateTime, NaiveDate, Utc};
use entity::enums::{Channel, ContactPointKind, RecipientKind, RequestKind, RestrictionLimb};
use sea_orm::ActiveEnum;

use crate::{
    app::App,
    audit::{self, Author, Idempotency, Recorded, Transaction},
    auth::actor::Actor,
    base::{
        error::{Code, Error},
        identities::Reader,
    },
    domain::{
        access_tokens::{self, NewToken},
        consents::{self, NewConsent, Renewal, Withdrawal},
        contacts::{self, Address, NewContactPoint, Rectification, Restrict, Source, merge::Merge},
        grounds::{self, NewGround},
        merge,
        objections::{self, NewObjection},
        recipients::{self, NewRecipient},
        requests::{self, NewRequest},
        signups, stops, suppressions,
    },
    engine::{Input, MutationResult, PlannedMutation},
    policy::{Action, Grounds},
    registry::{ACCESS_TOKEN, CONTACT, CONTACT_POINT, Field, MutationKind, ObjectType},
};

/// Does what `planned` says, or nothing. Under an Idempotency-Key it is done once, and a repeat tells the same. A no is taken also while
/// the audit log cannot be written: its entries follow.
///
/// # Errors
/// Those of the function that writes; `CONFLICT` for a key that was used for another request; `INTERNAL` when other writers
/// were in the way to the end.
pub(super) async fn run(
    app: &App,
    actor: &Actor,
    root: &str,
    planned: &PlannedMutation,
    replay: Option<&Idempotency>,
) -> Result<(MutationResult, Recorded), Error> {
    if matches!(planned.mutation.kind, MutationKind::WithdrawConsent | MutationKind::RecordObjection) {
        return audit::taken(|recorded| once(app, actor, root, (planned, recorded), replay)).await;
    }
    let written = audit::with_retry(|| once(app, actor, root, (planned, Recorded::Now), replay)).await;
    Ok((written?, Recorded::Now))
}

async fn once(
    app: &App,
    actor: &Actor,
    root: &str,
    (planned, recorded): (&PlannedMutation, Recorded),
    replay: Option<&Idempotency>,
) -> Result<MutationResult, Error> {
    let mut tx = audit::begin(app, Author::from(actor)).await?;
    tx.owe(recorded);
    let fault = || Error::internal("the outcome of a mutation");
    if let Some(replay) = replay
        && let Some(outcome) = tx.claim(app, replay, root).await?
    {
        return serde_json::from_slice(&outcome).map_err(|_| fault());
    }
    let written = write(app, actor, planned.mutation.kind, &planned.input, &mut tx).await;
    let written = written.map_err(|error| planned.input.with_used_names(error))?;
    if let Some(replay) = replay {
        let outcome = serde_json::to_vec(&written).map_err(|_| fault())?;
        tx.keep(app, replay, root, &outcome).await?;
    }
    tx.commit().await?;
    Ok(written)
}

async fn write(
    app: &App,
    actor: &Actor,
    write: MutationKind,
    input: &Input,
    tx: &mut Transaction,
) -> Result<MutationResult, Error> {
    let id = |name: &str| input.require_id(name);
    Ok(match write {
        MutationKind::CreateContact => MutationResult::for_id(create_contact(actor, input, tx).await?),
        MutationKind::UpdateContact => {
            let change = rectification(input, tx)?;
            let rectified = contacts::rectify(tx, actor, &change).await?;
            consents::follow(tx, rectified).await?;
            MutationResult::for_id(change.id)
        }
        MutationKind::MergeContacts => {
            let merge = new_merge(input)?;
            merge::merge(tx, actor, &merge).await?;
            MutationResult::for_id(merge.id)
        }
        MutationKind::AddContactPoint => {
            let new = NewContactPoint {
                contact_id: input.require_id("contactId")?,
                kind: word::<ContactPointKind>(input, "kind")?,
                values: values(input, &CONTACT_POINT).map(|(field, value)| (field.name, value)).collect(),
            };
            let reached = contacts::add_point(tx, actor, &new).await?;
            consents::arrive(tx, &reached).await?;
            MutationResult::for_id(new.contact_id)
        }
        MutationKind::RemoveContactPoint => {
            MutationResult::for_id(contacts::remove_point(tx, actor, id("contactPointId")?).await?)
        }
        MutationKind::RecordGround => {
            let contact = contacts::lock(tx, actor, input.require_id("contactId")?).await?;
            MutationResult::for_id(grounds::record(tx, actor, contact.id, &ground(input, "input")?).await?)
        }
        MutationKind::EndGround => {
            let id = id("groundId")?;
            grounds::end(tx, actor, id, input.time("endedAt")).await?;
            MutationResult::for_id(id)
        }
        MutationKind::RecordObjection => {
            let new = NewObjection {
                contact_id: input.id("contactId"),
                address: address(input, tx.reader())?,
                purpose: input.require_text("purpose")?.to_owned(),
                channel: input.text("channel").map(|_| word::<Channel>(input, "channel")).transpose()?,
                at: input.time("declaredAt"),
                source: owned(input, "source"),
            };
            MutationResult { ids: objections::record(tx, actor, &new).await?, secret: None }
        }
        MutationKind::EndObjection => {
            let id = id("objectionId")?;
            objections::end(tx, actor, id, input.time("endedAt")).await?;
            MutationResult::for_id(id)
        }
        MutationKind::LiftBlock => {
            let id = id("blockId")?;
            suppressions::lift(tx, actor, id, input.time("endedAt")).await?;
            MutationResult::for_id(id)
        }
        MutationKind::RecordConsent => {
            MutationResult::for_id(consents::record(tx, actor, &new_consent(input)?).await?)
        }
        MutationKind::RequestConsent => {
            let asked = signups::request(tx, app, actor, &consent_request(input)?).await?;
            MutationResult { ids: asked.into_iter().collect(), secret: None }
        }
        MutationKind::RenewConsent => {
            MutationResult::for_id(consents::renew(tx, actor, &renewal(input)?).await?)
        }
        MutationKind::WithdrawConsent => {
            let withdrawal = Withdrawal {
                id: input.id("consentId"),
                contact_id: input.id("contactId"),
                address: address(input, tx.reader())?,
                purpose: owned(input, "purpose"),
                channel: input.text("channel").map(|_| word::<Channel>(input, "channel")).transpose()?,
                at: input.time("declaredAt"),
                source: owned(input, "source"),
            };
            MutationResult { ids: consents::withdraw(tx, actor, &withdrawal).await?, secret: None }
        }
        MutationKind::OpenRequest => {
            let new = NewRequest {
                contact_id: input.require_id("contactId")?,
                kind: word::<RequestKind>(input, "kind")?,
                received_at: input.time("receivedAt"),
                purpose: owned(input, "purpose"),
                note: owned(input, "note"),
            };
            MutationResult::for_id(requests::open(tx, actor, &new).await?)
        }
        MutationKind::CancelRequest => {
            let id = id("privacyRequestId")?;
            requests::cancel(tx, actor, id, owned(input, "reason")).await?;
            MutationResult::for_id(id)
        }
        MutationKind::RestrictContact => {
            let new = Restrict {
                id: id("contactId")?,
                limb: word::<RestrictionLimb>(input, "limb")?,
                reason: input.require_text("reason")?.to_owned(),
                planned_until: input.time("plannedUntil"),
            };
            contacts::restrict(tx, actor, &new).await?;
            MutationResult::for_id(new.id)
        }
        MutationKind::LiftRestriction => {
            let id = id("contactId")?;
            contacts::lift(tx, actor, id, input.require_time("informedAt")?).await?;
            MutationResult::for_id(id)
        }
        MutationKind::CreateRecipient => {
            MutationResult::for_id(recipients::create(tx, new_recipient(input)?).await?)
        }
        MutationKind::AcknowledgeStops => {
            let (recipient, batch) = (id("recipientId")?, id("batchId")?);
            stops::acknowledge_as(tx, actor, recipient, batch).await?;
            MutationResult::for_id(recipient)
        }
        MutationKind::CreateAccessToken => {
            let new = new_token(actor, input, tx.now())?;
            new.check_grant(actor)?;
            new.check_use(&actor.policy)?;
            let (id, token) = access_tokens::create(tx, &actor.policy, new).await?;
            MutationResult { ids: vec![id], secret: Some(token.reveal().to_owned()) }
        }
        MutationKind::RevokeAccessToken => {
            let id = id("accessTokenId")?;
            if !tx.sees(actor, &ACCESS_TOKEN, id).await? {
                return Err(Error::new(Code::NotFound, "there is no such token"));
            }
            access_tokens::revoke(tx, id).await?;
            MutationResult::for_id(id)
        }
    })
}

async fn create_contact(actor: &Actor, input: &Input, tx: &mut Transaction) -> Result<uuid::Uuid, Error> {
    let given = values(input, &CONTACT).collect();
    let ground = input.nested("ground").map(|nested| ground(nested, "input.ground")).transpose()?;
    match &ground {
        Some(ground) => ground.check(actor, tx.now())?,
        None if actor.purpose.as_ref().is_some_and(|purpose| purpose.grounds == Grounds::EveryContact) => {}
        None => return Err(input.invalid("ground", "a contact needs a ground (Art. 6(1))")),
    }
    let source = source(input.require_nested("source")?, tx)?;
    let reached = contacts::create(tx, "createContact", &given, &source).await?;
    let id = reached.contact_id();
    if let Some(ground) = &ground {
        suppressions::refuse(tx, &actor.policy, &reached, &ground.purpose).await?;
    }
    suppressions::bring(tx, &reached).await?;
    if let Some(ground) = ground {
        grounds::record(tx, actor, id, &ground).await?;
    }
    Ok(id)
}

/// The given fields of contacts that `list` names, each with its place.
fn named(input: &Input, list: &str) -> Result<Vec<(&'static Field, String)>, Error> {
    let mut fields = Vec::new();
    for (index, name) in input.strings(list).unwrap_or_default().iter().enumerate() {
        let place = format!("{}.{index}", input.path(list));
        let named = CONTACT.writable_fields().find(|(field, _)| field.enum_name() == *name);
        let (field, _) =
            named.ok_or_else(|| Error::bad_input("there is no such field").with_input_path(&place))?;
        fields.push((field, place));
    }
    Ok(fields)
}

fn new_merge(input: &Input) -> Result<Merge, Error> {
    let merge = Merge {
        id: input.require_id("contactId")?,
        duplicate_id: input.require_id("duplicateId")?,
        expected_version: input.int("expectedVersion"),
        take: named(input, "take")?.into_iter().map(|(field, _)| field).collect(),
    };
    if merge.id == merge.duplicate_id {
        return Err(input.invalid("duplicateId", "a contact is no duplicate of itself"));
    }
    Ok(merge)
}

fn rectification(input: &Input, tx: &Transaction) -> Result<Rectification, Error> {
    let mut changed: Vec<_> = values(input, &CONTACT).map(|(field, value)| (field, Some(value))).collect();
    for (field, place) in named(input, "clear")? {
        if changed.iter().any(|(other, _)| other.name == field.name) {
            let message = format!("`{}` is both set and emptied", field.name);
            return Err(Error::bad_input(message).with_input_path(place));
        }
        changed.push((field, None));
    }
    if changed.is_empty() {
        return Err(Error::bad_input("there is nothing to be changed").with_input_path("input"));
    }
    let source = input.nested("source").map(|nested| source(nested, tx)).transpose()?;
    Ok(Rectification {
        id: input.require_id("contactId")?,
        expected_version: input.int("expectedVersion"),
        values: changed,
        source,
    })
}

fn source(input: &Input, tx: &Transaction) -> Result<Source, Error> {
    for name in ["collectedAt", "informedAt"] {
        if input.time(name).is_some_and(|at| at > tx.now()) {
            return Err(input.invalid(name, format!("`{name}` is in the future")));
        }
    }
    Ok(Source {
        name: input.require_text("name")?.to_owned(),
        collected_at: input.time("collectedAt"),
        informed_at: input.time("informedAt"),
        notice_version: owned(input, "noticeVersion"),
    })
}

fn ground(input: &Input, place: &'static str) -> Result<NewGround, Error> {
    Ok(NewGround {
        purpose: input.require_text("purpose")?.to_owned(),
        reference: owned(input, "reference"),
        since: input.time("since"),
        until: input.time("until"),
        place,
    })
}

fn new_consent(input: &Input) -> Result<NewConsent, Error> {
    Ok(NewConsent {
        contact_id: input.require_id("contactId")?,
        purpose: input.require_text("purpose")?.to_owned(),
        channel: word::<Channel>(input, "channel")?,
        text_version: input.require_text("textVersion")?.to_owned(),
        language: input.require_text("language")?.to_owned(),
        proof: input.require_text("proof")?.to_owned(),
        declared_at: input.require_time("declaredAt")?,
        source: input.require_text("source")?.to_owned(),
        expires_at: input.time("expiresAt"),
        evidence: owned(input, "evidence"),
    })
}

fn consent_request(input: &Input) -> Result<signups::Request, Error> {
    Ok(signups::Request {
        contact_id: input.id("contactId"),
        email: owned(input, "email"),
        given_name: owned(input, "givenName"),
        family_name: owned(input, "familyName"),
        purpose: input.require_text("purpose")?.to_owned(),
        language: input.require_text("language")?.to_owned(),
        text_version: owned(input, "textVersion"),
        form: input.require_text("form")?.to_owned(),
        signed_up_at: input.require_time("declaredAt")?,
        notice_version: owned(input, "noticeVersion"),
    })
}

fn renewal(input: &Input) -> Result<Renewal, Error> {
    Ok(Renewal {
        id: input.require_id("consentId")?,
        text_version: input.require_text("textVersion")?.to_owned(),
        language: input.require_text("language")?.to_owned(),
        proof: input.require_text("proof")?.to_owned(),
        declared_at: input.require_time("declaredAt")?,
        source: input.require_text("source")?.to_owned(),
        expires_at: input.time("expiresAt"),
        evidence: owned(input, "evidence"),
    })
}

fn new_recipient(input: &Input) -> Result<NewRecipient, Error> {
    let until: Option<Result<NaiveDate, _>> = input.text("contractUntil").map(str::parse);
    Ok(NewRecipient {
        name: input.require_text("name")?.to_owned(),
        kind: word::<RecipientKind>(input, "kind")?,
        country: owned(input, "country"),
        transfer_mechanism: owned(input, "transferMechanism"),
        contract_until: until.transpose().map_err(|_| input.invalid("contractUntil", "this is no date"))?,
    })
}

fn new_token(actor: &Actor, input: &Input, now: DateTime<Utc>) -> Result<NewToken, Error> {
    let list = |name: &str| input.strings(name).map(<[String]>::to_vec);
    // Who may not say when a token ends makes none: the usual end is said in its place.
    if input.time("expiresAt").is_none() && !actor.can("AccessToken.expiresAt", Action::Create) {
        let error = Error::new(Code::ForbiddenField, "this may not be written for this purpose");
        return Err(error.with_coordinate("AccessToken.expiresAt").with_input_path("input.expiresAt"));
    }
    Ok(NewToken {
        name: input.require_text("name")?.to_owned(),
        roles: list("roles").unwrap_or_default(),
        purposes: list("purposes").unwrap_or_default(),
        fields: list("fields"),
        // Where no end is named, the credential that makes it ends it as well.
        expires_at: input
            .time("expiresAt")
            .unwrap_or_else(|| access_tokens::usual_end(now).min(actor.expires_at)),
        recipient_id: input.id("recipientId"),
    })
}

fn values(input: &Input, object: &'static ObjectType) -> impl Iterator<Item = (&'static Field, String)> {
    input.fields_of(object).map(|(field, value)| (field, value.to_owned()))
}

/// The address that contacts are named by instead of an id.
fn address(input: &Input, reader: &Reader) -> Result<Option<Address>, Error> {
    match (input.text("email"), input.text("phone")) {
        (Some(_), Some(_)) => Err(input.invalid("phone", "give `email` or `phone`")),
        (Some(email), None) => Address::email(reader, email).map(Some),
        (None, Some(phone)) => Address::phone(reader, phone).map(Some),
        (None, None) => Ok(None),
    }
}

fn owned(input: &Input, name: &str) -> Option<String> {
    input.text(name).map(str::to_owned)
}

/// A value of an enum that the database keeps.
fn word<E: ActiveEnum<Value = String>>(input: &Input, name: &str) -> Result<E, Error> {
    let word = input.require_text(name)?.to_owned();
    E::try_from_value(&word)
        .map_err(|_| input.invalid(name, format!("`{name}` is not one of the known words")))
}
