//! Objections (Art. 21) to a purpose or a group of purposes; they take effect with the next read. Room: domain.

use chrono::{DateTime, Utc};
use entity::{
    consent,
    enums::{Channel, StopKind, SuppressionKind},
    objection::{self, Entity, Model},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::{
    audit::{ChangeSet, Entry, Transaction},
    auth::actor::Actor,
    base::{
        error::{Code, Error},
        identities::Reader,
    },
    domain::{
        contacts::{self, Address},
        suppressions::{self, OptOutDeclaration, Target},
    },
    engine::Input,
    policy::{Grounds, LegalBasis},
    registry::OBJECTION,
};

/// An objection to record.
#[derive(Clone, Debug)]
pub struct NewObjection {
    /// Of this contact,
    pub contact_id: Option<Uuid>,
    /// or of every contact with this address.
    pub address: Option<Address>,
    /// Code of the purpose or group.
    pub purpose: String,
    /// The channel it concerns; all by default.
    pub channel: Option<Channel>,
    /// When the person objected; now by default.
    pub at: Option<DateTime<Utc>>,
    /// Where it was declared.
    pub source: Option<String>,
}

impl NewObjection {
    /// The objection that a `RecordObjectionInput` describes.
    ///
    /// # Errors
    /// As [`Address::from_input`].
    pub fn from_input(input: &Input, reader: &Reader) -> Result<Self, Error> {
        Ok(Self {
            contact_id: input.id("contactId"),
            address: Address::from_input(input, reader)?,
            purpose: input.require_string("purpose")?,
            channel: input.optional_enum("channel")?,
            at: input.time("declaredAt"),
            source: input.optional_string("source"),
        })
    }

    fn check(&self, actor: &Actor, now: DateTime<Utc>) -> Result<(), Error> {
        if self.contact_id.is_some() == self.address.is_some() {
            let message = "give `contactId`, `email` or `phone`";
            return Err(Error::bad_input(message).with_input_path("input.contactId"));
        }
        if self.at.is_some_and(|at| at > now) {
            return Err(Error::bad_input("`declaredAt` is in the future").with_input_path("input.declaredAt"));
        }
        let has_channel = |address: &Address| address.addresses().on(self.channel).next().is_some();
        if self.channel.is_some() && self.address.as_ref().is_some_and(|address| !has_channel(address)) {
            return Err(
                Error::bad_input("this is not an address for the channel").with_input_path("input.channel")
            );
        }
        let Some(purpose) = actor.policy.purpose(&self.purpose) else {
            return Err(Error::bad_input("there is no such purpose").with_input_path("input.purpose"));
        };
        // Art. 21(1) for public tasks and legitimate interests, 21(2) for direct marketing on any legal basis.
        let objectable = purpose.is_group
            || purpose.basis.is_some_and(LegalBasis::can_be_objected_to)
            || purpose.grounds == Grounds::Consent;
        if !objectable {
            let message = "this purpose cannot be objected to (Art. 21)";
            return Err(Error::bad_input(message).with_input_path("input.purpose"));
        }
        let is_own = actor.purpose.as_ref().is_some_and(|is_own| {
            is_own.sees_all || is_own.code == purpose.code || is_own.group.as_deref() == Some(&purpose.code)
        });
        if !is_own {
            let message = "objections to other purposes may not be recorded under this purpose";
            return Err(Error::new(Code::Forbidden, message).with_input_path("input.purpose"));
        }
        Ok(())
    }
}

/// Records an objection and returns its id, or those on every record of the person with the address. Repeating one
/// changes nothing. An objection to advertising puts the addresses on the suppression list and blocks every record
/// of them, so that it outlives the record. Under a purpose that sees all, an address that no contact has is listed
/// too; then there is no id.
///
/// # Errors
/// `NOT_FOUND` if no visible contact is concerned; `FORBIDDEN` for another purpose than the caller's;
/// `BAD_USER_INPUT` for one that cannot be objected to, a time in the future, and an address of several persons if
/// it is no advertising; transient if a contact got another address meanwhile.
pub async fn record(tx: &mut Transaction, actor: &Actor, new: &NewObjection) -> Result<Vec<Uuid>, Error> {
    new.check(actor, tx.now())?;
    let target = match (&new.contact_id, &new.address) {
        (Some(id), _) => Target::Contact(*id),
        (None, Some(address)) => Target::Address(address),
        (None, None) => return Err(contacts::not_found()),
    };
    let affected =
        suppressions::find_and_lock(tx, actor, target, new.channel.as_ref().map(std::slice::from_ref))
            .await?;
    let sees_all = actor.purpose.as_ref().is_some_and(|is_own| is_own.sees_all);
    let advertising = suppressions::is_advertising(&actor.policy, &new.purpose);
    // Other objections concern a person, not an address: without the person there is nothing to record.
    let is_listed = sees_all && new.address.is_some() && advertising;
    if !affected.is_known && !is_listed {
        return Err(contacts::not_found());
    }
    if let (Some(address), true, false) =
        (&new.address, affected.is_known && affected.contacts.is_empty(), advertising)
    {
        // It is unknown whose objection it is, and one that is no advertising never spreads.
        let message = "several persons have this address; name the contact by its id";
        return Err(Error::bad_input(message).with_input_path(format!("input.{}", address.name())));
    }
    let (mut ids, mut since) = (Vec::with_capacity(affected.contacts.len()), new.at.unwrap_or(tx.now()));
    for contact in &affected.contacts {
        let (id, at) = object(tx, actor, *contact, new).await?;
        ids.push(id);
        since = since.max(at);
    }
    let declared = OptOutDeclaration {
        purpose: new.purpose.clone(),
        kind: SuppressionKind::Objection,
        channel: new.channel,
        since,
        source: new.source.clone(),
    };
    if advertising {
        suppressions::declare(tx, &affected.contacts, &affected.addresses, &[declared]).await?;
    } else {
        suppressions::create_stops_for_contacts(tx, &affected.contacts, &declared).await?;
    }
    Ok(ids)
}

/// Records the objection of one locked contact; returns its id and since when it holds.
async fn object(
    tx: &mut Transaction,
    actor: &Actor,
    contact_id: Uuid,
    new: &NewObjection,
) -> Result<(Uuid, DateTime<Utc>), Error> {
    let declared = latest_consent(tx, actor, contact_id, &new.purpose).await?;
    // Not before earlier declarations, whatever the clocks say.
    let at = new.at.unwrap_or_else(|| declared.unwrap_or(tx.now()).max(tx.now()));
    let existing = Entity::find()
        .filter(objection::Column::ContactId.eq(contact_id))
        .filter(objection::Column::PurposeCode.eq(&new.purpose))
        .filter(objection::Column::Kind.eq(StopKind::Objection))
        .all(tx.connection())
        .await?;
    // A repeat without a time says nothing new, unless the person has consented since.
    let mut existing = existing.into_iter();
    let same = existing.find(|existing| match new.at {
        // One that the person has revoked since is not restored by repeating its time.
        Some(at) => {
            existing.channel == new.channel
                && (existing.objected_at == at || (existing.objected_at > at && existing.ended_at.is_some()))
        }
        None if existing.ended_at.is_some() => false,
        // One without a channel covers it.
        None => {
            (existing.channel.is_none() || existing.channel == new.channel)
                && declared.is_none_or(|declared| declared <= existing.objected_at)
        }
    });
    let (id, since, changes) = match same {
        Some(existing) => (existing.id, existing.objected_at, ChangeSet::none()),
        None => {
            let model = Model {
                id: tx.new_id(),
                contact_id,
                purpose_code: new.purpose.clone(),
                objected_at: at,
                ended_at: None,
                source: new.source.clone(),
                created_at: tx.now(),
                kind: StopKind::Objection,
                channel: new.channel,
                every_channel: new.channel.is_none(),
            };
            (model.id, at, tx.insert::<Entity>(&OBJECTION, &model).await?)
        }
    };
    tx.record(entry("recordObjection", id, contact_id, changes)).await?;
    Ok((id, since))
}

/// When the person last consented to the purpose, or to a kind of the group.
async fn latest_consent(
    tx: &Transaction,
    actor: &Actor,
    contact_id: Uuid,
    code: &str,
) -> Result<Option<DateTime<Utc>>, Error> {
    let purposes = actor.policy.purposes().iter();
    let kinds = purposes.filter(|purpose| purpose.code == code || purpose.group.as_deref() == Some(code));
    let consents = consent::Entity::find()
        .filter(consent::Column::ContactId.eq(contact_id))
        .filter(consent::Column::PurposeCode.is_in(kinds.map(|purpose| purpose.code.as_str())))
        .all(tx.connection())
        .await?;
    Ok(consents.iter().filter_map(|consent| consent.declared_at).max())
}

/// Ends an objection that the person revokes. One that has already ended is not changed.
///
/// # Errors
/// `NOT_FOUND`; `BAD_USER_INPUT` for an end in the future or before the objection.
pub async fn end(
    tx: &mut Transaction,
    actor: &Actor,
    id: Uuid,
    at: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    let not_found = || Error::new(Code::NotFound, "there is no such objection");
    let before = contacts::lock_with_contact::<Entity>(
        tx,
        actor,
        &OBJECTION,
        id,
        objection::Column::ContactId,
        not_found,
    )
    .await?;
    let contact_id = before.contact_id;
    let at = at.unwrap_or(tx.now());
    if at > tx.now() || at < before.objected_at {
        let message = "an objection must end after it was made and not in the future";
        return Err(Error::bad_input(message).with_input_path("input.endedAt"));
    }
    if before.ended_at.is_some() {
        return tx.record(entry("endObjection", id, contact_id, ChangeSet::none())).await;
    }
    let after = Model { ended_at: Some(at), ..before.clone() };
    let changes = tx.update::<Entity>(&OBJECTION, &before, &after).await?;
    tx.record(entry("endObjection", id, contact_id, changes)).await?;
    // The person wants it again on this record, whoever else uses its addresses.
    suppressions::lift_blocks(tx, contact_id, &before.purpose_code, before.channel, at).await
}

fn entry(action: &'static str, id: Uuid, contact_id: Uuid, changes: ChangeSet) -> Entry {
    Entry { action, entity_type: OBJECTION.name, entity_id: Some(id), contact_id: Some(contact_id), changes }
}
